"""What the live tests share."""

import signal

import pytest
from browser_page import CHROMIUM, Page
from live_daemon import RealDaemon


@pytest.fixture
def daemon(tmp_path):
    running = RealDaemon(tmp_path)
    yield running
    if running.process is not None:
        running.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def chromium():
    """Return a browser; without one the test is skipped."""
    if CHROMIUM is None:
        pytest.skip("There is no Chromium on this machine.")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed.")
    with playwright.sync_playwright() as driver:
        flags = ["--no-sandbox", "--disable-gpu"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_page(daemon, chromium):
    """Return a function that opens the page in a browser of its own."""
    opened = []

    def make(port=None, **settings):
        context = chromium.new_context(**settings)
        opened.append(context)
        return Page(context.new_page(), port or daemon.port("web"))

    yield make
    for context in opened:
        context.close()
