"""Connections that carry frames, each in its time, and no requests of web pages."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall
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


class FrameProtocol(Protocol):
    """
    Base class of connections that carry frames; nothing that they send is quoted in the log.

    A subclass has `frame`, `unreadable`, `evicted` and `stop`. It calls `begin` when it is
    connected, and `lost` at its end.

    Attributes:
        ended: nothing more is read.
    """

    log = Logger()
    transport: StreamTransport  # type: ignore[assignment]
    rate_limit: ReadRateLimit

    def __init__(self, env: Environment, peer: Peer) -> None:
        self.env, self.peer = env, peer
        self.decoder, self.ended = FrameDecoder(), False
        self._head: bytes | None = b""
        self._login: IDelayedCall | None = None
        self._deadline: IDelayedCall | None = None

    def begin(self, frames: float) -> None:
        """Read from now on at most so many frames in a second."""
        self.rate_limit = ReadRateLimit(self.transport, self.env.clock, frames)
        self.peer.connected(self.transport, self)
        self.peer.mark_unauthenticated()

    def lost(self) -> None:
        """Release everything: the connection is gone."""
        self.finish()
        self.rate_limit.stop()
        self.peer.disconnected()

    @abort_on_error
    def dataReceived(self, data: bytes) -> None:
        if self.ended or self._is_browser(data):
            return
        frames = 0
        try:
            for payload in self.decoder.feed(data):
                if self.ended:
                    return
                frames += 1
                self.frame(payload)
        except FrameError as error:
            self.peer.report_abuse(Offence.FRAME)
            self.unreadable(error)
        if not self.peer.trusted:
            self.rate_limit.spend(frames)
        self._time_frame(data, frames)

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
        self.stop_waiting_for_login()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
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

    def wait_for_login(self, late: Callable[[], str]) -> None:
        """End the connection after `access.login`; `late` says why, and empty = it may stay."""

        def judge() -> None:
            self._login = None
            why = late()
            if why:
                self.peer.report_abuse(Offence.DEADLINE)
                self.end(why)

        self._login = self.env.clock.callLater(self.env.config.access.login, judge)

    def stop_waiting_for_login(self) -> None:
        """Let the connection stay."""
        if self._login is not None:
            self._login.cancel()
            self._login = None

    def _is_browser(self, data: bytes) -> bool:
        """Return whether its first bytes are a web page's, which ends the connection."""
        if self._head is None:
            return False
        head = self._head + data[:BROWSER_HEAD]
        foreign = looks_like_browser(head)
        if foreign:
            self.peer.report_abuse(Offence.FRAME)
            self.end(f"speaks HTTP or TLS, which a web page could abuse: {describe(head)}")
        self._head = head if foreign is None else None
        return bool(foreign)

    def _time_frame(self, data: bytes, frames: int) -> None:
        """Wait no longer than allowed for the end of a frame, or behind bytes that are none."""
        waits = self.decoder.unfinished or self.decoder.unframed
        if self._deadline is not None and (frames or not waits):
            self._deadline.cancel()
            self._deadline = None
        if waits and self._deadline is None and data.strip(SEPARATORS) and not self.ended:
            self._wait_for_frame()

    def _wait_for_frame(self) -> None:
        seconds = self.env.config.access.frame
        self._deadline = self.env.clock.callLater(seconds, self._late)

    def _late(self) -> None:
        if self.rate_limit.paused:  # the rest of it waits for us
            self._wait_for_frame()
            return
        self._deadline = None
        self.peer.report_abuse(Offence.DEADLINE)
        self.end(f"sent no whole frame within {self.env.config.access.frame:g} s")
