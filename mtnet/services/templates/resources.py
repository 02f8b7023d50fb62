"""Templates by HTTP: `/templates` and `/templates/{symbol}/{period}` (`docs/protocols.md`)."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mtnet.errors import HttpError, TemplateError
from mtnet.net.http import BodyLimit, Handler, HttpRequest, MethodResource
from mtnet.services.templates.library import Library
from mtnet.services.templates.settings import TemplateSettings
from mtnet.services.templates.version import Version
from mtnet.services.templates.wire import PLATFORMS, SLACK, parse_number, parse_period, parse_symbol
from mtnet.values import read_text

STATUS = {"missing": 404, "size": 413, "server": 503}
"""The HTTP status of a TemplateError's code; of every other one 400."""
TEMPLATES = "templates"
"""The name of this service in rights."""
KEYS = 4_096
"""Parsed paths in the cache."""

Stored = tuple[Version, bool]

_ETAG = re.compile(r'"([^"]*)"')


class TemplatesResource(MethodResource):
    """
    The list of templates, and each of them.

    Args:
        put: stores a template off the reactor: `put(symbol, period, content)`.
        settings: of `[templates]`.
        codepage: how a symbol is read that is not UTF-8.
    """

    isLeaf = True

    def __init__(
        self,
        library: Library,
        put: Callable[[str, str, bytes], "Deferred[Stored]"],
        settings: TemplateSettings,
        codepage: str,
    ) -> None:
        super().__init__()
        self._library, self._put_template, self._codepage = library, put, codepage
        most, self.stall_timeout = settings.max_size, settings.progress
        self.body_limit = BodyLimit(most + SLACK, f"templates.max_size allows {most}")

    def methods(self, request: HttpRequest) -> Mapping[bytes, Handler]:
        if request.postpath in ([], [b""]):
            return {b"GET": self._list}
        if len(request.postpath) == 2:
            return {b"GET": self._get, b"PUT": self._put, b"POST": self._put}
        return {}

    def converted(self, error: BaseException | None) -> HttpError | None:
        if isinstance(error, TemplateError):
            return HttpError(STATUS.get(error.code, 400), error.code, str(error))
        return super().converted(error)

    def _list(self, request: HttpRequest) -> None:
        request.demand("fetch", TEMPLATES)
        may = partial(request.rights.may, "fetch", TEMPLATES)
        request.reply_json(200, [each for each in self._library.listing() if may(each["symbol"])])

    def _get(self, request: HttpRequest) -> None:
        key = self._key(request)
        request.demand("fetch", TEMPLATES, key[0])
        asked = (*key, _version(request), _platform(request)) if request.args else key
        found, content = self._library.read(partial(self._library.get, *asked))
        request.reply(304 if _is_known(request, found) else 200, content, _headers(found))

    def _put(self, request: HttpRequest) -> None:
        symbol, period = self._key(request)
        request.demand("publish", TEMPLATES, symbol)
        _check_body(request)
        stored = self._put_template(symbol, period, request.content.read())
        stored.addCallbacks(self._stored, self._failed, (request,), errbackArgs=(request,))

    def _stored(self, result: Stored, request: HttpRequest) -> None:
        version, created = result
        request.reply_json(201 if created else 200, version.facts())

    def _failed(self, failure: Failure, request: HttpRequest) -> None:
        error = self.converted(failure.value)
        if error is None:
            request.processingFailed(failure)
        else:
            request.refuse(error)

    def _key(self, request: HttpRequest) -> tuple[str, str]:
        symbol, period = request.postpath
        return _parse_key(symbol, period, self._codepage)


@lru_cache(KEYS)
def _parse_key(symbol: bytes, period: bytes, codepage: str) -> tuple[str, str]:
    """Return the symbol and the period of a path; errors are not cached."""
    return parse_symbol(read_text(symbol, codepage)), parse_period(read_text(period, codepage))


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


def _version(request: HttpRequest) -> int | None:
    given = request.args.get(b"version")
    if given is None:
        return None
    number = parse_number(given[0].decode("latin-1"))
    if not number:
        raise HttpError(400, "version", "A version is a number from 1.")
    return number


def _platform(request: HttpRequest) -> str | None:
    given = request.args.get(b"platform")
    if given is None:
        return None
    name = given[0].decode("latin-1")
    if name not in PLATFORMS:
        raise HttpError(400, "platform", "A platform is mt5 or mt4.")
    return name


def _is_known(request: HttpRequest, version: Version) -> bool:
    given = b",".join(request.requestHeaders.getRawHeaders(b"If-None-Match", [])).decode("latin-1")
    return given.strip() == "*" or version.sha256 in _ETAG.findall(given)


def _headers(version: Version) -> dict[bytes, bytes]:
    return {
        b"Content-Type": b"application/octet-stream",
        b"ETag": f'"{version.sha256}"'.encode(),
        b"X-Symbol": version.key.symbol.encode(),
        b"X-Period": version.key.period.encode(),
        b"X-Platform": version.key.platform.encode(),
        b"X-Version": b"%d" % version.version,
    }
