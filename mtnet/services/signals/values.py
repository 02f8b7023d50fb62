"""
Values of signals: symbols, volumes and the field types of their verbs.

Pure: text in; a value, or the description of a right one, out.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal, cast, get_args

from mtnet import values
from mtnet.errors import WireError
from mtnet.session.fields import CHANNEL, FieldType, read_number, split_list, text_up_to

MAX_COMMENT = 100
"""Characters of a comment; MetaTrader 5 keeps 31 in an order."""

Kind = Literal[
    "position",
    "buy_limit",
    "sell_limit",
    "buy_stop",
    "sell_stop",
    "buy_stop_limit",
    "sell_stop_limit",
]
"""Kind of a volume: lots that are held, or a pending order."""
Status = Literal["filled", "failed", "released"]
"""Result of a signal at a follower."""
Presence = Literal["up", "down"]
"""Whether a channel has a publisher."""
PauseMode = Literal["close_only", "frozen"]
"""A paused channel accepts only reductions of positions, or nothing at all."""
Take = Literal["0", "1", "free"]
"""Whether a PUBLISH takes its channel over: never, from any holder, or when it is free."""
Fields = tuple[tuple[str, str], ...]
"""Optional fields of a position, sorted by name, each with the digits that were sent."""

_MAGIC = re.compile(r"-?[0-9]{1,20}", re.ASCII)
_EPOCH = re.compile(r"[0-9a-fA-F]{16}", re.ASCII)
_HASH = re.compile(r"[0-9a-fA-F]{8}", re.ASCII)


def parse_volume(text: str) -> Decimal:
    """
    Read a volume in lots, exactly; `-0` is 0.

    Raises:
        WireError: `volume`.
    """
    volume = values.read_volume(text)
    if volume is None:
        raise WireError("volume", f"A volume is {values.VOLUME}")
    return volume


def _read_time(text: str) -> str | None:
    return None if read_number(text) is None else text


def _read_channels(text: str) -> tuple[str, ...] | None:
    names = split_list(text)
    return tuple(names) if all(map(CHANNEL.read, names)) else None


def _read_kind(text: str) -> Kind | None:
    return cast(Kind, text) if text in get_args(Kind) else None


def _read_status(text: str) -> Status | None:
    return cast(Status, text) if text in get_args(Status) else None


def _read_presence(text: str) -> Presence | None:
    return cast(Presence, text) if text in get_args(Presence) else None


def _read_pause_mode(text: str) -> PauseMode | None:
    return cast(PauseMode, text) if text in get_args(PauseMode) else None


def _read_take(text: str) -> Take | None:
    return cast(Take, text) if text in get_args(Take) else None


def _read_magic(text: str) -> str | None:
    # MetaTrader reads it as a long and writes it as a ulong.
    return text if _MAGIC.fullmatch(text) and -(2**63) <= int(text) < 2**64 else None


def _read_epoch(text: str) -> str | None:
    return text.lower() if _EPOCH.fullmatch(text) else None


def _read_hash(text: str) -> str | None:
    return text.lower() if _HASH.fullmatch(text) else None


def _read_seqs(text: str) -> Mapping[str, int] | None:
    pairs = [pair.partition(":") for pair in text.split(",")]
    seqs = {name: read_number(seq) for name, _, seq in pairs if CHANNEL.read(name)}
    whole = {name: seq for name, seq in seqs.items() if seq is not None}
    return whole if len(whole) == len(pairs) else None


TICKET = CHANNEL  # the same characters, and as many
TIME = FieldType(_read_time, "milliseconds since the epoch")
PRICE = FieldType(values.read_price, values.PRICE)
VOLUME = FieldType(values.read_volume, values.VOLUME)
KIND: FieldType[Kind] = FieldType(_read_kind, f"one of {', '.join(get_args(Kind))}")
STATUS: FieldType[Status] = FieldType(_read_status, "filled, failed or released")
PRESENCE: FieldType[Presence] = FieldType(_read_presence, "up or down")
PAUSE_MODE: FieldType[PauseMode] = FieldType(_read_pause_mode, "close_only or frozen")
TAKE: FieldType[Take] = FieldType(_read_take, "0, 1 or free")
CHANNELS = FieldType(_read_channels, "one or more channels with commas between, as gold,main")
MAGIC = FieldType(_read_magic, "a whole number of 64 bits")
EPOCH = FieldType(_read_epoch, "16 hex digits")
HASH = FieldType(_read_hash, "8 hex digits")
SEQS = FieldType(_read_seqs, "channels and numbers as main:43,gold:7")
COMMENT = text_up_to(MAX_COMMENT)

OPTIONAL: Mapping[str, FieldType[str]] = {
    "comment": COMMENT,
    "magic": MAGIC,
    "price": PRICE,
    "ptime": TIME,
    "sl": PRICE,
    "tp": PRICE,
}
"""The optional fields of a position, sorted by name; `ptime` is its publisher's clock."""
