"""
The grammar of each field of dialect 2.

Pure: text in; a value, or what would have been right, out.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, Literal, NamedTuple, TypeVar, cast, get_args

from mtnet import values

MAX_NUMBER = 2**63
"""Sequence numbers and times lie below: MQL5 keeps them in a `long`."""
MAX_COMMENT = 100
"""Characters of a comment; MetaTrader 5 keeps 31 in an order."""
MAX_WORDS = 100
"""Characters of a name, a login, a reason, and of what PING wants to hear again."""
MAX_PASSWORD = 128
"""Characters."""

Kind = Literal[
    "position",
    "buy_limit",
    "sell_limit",
    "buy_stop",
    "sell_stop",
    "buy_stop_limit",
    "sell_stop_limit",
]
"""What a volume is of: lots that are held, or an order that waits."""
Status = Literal["filled", "failed", "released"]
Presence = Literal["up", "down"]
PauseMode = Literal["close_only", "frozen"]
"""What a paused channel still takes: what reduces positions, or nothing at all."""
Take = Literal["0", "1", "free"]
"""Whether a PUBLISH takes its channel over: never, from whoever holds it, or when it is free."""
T = TypeVar("T")

_CHANNEL = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)
_IDENTITY = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,19}", re.ASCII)
_PERIOD = re.compile(r"[0-9]{1,8}(\.[0-9]{1,5})?", re.ASCII)
_MAGIC = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_EPOCH = re.compile(r"[0-9a-fA-F]{16}", re.ASCII)
_HASH = re.compile(r"[0-9a-fA-F]{8}", re.ASCII)
_REPLACED = "\ufffd"
COMMA = "%2C"
"""A comma within an item of a list."""
LISTS = frozenset({"symbols", "channels"})
"""The fields that are lists of texts."""


class Grammar(NamedTuple, Generic[T]):
    """
    How the text of a field is read.

    Attributes:
        read: returns None for what it cannot read.
        expected: what would have been right, to follow «field is».
    """

    read: Callable[[str], T | None]
    expected: str


def _matching(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    return lambda text: text if pattern.fullmatch(text) else None


def _number(text: str) -> int | None:
    if _NUMBER.fullmatch(text) is None:
        return None
    number = int(text)
    return number if number < MAX_NUMBER else None


def _time(text: str) -> str | None:
    return None if _number(text) is None else text


def _symbol(text: str) -> str | None:
    return text if values.is_symbol(text) else None


def _symbols(text: str) -> frozenset[str] | None:
    # Persons write a blank behind a comma; no broker has symbols that begin with one.
    names = [_symbol(name.strip(" ")) for name in split_list(text)]
    return None if None in names else frozenset(name for name in names if name is not None)


def _channels(text: str) -> tuple[str, ...] | None:
    names = split_list(text)
    return tuple(names) if all(map(_CHANNEL.fullmatch, names)) else None


def join_list(items: Iterable[str]) -> str:
    """Return a list as the text of one field; a comma within an item is written `%2C`."""
    return ",".join(item.replace(",", COMMA) for item in items)


def split_list(text: str) -> list[str]:
    """Return the items of a list; undoes `join_list`."""
    return [item.replace(COMMA, ",") for item in text.split(",")]


def _kind(text: str) -> Kind | None:
    return cast(Kind, text) if text in get_args(Kind) else None


def _status(text: str) -> Status | None:
    return cast(Status, text) if text in get_args(Status) else None


def _presence(text: str) -> Presence | None:
    return cast(Presence, text) if text in get_args(Presence) else None


def _pause_mode(text: str) -> PauseMode | None:
    return cast(PauseMode, text) if text in get_args(PauseMode) else None


def _take(text: str) -> Take | None:
    return cast(Take, text) if text in get_args(Take) else None


def _period(text: str) -> float | None:
    return float(text) if _PERIOD.fullmatch(text) else None


def _magic(text: str) -> str | None:
    # MetaTrader reads it as a long and writes it as a ulong.
    return text if _MAGIC.fullmatch(text) and -(2**63) <= int(text) < 2**64 else None


def _epoch(text: str) -> str | None:
    return text.lower() if _EPOCH.fullmatch(text) else None


def _hash(text: str) -> str | None:
    return text.lower() if _HASH.fullmatch(text) else None


def _seqs(text: str) -> Mapping[str, int] | None:
    pairs = [pair.partition(":") for pair in text.split(",")]
    seqs = {name: _number(seq) for name, _, seq in pairs if _CHANNEL.fullmatch(name)}
    whole = {name: seq for name, seq in seqs.items() if seq is not None}
    return whole if len(whole) == len(pairs) else None


def _words(most: int) -> Grammar[str]:
    return Grammar(
        lambda text: text if len(text) <= most else None, f"a text of at most {most} characters"
    )


def _known_words(most: int) -> Grammar[str]:
    """Two texts that nobody can read must not be equal where one is proved by the other."""
    return Grammar(
        lambda text: text if len(text) <= most and _REPLACED not in text else None,
        f"a text of at most {most} characters, in UTF-8",
    )


ANY: Grammar[str] = Grammar(lambda text: text, "a text")
CHANNEL = Grammar(_matching(_CHANNEL), "1 to 32 of A-Z a-z 0-9 . _ -")
IDENTITY = Grammar(_matching(_IDENTITY), "1 to 64 of A-Z a-z 0-9 . _ -")
TICKET = Grammar(_matching(_CHANNEL), "1 to 32 of A-Z a-z 0-9 . _ -")
NUMBER = Grammar(_number, f"a whole number from 0 to {MAX_NUMBER - 1}")
TIME = Grammar(_time, "milliseconds since the epoch")
PRICE = Grammar(values.read_price, values.PRICE)
VOLUME = Grammar(values.read_volume, values.VOLUME)
SYMBOL = Grammar(_symbol, values.SYMBOL)
SYMBOLS = Grammar(_symbols, "one or more symbols with commas between, as EURUSD,GBPUSD")
KIND: Grammar[Kind] = Grammar(_kind, f"one of {', '.join(get_args(Kind))}")
STATUS: Grammar[Status] = Grammar(_status, "filled, failed or released")
PRESENCE: Grammar[Presence] = Grammar(_presence, "up or down")
PAUSE_MODE: Grammar[PauseMode] = Grammar(_pause_mode, "close_only or frozen")
TAKE: Grammar[Take] = Grammar(_take, "0, 1 or free")
CHANNELS = Grammar(_channels, "one or more channels with commas between, as gold,main")
PERIOD = Grammar(_period, "seconds such as 5 or 0.5")
MAGIC = Grammar(_magic, "a whole number of 64 bits")
EPOCH = Grammar(_epoch, "16 hex digits")
HASH = Grammar(_hash, "8 hex digits")
SEQS = Grammar(_seqs, "channels and numbers as main:43,gold:7")
COMMENT = _words(MAX_COMMENT)
WORDS = _words(MAX_WORDS)
LOGIN = _known_words(MAX_WORDS)
PASSWORD = _known_words(MAX_PASSWORD)

OPTIONAL: Mapping[str, Grammar[str]] = {
    "comment": COMMENT,
    "magic": MAGIC,
    "price": PRICE,
    "ptime": TIME,
    "sl": PRICE,
    "tp": PRICE,
}
"""What a position may say beside its volume, sorted by name; `ptime` is its publisher's clock."""
