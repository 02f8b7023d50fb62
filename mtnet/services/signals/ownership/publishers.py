"""
Publishers of channels and symbols: holders, owners, and frames to judge again.

A publisher of dialect 2 holds a channel as a whole. Each classic publisher owns the symbols that
it set, and the newest takes a symbol over: two masters that both live would otherwise move every
follower's position back and forth. No Twisted, no clock: `when` is monotonic seconds.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

from mtnet.callbacks import noop
from mtnet.errors import WireError
from mtnet.services.signals.ownership.expected import STAYS, ExpectedProviders
from mtnet.services.signals.reports.registry import Reported

BEFORE = -1
"""The number of publishers of before the start; others count from 1."""
LINGER = 600.0
"""Seconds for which a publisher of dialect 2 that is gone without BYE holds its channel against
classic frames: a restarted terminal is back by then."""
HELD = 86_400.0
"""Seconds for which a publisher by HTTP holds its channel after its last request: a shop, or a
strategy on daily bars, is silent for hours."""
KEPT = 60.0
"""Seconds for which the symbols of a classic publisher are reserved for its address after it was
closed to make it resend its state: classic programs reconnect within that."""

REFUSED = 1_000
"""Symbols of a classic publisher whose refused frames are kept; it sends its whole state
again anyway when the reason of one of them ends."""


class Connection(Protocol):
    """Status of the connection of a participant; times are seconds of the clock."""

    @property
    def client(self) -> str:
        """Its program and version, in its words."""

    @property
    def heard(self) -> float | None:
        """When the last sign of life came; None = it need not give any."""

    @property
    def stalled(self) -> float | None:
        """Since when it has taken no byte; None = nothing waits."""

    @property
    def untaken(self) -> int | None:
        """Bytes that its machine has not taken; None = unknown."""

    @property
    def reported(self) -> Reported | None:
        """Its last REPORT; None = it has sent none."""


class Producer(Protocol):
    """Push producer that is paused while the disk is behind."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class _Endless:
    """Producer that has nothing to pause."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class SymbolKey(NamedTuple):
    """A symbol of a channel."""

    channel: str
    symbol: str


class PublisherId(NamedTuple):
    """
    A publisher of dialect 2 or by HTTP, as it is known again after a restart.

    Attributes:
        http: it has no connection, and holds its channel between its requests.
        program: by HTTP `name` is drawn at each start; this one is not. Empty = it has none.
    """

    login: str
    name: str
    http: bool = False
    program: str = ""

    def succeeds(self, other: "PublisherId") -> bool:
        """Return whether it is another run of the same program of the same login."""
        same = (self.login, self.program) == (other.login, other.program)
        return same and bool(self.program)

    @property
    def shown(self) -> str:
        """Login and name, for people."""
        return "/".join(filter(None, self[:2]))

    @property
    def known(self) -> bool:
        """Whether it says who it is; by HTTP the drawn name does not."""
        return bool(self.login or self.program or (self.name and not self.http))

    @property
    def lingers(self) -> float:
        """Seconds for which it holds its channel once it is gone without BYE."""
        return HELD if self.http else LINGER


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
"""Every publisher without login and name."""


class Publisher:
    """
    One connection that sets positions.

    Attributes:
        name: who it is, for the log.
        number: rises with each publisher; the newest takes over.
        producer: what is paused while the disk is behind.
        refuse: called with the reason when a classic frame is not stored.
        fence: called with the channel that a newer publisher has taken over.
        close: called with the reason; a classic publisher reconnects and sends its state.
        who: login and name, of dialect 2.
        address: where it comes from.
        last: the count of the last draft taken from it.
        fenced: channels that a newer publisher of dialect 2 took from it.
        refused: its refused classic frames, to be judged again.
        ending: it is about to be closed, and comes back.
        lingers: until when it holds its channels though it is gone; 0 = it does not.
        connection: for the status; None = nothing is known of it.
    """

    def __init__(
        self,
        name: str,
        number: int,
        producer: Producer | None = None,
        refuse: Callable[[WireError], object] = noop,
        fence: Callable[[str], object] = noop,
        close: Callable[[str], object] = noop,
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
        self.connection: Connection | None = None

    @property
    def shown(self) -> str:
        """Login and name, else the address, for people; empty = it is of before the start."""
        return self.who.shown or ("" if self.number == BEFORE else self.name)

    @property
    def left(self) -> bool:
        """Whether it has said BYE."""
        return self.gone and not self.lingers


class Attendance:
    """
    The publishers of one channel.

    Attributes:
        present: those that set it now, each with when it came, in milliseconds.
        fenced: those that are there, and from which a newer one took it.
        last: the one that came last; it may be gone.
        since: milliseconds since the Unix epoch at which the first came, or the last went.
    """

    __slots__ = ("fenced", "last", "present", "since")

    def __init__(self, since: int) -> None:
        self.present: dict[Publisher, int] = {}
        self.fenced: dict[Publisher, None] = {}
        self.last: Publisher | None = None
        self.since = since


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
        presence_changes: changes that followers are not sent yet; the sender empties it.
        holders: by channel, the publisher of dialect 2 that holds it; it may be gone for a while.
        live: how many publishers there are.
        held: by channel, who holds it; another mapping whenever that changes.
        expected: the provider that each channel is expected to have.
        fenced: called with a channel, the publisher that has lost it, and who took it.
        presence_deferred: presence changes are sent later, after the entries that led to them.
        may_retry: whether a reason of a refusal may have ended since `pop_retryable`.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.fenced: Callable[[str, Publisher, Publisher], object] = noop
        self._last = self.live = 0
        self.holders: dict[str, Publisher] = {}
        self.held: Mapping[str, PublisherId] = {}
        self.expected = ExpectedProviders()
        self._lingering: dict[str, float] = {}
        self._owners: dict[SymbolKey, Publisher] = {}
        self._kept: dict[SymbolKey, tuple[str, float]] = {}
        self._attendance: dict[str, Attendance] = {}
        self._began = now()
        self._with_refusals: dict[Publisher, None] = {}
        self.presence_changes: list[PresenceChange] = []
        self.may_retry = self.presence_deferred = False

    def join(
        self,
        name: str,
        producer: Producer | None = None,
        refuse: Callable[[WireError], object] = noop,
        fence: Callable[[str], object] = noop,
        close: Callable[[str], object] = noop,
        who: PublisherId = UNIDENTIFIED,
        address: str = "",
    ) -> Publisher:
        """
        Return a new publisher, newer than all before it.

        Args:
            producer: what is paused while the disk is behind; None = it waits for its answer.
            refuse: called with the reason when a classic frame is not stored.
            fence: called with the channel that a newer publisher has taken over.
            close: called with the reason when the connection is to be closed.
            who: login and name, of dialect 2 or by HTTP.
            address: where it comes from.
        """
        self._last += 1
        self.live += 1
        return Publisher(name, self._last, producer, refuse, fence, close, who, address)

    def restore(self, held: Mapping[str, PublisherId], when: float) -> None:
        """Restore the holders from before a restart, as publishers gone without BYE."""
        for channel, who in held.items():
            former = Publisher("a publisher of before the start", BEFORE, who=who)
            former.gone, former.lingers = True, when + who.lingers
            self._hold(channel, former)
            if who.known:
                self.expected.note(channel, former.shown)
        self.held = held

    def leave(self, publisher: Publisher, when: float, bye: bool) -> None:
        """
        Remove a publisher that is gone; its positions stay.

        Args:
            bye: whether it sent BYE; else its channels are reserved for a while.
        """
        if publisher.gone:
            return
        publisher.gone = True
        publisher.lingers = 0.0 if bye else when + publisher.who.lingers
        self.live -= 1
        self._with_refusals.pop(publisher, None)
        for channel in [name for name, each in self.holders.items() if each is publisher]:
            self._hold(channel, publisher)
        for key in [key for key, owner in self._owners.items() if owner is publisher]:
            del self._owners[key]
            if publisher.ending:
                self._kept[key] = publisher.address, when + KEPT
        for channel, attendance in self._attendance.items():
            attendance.fenced.pop(publisher, None)
            self._part(channel, publisher)

    # Rights

    def is_taken(self, publisher: Publisher, key: SymbolKey, when: float) -> bool:
        """Return whether a symbol belongs to a newer classic publisher, or is reserved for one."""
        owner, kept = self._owners.get(key), self._kept.get(key)
        if owner is not None and owner.ending:
            return owner.address != publisher.address
        if owner is not None:
            return owner.number > publisher.number
        return kept is not None and kept[1] > when and kept[0] != publisher.address

    # What was stored

    def claim(self, publisher: Publisher, key: SymbolKey) -> None:
        """Note the owner of a symbol: its classic frame is stored, or repeats what is stored."""
        known = self._owners.get(key) is publisher and key not in self._kept
        if known and not publisher.refused and publisher in self._attendance[key.channel].present:
            return
        publisher.refused.pop(key, None)
        kept, owner = self._kept.pop(key, None), self._owners.get(key)
        self.may_retry = self.may_retry or kept is not None or owner is not publisher
        if not publisher.gone and (owner is None or owner.number <= publisher.number):
            self._owners[key] = publisher
        self._join(key.channel, publisher)

    def take(self, publisher: Publisher, channel: str) -> None:
        """
        A publisher of dialect 2 takes a channel; the one before is fenced, even by one who is
        gone by now: the disk's delay decides nothing.
        """
        before = self.holders.get(channel)
        if before is publisher and publisher in self._attendance[channel].present:
            return
        self._hold(channel, publisher)
        self._join(channel, publisher)
        if before is not None and before is not publisher:
            before.fenced.add(channel)
            self._part(channel, before)
            if not before.gone:
                self._attendance[channel].fenced[before] = None
            if before.number != BEFORE and not (before.gone and before.who == publisher.who):
                self.fenced(channel, before, publisher)
            before.fence(channel)

    def resume(self, publisher: Publisher, channel: str) -> None:
        """Let a publisher go on that held a channel before it was gone, or the daemon stopped."""
        holder = self.holders.get(channel)
        if holder is not None and holder.gone and holder.who == publisher.who:
            self.take(publisher, channel)

    def _hold(self, channel: str, publisher: Publisher) -> None:
        self.holders[channel] = publisher
        self._lingering.pop(channel, None)
        if publisher.lingers:
            self._lingering[channel] = publisher.lingers
        elif publisher.gone:
            del self.holders[channel]
            self.may_retry = True
        self._update_held(channel)

    def _update_held(self, channel: str) -> None:
        holder = self.holders.get(channel)
        who = None if holder is None else holder.who
        if self.held.get(channel) != who:
            held = {name: each for name, each in self.held.items() if name != channel}
            self.held = held if who is None else {**held, channel: who}

    # What was refused

    def note_refused(
        self, publisher: Publisher, key: SymbolKey, volume: Decimal | None, until: str
    ) -> None:
        """
        Keep a classic frame that was refused for a temporary reason.

        Args:
            volume: None = a later frame of the symbol has come already.
        """
        room = len(publisher.refused) < REFUSED or key in publisher.refused
        if until and room and not publisher.gone:
            publisher.refused[key] = Refusal(volume, until)
            self._with_refusals[publisher] = None
            self.may_retry = True

    def note_newer_frame(self, publisher: Publisher, key: SymbolKey) -> None:
        """Note a newer frame of a symbol: the refused one is not judged again."""
        former = publisher.refused.get(key)
        if former is not None:
            publisher.refused[key] = former._replace(volume=None)

    def pop_retryable(
        self, paused: Mapping[str, str], when: float
    ) -> Iterator[tuple[Publisher, dict[SymbolKey, Decimal]]]:
        """
        Yield publishers whose reason of refusal has ended, once, with the frames to judge again.

        Args:
            paused: the mode of each channel that is paused.
        """
        self.may_retry = False
        for publisher in list(self._with_refusals):
            ended = {
                key: each.volume
                for key, each in publisher.refused.items()
                if not self._reason_holds(each.until, publisher, key, paused, when)
            }
            if ended:
                del self._with_refusals[publisher]
                publisher.refused, publisher.ending = {}, True
                yield publisher, {k: v for k, v in ended.items() if v is not None}

    def _reason_holds(
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

    def expire(self, when: float) -> None:
        """Release the reservations of publishers that did not reconnect in time."""
        for channel in [name for name, until in self._lingering.items() if until <= when]:
            del self._lingering[channel], self.holders[channel]
            self._update_held(channel)
        for key in [key for key, (_, until) in self._kept.items() if until <= when]:
            del self._kept[key]

    def next_expiry(self) -> float | None:
        """Return the time of the next expiry; None = there are no reservations."""
        times = [*self._lingering.values(), *(until for _, until in self._kept.values())]
        return min(times, default=None)

    # Presence

    def status(self, channel: str) -> tuple[bool, int]:
        """Return whether a channel has a publisher, and since when, in milliseconds."""
        found = self._attendance.get(channel)
        return (False, self._began) if found is None else (bool(found.present), found.since)

    def names(self, channel: str) -> list[str]:
        """Name the publishers of a channel."""
        found = self._attendance.get(channel)
        return [] if found is None else [publisher.shown for publisher in found.present]

    def present(self) -> dict[str, str]:
        """Return who came last of those who set a channel now, by channel."""
        return {
            channel: next(reversed(found.present)).shown
            for channel, found in self._attendance.items()
            if found.present
        }

    def sets(self, who: str, channel: str = "") -> bool:
        """Return whether somebody of that login and name sets a channel now; empty = any."""
        return any(
            who == each.shown
            for name, found in self._attendance.items()
            for each in found.present
            if channel in ("", name)
        )

    def forget_missed(self, who: str, channel: str = "") -> list[dict[str, Any]]:
        """
        Expect a provider no more that is gone; return rows of `channel`, `who` and `since`.

        Args:
            who: a login, for all of its names, or login and name: `alice/desk`.
            channel: empty = every channel.
        """
        absent = [name for name in self.expected if not self.status(name)[0]]
        found = self.expected.forget(who, [name for name in absent if channel in ("", name)])
        return [
            {"channel": name, "who": shown, "since": self.status(name)[1]} for name, shown in found
        ]

    def attendance(self, channel: str) -> Attendance:
        """Return the publishers of a channel; who held it before the start counts as the last."""
        found = self._attendance.get(channel) or Attendance(self._began)
        found.last = found.last or self.holders.get(channel)
        return found

    def _join(self, channel: str, publisher: Publisher) -> None:
        found = self._attendance.setdefault(channel, Attendance(self._began))
        if publisher in found.present:
            return
        if publisher.who.known:
            self.expected.note(channel, publisher.shown, publisher.left)
        if publisher.gone:
            return
        found.fenced.pop(publisher, None)
        found.present[publisher] = self._now()
        found.last = publisher
        if len(found.present) == 1:
            self._note_presence(channel, True)

    def _part(self, channel: str, publisher: Publisher) -> None:
        found = self._attendance.get(channel)
        came = None if found is None else found.present.pop(publisher, None)
        if found is None or came is None:
            return
        if publisher.gone and (publisher.who.known or self._now() - came >= STAYS):
            self.expected.note(channel, publisher.shown, publisher.left)
        if not found.present:
            self._note_presence(channel, False)

    def _note_presence(self, channel: str, up: bool) -> None:
        self.expected.note_change()
        since = self._attendance[channel].since = self._now()
        self.presence_changes.append(PresenceChange(channel, up, since))
