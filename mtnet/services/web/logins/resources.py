"""Login and logout of the page, and its sessions (`docs/http.md`)."""

from itertools import islice
from typing import Annotated, Any

from msgspec import Meta, Struct
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mtnet.access.accounts.cred import Password
from mtnet.access.accounts.identity import Identity
from mtnet.access.accounts.model import digest, is_token
from mtnet.access.rights import ADMIN
from mtnet.daemon.environment import Worker
from mtnet.errors import HttpError, WireError
from mtnet.net.http.route import Answer, HttpRequest, Route
from mtnet.services.web.credentials import PLAIN
from mtnet.services.web.logins import cookie
from mtnet.services.web.logins.registry import Session, Sessions
from mtnet.services.web.logins.store import SessionStore

AGENT = 100
"""Characters of what a program calls itself."""
MAX_ROWS, ROWS = 1_000, 200
"""Sessions in one answer, at most and usually: a thousand take some 6 ms."""
SessionId = Annotated[str, Meta(pattern="^[0-9a-f]{8}$", examples=["0a1b2c3d"])]


class Login(Struct):
    """A login, and its password or a token."""

    login: Annotated[str, Meta(min_length=1, max_length=100)]
    password: Annotated[str, Meta(min_length=1, max_length=128)]


class LoggedIn(Struct):
    """
    A login that was accepted.

    Attributes:
        rights: as texts, such as `follow:signals/gold`.
        until: when it ends by itself, milliseconds since the Unix epoch, UTC.
    """

    login: str
    rights: list[str]
    until: int


class Whom(Struct):
    """
    As whom a client has logged in, and what it may do.

    Attributes:
        login: None = it has not.
        rights: as texts, such as `follow:signals/gold`; those of its address without a login.
    """

    login: str | None
    rights: list[str]


class SessionRow(Struct):
    """
    A session.

    Attributes:
        since: when it began, milliseconds since the Unix epoch, UTC.
        until: when it ends by itself.
        host: the address that it began at.
        agent: the program, as it names itself.
        current: it is the one that asks.
    """

    id: str
    login: str
    since: int
    until: int
    host: str
    agent: str
    current: bool


class SessionQuery(Struct):
    """Names a session; absent = all of one's own."""

    id: SessionId | None = None


class SessionsQuery(Struct):
    """Asks for sessions, newest first; `after` is the last one of the answer before."""

    after: SessionId | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = ROWS


class LoginResources:
    """
    The routes of sessions.

    Args:
        worker: the thread of the store.
    """

    def __init__(self, sessions: Sessions, store: SessionStore, worker: Worker) -> None:
        self._sessions, self._store, self._worker = sessions, store, worker

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/v1/login",
                handler=self._whom,
                summary="As whom the client has logged in, and its rights.",
                answers={200: Whom},
            ),
            Route(
                method="POST",
                path="/v1/login",
                handler=self._log_in,
                summary="Log in: the answer sets the cookie of a new session.",
                body=Login,
                answers={200: LoggedIn},
            ),
            Route(
                method="POST",
                path="/v1/logout",
                handler=self._log_out,
                summary="End the session of the cookie, and its WebSocket.",
            ),
            Route(
                method="GET",
                path="/v1/sessions",
                handler=self._list,
                summary="One's own sessions, newest first; for admin those of all.",
                params=SessionsQuery,
                login=True,
                answers={200: list[SessionRow]},
                errors=(404,),
            ),
            Route(
                method="DELETE",
                path="/v1/sessions",
                handler=self._end,
                summary="End a session, or all of one's own.",
                params=SessionQuery,
                login=True,
                errors=(404,),
            ),
        ]

    def _whom(self, request: HttpRequest) -> Whom:
        identity = request.identity
        return Whom(None if identity is None else identity.name, [*request.rights])

    def _log_in(self, request: HttpRequest, shown: Login) -> "Deferred[Answer]":
        peer = request.peer
        try:
            peer.check_private()
        except WireError as error:
            raise HttpError(*PLAIN, f"{error}.") from error
        if not (request.isSecure() or peer.local):
            text = "A cookie is given over TLS, or on loopback; elsewhere send Authorization."
            raise HttpError(*PLAIN, text)
        proof = peer.verify(Password(shown.login, shown.password))
        token = digest(shown.password) if is_token(shown.password) else b""
        return proof.addCallback(self._begin, request, token)

    def _begin(self, identity: Identity, request: HttpRequest, token: bytes) -> "Deferred[Answer]":
        agents = request.requestHeaders.getRawHeaders("User-Agent", [""])
        agent = "".join(filter(str.isprintable, agents[0]))[:AGENT]
        before = [] if request.login_session is None else [request.login_session]
        secret, session, over = self._sessions.begin(identity.name, token, request.peer.host, agent)
        self._sessions.end(before)
        seconds = self._sessions.lasts // 1000
        headers = {b"Set-Cookie": cookie.give(secret, request.isSecure(), seconds)}
        until = session.since + self._sessions.lasts
        answer = Answer(200, LoggedIn(identity.name, list(identity.rights), until), headers)
        stored = self._write([session], [*over, *before])
        return stored.addCallbacks(lambda _: answer, self._not_stored, errbackArgs=(session,))

    def _not_stored(self, failure: Failure, session: Session) -> Failure:
        """End a session whose cookie nobody gets."""
        self._sessions.end([session])
        return failure

    def _log_out(self, request: HttpRequest) -> "Deferred[Answer]":
        over = [] if request.login_session is None else [request.login_session]
        self._sessions.end(over)
        headers = {b"Set-Cookie": cookie.give("", request.isSecure(), 0)}
        return self._write([], over).addCallback(lambda _: Answer(204, None, headers))

    def _list(self, request: HttpRequest, asked: SessionsQuery) -> list[SessionRow]:
        found = reversed(self._every(request))
        if asked.after is not None and all(each.id != asked.after for each in found):
            raise _missing(asked.after)
        valid = (each for each in found if self._sessions.identity(each) is not None)
        return [
            SessionRow(
                id=each.id,
                login=each.account,
                since=each.since,
                until=each.since + self._sessions.lasts,
                host=each.host,
                agent=each.agent,
                current=each == request.login_session,
            )
            for each in islice(valid, asked.limit)
        ]

    def _end(self, request: HttpRequest, asked: SessionQuery) -> "Deferred[None]":
        if asked.id is None:
            assert request.identity is not None  # the route demands a login
            over = self._sessions.of(request.identity.name)
        else:
            named = [each for each in self._every(request) if each.id == asked.id]
            over = [each for each in named if self._sessions.identity(each) is not None]
            if not over:
                raise _missing(asked.id)
        self._sessions.end(over)
        return self._write([], over).addCallback(lambda _: None)

    def _every(self, request: HttpRequest) -> list[Session]:
        assert request.identity is not None  # the route demands a login
        everybody = request.identity.rights.any(ADMIN)
        return self._sessions.of("" if everybody else request.identity.name)

    def _write(self, begun: list[Session], over: list[Session]) -> "Deferred[Any]":
        return self._worker(self._store.write, begun, over)


def _missing(session: str) -> HttpError:
    return HttpError(404, "missing", f"There is no session {session}.")
