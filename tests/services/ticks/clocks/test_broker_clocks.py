"""Clocks of brokers: UTC beside the times of ticks, by rules and by receipt."""

import zoneinfo

import pytest
from cold_stores import EURUSD, MIDNIGHT, Both
from hypothesis import given, settings
from hypothesis import strategies as st

from mtnet import ticks
from mtnet.errors import ConfigError
from mtnet.interfaces import IEvents, ITicks
from mtnet.services.ticks.clocks import measured, rules
from mtnet.services.ticks.clocks.measured import QUARTER, with_utc
from mtnet.services.ticks.clocks.monitor import EVERY, ClockMonitor, distance
from mtnet.services.ticks.clocks.rules import Clocks, read_rule
from mtnet.services.ticks.export.moments import read_moment
from mtnet.services.ticks.preflight import check
from mtnet.services.ticks.settings import TickSettings
from mtnet.services.ticks.storage.reader import Stored

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
    for command, column in (("export", 9), ("bars", 9)):
        words = f"{command} EURUSD XAUUSD --format csv --utc --config {config} --data {tmp_path}"
        main(["ticks", *words.split()])
        rows = capfdbinary.readouterr().out.decode().splitlines()
        shown = [row.split(",")[column] for row in rows[1:]]
        assert shown[-1] == str(MIDNIGHT - HOUR)
        # A bar has no time of receipt.
        assert shown[0] == (str(MIDNIGHT + 1 - 2 * HOUR) if command == "export" else "")


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
