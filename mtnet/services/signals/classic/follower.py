"""One classic follower: it is sent what its queue says, when it says so."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.net.endpoints import show
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.output.queue import OutputBuffer
from mtnet.net.transport import StreamTransport
from mtnet.services.signals.book import Change
from mtnet.services.signals.classic.queue import ClassicQueue
from mtnet.services.signals.fanout import ISubscriber
from mtnet.services.signals.service import SignalService

PACED_BUDGET = 1
"""A paced follower has one frame under way: what waits behind it can still be replaced."""
UNPACED_BUDGET = 65_536
"""Bytes that wait for a follower without pacing before its changes replace each other."""
SOON = 0.001
"""Seconds by which a timer may be late without being set anew: sums of floats differ."""
SEND_BUFFER = 8_192
"""Bytes the kernel keeps for a paced follower: old positions must not pile up there."""


@implementer(ISubscriber)
class ClassicFollower:
    """
    Sends one connection what its `ClassicQueue` says, when it says so.

    Args:
        find: returns the channel that it shall follow.
        login: of its client certificate; empty = it has none.
        end: closes the connection, and says why.

    Attributes:
        output: what was written to it, and waits.
        client, heard, reported: nothing, which is all that is known of a classic program.
    """

    log = Logger()
    client = ""
    heard = reported = None

    def __init__(
        self,
        env: Environment,
        signals: SignalService,
        find: Callable[[], str],
        transport: StreamTransport,
        login: str,
        end: Callable[[str], None],
    ) -> None:
        self._env, self._signals, self._find, self._end = env, signals, find, end
        self._channel = find()
        self._settings = env.section
        budget = PACED_BUDGET if self._settings.pace else UNPACED_BUDGET
        if self._settings.pace:
            configure_keepalive(transport, SEND_BUFFER)
        self.output = OutputBuffer(transport, env.clock, budget, self)
        state = signals.channels.shared_state(self._channel)
        self._queue = ClassicQueue(self._settings, state, env.clock.seconds())
        self._timer: IDelayedCall | None = None
        self._stopped = False
        address = show(transport.getPeer())
        self._follower = signals.channels.followers.join(
            self._channel, login, "", address, self, env.now()
        )

    def start(self) -> None:
        """Send the positions of the channel, and each change from now on."""
        self._signals.fanout.subscribe(self._channel, self)
        self.recheck()
        self.drained()

    def stop(self) -> bool:
        """Send nothing more; return whether all that was sent has left the process."""
        idle = self.output.ready
        self._stopped = True
        self._signals.channels.followers.leave(self._follower, self._env.now())
        self._signals.fanout.unsubscribe(self._channel, self)
        self._cancel()
        self.output.close()
        return idle

    def recheck(self) -> None:
        """End, if the channel is another one now, or a view that is damaged."""
        if self._find() != self._channel:
            self._end(f"is closed: it followed {self._channel}, and has another channel now")
        elif self._signals.is_lost(self._channel):
            self._end(f"is closed: the view {self._channel} is damaged")

    def changed(self, change: Change) -> None:
        """Take a change that is on disk."""
        when = self._env.clock.seconds()
        self._queue.offer(change, when)
        due = max(when, self._queue.next_frame)
        if self.output.ready and (self._timer is None or self._timer.getTime() > due + SOON):
            self._send(due)

    def drained(self) -> None:
        """Send what is due, now that there is room."""
        self._send(self._queue.due())

    def _send(self, due: float | None) -> None:
        """Send what the queue says, which has nothing before `due`; then wait."""
        while self.output.ready and due is not None:
            when = self._env.clock.seconds()
            if when < due:
                break
            frame = self._queue.take(when, self._env.now.seconds())
            due = self._queue.due()
            if frame is None:
                break
            self.output.write(frame)
        if self._stopped:
            return
        if not self.output.ready:
            due = self.output.since + self._settings.stalled
        if due is None:
            self._cancel()
            return
        delay = max(0.0, due - self._env.clock.seconds())
        if self._timer is None:
            self._timer = self._env.clock.callLater(delay, self._due)
        else:
            self._timer.reset(delay)

    def _due(self) -> None:
        self._timer = None
        if self.output.ready or self._stalled() < self._settings.stalled:
            self.drained()
        else:
            self._end(f"took no byte for {self._settings.stalled:g} s")

    def _stalled(self) -> float:
        return self._env.clock.seconds() - self.output.since

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
