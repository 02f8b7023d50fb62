"""
The desk: takes positions from publishers, stores them, and only then tells followers.

One commit is under way at a time; what arrives meanwhile is the next one.
"""

from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.config import Signals
from mtnet.errors import JournalError, WireError
from mtnet.imtnet import IStatus, ISubscriber
from mtnet.net.transport import Transport
from mtnet.signals.book import Book, Change, Claims, Position, latest
from mtnet.signals.journal import Journal

SLICE = 5_000
"""Deliveries to followers before other connections have their turn: about 20 ms."""
FULL = 60.0
"""Seconds for which a full channel is reported after a symbol was refused, and after which
room is looked for again."""
EXPIRY = 3_600.0
"""Seconds between two looks for flat symbols to forget; they are remembered for days."""


class Publisher:
    """
    One connection that sets positions.

    Attributes:
        name: who it is, for the log.
        number: rises with each publisher; the newest takes a symbol over.
        producer: what is paused while the disk is behind.
        last: the count of the last change taken from it.
    """

    def __init__(self, name: str, number: int, producer: Transport) -> None:
        self.name, self.number, self.producer = name, number, producer
        self.last = 0


@implementer(IStatus)
class Desk:
    """
    Args:
        settings: `[signals]`.
        journal: where positions are stored; called through `in_thread` alone.
        now: milliseconds since the Unix epoch, UTC.
        in_thread: runs a blocking function off the reactor, one at a time, in order.
    """

    log = Logger()

    def __init__(
        self,
        settings: Signals,
        journal: Journal,
        clock: IReactorTime,
        now: Callable[[], int],
        in_thread: Callable[..., "Deferred[Any]"],
    ) -> None:
        self.settings = settings
        self._journal, self._in_thread = journal, in_thread
        self._clock, self._now = clock, now
        self._book, self._claims = Book(), Claims()
        self._followers: dict[str, dict[ISubscriber, None]] = {}
        self._known: dict[str, set[str]] = {}
        self._accepted: dict[tuple[str, str], Change] = {}
        self._taken = self._stored = 0
        self._waiting: list[Change] = []
        self._untold: deque[Change] = deque()
        self._telling: IDelayedCall | None = None
        self._full: dict[str, float] = {}
        self._storing = False
        self._trouble: str | None = None
        self._retry: IDelayedCall | None = None
        self._paused: dict[Publisher, None] = {}
        self._settling: list[tuple[int, Deferred[None]]] = []
        self._closed = False
        self._expiry = LoopingCall(self._expire)
        self._expiry.clock = clock

    def open(self) -> None:
        """
        Read the journal; blocks, for use before the reactor runs.

        Raises:
            JournalError: it cannot be read.
        """
        for change in self._journal.load():
            self._book.apply(change)
        self._count()
        # Reopened by the thread that commits, behind the fork of a daemon.
        self._journal.close()

    def start(self) -> None:
        """Begin to forget what went flat long ago."""
        self._expiry.start(EXPIRY)

    async def close(self) -> None:
        """Store what waits, once, and close the journal; nothing is taken from now on."""
        self._closed = True
        if self._expiry.running:
            self._expiry.stop()
        while self._storing:
            await self._in_thread(lambda: None)
        self._stop_trying()
        if self._waiting:
            await self._commit()
        self._stop_trying()
        if self._waiting:
            self.log.error(
                "The last positions of {symbols} could not be stored before the stop.",
                symbols=", ".join(change.symbol for change in self._waiting),
            )
        for _, done in self._settling:
            done.errback(JournalError("The daemon stopped before the disk took the positions."))
        self._settling.clear()
        await self._in_thread(self._journal.close)

    # Publishers

    def join(self, name: str, producer: Transport) -> Publisher:
        """Return a new publisher, newer than all before it."""
        return Publisher(name, self._claims.join(), producer)

    def leave(self, publisher: Publisher) -> None:
        """Free the symbols of a publisher that is gone; its positions stay."""
        self._paused.pop(publisher, None)
        self._claims.leave(publisher.number)

    def submit(self, publisher: Publisher, channel: str, symbol: str, volume: Decimal) -> None:
        """
        Take the net position of a symbol, in lots.

        What changes nothing is no entry. While the disk is behind, the publisher is paused;
        while the disk refuses, the newest volume of each symbol is kept until it does not.

        Raises:
            WireError: `fenced` (a newer publisher owns the symbol), `symbols` (too many) or
                `server` (the daemon stops).
        """
        if self._closed:
            raise WireError("server", "The daemon is stopping and takes no more positions")
        change = Change(channel, symbol, volume, self._now())
        self._check_room(change)
        self._claims.take(publisher.number, channel, symbol)
        waiting = self._accepted.get(change.key)
        before = self._book.volume(channel, symbol) if waiting is None else waiting.volume
        if before != volume:
            self._accept(change)
        if change.key in self._accepted:
            publisher.last = self._taken
            self._pause(publisher)
        if self._trouble is None and self._waiting and not self._storing:
            self._commit()

    def settled(self, publisher: Publisher) -> "Deferred[None]":
        """
        Return what fires once all that was taken from `publisher` is on disk; it fails with
        `JournalError` when the daemon stops before that.
        """
        if publisher.last <= self._stored:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._settling.append((publisher.last, done))
        return done

    def _check_room(self, change: Change) -> None:
        known = self._known.setdefault(change.channel, set())
        if change.symbol in known or len(known) < self.settings.max_symbols:
            return
        if not self._make_room(change):
            raise WireError(
                "symbols",
                f"The channel {change.channel} has its {self.settings.max_symbols} symbols "
                "(signals.max_symbols), and this is one more",
                change.symbol.encode(),
            )

    def _make_room(self, change: Change) -> bool:
        """Forget the symbol that is flat for longest, once followers need it no more."""
        if self._full.get(change.channel, 0.0) > self._clock.seconds():
            return False
        before = change.when - int(self.settings.flat * 1000)
        gone = self._book.evict(change.channel, before)
        if gone is None:
            self._full[change.channel] = self._clock.seconds() + FULL
            return False
        self._known[change.channel].discard(gone)
        return True

    def _accept(self, change: Change) -> None:
        self._known[change.channel].add(change.symbol)
        self._accepted[change.key] = change
        self._waiting.append(change)
        self._taken += 1
        room = len(self._accepted) + self.settings.backlog
        if self._trouble is not None and len(self._waiting) > room:
            self._waiting = latest(self._waiting)

    def _pause(self, publisher: Publisher) -> None:
        behind = self._trouble is None and len(self._waiting) >= self.settings.backlog
        if behind and publisher not in self._paused:
            self._paused[publisher] = None
            publisher.producer.pauseProducing()

    def _resume(self) -> None:
        paused, self._paused = self._paused, {}
        for publisher in paused:
            publisher.producer.resumeProducing()

    # The disk

    def _commit(self) -> "Deferred[None]":
        batch, self._waiting = self._waiting, []
        upto, self._storing = self._taken, True
        done: Deferred[None] = self._in_thread(self._journal.commit, batch)
        done.addCallbacks(
            self._committed, self._refused, callbackArgs=(batch, upto), errbackArgs=(batch,)
        )
        done.addErrback(lambda failure: self.log.failure("A commit went wrong.", failure))
        return done

    def _committed(self, _: object, batch: list[Change], upto: int) -> None:
        self._storing = False
        self._stored = upto
        if self._trouble is not None:
            self._trouble = None
            self.log.info("The journal takes positions again; what it had refused is stored.")
        # Paced followers would be told the last one of each symbol anyhow.
        self._untold.extend(latest(batch) if self.settings.pace else batch)
        if self._telling is None:
            self._tell_some()
        self._settle()
        if self._waiting:
            self._commit()
        self._resume()

    def _refused(self, failure: Failure, batch: list[Change]) -> None:
        self._storing = False
        self._waiting = latest([*batch, *self._waiting])
        trouble = failure.getErrorMessage()
        if trouble != self._trouble:
            self.log.error(
                "{trouble} The last position of each symbol is kept and tried again every "
                "{retry} s; followers are told what is stored.",
                trouble=trouble,
                retry=self.settings.retry,
            )
        self._trouble = trouble
        self._retry = self._clock.callLater(self.settings.retry, self._again)
        self._resume()
        if failure.check(JournalError) is None:
            self.log.failure("The journal failed in a way that it does not know.", failure)

    def _stop_trying(self) -> None:
        for call in (self._retry, self._telling):
            if call is not None:
                call.cancel()
        self._retry = self._telling = None

    def _again(self) -> None:
        self._retry = None
        self._waiting = latest(self._waiting)
        self._commit()

    def _settle(self) -> None:
        ready = [done for last, done in self._settling if last <= self._stored]
        self._settling = [each for each in self._settling if each[0] > self._stored]
        for done in ready:
            done.callback(None)

    def _expire(self) -> "Deferred[None]":
        before = self._now() - int(self.settings.remember * 1000)
        self._book.expire(before)
        self._count()
        done: Deferred[None] = self._in_thread(self._journal.expire, before)
        return done.addErrback(
            lambda failure: self.log.error(
                "Old flat symbols stay for another hour: {reason}",
                reason=failure.getErrorMessage(),
            )
        )

    def _count(self) -> None:
        self._known = {name: set(held) for name, held in self._book.channels().items()}
        for channel, symbol in self._accepted:
            self._known.setdefault(channel, set()).add(symbol)

    # Followers

    def positions(self, channel: str) -> Mapping[str, Position]:
        """Return the live view of what is stored of a channel."""
        return self._book.channel(channel)

    def subscribe(self, channel: str, follower: ISubscriber) -> None:
        """
        Tell `follower` each change of `channel` from now on. Of several changes of a symbol in
        one commit it is told the last, unless `signals.pace` is 0.
        """
        self._followers.setdefault(channel, {})[follower] = None

    def unsubscribe(self, channel: str, follower: ISubscriber) -> None:
        """Tell it no more."""
        self._followers[channel].pop(follower, None)

    def _tell_some(self) -> None:
        delivered, self._telling = 0, None
        while self._untold and delivered < SLICE:
            change = self._untold.popleft()
            delivered += len(self._followers.get(change.channel, ()))
            self._tell(change)
        if self._untold:
            self._telling = self._clock.callLater(0, self._tell_some)

    def _tell(self, change: Change) -> None:
        if self._accepted.get(change.key) is change:
            del self._accepted[change.key]
        change = self._book.apply(change)
        for follower in list(self._followers.get(change.channel, ())):
            # One follower that cannot take it must not keep it from the others.
            with self.log.failuresHandled("A follower failed at {change}.", change=change):
                follower.changed(change)

    def health(self) -> dict[str, object]:
        """Report what a stranger may know."""
        when = self._clock.seconds()
        full = sorted(name for name, until in self._full.items() if until > when)
        return {
            "healthy": self._trouble is None and not full,
            "trouble": self._trouble,
            "full": full,
            "waiting": len(self._waiting),
            "publishers": self._claims.live,
            "followers": sum(map(len, self._followers.values())),
        }

    def status(self) -> dict[str, object]:
        """Report that, and what each channel holds."""
        names = {*self._book.channels(), *self._followers}
        channels = {name: self._channel_status(name) for name in sorted(names)}
        return {**self.health(), "channels": channels}

    def _channel_status(self, name: str) -> dict[str, object]:
        positions = self._book.channel(name)
        return {
            "followers": len(self._followers.get(name, ())),
            "positions": {p.symbol: str(p.volume) for p in positions.values() if p.volume},
        }
