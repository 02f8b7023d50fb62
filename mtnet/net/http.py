"""HTTP resources of components: a table of methods for each path, and errors as JSON."""

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple, Protocol

from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from mtnet.access.rights import Rights
from mtnet.errors import HttpError
from mtnet.net.peer import Peer


class HttpRequest(Protocol):
    """
    A request, as a resource sees it; its Host, Origin and credentials have been checked.

    Attributes:
        method: such as `GET`.
        postpath: the segments of the path behind the resource.
        args: the query, by key.
        content: the body.
        rights: what the client may do.
        peer: the other end of the connection.
    """

    method: bytes
    postpath: list[bytes]
    args: dict[bytes, list[bytes]]
    content: BinaryIO
    requestHeaders: Any
    rights: Rights
    peer: Peer

    def setHeader(self, name: bytes, value: bytes) -> None:
        """Set a header of the answer."""

    def hand_over(self, protocol: StreamProtocol) -> None:
        """Give the connection to another protocol, which answers; its peer has the login."""

    def demand(self, verb: str, service: str, name: str | None = None) -> None:
        """Check a right; raises `HttpError` 401 or 403. Without `name`, any thing will do."""

    def reply(self, status: int, body: bytes, headers: dict[bytes, bytes]) -> None:
        """Answer with bytes."""

    def reply_json(self, status: int, value: object) -> None:
        """Answer with JSON."""

    def refuse(self, error: HttpError) -> None:
        """Answer with an error, and log it."""

    def processingFailed(self, reason: Failure) -> Failure:
        """Answer 500, and log the traceback."""


Handler = Callable[[Any], None]
"""Answers an `HttpRequest`, at once or later."""


class BodyLimit(NamedTuple):
    """
    The largest body of a request.

    Attributes:
        size: bytes.
        reason: what allows no more: the end of a sentence.
    """

    size: int = 0
    reason: str = "nothing here takes one"


class MethodResource(Resource):
    """
    Resource with a dispatch table of methods; GET also answers HEAD.

    Attributes:
        body_limit: of its requests.
        stall_timeout: seconds without progress after which a transfer is given up; None = the
            default.
    """

    body_limit = BodyLimit()
    stall_timeout: float | None = None

    def methods(self, request: HttpRequest) -> Mapping[bytes, Handler]:
        """Return the handler of each method of the request's path; empty = no such path."""
        return {}

    def converted(self, error: BaseException | None) -> HttpError | None:
        """Return an exception of a handler as an `HttpError`; None = it is unexpected."""
        return error if isinstance(error, HttpError) else None

    def render(self, request: HttpRequest) -> int:
        """Answer a request; called by Twisted."""
        try:
            self._handler(request)(request)
        except Exception as error:
            refused = self.converted(error)
            if refused is None:
                raise
            request.refuse(refused)
        return NOT_DONE_YET

    def getChild(self, path: bytes, request: object) -> Resource:
        return NotFound()

    def _handler(self, request: HttpRequest) -> Handler:
        methods = self.methods(request)
        found = methods.get(b"GET" if request.method == b"HEAD" else request.method)
        if found is not None:
            return found
        if not methods:
            raise HttpError(404, "missing", "There is nothing at this path.")
        names = sorted([*methods, *([b"HEAD"] if b"GET" in methods else [])])
        allowed = b", ".join(names)
        request.setHeader(b"Allow", allowed)
        raise HttpError(405, "method", f"This path takes {allowed.decode()}.")


class NotFound(MethodResource):
    """A path without a resource, or above others."""
