"""
The grammar of dialect 2: a verb, then `key=value` fields (`docs/protocols.md`, Signals).

Pure: payloads in, values out. `wire.FrameDecoder` cuts the frames, `fields` reads the values;
`requests` is what clients say, `answers` what the server says.
"""

import re
from decimal import Decimal
from typing import TypeVar

from msgspec import Struct

from mtnet.errors import WireError
from mtnet.services.signals.fields import COMMA, LISTS, OPTIONAL, Grammar, join_list, split_list
from mtnet.values import read_text

VERSION = "2"
"""What HELLO and WELCOME carry as `v`."""
MAX_FRAME = 4_096
"""Bytes of a frame with its marks and its CR LF; clients may keep a buffer of this size."""
Fields = tuple[tuple[str, str], ...]
"""Optional fields of a position, sorted by name, each with the digits that were sent."""
T = TypeVar("T")

_FRAME_ENDS = b">>\r\n"
_VERB = re.compile(r"[A-Z]{1,16}", re.ASCII)
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})?")
_UNSAFE = re.compile(r"[%|<>\x00-\x1f\x7f]")


class Message(Struct, frozen=True):
    """
    What a frame says; `repr` shows no values, one of which may be a password.

    Attributes:
        fields: with their %XX undone; unknown ones are here too.
    """

    verb: str
    fields: dict[str, str]

    def __repr__(self) -> str:
        return f"<{self.verb} with {list(self.fields)!r}>"

    def need(self, key: str, grammar: Grammar[T]) -> T:
        """
        Read a field that must be there.

        Raises:
            WireError: `field`.
        """
        value = self.take(key, grammar)
        if value is None:
            raise WireError("field", f"{self.verb} needs {key}, which is {grammar.expected}")
        return value

    def take(self, key: str, grammar: Grammar[T]) -> T | None:
        """
        Read a field; None when it is absent.

        Raises:
            WireError: `field`; it is there and cannot be read.
        """
        text = self.fields.get(key)
        if text is None:
            return None
        value = grammar.read(text)
        if value is None:
            raise self.refuse(f"{key} is {grammar.expected}", text)
        return value

    def refuse(self, right: str, text: str) -> WireError:
        """Return the error that says what is right, and quotes `text` unless this is HELLO."""
        offending = b"" if self.verb == "HELLO" else text.encode("utf-8", "replace")
        return _error("field", f"In {self.verb} {right}", offending)


def is_classic(payload: bytes) -> bool:
    """
    Say whether a frame is of the classic dialect: two fields, the second without `=`.

    `HELLO|0.10` is the position of a symbol with an unfortunate name.
    """
    _, bar, rest = payload.partition(b"|")
    return bool(bar) and b"|" not in rest and b"=" not in rest


def is_hello(payload: bytes) -> bool:
    """Say whether a frame opens dialect 2; a bare `HELLO` does, to be told what it lacks."""
    return payload.partition(b"|")[0] == b"HELLO" and not is_classic(payload)


def is_login(payload: bytes) -> bool:
    """Say whether a frame holds a login, or what could be one."""
    return b"login=" in payload or b"password=" in payload


def parse(payload: bytes, codepage: str = "cp1252") -> Message:
    """
    Read a frame.

    Args:
        codepage: how a field is read that is not UTF-8. Bytes that this page lacks become
            U+FFFD: a comment survives that, names and passwords are refused.

    Raises:
        WireError: `verb` (no word of capital letters stands first) or `field` (one without
            `=`, without a key, doubled, or with a bad %XX). Of a frame that may hold a
            password nothing is quoted.
    """
    return _parse_plain(payload) or _parse_any(payload, codepage)


def salvage(payload: bytes) -> Message:
    """Return what can still be told of a frame that `parse` refused: its `id` and `channel`."""
    verb, *parts = payload.decode("ascii", errors="replace").split("|")
    pairs = [part.partition("=") for part in parts]
    return Message(verb, {key: text for key, _, text in pairs if key in ("id", "channel")})


def encode(verb: str, /, **fields: str | int | Decimal | None) -> bytes:
    """
    Return the whole frame, in the order of `fields`, without those that are None.

    Raises:
        WireError: `field`; it would be longer than `MAX_FRAME`, or a text is no Unicode.
    """
    shown = [f"|{key}={_spell(key, value)}" for key, value in fields.items() if value is not None]
    return enclose(f"{verb}{''.join(shown)}")


def enclose(payload: str) -> bytes:
    """
    Return the frame around a payload whose values are escaped.

    Raises:
        WireError: as `encode`.
    """
    try:
        frame = f"<<{payload}>>\r\n".encode()
    except UnicodeEncodeError:
        frame = b""
    if not 0 < len(frame) <= MAX_FRAME:
        raise WireError("field", f"A frame is Unicode text of at most {MAX_FRAME} bytes")
    return frame


def append(frame: bytes, key: str, value: int) -> bytes:
    """Return a frame of ours with one more field."""
    return b"%b|%b=%d%b" % (frame.removesuffix(_FRAME_ENDS), key.encode(), value, _FRAME_ENDS)


def escape(text: str) -> str:
    """Return a value as it stands in a frame."""
    if _UNSAFE.search(text) is None:
        return text
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", text)


def spell_volume(volume: Decimal) -> str:
    """Return a volume in lots with all its digits, without an exponent; `-0` is `0`."""
    shown = str(volume or 0)
    return f"{volume:f}" if "E" in shown else shown


def read_fields(message: Message, time: str) -> Fields:
    """
    Return the optional fields of a position; an empty comment is none, and terminals send many.

    Args:
        time: the key under which the publisher's own clock stands.

    Raises:
        WireError: `field`.
    """
    keys = ((name, time if name == "ptime" else name) for name in OPTIONAL)
    found = [(name, message.take(key, OPTIONAL[name])) for name, key in keys]
    return tuple((name, text) for name, text in found if text)


def _spell(key: str, value: str | int | Decimal) -> str:
    if isinstance(value, str):
        if key not in LISTS:
            return escape(value)
        return ",".join(escape(item).replace(",", COMMA) for item in split_list(value))
    return spell_volume(value) if isinstance(value, Decimal) else str(value)


def _parse_plain(payload: bytes) -> Message | None:
    """Read the frames that machines send: UTF-8, nothing escaped; None = look closer."""
    if b"%" in payload:
        return None
    try:
        verb, *parts = payload.decode().split("|")
        # A part without `=` is a list of one, which is no item of a dict: ValueError.
        fields = dict([part.split("=", 1) for part in parts])
    except ValueError:
        return None
    if len(fields) != len(parts) or "" in fields or _VERB.fullmatch(verb) is None:
        return None
    return Message(verb, fields)


def _parse_any(payload: bytes, codepage: str) -> Message:
    verb, *parts = payload.split(b"|")
    shown = read_text(verb, codepage)
    if _VERB.fullmatch(shown) is None:
        raise _refuse("verb", "A frame begins with a verb in capital letters", verb, payload)
    fields: dict[str, str] = {}
    for part in parts:
        key, value = _parse_field(part, codepage, payload)
        if key in fields:
            raise _refuse("field", f"{shown} has each field once", part, payload)
        fields[key] = value
    return Message(shown, fields)


def _parse_field(part: bytes, codepage: str, payload: bytes) -> tuple[str, str]:
    halves = [_undo(half) for half in part.split(b"=", 1)]
    key, *values = [None if half is None else read_text(half, codepage) for half in halves]
    if key in LISTS and values and values[0] is not None:
        # A comma that was escaped belongs to its item.
        items = [_undo(item) or b"" for item in part.split(b"=", 1)[1].split(b",")]
        values = [join_list(read_text(item, codepage) for item in items)]
    if not values or part.startswith(b"="):
        raise _refuse("field", "A field is key=value", part, payload)
    if key is None or values[0] is None:
        raise _refuse("field", "A % is followed by two hex digits, as %25", part, payload)
    return key, values[0]


def _undo(text: bytes) -> bytes | None:
    """Undo %XX; None when one lacks its two digits."""
    if b"%" not in text:
        return text
    if any(not digits for digits in _ESCAPED.findall(text)):
        return None
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), text)


def _refuse(code: str, text: str, offending: bytes, payload: bytes) -> WireError:
    """Make the error; a misspelt HELLO is one too, and where its password ends is unknown."""
    lower = payload.lower()
    secret = b"hello" in lower or b"pass" in lower
    return _error(code, text, b"" if secret else offending)


def _error(code: str, right: str, offending: bytes) -> WireError:
    return WireError(code, f"{right}, not" if offending else right, offending)
