"""Login and logout of the page, and its sessions (`docs/http.md`)."""

from itertools import islice
from typing import Annotated

from msgspec import Meta, Struct
from twisted.internet.defer import Deferred

from mtnet.access.accounts.cred import Password
from mtnet.access.accounts.identity import Identity
from mtnet.access.accounts.model import digest, is_token
from mtnet.access.rights import ADMIN
from mtnet.errors import HttpError, WireError
from mtnet.net.http.route import Answer, HttpRequest, Route
from mtnet.services.web.credentials import PLAIN
from mtnet.services.web.logins import cookie
from mtnet.services.web.logins.registry import Session
from mtnet.services.web.logins.service import Logins

AGENT = 100
"""Characters of what a program calls itself."""
MAX_ROWS, ROWS = 1_000, 200
"""Sessions in one answer, at most and usually: a thousand take some 6 ms."""
SessionId = Annotated[str, Meta(pattern="^[0-9a-f]{8}$", examples=["0a1b2c3d"])]


class Login(Struct):
    """A login, and its password or a token."""

    login: Annotated[str, Meta(min_length=1, max_length=100)]
    password: Annotated[str, Meta(min_length=1, max_length=128)]

    @property
    def proof(self) -> Password:
        """Both, as any other login."""
        return Password(self.login, self.password)


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
    """Logs browsers in and out."""

    def __init__(self, logins: Logins) -> None:
        self._logins = logins

    def whom(self, request: HttpRequest) -> Whom:
        """Return as whom the client has logged in."""
        identity = request.identity
        return Whom(None if identity is None else identity.name, [*request.rights])

    def log_in(self, request: HttpRequest, shown: Login) -> "Deferred[Answer]":
        """Begin a session."""
        _check_cookie_is_safe(request)
        token = digest(shown.password) if is_token(shown.password) else b""
        proof = request.peer.verify(shown.proof)
        return proof.addCallback(self._begin, request, token)

    def _begin(self, identity: Identity, request: HttpRequest, token: bytes) -> "Deferred[Answer]":
        agents = request.requestHeaders.getRawHeaders("User-Agent", [""])
        agent = "".join(filter(str.isprintable, agents[0]))[:AGENT]
        before = [] if request.login_session is None else [request.login_session]
        begun = self._logins.begin(identity.name, token, request.peer.host, agent, before)
        seconds = self._logins.lasts // 1000

        def answer(found: tuple[str, int]) -> Answer:
            secret, until = found
            headers = {b"Set-Cookie": cookie.give(secret, request.isSecure(), seconds)}
            return Answer(200, LoggedIn(identity.name, list(identity.rights), until), headers)

        return begun.addCallback(answer)

    def log_out(self, request: HttpRequest) -> "Deferred[Answer]":
        """End the session of the cookie."""
        over = [] if request.login_session is None else [request.login_session]
        headers = {b"Set-Cookie": cookie.give("", request.isSecure(), 0)}
        return self._logins.end(over).addCallback(lambda _: Answer(204, None, headers))


class SessionResources:
    """Lists and ends sessions."""

    def __init__(self, logins: Logins) -> None:
        self._logins = logins

    def listing(self, request: HttpRequest, asked: SessionsQuery) -> list[SessionRow]:
        """Return sessions, newest first."""
        found = reversed(self._every(request))
        if asked.after is not None and all(each.id != asked.after for each in found):
            raise _missing(asked.after)
        valid = filter(self._logins.is_valid, found)
        return [
            SessionRow(
                id=each.id,
                login=each.account,
                since=each.since,
                until=each.since + self._logins.lasts,
                host=each.host,
                agent=each.agent,
                current=each == request.login_session,
            )
            for each in islice(valid, asked.limit)
        ]

    def end(self, request: HttpRequest, asked: SessionQuery) -> "Deferred[None]":
        """End a session, or all of one's own."""
        if asked.id is None:
            assert request.identity is not None  # the route demands a login
            over = self._logins.of(request.identity.name)
        else:
            named = [each for each in self._every(request) if each.id == asked.id]
            over = [*filter(self._logins.is_valid, named)]
            if not over:
                raise _missing(asked.id)
        return self._logins.end(over)

    def _every(self, request: HttpRequest) -> list[Session]:
        assert request.identity is not None  # the route demands a login
        everybody = request.identity.rights.any(ADMIN)
        return self._logins.of("" if everybody else request.identity.name)


def _check_cookie_is_safe(request: HttpRequest) -> None:
    """
    Check that nobody on the way can read a cookie.

    Raises:
        HttpError: somebody could.
    """
    try:
        request.peer.check_private()
    except WireError as error:
        raise HttpError(*PLAIN, f"{error}.") from error
    if not (request.isSecure() or request.peer.local):
        text = "A cookie is given over TLS, or on loopback; elsewhere send Authorization."
        raise HttpError(*PLAIN, text)


def _missing(session: str) -> HttpError:
    return HttpError(404, "missing", f"There is no session {session}.")


def login_routes(logins: Logins) -> list[Route]:
    """Return the routes by which a browser logs in and out."""
    resources, sessions = LoginResources(logins), SessionResources(logins)
    return [
        Route(
            method="GET",
            path="/v1/login",
            handler=resources.whom,
            summary="As whom the client has logged in, and its rights.",
            answers={200: Whom},
        ),
        Route(
            method="POST",
            path="/v1/login",
            handler=resources.log_in,
            summary="Log in: the answer sets the cookie of a new session.",
            body=Login,
            answers={200: LoggedIn},
        ),
        Route(
            method="POST",
            path="/v1/logout",
            handler=resources.log_out,
            summary="End the session of the cookie, and its WebSocket.",
        ),
        Route(
            method="GET",
            path="/v1/sessions",
            handler=sessions.listing,
            summary="One's own sessions, newest first; for admin those of all.",
            params=SessionsQuery,
            login=True,
            answers={200: list[SessionRow]},
            errors=(404,),
        ),
        Route(
            method="DELETE",
            path="/v1/sessions",
            handler=sessions.end,
            summary="End a session, or all of one's own.",
            params=SessionQuery,
            login=True,
            errors=(404,),
        ),
    ]
