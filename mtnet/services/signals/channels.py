"""
The channels of the signal service: what is stored of each, and everybody to whom it is sent.

All entries come here once they are on disk; nothing here is asked whether they may be stored.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mtnet.clock import WallClock
from mtnet.errors import WireError
from mtnet.services.signals.book import Book, Channel, Position, latest
from mtnet.services.signals.classic.queue import SharedState
from mtnet.services.signals.events import SignalEvents
from mtnet.services.signals.fanout import Batch, Fanout
from mtnet.services.signals.model import Entry, State
from mtnet.services.signals.replay_cache import ReplayCaches
from mtnet.services.signals.settings import SignalSettings
from mtnet.services.signals.status.followers import Followers
from mtnet.services.signals.wire import answers

UNKNOWN = "0" * 16
"""The epoch of a channel that is damaged: no journal has it."""


class Client(Protocol):
    """A client of dialect 2."""

    def report(self) -> Mapping[str, object]:
        """Say for `mtnet signals status` how far it is."""

    def announce(self, channel: str, frame: bytes) -> None:
        """Send news of a channel in which it published; the fan-out tells those who follow."""

    def offer(self, channels: Collection[str]) -> None:
        """Say which of these channels it may ask for, of those that it was refused."""

    def renew(self, channel: str) -> None:
        """Send a channel again to a session that follows it."""

    def notify(self, notice: bytes) -> None:
        """Send a NOTICE, which is shown to people."""

    def recheck(self) -> None:
        """End what may not go on: `main` is another channel now, or a view is damaged."""


class Channels:
    """
    Registry of the channels: their positions, and the followers and sessions of each.

    Args:
        settings: `[signals]`.
        now: wall time, and whether it may be believed.
        read: fires with entries of a channel from a number on, so many at most.

    Attributes:
        book: the positions.
        fanout: sends to the followers.
        followers: what is known of each, those that went offline included.
        stored: entries that were stored since the start.
        replay_caches: recent entries of each channel.
        sessions: the clients of dialect 2.
        events: what happens to channels, for the event log.
    """

    def __init__(
        self,
        settings: SignalSettings,
        clock: IReactorTime,
        now: WallClock,
        read: Callable[[str, int, int], "Deferred[list[Entry]]"],
    ) -> None:
        self._settings, self._now = settings, now
        self.book = Book()
        self.fanout = Fanout(clock)
        self.followers = Followers(int(settings.remember_followers * 1000))
        self.replay_caches = ReplayCaches(read, settings.retain, clock)
        self.sessions: dict[Client, None] = {}
        self.events = SignalEvents()
        self._shared: dict[str, SharedState] = {}
        self.stored = 0

    def close(self) -> None:
        """Send nothing more."""
        self.fanout.close()
        self.replay_caches.budget.close()

    # What is stored

    def load(self, states: Mapping[str, State]) -> None:
        """Take what was stored before the start."""
        newest = max((s.positions[-1].when for s in states.values() if s.positions), default=0)
        self._now.compare("the newest signal", newest)
        for name, state in states.items():
            self.book.load(name, state, self._now.seconds(), self._now.estimate())

    def begin(self, name: str, state: State) -> None:
        """Show everybody a channel that has a new epoch."""
        self.book.load(name, state, self._now.seconds(), self._now.estimate())
        self.replay_caches.pop(name, None)
        self.renew(name)
        self.offer([name])

    def renew(self, name: str) -> None:
        """Send a channel again to the sessions that follow it."""
        for session in list(self.sessions):
            session.renew(name)

    def append(self, entries: Iterable[Entry]) -> None:
        """Take entries that were stored just now, and send them to followers."""
        channels: dict[str, list[Entry]] = {}
        for entry in entries:
            channels.setdefault(entry.channel, []).append(entry)
        when, most = self._now.seconds(), self._settings.max_symbols
        for name, found in channels.items():
            channel, changes = self.book.get(name) or self.book.channel(name), []
            for entry in found:
                # A symbol that was long flat makes room for one that is new.
                room = len(channel.net) < most
                if not room and entry.volume and entry.symbol not in channel.net:
                    channel.evict(self.unrepeated())
                    room = len(channel.net) < most
                change = channel.apply(entry, when, room)
                if change is not None:
                    changes.append(change)
            self.stored += len(found)
            cache = self.replay_caches.get(name)
            if cache is not None:
                cache.extend(found)
            # Paced followers would be sent only the last one of each symbol anyway.
            shown = latest(changes) if self._settings.pace and len(changes) > 1 else changes
            self.fanout.send(name, Batch(found, changes=shown))

    def unrepeated(self) -> float:
        """Return the moment before which what went flat is repeated no more."""
        return self._now.seconds() - self._settings.repeat_closed

    def sent(self) -> dict[str, int]:
        """Return the number of the last entry of each channel that was sent to followers."""
        return {name: channel.seq for name, channel in self.book.items()}

    def named(self, name: str) -> Channel:
        """
        Return what is stored of a channel.

        Raises:
            WireError: `channel`; there is none of this name.
        """
        if not self.is_named(name):
            raise WireError("channel", f"There is no channel {name}")
        return self.book[name]

    def is_named(self, name: str) -> bool:
        """Return whether a channel is there: its epoch is known."""
        return name in self.book and bool(self.book[name].epoch)

    def epoch(self, name: str) -> str:
        """Return what names the journal of a channel; zeros where that is damaged."""
        return self.book.channel(name).epoch or UNKNOWN

    def positions(self, name: str) -> Mapping[str, Position]:
        """Return the live view of the net positions that are stored of a channel."""
        return self.book.channel(name).net

    def shared_state(self, name: str) -> SharedState:
        """Return what the classic followers of a channel share."""
        if name not in self._shared:
            channel = self.book.channel(name)
            self._shared[name] = SharedState(channel, self._settings.repeat_closed)
        return self._shared[name]

    # What is said besides

    def announce(self, name: str, frame: bytes) -> None:
        """Tell those who follow a channel, or have published there."""
        self.fanout.announce(name, frame)
        for session in list(self.sessions):
            session.announce(name, frame)

    def offer(self, names: Collection[str]) -> None:
        """Offer new channels to the sessions that asked for them before they existed."""
        for session in list(self.sessions):
            session.offer(names)

    def recheck(self) -> None:
        """End connections for which `main` is another channel now, or whose view is damaged."""
        for session in list(self.sessions):
            session.recheck()
        self.fanout.recheck()

    def notify(self, text: str) -> int:
        """Send a sentence for people to all sessions; return how many there are."""
        frame, sessions = answers.notice(text), list(self.sessions)
        for session in sessions:
            session.notify(frame)
        return len(sessions)
