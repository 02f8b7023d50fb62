"""One connection that is told ticks."""

from mtnet.net.output.buffer import Outbox
from mtnet.net.peer import Visitor
from mtnet.services.ticks.feed import BUDGET, Conflation

TICKS = "ticks"
"""What rights call the things of this service."""


class ConflatingSubscriber:
    """Tells one connection the ticks that it asked for."""

    def __init__(self, outbox: Outbox, visitor: Visitor) -> None:
        self._outbox, self._visitor = outbox, visitor
        self._behind = Conflation()
        self._lines: list[bytes] = []
        self._size = 0

    def on_tick(self, symbol: bytes, line: bytes, rest: bytes, when: int) -> None:
        """Take a tick; it waits when the peer is behind."""
        rights = self._visitor.rights
        if not (rights.all("read", TICKS) or rights.may("read", TICKS, symbol.decode())):
            return
        if self._outbox.ready and not self._behind and self._size < BUDGET:
            self._lines.append(line)
            self._size += len(line)
        else:
            self._behind.offer(symbol, rest, when)

    def flush(self) -> None:
        """Write what was taken."""
        if self._lines:
            self._outbox.write(b"".join(self._lines))
            self._lines, self._size = [], 0
        while self._behind and self._outbox.ready:
            self._outbox.write(self._behind.take(BUDGET))
