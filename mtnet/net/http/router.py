"""Router: finds the route of each request, reads what it declares, and answers."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from mtnet.errors import ConfigError, HttpError
from mtnet.net.http.errors import http_error
from mtnet.net.http.input import read_body, read_params
from mtnet.net.http.route import Answer, BodyLimit, HttpRequest, Route, Stream
from mtnet.values import CODEPAGE, read_text

NOTHING = BodyLimit(0, "nothing here takes one")
"""Where there are no routes."""


class Node:
    """One segment of the paths: what follows it, and the methods of the path that it ends."""

    def __init__(self) -> None:
        self.segments: dict[bytes, Node] = {}
        self.named: Node | None = None
        self.routes: dict[bytes, Route] = {}
        self._owners: dict[bytes, str] = {}

    def add(self, owner: str, route: Route) -> None:
        """
        Add a route of a component.

        Raises:
            ConfigError: another component has the same method of its path.
        """
        node = self
        for each in route.segments:
            if each.startswith("{"):
                node.named = node.named or Node()
                node = node.named
            else:
                node = node.segments.setdefault(each.encode(), Node())
        method = route.method.encode()
        if method in node.routes:
            raise ConfigError(
                f"The HTTP path {route.path} of {owner} is also that of {node._owners[method]}, "
                f"with the method {route.method}."
            )
        node.routes[method], node._owners[method] = route, owner

    def find(self, path: list[bytes]) -> Mapping[bytes, Route]:
        """Return the routes of a path; a literal segment goes before a name."""
        if path[-1:] == [b""]:  # a slash at the end
            path = path[:-1]
        ways = [(self, 0)]
        while ways:
            node, depth = ways.pop()
            if depth == len(path):
                if node.routes:
                    return node.routes
                continue
            if node.named is not None:
                ways.append((node.named, depth + 1))
            if path[depth] in node.segments:
                ways.append((node.segments[path[depth]], depth + 1))
        return {}


class RoutedRequest(HttpRequest):
    """
    A request, as the router sees it.

    Attributes:
        postpath: the segments of the path, unescaped.
        args: the query, by key.
        content: the body.
    """

    postpath: list[bytes]
    args: dict[bytes, list[bytes]]
    content: Any

    def setHeader(self, name: bytes, value: bytes) -> None:
        """Set a header of the answer."""

    def hand_over(self, protocol: IProtocol) -> None:
        """Give the connection to another protocol, which answers; its peer has the login."""

    def demand_login(self) -> None:
        """Raise `HttpError` 401 or 403 unless the client has logged in."""

    def reply(self, status: int, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        """Answer with bytes."""

    def reply_json(self, status: int, value: object, headers: Mapping[bytes, bytes] = {}) -> None:
        """Answer with JSON."""

    def reply_stream(self, stream: Stream) -> None:
        """Answer with bytes as they come."""

    def refuse(self, error: HttpError) -> None:
        """Answer with an error, and log it."""

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer 500, and log the traceback; return the reason."""
        raise NotImplementedError


class Router(Resource):
    """
    The root of a site: all paths of some components.

    Args:
        routes: by name of the component.
        codepage: how a segment, a query or a body is read that is not UTF-8.

    Attributes:
        stall_timeout: seconds without progress after which a transfer is given up; None = the
            default.

    Raises:
        ConfigError: two components have the same method of one path.
    """

    isLeaf = True

    def __init__(self, routes: Mapping[str, Iterable[Route]], codepage: str = CODEPAGE) -> None:
        super().__init__()
        self._root, self._codepage = Node(), codepage
        self._most, timeouts = NOTHING, [0.0]
        for name, each in _pairs(routes):
            self._root.add(name, each)
            self._most = max(self._most, each.limit, key=lambda limit: limit.size)
            timeouts.append(each.stall_timeout or 0.0)
        self.stall_timeout = max(timeouts) or None

    def limit_of(self, method: bytes, path: list[bytes]) -> BodyLimit:
        """Return the largest body of a request; where there is no route, the error says that."""
        found = self._root.find(path).get(method)
        return self._most if found is None else found.limit

    def render(self, request: RoutedRequest) -> int:
        """Answer a request; called by Twisted."""
        try:
            methods = self._root.find(request.postpath)
            route = methods.get(b"GET" if request.method == b"HEAD" else request.method)
            if route is None:
                raise self._no_route(methods, request)
            self._answer(route.handler(*self._read(route, request)), request)
        except Exception as error:
            refused = http_error(error)
            if refused is None:
                raise
            request.refuse(refused)
        return NOT_DONE_YET

    def _no_route(self, methods: Mapping[bytes, Route], request: RoutedRequest) -> HttpError:
        if not methods:
            return HttpError(404, "missing", "There is nothing at this path.")
        names = sorted([*methods, *([b"HEAD"] if b"GET" in methods else [])])
        allowed = b", ".join(names)
        request.setHeader(b"Allow", allowed)
        return HttpError(405, "method", f"This path takes {allowed.decode()}.")

    def _read(self, route: Route, request: RoutedRequest) -> list[Any]:
        """Check the right, then return what the handler is called with."""
        names = {}
        for name, segment in zip(route.segments, request.postpath, strict=False):
            if name.startswith("{"):
                text = segment.decode() if segment.isascii() else self._decode(segment)
                names[name[1:-1]] = text
        if route.login:
            request.demand_login()
        if route.demanded is not None:
            verb, service, name = route.demanded
            request.demand(verb, service, names[name] if name else None)
        found: list[Any] = [request]
        if route.params is not None:
            found.append(read_params(route, names, request.args, self._codepage))
        if route.body is not None:
            found.append(read_body(route, request.content.read(), self._codepage))
        return found

    def _decode(self, segment: bytes) -> str:
        return read_text(segment, self._codepage)

    def _answer(self, result: Any, request: RoutedRequest) -> None:
        if isinstance(result, Deferred):
            result.addCallback(self._answer, request)
            result.addErrback(self._failed, request)
        elif isinstance(result, Stream):
            request.reply_stream(result)
        elif IProtocol.providedBy(result):
            request.hand_over(result)
        else:
            if not isinstance(result, Answer):
                result = Answer(204) if result is None else Answer(200, result)
            status, value, headers = result
            if value is None or isinstance(value, bytes):
                request.reply(status, value or b"", headers)
            else:
                request.reply_json(status, value, headers)

    def _failed(self, failure: Failure, request: RoutedRequest) -> None:
        error = http_error(failure.value)
        if error is None:
            request.processingFailed(failure)
        else:
            request.refuse(error)


def _pairs(routes: Mapping[str, Iterable[Route]]) -> Iterator[tuple[str, Route]]:
    for name, its in routes.items():
        for each in its:
            yield name, each
