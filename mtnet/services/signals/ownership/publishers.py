"""
Publishers of channels and symbols: holders, owners, and frames to judge again.

A publisher of dialect 2 holds a channel as a whole. Each classic publisher owns the symbols that
it set, and the newest takes a symbol over: two masters that both live would otherwise turn every
follower's position to and fro. No Twisted, no clock: `when` is monotonic seconds.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple, Protocol

from mtnet.errors import WireError

BEFORE = -1
"""The number of publishers of before the start; others count from 1."""
LINGER = 600.0
"""Seconds for which a publisher of dialect 2 that is gone without BYE holds its channel against
classic frames: a terminal that is started anew is back by then."""
KEPT = 60.0
"""Seconds for which the symbols of a classic publisher are kept for its address that was closed
so that it sends its state anew: classic programs come back within that."""

REFUSED = 1_000
"""Symbols of a classic publisher whose refused frames are kept; it sends its whole state anew
anyhow when the reason of one of them ends."""


class Producer(Protocol):
    """Push producer that is paused while the disk is behind."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class _Endless:
    """Is asked to pause, and sends nothing anyhow."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class SymbolKey(NamedTuple):
    """A symbol of a channel."""

    channel: str
    symbol: str


class PublisherId(NamedTuple):
    """A publisher of dialect 2, as it is known again after a restart."""

    login: str
    name: str


class Refusal(NamedTuple):
    """
    The last frame of a symbol that was refused.

    Attributes:
        volume: None = a later frame of the symbol has come.
        until: the reason, see `PolicyError`.
    """

    volume: Decimal | None
    until: str


UNIDENTIFIED = PublisherId("", "")
"""All who gave neither login nor name."""


class Publisher:
    """
    One connection that sets positions.

    Attributes:
        name: who it is, for the log.
        number: rises with each publisher; the newest takes over.
        producer: what is paused while the disk is behind.
        refuse: is told what became of a classic frame that is not stored.
        fence: is told the channel in which a newer publisher has taken over.
        close: is told why the connection is closed, which a classic one answers with its state.
        who: login and name, of dialect 2.
        address: where it comes from.
        last: the count of the last draft taken from it.
        fenced: channels that a newer publisher of dialect 2 took from it.
        refused: the classic frames that it is owed a hearing for.
        ending: it is about to be closed, and comes back.
        lingers: until when it holds its channels though it is gone; 0 = it does not.
    """

    def __init__(
        self,
        name: str,
        number: int,
        producer: Producer | None = None,
        refuse: Callable[[WireError], object] = lambda error: None,
        fence: Callable[[str], object] = lambda channel: None,
        close: Callable[[str], object] = lambda why: None,
        who: PublisherId = UNIDENTIFIED,
        address: str = "",
    ) -> None:
        self.name, self.number, self.producer = name, number, producer or _Endless()
        self.refuse, self.fence, self.close = refuse, fence, close
        self.who, self.address = who, address
        self.last = 0
        self.fenced: set[str] = set()
        self.refused: dict[SymbolKey, Refusal] = {}
        self.gone = self.ending = False
        self.lingers = 0.0


class PresenceChange(NamedTuple):
    """A channel has its first publisher, or has lost its last; `since` is milliseconds."""

    channel: str
    up: bool
    since: int


class Ownership:
    """
    Args:
        now: milliseconds since the Unix epoch, UTC.

    Attributes:
        turns: what followers are to be told; whoever tells them empties it.
        holders: by channel, the publisher of dialect 2 that holds it; it may be gone for a while.
        live: how many publishers there are.
        held: by channel, who holds it; another mapping whenever that changes.
        quiet: whether the turns are told later, behind the entries that led to them.
        moved: whether what was stored or refused since the last `settle` may have ended a reason.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._last = self.live = 0
        self.holders: dict[str, Publisher] = {}
        self.held: Mapping[str, PublisherId] = {}
        self._lingering: dict[str, float] = {}
        self._owners: dict[SymbolKey, Publisher] = {}
        self._kept: dict[SymbolKey, tuple[str, float]] = {}
        self._present: dict[str, dict[Publisher, None]] = {}
        self._since: dict[str, int] = {}
        self._began = now()
        self._owed: dict[Publisher, None] = {}
        self.turns: list[PresenceChange] = []
        self.moved = self.quiet = False

    def join(self, make: Callable[[int], Publisher]) -> Publisher:
        """Return a new publisher, newer than all before it; `make` is given its number."""
        self._last += 1
        self.live += 1
        return make(self._last)

    def restore(self, held: Mapping[str, PublisherId], when: float) -> None:
        """Take up who held which channel when the daemon ended: they are gone without BYE."""
        for channel, who in held.items():
            former = Publisher("a publisher of before the start", BEFORE, who=who)
            former.gone, former.lingers = True, when + LINGER
            self._hold(channel, former)
        self.held = held

    def leave(self, publisher: Publisher, when: float, bye: bool) -> None:
        """
        Forget one that is gone; its positions stay.

        Args:
            bye: whether it said so; else its channels are held for a while.
        """
        if publisher.gone:
            return
        publisher.gone, publisher.lingers = True, 0.0 if bye else when + LINGER
        self.live -= 1
        self._owed.pop(publisher, None)
        for channel in [name for name, each in self.holders.items() if each is publisher]:
            self._hold(channel, publisher)
        for key in [key for key, owner in self._owners.items() if owner is publisher]:
            del self._owners[key]
            if publisher.ending:
                self._kept[key] = publisher.address, when + KEPT
        for channel in self._present:
            self._part(channel, publisher)

    # Who may

    def is_taken(self, publisher: Publisher, key: SymbolKey, when: float) -> bool:
        """Say whether a symbol is a newer classic publisher's, or kept for one."""
        owner, kept = self._owners.get(key), self._kept.get(key)
        if owner is not None and owner.ending:
            return owner.address != publisher.address
        if owner is not None:
            return owner.number > publisher.number
        return kept is not None and kept[1] > when and kept[0] != publisher.address

    # What was stored

    def claim(self, publisher: Publisher, key: SymbolKey) -> None:
        """A frame of a classic publisher is stored, or says what is stored already."""
        known = self._owners.get(key) is publisher and key not in self._kept
        if known and not publisher.refused and publisher in self._present[key.channel]:
            return
        publisher.refused.pop(key, None)
        kept, owner = self._kept.pop(key, None), self._owners.get(key)
        self.moved = self.moved or kept is not None or owner is not publisher
        if not publisher.gone and (owner is None or owner.number <= publisher.number):
            self._owners[key] = publisher
        self._join(key.channel, publisher)

    def take(self, publisher: Publisher, channel: str) -> None:
        """
        A publisher of dialect 2 takes a channel; the one before is fenced, even by one who is
        gone by now: the disk's delay decides nothing.
        """
        before = self.holders.get(channel)
        if before is publisher and not publisher.gone and publisher in self._present[channel]:
            return
        self._hold(channel, publisher)
        self._join(channel, publisher)
        if before is not None and before is not publisher:
            before.fenced.add(channel)
            self._part(channel, before)
            before.fence(channel)

    def _hold(self, channel: str, publisher: Publisher) -> None:
        self.holders[channel] = publisher
        self._lingering.pop(channel, None)
        if publisher.lingers:
            self._lingering[channel] = publisher.lingers
        elif publisher.gone:
            del self.holders[channel]
            self.moved = True
        self._note(channel)

    def _note(self, channel: str) -> None:
        holder = self.holders.get(channel)
        who = None if holder is None else holder.who
        if self.held.get(channel) != who:
            held = {name: each for name, each in self.held.items() if name != channel}
            self.held = held if who is None else {**held, channel: who}

    # What was refused

    def owe(self, publisher: Publisher, key: SymbolKey, volume: Decimal | None, until: str) -> None:
        """
        A classic frame was refused for a reason that ends some day.

        Args:
            volume: None = a later frame of the symbol has come already.
        """
        room = len(publisher.refused) < REFUSED or key in publisher.refused
        if until and room and not publisher.gone:
            publisher.refused[key] = Refusal(volume, until)
            self._owed[publisher] = None
            self.moved = True

    def hear(self, publisher: Publisher, key: SymbolKey) -> None:
        """A later frame of a symbol has come."""
        former = publisher.refused.get(key)
        if former is not None:
            publisher.refused[key] = former._replace(volume=None)

    def settle(
        self, paused: Mapping[str, str], when: float
    ) -> Iterator[tuple[Publisher, dict[SymbolKey, Decimal]]]:
        """
        Yield those whose reason has ended, each once, with the frames to judge again.

        Args:
            paused: the mode of each channel that is paused.
        """
        self.moved = False
        for publisher in list(self._owed):
            ended = {
                key: each.volume
                for key, each in publisher.refused.items()
                if not self._stands(each.until, publisher, key, paused, when)
            }
            if ended:
                del self._owed[publisher]
                publisher.refused, publisher.ending = {}, True
                yield publisher, {k: v for k, v in ended.items() if v is not None}

    def _stands(
        self,
        until: str,
        publisher: Publisher,
        key: SymbolKey,
        paused: Mapping[str, str],
        when: float,
    ) -> bool:
        mode = paused.get(key.channel)
        if until == "holder":
            return key.channel in self.holders
        if until == "owner":
            return self.is_taken(publisher, key, when)
        return mode == until or (mode is not None and until == "close_only")

    # Time

    def lapse(self, when: float) -> None:
        """Let go what was held for those who have not come back."""
        for channel in [name for name, until in self._lingering.items() if until <= when]:
            del self._lingering[channel], self.holders[channel]
            self._note(channel)
        for key in [key for key, (_, until) in self._kept.items() if until <= when]:
            del self._kept[key]

    @property
    def waits(self) -> bool:
        """Whether anything is held for those who have not come back."""
        return bool(self._lingering or self._kept)

    def next_lapse(self) -> float | None:
        """Return when there is something to let go."""
        times = [*self._lingering.values(), *(until for _, until in self._kept.values())]
        return min(times, default=None)

    # Who is there

    def status(self, channel: str) -> tuple[bool, int]:
        """Say whether a channel has a publisher, and since when, in milliseconds."""
        return bool(self._present.get(channel)), self._since.get(channel, self._began)

    def names(self, channel: str) -> list[str]:
        """Name the publishers of a channel."""
        return [publisher.name for publisher in self._present.get(channel, ())]

    def _join(self, channel: str, publisher: Publisher) -> None:
        present = self._present.setdefault(channel, {})
        if publisher.gone or publisher in present:
            return
        present[publisher] = None
        if len(present) == 1:
            self._turn(channel, True)

    def _part(self, channel: str, publisher: Publisher) -> None:
        present = self._present.get(channel, {})
        if publisher in present:
            del present[publisher]
            if not present:
                self._turn(channel, False)

    def _turn(self, channel: str, up: bool) -> None:
        self._since[channel] = self._now()
        self.turns.append(PresenceChange(channel, up, self._since[channel]))
