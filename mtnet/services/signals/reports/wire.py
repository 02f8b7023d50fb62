"""
REPORT and SPEC in the session dialect: built on one side, read on the other.

Pure. Money is in the currency of the account and signed; volumes are lots.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Literal, TypeVar, cast, get_args

from msgspec import Struct
from msgspec.structs import asdict

from mtnet import values
from mtnet.errors import WireError
from mtnet.session import messages
from mtnet.session.fields import NUMBER, SYMBOL, TEXT, FieldType, matching
from mtnet.session.grammar import Message

MAX_OFFSET = 86_400
"""Seconds: no zone is a day away from UTC; the widest are -12 and +14 hours."""
MAX_DIGITS = values.PRICE_DECIMALS
"""Decimals of a price."""

Mode = Literal["netting", "hedging", "exchange"]
"""How an account holds positions: `ACCOUNT_MARGIN_MODE` of MetaTrader 5."""
Platform = Literal["mt5", "mt4"]

_CURRENCY = re.compile(r"[A-Za-z0-9._-]{0,16}", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z0-9._-]{0,64}", re.ASCII)
_OFFSET = re.compile(r"[+-]?[0-9]{1,5}", re.ASCII)
S = TypeVar("S", bound=Struct)


class Report(Struct, frozen=True, omit_defaults=True):
    """
    A terminal about its account; None and empty = it did not say.

    Attributes:
        trading: whether algorithmic trading is allowed in the terminal.
        balance, equity: of the account.
        free, margin: margin that is free, and that is used.
        leverage: 500 = 1:500.
        build: of the terminal.
        account, server: whose account it is, and at which server of its broker.
        offset: seconds that the broker's clock is ahead of UTC.
    """

    trading: bool | None = None
    balance: Decimal | None = None
    equity: Decimal | None = None
    free: Decimal | None = None
    margin: Decimal | None = None
    currency: str = ""
    leverage: int | None = None
    mode: Mode | None = None
    platform: Platform | None = None
    build: int | None = None
    account: str = ""
    server: str = ""
    offset: int | None = None


class Spec(Struct, frozen=True, omit_defaults=True):
    """
    The specification of a symbol at the broker of a terminal; None = it did not say.

    Attributes:
        min, max, step: lots of a position, and the step of its volume.
        contract: units of one lot.
        digits: decimals of its prices.
        tick, tickvalue: the step of its price, and what one such step is worth for one lot.
        currency: of `tickvalue`.
    """

    symbol: str
    min: Decimal | None = None
    max: Decimal | None = None
    step: Decimal | None = None
    contract: Decimal | None = None
    digits: int | None = None
    tick: Decimal | None = None
    tickvalue: Decimal | None = None
    currency: str = ""


def report(given: Report) -> bytes:
    """
    Return the frame with which a terminal tells about its account.

    Raises:
        WireError: `field`; the server would refuse it.
    """
    return _request("REPORT", given)


def spec(given: Spec) -> bytes:
    """
    Return the frame with which a terminal describes a symbol of its broker.

    Raises:
        WireError: `field`.
    """
    return _request("SPEC", given)


def _request(verb: str, given: Struct) -> bytes:
    fields = {
        key: int(value) if isinstance(value, bool) else value
        for key, value in asdict(given).items()
        if value not in (None, "")
    }
    return messages.request(REQUESTS, verb, **fields)


def _read_flag(text: str) -> bool | None:
    return {"1": True, "0": False}.get(text)


def _read_mode(text: str) -> Mode | None:
    return cast(Mode, text) if text in get_args(Mode) else None


def _read_platform(text: str) -> Platform | None:
    return cast(Platform, text) if text in get_args(Platform) else None


def _read_offset(text: str) -> int | None:
    seconds = int(text) if _OFFSET.fullmatch(text) else None
    return None if seconds is None or abs(seconds) > MAX_OFFSET else seconds


def _read_digits(text: str) -> int | None:
    number = NUMBER.read(text)
    return None if number is None or number > MAX_DIGITS else number


def _read_positive(text: str) -> Decimal | None:
    amount = values.read_money(text)
    return None if amount is None or amount < 0 else amount


def _read_exact(text: str) -> Decimal | None:
    """Read a price, which may have an exponent: terminals write the tick of a coin as 1e-08."""
    price = values.read_price(text)
    return None if price is None else Decimal(price)


MONEY = FieldType(values.read_money, values.MONEY)
AMOUNT = FieldType(_read_positive, f"{values.MONEY}, and not negative")
EXACT = FieldType(_read_exact, values.PRICE)
FLAG = FieldType(_read_flag, "1 or 0")
MODE: FieldType[Mode] = FieldType(_read_mode, "netting, hedging or exchange")
PLATFORM: FieldType[Platform] = FieldType(_read_platform, "mt5 or mt4")
OFFSET = FieldType(_read_offset, f"seconds from -{MAX_OFFSET} to {MAX_OFFSET}, such as 10800")
DIGITS = FieldType(_read_digits, f"a whole number from 0 to {MAX_DIGITS}")
CURRENCY = FieldType(matching(_CURRENCY), "at most 16 of A-Z a-z 0-9 . _ -, as USD")
ACCOUNT = FieldType(matching(_ACCOUNT), "at most 64 of A-Z a-z 0-9 . _ -")

_REPORT: Mapping[str, FieldType[Any]] = {
    "trading": FLAG,
    **dict.fromkeys(("balance", "equity", "free", "margin"), MONEY),
    "currency": CURRENCY,
    "leverage": NUMBER,
    "mode": MODE,
    "platform": PLATFORM,
    "build": NUMBER,
    "account": ACCOUNT,
    "server": TEXT,
    "offset": OFFSET,
}
_SPEC: Mapping[str, FieldType[Any]] = {
    **dict.fromkeys(("min", "max", "step", "contract"), AMOUNT),
    "digits": DIGITS,
    "tick": EXACT,
    "tickvalue": MONEY,
    "currency": CURRENCY,
}


def _read(message: Message, types: Mapping[str, FieldType[Any]]) -> dict[str, Any]:
    found = {key: message.require(key, types[key]) for key in types if key in message.fields}
    if not found:
        raise WireError("field", f"{message.verb} has one of {', '.join(types)} at least")
    return found


def _read_report(message: Message) -> Report:
    return Report(**_read(message, _REPORT))


def _read_spec(message: Message) -> Spec:
    return Spec(message.require("symbol", SYMBOL), **_read(message, _SPEC))


REQUESTS: "dict[str, Callable[[Message], Report | Spec]]" = {
    "REPORT": _read_report,
    "SPEC": _read_spec,
}
"""Readers of what a client sends."""
