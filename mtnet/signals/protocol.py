"""
The signals port: who speaks on it is found out from the first bytes, or from silence.

A connection that is silent for `grace` is a follower of the published dialect; one that
sends a position and may publish is a publisher, and is sent nothing.
"""

from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocolFactory,
    ISSLTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.errors import FrameError, WireError, quote
from mtnet.hub import Hub
from mtnet.imtnet import IListenerAware, ISubscriber
from mtnet.net.endpoints import Listener, host_of, show
from mtnet.net.gate import FOREIGN, Gate, is_foreign
from mtnet.net.hold import hold
from mtnet.net.outbox import Outbox
from mtnet.net.pieces import StreamTransport, Watch, unacknowledged
from mtnet.settings import Port
from mtnet.signals.book import Change
from mtnet.signals.dialect import is_hello
from mtnet.signals.providers import Publisher
from mtnet.signals.published import PublishedQueue
from mtnet.signals.session import Session
from mtnet.signals.wire import FrameDecoder, parse_position

PACED_BUDGET = 1
"""A paced follower has one frame under way: what waits behind it can still be replaced."""
UNPACED_BUDGET = 65_536
"""Bytes that wait for a follower without pacing before its changes replace each other."""
SOON = 0.001
"""Seconds by which a timer may be late without being set anew: sums of floats differ."""
REFUSAL_WINDOW = 60.0
"""Seconds in which `signals.refusals` are counted."""
PROGRESS = 5.0
"""Seconds without progress after which a close no longer waits for the peer."""
SEND_BUFFER = 8_192
"""Bytes the kernel keeps for a paced follower: old positions must not pile up there."""


SECRET = (b"HELLO", b"PASS")
"""Behind one of these, in whatever case, a password may stand."""


@implementer(ISubscriber)
class PublishedFollower:
    """Sends one connection what its `PublishedQueue` says, when it says so."""

    log = Logger()

    def __init__(self, hub: Hub, channel: str, protocol: "SignalsProtocol") -> None:
        self._hub, self._channel, self._protocol = hub, channel, protocol
        self._settings = hub.config.signals
        budget = PACED_BUDGET if self._settings.pace else UNPACED_BUDGET
        if self._settings.pace:
            hold(protocol.transport, SEND_BUFFER)
        self._outbox = Outbox(protocol.transport, hub.clock, budget, self._pump)
        self._queue = PublishedQueue(
            self._settings, hub.desk.positions(channel), hub.clock.seconds(), hub.now()
        )
        self._timer: IDelayedCall | None = None
        self._stopped = False

    def start(self) -> None:
        """Tell the positions of the channel, and each change from now on."""
        self._hub.desk.audience.subscribe(self._channel, self)
        self._pump()

    def stop(self) -> bool:
        """Tell nothing more; return whether all that was told has left the process."""
        idle = self._outbox.ready
        self._stopped = True
        self._hub.desk.audience.unsubscribe(self._channel, self)
        self._cancel()
        self._outbox.close()
        return idle

    def changed(self, change: Change) -> None:
        """Take a change that is on disk."""
        when = self._hub.clock.seconds()
        self._queue.offer(change, when)
        due = max(when, self._queue.next_frame) + SOON
        if self._outbox.ready and (self._timer is None or self._timer.getTime() > due):
            self._pump()

    def _pump(self) -> None:
        self._cancel()
        while self._outbox.ready:
            frame = self._queue.take(self._hub.clock.seconds(), self._hub.now())
            if frame is None:
                break
            self._outbox.write(frame)
        if not self._stopped:
            self._wait()

    def _wait(self) -> None:
        due = self._queue.due()
        if not self._outbox.ready:
            due = self._outbox.since + self._settings.stalled
        if due is not None:
            delay = max(0.0, due - self._hub.clock.seconds())
            self._timer = self._hub.clock.callLater(delay, self._due)

    def _due(self) -> None:
        self._timer = None
        if self._outbox.ready or self._stalled() < self._settings.stalled:
            self._pump()
        else:
            self._protocol.end(f"took no byte for {self._settings.stalled:g} s")

    def _stalled(self) -> float:
        return self._hub.clock.seconds() - self._outbox.since

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@implementer(IHalfCloseableProtocol)
class SignalsProtocol(Protocol):
    """
    One connection to the signals port.

    Args:
        grace: seconds of silence that make it a follower.
    """

    log = Logger()
    transport: StreamTransport  # type: ignore[assignment]

    def __init__(self, hub: Hub, gate: Gate, channel: str, grace: float) -> None:
        self._hub, self._gate, self._channel, self._grace = hub, gate, channel, grace
        self._decoder = FrameDecoder()
        self._head: bytes | None = b""
        self._timer: IDelayedCall | None = None
        self._follower: PublishedFollower | None = None
        self._publisher: Publisher | None = None
        self._session: Session | None = None
        self._secret, self._tail = False, b""
        self._refusals, self._refusals_since = 0, 0.0
        self._watch: Watch | None = None
        self._ended = self._peer_ended = False

    def connectionMade(self) -> None:
        hold(self.transport)
        self._timer = self._hub.clock.callLater(self._grace, self._silent)

    def dataReceived(self, data: bytes) -> None:
        if self._ended or self._is_browser(data):
            return
        self._guard(data)
        try:
            for payload in self._decoder.feed(data):
                if self._ended:
                    break
                self._frame(payload)
        except FrameError as error:
            if self._session is None:
                self.end(f"is cut off: {self._shown(error)}")
            else:
                self._session.unreadable(error)

    def readConnectionLost(self) -> None:
        """
        The peer has said all. A publisher is answered without a byte: a clean close once
        everything is on disk, a reset when something was refused or cut.
        """
        if self._decoder.unfinished and not self._ended:
            self._count_refusal()
            self._warn("ended in the middle of a frame", "cut")
        if self._watch is not None:
            self.transport.loseConnection()
            return
        self._peer_ended = True
        if self._session is not None:
            self._session.finished()
            return
        if self._publisher is None:
            self._finish(None)
            return
        self._timer = self._hub.clock.callLater(self._hub.config.signals.stalled, self._late)
        self._hub.desk.settled(self._publisher).addCallbacks(self._finish, self._unsettled)

    def writeConnectionLost(self) -> None:
        """Our half is closed; the peer closes its own."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._ended = True
        self._stop()
        if self._watch is not None:
            self._watch.stop()
        if self._session is not None:
            self._session.close()
        self._leave()

    def end(self, why: str) -> None:
        """Close the connection at once, with one line in the log."""
        if not self._ended:
            self._ended = True
            self._stop()
            self._warn(why, "end")
            self.transport.abortConnection()

    def _guard(self, data: bytes) -> None:
        """Log nothing of a connection behind HELLO: `<<` in a password may cut it in two."""
        if not self._secret:
            seen = self._tail + data.upper()
            self._secret, self._tail = any(word in seen for word in SECRET), seen[-8:]

    def _is_browser(self, data: bytes) -> bool:
        """Say whether a web page drives this connection, and end it if so."""
        if self._head is None:
            return False
        self._head += data[:FOREIGN]
        foreign = is_foreign(self._head)
        if foreign:
            self.end(f"speaks HTTP or TLS, which a web page could abuse: {quote(data)}")
        if foreign is not None:
            self._head = None
        return bool(foreign)

    def _late(self) -> None:
        self._timer = None
        self.end("has said all, and the disk still refuses its positions")

    def _silent(self) -> None:
        self._timer = None
        if "follow" not in self._rights():
            self.end("may not follow; access.anonymous names what strangers may do")
            return
        self._follower = PublishedFollower(self._hub, self._channel, self)
        self._follower.start()

    def _frame(self, payload: bytes) -> None:
        if self._session is not None:
            self._session.frame(payload)
        elif is_hello(payload):
            self._greet(payload)
        else:
            try:
                self._publish(payload)
            except WireError as error:
                self._refused(error)

    def _greet(self, payload: bytes) -> None:
        """From here on this connection speaks dialect 2."""
        self._stop()
        self._leave()
        self._session = Session(self._hub, self.transport, self._rights, self._close)
        self._session.frame(payload)

    def _close(self) -> None:
        """
        Close behind what is on its way, as long as it moves.

        Only our half: a close of both, with bytes of the peer unread, would be a reset that
        takes what we said last out of the peer's hands. TLS has no half-close.
        """
        self._ended = True
        self._watch = Watch(
            self._hub.clock, PROGRESS, lambda: unacknowledged(self.transport), self._stuck
        )
        if self._peer_ended or ISSLTransport.providedBy(self.transport):
            self.transport.loseConnection()
        else:
            self.transport.resumeProducing()  # the disk may have been behind
            self.transport.loseWriteConnection()

    def _stuck(self) -> None:
        if unacknowledged(self.transport):
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()

    def _refused(self, error: WireError) -> None:
        self._count_refusal()
        if error.code == "server":
            # A clean close, which the process ends with, would say that it was stored.
            self.end(str(error))
            return
        told = self._shown(error)
        self._warn(f"sent a frame that is refused ({error.code}): {told}", error.code)

    def _shown(self, error: WireError) -> str:
        return "it may hold a password" if self._secret else str(error)

    def _leave(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            self._hub.desk.leave(publisher)

    def _count_refusal(self) -> None:
        when, most = self._hub.clock.seconds(), self._hub.config.signals.refusals
        if when - self._refusals_since >= REFUSAL_WINDOW:
            self._refusals, self._refusals_since = 0, when
        self._refusals += 1
        if self._refusals > most:
            self.end(f"sent more than {most} frames that are refused within a minute")

    def _publish(self, payload: bytes) -> None:
        if "publish" not in self._rights():
            raise WireError(
                "denied", "This connection may not publish; access.anonymous names what it may"
            )
        symbol, volume = parse_position(payload, self._hub.config.signals.codepage)
        if self._publisher is None:
            self._stop()
            peer = show(self.transport.getPeer())
            self._publisher = self._hub.desk.join(peer, self.transport, refuse=self._refused)
        self._hub.desk.submit(self._publisher, self._channel, symbol, volume)

    def _finish(self, _: None) -> None:
        if self._ended:
            return
        idle = self._stop()
        self._ended = True
        if idle and not self._refusals:
            self.transport.loseConnection()
        else:
            self.transport.abortConnection()

    def _unsettled(self, failure: Failure) -> None:
        self.end(failure.getErrorMessage())

    def _stop(self) -> bool:
        """Stop being a follower, or becoming one; return whether nothing is left to send."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        follower, self._follower = self._follower, None
        return follower is None or follower.stop()

    def _rights(self) -> frozenset[str]:
        return self._gate.rights(self.transport.getHost())

    def _warn(self, what: str, kind: str) -> None:
        peer, when = self.transport.getPeer(), self._hub.clock.seconds()
        if self._hub.log_limit.admits(host_of(peer), when, f"signals {kind}"):
            self.log.warn("signals: {peer} {what}", peer=show(peer), what=what)


@implementer(IProtocolFactory, IListenerAware)
class SignalsFactory(Factory):
    """
    Builds the connections of one listener; everything that they share lies in the hub.

    Args:
        grace: seconds of silence that make a follower; None = `signals.grace`.
    """

    noisy = False

    def __init__(self, hub: Hub, listener: Listener, grace: float | None = None) -> None:
        self._hub, self._grace = hub, grace
        self._gate = Gate(hub.access, listener)
        self._channel = hub.config.signals.ports.get(listener.endpoint, Port()).channel

    def at(self, listener: Listener) -> "SignalsFactory":
        """Return the factory for the connections of `listener`."""
        return SignalsFactory(self._hub, listener, self._grace)

    def buildProtocol(self, addr: object) -> SignalsProtocol:
        grace = self._hub.config.signals.grace if self._grace is None else self._grace
        protocol = SignalsProtocol(self._hub, self._gate, self._channel, grace)
        protocol.factory = self
        return protocol
