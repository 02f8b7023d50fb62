"""
Parsers shared by every service: symbols, volumes, prices and text (`docs/protocols.md`).

Pure: they take text or bytes, and return a value, or None for invalid input.
"""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache, partial
from math import isinf
from typing import Any

Json = Any
"""A value of JSON."""
CODEPAGE = "cp1252"
"""The default code page of classic programs, for text that is not UTF-8."""
MAX_SYMBOL = 32
"""Maximum characters of a symbol; MetaTrader 5 allows 31."""
VOLUME_DECIMALS = 5
"""Maximum decimals of a volume in lots; the finest step of any broker has fewer."""
PRICE_DECIMALS = 10
"""Maximum decimals of a price; the cheapest coins need them."""
MONEY_DECIMALS = 8
"""Maximum decimals of money: accounts in bitcoin have them."""
MAX_DECIMALS = 20
"""Maximum decimals that are read; beyond the limit of a value they must be noise."""
NOISE = Decimal("1e-9")
"""Upper bound of floating-point noise: 0.1 + 0.2 = 0.30000000000000004."""
KNOWN = 4_096
"""Size of the cache of valid symbols, which saves checking their characters each time."""

SYMBOL = f"1 to {MAX_SYMBOL} printable characters, none of | < > and no blank at the ends"
"""Description of a symbol, to follow «A symbol has»."""
VOLUME = f"lots such as 0.25 or -1, at most 8 digits and {VOLUME_DECIMALS} decimals"
"""Description of a volume, to follow «A volume is»."""
PRICE = f"a price such as 1.09870, at most 12 digits and {PRICE_DECIMALS} decimals"
"""Description of a price, to follow «price is»."""
MONEY = f"money such as 10012.50 or -3, at most 15 digits and {MONEY_DECIMALS} decimals"
"""Description of money, to follow «balance is»."""

_DECIMALS = rf"(?:\.([0-9]{{1,{MAX_DECIMALS}}}))?"
_VOLUME = re.compile(rf"([+-]?[0-9]{{1,8}}){_DECIMALS}", re.ASCII)
_PRICE = re.compile(rf"(-?[0-9]{{1,12}}){_DECIMALS}([eE][+-]?[0-9]{{1,3}})?", re.ASCII)
_MONEY = re.compile(rf"([+-]?[0-9]{{1,15}}){_DECIMALS}", re.ASCII)
# U+FFFD replaces bytes that the code page lacks: two symbols could become one.
_NO_SYMBOL = frozenset("|<>\ufffd")
# Room for 15 digits and 20 decimals, so that the context never rounds.
_EXACT = Context(prec=15 + MAX_DECIMALS)


def is_symbol(text: str) -> bool:
    """Return whether `text` is a valid symbol."""
    return read_symbol(text) is not None


def read_symbol(text: str) -> str | None:
    """Return a valid symbol as it is."""
    return text if 1 <= len(text) <= MAX_SYMBOL and _is_name(text) else None


def _read_decimal(pattern: re.Pattern[str], most: int, text: str) -> Decimal | None:
    found = pattern.fullmatch(text)
    if found is None:
        return None
    whole, decimals = found.groups()
    if decimals is None or len(decimals) <= most:
        return Decimal(text) or Decimal(0)
    shown = _without_noise(whole, decimals, most)
    # Rounding may have carried into one digit more.
    if shown is None or not pattern.fullmatch(shown):
        return None
    return Decimal(shown) or Decimal(0)


read_volume = partial(_read_decimal, _VOLUME, VOLUME_DECIMALS)
"""Parse a volume in lots and keep its decimals; `-0` is 0; None = the text is none."""
read_money = partial(_read_decimal, _MONEY, MONEY_DECIMALS)
"""Parse an amount of money, signed, and keep its decimals; `-0` is 0; None = the text is none."""


def format_volume(volume: Decimal) -> str:
    """Return a volume in lots with all its digits, without an exponent; `-0` is `0`."""
    shown = str(volume or 0)
    return f"{volume:f}" if "E" in shown else shown


def read_price(text: str) -> str | None:
    """Return a price with the digits that were sent, without floating-point noise."""
    found = _PRICE.fullmatch(text)
    if found is None:
        return None
    whole, decimals, exponent = found.groups()
    if exponent is None:
        exponent = ""
    elif isinf(float(text)):
        return None
    if decimals is None or len(decimals) <= PRICE_DECIMALS:
        return text
    shown = _without_noise(whole, decimals, PRICE_DECIMALS, int(exponent[1:] or 0))
    return None if shown is None or not _PRICE.fullmatch(shown) else shown + exponent


def read_text(data: bytes, codepage: str) -> str:
    """Decode UTF-8, else `codepage`; U+FFFD replaces bytes that both lack."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode(codepage, errors="replace")


def write_text(text: str, codepage: str) -> bytes:
    """Encode in `codepage`, as the classic programs do; in UTF-8 when it lacks a character."""
    try:
        return text.encode(codepage)
    except UnicodeEncodeError:
        return text.encode()


@lru_cache(KNOWN)
def _is_name(text: str) -> bool:
    return text.isprintable() and text == text.strip() and _NO_SYMBOL.isdisjoint(text)


def _without_noise(whole: str, decimals: str, most: int, exponent: int = 0) -> str | None:
    """Return a number of more than `most` decimals with `most`; None if the rest is not noise."""
    exact = Decimal(f"{whole}.{decimals}")
    rounded = exact.quantize(Decimal(1).scaleb(-most), ROUND_HALF_EVEN, _EXACT)
    if abs(_EXACT.subtract(exact, rounded)).scaleb(exponent) >= NOISE:
        return None
    return f"{rounded:f}".rstrip("0").rstrip(".")
