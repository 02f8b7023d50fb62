"""How the demonstration tells what happens: one aligned line at a time."""

from collections.abc import Callable
from typing import TextIO

COLOURS = {"provider": 33, "follower": 32, "ticks": 36, "template": 35, "market": 34}
"""The SGR code of each speaker, for terminals."""


class Console:
    """
    Prints lines.

    Args:
        file: where they go; codes of colours only when it is a terminal.
        seconds: the time, on any clock.
        gone: is called when nobody reads any more.

    Attributes:
        broken: nobody reads any more.
    """

    def __init__(
        self, file: TextIO, seconds: Callable[[], float], gone: Callable[[], object]
    ) -> None:
        self._file, self._seconds, self._gone = file, seconds, gone
        self._since = seconds()
        self._colours = file.isatty()
        self.broken = False

    def elapsed(self) -> float:
        """Return the seconds since the beginning."""
        return self._seconds() - self._since

    def tell(self, who: str, what: str, delay: float | None = None) -> None:
        """Print one line: when, who, what, and how long it took in seconds."""
        took = "" if delay is None else milliseconds(delay)
        name = self._paint(COLOURS.get(who.split()[0], 0), f"{who:<15}")
        when = self._paint(2, f"{self.elapsed():7.2f} s")
        self.say(f"{when}  {name}  {what:<43} {took:>8}".rstrip())

    def head(self, text: str) -> None:
        """Print a heading."""
        self.say(f"\n{self._paint(1, text)}")

    def say(self, text: str = "") -> None:
        """Print text as it is."""
        if self.broken:
            return
        try:
            print(text, file=self._file, flush=True)
        except BrokenPipeError:
            self.broken = True
            self._gone()

    def _paint(self, code: int, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours and code else text


def milliseconds(seconds: float) -> str:
    """Return a length of time as the demonstration tells it."""
    return f"{seconds * 1_000:.1f} ms"
