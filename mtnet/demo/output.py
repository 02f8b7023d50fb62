"""Output of the demonstration: one aligned line for each event."""

from collections.abc import Callable, Iterable
from typing import TextIO

COLOURS = {"provider": 33, "follower": 32, "ticks": 36, "template": 35, "market": 34}
"""SGR codes, used in terminals only."""


class Console:
    """
    Prints events with their time and a colour.

    Args:
        seconds: the time, on any clock.
        on_closed: called once when the reader of `file` is gone.

    Attributes:
        closed: whether the reader is gone.
    """

    def __init__(
        self, file: TextIO, seconds: Callable[[], float], on_closed: Callable[[], object]
    ) -> None:
        self._file, self._seconds, self._on_closed = file, seconds, on_closed
        self._since, self._colours, self.closed = seconds(), file.isatty(), False

    def elapsed(self) -> float:
        """Return the seconds since the beginning."""
        return self._seconds() - self._since

    def event(self, who: str, text: str, delay: float | None = None) -> None:
        """Print one line: when, who, what, and how long it took in seconds."""
        took = "" if delay is None else milliseconds(delay)
        name = self._paint(COLOURS.get(who.split()[0], 0), f"{who:<16}")
        when = self._paint(2, f"{self.elapsed():7.2f} s")
        self.line(f"{when}  {name}  {text:<43} {took:>8}".rstrip())

    def block(self, heading: str, lines: Iterable[str]) -> None:
        """Print a heading and indented lines."""
        self.line(f"\n{self._paint(1, heading)}")
        for line in lines:
            self.line(f"  {line}")

    def line(self, text: str = "") -> None:
        """Print text as it is."""
        if self.closed:
            return
        try:
            print(text, file=self._file, flush=True)
        except BrokenPipeError:
            self.closed = True
            self._on_closed()

    def _paint(self, code: int, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours and code else text


def milliseconds(seconds: float) -> str:
    """Return a length of time in milliseconds."""
    return f"{seconds * 1_000:.1f} ms"
