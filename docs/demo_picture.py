"""
Draw `docs/demo.svg`: the demonstration at work, as a terminal shows it.

It runs the real thing for a while and keeps what it prints. It needs rich:
`pip install rich && python docs/demo_picture.py`.
"""

import io
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

PICTURE = Path(__file__).with_name("demo.svg")
SECONDS = 18
EVENT = re.compile(r" *[0-9]+\.[0-9]{2} s  ")
LINES = 30
"""Lines of the picture: more are too small to read on a page."""


def watch() -> str:
    """Return what the demonstration prints in a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "mtnet", "demo", "--seconds", str(SECONDS)]
    with subprocess.Popen(command, stdout=theirs) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # Linux says so when the last writer is gone
                break
            if not piece:
                break
            said += piece
    os.close(ours)
    if process.returncode:
        raise SystemExit(process.returncode)
    return said.decode().replace("\r\n", "\n")


def choose(said: str) -> str:
    """Return the first events, and the summary."""
    events, _, summary = said.partition("Summary")
    head, *lines = events.splitlines()
    first = [line for line in lines if EVENT.match(Text.from_ansi(line).plain)][:LINES]
    results = summary.partition("  Data")[0].splitlines()
    return "\n".join(
        ["$ mtnet demo", head, "", *first, "", f"\x1b[1mSummary{results[0]}", *results[1:]]
    )


def draw(said: str) -> None:
    """Write the picture."""
    console = Console(record=True, width=82, file=io.StringIO())
    console.print(Text.from_ansi(choose(said)))
    console.save_svg(str(PICTURE), title="mtnet demo", unique_id="demo")


if __name__ == "__main__":
    draw(watch())
