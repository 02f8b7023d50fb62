"""The page in a real browser, driven by playwright."""

import json
import shutil
import socket
import subprocess
import sys

import pytest
from live_daemon import until

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed.")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="There is no Chromium on this machine.")

PASSWORD = "correct horse"
MARKUP = "<img src=x onerror=alert(1)>"
ESCAPED = MARKUP.replace("<", "%3C").replace(">", "%3E")
LONGEST = 2_000
"""Milliseconds from a tick to its candle."""
QUIET = 6
"""Seconds for which a page that nobody looks at is observed: more than a heartbeat."""


class Page:
    """A tab with the page, and all that its console said and its WebSocket sent."""

    def __init__(self, tab, port):
        self.tab, self.said, self.sent, self.heard = tab, [], [], []
        tab.on("console", lambda message: self.said.append(message.text))
        tab.on("pageerror", lambda error: self.said.append(str(error)))
        tab.on("dialog", lambda dialog: self.said.append(f"dialog: {dialog.message}"))
        tab.on("websocket", self._watch)
        self.url = f"http://127.0.0.1:{port}/"
        tab.goto(self.url)

    def _watch(self, opened):
        opened.on("framesent", lambda data: self.sent.append(json.loads(data)))
        opened.on("framereceived", lambda data: self.heard.append(json.loads(data)))

    def shows(self, selector, text, milliseconds=10_000):
        """Wait until an element has a text."""
        found = self.tab.locator(selector).filter(has_text=text).first
        found.wait_for(timeout=milliseconds)
        return found

    def hide(self, hidden):
        """Let the page believe that nobody looks at it."""
        script = """hidden => {
            Object.defineProperty(document, "hidden", {get: () => hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
        self.tab.evaluate(script, hidden)

    def log_in(self, name, password=PASSWORD):
        self.tab.fill("#login-name", name)
        self.tab.fill("#login-password", password)
        self.tab.click("#login-form button[type=submit]")


@pytest.fixture(scope="module")
def chromium():
    flags = ["--no-sandbox", "--disable-gpu"]
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture
def open_page(daemon, chromium):
    opened = []

    def make(port=None):
        context = chromium.new_context()
        opened.append(context)
        return Page(context.new_page(), port or daemon.port("web"))

    yield make
    for context in opened:
        context.close()


def tick(daemon, price):
    with daemon.dial("ticks") as connection:
        connection.sendall(b"EURUSD %b\nSYNC:\n" % price)
        assert connection.recv(512).startswith(b"OK: SYNC")


def publish(connection, number, volume):
    said = f"<<PUBLISH|id=p{number}|symbol=EURUSD|volume={volume}|comment={ESCAPED}>>"
    connection.sendall(said.encode())


def provider(daemon, name="desk"):
    connection = daemon.dial("signals")
    connection.sendall(f"<<HELLO|v=2|name={name}|client={ESCAPED}>>".encode())
    return connection


def account(daemon, name, role):
    command = [sys.executable, "-m", "mtnet", "account", "add", "--data", daemon.data]
    command += ["--role", role, name]
    subprocess.run(command, input=f"{PASSWORD}\n".encode(), check=True, capture_output=True)


def test_a_pause_wants_the_name_of_the_channel_typed(daemon, open_page):
    daemon.start()
    with provider(daemon) as desk:
        publish(desk, 1, "0.25")
        page = open_page()
        page.shows("#channels button", "Pause").click()
        act = page.tab.locator("#pause-do")
        page.tab.select_option("#pause-action", "flatten")
        page.tab.fill("#pause-name", "mai")
        assert act.is_disabled()
        page.tab.fill("#pause-name", "main")
        act.click()
        page.shows("#positions", "No channel holds a position")
        page.shows("#channels td", "closes only")
        page.shows("#channels button", "Pause").click()
        assert page.tab.input_value("#pause-name") == ""
        page.tab.select_option("#pause-action", "resume")
        page.tab.fill("#pause-name", "main")
        act.click()
        page.tab.locator("#channels td.warning").filter(has_text="closes only").wait_for(
            state="detached"
        )
        assert page.said == []


def test_candles_markers_and_what_peers_say(daemon, open_page):
    daemon.start()
    tick(daemon, b"1.09876")
    with provider(daemon) as desk:
        publish(desk, 1, "0.25")
        page = open_page()
        page.shows("#summary", "All is well")
        page.shows("#people", "desk")
        page.shows("#people", MARKUP)
        page.shows("#positions", MARKUP)
        page.shows("#positions td", "+0.25")
        page.tab.locator(".chart[data-markers='1']").wait_for()
        page.tab.locator("#chart details summary").click()
        page.shows("#chart td", "1.09876")
        tick(daemon, b"1.09999")
        page.shows("#chart td", "1.09999", LONGEST)
        publish(desk, 2, "-0.50")
        page.shows("#positions td", "−0.50", LONGEST)
        assert page.tab.locator("img").count() == 0
        assert page.tab.evaluate("document.documentElement.scrollWidth - innerWidth") == 0
    page.shows("#summary", "offline")
    # The page itself is in no list of followers.
    assert page.tab.locator("#people td", has_text="follower").count() == 0
    assert page.said == []


def test_a_page_that_nobody_looks_at_asks_for_nothing(daemon, open_page):
    daemon.start()
    tick(daemon, b"1.09876")
    page = open_page()
    page.shows("#connection", "Live")
    page.shows("#events", "has started")
    page.hide(True)
    page.tab.wait_for_timeout(500)
    asked, heard = len(page.sent), len(page.heard)
    tick(daemon, b"1.09900")
    page.tab.wait_for_timeout(QUIET * 1_000)
    assert (len(page.sent), len(page.heard)) == (asked, heard)
    page.hide(False)
    page.shows("#connection", "Live")
    until(lambda: page.tab.wait_for_timeout(50) or page.sent[asked:])
    assert {"verb": "WATCH", "what": ["status", "events", "alerts"]} in page.sent[asked:]
    assert page.said == []


def test_a_login_shows_what_it_may_see_and_a_logout_takes_it_away(daemon, open_page):
    account(daemon, "wendy", "watcher")
    account(daemon, "root", "admin")
    daemon.start("--set=access.trust_loopback=false")
    page = open_page()
    page.tab.locator("#login[open]").wait_for()
    assert page.tab.locator("#events td").count() == 0
    page.log_in("root", "wrong")
    page.shows("#login-error", "wrong")
    page.log_in("root")
    page.shows("#accounts", "wendy")
    page.shows("#whom", "root")
    page.shows("#accounts", "this one")
    page.tab.click("#logout")
    page.tab.locator("#login[open]").wait_for()
    assert page.tab.locator("#accounts").is_hidden()
    page.log_in("wendy")
    page.shows("#events", "has started")
    assert page.tab.locator("#accounts", has_text="root").count() == 0
    # A browser notes the answer 401 to the wrong password.
    assert [each for each in page.said if "401" not in each] == []


def test_the_page_comes_back_after_a_restart_of_the_daemon(daemon, open_page):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    web = f"--listen=web=tcp:{port}:interface=127.0.0.1"
    daemon.start(web)
    page = open_page(port)
    page.shows("#connection", "Live")
    daemon.stop()
    page.shows("#connection", "No connection")
    daemon.start(web)
    page.shows("#connection", "Live", 15_000)
    page.shows("#events", "The daemon stops")
