"""Templates by HTTP: `/templates` and `/templates/{symbol}/{period}` (`docs/protocols.md`)."""

import re
from functools import lru_cache, partial
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from twisted.internet.defer import Deferred

from mtnet.errors import HttpError
from mtnet.interfaces import ITemplates
from mtnet.net.http.route import Answer, BodyLimit, Content, HttpRequest, Route
from mtnet.services.templates.library import Library
from mtnet.services.templates.settings import TemplateSettings
from mtnet.services.templates.version import Version
from mtnet.services.templates.wire import SLACK, parse_period, parse_symbol

TEMPLATES = "templates"
"""The name of this service in rights."""
KEYS = 4_096
"""Parsed paths in the cache."""

Stored = tuple[Version, bool]

_ETAG = re.compile(r'"([^"]*)"')


class TemplateKey(Struct):
    """The key of a template."""

    symbol: str
    period: str


class TemplateQuery(TemplateKey):
    """The key of a template, and which of its versions."""

    version: Annotated[int, Meta(ge=1)] | None = None
    platform: Literal["mt5", "mt4"] | None = None


class TemplateRow(Struct):
    """The newest version of a template, as it is listed; `stored` in milliseconds, UTC."""

    symbol: str
    period: str
    platform: str
    version: int
    versions: list[int]
    size: int
    sha256: str
    stored: int


class StoredTemplate(Struct):
    """A version; `stored` in milliseconds, UTC."""

    symbol: str
    period: str
    platform: str
    version: int
    size: int
    sha256: str
    stored: int


class TemplateResources:
    """The list of templates, and each of them."""

    def __init__(self, library: Library, templates: ITemplates) -> None:
        self._library, self._templates = library, templates

    def listing(self, request: HttpRequest) -> list[dict[str, Any]]:
        """Return the newest version of each template that the client may fetch."""
        may = partial(request.rights.may, "fetch", TEMPLATES)
        return [each for each in self._library.listing() if may(each["symbol"])]

    def get(self, request: HttpRequest, query: TemplateQuery) -> Answer:
        """Return a template; 304 if the client has it."""
        key = _parse_key(query.symbol, query.period)
        find = partial(self._library.get, *key, query.version, query.platform)
        found, content = self._library.read(find)
        asks = request.requestHeaders.hasHeader(b"If-None-Match")
        known = asks and _is_known(request, found)
        return Answer(304 if known else 200, content, _headers(found))

    def put(self, request: HttpRequest, key: TemplateKey, content: bytes) -> "Deferred[Answer]":
        """Store a template."""
        symbol, period = _parse_key(key.symbol, key.period)
        _check_body(request)
        return self._templates.put(symbol, period, content).addCallback(_stored)


def template_routes(
    library: Library, templates: ITemplates, settings: TemplateSettings
) -> list[Route]:
    """Return the routes of `/templates`."""
    resources, most = TemplateResources(library, templates), settings.max_size
    return [
        Route(
            method="GET",
            path="/templates",
            handler=resources.listing,
            summary="The newest version of each template.",
            right="fetch:templates",
            answers={200: list[TemplateRow]},
        ),
        Route(
            method="GET",
            path="/templates/{symbol}/{period}",
            handler=resources.get,
            summary="A template, as the terminal wrote it.",
            right="fetch:templates/{symbol}",
            params=TemplateQuery,
            answers={200: Content(), 304: None},
            errors=(404,),
        ),
        *(
            Route(
                method=method,
                path="/templates/{symbol}/{period}",
                handler=resources.put,
                summary="Store a new version of a template; 200 when nothing changed.",
                right="publish:templates/{symbol}",
                params=TemplateKey,
                body=Content(),
                body_limit=BodyLimit(most + SLACK, f"templates.max_size allows {most}"),
                stall_timeout=settings.progress,
                answers={200: StoredTemplate, 201: StoredTemplate},
                errors=(415,),
            )
            for method in ("PUT", "POST")
        ),
    ]


def _stored(result: Stored) -> Answer:
    version, created = result
    return Answer(201 if created else 200, version.facts())


@lru_cache(KEYS)
def _parse_key(symbol: str, period: str) -> tuple[str, str]:
    """Return the symbol and the period of a path; errors are not cached."""
    return parse_symbol(symbol), parse_period(period)


def _check_body(request: HttpRequest) -> None:
    """
    Refuse a form: between its boundary lines the template would not be what was uploaded.

    Any other Content-Type is accepted: terminals label all bodies alike.
    """
    kinds = request.requestHeaders.getRawHeaders(b"Content-Type", [])
    if any(kind.strip().lower().startswith(b"multipart/") for kind in kinds):
        raise HttpError(
            415,
            "template",
            "The body is a form, and must be the template itself, as of curl -T FILE or "
            "--data-binary @FILE.",
        )


def _is_known(request: HttpRequest, version: Version) -> bool:
    given = b",".join(request.requestHeaders.getRawHeaders(b"If-None-Match", [])).decode("latin-1")
    return given.strip() == "*" or version.sha256 in _ETAG.findall(given)


def _headers(version: Version) -> dict[bytes, bytes]:
    return {
        b"Cache-Control": b"no-cache",  # kept, and asked for with If-None-Match
        b"Content-Type": b"application/octet-stream",
        b"ETag": f'"{version.sha256}"'.encode(),
        b"X-Symbol": version.key.symbol.encode(),
        b"X-Period": version.key.period.encode(),
        b"X-Platform": version.key.platform.encode(),
        b"X-Version": b"%d" % version.version,
    }
