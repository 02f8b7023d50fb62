"""Notifier: takes messages, keeps them on disk, and sends them until a receiver took them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.clock import WallClock
from mtnet.errors import JournalError, WireError
from mtnet.interfaces import INotifier, IStatus
from mtnet.recurring import RecurringCall
from mtnet.services.notify.queue import RetryQueue
from mtnet.services.notify.rate_limit import RateLimit
from mtnet.services.notify.receivers import Receiver
from mtnet.services.notify.settings import NotifySettings
from mtnet.services.notify.store import Added, Message, MessageStore, Texts
from mtnet.storage.worker import InThread

INTERVAL = 1.0
"""Seconds between two looks at what is due."""
STORE_TIMEOUT = 5.0
"""Seconds for which a message with a key waits for the disk before it is sent from memory."""
STOP_TIMEOUT = 8.0
"""Seconds that a stop waits for messages on their way: a mail takes some, and would come again."""
LATE = 60_000
"""Milliseconds after which a message says when it was written."""


class Delivery:
    """
    A receiver, its queue and the one message that is on its way.

    Args:
        in_thread: the thread of the receiver, which may hang as long as it likes.

    Attributes:
        target: the [notify.NAME] of the receiver.
        queue: the messages that wait.
    """

    log = Logger()

    def __init__(
        self, receiver: Receiver, queue: RetryQueue, in_thread: InThread, clock: IReactorTime
    ) -> None:
        self.receiver, self.queue = receiver, queue
        self.target = receiver.target
        self._in_thread, self._clock = in_thread, clock
        self._sending: Deferred[Any] | None = None

    def step(self, title: str, now: int, taken: Callable[[int], object]) -> None:
        """Begin to send the next message, unless one is on its way."""
        message = None if self._sending else self.queue.next(self._clock.seconds())
        if message is None:
            return
        self._sending = done = self._in_thread(self.receiver.deliver, title, _dated(message, now))
        done.addErrback(Failure.getErrorMessage)
        done.addCallback(self._sent, message, taken)

    def when_idle(self) -> "Deferred[None]":
        """Return what fires once no message is on its way."""
        idle: Deferred[None] = Deferred()
        (self._sending or succeed(None)).addCallback(lambda _: idle.callback(None))
        return idle

    def _sent(self, reason: str | None, message: Message, taken: Callable[[int], object]) -> None:
        self._sending, when = None, self._clock.seconds()
        if reason is None:
            if self.queue.failures:
                self.log.info("{who} takes messages again.", who=self.name)
            self.queue.taken(message, when)
            taken(message.number)
            return
        if not self.queue.failures:
            text = "{who} did not take a message, which is sent again later: {reason}"
            self.log.warn(text, who=self.name, reason=reason)
        self.queue.failed(message, reason, when)

    @property
    def name(self) -> str:
        """Name of the receiver, as people are shown it."""
        return f"{self.target} ({self.receiver.label})"

    def status(self) -> dict[str, Any]:
        """Report for `mtnet status`."""
        return {
            "name": self.target,
            "receiver": self.receiver.label,
            "waiting": len(self.queue),
            "oldest": self.queue.oldest,
            "sent": self.queue.sent,
            "failures": self.queue.failures,
            "reason": self.queue.reason or None,
        }


class Unneeded(NamedTuple):
    """Messages that the disk took after they went out from memory."""

    messages: list[Message]


class MemoryFallback:
    """
    Time-out of a message on its way to the disk: it goes out without.

    Args:
        send: sends it from memory; called once, if at all.
    """

    def __init__(self, clock: IReactorTime, send: Callable[[], None]) -> None:
        self._send = send
        self._timer = clock.callLater(STORE_TIMEOUT, send)

    def settle(self, result: Any) -> Any:
        """Take the answer of the disk, and return it; what is stored too late is not needed."""
        if self._timer.active():
            self._timer.cancel()
            if isinstance(result, Failure):
                self._send()
            return result
        return Unneeded(result or []) if not isinstance(result, Failure) else result


@implementer(INotifier, IStatus)
class Notifier:
    """
    Durable queue of messages to people.

    A message leaves the queue once its receiver took it. A daemon that is killed between the two
    sends it once more: at least once, not exactly once.

    Args:
        deliveries: one for each receiver.
        in_thread: runs a blocking function of the store off the reactor, in order.

    Attributes:
        names: those of [notify.NAME].
        deliveries: one for each receiver, by its id.
        left_out: messages that were one too many, by name, and not told about yet.
    """

    log = Logger()

    def __init__(
        self,
        settings: NotifySettings,
        deliveries: Sequence[Delivery],
        store: MessageStore,
        in_thread: InThread,
        clock: IReactorTime,
        now: WallClock,
    ) -> None:
        self._settings, self._store, self._in_thread = settings, store, in_thread
        self._clock, self._now = clock, now
        self.names = tuple(dict.fromkeys(each.target for each in deliveries))
        self.deliveries = {each.receiver.id: each for each in deliveries}
        self._limits = {name: RateLimit(settings.rate) for name in self.names}
        self.left_out: dict[str, int] = {}
        self._stored_counts: dict[str, int] = {}
        self._gone: list[int] = []
        self._storing, self._unstored = False, 0
        self._loop = RecurringCall("The look at what is to be sent", self.step, INTERVAL, clock)

    def load(self) -> None:
        """
        Read what waits; blocking.

        Raises:
            JournalError: the file cannot be read.
        """
        messages, self._stored_counts = self._store.load()
        self.left_out = {
            name: count for name, count in self._stored_counts.items() if name in self.names
        }
        for each in messages:
            if each.receiver in self.deliveries:
                self.deliveries[each.receiver].queue.add(each)
            else:
                self._gone.append(each.number)
        if self._gone:
            text = "{count} messages are dropped: their receivers are not in [notify] any more."
            self.log.warn(text, count=len(self._gone))

    def start(self) -> None:
        """Send what waits, and what comes."""
        self._loop.start()

    def stop(self) -> "Deferred[None]":
        """Store what was taken, and send no more; the rest waits on disk for the next start."""
        self._loop.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        idle = [each.when_idle() for each in self.deliveries.values()]
        await DeferredList(idle, consumeErrors=True).addTimeout(STOP_TIMEOUT, self._clock)
        await self._store_changes()

    def notify(self, text: str, to: Sequence[str] = (), key: str = "") -> "Deferred[Sequence[str]]":
        """Put a message into the queue; as of `INotifier`."""
        unknown = [name for name in to if name not in self.names]
        if unknown:
            known = ", ".join(self.names) or "none at all"
            right = f"A name is one of [notify.NAME], here {known}, not"
            raise WireError("field", right, unknown[0].encode())
        admitted = [name for name in dict.fromkeys(to or self.names) if self._admits(name)]
        done = self._add(text, admitted, key) if admitted else succeed(None)
        return done.addCallback(lambda _: admitted)

    def _admits(self, name: str) -> bool:
        """Count one message to a name; return whether there is room for it."""
        when, limit = self._clock.seconds(), self._limits[name]
        if limit.wait(when) or any(each.queue.is_full for each in self._of(name)):
            self.left_out[name] = self.left_out.get(name, 0) + 1
            return False
        limit.spend(when)
        return True

    def _add(self, text: str, names: Sequence[str], key: str) -> "Deferred[None]":
        """Store one message for some names, with the number of those left out before it."""
        counts = {name: count for name in names if (count := self.left_out.pop(name, 0))}
        texts = [
            (each.receiver.id, f"{text}\n{_left_out(counts[name])}" if name in counts else text)
            for name in names
            for each in self._of(name)
        ]
        now = self._now()
        done = self._in_thread(self._store.add, texts, now, key, dict(self.left_out))
        if key:
            # What must be known, such as trouble of the disk, does not wait for that disk.
            fallback = MemoryFallback(self._clock, partial(self._add_unstored, texts, now))
            done.addBoth(fallback.settle)
        return done.addCallbacks(self._added, self._not_added, errbackArgs=(counts,))

    def _add_unstored(self, texts: Texts, now: int) -> None:
        for receiver, text in texts:
            self._unstored -= 1
            self.deliveries[receiver].queue.add(Message(self._unstored, receiver, text, now))
        self.log.warn("The disk does not take a message to people: it is sent from memory.")
        self._begin()

    def _added(self, added: "Added | Unneeded") -> None:
        if isinstance(added, Unneeded):
            self._gone += [each.number for each in added.messages]
            return
        for each in added or ():
            self.deliveries[each.receiver].queue.add(each)
        self._begin()

    def _not_added(self, failure: Failure, counts: Mapping[str, int]) -> Failure:
        for name, count in counts.items():
            self.left_out[name] = self.left_out.get(name, 0) + count
        return failure

    def step(self) -> None:
        """Give up what is too old, tell what was left out, and send what is due."""
        self._give_up()
        when = self._clock.seconds()
        for name in [name for name in self.left_out if not self._limits[name].wait(when)]:
            self._tell_left_out(name)
        self._begin()
        if not self._storing:  # a disk that is slow is asked once
            self._store_changes()

    def _tell_left_out(self, name: str) -> None:
        count = self.left_out[name]
        if self._admits(name):
            self.left_out.pop(name)
            done = self._add(_left_out(count), [name], "")
            done.addErrback(self._not_added, {name: count}).addErrback(_ignore)

    def _begin(self) -> None:
        for each in self.deliveries.values():
            each.step(self._settings.title, self._now(), self._taken)

    def _taken(self, number: int) -> None:
        self._gone.append(number)  # the list is another one by then, perhaps

    def _give_up(self) -> None:
        if not self._now.steady:
            return  # a clock that is wrong for a moment must delete nothing
        before = self._now() - int(self._settings.keep * 1000)
        for each in self.deliveries.values():
            old = each.queue.expire(before)
            if old:
                name = each.target
                self._gone += [message.number for message in old]
                self.left_out[name] = self.left_out.get(name, 0) + len(old)
                text = "{who} took none of {count} messages, which are given up: {reason}"
                self.log.error(text, who=each.name, count=len(old), reason=each.queue.reason)

    def _store_changes(self) -> "Deferred[None]":
        """Take from the disk what was taken; after an error the next step tries again."""
        gone, counts = [number for number in self._gone if number > 0], dict(self.left_out)
        if not gone and counts == self._stored_counts:
            return succeed(None)
        self._storing = True
        done = self._in_thread(self._store.update, gone, counts)
        return done.addCallbacks(lambda _: self._updated(gone, counts), self._not_updated)

    def _updated(self, gone: Sequence[int], counts: dict[str, int]) -> None:
        self._storing, self._stored_counts = False, counts
        removed = set(gone)
        self._gone = [number for number in self._gone if number > 0 and number not in removed]

    def _not_updated(self, failure: Failure) -> None:
        self._storing = False
        failure.trap(JournalError)

    def _of(self, name: str) -> list[Delivery]:
        return [each for each in self.deliveries.values() if each.target == name]

    def health(self) -> dict[str, Any]:
        """Report for `/healthz`: a queue that does not drain is a warning."""
        before = self._now() - int(self._settings.overdue * 1000)
        late = [
            each
            for each in self.deliveries.values()
            if each.queue.failures and (each.queue.oldest or before) < before
        ]
        # The same words for any number: another sentence would be another cause of trouble.
        texts = [f"{each.name} takes nothing ({len(each.queue)} waiting)." for each in late]
        return {"healthy": True, "trouble": None, "warning": " ".join(texts) or None}

    def status(self) -> dict[str, Any]:
        """Report for `mtnet status`."""
        receivers = [each.status() for each in self.deliveries.values()]
        return {**self.health(), "receivers": receivers, "left out": dict(self.left_out)}


def _left_out(count: int) -> str:
    many = f"{count} messages were" if count > 1 else "1 message was"
    return f"{many} left out before this one: too many came at once, or none was taken."


def _ignore(_: Failure) -> None:
    """Forget a failure whose effect is undone."""


def _dated(message: Message, now: int) -> str:
    """Return the text, with its time if it comes late."""
    if now - message.time < LATE:
        return message.text
    minutes = (now - message.time) // 60_000
    return f"{message.text}\n(written {minutes} min ago)"
