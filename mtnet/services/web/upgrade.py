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
from mtnet.session.websocket import accept

SESSION = "mtnet.v2"
"""The sub-protocol of sessions; a client that offers none gets it, too."""


def websocket_route(env: Environment) -> Route:
    """Return `/ws`: sessions with the verbs of all components, and their streams."""
    sessions: SessionFactory = env.find(ISessions)
    streams: dict[str, Callable[[Peer], IProtocol]] = {}
    for each in env.find_all(ITextStreams).values():
        streams |= each.streams()

    def upgrade(request: HttpRequest) -> WebSocketConnection:
        headers = request.requestHeaders
        if request.method != b"GET" or not headers.hasHeader(b"Host"):
            raise HttpError(400, "upgrade", "A WebSocket begins with GET and a Host.")
        accepted = accept(headers, (SESSION, *streams), browser=headers.hasHeader(b"Origin"))
        build = streams.get(accepted.protocol)
        if build is None:
            return JsonConnection(env, request.peer, accepted, sessions)
        return StreamConnection(env, request.peer, accepted, sessions.settings.frames, build)

    return Route(
        method="GET",
        path="/ws",
        handler=upgrade,
        summary="Open a WebSocket: a session, or the stream that its sub-protocol names.",
        answers={101: None},
        errors=(426,),
    )
