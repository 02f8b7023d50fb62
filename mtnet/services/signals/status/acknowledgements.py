"""
History of the acknowledgements of one follower: refusals, latencies, fills and slippage.

Pure: methods take `when`, in milliseconds since the Unix epoch, UTC.
"""

from collections import defaultdict
from decimal import Decimal

from msgspec import Raw

from mtnet.services.signals.model import Entry
from mtnet.services.signals.status.fills import ChannelFills
from mtnet.services.signals.status.latency import LatencyWindow, Percentiles
from mtnet.services.signals.status.slippage import SlippageTable
from mtnet.services.signals.wire.requests import Ack

WINDOW = 3_600_000
"""Milliseconds in which refused acknowledgements are counted together."""


class AckHistory:
    """
    History of the acknowledgements of one follower.

    Args:
        fills: those of its channel, which all of its followers share; None = nobody shows them.

    Attributes:
        slippage: None = no price was compared yet.
    """

    __slots__ = ("_fills", "_last", "_latencies", "_refusals", "slippage")

    def __init__(self, fills: ChannelFills | None) -> None:
        self._fills = fills
        self._refusals = (0, 0)
        self._last: tuple[int, str | None] = (0, None)
        self._latencies: LatencyWindow | None = None
        self.slippage: SlippageTable | None = None

    def inherit(self, former: "AckHistory") -> None:
        """Go on from what is known of a former connection; its network was another one, perhaps."""
        self._refusals, self.slippage = former._refusals, former.slippage

    def note(
        self,
        ack: Ack,
        entry: Entry,
        who: str,
        since: int,
        when: int,
        before: Decimal | None = None,
    ) -> None:
        """
        Take an ACK of an entry.

        Args:
            since: when the follower came: what it missed before says nothing of its speed.
            before: lots of the symbol that it held; None = it has not said.
        """
        if ack.status == "failed":
            count, begun = self._refusals
            self._refusals = (count + 1, begun) if when - begun < WINDOW else (1, when)
        said, (last, status) = (ack.seq, ack.status), self._last
        if ack.status == "released" or said == (last, status):
            return
        self._last = said
        if self._fills is not None:
            self._fills.note(entry, ack, who, when)
        if ack.status == "filled" and ack.price is not None:
            self.slippage = self.slippage or SlippageTable()
            self.slippage.note(entry, ack, before)
        if ack.seq > last and entry.when >= since:
            self._latencies = self._latencies or LatencyWindow()
            self._latencies.add(when - entry.when)

    def leave(self) -> None:
        """Forget how fast it was: the next connection shows that anew."""
        self._latencies = None

    def refusals(self, when: int) -> int:
        """Return how many entries it could not carry out, within `WINDOW`."""
        count, since = self._refusals
        return count if when - since < WINDOW else 0

    @property
    def latency(self) -> Percentiles | None:
        """Percentiles of its latencies; None = there was none since it came."""
        return None if self._latencies is None else self._latencies.percentiles


class FillTables:
    """The fills of each channel that anybody has followed since the start."""

    def __init__(self) -> None:
        self._fills = defaultdict[str, ChannelFills](ChannelFills)

    def begin(self, channel: str) -> ChannelFills:
        """Return the fills of a channel for a new follower."""
        return self._fills[channel]

    def of(self, channel: str) -> list[Raw]:
        """Return what became of the last signals of a channel, as JSON, by their numbers."""
        found = self._fills.get(channel)
        return [] if found is None else found.encoded()
