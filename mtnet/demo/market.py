"""
Ticks of the demonstration: a made-up market, or a file that MetaTrader exported.

The same seed makes the same ticks. A day of the market passes in `DAY` seconds, so that a minute
shows quiet and busy hours, the wide spreads of the roll-over and a jump at the news. It begins
`DAYS` before, and goes no faster than time does once it has caught up: no broker's clock is days
ahead.
"""

from collections.abc import Iterator
from math import exp
from pathlib import Path
from random import Random
from typing import NamedTuple

from mtnet.durations import DAY_MS
from mtnet.errors import ClientError, WireError
from mtnet.services.ticks.files import mt5
from mtnet.services.ticks.wire import encode_symbol

DAY = 60.0
"""Seconds that a day of the market takes at speed 1."""
DAYS = 60
"""Days before today on which the market begins: for an hour of the demonstration its trades are
hours apart, as those of people are, and each has a bar of its own."""
OPENING = 7.4
"""The market's hour at the start of the demonstration: London opens soon."""
RATE = 60.0
"""Ticks a second, of all symbols, at activity 1."""
NEWS = 13.5
"""The hour at which prices jump."""
CALM = 0.35
"""Hours in which the effect of the news falls to 37 %."""
LONGEST = 1.0
"""Seconds to which a replay cuts each pause, such as a night."""
HOUR_MS = 3_600_000


class Quote(NamedTuple):
    """A tick: symbol and the rest of its record as on the wire, due after so many seconds."""

    symbol: bytes
    rest: bytes
    due: float


class Instrument(NamedTuple):
    """A symbol with its first price; spread and usual step in points; share of all ticks."""

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
SESSIONS = (
    (0.0, 0.5, 1.4),  # Tokyo
    (8.0, 1.2, 1.0),  # London
    (13.0, 2.0, 1.0),  # London and New York
    (17.0, 0.9, 1.2),  # New York
    (21.0, 0.15, 4.5),  # roll-over
    (22.0, 0.3, 2.0),  # Sydney
)
"""The first hour of each session, its activity, and the factor of its spreads."""
EVENTS = (
    (8.0, "London opens: more ticks, narrow spreads"),
    (13.0, "New York opens: the busiest hours of the day"),
    (NEWS, "news: prices jump, spreads widen"),
    (17.0, "London closes"),
    (21.0, "roll-over: few ticks, spreads wide open"),
    (24.0, "Tokyo opens"),
)


class MarketClock(NamedTuple):
    """
    The market's time: a day in `DAY` seconds, until it has caught up with this machine's.

    Attributes:
        begin: when the first tick is sent, in milliseconds since the Unix epoch.
        speed: 2 = ticks are sent twice as fast as they are due.
    """

    begin: int
    speed: float = 1.0

    @property
    def midnight(self) -> int:
        """When the market's first day began, in milliseconds since the Unix epoch."""
        return (self.begin // DAY_MS - DAYS) * DAY_MS

    def hour(self, due: float) -> float:
        """Return the hours since the first midnight at which a tick is due."""
        real = (self.begin - self.midnight) / HOUR_MS + due / self.speed / 3_600
        return min(OPENING + due * 24 / DAY, real)


class Market(NamedTuple):
    """Ticks and their symbols; `clock` = of made-up ones."""

    quotes: Iterator[Quote]
    symbols: list[str]
    clock: MarketClock | None = None


def session(hour: float) -> tuple[float, float]:
    """Return the activity and the factor of the spreads at an hour since midnight."""
    return next(each[1:] for each in reversed(SESSIONS) if hour % 24 >= each[0])


def time_of_day(hour: float) -> str:
    """Return the market's time of day."""
    minutes = int(hour * 60) % 1_440
    return f"{minutes // 60:02}:{minutes % 60:02}"


def events(before: float, now: float) -> Iterator[str]:
    """Yield the events after the hour `before`, up to the hour `now`."""
    for day in range(int(before // 24), int(now // 24) + 1):
        yield from (text for hour, text in EVENTS if before < day * 24 + hour <= now)


def generate(clock: MarketClock, seed: int) -> Iterator[Quote]:
    """Yield ticks without end."""
    random, due = Random(seed), 0.0
    prices = {each: each.price for each in INSTRUMENTS}
    shares, hour, jumped = [each.share for each in INSTRUMENTS], clock.hour(0), -1
    while True:
        activity = session(hour)[0]
        due += random.expovariate(RATE * activity * (1 + 2 * _shock(hour)))
        hour = clock.hour(due)
        if hour % 24 >= NEWS and jumped < hour // 24:
            jumped = int(hour // 24)
            prices = {each: price + _jump(each, random) for each, price in prices.items()}
        one = random.choices(INSTRUMENTS, shares)[0]
        prices[one] = _moved(one, prices[one], random, 1 + 3 * _shock(hour))
        time = clock.midnight + int(hour * HOUR_MS)
        yield Quote(one.symbol.encode(), _rest(one, prices[one], hour, random, time), due)


def replay(path: Path) -> Iterator[Quote]:
    """
    Yield the ticks that MetaTrader 5 exported, at their own pace.

    The file's name begins with the symbol: `EURUSD_2019.tsv`.

    Raises:
        ClientError: it is not an export of ticks, lacks the symbol, or a line is invalid.
    """
    name, due, before = symbol_of(path), 0.0, None
    for _, time, rest in mt5.rows(path):
        due += min(max(0.0, (time - (before or time)) / 1_000), LONGEST)
        before = time
        yield Quote(name, rest, due)


def symbol_of(path: Path) -> bytes:
    """Return the symbol at the beginning of a file's name; raise ClientError without one."""
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


def _jump(one: Instrument, random: Random) -> float:
    return random.choice((-1, 1)) * random.uniform(40, 90) * one.step * one.point


def _moved(one: Instrument, price: float, random: Random, wild: float) -> float:
    # A weak pull towards the first price keeps an hour-long demonstration plausible.
    home = (one.price - price) * 0.0005
    return price + home + random.gauss(0, one.step * wild) * one.point


def _rest(one: Instrument, price: float, hour: float, random: Random, time: int) -> bytes:
    wide = session(hour)[1] + 6 * _shock(hour)
    points = max(1, round(one.spread * wide * random.uniform(0.8, 1.3)))
    ask = round(price, one.digits) + points * one.point
    return f"{price:.{one.digits}f} {ask:.{one.digits}f} - - {time} 6".encode()
