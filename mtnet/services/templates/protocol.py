"""The templates port: raw answers, the commands FETCH and STORE, and HTTP."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.accounts.authenticator import LOGGED
from mtnet.access.accounts.cred import Password
from mtnet.access.bans.policy import Offence
from mtnet.callbacks import noop
from mtnet.daemon.environment import Environment
from mtnet.errors import TemplateError, WireError
from mtnet.interfaces import ISignals
from mtnet.net.admission import IPeerFactory, PeerFactory
from mtnet.net.closing import StallDetector
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import COMMANDS, HTTP_METHODS, begins_with, describe
from mtnet.net.output.segments import SegmentedSender, preserves_segments
from mtnet.net.peer import Peer, abort_on_error
from mtnet.net.shared_port import Choice, SharedPortFactory
from mtnet.net.transport import StreamTransport
from mtnet.services.templates.content import too_large
from mtnet.services.templates.library import Library
from mtnet.services.templates.version import Version
from mtnet.services.templates.wire import (
    SLACK,
    BodyDecoder,
    CommandDecoder,
    Fetch,
    Store,
    counted,
    raw_prefix,
)


@implementer(IHalfCloseableProtocol)
class TemplatesProtocol(Protocol):
    """
    One-shot protocol: one answer to each connection.

    Args:
        peer: who it is, and what it may do.
        codepage: how text is read and written that is not UTF-8.
        raw: it is answered without a command.
    """

    log = Logger()
    transport: StreamTransport  # type: ignore[assignment]

    def __init__(
        self, env: Environment, peer: Peer, library: Library, codepage: str, raw: bool
    ) -> None:
        self._env, self.peer, self._is_raw = env, peer, raw
        self._settings, self._library, self._codepage = env.section, library, codepage
        self._head = b""
        self._receive: Callable[[bytes], None] = self._command
        self._ended: Callable[[], None] = self._unknown
        self._timer: IDelayedCall | None = None
        self._stall_detector: StallDetector | None = None
        self._segments: SegmentedSender | None = None
        self._peer_ended = self._lost = False

    # Called by Twisted.

    def connectionMade(self) -> None:
        self.peer.connected(self.transport, self)
        if self._is_raw:
            self._raw()
        else:  # the first bytes of a command follow in this turn
            self._decoder = CommandDecoder(codepage=self._codepage)

    @abort_on_error
    def dataReceived(self, data: bytes) -> None:
        self._receive(data)

    def readConnectionLost(self) -> None:
        self._peer_ended = True
        self._ended()

    def writeConnectionLost(self) -> None:
        if self._peer_ended:
            self._close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost = True
        self._still()
        # They refer back to this protocol: an upload, or an answer, and the connection would stay
        # in memory until a garbage collection.
        self._receive, self._ended = noop, noop
        self._segments = None
        self.peer.disconnected()

    def _late(self) -> None:
        self.peer.report_abuse(Offence.DEADLINE)
        self._unknown()

    def _unknown(self) -> None:
        # A reset: a publisher of signals would take a clean close for "all is stored".
        self._warn("begins with {head}, which is not a command", head=describe(self._head))
        self.evicted()

    # Commands.

    def _command(self, data: bytes) -> None:
        self._head = self._head or data
        try:
            command = self._decoder.feed(data)
        except (WireError, TemplateError) as error:
            self._malformed(error)
            return
        if command is not None:
            self._still()
            answers: dict[type, Callable[[Any], None]] = {Fetch: self._fetch, Store: self._store}
            answers[type(command)](command)
        else:
            if self._timer is None:
                waited = self._env.clock.seconds() - self.peer.first_byte
                self._wait(max(0.0, self._settings.word - waited), self._late)
            self.peer.mark_unauthenticated(silent=False)

    def _malformed(self, error: WireError | TemplateError) -> None:
        self.peer.report_abuse(Offence.FRAME)
        store = self._head.startswith(b"STORE ")
        # The position of the password in a malformed STORE is unknown.
        shown = f"It is a STORE ({error.code})." if store else str(error)
        self._warn("sent a command that cannot be used. {error}", error=shown)
        if store:
            self._refuse(error)
        else:
            self._close()

    # Answers with a template.

    def _raw(self) -> None:
        self._answer(self._library.default, asked=None)

    def _fetch(self, command: Fetch) -> None:
        self._answer(
            lambda: self._library.get(command.symbol, command.period, command.version),
            asked=command,
        )

    def _answer(self, find: Callable[[], Version], asked: Fetch | None) -> None:
        self._still()
        self.peer.mark_active()
        self._receive, self._ended = noop, noop
        try:
            self._demand("fetch", asked.symbol if asked else None)
            version, body = self._library.read(lambda: self._allowed(find()))
            self._send(version, body, asked)
        except TemplateError as error:
            if asked or error.code != "missing":
                self._warn("gets no template. {error}", error=str(error))
            self._close()

    def _allowed(self, version: Version) -> Version:
        self._demand("fetch", version.key.symbol)
        return version

    def _send(self, version: Version, body: bytes, asked: Fetch | None) -> None:
        key = version.key
        head = raw_prefix(key.symbol, key.period, key.platform, self._codepage)
        if asked is not None and asked.counted:
            head = counted(head, len(body))
        if preserves_segments(self.transport) and not self.peer.proxied:
            local = self.peer.local
            self._segments = SegmentedSender(self.transport, head, body, self._finish, local)
            self._ended = noop
            self.transport.registerProducer(self._segments, False)
            if not self._segments.finished:
                self.peer.linger(self._settings.progress, self._unsent)
        else:
            self.transport.write(head + body)
            self._finish()

    # Uploads.

    def _store(self, command: Store) -> None:
        limit = self._settings.max_size + SLACK
        try:
            if command.length > limit:
                raise too_large(command.length, self._settings.max_size)
            if command.login:
                self._log_in(command)
            else:
                self._authorized(command)
        except (WireError, TemplateError) as error:
            self._refuse(error)

    def _log_in(self, command: Store) -> None:
        self.peer.check_private()
        credentials = Password.decode(command.login, command.secret)
        self._receive, self._ended = self._behind, noop
        self.transport.pauseProducing()
        login = self.peer.login(credentials)
        login.addCallback(lambda _: self._authorized(command))
        login.addErrback(self._denied).addErrback(self._failed)

    def _behind(self, data: bytes) -> None:
        self._decoder.rest += data

    def _authorized(self, command: Store) -> None:
        self._demand("publish", command.symbol)
        self.peer.mark_active()
        self._upload(command)
        if command.login:
            self.transport.resumeProducing()
        if self._peer_ended:
            self._ended()

    def _denied(self, failure: Failure) -> None:
        failure.trap(WireError, TemplateError, CancelledError)
        if not failure.check(CancelledError):
            self.transport.resumeProducing()
            error = cast(WireError | TemplateError, failure.value)
            if error.code not in LOGGED:
                self._warn("may not store. {error}", error=str(error))
            self._refuse(error)

    def _upload(self, command: Store) -> None:
        body = BodyDecoder(command.length)
        self._receive = partial(self._receive_body, command, body)
        self._ended = partial(self._refuse_cut_body, command, body)
        if not self.peer.trusted:
            self._wait(self._env.config.access.body, self._upload_late)
        self._observe(lambda: body.received, self._upload_stalled)
        self._receive(self._decoder.rest)

    def _receive_body(self, command: Store, body: BodyDecoder, data: bytes) -> None:
        content = body.feed(data)
        if content is not None:
            self._take(command, content)

    def _refuse_cut_body(self, command: Store, body: BodyDecoder) -> None:
        text = f"The upload ended after {body.received} of {command.length} bytes."
        self._refuse(TemplateError("size", text))

    def _upload_stalled(self) -> None:
        self._warn("stopped within an upload")
        self.evicted()

    def _upload_late(self) -> None:
        self._warn("took too long for an upload")
        self.peer.report_abuse(Offence.DEADLINE)
        self.evicted()

    def _take(self, command: Store, content: bytes) -> None:
        self._still()
        self._receive, self._ended = noop, noop
        stored = self._env.worker()(
            self._library.store,
            command.symbol,
            command.period,
            content,
            self._env.now(),
        )
        stored.addCallbacks(self._stored, self._failed)

    def _stored(self, result: tuple[Version, bool]) -> None:
        self._reply(f"OK {result[0].version}\r\n")

    def _failed(self, failure: Failure) -> None:
        if not isinstance(failure.value, TemplateError):
            self.log.failure("A template could not be stored.", failure)
            self._refuse(TemplateError("server", "The server failed; nothing was stored."))
            return
        self._warn("uploaded what is refused. {error}", error=str(failure.value))
        self._refuse(failure.value)

    def _refuse(self, error: WireError | TemplateError) -> None:
        self._reply(f"ERR {error.code} {error}\r\n")

    def _reply(self, line: str) -> None:
        self._receive = noop
        if not self._lost:
            self.transport.write(line.encode())
            self._finish()

    # Closing.

    def _finish(self) -> None:
        """
        Half-close, and wait for the peer while the last bytes move.

        TLS has no half-close: there the close alert goes out behind the bytes.
        """
        if self._segments is None:
            self._still()
        self._ended = self._close
        self.peer.close(half=True, seconds=self._settings.progress)

    def _unsent(self) -> int:
        return 0 if self._segments is None else self._segments.unsent

    def _close(self) -> None:
        self._receive = noop
        self.transport.loseConnection()

    def evicted(self) -> None:
        """Reset the connection: others need the place, or it has failed."""
        self._receive = noop
        self._still()
        self.transport.abortConnection()

    # Helpers.

    def _demand(self, verb: str, symbol: str | None) -> None:
        rights = self.peer.rights
        if symbol is None:
            allowed = rights.any(verb, "templates")
        else:
            allowed = rights.may(verb, "templates", symbol)
        if not allowed:
            of = f" of {symbol}" if symbol else ""
            raise TemplateError("denied", f"This connection may not {verb} templates{of}.")

    def _wait(self, seconds: float, call: Callable[[], None]) -> None:
        self._still()
        self._timer = self._env.clock.callLater(seconds, call)

    def _observe(self, mark: Callable[[], object], stalled: Callable[[], None]) -> None:
        self._stall_detector = StallDetector(
            self._env.clock, self._settings.progress, mark, stalled
        )

    def _still(self) -> None:
        """Cancel the deadline and the stall detector."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._stall_detector is not None:
            self._stall_detector.stop()
            self._stall_detector = None

    def _warn(self, text: str, **fields: str) -> None:
        self.peer.warn(self.log, text, "templates: {peer} " + text, **fields)


class TemplatesFactory(PeerFactory):
    """
    Builds the connections of one listener.

    Args:
        raw: whether clients are answered without a command.
    """

    def __init__(
        self, env: Environment, listener: Listener, library: Library, raw: bool = False
    ) -> None:
        super().__init__(env, listener)
        self._library, self._raw = library, raw
        self._codepage = env.find(ISignals).codepage

    def build(self, peer: Peer) -> TemplatesProtocol:
        """Return the protocol of a connection."""
        return TemplatesProtocol(self.env, peer, self._library, self._codepage, self._raw)


class TemplatesPort(SharedPortFactory):
    """
    The templates port: commands, HTTP, and raw answers to clients that are silent.

    Args:
        site: the factory of HTTP connections.
    """

    def __init__(
        self, env: Environment, listener: Listener, library: Library, site: IPeerFactory
    ) -> None:
        settings, self._library, self._site = env.section, library, site
        super().__init__(
            env,
            listener,
            [
                Choice(begins_with(*HTTP_METHODS), site),
                Choice(begins_with(*COMMANDS), TemplatesFactory(env, listener, library)),
            ],
            silent=TemplatesFactory(env, listener, library, raw=True),
            silence=settings.grace,
            ends_silent=True,
            timeout=settings.word,
        )

    def at(self, listener: Listener) -> "TemplatesPort":
        """Return the factory for the connections of `listener`."""
        return TemplatesPort(self.env, listener, self._library, self._site)
