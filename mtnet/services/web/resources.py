"""
The resources of mtnet (`docs/protocols.md`, HTTP).

Two sites of one kind: the templates port serves `/templates` alone, the web port everything.
Every answer is JSON or a template; an error is `{"error": code, "text": sentence}`.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial

from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from mtnet import __version__
from mtnet.daemon.environment import Environment
from mtnet.errors import HttpError, TemplateError
from mtnet.interfaces import IHealth, ISignals, ITemplates
from mtnet.net.endpoints import Listener
from mtnet.services.templates.version import Version
from mtnet.services.templates.wire import PLATFORMS, SLACK, parse_number, parse_period, parse_symbol
from mtnet.services.web.http import ApiRequest, ApiSite
from mtnet.values import read_text

STATUS = {"missing": 404, "size": 413, "server": 503}
"""The HTTP status of a TemplateError's code; of every other one 400."""

TEMPLATES = "templates"
"""What rights call the things of that service."""

Methods = Mapping[bytes, Callable[[ApiRequest], None]]

_ETAG = re.compile(r'"([^"]*)"')


def templates_site(env: Environment) -> ApiSite:
    """Return the site of the templates port."""
    return _site(env, {b"templates": TemplatesResource(env)}, "templates")


def web_site(env: Environment) -> ApiSite:
    """Return the site of the web port."""
    children = {
        b"templates": TemplatesResource(env),
        b"healthz": HealthResource(env),
        b"version": VersionResource(env),
    }
    return _site(env, children, "web")


def _site(env: Environment, children: Mapping[bytes, Resource], name: str) -> ApiSite:
    root = NotFoundResource(env)
    for path, child in children.items():
        root.putChild(path, child)
    return ApiSite(env, root, env.find(ITemplates).max_size + SLACK, Listener(name, ""))


class ApiResource(Resource):
    """A resource with a table of methods; HEAD is answered by what answers GET."""

    def __init__(self, env: Environment) -> None:
        super().__init__()
        self.env = env

    def methods(self, request: ApiRequest) -> Methods:
        """Return what each method of the request's path is answered by; empty = no such path."""
        return {}

    def render(self, request: ApiRequest) -> int:
        """Answer a request; called by Twisted."""
        try:
            self._handler(request)(request)
        except TemplateError as error:
            request.refuse(_to_http_error(error))
        except HttpError as error:
            request.refuse(error)
        return NOT_DONE_YET

    def getChild(self, path: bytes, request: ApiRequest) -> Resource:
        return NotFoundResource(self.env)

    def _handler(self, request: ApiRequest) -> Callable[[ApiRequest], None]:
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


class NotFoundResource(ApiResource):
    """A path that leads nowhere."""


class HealthResource(ApiResource):
    """`/healthz`: 200, or 503 when somebody must act."""

    isLeaf = True

    def methods(self, request: ApiRequest) -> Methods:
        return {} if request.postpath else {b"GET": self._get}

    def _get(self, request: ApiRequest) -> None:
        report = self.env.find(IHealth).health()
        request.reply_json(200 if report.get("healthy", True) else 503, report)


class VersionResource(ApiResource):
    """`/version`: which program this is."""

    isLeaf = True

    def methods(self, request: ApiRequest) -> Methods:
        return {} if request.postpath else {b"GET": self._get}

    def _get(self, request: ApiRequest) -> None:
        request.reply_json(200, {"name": "mtnet", "version": __version__})


class TemplatesResource(ApiResource):
    """`/templates` and `/templates/{symbol}/{period}`."""

    isLeaf = True

    def methods(self, request: ApiRequest) -> Methods:
        if request.postpath in ([], [b""]):
            return {b"GET": self._list}
        if len(request.postpath) == 2:
            return {b"GET": self._get, b"PUT": self._put, b"POST": self._put}
        return {}

    def _list(self, request: ApiRequest) -> None:
        request.demand("fetch", TEMPLATES)
        listing = self.env.find(ITemplates).library.listing()
        may = partial(request.rights.may, "fetch", TEMPLATES)
        request.reply_json(200, [each for each in listing if may(each["symbol"])])

    def _get(self, request: ApiRequest) -> None:
        key = self._key(request)
        request.demand("fetch", TEMPLATES, key[0])
        asked = (*key, _version(request), _platform(request))
        found, content = self.env.find(ITemplates).library.read(
            lambda: self.env.find(ITemplates).library.get(*asked)
        )
        request.reply(304 if _is_known(request, found) else 200, content, _headers(found))

    def _put(self, request: ApiRequest) -> None:
        symbol, period = self._key(request)
        request.demand("publish", TEMPLATES, symbol)
        _check_body(request)
        stored = self.env.find(ITemplates).put(symbol, period, request.content.read())
        stored.addCallbacks(self._stored, self._failed, (request,), errbackArgs=(request,))

    def _stored(self, result: tuple[Version, bool], request: ApiRequest) -> None:
        version, created = result
        request.reply_json(201 if created else 200, version.facts())

    def _failed(self, failure: Failure, request: ApiRequest) -> None:
        if isinstance(failure.value, TemplateError):
            request.refuse(_to_http_error(failure.value))
        else:
            request.processingFailed(failure)

    def _key(self, request: ApiRequest) -> tuple[str, str]:
        codepage = self.env.find(ISignals).codepage
        symbol, period = (read_text(part, codepage) for part in request.postpath)
        return parse_symbol(symbol), parse_period(period)


def _check_body(request: ApiRequest) -> None:
    """
    Refuse a form: between its boundary lines the template would not be what was uploaded.

    Any other Content-Type is taken for what the body is, as terminals label all alike.
    """
    kinds = request.requestHeaders.getRawHeaders(b"Content-Type", [])
    if any(kind.strip().lower().startswith(b"multipart/") for kind in kinds):
        raise HttpError(
            415,
            "template",
            "The body is a form, and must be the template itself, as of curl -T FILE or "
            "--data-binary @FILE.",
        )


def _version(request: ApiRequest) -> int | None:
    given = request.args.get(b"version")
    if given is None:
        return None
    number = parse_number(given[0].decode("latin-1"))
    if not number:
        raise HttpError(400, "version", "A version is a number from 1.")
    return number


def _platform(request: ApiRequest) -> str | None:
    given = request.args.get(b"platform")
    if given is None:
        return None
    name = given[0].decode("latin-1")
    if name not in PLATFORMS:
        raise HttpError(400, "platform", "A platform is mt5 or mt4.")
    return name


def _is_known(request: ApiRequest, version: Version) -> bool:
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


def _to_http_error(error: TemplateError) -> HttpError:
    return HttpError(STATUS.get(error.code, 400), error.code, str(error))
