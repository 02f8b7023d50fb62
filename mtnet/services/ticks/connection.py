"""The transport of one peer of the tick port: output, deadlines, and the ways to end it."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mtnet.access.bans.policy import Offence
from mtnet.access.throttle import TokenBucket
from mtnet.daemon.environment import Environment
from mtnet.net.endpoints import host_of
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.output.queue import OutputBuffer
from mtnet.net.peer import Peer
from mtnet.net.transport import Transport
from mtnet.services.ticks.fanout.groups import TICKS
from mtnet.services.ticks.fanout.subscriber import BUDGET


class TickConnection:
    """
    Connection with an idle deadline, a stall detector and back-pressure.

    Args:
        drained: called when the peer has read what was written.
        stopped: called once, when nothing more goes in or out.

    Attributes:
        peer: with its rights.
        output: where lines are written.
        gone: whether the transport is closed.
        ended: whether it was reset: nothing counts that the peer still sends.
    """

    log = Logger()

    def __init__(
        self,
        env: Environment,
        peer: Peer,
        transport: Transport,
        drained: Callable[[], None],
        stopped: Callable[[], None],
    ) -> None:
        self._env, self._settings = env, env.section
        self.peer, self._transport = peer, transport
        self._drained, self._stopped = drained, stopped
        self.gone = self.ended = False
        configure_keepalive(transport)
        peer.connected(transport, self)
        self.output = OutputBuffer(transport, env.clock, BUDGET, self)
        self._budget = TokenBucket(self._settings.records, env.clock.seconds())
        self._room: Deferred[None] | None = None
        self._idle: IDelayedCall | None = None
        self._stall: IDelayedCall | None = None

    def start(self) -> None:
        """Start the deadlines; the peer may be evicted at once."""
        rights = self.peer.rights
        self._idle_timeout = self._settings.idle
        if not (rights.any("send", TICKS) or rights.any("read", TICKS)):
            self._idle_timeout = self._env.config.access.login
        self._idle = self._env.clock.callLater(self._idle_timeout, self._timed_out)
        self._stall = self._env.clock.callLater(self._settings.stalled, self._check_stall)
        self.peer.mark_unauthenticated()

    @property
    def host(self) -> str:
        """The address of the peer."""
        return host_of(self._transport.getPeer())

    def slow_down(self, records: int) -> "Deferred[None] | None":
        """Return what fires once the budget of records allows more; None = it does."""
        delay = self._budget.spend(records, self._env.clock.seconds())
        return deferLater(self._env.clock, delay) if delay and not self.peer.trusted else None

    def send(self, line: str) -> None:
        """Write a line, as long as the peer can read it."""
        if not self.gone and not self.ended:
            self.output.write(line.encode() + b"\r\n")

    def wait_for_room(self) -> "Deferred[None] | None":
        """Return what fires once the peer has read what was written; None = it has."""
        if self.output.ready or self.gone or self.ended:
            return None
        self._room = Deferred()
        return self._room

    def mark_active(self) -> None:
        """Lift the idle deadline: the peer does what it may do."""
        self.peer.mark_active()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def reset(self, why: str) -> None:
        """Reset the connection, with one line in the log."""
        if not self.ended:
            self.ended = True
            self._stop()
            self.warn(why, "end")
            (self.peer.disconnected if self.gone else self._transport.abortConnection)()

    def close(self) -> None:
        """Close the connection behind what was written."""
        self.output.close()
        self._transport.loseConnection()

    def lost(self) -> None:
        """Stop: the transport is closed."""
        self.gone = True
        self._stop()

    def warn(self, what: str, kind: str) -> None:
        """Log a line about the peer, rate-limited for each `kind`."""
        self.peer.warn(self.log, f"ticks {kind}", "ticks: {peer} {what}", what=what)

    def evicted(self) -> None:
        """Close: others need the place, or the account has fewer rights now."""
        if not self.ended:
            self.ended = True
            self._stop()
            self._transport.abortConnection()

    def _timed_out(self) -> None:
        self._idle = None
        if self.peer.login_pending:  # it waits for us
            self._idle = self._env.clock.callLater(self._idle_timeout, self._timed_out)
            return
        self.peer.report_abuse(Offence.DEADLINE)
        self.reset(f"said nothing that it may for {self._idle_timeout:g} s")

    def _check_stall(self) -> None:
        stalled = self._settings.stalled
        self._stall = self._env.clock.callLater(stalled, self._check_stall)
        if not self.output.ready and self._env.clock.seconds() - self.output.since >= stalled:
            self.reset(f"took no byte for {stalled:g} s")

    def _stop(self) -> None:
        self.mark_active()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._stopped()
        self.output.close()
        self._resume_input()

    def drained(self) -> None:
        """The peer has read what was written."""
        self._drained()
        self._resume_input()

    def _resume_input(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)
