"""
The verbs of ticks in the session dialect: built on one side, read on the other.

Pure. Prices and volumes are texts with the digits that were sent. The server's builders trust what
they are given to be valid.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache

from msgspec import Struct

from mtnet import values
from mtnet.errors import WireError
from mtnet.services.ticks.bars.periods import PERIODS
from mtnet.services.ticks.wire import ABSENT, FIELDS, KNOWN, plain_symbol
from mtnet.session import messages
from mtnet.session.fields import ANY, INTEGER, NUMBER, SYMBOL, SYMBOLS, FieldType, join_list
from mtnet.session.grammar import MAX_SESSION_FRAME, Message, enclose, encode, escape

EVERYTHING = "*"
"""The symbol that means all of them."""
MAX_SYMBOLS = 1_000
"""Names in one TICKS; so many of usual length fit in a frame."""
MAX_BARS = 5_000
"""Bars that one BARS is answered with: 3.5 days of M1, or 20 years of D1. They are copied, and
wait for the client, at 64 bytes each."""
DEFAULT_BARS = 500
"""Bars that BARS is answered with when it has no `count`."""


class Ticks(Struct, frozen=True):
    """
    Asks for ticks, in place of what was asked for before.

    Attributes:
        symbols: `EVERYTHING` = all; none = no more ticks.
    """

    symbols: frozenset[str]


class Bars(Struct, frozen=True):
    """
    Asks for the bars of a symbol.

    Attributes:
        period: one of `PERIODS`.
        count: how many of the last ones; 0 = no more bars.
    """

    symbol: str
    period: str
    count: int = DEFAULT_BARS


class Ticking(Struct, frozen=True):
    """Answers TICKS; the last tick of each symbol follows, then every one."""

    symbols: frozenset[str]


class Tick(Struct, frozen=True):
    """
    A tick; None = it was not sent.

    Attributes:
        time: `MqlTick.time_msc`, milliseconds of the terminal's own clock.
        flags: those of MqlTick.
        received: when the server took it, milliseconds since the Unix epoch, UTC.
        skipped: older ticks of the symbol that were left out since the client was slow.
    """

    symbol: str
    received: int
    bid: str | None = None
    ask: str | None = None
    last: str | None = None
    volume: str | None = None
    time: int | None = None
    flags: int | None = None
    skipped: int = 0


class Barred(Struct, frozen=True):
    """
    Answers BARS: `count` bars follow, oldest first, then the open one as it changes and each
    closed one once.

    Attributes:
        clock: `broker` = times of bars are the broker's; `received` = the ticks have no time, so
            it is UTC, when the server took them.
    """

    symbol: str
    period: str
    count: int
    clock: str


class Bar(Struct, frozen=True):
    """
    A bar.

    Attributes:
        time: of its opening, milliseconds; see `Barred.clock`.
        ticks: how many ticks it has.
        spread: of its first tick, in points, below 0 where the ask was below the bid; None = that
            had no ask.
        volume: that was traded, by `VOLUME` of its ticks; 0 = none was sent.
        current: it is still open, and will change.
    """

    symbol: str
    period: str
    time: int
    open: str
    high: str
    low: str
    close: str
    ticks: int
    spread: int | None = None
    volume: str = "0"
    current: bool = False


def ticks(symbols: Iterable[str]) -> bytes:
    """
    Return the frame that asks for ticks.

    Raises:
        WireError: `field`; more than `MAX_SYMBOLS`, or they do not fit in a frame.
    """
    payload = f"TICKS|symbols={_names(symbols)}"
    frame = enclose(payload, MAX_SESSION_FRAME)
    _read_ticks(Message("TICKS", {"symbols": join_list(sorted(symbols))}))
    return frame


def bars(symbol: str, period: str, count: int | None = None) -> bytes:
    """
    Return the frame that asks for bars.

    Raises:
        WireError: `field`.
    """
    return messages.request(REQUESTS, "BARS", symbol=symbol, period=period, count=count)


def ticking(symbols: Iterable[str]) -> bytes:
    """
    Return the answer to TICKS.

    Raises:
        WireError: `field`; it does not fit in a frame.
    """
    return enclose(f"TICKING|symbols={_names(symbols)}", MAX_SESSION_FRAME)


def tick(symbol: bytes, rest: bytes, received: int, skipped: int = 0) -> bytes:
    """Return the frame of a tick, from the record that `mtnet.services.ticks.wire` made."""
    # Each tick goes through here; of all these values a symbol alone may hold what is escaped.
    fields = [
        b"|%b=%b" % (name, value)
        for name, value in zip(_TICK_FIELDS, rest.split(b" "), strict=False)
        if value != ABSENT
    ]
    tail = b"|skipped=%d" % skipped if skipped else b""
    return b"%b%b|received=%d%b>>\r\n" % (_tick_head(symbol), b"".join(fields), received, tail)


def barred(answer: Barred) -> bytes:
    """Return the answer to BARS."""
    return encode(
        "BARRED",
        symbol=answer.symbol,
        period=answer.period,
        count=answer.count,
        clock=answer.clock,
    )


def bar(shown: Bar) -> bytes:
    """Return the frame of a bar."""
    spread = "" if shown.spread is None else f"|spread={shown.spread}"
    return enclose(
        f"BAR|symbol={escape(shown.symbol)}|period={shown.period}|time={shown.time}"
        f"|open={shown.open}|high={shown.high}|low={shown.low}|close={shown.close}"
        f"|ticks={shown.ticks}{spread}|volume={shown.volume}{'|current=1' * shown.current}"
    )


def _names(symbols: Iterable[str]) -> str:
    return ",".join(escape(name).replace(",", "%2C") for name in sorted(symbols))


@lru_cache(KNOWN)
def _tick_head(symbol: bytes) -> bytes:
    return f"<<TICK|symbol={escape(plain_symbol(symbol))}".encode()


_TICK_FIELDS = tuple(name.encode() for name in FIELDS)
PRICE = FieldType(values.read_price, values.PRICE)
PERIOD = FieldType(lambda text: text if text in PERIODS else None, f"one of {', '.join(PERIODS)}")
_SYMBOLS_OR_NONE = FieldType(ANY.read, f"{SYMBOLS.expected}; * is all of them, and none ends it")
COUNT = FieldType(
    lambda text: None if (NUMBER.read(text) or 0) > MAX_BARS else NUMBER.read(text),
    f"a whole number from 0 to {MAX_BARS}",
)


def _read_ticks(message: Message) -> Ticks:
    if message.require("symbols", _SYMBOLS_OR_NONE) == "":
        return Ticks(frozenset())
    symbols = message.require("symbols", SYMBOLS)
    if len(symbols) > MAX_SYMBOLS:
        raise WireError("field", f"TICKS has at most {MAX_SYMBOLS} symbols; * is all of them")
    return Ticks(symbols)


def _read_bars(message: Message) -> Bars:
    count = message.get("count", COUNT)
    return Bars(
        message.require("symbol", SYMBOL),
        message.require("period", PERIOD),
        DEFAULT_BARS if count is None else count,
    )


def _read_ticking(message: Message) -> Ticking:
    text = message.require("symbols", ANY)
    return Ticking(message.require("symbols", SYMBOLS) if text else frozenset())


def _read_tick(message: Message) -> Tick:
    return Tick(
        message.require("symbol", SYMBOL),
        message.require("received", NUMBER),
        message.get("bid", PRICE),
        message.get("ask", PRICE),
        message.get("last", PRICE),
        message.get("volume", PRICE),
        message.get("time", NUMBER),
        message.get("flags", NUMBER),
        message.get("skipped", NUMBER) or 0,
    )


def _read_barred(message: Message) -> Barred:
    return Barred(
        message.require("symbol", SYMBOL),
        message.require("period", ANY),
        message.require("count", NUMBER),
        message.get("clock", ANY) or "broker",
    )


def _read_bar(message: Message) -> Bar:
    return Bar(
        message.require("symbol", SYMBOL),
        message.require("period", ANY),
        message.require("time", NUMBER),
        message.require("open", PRICE),
        message.require("high", PRICE),
        message.require("low", PRICE),
        message.require("close", PRICE),
        message.require("ticks", NUMBER),
        message.get("spread", INTEGER),
        message.get("volume", PRICE) or "0",
        message.get("current", ANY) == "1",
    )


REQUESTS: "dict[str, Callable[[Message], Ticks | Bars]]" = {
    "TICKS": _read_ticks,
    "BARS": _read_bars,
}
"""Readers of what a client sends."""
ANSWERS: "dict[str, Callable[[Message], Ticking | Tick | Barred | Bar]]" = {
    "TICKING": _read_ticking,
    "TICK": _read_tick,
    "BARRED": _read_barred,
    "BAR": _read_bar,
}
"""Readers of what the server sends."""
