"""The routes of the page: `/`, and its files below `/static` (`docs/page.md`)."""

import re
from collections.abc import Iterable
from functools import cached_property

from msgspec import Struct

from mtnet.errors import HttpError
from mtnet.net.http.route import Answer, Content, HttpRequest, Route
from mtnet.services.web.page.files import INDEX, VENDOR, StaticFile, labelled, static_files

_ETAG = re.compile(r'"([^"]*)"')
HTML = Content("text/html; charset=utf-8")
ANY = Content("*/*")


class FilePath(Struct):
    """The name of a file."""

    file: str


class PageResources:
    """
    Sends the files of the page, to everybody: they hold nothing of this daemon but its label.

    Args:
        label: stands beside the name of the page; empty = none.
    """

    def __init__(self, label: str = "") -> None:
        self._label = label

    @cached_property
    def _files(self) -> dict[str, StaticFile]:
        return {**static_files(), INDEX: labelled(self._label)}

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route(
                method="GET",
                path="/",
                handler=lambda request: self._get(request, INDEX),
                summary="The page for people.",
                answers={200: HTML, 304: None},
            ),
            Route(
                method="GET",
                path="/static/{file}",
                handler=lambda request, path: self._get(request, path.file),
                summary="A script, style or picture of the page.",
                params=FilePath,
                answers={200: ANY, 304: None},
                errors=(404,),
            ),
            Route(
                method="GET",
                path=f"/static/{VENDOR}/{{file}}",
                handler=lambda request, path: self._get(request, f"{VENDOR}/{path.file}"),
                summary="A library of others that the page uses, or its licence.",
                params=FilePath,
                answers={200: ANY, 304: None},
                errors=(404,),
            ),
        ]

    def _get(self, request: HttpRequest, name: str) -> Answer:
        found = self._files.get(name)
        if found is None:
            raise HttpError(404, "missing", "The page has no such file.")
        gzip = _takes_gzip(request.requestHeaders.getRawHeaders("Accept-Encoding", []))
        headers = found.headers(gzip)
        known = ",".join(request.requestHeaders.getRawHeaders("If-None-Match", []))
        tags = {each.removesuffix("-gzip") for each in _ETAG.findall(known)}
        if found.etag in tags:
            return Answer(304, None, headers)
        return Answer(200, found.compressed if gzip else found.content, headers)


def _takes_gzip(headers: Iterable[str]) -> bool:
    """Return whether `Accept-Encoding` has gzip, with a weight that is not 0 (RFC 9110, 12.5.3)."""
    for each in ",".join(headers).lower().split(","):
        name, _, weight = each.replace(" ", "").partition(";")
        if name in ("gzip", "*"):
            return weight.rstrip("0.") != "q="
    return False
