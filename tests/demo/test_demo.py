"""What the demonstration makes up, and how it tells it."""

import io
from decimal import Decimal
from itertools import islice, pairwise

import pytest
from fakes.command_line import Terminal

from mtnet.demo import market
from mtnet.demo.output import Console
from mtnet.demo.trader import MAX_POSITIONS, Trader
from mtnet.durations import DAY_MS
from mtnet.errors import ClientError
from mtnet.services.ticks import wire

MIDNIGHT = 1_700_006_400_000
CLOCK = market.MarketClock(MIDNIGHT + DAY_MS + 10 * market.HOUR_MS)


def quotes(number=20_000, seed=1):
    return list(islice(market.generate(CLOCK, seed), number))


def spread(quote):
    bid, ask = map(Decimal, quote.rest.decode().split()[:2])
    return ask - bid


def hour(quote):
    return CLOCK.hour(quote.due) % 24


def test_the_same_seed_makes_the_same_ticks_and_another_one_others():
    assert quotes(100) == quotes(100)
    assert quotes(100) != quotes(100, seed=2)


def test_every_tick_is_a_canonical_record():
    text = b"".join(b"%b %b\n" % quote[:2] for quote in quotes(2_000))
    assert wire.split(text) == [quote[:2] for quote in quotes(2_000)]


def test_ticks_come_in_order_and_bear_the_time_of_their_hour():
    for before, after in pairwise(quotes(2_000)):
        assert before.due <= after.due
    last = quotes(2_000)[-1]
    time = int(last.rest.split()[4])
    assert time == CLOCK.midnight + int(CLOCK.hour(last.due) * market.HOUR_MS)
    assert CLOCK.midnight == MIDNIGHT - (market.DAYS - 1) * DAY_MS


@pytest.mark.parametrize("speed", [0.5, 3.0])
def test_the_market_goes_on_with_this_machine_once_it_has_caught_up(speed, monkeypatch):
    monkeypatch.setattr(market, "DAYS", 1)
    clock = market.MarketClock(MIDNIGHT + 10 * market.HOUR_MS, speed)
    late = [each for each in islice(market.generate(clock, 1), 20_000) if each.due > 2 * market.DAY]
    times = [int(quote.rest.split()[4]) for quote in late]
    assert times == [
        pytest.approx(clock.begin + quote.due / speed * 1_000, abs=2) for quote in late
    ]


def test_nobody_sells_above_what_others_buy_for():
    assert all(spread(quote) > 0 for quote in quotes())


def test_busy_hours_have_many_times_the_ticks_of_quiet_ones():
    day = [quote for quote in quotes() if quote.due < market.DAY]
    busy = sum(14 <= hour(quote) < 16 for quote in day)
    quiet = sum(2 <= hour(quote) < 4 for quote in day)
    rollover = sum(21 <= hour(quote) < 22 for quote in day)
    assert busy > 3 * quiet > 3 * rollover > 0


def test_spreads_widen_at_the_roll_over():
    euro = [quote for quote in quotes() if quote.symbol == b"EURUSD"]
    london = [spread(quote) for quote in euro if 9 <= hour(quote) < 12]
    rollover = [spread(quote) for quote in euro if 21 <= hour(quote) < 22]
    assert min(rollover) > 2 * max(london)


def test_prices_jump_at_the_news():
    euro = [quote for quote in quotes() if quote.symbol == b"EURUSD" and quote.due < market.DAY]
    jumps = [
        (
            abs(Decimal(after.rest.split()[0].decode()) - Decimal(before.rest.split()[0].decode())),
            after,
        )
        for before, after in pairwise(euro)
    ]
    largest = max(jumps, key=lambda each: each[0])[1]
    assert market.NEWS <= hour(largest) < market.NEWS + 0.5


def test_events_are_told_once_each_day():
    assert list(market.events(13.4, 13.6)) == [market.EVENTS[2][1]]
    assert list(market.events(13.5, 13.6)) == []
    assert list(market.events(13.4 + 24, 13.6 + 24)) == [market.EVENTS[2][1]]
    assert len(list(market.events(0, 48))) == 2 * len(market.EVENTS)


EXPORT = (
    "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n"
    "2019.02.04\t00:00:00.500\t1.1\t1.2\t\t\t6\r\n"
    "2019.02.04\t00:00:00.750\t1.1\t\t\t\t2\r\n"
    "2019.02.04\t07:00:00.000\t1.3\t\t\t\t2\r\n"
)


def test_a_file_is_replayed_at_its_own_pace_and_nights_are_short(tmp_path):
    file = tmp_path / "EURUSD_2019.tsv"
    file.write_text(EXPORT, newline="")
    found = list(market.replay(file))
    assert [quote.due for quote in found] == [0.0, 0.25, 0.25 + market.LONGEST]
    assert {quote.symbol for quote in found} == {b"EURUSD"}
    assert found[0].rest == b"1.1 1.2 - - 1549238400500 6"


def test_a_file_whose_name_is_no_symbol_is_refused(tmp_path):
    with pytest.raises(ClientError, match="does not begin with a symbol"):
        market.symbol_of(tmp_path / "_2019.tsv")


def test_the_provider_names_what_it_does():
    trader, before = Trader(["EURUSD", "GBPUSD", "USDJPY", "XAUUSD"], 1), {}
    seen = set()
    for _ in range(500):
        symbol, volume, verb = trader.trade()
        old = before.get(symbol, Decimal(0))
        seen.add(verb)
        assert {
            "opens": not old and volume,
            "adds to": old * volume > 0 and abs(volume) > abs(old),
            "reduces": old * volume > 0 and abs(volume) < abs(old),
            "turns": old and volume == -old,
            "closes": old and not volume,
        }[verb]
        before[symbol] = volume
        assert sum(map(bool, before.values())) <= MAX_POSITIONS
    assert len(seen) == 5


def test_a_provider_of_one_symbol_trades_on_and_on():
    trader = Trader(["EURUSD"], 1)
    assert {trader.trade().symbol for _ in range(100)} == {"EURUSD"}


def test_lines_are_aligned_and_have_colours_in_a_terminal_only(clock):
    plain, terminal = io.StringIO(), Terminal()
    for file in (plain, terminal):
        console = Console(file, clock.seconds, lambda: None)
        clock.advance(1.5)
        console.event("provider", "opens", 0.0021)
        console.event("follower TLS", "told")
    first, second = plain.getvalue().splitlines()
    assert first.index("opens") == second.index("told")
    assert first.startswith("   1.50 s  provider")
    assert first.endswith("2.1 ms")
    assert "\x1b[" not in plain.getvalue()
    assert "\x1b[" in terminal.getvalue()


def test_a_screen_that_nobody_reads_says_so_once(clock):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    gone = []
    console = Console(Closed(), clock.seconds, lambda: gone.append(True))
    console.line("one")
    console.line("two")
    assert console.closed
    assert gone == [True]
