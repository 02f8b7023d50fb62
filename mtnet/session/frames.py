"""Connections that carry frames, each in its time, and no requests of web pages."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, ISSLTransport
from twisted.internet.protocol import Protocol
from twisted.logger import Logger

from mtnet.access.bans.policy import Offence
from mtnet.daemon.environment import Environment
from mtnet.errors import FrameError
from mtnet.net.first_bytes import BROWSER_HEAD, describe, looks_like_browser
from mtnet.net.peer import Peer, abort_on_error
from mtnet.net.throttle import ReadRateLimit
from mtnet.net.transport import StreamTransport
from mtnet.session.grammar import SEPARATORS, FrameDecoder
from mtnet.session.road import FrameRoad


class FrameProtocol(Protocol):
    """
    Base class of connections that carry frames; nothing that they send is quoted in the log, unless
    a subclass does so.

    A subclass has `frame`, `unreadable`, `evicted` and `stop`. It calls `begin` when it is
    connected, and `lost` at its end.

    Attributes:
        ended: nothing more is read.
        throttle: stops reading from the connection, as others may, too.
    """

    log = Logger()
    transport: StreamTransport  # type: ignore[assignment]
    throttle: ReadRateLimit

    def __init__(self, env: Environment, peer: Peer) -> None:
        self.env, self.peer = env, peer
        self.decoder, self.ended = FrameDecoder(), False
        self._head: bytes | None = b""
        self._timer: IDelayedCall | None = None
        self._deadline: IDelayedCall | None = None

    def begin(self, frames: float) -> None:
        """Read from now on at most so many frames in a second."""
        self.throttle = ReadRateLimit(self.transport, self.env.clock, frames)
        self.peer.connected(self.transport, self)

    def lost(self) -> None:
        """Release everything: the connection is gone."""
        self.finish()
        self.throttle.stop()
        self.peer.disconnected()

    @abort_on_error
    def dataReceived(self, data: bytes) -> None:
        if self.ended or (
            self._head is not None and self._is_browser(self._head + data[:BROWSER_HEAD])
        ):
            return
        self.arrived(data)
        frames, unfinished = 0, self.decoder.unfinished
        try:
            for payload in self.decoder.feed(data):
                if self.ended:
                    return
                frames += 1
                self.frame(payload)
        except FrameError as error:
            self.peer.report_abuse(Offence.FRAME)
            self.unreadable(error)
            return
        if not self.peer.trusted:
            self.throttle.spend(frames)
        if self.decoder.unfinished:
            self._time_frame(began=frames > 0 or not unfinished)
        elif self._deadline is not None or self.decoder.unframed:
            self._time_frame(began=bool(self.decoder.unframed and data.strip(SEPARATORS)))

    def arrived(self, data: bytes) -> None:
        """Look at bytes before they are cut into frames."""

    def frame(self, payload: bytes) -> None:
        """Handle a frame."""
        raise NotImplementedError

    def unreadable(self, error: FrameError) -> None:
        """End: no further frame can be read."""
        raise NotImplementedError

    def evicted(self) -> None:
        """Go because others need the place, or because the account may do less now."""
        raise NotImplementedError

    def stop(self) -> None:
        """Release what the subclass has; called once or more."""

    def finish(self) -> None:
        """Read nothing more, and wait for nothing."""
        self.ended = True
        self.stop_waiting()
        self._stop_deadline()
        self.stop()

    def end(self, why: str, kind: str = "end") -> None:
        """Reset the connection, with one line in the log."""
        if not self.ended:
            self.finish()
            self.warn(why, kind)
            self.transport.abortConnection()

    def warn(self, what: str, kind: str) -> None:
        """Log a warning about the peer, at a limited rate."""
        kind = f"{self.peer.listener.service} {kind}"
        self.peer.warn(self.log, kind, "{service}: {peer} {what}", what=what)

    def wait(self, seconds: float, then: Callable[[], None]) -> None:
        """Call `then` after some time, in place of what was waited for before."""
        self.stop_waiting()
        self._timer = self.env.clock.callLater(seconds, self._waited, then)

    def wait_for_login(self, late: Callable[[], str]) -> None:
        """End the connection after `access.login`; `late` says why, and empty = it may stay."""

        def judge() -> None:
            why = late()
            if why:
                self.peer.report_abuse(Offence.DEADLINE)
                self.end(why)

        self.wait(self.env.config.access.login, judge)

    def stop_waiting(self) -> None:
        """Let nothing happen when more time passes, but for the deadline of a frame."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def late(self) -> str:
        """Return why the connection ends whose frame is late."""
        return f"sent no whole frame within {self.env.config.access.frame:g} s"

    def _waited(self, then: Callable[[], None]) -> None:
        self._timer = None
        then()

    def _is_browser(self, head: bytes) -> bool:
        """Return whether its first bytes are a web page's, which ends the connection."""
        foreign = looks_like_browser(head)
        if foreign:
            self.peer.report_abuse(Offence.FRAME)
            self.end(f"speaks HTTP or TLS, which a web page could abuse: {describe(head)}")
        self._head = head if foreign is None else None
        return bool(foreign)

    def _time_frame(self, began: bool) -> None:
        """Wait no longer than allowed for the end of a frame, or behind bytes that are none."""
        if began or not (self.decoder.unfinished or self.decoder.unframed):
            self._stop_deadline()
        if began and not self.ended:
            self._wait_for_frame()

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _wait_for_frame(self) -> None:
        seconds = self.env.config.access.frame
        self._deadline = self.env.clock.callLater(seconds, self._frame_is_late)

    def _frame_is_late(self) -> None:
        self._deadline = None
        if self.throttle.paused:  # the rest of it waits for us
            self._wait_for_frame()
            return
        self.peer.report_abuse(Offence.DEADLINE)
        self.end(self.late())


class SessionConnection(FrameRoad, FrameProtocol):
    """Base class of connections that are the road of a session of frames."""

    _peer_ended = False

    def session_welcomed(self) -> None:
        """Read messages as long as those of a session may be."""
        self.decoder.expect_session()

    def writeConnectionLost(self) -> None:
        """Our half is closed; the peer closes its own."""

    def session_ended(self) -> None:
        """
        Close behind what is on its way, as long as it moves.

        Only our half: a close of both, with bytes of the peer unread, would be a reset that
        takes what we said last out of the peer's hands.
        """
        self.finish()
        half = not self._peer_ended
        if half and not ISSLTransport.providedBy(self.transport):
            self.transport.resumeProducing()  # the disk may have been behind
        self.peer.close(half)
