"""
Queue of the sums for a classic program, which reads once a second and acts on the last frame.

Pure: `when` is seconds of one monotonic clock.
"""


class SumQueue:
    """
    Symbols whose sums are sent one at a time, the one that waits for longest first.

    Args:
        pace: seconds between two frames; 0 = none.
        repeat: seconds of silence after which every sum is sent again; 0 = never.

    Attributes:
        symbols: that the program has named.
        next_frame: before this time nothing is sent.
    """

    __slots__ = ("_pace", "_repeat", "_waiting", "next_frame", "symbols")

    def __init__(self, pace: float, repeat: float, when: float) -> None:
        self._pace, self._repeat = pace, repeat
        self.symbols: dict[str, None] = {}
        self._waiting: dict[str, None] = {}
        self.next_frame = when

    def offer(self, symbol: str) -> None:
        """Send the sum of a symbol, as it is when its turn has come."""
        self.symbols[symbol] = None
        self._waiting[symbol] = None

    def take(self, when: float) -> str | None:
        """Return the symbol whose sum is sent at `when`; None = nothing is due."""
        due = self.due()
        if due is None or when < due:
            return None
        if not self._waiting:
            self._waiting.update(self.symbols)
        symbol = next(iter(self._waiting))
        del self._waiting[symbol]
        self.next_frame = when + self._pace
        return symbol

    def due(self) -> float | None:
        """Return the earliest time at which `take` has a symbol; None = at no time."""
        if self._waiting:
            return self.next_frame
        if not self.symbols or not self._repeat:
            return None
        return self.next_frame - self._pace + max(self._repeat, self._pace)
