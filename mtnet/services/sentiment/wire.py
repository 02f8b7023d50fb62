"""
The verbs of sentiment in the session dialect: built on one side, read on the other.

Pure. Times are milliseconds since the Unix epoch, UTC; volumes are lots.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType

from msgspec import Struct

from mtnet import values
from mtnet.errors import WireError
from mtnet.session import messages
from mtnet.session.fields import ANY, NUMBER, SYMBOL, SYMBOLS, FieldType, join_list
from mtnet.session.grammar import MAX_SESSION_FRAME, Message, enclose, escape

EVERYTHING = "*"
"""Stands for all symbols."""
MAX_NAMES = 1_000
"""Names in one SENTIMENTS; so many of usual length fit in a frame."""
UNITS: int = 10**values.VOLUME_DECIMALS
"""Sums are whole numbers of this part of a lot: exact, and fast."""

_CENTS = Decimal("0.01")
VOLUME = FieldType(values.read_volume, values.VOLUME)
SUM = FieldType(
    lambda text: None if values.read_money(text) is None else Decimal(text), "lots such as 12.50"
)
_SYMBOLS_OR_NONE = FieldType(ANY.read, f"{SYMBOLS.expected}; * is all of them, and none ends it")


class Hold(Struct, frozen=True):
    """
    The client's own net position of a symbol; it replaces the one before.

    Attributes:
        volume: lots; below 0 = sold, 0 = it holds nothing.
    """

    symbol: str
    volume: Decimal


class Sentiments(Struct, frozen=True):
    """
    Asks for the sums of symbols, or is the answer; it replaces the one before.

    Attributes:
        symbols: `EVERYTHING` = all; none = no more sums.
    """

    symbols: frozenset[str]


class Sentiment(Struct, frozen=True):
    """
    The sums of a symbol, as they are shown.

    Attributes:
        long, short: lots that clients have bought and sold.
        clients: who hold any; 0 = they are fewer than may be shown.
        time: when the sums were made.
    """

    symbol: str
    long: Decimal
    short: Decimal
    clients: int
    time: int

    @property
    def net(self) -> Decimal:
        """Lots bought less lots sold."""
        return self.long - self.short


# Volumes


def to_units(volume: Decimal, most: int) -> int:
    """Return a volume in units, cut to `most` of them on both sides."""
    return max(-most, min(most, int(volume * UNITS)))


def to_lots(units: int) -> Decimal:
    """Return units as lots, with two decimals at least."""
    lots = Decimal(units) / UNITS
    cents = lots.quantize(_CENTS)
    return cents if cents == lots else lots.normalize()


# Frames


def hold(symbol: str, volume: Decimal) -> bytes:
    """
    Return the frame that votes.

    Raises:
        WireError: `field`; there is no such symbol or volume.
    """
    return messages.request(REQUESTS, "HOLD", symbol=symbol, volume=volume)


def sentiments(symbols: Iterable[str]) -> bytes:
    """
    Return the frame that asks for sums, which is also its answer.

    Raises:
        WireError: `field`; there are too many, or there is no such symbol.
    """
    names = sorted(symbols)
    _read_sentiments(Message("SENTIMENTS", {"symbols": join_list(names)}))
    shown = ",".join(escape(name).replace(",", "%2C") for name in names)
    return enclose(f"SENTIMENTS|symbols={shown}", MAX_SESSION_FRAME)


def sentiment(sums: Sentiment) -> bytes:
    """Return SENTIMENT."""
    return enclose(
        f"SENTIMENT|symbol={escape(sums.symbol)}|long={sums.long:f}|short={sums.short:f}"
        f"|net={sums.net:f}|clients={sums.clients}|time={sums.time}"
    )


# Readers


def _read_sentiments(message: Message) -> Sentiments:
    if message.require("symbols", _SYMBOLS_OR_NONE) == "":
        return Sentiments(frozenset())
    symbols = message.require("symbols", SYMBOLS)
    if len(symbols) > MAX_NAMES:
        raise WireError("field", f"SENTIMENTS has at most {MAX_NAMES} symbols; * is all of them")
    return Sentiments(symbols)


def _read_sentiment(message: Message) -> Sentiment:
    return Sentiment(
        message.require("symbol", SYMBOL),
        message.require("long", SUM),
        message.require("short", SUM),
        message.require("clients", NUMBER),
        message.require("time", NUMBER),
    )


REQUESTS: Mapping[str, Callable[[Message], Hold | Sentiments]] = MappingProxyType(
    {
        "HOLD": lambda message: Hold(
            message.require("symbol", SYMBOL), message.require("volume", VOLUME)
        ),
        "SENTIMENTS": _read_sentiments,
    }
)
"""Readers of what a client sends."""
ANSWERS: Mapping[str, Callable[[Message], Sentiments | Sentiment]] = MappingProxyType(
    {"SENTIMENTS": _read_sentiments, "SENTIMENT": _read_sentiment}
)
"""Readers of what the server sends."""
