"""
Path, query and body of a request, read into the types that its route declares.

Pure. A body is taken by its content: terminals label JSON as a form, and end it with a NUL.
"""

import re
from collections.abc import Mapping
from functools import cache
from math import isfinite
from typing import Any
from urllib.parse import unquote_plus

import msgspec
from msgspec import inspect

from mtnet import json_input
from mtnet.errors import WireError
from mtnet.net.http.route import Content, QueryKey, Route
from mtnet.values import read_text

COMMA = "%2C"
"""A comma within an item of a list, undone after the list is split."""

_FIXED = (
    inspect.StrType, inspect.IntType, inspect.BoolType, inspect.NoneType, inspect.LiteralType,
)  # fmt: skip
_FORM = re.compile(r"[A-Za-z_]{1,32}=(.*)", re.DOTALL)
_WHERE = re.compile(r"(.*?)(?: - at `(?:key in )?\$\.?(.*)`)?", re.DOTALL)
_NO_NUMBER = re.compile(r"nan|inf", re.IGNORECASE)
_WHOLE = "A number is finite, and a whole one of 2^53 or more is written as a text"


def read_params(
    route: Route, names: Mapping[str, str], query: Mapping[bytes, list[bytes]], codepage: str
) -> Any:
    """
    Return the params of a route.

    Args:
        names: what stands in the path for the route's names; they go before the query.

    Raises:
        WireError: `field`.
    """
    found: dict[str, Any] = {}
    if query:
        for key in route.keys:
            given = query.get(key.encoded)
            if given is not None:
                found[key.name] = _value(key, given, codepage)
    return _convert({**found, **names}, route.params, "The query")


def read_body(route: Route, data: bytes, codepage: str) -> Any:
    """
    Return the body of a request: bytes, or a value of JSON as the route's type has it.

    Raises:
        WireError: `field`.
    """
    if isinstance(route.body, Content):
        return data
    text = _json_text(read_text(data.removesuffix(b"\0"), codepage))
    try:
        value = json_input.decode(text or "{}", _read_object, _refuse_number)
        # Half of a pair of \uXXXX is no character, and could not be sent on.
        if "\\u" in text:
            _check_unicode(value)
    except (ValueError, RecursionError) as error:
        raise WireError("field", "The body is JSON, not", data) from error
    return _convert(value, route.body, "The body")


def _value(key: QueryKey, given: list[bytes], codepage: str) -> Any:
    """Return the text of a key of the query, or the texts of an array."""
    if key.is_array:
        texts = [read_text(each, codepage) for each in given]
        items = [item for text in texts if text for item in text.split(",")]
        return [item.replace(COMMA, ",") for item in items]
    if len(given) > 1:
        raise WireError("field", f"The query has {key.name} once, not", b"&".join(given))
    return read_text(given[0], codepage)


def _convert(value: Any, kind: Any, what: str) -> Any:
    try:
        found = msgspec.convert(value, kind, strict=False)
        floats = _floats(kind)
        for name in floats or ():
            _check_finite(getattr(found, name))
        if floats is None and _NO_NUMBER.search(str(value)):
            _check_finite(msgspec.to_builtins(found))
        return found
    except msgspec.ValidationError as error:
        found = _WHERE.fullmatch(str(error))
        assert found is not None
        where = f"{found[2]} of " if found[2] else ""
        raise WireError("field", f"{where}{what.lower()}: {found[1]}") from error


@cache
def _floats(kind: Any) -> tuple[str, ...] | None:
    """Return the fields of a struct that are floats; None = other values of it may be some."""
    found = inspect.type_info(kind)
    if not isinstance(found, inspect.StructType):
        return None
    floats = [each.name for each in found.fields if isinstance(each.type, inspect.FloatType)]
    others = [each.type for each in found.fields if each.name not in floats]
    return tuple(floats) if all(map(_is_fixed, others)) else None


def _is_fixed(kind: inspect.Type) -> bool:
    """Return whether no value of a type holds a float."""
    if isinstance(kind, inspect.Metadata):
        return _is_fixed(kind.type)
    if isinstance(kind, inspect.StructType):
        return _floats(kind.cls) == ()
    if isinstance(kind, inspect.UnionType):
        return all(map(_is_fixed, kind.types))
    if isinstance(kind, (inspect.ListType, inspect.VarTupleType, inspect.FrozenSetType)):
        return _is_fixed(kind.item_type)
    return isinstance(kind, _FIXED)


def _check_finite(value: Any) -> None:
    """Raise `WireError` for a number that is none: "nan" and "inf" are floats to msgspec."""
    if isinstance(value, float) and not isfinite(value):
        _refuse_number(str(value))
    elif isinstance(value, Mapping):
        for each in value.values():
            _check_finite(each)
    elif isinstance(value, list):
        for each in value:
            _check_finite(each)


def _json_text(text: str) -> str:
    """Return the JSON of a body: as it is, escaped as a form, or the value of a form's field."""
    form = _FORM.fullmatch(text)
    value = form[1] if form else text
    for each in (text, value, unquote_plus(value.partition("&")[0])):
        found = each.strip("\ufeff \t\r\n")
        if found[:1] in ("{", "["):
            return found
    return text.strip("\ufeff \t\r\n")


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; null is an absent field."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise WireError(
            "field",
            "An object has each field once, not",
            ", ".join(key for key, _ in pairs).encode("utf-8", "replace"),
        )
    return {key: value for key, value in found.items() if value is not None}


def _refuse_number(text: str) -> Any:
    raise WireError("field", f"{_WHOLE}, not", text.encode())


def _check_unicode(value: Any) -> None:
    """
    Raise ValueError for a text that no encoding has.

    A UnicodeEncodeError is one.
    """
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, Mapping):
        for each in (*value, *value.values()):
            _check_unicode(each)
    elif isinstance(value, list):
        for each in value:
            _check_unicode(each)
