"""Silences are judged by a calendar, and suspicious ticks are counted."""

import json
from collections import Counter
from datetime import UTC, date, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cold_stores import Both
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mtnet.cli.main import main
from mtnet.durations import DAY_MS
from mtnet.errors import ConfigError
from mtnet.services.ticks.clocks.rules import read_rule
from mtnet.services.ticks.export.moments import read_moment
from mtnet.services.ticks.files import mt5
from mtnet.services.ticks.health.calendar import ALWAYS as EVER
from mtnet.services.ticks.health.calendar import LOOK, MINUTE, Calendar, calendar_of
from mtnet.services.ticks.health.quality import BURST, LIMITS, LONGEST, judge
from mtnet.services.ticks.preflight import check
from mtnet.services.ticks.settings import TickSettings
from mtnet.services.ticks.storage.reader import Stored

HOUR = 60 * MINUTE
MONDAY = read_moment("2026-11-23")
ALWAYS = Calendar("Mon-Sun 00:00-24:00", "")


def ticks(*times):
    """Return ticks at some times, with a price that changes."""
    return [Stored(time, b"1.%05d" % at, 0, "desk") for at, time in enumerate(times)]


def silences(found):
    return [count for count in found.silences.values()]


# Calendars


@pytest.mark.parametrize(
    ("start", "stop", "hours"),
    [
        ("2026-11-27 12:00", "2026-11-27 18:00", 6),
        ("2026-11-27 23:00", "2026-11-30 01:00", 2),
        ("2026-11-28 03:00", "2026-11-29 20:00", 0),
        ("2026-12-24 22:00", "2026-12-28 01:00", 3),
        ("2026-11-23", "2026-12-07", 240),
        ("2026-11-23", "2026-11-23", 0),
    ],
)
def test_week_ends_and_holidays_are_no_trading_time(start, stop, hours):
    assert Calendar().trading(read_moment(start), read_moment(stop)) == hours * HOUR


@pytest.mark.parametrize(
    ("sessions", "hours"),
    [
        ("Mon 08:30-17:00", 8.5),
        ("Mon-Fri 16:30-23:00", 32.5),
        ("Sun-Thu 23:00-22:00", 4 * 23 + 22 + 1),
        ("Mon 01:00-02:00, Mon 03:00-04:00, Fri 00:00-01:00", 3),
        ("Sat-Mon 00:00-24:00", 72),
    ],
)
def test_a_session_may_be_short_or_go_on_over_midnight(sessions, hours):
    assert Calendar(sessions, "").trading(MONDAY, MONDAY + 7 * DAY_MS) == hours * HOUR


def test_a_holiday_of_one_year_is_none_in_another():
    found = Calendar("Mon-Sun 00:00-24:00", "2026-11-24")
    assert found.trading(MONDAY, MONDAY + 7 * DAY_MS) == 6 * DAY_MS
    assert found.trading(MONDAY - 365 * DAY_MS, MONDAY - 358 * DAY_MS) == 7 * DAY_MS


@settings(max_examples=30)
@given(st.lists(st.integers(0, 14 * 24 * 60), min_size=3, max_size=3).map(sorted))
def test_the_trading_of_two_spans_is_that_of_both_together(minutes):
    first, middle, last = (MONDAY + each * MINUTE for each in minutes)
    calendar = Calendar("Sun-Fri 23:00-22:00, Sat 10:00-11:00", "11-25")
    assert calendar.trading(first, last) == (
        calendar.trading(first, middle) + calendar.trading(middle, last)
    )


MOMENTS = st.integers(0, 21 * 24 * 12).map(lambda at: MONDAY + at * 5 * MINUTE)
SESSIONS = st.sampled_from(
    (
        "Mon-Fri 00:00-24:00", "Sun-Fri 23:00-22:00, Sat 10:00-11:00", "Mon-Sun 00:00-24:00",
        "Mon-Thu 01:00-23:15, Mon-Thu 23:30-24:00, Fri 01:00-23:15", "Fri 22:00-02:00",
    )
)  # fmt: skip


@given(MOMENTS, SESSIONS, st.sampled_from(("", "11-25", "11-29 2026-12-01")))
def test_a_market_opened_where_the_trading_up_to_now_begins(time, sessions, holidays):
    calendar = Calendar(sessions, holidays)
    opened = calendar.opened(time)
    is_open = bool(calendar.trading(time, time + 1))
    assert (opened is not None) == is_open
    if opened is not None:
        begin = max(opened, time - LOOK)
        assert calendar.trading(begin, time) == time - begin
        assert opened == EVER or not calendar.trading(opened - 1, opened)


def test_sessions_that_overlap_are_counted_once():
    calendar = Calendar("Fri 22:00-21:00, Sat 10:00-11:00", "")
    friday = MONDAY + 4 * DAY_MS
    assert calendar.trading(friday, friday + 2 * DAY_MS) == 23 * HOUR
    assert calendar.opened(friday + 34 * HOUR) == friday + 22 * HOUR
    assert calendar.opened(friday + 40 * HOUR) == friday + 22 * HOUR


def test_a_symbol_has_its_own_calendar_or_that_of_all():
    sessions = {"UK 100": "Mon 08:00-09:00", "*": "Tue 00:00-24:00"}
    week = MONDAY, MONDAY + 7 * DAY_MS
    assert calendar_of("UK%20100", sessions, {}).trading(*week) == HOUR
    assert calendar_of("EURUSD", sessions, {"*": "11-24"}).trading(*week) == 0
    assert calendar_of("EURUSD", {}, {}).trading(*week) == 5 * DAY_MS


@pytest.mark.parametrize(
    "wrong",
    [
        {"sessions": {"*": "Mon-Fri"}}, {"sessions": {"*": "Mon-Fun 00:00-24:00"}},
        {"sessions": {"A": "Mon 24:00-25:00"}}, {"sessions": {"A|": "Mon 00:00-24:00"}},
        {"holidays": {"*": "12-32"}}, {"holidays": {"A": "Christmas"}},
    ],
)  # fmt: skip
def test_a_calendar_that_cannot_be_read_is_refused_at_the_start(wrong):
    check(TickSettings(sessions={"A": "Fri-Mon 00:00-24:00"}, holidays={"A": "02-29 2026-04-03"}))
    with pytest.raises(ConfigError, match=r"expected|A symbol"):
        check(TickSettings(**wrong))


# Silences


def test_silences_are_counted_by_their_trading_time():
    lengths = (MINUTE, MINUTE + 1, 5 * MINUTE + 1, 31 * MINUTE, 2 * HOUR, 25 * HOUR)
    times = [MONDAY]
    for length in lengths:
        times.append(times[-1] + length)
    found = judge(ticks(*times), ALWAYS)
    assert silences(found) == [5, 4, 3, 2, 1]
    assert [trading for trading, _, _ in found.longest] == list(lengths[1:])
    assert (found.ticks, found.first, found.last) == (7, MONDAY, times[-1])


def test_a_week_end_is_no_silence_and_what_is_missing_beside_it_is():
    friday, monday = MONDAY + 5 * DAY_MS - 20_000, MONDAY + 7 * DAY_MS + 10_000
    assert silences(judge(ticks(friday, monday), Calendar())) == [0] * 5
    found = judge(ticks(friday, monday + 10 * MINUTE), Calendar())
    assert silences(found) == [1, 1, 0, 0, 0]
    assert found.longest == [(10 * MINUTE + 30_000, friday, monday + 10 * MINUTE)]


def test_the_begin_and_the_end_of_a_span_count_where_they_are_named():
    made = ticks(MONDAY + HOUR)
    assert silences(judge(made, ALWAYS)) == [0] * 5
    assert silences(judge(made, ALWAYS, MONDAY, MONDAY + 4 * HOUR)) == [2, 2, 2, 1, 0]
    assert silences(judge([], ALWAYS, MONDAY, MONDAY + 2 * DAY_MS)) == [1] * 5
    assert judge([], ALWAYS).first is None


def test_the_longest_silences_are_kept():
    times = [MONDAY]
    for minutes in range(2, 30):
        times.append(times[-1] + minutes * MINUTE)
    found = judge(ticks(*times), ALWAYS)
    assert [each[0] // MINUTE for each in sorted(found.longest)] == [*range(30 - LONGEST, 30)]


# Suspicious ticks


def test_duplicates_stale_and_crossed_ticks_are_counted():
    rows = [
        (0, b"1.1 1.2"),
        (0, b"1.1 1.2"),  # a duplicate
        (1, b"1.1 1.2"),  # stale
        (2, b"1.1 1.2 - 5"),  # a deal at the same prices
        (3, b"1.3 1.2"),  # crossed
        (4, b"- 1.2"),
    ]
    found = judge([Stored(MONDAY + at, rest, 0, "") for at, rest in rows], ALWAYS)
    assert (found.duplicates, found.stale, found.crossed) == (1, 1, 1)


def test_bursts_are_seconds_with_many_ticks():
    times = [MONDAY + at for at in range(BURST)]
    times += [MONDAY + 1_000 + at for at in range(BURST - 1)]
    times += [MONDAY + 2_000 + at for at in range(BURST + 5)]
    found = judge(ticks(*times), ALWAYS)
    assert (found.bursts, found.most) == (2, BURST + 5)


# The same, counted minute by minute

HOURS = {
    "Mon-Fri 00:00-24:00": lambda day, minute: day < 5,
    "Mon-Sun 00:00-24:00": lambda day, minute: True,
    # Friday's session goes on until 02:00 on Saturday.
    "Fri 22:00-02:00": lambda day, minute: (
        (day == 4 and minute >= 22 * 60) or (day == 5 and minute < 2 * 60)
    ),
    "Mon-Thu 01:00-23:15, Mon-Thu 23:30-24:00, Fri 01:00-23:15": lambda day, minute: (
        (day < 5 and 60 <= minute < 23 * 60 + 15) or (day < 4 and minute >= 23 * 60 + 30)
    ),
}
"""Sessions, and whether there is trading in a minute of a day of the week."""
GAPS = st.one_of(
    st.integers(0, 3 * MINUTE),
    st.sampled_from([each + at for each in LIMITS.values() for at in (-1, 0, 1, MINUTE)]),
    st.integers(0, 4 * DAY_MS),
)
NEXT = st.tuples(GAPS, st.sampled_from((b"1.1 1.2", b"1.1 1.1", b"1.2 1.1", b"1.1", b"- - 3 5")))


def open_minutes(start, stop, hours, holiday=None, zone=None):
    """Return the milliseconds of trading, of minutes that the clock does not leave out."""
    total = 0
    for minute in range(start // MINUTE, (stop - 1) // MINUTE + 1):
        moment = datetime.fromtimestamp(minute * 60, UTC)
        times = 1
        if zone is not None:
            local = moment.replace(tzinfo=zone)
            both = {each.astimezone(UTC) for each in (local, local.replace(fold=1))}
            times = len([each for each in both if each.astimezone(zone).hour == moment.hour])
        if moment.date() != holiday and hours(moment.weekday(), moment.hour * 60 + moment.minute):
            total += times * (min(stop, (minute + 1) * MINUTE) - max(start, minute * MINUTE))
    return total


@settings(max_examples=40)
@given(
    following=st.lists(NEXT, min_size=1, max_size=8),
    sessions=st.sampled_from(sorted(HOURS)),
    holidays=st.sampled_from(("", "11-25")),
    begin=st.integers(0, 7 * 24 * 60),
    margin=st.sampled_from((0, 1, 5 * MINUTE, 2 * DAY_MS)),
)
def test_a_report_is_what_is_counted_minute_by_minute(following, sessions, holidays, begin, margin):
    made, time = [], MONDAY + begin * MINUTE
    for gap, prices in following:
        time += gap
        made.append(Stored(time, prices, 0, ""))
    span = made[0].time - margin, made[-1].time + margin
    found = judge(made, Calendar(sessions, holidays), *span)
    holiday = date(2026, 11, 25) if holidays else None
    edges = [span[0], *(tick.time for tick in made), span[1]]
    lengths = [open_minutes(*each, HOURS[sessions], holiday) for each in pairwise(edges)]
    assert silences(found) == [sum(each > limit for each in lengths) for limit in LIMITS.values()]
    longest = sorted((each for each in lengths if each > MINUTE), reverse=True)[:LONGEST]
    assert sorted((each[0] for each in found.longest), reverse=True) == longest
    two = list(pairwise(made))
    assert found.duplicates == sum(one == other for one, other in two)
    assert found.stale == sum(
        one.rest == other.rest and one.time != other.time and b"5" not in one.rest
        for one, other in two
    )
    assert found.crossed == sum(tick.rest == b"1.2 1.1" for tick in made)
    assert found.most == max(Counter(tick.time // 1_000 for tick in made).values())


@pytest.mark.parametrize(
    ("rule", "begin", "silent"),
    [
        ("Europe/Athens", "2026-03-29 03:00", 0),
        ("UTC+2", "2026-03-29 03:00", 1),
        ("Europe/Athens", "2026-03-28 03:00", 1),
        ("NY+7", "2026-03-08 09:00", 0),
    ],
)
def test_an_hour_that_the_clock_leaves_out_is_no_silence(rule, begin, silent):
    start = read_moment(begin)
    made = ticks(start - MINUTE, start - 1, start + HOUR, start + HOUR + MINUTE)
    assert judge(made, ALWAYS, utc=read_rule(rule)).silences["30m"] == silent


@settings(max_examples=20)
@given(
    day=st.sampled_from(("2026-03-25", "2026-10-22")),
    begin=st.integers(0, 8 * 24 * 60),
    minutes=st.integers(1, 3 * 24 * 60),
    sessions=st.sampled_from(sorted(HOURS)),
)
def test_trading_is_counted_in_true_time_when_summer_time_begins_and_ends(
    day, begin, minutes, sessions
):
    start = read_moment(day) + begin * MINUTE
    stop = start + minutes * MINUTE
    # In such an hour a time is not one moment.
    for hour in map(read_moment, ("2026-03-29 03:00", "2026-10-25 03:00")):
        assume(not any(hour < each < hour + HOUR for each in (start, stop)))
    found = Calendar(sessions, "").trading(start, stop, read_rule("Europe/Athens"))
    assert found == open_minutes(start, stop, HOURS[sessions], None, ZoneInfo("Europe/Athens"))


# The command


@pytest.fixture
def both(tmp_path):
    made = Both(tmp_path)
    made.put((MONDAY, b"1.1"), (MONDAY + 10 * MINUTE, b"1.2"))
    made.put((MONDAY, b"1.1"), symbol=b"BTC")
    yield made
    made.store.close()


def said(both, capsys, *words):
    main(["ticks", "report", *map(str, words), "--data", str(both.path.parent)])
    return capsys.readouterr().out


def test_the_report_of_a_symbol_is_for_people_and_for_programs(both, capsys):
    assert said(both, capsys, "EURUSD").splitlines() == [
        "EURUSD: 2 ticks from 2026-11-23 00:00:00.000 to 2026-11-23 00:10:00.000",
        "  silences while trading: 1 over 1m, 1 over 5m, 0 over 30m, 0 over 1h, 0 over 1d",
        "    FROM                     TO                       TRADING",
        "    2026-11-23 00:00:00.000  2026-11-23 00:10:00.000  0:10:00",
        "  0 duplicates, 0 stale, 0 with the ask below the bid, 0 bursts; 1 ticks in a second at "
        "most",
    ]
    got = json.loads(said(both, capsys, "*", "--json"))
    assert [(each["symbol"], each["ticks"]) for each in got] == [("BTC", 1), ("EURUSD", 2)]
    assert got[1]["longest"] == [
        {"from": MONDAY, "to": MONDAY + 10 * MINUTE, "trading": 10 * MINUTE}
    ]
    assert got[1]["silences"]["5m"] == 1


def test_a_report_has_a_span_and_the_calendars_of_the_configuration(both, capsys, tmp_path):
    config = tmp_path / "mtnet.toml"
    config.write_text('[ticks.sessions]\nEURUSD = "Mon 00:05-24:00"\n')
    words = ("EURUSD", "--json", "--config", config, "--to", MONDAY + HOUR)
    (got,) = json.loads(said(both, capsys, *words))
    assert list(got["silences"].values()) == [2, 1, 1, 0, 0]


# Real ticks


def test_a_real_day_has_no_silence_of_half_an_hour(real_data):
    rows = mt5.rows(real_data / "EURUSD-2019-02-04.ticks.csv.gz")
    day = datetime(2019, 2, 4, tzinfo=UTC).timestamp() * 1_000
    found = judge((Stored(time, rest, 0, "") for _, time, rest in rows), Calendar(), int(day))
    assert found.ticks == 136_741
    assert found.silences["30m"] == found.crossed == found.duplicates == 0
