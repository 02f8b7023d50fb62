"""
The verbs of status in the session dialect: built on one side, read on the other.

Pure. `data` is JSON.
"""

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from mtnet.session import messages
from mtnet.session.fields import ANY, FieldType, split_list
from mtnet.session.grammar import MAX_SESSION_FRAME, Message, enclose, escape

PARTS = ("alerts", "events", "status")
"""What can be watched."""
PIECE = MAX_SESSION_FRAME - 100
"""Bytes of data in a frame; the rest is for the verb, the other fields and the marks."""


class Watch(Struct, frozen=True):
    """
    Asks for parts, in place of those that were asked for before.

    Attributes:
        what: none = no more.
    """

    what: frozenset[str]


class Watched(Struct, frozen=True):
    """Answers WATCH; the state of each part follows, then its changes."""

    what: frozenset[str]


class Shown(Struct, frozen=True):
    """
    State of a part, or a change of it.

    Attributes:
        data: JSON, or a piece of it.
        part: the number of the piece, from 1.
        parts: how many pieces there are.
    """

    what: str
    data: str
    part: int = 1
    parts: int = 1


class State(Shown, frozen=True):
    """The whole of a part, in place of all that was known."""


class Changed(Shown, frozen=True):
    """A change of a part."""


def watch(what: Iterable[str]) -> bytes:
    """
    Return the frame that asks for parts.

    Raises:
        WireError: `field`.
    """
    return messages.request(REQUESTS, "WATCH", what=",".join(sorted(what)))


def watched(what: Iterable[str]) -> bytes:
    """Return the answer to WATCH."""
    return enclose(f"WATCHED|what={','.join(sorted(what))}")


def whole(verb: str, what: str, data: str) -> bytes:
    """Return STATE or CHANGED as one frame, for roads that have no limit."""
    return f"<<{verb}|what={what}|data={escape(data)}>>\r\n".encode()


def pieces(verb: str, what: str, data: str) -> bytes:
    """Return STATE or CHANGED as frames of at most `MAX_SESSION_FRAME` bytes, in their order."""
    cut = list(_cut(escape(data).encode()))
    if len(cut) == 1:
        return whole(verb, what, data)
    return b"".join(
        b"<<%b|what=%b|part=%d/%d|data=%b>>\r\n"
        % (verb.encode(), what.encode(), number, len(cut), piece)
        for number, piece in enumerate(cut, 1)
    )


def _cut(data: bytes) -> Iterator[bytes]:
    """Yield pieces of escaped UTF-8; no character and no %XX is cut."""
    start = 0
    while len(data) - start > PIECE:
        end = start + PIECE
        while data[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        escaped = data.rfind(b"%", end - 2, end)
        end = end if escaped < 0 else escaped
        yield data[start:end]
        start = end
    yield data[start:]


def _read_what(text: str) -> frozenset[str] | None:
    found = frozenset(split_list(text)) if text else frozenset()
    return found if found <= frozenset(PARTS) else None


WHAT = FieldType(_read_what, f"a list of {', '.join(PARTS)}; an empty one ends it")


def _read_part(text: str) -> tuple[int, int] | None:
    number, slash, count = text.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and text.isascii()):
        return None
    return (int(number), int(count)) if 1 <= int(number) <= int(count) else None


PART = FieldType(_read_part, "the number of a piece and how many there are, as 1/3")


def _read_shown(kind: type[Shown]) -> Callable[[Message], Shown]:
    def read(message: Message) -> Shown:
        part, parts = message.get("part", PART) or (1, 1)
        return kind(message.require("what", ANY), message.require("data", ANY), part, parts)

    return read


REQUESTS: "dict[str, Callable[[Message], Watch]]" = {
    "WATCH": lambda message: Watch(message.require("what", WHAT)),
}
"""Readers of what a client sends."""
ANSWERS: "dict[str, Callable[[Message], Watched | Shown]]" = {
    "WATCHED": lambda message: Watched(message.require("what", WHAT)),
    "STATE": _read_shown(State),
    "CHANGED": _read_shown(Changed),
}
"""Readers of what the server sends."""
