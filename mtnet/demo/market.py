"""
Ticks for the demonstration: a made-up market, or a file of MetaTrader's.

Pure: the same seed makes the same ticks. A day of the market passes in `DAY` seconds, so that
whoever watches for a minute sees quiet and busy hours, a wide spread at the roll-over, and a
jump at the news.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp
from pathlib import Path
from random import Random
from typing import NamedTuple

from mtnet.errors import ClientError, WireError
from mtnet.services.ticks.files import mt5
from mtnet.services.ticks.wire import encode_symbol

DAY = 60.0
"""Seconds that a day of the market takes at speed 1."""
OPENING = 7.4
"""The hour of the market at which the demonstration begins: London opens soon."""
RATE = 60.0
"""Ticks a second, of all symbols, in an hour of activity 1."""
NEWS = 13.5
"""The hour at which prices jump."""
CALM = 0.35
"""Hours after which most of the news is digested."""
LONGEST = 1.0
"""Seconds of silence that a replay keeps; a night without ticks is made so short."""

HOUR_MS = 3_600_000


class Quote(NamedTuple):
    """
    A tick to be sent.

    Attributes:
        symbol: as on the wire.
        rest: what stands behind the symbol in a record, in its canonical form.
        due: seconds after the beginning, at speed 1.
    """

    symbol: bytes
    rest: bytes
    due: float


@dataclass(frozen=True)
class Instrument:
    """
    A symbol of the made-up market.

    Attributes:
        price: where it begins.
        digits: decimals of its prices; the last one is a point.
        spread: points between bid and ask at busy hours.
        step: points that it moves in a tick, usually.
        share: how many of the ticks are its own, compared with the others.
    """

    symbol: str
    price: float
    digits: int
    spread: float
    step: float
    share: float

    @property
    def point(self) -> float:
        """The smallest difference between two prices."""
        return float(f"1e-{self.digits}")


INSTRUMENTS = (
    Instrument("EURUSD", 1.08512, 5, 6, 2.0, 5),
    Instrument("GBPUSD", 1.27034, 5, 9, 2.5, 4),
    Instrument("USDJPY", 151.402, 3, 8, 2.2, 4),
    Instrument("XAUUSD", 2341.60, 2, 18, 7.0, 5),
    Instrument("UK100", 8214.5, 1, 10, 3.0, 2),
)
SESSIONS: tuple[tuple[float, str, float, float], ...] = (
    (0.0, "Tokyo", 0.5, 1.4),
    (8.0, "London", 1.2, 1.0),
    (13.0, "London, New York", 2.0, 1.0),
    (17.0, "New York", 0.9, 1.2),
    (21.0, "roll-over", 0.15, 4.5),
    (22.0, "Sydney", 0.3, 2.0),
)
"""From which hour, the name, how busy it is, and how many times wider spreads are."""
EVENTS = (
    (8.0, "London opens: more ticks, narrow spreads"),
    (13.0, "New York opens: the busiest hours of the day"),
    (NEWS, "news: prices jump, spreads widen"),
    (17.0, "London closes"),
    (21.0, "roll-over: few ticks, spreads wide open"),
    (24.0, "Tokyo opens"),
)


def hour_at(due: float) -> float:
    """Return the hours since the market's first midnight."""
    return OPENING + due * 24 / DAY


def session(hour: float) -> tuple[str, float, float]:
    """Return name, activity and width of the spread at an hour since midnight."""
    return next(each[1:] for each in reversed(SESSIONS) if hour % 24 >= each[0])


def clock(hour: float) -> str:
    """Return the market's time of day."""
    minutes = int(hour * 60) % 1_440
    return f"{minutes // 60:02}:{minutes % 60:02}"


def events(before: float, now: float) -> Iterator[str]:
    """Yield what happens behind the hour `before` and not later than `now`."""
    for day in range(int(before // 24), int(now // 24) + 1):
        for hour, told in EVENTS:
            if before < day * 24 + hour <= now:
                yield told


def generate(midnight: int, seed: int) -> Iterator[Quote]:
    """
    Yield the ticks of the made-up market, without an end.

    Args:
        midnight: of the market's first day, milliseconds since the Unix epoch.
    """
    random, due = Random(seed), 0.0
    prices = {each: each.price for each in INSTRUMENTS}
    shares, jumped = [each.share for each in INSTRUMENTS], int(hour_at(0) // 24) - 1
    while True:
        _, busy, _ = session(hour_at(due))
        due += random.expovariate(RATE * busy * (1 + 2 * _shock(hour_at(due))))
        hour = hour_at(due)
        if hour % 24 >= NEWS and jumped < hour // 24:
            jumped = int(hour // 24)
            prices = {each: _jump(each, price, random) for each, price in prices.items()}
        one = random.choices(INSTRUMENTS, shares)[0]
        prices[one] = _moved(one, prices[one], random, 1 + 3 * _shock(hour))
        time = midnight + int(hour * HOUR_MS)
        yield Quote(one.symbol.encode(), _rest(one, prices[one], hour, random, time), due)


def replay(path: Path) -> Iterator[Quote]:
    """
    Yield the ticks of an export of MetaTrader 5, at the pace at which they came.

    The symbol is what the file's name begins with: `EURUSD_2019.tsv`.

    Raises:
        ClientError: it is no export of ticks, its name no symbol, or a line cannot be read.
    """
    name = symbol_of(path)
    due, before = 0.0, None
    for _, time, rest in mt5.rows(path):
        if before is not None:
            due += min(max(0.0, (time - before) / 1_000), LONGEST)
        before = time
        yield Quote(name, rest, due)


def symbol_of(path: Path) -> bytes:
    """
    Return the symbol that the name of a file begins with.

    Raises:
        ClientError: it is none.
    """
    try:
        return encode_symbol(path.name.partition("_")[0].partition(".")[0])
    except WireError as error:
        raise ClientError(
            f"{path} does not begin with a symbol, as EURUSD_2019.tsv does: {error}."
        ) from error


def _shock(hour: float) -> float:
    """Return how fresh the news is, from 1 to 0."""
    since = hour % 24 - NEWS
    return exp(-since / CALM) if since >= 0 else 0.0


def _jump(one: Instrument, price: float, random: Random) -> float:
    return price + random.choice((-1, 1)) * random.uniform(40, 90) * one.step * one.point


def _moved(one: Instrument, price: float, random: Random, wild: float) -> float:
    # Drawn back to where it began: a demonstration of an hour must not end at a strange price.
    home = (one.price - price) * 0.0005
    return price + home + random.gauss(0, one.step * wild) * one.point


def _rest(one: Instrument, price: float, hour: float, random: Random, time: int) -> bytes:
    wide = session(hour)[2] + 6 * _shock(hour)
    points = max(1, round(one.spread * wide * random.uniform(0.8, 1.3)))
    ask = round(price, one.digits) + points * one.point
    return f"{price:.{one.digits}f} {ask:.{one.digits}f} - - {time} 6".encode()
