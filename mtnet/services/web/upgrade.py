"""`/ws`: an HTTP connection becomes a WebSocket."""

from collections.abc import Callable, Mapping

from twisted.internet.interfaces import IProtocol

from mtnet.daemon.environment import Environment
from mtnet.errors import HttpError
from mtnet.interfaces import ISessions, ITextStreams
from mtnet.net.http import Handler, HttpRequest, MethodResource
from mtnet.net.peer import Peer
from mtnet.services.web.text_stream import StreamConnection
from mtnet.services.web.websocket import JsonConnection, WebSocketConnection
from mtnet.session.session import SessionFactory
from mtnet.session.websocket import Upgrade, accept

SESSION = "mtnet.v2"
"""The sub-protocol of sessions; a client that offers none gets it, too."""


class WebSocketResource(MethodResource):
    """`/ws`: sessions with the verbs of all components, and their streams, by sub-protocol."""

    isLeaf = True

    def __init__(self, env: Environment) -> None:
        super().__init__()
        self._env = env
        self._sessions: SessionFactory = env.find(ISessions)
        self._streams: dict[str, Callable[[Peer], IProtocol]] = {}
        for each in env.find_all(ITextStreams).values():
            self._streams |= each.streams()

    def methods(self, request: HttpRequest) -> Mapping[bytes, Handler]:
        return {} if request.postpath else {b"GET": self._upgrade}

    def _upgrade(self, request: HttpRequest) -> None:
        if request.method != b"GET" or not request.requestHeaders.hasHeader(b"Host"):
            raise HttpError(400, "upgrade", "A WebSocket begins with GET and a Host.")
        headers, known = request.requestHeaders, (SESSION, *self._streams)
        upgrade = accept(headers, known, browser=headers.hasHeader(b"Origin"))
        request.hand_over(self._connection(request.peer, upgrade))

    def _connection(self, peer: Peer, upgrade: Upgrade) -> WebSocketConnection:
        build = self._streams.get(upgrade.protocol)
        if build is None:
            return JsonConnection(self._env, peer, upgrade, self._sessions)
        return StreamConnection(self._env, peer, upgrade, self._sessions.settings.frames, build)
