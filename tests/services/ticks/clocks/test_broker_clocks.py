"""Clocks of brokers: UTC beside the times of ticks, by rules and by receipt."""

import zoneinfo
from datetime import UTC, datetime

import pytest
from cold_stores import EURUSD, MIDNIGHT, Both
from hypothesis import given, settings
from hypothesis import strategies as st

from mtnet import ticks
from mtnet.errors import ConfigError
from mtnet.interfaces import IEvents, ITicks
from mtnet.services.ticks.bars.files import Basis
from mtnet.services.ticks.bars.history import bars_of_ticks
from mtnet.services.ticks.bars.periods import PERIODS
from mtnet.services.ticks.bars.series import BID, merge
from mtnet.services.ticks.clocks import measured, rules
from mtnet.services.ticks.clocks.bars import BarClock
from mtnet.services.ticks.clocks.measured import QUARTER, with_utc
from mtnet.services.ticks.clocks.monitor import EVERY, ClockMonitor, distance
from mtnet.services.ticks.clocks.rules import Clocks, read_rule
from mtnet.services.ticks.export.moments import read_moment
from mtnet.services.ticks.preflight import check
from mtnet.services.ticks.settings import TickSettings
from mtnet.services.ticks.storage.reader import Stored
from mtnet.services.ticks.wire import time_of

HOUR = 3_600_000
TIMES = st.integers(MIDNIGHT, MIDNIGHT + 3 * HOUR)


def stored(time, received, source="desk"):
    rest = b"1.1" if time is None else b"1.1 - - - %d" % time
    return Stored(received if time is None else time, rest, received, source)


def utc(ticks, **clocks):
    found = with_utc(Clocks(clocks.get("rules", {"*": "measured"})), "EURUSD", iter(ticks))
    return [each for _, each in found]


# Rules


@pytest.mark.parametrize(
    ("rule", "local", "utc"),
    [
        # In New York 02:00 becomes 03:00 in March, and 02:00 becomes 01:00 in November.
        ("NY+7", "2024-03-10 08:59:59", "2024-03-10 06:59:59"),
        ("NY+7", "2024-03-10 10:00", "2024-03-10 07:00"),
        ("NY+7", "2024-11-03 07:59:59", "2024-11-03 04:59:59"),
        ("NY+7", "2024-11-03 08:30", "2024-11-03 05:30"),
        ("NY+7", "2024-11-03 09:00", "2024-11-03 07:00"),
        # In Athens 03:00 becomes 04:00, and 04:00 becomes 03:00, at 01:00 UTC.
        ("Europe/Athens", "2024-03-31 02:59:59", "2024-03-31 00:59:59"),
        ("Europe/Athens", "2024-03-31 04:00", "2024-03-31 01:00"),
        ("Europe/Athens", "2024-10-27 03:30", "2024-10-27 00:30"),
        ("Europe/Athens", "2024-10-27 04:00", "2024-10-27 02:00"),
        ("Asia/Kolkata", "2024-10-27 05:30", "2024-10-27 00:00"),
    ],
)
def test_summer_time_begins_and_ends_when_it_does(rule, local, utc):
    assert read_rule(rule)(read_moment(local)) == read_moment(utc)


def test_an_hour_that_does_not_exist_goes_on_with_the_one_before():
    athens = read_rule("Europe/Athens")
    assert athens(read_moment("2024-03-31 03:30")) == read_moment("2024-03-31 01:30")


def test_a_machine_without_zones_is_told_what_to_install(monkeypatch):
    def missing(name):
        raise zoneinfo.ZoneInfoNotFoundError(name)

    monkeypatch.setattr(rules, "ZoneInfo", missing)
    monkeypatch.setattr(rules, "available_timezones", set)
    with pytest.raises(ConfigError, match="pip install tzdata"):
        read_rule("NY+7")
    assert read_rule("UTC+2")(7_200_000) == 0


def test_a_source_goes_before_a_symbol_and_that_before_all_others():
    clocks = Clocks({"*": "UTC+1", "EURUSD": "UTC+2", "@@desk": "UTC+3"})
    assert [clocks.utc(*each, 0) // -HOUR for each in (("X", "a"), ("EURUSD", "a"))] == [1, 2]
    assert clocks.utc("EURUSD", "desk", 0) == -3 * HOUR
    assert Clocks({}).utc("EURUSD", "desk", 0) is None


def test_symbols_of_the_configuration_are_those_of_brokers():
    assert (
        Clocks.read({"UK 100": "UTC+1", "*": "UTC", "@@a": "UTC"}).utc("UK%20100", "", 0) == -HOUR
    )


@pytest.mark.parametrize(
    ("clock", "text"),
    [({"*": "NY7"}, "Invalid clock 'NY7'"), ({"A": ""}, "Invalid clock"), ({"A|": "UTC"}, "clock")],
)
def test_a_rule_that_is_none_is_refused_at_the_start(clock, text):
    check(TickSettings(clock={"*": "measured", "@@desk": "Europe/Athens"}))
    with pytest.raises(ConfigError, match=text):
        check(TickSettings(clock=clock))


# Measured


def test_a_measured_clock_is_the_rounded_median_of_a_quarter_of_an_hour():
    delays = [50, 70, 60, 40_000, 900_000]
    found = [stored(MIDNIGHT + at, MIDNIGHT - 2 * HOUR + at + delays[at]) for at in range(5)]
    assert utc(found) == [MIDNIGHT - 2 * HOUR + at for at in range(5)]


def test_a_clock_that_changes_counts_from_its_next_quarter_on():
    before = [stored(MIDNIGHT + at, MIDNIGHT + at - 2 * HOUR) for at in range(3)]
    after = [stored(MIDNIGHT + QUARTER + at, MIDNIGHT + QUARTER + at - 3 * HOUR) for at in range(3)]
    found = utc([*before, *after])
    assert [MIDNIGHT - each for each in found[:3]] == [2 * HOUR - at for at in range(3)]
    assert found[3] == MIDNIGHT + QUARTER - 3 * HOUR


def test_each_source_has_a_clock_of_its_own_and_a_tick_without_time_that_of_receipt():
    found = [
        stored(MIDNIGHT, MIDNIGHT - HOUR, "a"),
        stored(MIDNIGHT, MIDNIGHT - 2 * HOUR, "b"),
        stored(None, MIDNIGHT + 1, "b"),
    ]
    assert utc(found) == [MIDNIGHT - HOUR, MIDNIGHT - 2 * HOUR, MIDNIGHT + 1]


def test_imported_ticks_cannot_be_measured_and_have_the_rule_of_their_source_if_any():
    found = [stored(MIDNIGHT, MIDNIGHT + 10**9, "(import)"), stored(MIDNIGHT, MIDNIGHT - HOUR)]
    assert utc(found) == [None, MIDNIGHT - HOUR]
    named = {"*": "measured", "@@(import)": "UTC+2"}
    assert utc(found, rules=named) == [MIDNIGHT - 2 * HOUR, MIDNIGHT - HOUR]


def test_so_many_ticks_are_measured_at_once(monkeypatch):
    monkeypatch.setattr(measured, "WINDOW", 2)
    assert utc([stored(MIDNIGHT, MIDNIGHT - HOUR)] * 5) == [MIDNIGHT - HOUR] * 5


SENT = st.lists(
    st.tuples(st.none() | TIMES, TIMES, st.sampled_from(("desk", "(import)"))), max_size=20
)
RULES = st.sampled_from(["measured", "NY+7", "UTC-5:30"])


@settings(max_examples=10)
@given(sent=SENT, rule=RULES, known=st.booleans())
def test_the_column_of_a_table_is_what_single_ticks_have(tmp_path_factory, sent, rule, known):
    np = pytest.importorskip("numpy")
    from mtnet.services.ticks.export.table import parsed
    from mtnet.services.ticks.export.utc import add_utc

    found = sorted((stored(*each) for each in sent), key=lambda tick: tick.time)
    if not found:
        return
    clocks = Clocks({"*" if known else "XAUUSD": rule})
    table = parsed(*([tick[at] for tick in found] for at in (1, 2, 3)))
    add_utc(table, clocks, "EURUSD")
    assert table.utc.tolist() == [each for _, each in with_utc(clocks, "EURUSD", iter(found))]
    assert table.utc.dtype == np.int64


# Where it is shown


@pytest.fixture
def both(tmp_path):
    made = Both(tmp_path)
    made.put((MIDNIGHT + 1, b"1.1"), (MIDNIGHT + 2, b"1.2"), received=MIDNIGHT - 2 * HOUR)
    yield made
    made.store.close()


def test_python_has_utc_where_a_clock_is_named(both):
    pytest.importorskip("numpy")

    def read(clock=None):
        return ticks.read("EURUSD", clock=clock, data=both.path.parent)

    assert "utc_msc" not in read().numpy()
    for clock in ("measured", "UTC+2"):
        bars = ticks.bars("EURUSD", "M1", clock=clock, data=both.path.parent)
        assert [bar.utc_msc for bar in bars] == [MIDNIGHT - 2 * HOUR]
        assert bars.numpy()["utc_msc"].tolist() == [MIDNIGHT - 2 * HOUR]
        assert bars.arrow()["utc_msc"].to_pylist() == [MIDNIGHT - 2 * HOUR]
        assert bars.pandas()["utc_msc"].tolist() == [MIDNIGHT - 2 * HOUR]
        assert bars.polars()["utc_msc"].to_list() == [MIDNIGHT - 2 * HOUR]
    assert "utc_msc" not in ticks.bars("EURUSD", "M1", data=both.path.parent).numpy()
    expected = [MIDNIGHT + at - 2 * HOUR for at in (1, 2)]
    for clock in ("measured", "UTC+2"):
        found = read(clock)
        assert found.numpy()["utc_msc"].tolist() == expected
        assert found.arrow()["utc_msc"].to_pylist() == expected
        assert found.pandas()["utc_msc"].tolist() == expected
        assert found.polars()["utc_msc"].to_list() == expected
    with pytest.raises(ConfigError, match="expected UTC"):
        read("NY7")


def test_exports_take_the_clock_of_the_configuration(both, capfdbinary, tmp_path):
    from mtnet.cli.main import main

    config = tmp_path / "mtnet.toml"
    config.write_text('[ticks.clock]\n"*" = "measured"\nXAUUSD = "UTC+1"\n')
    both.put((MIDNIGHT, b"1"), symbol=b"XAUUSD")
    for command in ("export", "bars"):
        words = f"{command} EURUSD XAUUSD --format csv --utc --config {config} --data {tmp_path}"
        main(["ticks", *words.split()])
        rows = capfdbinary.readouterr().out.decode().splitlines()
        shown = [row.split(",")[9] for row in rows[1:]]
        assert shown[-1] == str(MIDNIGHT - HOUR)
        assert shown[0] == str(MIDNIGHT + (command == "export") - 2 * HOUR)


# Bars


def opened(ticks, period, rules):
    """Return opening and UTC of the bars of ticks."""
    reads = []

    def read(start):
        reads.append(start)
        return (tick for tick in ticks if tick.time >= start)

    timed = any(time_of(tick.rest) is not None for tick in ticks)
    clock = BarClock(Clocks(rules), "EURUSD", timed, read)
    made = bars_of_ticks([(t.rest, t.received) for t in ticks], Basis(BID, timed, 1), 60_000)
    found = list(merge(made, PERIODS[period].opening))
    return [(bar.time, clock.utc(bar.time, bar.time + bar.first)) for bar in found], len(reads)


def every(minutes, start, stop, ahead, source="desk"):
    step = minutes * 60_000
    return [stored(at, at - ahead + 90, source) for at in range(start, stop, step)]


@pytest.mark.parametrize(("ahead", "then"), [(2 * HOUR, 3 * HOUR), (3 * HOUR, 2 * HOUR)])
def test_bars_of_a_measured_clock_have_the_utc_of_their_own_quarter(ahead, then):
    jump = MIDNIGHT + 6 * HOUR
    ticks = [*every(1, MIDNIGHT + 5 * HOUR, jump, ahead), *every(1, jump, jump + HOUR, then)]
    found, reads = opened(ticks, "M30", {"*": "measured"})
    assert [(at - MIDNIGHT, at - utc) for at, utc in found] == [
        (5 * HOUR, ahead), (11 * HOUR // 2, ahead), (6 * HOUR, then), (13 * HOUR // 2, then),
    ]  # fmt: skip
    assert reads == 1, "the ticks are read once"
    day, reads = opened(ticks, "D1", {"*": "measured"})
    assert [(at - MIDNIGHT, at - utc) for at, utc in day] == [(0, ahead)]


def test_where_few_bars_need_a_quarter_the_others_are_not_read():
    ticks = every(15, MIDNIGHT, MIDNIGHT + 72 * HOUR, 2 * HOUR)
    found, reads = opened(ticks, "D1", {"*": "measured"})
    assert [at - utc for at, utc in found] == [2 * HOUR] * 3
    assert reads == 3


def test_bars_have_the_clock_of_the_source_with_most_ticks_that_is_known():
    ticks = [
        *every(1, MIDNIGHT, MIDNIGHT + 600_000, 9 * HOUR, "(import)"),
        *every(2, MIDNIGHT, MIDNIGHT + 600_000, 2 * HOUR, "a"),
        *every(5, MIDNIGHT, MIDNIGHT + 600_000, 3 * HOUR, "b"),
    ]
    ticks.sort(key=lambda tick: tick.time)
    for chosen, ahead in (
        ({"*": "measured"}, 2),
        ({"@@b": "measured"}, 3),
        ({"*": "measured", "@@(import)": "UTC+5"}, 5),
        ({"@@a": "UTC+7", "*": "UTC+1"}, 1),
        ({"@@a": "UTC+7"}, 7),
    ):
        found, _ = opened(ticks, "M1", chosen)
        assert found[0] == (MIDNIGHT, MIDNIGHT - ahead * HOUR)
    assert opened(ticks, "M1", {})[0][0] == (MIDNIGHT, None)
    only = every(1, MIDNIGHT, MIDNIGHT + 60_000, HOUR, "(import)")
    assert opened(only, "M1", {"*": "measured"})[0] == [(MIDNIGHT, None)]


def test_bars_by_receipt_are_in_utc_already():
    ticks = [stored(None, MIDNIGHT + 5), stored(None, MIDNIGHT + 60_000)]
    for rule in ("measured", "UTC+2"):
        found, reads = opened(ticks, "M1", {"*": rule})
        assert found == [(MIDNIGHT, MIDNIGHT), (MIDNIGHT + 60_000, MIDNIGHT + 60_000)]
        assert not reads


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.integers(0, 12 * HOUR // 60_000), st.integers(1, 30)), max_size=30),
    st.integers(0, 11),
    st.sampled_from(("M1", "M15", "H1", "H4")),
)
def test_the_utc_of_a_bar_fits_that_of_its_first_tick(minutes, jump, period):
    changed = MIDNIGHT + jump * HOUR
    times = sorted(MIDNIGHT + minute * 60_000 + delay for minute, delay in minutes)
    ticks = [stored(time, time - (2 + (time >= changed)) * HOUR + 40) for time in times]
    found, _ = opened(ticks, period, {"*": "measured"})
    of_ticks = dict(zip((tick.time for tick in ticks), utc(ticks), strict=True))
    for at, moment in found:
        first = min(time for time in times if time >= at)
        assert moment - at == of_ticks[first] - first


# Summer time, by hand


@given(
    st.integers(read_moment("2015-01-01"), read_moment("2034-12-31")),
    st.sampled_from(("NY+7", "Europe/Athens", "Asia/Kolkata", "UTC-5:30")),
)
def test_a_rule_and_its_inverse_are_those_of_zoneinfo(time, rule):
    zones = {"NY+7": "America/New_York", "UTC-5:30": "Etc/UTC"}
    ahead = {"NY+7": 7 * HOUR, "UTC-5:30": -11 * HOUR // 2}.get(rule, 0)
    zone = zoneinfo.ZoneInfo(zones.get(rule, rule))
    wall = datetime.fromtimestamp(time / 1_000, zone).replace(tzinfo=UTC).timestamp() * 1_000
    local = round(wall) + ahead
    found = read_rule(rule)
    assert found.local(time) == local
    # Of an hour that comes twice, a time is in the first.
    assert found(local) in (time, time - HOUR)
    assert found.local(found(local)) == local


# Watching clocks


def sample(monitor, quarter, ahead, count=3):
    for at in range(count):
        when = quarter * QUARTER + at * EVERY
        monitor.take("desk", [(EURUSD, b"1.1 - - - %d" % (when + ahead - 80))], when)


def test_a_clock_that_jumps_is_reported_once_and_its_delay_is_no_jump():
    monitor, reported = ClockMonitor(), []
    monitor.report = lambda *each: reported.append(each)
    for quarter, ahead in ((1, 2), (2, 2), (3, 3), (4, 3), (5, 3)):
        sample(monitor, quarter, ahead * HOUR)
    assert reported == [("desk", 2 * HOUR, 3 * HOUR)]
    assert (monitor.ahead("desk"), monitor.ahead("x")) == (3 * HOUR, None)


def test_few_samples_say_nothing_and_so_do_ticks_without_a_time():
    monitor = ClockMonitor()
    sample(monitor, 1, HOUR, count=2)
    sample(monitor, 2, HOUR, count=2)
    for at in range(9):
        monitor.take("desk", [(EURUSD, b"1.1")], 3 * QUARTER + at * EVERY)
    sample(monitor, 4, HOUR, count=1)
    assert monitor.ahead("desk") is None


@pytest.mark.parametrize(
    ("ahead", "text"), [(0, "UTC+0"), (3 * HOUR, "UTC+3"), (-HOUR * 11 // 2, "UTC-5:30")]
)
def test_a_distance_is_written_as_a_rule(ahead, text):
    assert distance(ahead) == text


def test_a_jump_is_an_event_and_the_status_tells_the_clock(env_with):
    env = env_with()
    services = env.components.services
    for name in ("status", "ticks"):
        services[name].start()
    collector = env.find(ITicks)
    desk = collector.source("desk")
    began = env.now() // QUARTER * QUARTER
    for quarter, ahead in ((1, 2), (2, 3), (3, 3)):
        for at in range(3):
            when = began + quarter * QUARTER + at * EVERY
            collector.take(desk, [(EURUSD, b"1.1 - - - %d" % (when + ahead * HOUR))], when)
    found = [each for each in env.find(IEvents).after(0, 100) if "broker" in each["kind"]]
    assert [(each["text"], each["level"]) for each in found] == [
        ("The clock of desk is UTC+3 now; it was UTC+2.", "warning")
    ]
    assert (found[0]["before"], found[0]["ahead"]) == (7_200, 10_800)
    assert collector.status()["senders"]["desk"]["ahead"] == 3 * HOUR
