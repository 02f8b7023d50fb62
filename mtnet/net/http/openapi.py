"""Generator of the API's description, OpenAPI 3.1, from what the routes declare."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct

from mtnet.net.http.route import JSON, Content, Route

REFUSALS = (400, 401, 403, 413, 429, 503)
"""Statuses with which any request may be refused: by its form, its login, our own trouble."""
UNPROCESSABLE = 422
"""The status for a query or a body that cannot be read."""
LOGINS: Mapping[str, dict[str, str]] = {
    "basic": {"type": "http", "scheme": "basic"},
    "bearer": {"type": "http", "scheme": "bearer"},
}
"""How a program logs in."""
COOKIE = (
    "Of a browser that has logged in. A request with an Origin, or a Sec-Fetch-Site, of another "
    "page is refused, or goes without it."
)
Security = list[dict[str, list[str]]]
REFERENCE = "#/components/schemas/{name}"


class Error(Struct):
    """A refusal: one word for programs, and a sentence for people."""

    error: str
    text: str


def describe(
    routes: Iterable[Route], version: str, cookies: Mapping[str, str] = {}
) -> dict[str, Any]:
    """
    Return the OpenAPI document of some routes.

    Args:
        cookies: of browsers that have logged in: a name in this document, and the cookie's.
    """
    schemes: dict[str, Mapping[str, str]] = {**LOGINS}
    for key, cookie in cookies.items():
        schemes[key] = {"type": "apiKey", "in": "cookie", "name": cookie, "description": COOKIE}
    logins: Security = [{key: []} for key in schemes]
    known = sorted(routes, key=lambda each: (each.path, each.method))
    types = dict.fromkeys(kind for each in known for kind in _types(each))
    found, components = msgspec.json.schema_components([*types], ref_template=REFERENCE)
    schemas = dict(zip(types, found, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for each in known:
        operation = _operation(each, schemas, components)
        if each.login:
            operation["security"] = logins
        paths.setdefault(each.path, {})[each.method.lower()] = operation
    queries = {_name(schemas[each.params]) for each in known if each.params is not None}
    return {
        "openapi": "3.1.0",
        "info": {"title": "mtnet", "version": version},
        "security": [{}, *logins],
        "paths": paths,
        "components": {
            "schemas": {name: each for name, each in components.items() if name not in queries},
            "securitySchemes": schemes,
        },
    }


def _types(route: Route) -> list[Any]:
    kinds = [Error, route.params, route.body, *route.answers.values()]
    return [each for each in kinds if each is not None and not isinstance(each, Content)]


def _name(schema: Mapping[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def _operation(
    route: Route, schemas: Mapping[Any, Any], components: Mapping[str, Any]
) -> dict[str, Any]:
    words = re.findall(r"[a-z0-9]+", f"{route.method.lower()} {route.path}")
    found: dict[str, Any] = {"operationId": "_".join(words), "summary": route.summary}
    needs = [f"the right `{route.right}`"] if route.right else []
    if route.login:
        needs.append("a login, on loopback too")
    if needs:
        found["description"] = f"Needs {', and '.join(needs)}."
    if route.params is not None:
        found["parameters"] = _parameters(route, components[_name(schemas[route.params])])
    if route.body is not None:
        found["requestBody"] = {"required": True, "content": _content(route.body, schemas)}
    found["responses"] = _responses(route, schemas)
    return found


def _parameters(route: Route, schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    required = {*schema.get("required", ()), *route.names}
    return [
        {
            "name": name,
            "in": "path" if name in route.names else "query",
            "required": name in required,
            "schema": each,
            **({"style": "form", "explode": False} if "array" in str(each) else {}),
        }
        for name, each in schema.get("properties", {}).items()
    ]


def _responses(route: Route, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    reads = route.params is not None or route.body is not None
    refusals = {*REFUSALS, *route.errors, *([UNPROCESSABLE] if reads else [])}
    kinds = {**dict.fromkeys(refusals, Error), **route.answers}
    return {str(status): _response(status, kinds[status], schemas) for status in sorted(kinds)}


def _response(status: int, kind: Any, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if kind is not None:
        found["content"] = _content(kind, schemas)
    return found


def _content(kind: Any, schemas: Mapping[Any, Any]) -> dict[str, Any]:
    if isinstance(kind, Content):
        return {kind.type: {}}
    return {JSON: {"schema": schemas[kind]}}
