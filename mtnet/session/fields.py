"""
Field types of the session dialect: how the text of each field is read.

Pure: text in; a value, or the description of a right one, out. Services add their own types.
"""

import re
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

from mtnet import values

MAX_NUMBER = 2**63
"""Sequence numbers and times lie below: MQL5 keeps them in a `long`."""
MAX_TEXT = 100
"""Characters of a name, a login, a reason, and of the text that PING wants returned."""
MAX_PASSWORD = 128
"""Characters."""
COMMA = "%2C"
"""A comma within an item of a list."""
LISTS = frozenset({"channels", "services", "symbols"})
"""The keys whose values are lists of texts, in the messages of every service."""
NUMBER_LISTS = frozenset({"values"})
"""The keys whose values are lists of numbers as texts; one that is absent is an empty item, and
null in JSON."""
PRICE_OR_FLAG = "open"
"""The key of a price in BAR and of a flag in CALC and VALUE: a text in JSON, and from a client
`true` or `false` as well."""
FLAGS = frozenset(
    {
        *("closed", "current", "diverged", "observe", "take", "trading"),
        *("presence", "present", "retain", "retained"),
        "late",
    }
)
"""The keys whose values are `1` or `0`: in JSON a number, from a client also `true` or `false`."""
NUMBERS = frozenset(
    {
        *("after", "bars", "count", "oldest", "prev", "seq", "skipped", "ticks"),
        *("clients", "members", "receivers"),
        *("lease", "replicas", "slots", "timeout", "took", "tries", "try"),
        *("flags", "spread"),
        *FLAGS,
        *("bar", "opened", "popened", "ptime", "received", "since", "time", "until"),
    }
)
"""The keys whose values are whole numbers in JSON, in the messages of every service: sequence
numbers, counts, times and flags. Prices, volumes and names stay text: a browser rounds numbers."""

T = TypeVar("T")

_CHANNEL = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
_SERVICE = re.compile(r"[a-z][a-z0-9_]*", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,8}(\.[0-9]{1,5})?", re.ASCII)
_REPLACED = "\ufffd"


class FieldType(NamedTuple, Generic[T]):
    """
    Parser and description of one type of field.

    Attributes:
        read: returns None for a text that it cannot read.
        expected: the description of a right value, to follow «field is».
    """

    read: Callable[[str], T | None]
    expected: str


def matching(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    """Return a reader of the texts that match a pattern as a whole."""
    return lambda text: text if pattern.fullmatch(text) else None


def text_up_to(most: int) -> FieldType[str]:
    """Return the type of texts of at most so many characters."""
    return FieldType(
        lambda text: text if len(text) <= most else None, f"a text of at most {most} characters"
    )


def join_list(items: Iterable[str]) -> str:
    """Return a list as the text of one field; a comma within an item is written `%2C`."""
    return ",".join(item.replace(",", COMMA) for item in items)


def split_list(text: str) -> list[str]:
    """Return the items of a list; undoes `join_list`."""
    return [item.replace(COMMA, ",") for item in text.split(",")]


def read_number(text: str) -> int | None:
    """Read a whole number from 0 to `MAX_NUMBER` - 1."""
    if _NUMBER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number < MAX_NUMBER else None


def read_integer(text: str) -> int | None:
    """Read a whole number, which may be below 0."""
    number = read_number(text.removeprefix("-"))
    return -number if number is not None and text.startswith("-") else number


def _read_symbols(text: str) -> frozenset[str] | None:
    # People write a blank behind a comma; no broker has symbols that begin with one.
    names = [values.read_symbol(name.strip(" ")) for name in split_list(text)]
    return None if None in names else frozenset(name for name in names if name is not None)


def _read_services(text: str) -> tuple[str, ...] | None:
    names = split_list(text) if text else []
    return tuple(names) if all(map(_SERVICE.fullmatch, names)) else None


def _read_seconds(text: str) -> float | None:
    return float(text) if _SECONDS.fullmatch(text) else None


def _unicode_up_to(most: int) -> FieldType[str]:
    """As `text_up_to`, without U+FFFD: two unreadable names or passwords must not be equal."""
    return FieldType(
        lambda text: text if len(text) <= most and _REPLACED not in text else None,
        f"a text of at most {most} characters, in UTF-8",
    )


ANY: FieldType[str] = FieldType(lambda text: text, "a text")
CHANNEL = FieldType(matching(_CHANNEL), "1 to 32 of A-Z a-z 0-9 . _ -")
ID = FieldType(matching(_ID), "1 to 64 of A-Z a-z 0-9 . _ -")
NUMBER = FieldType(read_number, f"a whole number from 0 to {MAX_NUMBER - 1}")
INTEGER = FieldType(read_integer, f"a whole number from {1 - MAX_NUMBER} to {MAX_NUMBER - 1}")
FLAG = FieldType({"0": False, "1": True}.get, "1 or 0")
SERVICES = FieldType(_read_services, "names of services, separated by commas")
SECONDS = FieldType(_read_seconds, "seconds such as 5 or 0.5")
SYMBOL = FieldType(values.read_symbol, values.SYMBOL)
SYMBOLS = FieldType(_read_symbols, "one or more symbols with commas between, as EURUSD,GBPUSD")
TEXT = text_up_to(MAX_TEXT)
LOGIN = _unicode_up_to(MAX_TEXT)
PASSWORD = _unicode_up_to(MAX_PASSWORD)
