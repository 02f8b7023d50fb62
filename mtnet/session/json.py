"""
The JSON form of the session dialect: one object is one message (`docs/protocols.md`, WebSocket).

Pure: the bytes of one message in, a `Message` out; frames of ours in, messages out. Verbs, keys
and values are those of the frames, without %XX: the verbs of every service work in both forms.
"""

import re
from typing import Any

import msgspec

from mtnet import json_input
from mtnet.errors import FrameError, WireError
from mtnet.json_input import MAX_EXACT
from mtnet.session import grammar
from mtnet.session.fields import (
    FLAGS,
    LISTS,
    NUMBER_LISTS,
    NUMBERS,
    PRICE_OR_FLAG,
    join_list,
    read_integer,
    split_list,
)
from mtnet.session.grammar import VERB, Message

MAX_MESSAGE = 16_384
"""Bytes of a message that a client may send: the largest frame, and what JSON adds to it."""

_ARRAYS = LISTS | {"seqs"}
_LISTS_READ = frozenset({"what"})
"""Keys whose value can be a list, too, when a client sends it."""
_SECRET = re.compile(rb"hello|pass|\\u", re.IGNORECASE)
"""Near one of these a password may stand; JSON can hide every word behind an escape."""
_VALUE = "A value is a text, a finite number, null, or true, false or a list where one belongs"
_WHOLE = f"A whole number of {MAX_EXACT} or more is written as a text"


class _RefusedNumber(str):
    """The text of a number that is not taken: infinite, no number at all, or not exact."""

    __slots__ = ()


def parse(data: bytes) -> Message:
    """
    Read a message; null is an absent field.

    Raises:
        FrameError: it is no JSON object.
        WireError: `verb` (none in capital letters) or `field` (doubled, or a value that no field
            has). Of a message that may hold a password nothing is quoted.
    """
    pairs = _pairs(data)
    fields = {key: _text(key, value, data) for key, value in pairs if value is not None}
    verb = fields.pop("verb", "")
    if VERB.fullmatch(verb) is None:
        offending = verb.encode()
        raise _error("verb", "verb is a word of capital letters", offending, data)
    if len({key for key, _ in pairs}) < len(pairs):
        raise _error("field", f"{verb} has each field once", data, data)
    return Message(verb, fields)


def salvage(data: bytes) -> Message:
    """Return `id` and `channel` of a message that `parse` refused, as far as they can be read."""
    try:
        found = dict(_pairs(data))
    except WireError:
        found = {}
    keys = ("verb", "id", "channel")
    fields = {key: found[key] for key in keys if isinstance(found.get(key), str)}
    return Message(fields.pop("verb", ""), fields)


def is_login(data: bytes) -> bool:
    """Return whether a message may hold a login, unless it hides the word; see `_SECRET`."""
    return b'"login"' in data or b'"password"' in data


def transcode(frames: bytes) -> list[bytes]:
    """Return the JSON object of each of some frames that our builders made."""
    return [encode(grammar.parse(payload)) for payload in grammar.payloads(frames)]


def encode(message: Message) -> bytes:
    """Return a message as one JSON object; undoes `parse`."""
    shown = {key: _value(key, text) for key, text in message.fields.items()}
    return msgspec.json.encode({"verb": message.verb, **shown})


def _value(key: str, text: str) -> str | int | list[str] | list[str | None]:
    if key in NUMBER_LISTS:
        return [item or None for item in text.split(",")]
    if key in _ARRAYS:
        return split_list(text) if text else []
    number = read_integer(text) if key in NUMBERS else None
    return text if number is None or abs(number) >= MAX_EXACT else number


def _pairs(data: bytes) -> tuple[tuple[str, Any], ...]:
    """Return keys and values, doubled ones too; an object within is a tuple as well."""
    try:
        value = json_input.decode(data.decode(), tuple, _RefusedNumber)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, tuple):
        raise _error("frame", "A message is one JSON object", data, data, FrameError)
    return value


def _text(key: str, value: Any, data: bytes) -> str:
    """
    Return a value as the text that a frame would have.

    Raises:
        WireError: `field`.
    """
    if isinstance(value, bool) and (key in FLAGS or key == PRICE_OR_FLAG):
        return str(int(value))
    if isinstance(value, list) and key in NUMBER_LISTS:
        return ",".join("" if item is None else _scalar(key, item, data) for item in value)
    if isinstance(value, list) and (key in _ARRAYS or key in _LISTS_READ):
        return join_list(_scalar(key, item, data) for item in value)
    return _scalar(key, value, data)


def _scalar(key: str, value: Any, data: bytes) -> str:
    if isinstance(value, _RefusedNumber):
        right = _WHOLE if value.lstrip("-").isdecimal() else _VALUE
        raise _error("field", right, value.encode(), data)
    if not isinstance(value, str):
        raise _error("field", _VALUE, _original(key, data), data)
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a pair of \\uXXXX
        raise _error("field", "A text is Unicode", _original(key, data), data) from None
    return value


def _original(key: str, data: bytes) -> bytes:
    """Return the bytes of a value as they came; of a message that msgspec cannot read, the key."""
    try:
        return bytes(msgspec.json.decode(data, type=dict[str, msgspec.Raw])[key])
    except (msgspec.DecodeError, RecursionError, KeyError):
        return key.encode("utf-8", "replace")


def _error(
    code: str, right: str, offending: bytes, data: bytes, kind: type[WireError] = WireError
) -> WireError:
    shown = b"" if _SECRET.search(data) else offending
    return kind(code, f"{right}, not" if shown else right, shown)
