"""
The templates port as bytes (`docs/protocols.md`, Templates).

Pure: chunks in, values out; every limit is an argument. `mtnet.services.templates.content` parses
the templates themselves.
"""

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from mtnet import values
from mtnet.errors import FrameError, TemplateError, WireError

MT5, MT4 = PLATFORMS = ("mt5", "mt4")
"""The terminals that templates come from; one cannot read the other's."""

PERIODS = {
    **{f"M{minutes}": (minutes, minutes) for minutes in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)},
    **{f"H{hours}": (0x4000 | hours, 60 * hours) for hours in (1, 2, 3, 4, 6, 8, 12)},
    "D1": (0x4018, 1_440),
    "W1": (0x8001, 10_080),
    "MN1": (0xC001, 43_200),
}
"""Each period's code in MetaTrader 5 and 4: their references, `ENUM_TIMEFRAMES`. The sets do not
collide, so a code names one period for any terminal."""

MAX_LINE = 512
"""Bytes of a command line with its line end."""
FIELD = 10
"""Bytes of each of the two fields that a raw answer begins with."""
PREFIX_CACHE = 64
"""Prefixes of raw answers in the cache."""
SLACK = 4
"""NULs that MQL programs put behind an upload, as its announced length may count them."""

_NAMES = {str(code): name for name, codes in PERIODS.items() for code in codes}
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True)
class Fetch:
    """`FETCH` or, when `counted`, `FETCHL`: one template is asked for."""

    symbol: str
    period: str
    version: int | None
    counted: bool


@dataclass(frozen=True)
class Store:
    """`STORE`: `length` bytes of a template follow; an empty login means no login."""

    symbol: str
    period: str
    length: int
    login: str = ""
    secret: str = field(default="", repr=False)


class CommandDecoder:
    """
    Reads the one command line that a connection begins with.

    Attributes:
        rest: what followed the line, once it is whole.
    """

    def __init__(self, max_line: int = MAX_LINE, codepage: str = values.CODEPAGE) -> None:
        self._max_line, self._codepage = max_line, codepage
        self._searched = 0
        self.rest = b""

    def feed(self, data: bytes) -> Fetch | Store | None:
        """
        Return the command that `data` completes, or None when its line end is not there yet.

        Raises:
            FrameError: no line end in `max_line` bytes.
            WireError: `field`: not one of the three commands, or other words than it takes.
            TemplateError: `symbol` or `period`.
        """
        self.rest += data
        end = self.rest.find(b"\n", self._searched, self._max_line)
        if end < 0:
            self._searched = len(self.rest)
            if len(self.rest) >= self._max_line:
                shown = b"" if self.rest.startswith(b"STORE") else self.rest
                raise FrameError("frame", f"No line end in {self._max_line} bytes", shown)
            return None
        line, self.rest = self.rest[:end], self.rest[end + 1 :]
        return parse_command(line.removesuffix(b"\r"), self._codepage)


class BodyDecoder:
    """
    Collects the bytes of an upload; one NUL before them belongs to the line, since MQL programs
    send their strings with it, and no template begins so.

    Attributes:
        received: how many of the `length` bytes came.
    """

    def __init__(self, length: int) -> None:
        self._length, self._parts = length, bytearray()
        self._begun = False

    @property
    def received(self) -> int:
        return len(self._parts)

    def feed(self, data: bytes) -> bytes | None:
        """Return the whole body once it is there; what comes behind it is dropped."""
        if data and not self._begun:
            self._begun, data = True, data.removeprefix(b"\0")
        self._parts += data[: self._length - len(self._parts)]
        return bytes(self._parts) if len(self._parts) == self._length else None


def parse_command(line: bytes, codepage: str = values.CODEPAGE) -> Fetch | Store:
    """
    Read a command line that has lost its line end.

    Args:
        codepage: how text is read that is not UTF-8.

    Raises:
        WireError: `field`.
        TemplateError: `symbol` or `period`.
    """
    words = values.read_text(line, codepage).split()
    parse = _COMMANDS.get(words[0] if words else "")
    if parse is None:
        raise WireError("field", "A command is FETCH, FETCHL or STORE, not", line)
    return parse(words)


def parse_symbol(name: str) -> str:
    """
    Return `name` when it can name a symbol.

    Raises:
        TemplateError: `symbol`.
    """
    if values.is_symbol(name):
        return name
    shown = name[: values.MAX_SYMBOL + 1]
    raise TemplateError("symbol", f"A symbol has {values.SYMBOL}, not {shown!r}.")


def parse_period(name: str) -> str:
    """
    Return the name of a period given as name (`H1`) or as code (`16385`, MetaTrader 4: `60`).

    Raises:
        TemplateError: `period`.
    """
    found = name.upper() if name.upper() in PERIODS else _NAMES.get(name)
    if found is None:
        raise TemplateError(
            "period", f"A period is a name such as H1 or its code 16385, not {name[:32]!r}."
        )
    return found


def parse_number(word: str) -> int | None:
    """Return the number that at most nine ASCII digits make, or None."""
    return int(word) if _NUMBER.fullmatch(word) else None


@lru_cache(PREFIX_CACHE)
def raw_prefix(symbol: str, period: str, platform: str, codepage: str = values.CODEPAGE) -> bytes:
    """
    Return the two fields before a raw template, cut at 10 bytes, padded with NUL: text in the
    code page that the classic programs read, in UTF-8 when the page lacks a character.
    """
    code = str(PERIODS[period][PLATFORMS.index(platform)])
    fields = values.write_text(symbol, codepage), code.encode()
    return b"".join(field[:FIELD].ljust(FIELD, b"\0") for field in fields)


def counted(prefix: bytes, size: int) -> bytes:
    """Return `prefix` behind the length of what FETCHL answers: itself and `size` bytes."""
    return struct.pack(">I", len(prefix) + size) + prefix


def _fetch(words: list[str]) -> Fetch:
    version = parse_number(words[3]) if len(words) == 4 else None
    if len(words) not in (3, 4) or (len(words) == 4 and not version):
        raise WireError(
            "field", f"{words[0]} takes SYMBOL PERIOD and a version from 1, or no version"
        )
    symbol, period = parse_symbol(words[1]), parse_period(words[2])
    return Fetch(symbol, period, version, counted=words[0] == "FETCHL")


def _store(words: list[str]) -> Store:
    length = parse_number(words[3]) if len(words) in (4, 6) else None
    if length is None:
        raise WireError("field", "STORE takes SYMBOL PERIOD LENGTH, or these and LOGIN SECRET")
    return Store(parse_symbol(words[1]), parse_period(words[2]), length, *words[4:])


_COMMANDS: dict[str, Callable[[list[str]], Fetch | Store]] = {
    "FETCH": _fetch,
    "FETCHL": _fetch,
    "STORE": _store,
}
