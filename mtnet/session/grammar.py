"""
The grammar of the session dialect: frames, a verb, then `key=value` fields
(`docs/protocols.md`, Signals).

Pure: chunks and payloads in, values out. `fields` reads the values; `messages`, and the wire
module of each service, know the verbs.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import TypeVar

from msgspec import Struct

from mtnet.errors import QUOTED, FrameError, WireError
from mtnet.session.fields import COMMA, LISTS, FieldType, join_list, split_list
from mtnet.values import format_volume, read_text

VERSION = "2"
"""`v` of HELLO and WELCOME."""
MAX_FRAME = 4_096
"""Bytes of a frame with its marks and its CR LF; clients may keep a buffer of this size."""
MAX_SESSION_FRAME = 8_192
"""The same as `MAX_FRAME` for services other than signals, whose lists are longer."""
MAX_PAYLOAD = 1_024
"""Bytes between `<<` and `>>` that a client may send before WELCOME."""
MAX_GAP = 4_096
"""Bytes without a whole frame before a connection ends: the old buffers that the classic
publisher leaves between frames are shorter than one frame."""
MAX_SESSION_PAYLOAD = 8_192
"""The same as `MAX_PAYLOAD` after WELCOME: a client has logged in, or may do something without,
and lists of symbols and texts of other services are long."""
MAX_SESSION_GAP = 16_384
"""The same as `MAX_GAP` after WELCOME: twice the longest frame."""
_LINE_END = b"\r\n"
SEPARATORS = b"\0\r\n\t "
"""Bytes without a meaning, between frames."""
T = TypeVar("T")

VERB = re.compile(r"[A-Z]{1,16}", re.ASCII)
_OPEN, _CLOSE = b"<<", b">>"
_FRAME_END = b">>\r\n"
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})?")
_RESERVED = b"%|<>\x7f" + bytes(range(32))
_UNSAFE = re.compile(f"[{re.escape(_RESERVED.decode())}]")


class FrameDecoder:
    """
    Cuts a stream into the payloads of its frames.

    The first `>>` ends a frame, which begins behind the last `<<` before it. Bytes between
    frames are skipped: terminals send a NUL there, and the tail of an older buffer.

    Attributes:
        skipped: how many bytes stood between the frames so far.
        unframed: the first bytes of a peer that has sent no frame yet, without `SEPARATORS` before
            them, as many as an error quotes.
        unfinished: whether a frame has begun that has not ended.
    """

    __slots__ = (
        "_framed", "_max_gap", "_max_payload", "_rest", "_searched", "skipped", "unfinished",
        "unframed",
    )  # fmt: skip

    def __init__(self, max_payload: int = MAX_PAYLOAD, max_gap: int = MAX_GAP) -> None:
        self._max_payload, self._max_gap = max_payload, max_gap
        self._rest = b""
        self._searched = 0
        self._framed = self.unfinished = False
        self.skipped = 0
        self.unframed = b""

    def expect_session(self) -> None:
        """Take the longer frames of a client that was welcomed, from the next one on."""
        self._max_payload, self._max_gap = MAX_SESSION_PAYLOAD, MAX_SESSION_GAP

    def feed(self, data: bytes) -> Iterator[bytes]:
        """
        Yield the payload of each frame that `data` completes; run it to its end.

        Raises:
            FrameError: a payload over `max_payload`, or over `max_gap` bytes without a whole
                frame. The frames before it have been yielded; nothing more can be read.
        """
        buffer, search, start = self._rest + data, self._searched, 0
        self._rest, self.unfinished = b"", False
        while (end := buffer.find(_CLOSE, search)) >= 0 and end + 2 - start <= self._max_gap:
            search = end + 2
            opening = buffer.rfind(_OPEN, start, end)
            if opening >= 0:
                self.skipped += opening - start
                start = search
                self._framed, self.unframed = True, b""
                payload = buffer[opening + 2 : end]
                if len(payload) > self._max_payload:
                    most = self._max_payload
                    raise FrameError("frame", f"A frame of more than {most} bytes", payload)
                yield payload
        rest = buffer[start:]
        self._rest = _LINE_END if rest == _LINE_END else rest  # one for all who wait
        if not self._framed:
            self.unframed = (self.unframed + data).lstrip(SEPARATORS)[: QUOTED + 1]
        # One byte back: a `>` at the end may be half of the mark.
        self._searched = max(search - start, len(self._rest) - 1, 0)
        if len(self._rest) > self._max_gap:
            rest, self._rest = self._rest, b""
            raise FrameError("frame", f"No whole frame in {self._max_gap} bytes", rest)
        self.unfinished = _OPEN in self._rest or self._rest.endswith(b"<")


class Message(Struct, frozen=True):
    """
    A verb and its fields; `repr` shows no values, since one may be a password.

    Attributes:
        fields: with their %XX undone; unknown ones are here too.
    """

    verb: str
    fields: dict[str, str]

    def __repr__(self) -> str:
        return f"<{self.verb} with {list(self.fields)!r}>"

    def require(self, key: str, type: FieldType[T]) -> T:
        """
        Read a field that must be there.

        Raises:
            WireError: `field`.
        """
        if key not in self.fields:
            raise WireError("field", f"{self.verb} needs {key}, which is {type.expected}")
        text = self.fields[key]
        value = type.read(text)
        if value is None:
            raise self.refusal(f"{key} is {type.expected}", text)
        return value

    def get(self, key: str, type: FieldType[T]) -> T | None:
        """
        Read a field; None when it is absent.

        Raises:
            WireError: `field`; it is there and cannot be read.
        """
        return self.require(key, type) if key in self.fields else None

    def refusal(self, right: str, text: str) -> WireError:
        """Return the error that describes a right value, and quotes `text` unless in HELLO."""
        offending = b"" if self.verb == "HELLO" else text.encode("utf-8", "replace")
        return _error("field", f"In {self.verb} {right}", offending)


def is_classic(payload: bytes) -> bool:
    """
    Return whether a frame is of the classic dialect: two fields, the second without `=`.

    `HELLO|0.10` is the position of a symbol with an unfortunate name.
    """
    _, bar, rest = payload.partition(b"|")
    return bool(bar) and b"|" not in rest and b"=" not in rest


def is_hello(payload: bytes) -> bool:
    """Return whether a frame opens dialect 2; a bare `HELLO` does, and gets an ERROR."""
    return payload.partition(b"|")[0] == b"HELLO" and not is_classic(payload)


def is_login(payload: bytes) -> bool:
    """Return whether a frame may hold a login."""
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
    """Return `id` and `channel` of a frame that `parse` refused, as far as they can be read."""
    verb, *parts = payload.decode("ascii", errors="replace").split("|")
    pairs = [part.partition("=") for part in parts]
    return Message(verb, {key: text for key, _, text in pairs if key in ("id", "channel")})


def encode(verb: str, /, **fields: str | int | Decimal | None) -> bytes:
    """
    Return the whole frame, in the order of `fields`, without those that are None.

    Raises:
        WireError: `field`; it would be longer than `MAX_FRAME`, or a text is no Unicode.
    """
    shown = [f"|{key}={_format(key, value)}" for key, value in fields.items() if value is not None]
    return enclose(f"{verb}{''.join(shown)}")


def enclose(payload: str, most: int = MAX_FRAME) -> bytes:
    """
    Return the frame around a payload whose values are escaped.

    Args:
        most: bytes that it may have.

    Raises:
        WireError: as `encode`.
    """
    try:
        frame = f"<<{payload}>>\r\n".encode()
    except UnicodeEncodeError:
        frame = b""
    if not 0 < len(frame) <= most:
        raise WireError("field", f"A frame is Unicode text of at most {most} bytes")
    return frame


def payloads(frames: bytes) -> list[bytes]:
    """Return the payloads of whole frames of ours; their values are escaped."""
    return [frame[2:] for frame in frames.split(_FRAME_END)[:-1]]


def append(frame: bytes, key: str, value: int) -> bytes:
    """Return a frame of ours with one more field."""
    return b"%b|%b=%d%b" % (frame.removesuffix(_FRAME_END), key.encode(), value, _FRAME_END)


def escape(text: str) -> str:
    """Return a value as it stands in a frame."""
    data = text.encode("utf-8", "replace")
    # An expression looks at 10 ns a character, which is long for a state of 400 kB.
    if len(data.translate(None, _RESERVED)) == len(data):
        return text
    return _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", text)


def _format(key: str, value: str | int | Decimal) -> str:
    if isinstance(value, str):
        if key not in LISTS:
            return escape(value)
        return ",".join(escape(item).replace(",", COMMA) for item in split_list(value))
    return format_volume(value) if isinstance(value, Decimal) else str(value)


def _parse_plain(payload: bytes) -> Message | None:
    """Read the frames that machines send: UTF-8, nothing escaped; None = look closer."""
    if b"%" in payload:
        return None
    try:
        verb, *parts = payload.decode().split("|")
        fields = {}
        for part in parts:
            key, text = part.split("=", 1)  # without `=` it is a list of one: ValueError
            fields[key] = text
    except ValueError:
        return None
    if len(fields) != len(parts) or "" in fields or VERB.fullmatch(verb) is None:
        return None
    return Message(verb, fields)


def _parse_any(payload: bytes, codepage: str) -> Message:
    verb, *parts = payload.split(b"|")
    shown = read_text(verb, codepage)
    if VERB.fullmatch(shown) is None:
        raise _parse_error("verb", "A frame begins with a verb in capital letters", verb, payload)
    fields: dict[str, str] = {}
    for part in parts:
        key, value = _parse_field(part, codepage, payload)
        if key in fields:
            raise _parse_error("field", f"{shown} has each field once", part, payload)
        fields[key] = value
    return Message(shown, fields)


def _parse_field(part: bytes, codepage: str, payload: bytes) -> tuple[str, str]:
    halves = [_unescape(half) for half in part.split(b"=", 1)]
    key, *values = [None if half is None else read_text(half, codepage) for half in halves]
    if key in LISTS and values and values[0] is not None:
        # A comma that was escaped belongs to its item.
        items = [_unescape(item) or b"" for item in part.split(b"=", 1)[1].split(b",")]
        values = [join_list(read_text(item, codepage) for item in items)]
    if not values or part.startswith(b"="):
        raise _parse_error("field", "A field is key=value", part, payload)
    if key is None or values[0] is None:
        raise _parse_error("field", "A % is followed by two hex digits, as %25", part, payload)
    return key, values[0]


def _unescape(text: bytes) -> bytes | None:
    """Undo %XX; None when one lacks its two digits."""
    if b"%" not in text:
        return text
    if any(not digits for digits in _ESCAPED.findall(text)):
        return None
    return _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), text)


def _parse_error(code: str, text: str, offending: bytes, payload: bytes) -> WireError:
    """Make the error; a misspelt HELLO is one too, and where its password ends is unknown."""
    lower = payload.lower()
    secret = b"hello" in lower or b"pass" in lower
    return _error(code, text, b"" if secret else offending)


def _error(code: str, right: str, offending: bytes) -> WireError:
    return WireError(code, f"{right}, not" if offending else right, offending)
