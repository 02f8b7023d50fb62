"""The templates port: raw answers, FETCH and STORE, and HTTP beside them."""

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    ISSLTransport,
    ITransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.accounts.authenticator import LOGGED
from mtnet.access.accounts.cred import Password
from mtnet.access.bans.policy import Offence
from mtnet.callbacks import noop
from mtnet.daemon.environment import Environment
from mtnet.errors import TemplateError, WireError
from mtnet.interfaces import IListenerAware, ISignals, ITemplates
from mtnet.net.closing import StallDetector, unacknowledged
from mtnet.net.endpoints import Listener, host_of, show
from mtnet.net.first_bytes import COMMANDS, HTTP_METHODS, can_become, describe, starts_with
from mtnet.net.output.direct import end_half
from mtnet.net.output.segments import SegmentedSender, preserves_segments
from mtnet.net.peer import ListenerAccess, Peer, abort_on_error
from mtnet.net.transport import StreamTransport, innermost
from mtnet.services.templates.content import too_large
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
    One connection: one answer, or any number of HTTP requests.

    Args:
        peer: who it is, and what it may do.
        site: whose channels speak HTTP.
        raw: whether a client that is silent is answered.
    """

    log = Logger()
    transport: StreamTransport  # type: ignore[assignment]

    def __init__(self, env: Environment, peer: Peer, site: IProtocolFactory, raw: bool) -> None:
        self._env, self._peer, self._site, self._answers_silence = env, peer, site, raw
        self._settings = env.section
        self._head = b""
        self._receive: Callable[[bytes], None] = self._first
        self._ended: Callable[[], None] = self._close
        self._channel: IProtocol | None = None
        self._timer: IDelayedCall | None = None
        self._stall_detector: StallDetector | None = None
        self._segments: SegmentedSender | None = None
        self._peer_ended = self._lost = False

    # What Twisted calls.

    def connectionMade(self) -> None:
        self._peer.connected(self.transport, self._abort)
        self._peer.mark_unauthenticated()
        if not self._answers_silence:
            return
        self._ended = self._raw
        if self._settings.grace:
            self._wait(self._settings.grace, self._raw)
        else:
            self._raw()

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
        # What these hold of an upload would otherwise stay until the garbage is collected.
        self._receive, self._ended = noop, noop
        self._peer.disconnected()
        if self._channel is not None:
            self._channel.connectionLost(reason)

    # The first bytes.

    def _first(self, data: bytes) -> None:
        if not self._head:
            self._ended = self._unknown
            self._wait(self._settings.word, self._late)
        self._head += data
        if starts_with(self._head, HTTP_METHODS):
            self._http()
        elif starts_with(self._head, COMMANDS):
            self._commanded()
        elif not can_become(self._head, (*HTTP_METHODS, *COMMANDS)):
            self._peer.report_abuse(Offence.FRAME)
            self._unknown()
        else:
            self._peer.mark_unauthenticated(silent=False)

    def _late(self) -> None:
        self._peer.report_abuse(Offence.DEADLINE)
        self._unknown()

    def _unknown(self) -> None:
        # A reset: to a publisher of signals a clean close would say that all is stored.
        self._warn("begins with {head}, which is no command", head=describe(self._head))
        self._abort()

    # HTTP.

    def _http(self) -> None:
        self._still()
        self._peer.disconnected()  # it is the site's now
        channel = self._site.buildProtocol(self.transport.getPeer())
        if channel is None:
            self._close()
            return
        self._channel, self._receive = channel, channel.dataReceived
        self._ended = IHalfCloseableProtocol(channel).readConnectionLost
        channel.makeConnection(ITransport(self.transport))
        channel.dataReceived(self._head)

    # Commands.

    def _commanded(self) -> None:
        self._decoder = CommandDecoder(codepage=self._env.find(ISignals).codepage)
        self._receive = self._command
        self._command(self._head)

    def _command(self, data: bytes) -> None:
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
            self._peer.mark_unauthenticated(silent=False)

    def _malformed(self, error: WireError | TemplateError) -> None:
        self._peer.report_abuse(Offence.FRAME)
        store = self._head.startswith(b"STORE ")
        # Where in a malformed STORE the password stands, nobody knows.
        shown = f"It is a STORE ({error.code})." if store else str(error)
        self._warn("sent a command that cannot be used. {error}", error=shown)
        if store:
            self._refuse(error)
        else:
            self._close()

    # Answers with a template.

    def _raw(self) -> None:
        self._answer(self._env.find(ITemplates).library.default, asked=None)

    def _fetch(self, command: Fetch) -> None:
        self._answer(
            lambda: self._env.find(ITemplates).library.get(
                command.symbol, command.period, command.version
            ),
            asked=command,
        )

    def _answer(self, find: Callable[[], Version], asked: Fetch | None) -> None:
        self._still()
        self._peer.mark_active()
        self._receive = noop
        try:
            self._demand("fetch", asked.symbol if asked else None)
            version, body = self._env.find(ITemplates).library.read(lambda: self._allowed(find()))
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
        head = raw_prefix(key.symbol, key.period, key.platform, self._env.find(ISignals).codepage)
        if asked is not None and asked.counted:
            head = counted(head, len(body))
        if preserves_segments(self.transport) and not self._peer.proxied:
            local = self._peer.local
            self._segments = SegmentedSender(self.transport, head, body, self._finish, local)
            self._ended = noop
            self.transport.registerProducer(self._segments, False)
            if not self._segments.finished:
                self._observe(self._progress, self._stalled)
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
        self._peer.check_private()
        credentials = Password.decode(command.login, command.secret)
        self._receive, self._ended = self._behind, noop
        self.transport.pauseProducing()
        login = self._peer.login(credentials)
        login.addCallback(lambda _: self._authorized(command))
        login.addErrback(self._denied).addErrback(self._failed)

    def _behind(self, data: bytes) -> None:
        self._decoder.rest += data

    def _authorized(self, command: Store) -> None:
        self._demand("publish", command.symbol)
        self._peer.mark_active()
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

        def receive(data: bytes) -> None:
            content = body.feed(data)
            if content is not None:
                self._take(command, content)

        def ended() -> None:
            text = f"The upload ended after {body.received} of {command.length} bytes."
            self._refuse(TemplateError("size", text))

        def stalled() -> None:
            self._warn("stopped within an upload")
            self._abort()

        def late() -> None:
            self._warn("took too long for an upload")
            self._peer.report_abuse(Offence.DEADLINE)
            self._abort()

        self._receive, self._ended = receive, ended
        if not self._peer.trusted:
            self._wait(self._env.config.access.body, late)
        self._observe(lambda: body.received, stalled)
        receive(self._decoder.rest)

    def _take(self, command: Store, content: bytes) -> None:
        self._still()
        self._receive, self._ended = noop, noop
        stored = self._env.worker()(
            self._env.find(ITemplates).library.store,
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

    # The end.

    def _finish(self) -> None:
        """
        Half-close, and wait for the peer while the last bytes move.

        TLS has no half-close: there the close alert goes out behind the bytes.
        """
        if self._segments is None:
            self._still()
        self._ended = self._close
        if self._stall_detector is None:  # else it has watched the pieces, and goes on
            self._observe(self._progress, self._stalled)
        if self._segments is None and ISSLTransport.providedBy(self.transport):
            self.transport.loseConnection()
        else:
            end_half(self.transport)

    def _progress(self) -> object:
        return self._segments and self._segments.sent, unacknowledged(self.transport)

    def _stalled(self) -> None:
        if unacknowledged(self.transport) or (self._segments and not self._segments.finished):
            self._abort()
        else:
            innermost(self.transport).loseConnection()

    def _close(self) -> None:
        self._receive = noop
        self.transport.loseConnection()

    def _abort(self) -> None:
        self._receive = noop
        self._still()
        self.transport.abortConnection()

    # Small things.

    def _demand(self, verb: str, symbol: str | None) -> None:
        rights = self._peer.rights
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
        """Stop every clock of this connection."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._stall_detector is not None:
            self._stall_detector.stop()
            self._stall_detector = None

    def _warn(self, text: str, **fields: str) -> None:
        peer = self.transport.getPeer()
        if self._env.log.admits(host_of(peer), self._env.clock.seconds(), text):
            self.log.warn("Templates: {peer} " + text, peer=show(peer), **fields)


@implementer(IListenerAware)
class TemplatesFactory(Factory):
    """
    Args:
        site: the factory of HTTP connections; it is asked for its own `at(listener)`.
        raw: whether clients that are silent are answered.
    """

    noisy = False

    def __init__(
        self, env: Environment, site: IProtocolFactory, listener: Listener, raw: bool = True
    ) -> None:
        self._env, self._access, self._raw = env, ListenerAccess(env, listener), raw
        self._site = IListenerAware(site).at(listener)

    def at(self, listener: Listener) -> "TemplatesFactory":
        """Return the factory for the connections of `listener`."""
        return TemplatesFactory(self._env, self._site, listener, self._raw)

    def buildProtocol(self, addr: IAddress | None) -> TemplatesProtocol | None:
        peer = self._access.admit(addr)
        if peer is None:
            return None
        return TemplatesProtocol(self._env, peer, self._site, self._raw)
