"""
Makes `page.png`: the page, as it shows the demonstration.

    python docs/page_picture.py     needs playwright, and Chromium in the path
"""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).parent / "page.png"
BEHIND = "has not acknowledged"
"""What the page says of the follower that hangs for a while."""
TRADES, PATIENCE, SECONDS = 14, 90, 4
"""Seconds until somebody trades a symbol that is traded again; to wait for that; from then on."""
SIZE = {"width": 1440, "height": 900}


def main() -> None:
    """Run the demonstration, look at its page, and end it."""
    command = [sys.executable, "-u", "-m", "mtnet", "demo", "--stay"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        found = next(filter(None, (re.search(r"http://\S+/$", line) for line in demo.stdout)))
        try:
            take(found[0])
        finally:
            demo.send_signal(signal.SIGINT)
            demo.communicate()


def take(address: str) -> None:
    """Write the picture of a page."""
    with sync_playwright() as driver:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        tab = browser.new_page(viewport=SIZE)
        tab.goto(address)
        tab.wait_for_timeout(TRADES * 1_000)
        symbol = tab.locator("#positions td:nth-child(2)").first.inner_text()
        tab.select_option("#chart select[data-name=Symbol]", symbol)
        tab.locator("#summary").filter(has_text=BEHIND).wait_for(timeout=PATIENCE * 1_000)
        tab.wait_for_timeout(SECONDS * 1_000)
        tab.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
