"""
Registry of the followers of every channel, those that went offline included.

Pure: methods take `when`, in milliseconds since the Unix epoch, UTC. What a follower acknowledges
is noted as it comes; nothing is done when it is sent something.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar, Protocol, TypeAlias

from msgspec import Struct

from mtnet.callbacks import noop
from mtnet.services.signals.model import Entry
from mtnet.services.signals.ownership.publishers import Connection
from mtnet.services.signals.ownership.transitions import POSITION
from mtnet.services.signals.reports.registry import TerminalKey
from mtnet.services.signals.status.acknowledgements import AckHistory, FillTables
from mtnet.services.signals.status.copies import Copies, copies_after, copies_of_state
from mtnet.services.signals.status.facts import Copy, Key
from mtnet.services.signals.wire.requests import Ack

MAX_OFFLINE = 10_000
"""Followers that are remembered while they are offline, of about 300 bytes; the one that has been
offline longest is forgotten."""
MAX_OFFLINE_OF_LOGIN = 1_000
"""Those of one login. A program that draws a new name at each start must not push out others."""
MAX_HELD = 500
"""Symbols of which is remembered what one follower holds; the one that it named longest ago is
forgotten. A provider can name new symbols all day."""
NOBODY = TerminalKey("", "")
"""The key of all that gave neither login nor name."""

NONE: Mapping[Any, Any] = {}
"""Nothing, for all who hold none and have copied none."""

Place: TypeAlias = tuple[str, TerminalKey]
"""A channel, and the key of one who follows it."""


class Feed(Protocol):
    """Feed of a follower: the entries that it was sent."""

    @property
    def symbols(self) -> frozenset[str] | None:
        """The filter; None = all."""

    @property
    def position(self) -> int:
        """The entry up to which all was sent, or left out."""

    def pending(self, acked: int) -> int:
        """Return the first entry behind `acked` that it was sent; 0 = there is none."""


class Saved(Struct, frozen=True, gc=False):
    """Record of a follower in a file."""

    channel: str
    login: str
    name: str
    epoch: str
    sent: int
    acked: int
    acknowledges: bool
    since: int
    left: bool
    connected: bool
    held: Mapping[str, str] = {}
    copies: tuple[tuple[Key, Copy], ...] = ()


class Follower:
    """
    A follower of one channel.

    Args:
        registry: has the fills of its channel, and counts what is to be stored; None = nobody.

    Attributes:
        key: login and name; empty ones = it gave none.
        who: these, else its address, for people.
        since: when it came, or went.
        left: whether it said BYE.
        connection: None = it is offline.
        feed: None = a classic one, whose changes replace each other.
        epoch: of the journal that the numbers are about.
        acked: the last entry that it acknowledged, or had before.
        acked_at: when; 0 = it has acknowledged nothing.
        acks: what is known of its acknowledgements; None = there was none.
        sent: the last entry that it was sent before it went.
        held: lots by symbol, as it said; another object once they change.
        copies: those that are not simply right; likewise.
    """

    __slots__ = (
        "_registry", "acked", "acked_at", "acks", "channel", "connection", "copies", "epoch",
        "feed", "held", "key", "left", "sent", "since", "who",
    )  # fmt: skip

    observes: ClassVar[bool] = False

    def __init__(
        self,
        channel: str,
        key: TerminalKey,
        who: str,
        when: int,
        registry: "Followers | None" = None,
    ) -> None:
        self.channel, self.key, self.who, self.since = channel, key, who, when
        self._registry = registry
        self.acks: AckHistory | None = None
        self.left = False
        self.connection: Connection | None = None
        self.feed: Feed | None = None
        self.epoch = ""
        self.acked = self.acked_at = self.sent = 0
        self.held: Mapping[str, str] | None = None
        self.copies: Copies | None = None

    def inherit(self, former: "Follower") -> None:
        """Go on from what is known of a former connection of the same follower."""
        self.epoch, self.acked, self.acked_at = former.epoch, former.acked, former.acked_at
        self.held, self.copies = former.held, former.copies
        self.key, self.who = former.key, former.who  # they are equal: one object for all
        if former.acks is not None:
            self._history().inherit(former.acks)

    def begin(self, epoch: str, seq: int) -> None:
        """Note that it has all up to an entry, as it says."""
        if epoch != self.epoch:
            self.epoch, self.acked, self.copies = epoch, 0, None
        self.acked = max(self.acked, seq)

    def begin_whole(self, epoch: str, seq: int, held: Collection[Entry]) -> None:
        """
        Note that it was sent the whole state, as of an entry.

        Args:
            held: the positions of the state.
        """
        self.copies = copies_of_state(self.copies if epoch == self.epoch else None, held)
        # It may have acknowledged more, before the history went back.
        self.epoch, self.acked = epoch, seq

    def acknowledge(self, ack: Ack, entry: Entry | None, net: Decimal | None, when: int) -> None:
        """
        Note an ACK.

        Args:
            entry: the entry that it is about; None = it is forgotten.
            net: the net position of its symbol.
        """
        self.acked, self.acked_at = max(self.acked, min(ack.seq, _sent(self))), when
        if entry is None:
            return
        volume, before = _lots_of(ack, entry), (self.held or {}).get(entry.symbol)
        if volume is not None:
            held = dict(self.held or {})
            held.pop(entry.symbol, None)
            held[entry.symbol] = f"{volume:f}"
            if len(held) > MAX_HELD:
                del held[next(iter(held))]
            self.held = held
        lots = None if before is None else Decimal(before)
        self._history().note(ack, entry, self.who, self.since, when, lots)
        copies = copies_after(self.copies, ack, entry, net)
        if copies is not self.copies:
            self._changed()
            self.copies = copies

    def progress(self, seq: int, late: int = 0) -> dict[str, object]:
        """
        Return how far it is, for `mtnet signals status`.

        Args:
            seq: the last entry of its channel.
            late: milliseconds for which it has owed an acknowledgement.
        """
        return {
            "sent": _sent(self),
            "acknowledged": self.acked,
            "behind": seq - self.acked,
            "late": late,
            "held": dict(self.held or {}),
            "failed": self.failed,
        }

    def leave(self, when: int, left: bool) -> None:
        """Note that its connection is gone; `left` = it said BYE."""
        self.sent, self.since, self.left = _sent(self), when, left
        self.connection = self.feed = None
        if self.acks is not None:
            self.acks.leave()

    def refusals(self, when: int) -> int:
        """Return how many entries it could not carry out of late, see `AckHistory`."""
        return 0 if self.acks is None else self.acks.refusals(when)

    @property
    def place(self) -> Place:
        """The channel, login and name, by which it is known when it comes again."""
        return self.channel, self.key

    @property
    def failed(self) -> dict[str, str]:
        """Reasons for which it could not carry out entries, by symbol."""
        copies = (self.copies or {}).items()
        return {key.symbol: copy.reason for key, copy in copies if copy.failed and copy.reason}

    def _history(self) -> AckHistory:
        if self.acks is None:  # most wait long for the first one
            registry = self._registry
            fills = None if registry is None else registry.fills.begin(self.channel)
            self.acks = AckHistory(fills)
        return self.acks

    def _changed(self) -> None:
        if self._registry is not None and self.key != NOBODY:
            self._registry.note_change()


class OfflineFollowers:
    """Bounded table of the followers that are offline, by login; oldest first in each."""

    def __init__(self) -> None:
        self._by_login: dict[str, dict[Place, Follower]] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Follower]:
        for followers in self._by_login.values():
            yield from followers.values()

    def add(self, follower: Follower) -> None:
        """Add one; the oldest of its login, or of all, makes room."""
        self.pop(follower.place)
        own = self._by_login.setdefault(follower.key.login, {})
        own[follower.place] = follower
        self._count += 1
        if len(own) > MAX_OFFLINE_OF_LOGIN:
            self.pop(next(iter(own)))
        elif self._count > MAX_OFFLINE:
            oldest = [next(iter(each.values())) for each in self._by_login.values()]
            self.pop(min(oldest, key=lambda each: each.since).place)

    def pop(self, place: Place) -> Follower | None:
        """Remove and return one; None = it is not there."""
        login = place[1].login
        own = self._by_login.get(login, {})
        found = own.pop(place, None)
        if found is not None:
            self._count -= 1
            if not own:
                del self._by_login[login]
        return found


class Observer(Follower):
    """
    Somebody who shows a channel to people and copies nothing: no registry lists it, and nobody
    misses it when it goes.
    """

    __slots__ = ()
    observes = True

    def __init__(self, channel: str, address: str, when: int) -> None:
        super().__init__(channel, NOBODY, address, when)


class Followers:
    """
    Registry of followers.

    Args:
        keep: milliseconds for which one is remembered that went offline.

    Attributes:
        changes: how often somebody came or went, or a copy became wrong or right; what is stored
            is compared with it.
        changed: called then.
        fills: at which prices the followers of each channel carried its last signals out.
    """

    def __init__(self, keep: int) -> None:
        self._keep, self.changes = keep, 0
        self.fills = FillTables()
        self.changed: Callable[[], object] = noop
        self._connected: dict[Follower, None] = {}
        self._offline = OfflineFollowers()
        self._newest: dict[Place, Follower] = {}  # connected
        self._twins: dict[Place, dict[Follower, None]] = {}  # where several are, the newest last

    def __iter__(self) -> Iterator[Follower]:
        yield from self._connected
        yield from self._offline

    def restore(self, saved: Iterable[Saved], when: int) -> None:
        """Remember those of the last run; who was connected is offline since the start."""
        for each in saved:
            key = TerminalKey(each.login, each.name)
            follower = Follower(each.channel, key, _who(key, ""), each.since, self)
            follower.epoch, follower.sent, follower.acked = each.epoch, each.sent, each.acked
            follower.acked_at = each.since if each.acknowledges else 0
            follower.left, follower.held = each.left, each.held or None
            follower.copies = dict(each.copies) or None
            follower.since = when if each.connected else each.since
            self._offline.add(follower)

    def saved(self) -> list[Saved]:
        """Return what a file keeps."""
        return [
            Saved(
                each.channel,
                *each.key,
                each.epoch,
                _sent(each),
                each.acked,
                bool(each.acked_at),
                each.since,
                each.left,
                each.connection is not None,
                each.held or NONE,
                (*(each.copies or NONE).items(),),
            )
            for each in self
            if each.key != NOBODY
        ]

    def join(
        self,
        channel: str,
        login: str,
        name: str,
        address: str,
        connection: Connection,
        when: int,
    ) -> Follower:
        """
        Add a follower that is connected; one without login and name is forgotten when it goes.
        """
        key = TerminalKey(login, name)
        follower = Follower(channel, key, _who(key, address), when, self)
        follower.connection = connection
        self._connected[follower] = None
        if key != NOBODY:
            self.note_change()
            place = follower.place
            newest = self._newest.get(place)
            former = self._offline.pop(place) or newest
            if former is not None:
                follower.inherit(former)
            self._newest[place] = follower
            if newest is not None:
                self._twins.setdefault(place, {newest: None})[follower] = None
        return follower

    def observer(self, channel: str, address: str, when: int) -> Follower:
        """Return somebody who copies nothing, and is in no list."""
        return Observer(channel, address, when)

    def leave(self, follower: Follower, when: int, left: bool = False) -> None:
        """
        Take note that the connection of a follower is gone.

        Args:
            left: whether it said BYE.
        """
        if self._part(follower):
            return
        follower.leave(when, left)
        self._offline.add(follower)

    def forget(self, follower: Follower) -> None:
        """Remove a follower that unsubscribes."""
        self._part(follower)

    def forget_offline(self, who: str, channel: str = "") -> list[Follower]:
        """
        Forget followers that are offline, and return them.

        Args:
            who: a login, for all of its names, or login and name: `bob/desk`.
            channel: empty = every channel.
        """
        found = [
            each
            for each in self._offline
            if who in (each.who, each.key.login) and channel in ("", each.channel)
        ]
        for each in found:
            self._offline.pop(each.place)
        if found:
            self.note_change()
        return found

    def is_connected(self, who: str, channel: str = "") -> bool:
        """Return whether a follower is connected, in one channel or in any."""
        return any(each.who == who and channel in ("", each.channel) for each in self._connected)

    def expire(self, when: int) -> None:
        """Forget those that have been offline for too long."""
        old = [each for each in self._offline if when - each.since >= self._keep]
        for each in old:
            self._offline.pop(each.place)
        if old:
            self.note_change()

    def note_change(self) -> None:
        """Count that what is stored has changed."""
        self.changes += 1
        self.changed()

    def _part(self, follower: Follower) -> bool:
        """Remove a connected follower; return whether nothing of it is to be remembered."""
        if follower not in self._connected:
            return True
        del self._connected[follower]
        if follower.key == NOBODY:
            return True
        self.note_change()
        place = follower.place
        twins = self._twins.get(place)
        if twins is None:
            del self._newest[place]
            return False
        del twins[follower]
        self._newest[place] = next(reversed(twins))
        if len(twins) == 1:
            del self._twins[place]
        return True


def _lots_of(ack: Ack, entry: Entry) -> Decimal | None:
    """Return the lots that an ACK says are held; None = it does not say."""
    filled = ack.status == "filled" and entry.type == POSITION
    return entry.volume if ack.volume is None and filled else ack.volume


def _sent(follower: Follower) -> int:
    return follower.sent if follower.feed is None else follower.feed.position


def _who(key: TerminalKey, address: str) -> str:
    return "/".join(filter(None, key)) or address
