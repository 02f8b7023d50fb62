"""`/ws`: an HTTP connection becomes a WebSocket."""

from collections.abc import Callable

from twisted.internet.interfaces import IProtocol

from mtnet.daemon.environment import Environment
from mtnet.errors import HttpError
from mtnet.interfaces import ISessions, ITextStreams
from mtnet.net.http.route import HttpRequest, Route
from mtnet.net.peer import Peer
from mtnet.services.web.text_stream import StreamConnection
from mtnet.services.web.websocket import JsonConnection, WebSocketConnection
from mtnet.session.session import SessionFactory
from mtnet.session.websocket import Upgrade, accept

SESSION = "mtnet.v2"
"""The sub-protocol of sessions; a client that offers none gets it, too."""


class WebSocketUpgrade:
    """`/ws`: sessions with the verbs of all components, and their streams, by sub-protocol."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._sessions: SessionFactory = env.find(ISessions)
        self._streams: dict[str, Callable[[Peer], IProtocol]] = {}
        for each in env.find_all(ITextStreams).values():
            self._streams |= each.streams()

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [
            Route(
                method="GET",
                path="/ws",
                handler=self._upgrade,
                summary="Open a WebSocket: a session, or the stream that its sub-protocol names.",
                answers={101: None},
                errors=(426,),
            )
        ]

    def _upgrade(self, request: HttpRequest) -> WebSocketConnection:
        if request.method != b"GET" or not request.requestHeaders.hasHeader(b"Host"):
            raise HttpError(400, "upgrade", "A WebSocket begins with GET and a Host.")
        headers, known = request.requestHeaders, (SESSION, *self._streams)
        upgrade = accept(headers, known, browser=headers.hasHeader(b"Origin"))
        return self._connection(request.peer, upgrade)

    def _connection(self, peer: Peer, upgrade: Upgrade) -> WebSocketConnection:
        build = self._streams.get(upgrade.protocol)
        if build is None:
            return JsonConnection(self._env, peer, upgrade, self._sessions)
        return StreamConnection(self._env, peer, upgrade, self._sessions.settings.frames, build)
