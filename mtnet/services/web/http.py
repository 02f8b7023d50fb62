"""
The HTTP connection below the resources: limits, guards against foreign web pages, and answers.

A browser must not let a foreign web page use the rights of this machine: a request that a page of
another origin made is refused. So is one with an unknown `Host`: a name that was rebound to a
loopback address makes a foreign page look like our own (DNS rebinding).
"""

import re
from collections.abc import Callable, Mapping
from functools import cached_property, lru_cache, partial
from io import BytesIO
from ipaddress import ip_address
from operator import methodcaller
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, ITransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Site
from zope.interface import implementer

from mtnet.access.accounts.identity import Identity
from mtnet.access.bans.policy import Offence
from mtnet.access.rights import NOTHING
from mtnet.daemon.environment import Environment
from mtnet.errors import HttpError, JournalError, MtnetError, WireError, quote
from mtnet.net.admission import PeerFactory
from mtnet.net.closing import PROGRESS, unacknowledged
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import TLS_RECORD
from mtnet.net.http.errors import http_error
from mtnet.net.http.long_poll import LongPoll
from mtnet.net.http.route import JSON_HEADERS, BodyLimit, Stream, json_bytes
from mtnet.net.http.router import Router
from mtnet.net.http.stream import StreamProducer
from mtnet.net.output.direct import write_at_once
from mtnet.net.peer import Peer, abort_on_error
from mtnet.net.tls.handshake import SecureTransport
from mtnet.net.transport import StreamTransport
from mtnet.redact import PathRedactor
from mtnet.services.web.credentials import HEADERS, NO_PROMPT, PLAIN, credentials
from mtnet.services.web.logins import cookie
from mtnet.services.web.logins.registry import Session, Sessions
from mtnet.services.web.plain_request import (
    COMMON,
    PlainRequest,
    fixed_head,
    segments,
    split_target,
)

IDLE = 30.0
"""Seconds for a request's headers from the last answer on, and between two bytes of its body."""
TOO_LONG = "A request line and its headers may have 16,384 bytes together."
ALLOWED = b"Access-Control-Allow-Origin"
"""Only for the pages of `web.origins`, and never with cookies."""
EXPOSED = b"ETag, Retry-After, X-Period, X-Symbol"
"""Headers that these pages may read."""
PREFLIGHT = {
    b"Access-Control-Allow-Methods": b"GET, HEAD, PUT, POST, DELETE",
    b"Access-Control-Allow-Headers": b"Authorization, Content-Type, If-None-Match",
    b"Access-Control-Max-Age": b"600",
}
"""The answer to the question of their browsers whether they may ask."""

CLOSING = (*JSON_HEADERS.items(), (b"Connection", b"close"))
"""Headers of an answer before the end of its request."""

_SAME_PAGE = frozenset({"same-origin", "none"})
"""`Sec-Fetch-Site` of our own pages, and of an address that a person typed."""
_as_text = methodcaller("decode", "latin-1")
_TOKEN = re.compile(rb"[0-9A-Fa-f]{16,}")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^][:/@\s]+)(:[0-9]{1,5})?", re.ASCII)


@implementer(IHalfCloseableProtocol)
class ApiChannel(HTTPChannel):
    """One HTTP connection, with a deadline for headers and body, but none for slow readers."""

    log = Logger()
    site: "ApiSite"
    peer: Peer
    transport: StreamTransport  # type: ignore[assignment]
    request_line = b""
    _head_size = _left = 0
    _asked = False
    _ahead: bytes | None = None
    _successor: Protocol | None = None
    _session: Session | None = None

    @abort_on_error
    def dataReceived(self, data: bytes) -> None:
        """Read a request, or pass bytes on to the protocol that has the connection now."""
        if self._successor is not None:
            self._successor.dataReceived(data)
        elif self._asked or not data.startswith(TLS_RECORD):
            super().dataReceived(data)
        else:
            self._refuse_tls()

    def _refuse_tls(self) -> None:
        """Reset at once: a client that waits for a handshake would wait for the deadline."""
        self.peer.report_abuse(Offence.FRAME)
        self.peer.warn(
            self.log, "tls", "HTTP: {peer} begins with a TLS handshake, and this port has no TLS"
        )
        self.transport.abortConnection()

    def lineReceived(self, line: bytes) -> None:
        """Note the request line, which tells the limit of the body, and count the bytes."""
        if not self.requests:
            self.request_line, self._head_size = line, 0
        self._head_size += len(line)
        if self._head_size > self.totalHeadersSize:
            self.lineLengthExceeded(line)
        else:
            super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        """Keep what comes behind a request to upgrade until that is decided."""
        if self._successor is not None:
            self._successor.dataReceived(data)
        elif self._ahead is not None:
            self._ahead += data
        else:
            super().rawDataReceived(data)

    def expect_upgrade(self) -> None:
        """Read nothing more until a request to upgrade is decided; a refusal closes."""
        self._ahead, self.persistent = b"", False
        self.transport.pauseProducing()

    def hand_over(self, protocol: Protocol, session: Session | None) -> None:
        """
        Give the connection to another protocol: nothing of HTTP follows on it.

        Args:
            session: with which it ends; None = none.
        """
        if session is not None:
            self._session = session
            self.site.logins.watch(session, self.peer)
        self.setTimeout(None)
        self.requests.clear()
        self.transport.unregisterProducer()
        self._successor, ahead = protocol, self._ahead
        protocol.makeConnection(ITransport(self.transport))
        self.transport.resumeProducing()
        if ahead:
            protocol.dataReceived(ahead)

    def connectionMade(self) -> None:
        self.peer.connected(self.transport, self)
        self.peer.mark_unauthenticated()
        if isinstance(self.transport, Connection):  # else there are no buffers to go past
            self.write = partial(write_at_once, self.transport)  # type: ignore[method-assign]
        super().connectionMade()
        self.setTimeout(self.site.env.config.access.header)

    def evicted(self) -> None:
        """Go because others need the place, or because the account may do less now."""
        self.transport.abortConnection()

    def allHeadersReceived(self) -> None:
        """Set the deadline of the body; its bytes do not extend it."""
        self._asked = True
        self.peer.mark_active()
        self.setTimeout(self.site.env.config.access.body)
        super().allHeadersReceived()

    def requestDone(self, request: "ApiRequest") -> None:
        """Wait for the next request."""
        self._savedTimeOut = IDLE
        super().requestDone(request)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Answer 431 to a request line or a header that is too long."""
        self.peer.report_abuse(Offence.FRAME)
        self.cut_off(431, "headers", TOO_LONG)
        self.loseConnection()

    def cut_off(self, status: int, code: str, sentence: str) -> None:
        """Answer before the end of a request, whose rest is dropped."""
        body = json_bytes(_error(code, sentence))
        length = b"Content-Length: %d\r\n\r\n" % len(body)
        self.write(fixed_head(b"HTTP/1.1", status, CLOSING) + length + body)

    def pauseProducing(self) -> None:
        """Also stop reading requests, while an answer waits for a slow reader."""
        self.paused = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """Read on."""
        self.paused = False
        super().resumeProducing()
        self.dataReceived(b"")

    def readConnectionLost(self) -> None:
        """
        The client sends no more requests: finish the answers, then close.

        A client that has given up looks the same: a request that waits would be held for nobody.
        """
        if self._successor is not None:
            IHalfCloseableProtocol(self._successor).readConnectionLost()
            return
        self.persistent = False
        if not any(request.whole for request in self.requests):
            self.loseConnection()
        for request in self.requests[:1]:
            request.wait_no_longer()

    def writeConnectionLost(self) -> None:
        """Never asked for."""

    def resetTimeout(self) -> None:
        """Keep the deadline: it counts from an answer or a header, not from a byte."""

    def timeoutConnection(self) -> None:
        """Extend the deadline while a slow reader still takes an answer."""
        before, self._left = self._left, unacknowledged(self.transport)
        if self._left == before:
            if not self._asked:
                self.peer.report_abuse(Offence.DEADLINE)
            self.loseConnection()
        else:
            self.setTimeout(self.timeOut)

    def loseConnection(self) -> None:
        """Close; reset the connection if the peer does not take the last bytes."""
        super().loseConnection()
        if not isinstance(self.transport, SecureTransport):
            self.peer.close(seconds=self.site.stall_timeout)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._session is not None:
            self.site.logins.unwatch(self._session, self.peer)
        if self._successor is not None:
            self._successor.connectionLost(reason)
            return
        self.peer.disconnected()
        super().connectionLost(reason)


class ApiRequest(PlainRequest):
    """
    One request.

    Attributes:
        gone: the client has left.
        rights: of the client.
        identity: of the client; None = it has not logged in.
        login_session: by whose cookie it has logged in; None = by none.
        whole: all of it has arrived.
    """

    log = Logger()
    defaultContentType = None
    channel: ApiChannel

    def __init__(self, channel: ApiChannel, *options: object) -> None:
        super().__init__(channel, *options)
        # Twisted takes the channel away when the client leaves.
        self._site, self.peer = channel.site, channel.peer
        self.gone = self.whole = self._cut = False
        self.identity: Identity | None = None
        self.login_session: Session | None = None
        self.rights = NOTHING
        self._received = 0
        self._closing: IDelayedCall | None = None
        self._poll: LongPoll | None = None
        self._stream: StreamProducer | None = None

    def gotLength(self, length: int | None) -> None:
        """Refuse a body before it is read, if its length is known; None = chunked."""
        self.content = BytesIO()
        encodings = self.requestHeaders.getRawHeaders(b"Transfer-Encoding")
        if encodings and [each.strip().lower() for each in encodings] != [b"chunked"]:
            # Twisted ignores `identity`; a proxy in front may end the body elsewhere.
            self._cut_off(400, "frame", "Transfer-Encoding is chunked here, and given once.")
        elif length and length > self._limit.size:
            self._too_large(f"{length} bytes")

    @cached_property
    def _limit(self) -> BodyLimit:
        method, path = (*self.channel.request_line.split(b" "), b"")[:2]
        _, path = split_target(path)
        return self._site.root.limit_of(method, segments(path.partition(b"?")[0]))

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a piece of the body, or drop it once the body is too large."""
        self._received += len(data)
        if self._cut:
            return
        if self._received > self._limit.size:
            self._too_large(f"{self._received} bytes or more")
        else:
            self.content.write(data)

    def process(self) -> None:
        """Check origin and credentials, then answer."""
        self.whole, peer = True, self.peer
        if self._cut:
            self.channel.loseConnection()
            return
        if self.requestHeaders.hasHeader(b"Upgrade") and any(
            "websocket" in each.lower() for each in _texts(self, b"Upgrade")
        ):
            self.channel.expect_upgrade()
        self.identity, self.rights = peer.identity, peer.rights
        try:
            self._check_page()
            said = self.requestHeaders.hasHeader(b"Authorization")
            shown = credentials(self, peer) if said else None
        except (HttpError, WireError) as error:
            refused = _refusal(error)
            self.refuse(refused, logged=(refused.status, refused.code) == PLAIN)
            return
        if self.method == b"OPTIONS" and self.responseHeaders.hasHeader(ALLOWED):
            self.reply(204, b"", PREFLIGHT)
            return
        if shown is None:
            if self.requestHeaders.hasHeader(b"Cookie"):
                self._recognize_session()
            self.render_by(self._site.root)
            return
        proof = peer.verify(shown)
        proof.addCallbacks(self._known, self._unknown).addErrback(self.processingFailed)

    def hand_over(self, protocol: Protocol) -> None:
        """Give the connection, with the login of this request, to another protocol."""
        if self.identity is not None:
            self.peer.become(self.identity)
        self.channel.hand_over(protocol, self.login_session)

    def _recognize_session(self) -> None:
        """
        Take the login of the page's cookie, where nobody else can have sent it.

        Pages on another port of the same host are the same site for SameSite: only the browser's
        own word keeps their requests from the cookie. It never serves pages of `web.origins`.
        """
        if not self.peer.private or self.responseHeaders.hasHeader(ALLOWED):
            return
        if not _SAME_PAGE.issuperset(_texts(self, b"Sec-Fetch-Site")):
            return
        sessions = self._site.logins
        found = sessions.find(cookie.read(_texts(self, b"Cookie"), self.isSecure()))
        identity = None if found is None else sessions.identity(found)
        if identity is not None:
            self.login_session = found
            self.identity, self.rights = identity, self.peer.rights_of(identity)

    def demand(self, verb: str, service: str, name: str | None = None) -> None:
        """
        Check a right of the client.

        Args:
            name: of the thing; None = of any.

        Raises:
            HttpError: 401 if a login could give the right, else 403.
        """
        if self.rights.any(verb, service) if name is None else self.rights.may(verb, service, name):
            return
        thing = verb + (f":{service}" if service else "") + (f"/{name}" if name else "")
        if self._can_log_in:
            raise HttpError(401, "login", f"This needs a login with the right {thing}.")
        raise HttpError(403, "denied", f"There is no right {thing} here.")

    def demand_login(self) -> None:
        """
        Check that the client has logged in: trusted loopback is not enough.

        Raises:
            HttpError: 401 if it could, else 403.
        """
        if self.identity is not None:
            return
        if self._can_log_in:
            raise HttpError(401, "login", "This needs a login, on loopback too.")
        raise HttpError(403, "denied", "This needs a login, and nobody can log in here.")

    @property
    def _can_log_in(self) -> bool:
        accounts = self._site.env.access.accounts
        return self.identity is None and self.peer.private and not accounts.empty

    def wait(
        self,
        seconds: float,
        answer: Callable[[], Any],
        subscribe: Callable[[Callable[..., None]], Callable[[], object]],
    ) -> "Deferred[Any]":
        """Wait for news; see `mtnet.net.http.route.HttpRequest`."""
        poll = LongPoll(self._site.env.clock, seconds, answer, lambda: release())
        release = subscribe(poll.notify)
        self._hold(poll)
        return poll.deferred

    def _hold(self, poll: LongPoll) -> None:
        """Let a long poll know when the client leaves, and when its account changes."""
        if self.gone:
            poll.leave()
            return
        self._poll = poll
        if self.identity is not None:
            self._site.env.access.accounts.watch(self.identity.name, poll)
        if self.login_session is not None:
            self._site.logins.watch(self.login_session, poll)

    def wait_no_longer(self) -> None:
        """Answer now, if it waits for news."""
        if self._poll is not None:
            self._poll.notify()

    def _release(self, poll: LongPoll) -> None:
        if self.identity is not None:
            self._site.env.access.accounts.unwatch(self.identity.name, poll)
        if self.login_session is not None:
            self._site.logins.unwatch(self.login_session, poll)
        poll.leave()
        self._poll = None

    def _known(self, identity: Identity) -> None:
        self.identity, self.rights = identity, self.peer.rights_of(identity)
        if not self.gone:
            self.render_by(self._site.root)

    def _unknown(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            failure.trap(WireError)
            self.refuse(_refusal(cast(WireError, failure.value)), logged=True)

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer 500; the traceback goes to the log only."""
        self.log.failure("A request failed.", reason)
        self.peer.report_abuse(Offence.ERROR, reason.value)
        self.reply_json(500, _error("server", "The server failed."))
        return reason

    def connectionLost(self, reason: Failure) -> None:
        self.gone = True
        if self._poll is not None:
            self._release(self._poll)
        if self._stream is not None:
            self._stream.stopProducing()
        if self._closing is not None and self._closing.active():
            self._closing.cancel()
        super().connectionLost(reason)

    def reply(self, status: int, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        """Answer; HEAD, 204 and 304 leave the body out by themselves."""
        if self.gone:
            return
        if self._poll is not None:
            self._release(self._poll)
        self.answer(status, body, headers)

    def reply_stream(self, stream: Stream) -> None:
        """Answer in chunks, as long as the client reads; HTTP/1.0 ends them with the connection."""
        chunks = stream.chunks
        if self.gone or self.method == b"HEAD":
            getattr(chunks, "close", bool)()
            chunks = iter(())
        if self.gone:
            return
        if self._poll is not None:
            self._release(self._poll)
        headers = {**COMMON, b"Content-Type": stream.type.encode(), **stream.headers}
        for name, value in headers.items():
            self.setHeader(name, value)
        self._stream = StreamProducer(self, chunks)
        self._stream.start()

    def break_off(self, reason: Failure) -> None:
        """Reset the connection: the client must not take a part of an answer for the whole."""
        if reason.check(JournalError):
            self.log.error("A streamed answer was broken off: {error}", error=reason.value)
        else:
            self.log.failure("A streamed answer failed.", reason)
        if not self.gone:
            self.channel.transport.abortConnection()

    def reply_json(self, status: int, value: object, headers: Mapping[bytes, bytes] = {}) -> None:
        """Answer with JSON."""
        self.reply(status, json_bytes(value), {**JSON_HEADERS, **headers})

    def refuse(self, error: HttpError, logged: bool = False) -> None:
        """
        Answer with an error, and log it, also when the client has left.

        Args:
            logged: the log of logins has it already.
        """
        if not logged:
            self._warn(error)
        for name, value in HEADERS.get(error.status, {}).items():
            self.setHeader(name, value)
        if error.status == 401 and _texts(self, b"Sec-Fetch-Dest") == ["empty"]:
            self.setHeader(*NO_PROMPT)
        text = self._site.redactor.text(str(error))
        self.reply_json(error.status, _error(error.code, text))

    def _check_page(self) -> None:
        """
        Check that no foreign web page made the request.

        Raises:
            HttpError: `host` or `origin`.
        """
        headers, target = self.requestHeaders, self.authority
        hosts = headers.getRawHeaders(b"Host", ())
        own, names = getattr(self.host, "host", ""), self._site.names
        if (
            len(hosts) > 1
            or (hosts and not _is_ours(hosts[0], own, names))
            or (target is not None and not _is_ours(target, own, names))
        ):
            raise HttpError(
                403,
                "host",
                "The Host, or that of the request target, is neither this address, localhost, nor "
                "one of web.hosts.",
            )
        if headers.hasHeader(b"Origin") or headers.hasHeader(b"Sec-Fetch-Site"):
            named = b"".join(hosts) if target is None else target
            self._check_origin(named.decode("latin-1"))

    def _check_origin(self, own: str) -> None:
        origins = [each.lower() for each in _texts(self, b"Origin")]
        if origins and self._site.origins.issuperset(origins):
            self.setHeader(ALLOWED, origins[0].encode("latin-1"))
            self.setHeader(b"Vary", b"Origin")
            self.setHeader(b"Access-Control-Expose-Headers", EXPOSED)
            return
        schemes = ("https",) if self.isSecure() else ("http", "https")  # behind a proxy
        allowed = [f"{scheme}://{own.lower()}" for scheme in schemes if own]
        foreign = any(each not in allowed for each in origins)
        if foreign or "cross-site" in _texts(self, b"Sec-Fetch-Site"):
            raise HttpError(403, "origin", "Pages of another origin may not ask here.")

    def _warn(self, error: HttpError) -> None:
        """Log a refusal, rate-limited for each peer."""
        self.peer.warn(
            self.log,
            error.code,
            "HTTP: {peer} is refused {method} {uri}. {error}",
            method=quote(self.method),
            uri=quote(_shown(self.uri)),
            error=error.logged,
        )

    def _too_large(self, size: str) -> None:
        self._cut_off(413, "size", f"The body has {size}, and {self._limit.reason}.")

    def _cut_off(self, status: int, code: str, sentence: str) -> None:
        """
        Answer before the end of the body, drop the rest of it for a while, then close.

        An immediate close would reset the connection before the client reads the answer.
        """
        self._cut = True
        self.content = BytesIO()
        self.requestHeaders.removeHeader(b"Expect")
        site = self.channel.site
        self.channel.cut_off(status, code, sentence)
        self._closing = site.env.clock.callLater(site.stall_timeout, self.channel.loseConnection)


class ApiSite(PeerFactory, Site):  # type: ignore[misc]
    """
    The factory of HTTP connections.

    Args:
        root: the resources and their limits; shared by the sites of all listeners.
        sessions: the logins of the page.

    Attributes:
        names: hosts that a request may name.
        origins: sites whose pages may ask, in lower case.
        redactor: removes the folders of this machine from errors.
    """

    noisy = False
    protocol = ApiChannel  # type: ignore[assignment]

    def __init__(
        self, env: Environment, root: Router, listener: Listener, sessions: Sessions
    ) -> None:
        PeerFactory.__init__(self, env, listener)
        Site.__init__(
            self,
            root,
            requestFactory=ApiRequest,
            parsePOSTFormSubmission=False,
            reactor=env.clock,
            timeout=IDLE,
        )
        self.env, self.root, self.logins = env, root, sessions
        self.stall_timeout = root.stall_timeout or PROGRESS
        self.names = frozenset({"localhost", *map(_canonical, env.section.hosts)})
        self.origins = {origin.lower() for origin in env.section.origins}
        self.redactor = PathRedactor(Path(env.config.data))

    def at(self, listener: Listener) -> "ApiSite":
        """Return the factory for the connections of `listener`."""
        return ApiSite(self.env, self.root, listener, self.logins)

    def build(self, peer: Peer) -> ApiChannel:
        """Return the channel of a connection."""
        channel = cast(ApiChannel, Site.buildProtocol(self, None))
        channel.peer = peer
        return channel

    # There is no access log.

    def log(self, request: object) -> None:
        pass

    def startFactory(self) -> None:
        pass

    def stopFactory(self) -> None:
        pass

    def acceptableProtocols(self) -> list[bytes]:
        return [b"http/1.1"]


def _refusal(error: MtnetError) -> HttpError:
    found = http_error(error)
    assert found is not None
    return found


def _texts(request: ApiRequest, name: bytes) -> list[str]:
    """Return the values of a header, decoded as Latin-1."""
    return [*map(_as_text, request.requestHeaders.getRawHeaders(name, []))]


def _shown(uri: bytes) -> bytes:
    """Return the part of a URI that may be logged: no query, `name:password@`, or token in it."""
    path = _TOKEN.sub(b"...", uri.partition(b"?")[0])
    return path.rpartition(b"@")[2] if b"://" in path else path


@lru_cache(64)
def _is_ours(named: bytes, own: str, names: frozenset[str]) -> bool:
    """
    Return whether a host is the address of the connection, or has one of our names.

    Args:
        named: as it stands in a header, perhaps with a port.
        own: the address.
    """
    parts = _HOST.fullmatch(named.decode("latin-1").lower())
    found = _canonical(parts[1].strip("[]")) if parts else ""
    return found in names or found == _canonical(own)


@lru_cache(64)
def _canonical(host: str) -> str:
    try:
        address = ip_address(host)
    except ValueError:
        return host.lower().rstrip(".")
    return str(getattr(address, "ipv4_mapped", None) or address)


def _error(code: str, sentence: str) -> dict[str, str]:
    return {"error": code, "text": sentence}
