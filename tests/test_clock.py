"""Whether the wall clock may be believed."""

import pytest
from twisted.internet.task import Clock

from mtnet.cli.status import describe
from mtnet.clock import AHEAD, CHECK_INTERVAL, JUMP, STALL, STEADY, WallClock
from mtnet.daemon.datadir import DataFolder

NOW = 1_700_000_000_000
HOUR, DAY, YEAR = 3_600, 86_400, 365 * 86_400


class Machine:
    """A machine whose clock can be set."""

    def __init__(self, ahead=0.0):
        self.clock, self.ahead = Clock(), ahead
        self.wall = WallClock(self.time, self.clock.seconds)

    def time(self):
        return NOW + int((self.clock.seconds() + self.ahead) * 1000)

    def run(self, seconds):
        self.clock.advance(seconds)
        self.wall.watch()


@pytest.fixture
def machine():
    return Machine()


@pytest.fixture
def said():
    """Return the sentences that were logged so far, once."""
    from twisted.logger import globalLogPublisher

    events = []
    globalLogPublisher.addObserver(events.append)

    def take():
        found = [event["log_format"].format(**event) for event in events if "log_format" in event]
        events.clear()
        return found

    yield take
    globalLogPublisher.removeObserver(events.append)


def test_a_clock_is_steady_once_it_was_right_for_long(machine):
    machine.run(STEADY - 1)
    assert machine.wall.right
    assert not machine.wall.steady
    machine.run(1)
    assert machine.wall.steady


def test_a_clock_that_is_corrected_by_little_stays_steady(machine):
    machine.run(STEADY)
    for _ in range(5):
        machine.ahead += JUMP - 1
        machine.run(HOUR)
    assert machine.wall.steady


@pytest.mark.parametrize("ahead", [30 * DAY, YEAR, -HOUR, -50 * YEAR])
def test_a_jump_is_seen_at_the_moment_of_asking_and_over_when_the_clock_is_right(machine, ahead):
    machine.run(STEADY)
    machine.ahead = ahead
    assert not machine.wall.steady
    machine.ahead = 0
    assert machine.wall.steady


def test_a_jump_is_said_once_and_so_is_its_end(machine, said):
    machine.run(STEADY)
    machine.ahead = 30 * DAY
    for _ in range(10):
        machine.run(CHECK_INTERVAL)
    machine.ahead = 0
    for _ in range(10):
        machine.run(CHECK_INTERVAL)
    assert said() == [
        "The clock of this machine jumped 30 days ahead; check its time and NTP. Nothing is "
        "deleted for its age until the clock was right for 24 hours.",
        "The clock of this machine is right again.",
    ]


def test_while_it_lasts_a_jump_is_a_warning_and_no_failure(machine):
    machine.ahead = -2 * HOUR
    report = machine.wall.health()
    assert report["healthy"]
    assert "jumped 2 hours back" in report["warning"]
    machine.ahead = 0
    assert machine.wall.health() == {"healthy": True, "warning": None}


def test_another_time_that_stays_for_long_is_the_right_one(machine, said):
    machine.run(STEADY)
    machine.ahead = YEAR
    machine.run(CHECK_INTERVAL)
    machine.run(STEADY - 1)
    assert not machine.wall.right
    machine.run(1)
    assert machine.wall.steady
    assert said()[-1] == "The clock of this machine counts as right from now on."


def test_a_start_before_the_newest_data_is_doubted(machine, said):
    machine.wall.compare("an older signal", NOW - YEAR * 1000)
    machine.wall.compare("the newest signal", NOW + DAY * 1000)
    machine.wall.check_start()
    assert "stands 24 hours before the time of the newest signal;" in said()[0]
    machine.run(STEADY)
    assert machine.wall.steady


def test_a_start_long_after_the_last_run_is_doubted(machine):
    machine.wall.compare_run(NOW - int(AHEAD * 1000) - 1_000)
    machine.wall.check_start()
    assert "stands 7 days after the end of the last run" in machine.wall.warning


@pytest.mark.parametrize("last", [0, NOW, NOW - int(AHEAD * 1000), NOW + int(JUMP * 1000)])
def test_a_start_that_fits_the_last_run_is_not(machine, last):
    machine.wall.compare_run(last)
    machine.wall.compare("the newest signal", NOW - YEAR * 1000)  # nobody has traded since
    machine.wall.check_start()
    assert machine.wall.right


def test_a_doubt_is_over_once_the_clock_is_set_to_what_fits_the_data(machine):
    machine.wall.compare("the newest signal", NOW + 50 * YEAR * 1000)
    machine.wall.check_start()
    machine.run(30)
    machine.ahead = 50 * YEAR + DAY
    machine.run(CHECK_INTERVAL)
    assert machine.wall.right
    assert not machine.wall.steady
    machine.run(STEADY)
    assert machine.wall.steady


class Desktop:
    """A machine that is off each night; its folder keeps what a run noted."""

    def __init__(self, path):
        self.folder = DataFolder(str(path))

    def run(self, start, hours=10):
        """Start `start` seconds from `NOW`; return whether the clock was right then."""
        machine = Machine(start)
        machine.wall.compare_run(self.folder.last_run())
        machine.wall.compare_doubt(*self.folder.doubted_runs())
        counted = machine.wall.estimate()
        machine.wall.check_start()
        right = machine.wall.right
        assert (counted == machine.wall()) == right
        for _ in range(hours):
            machine.run(HOUR)
            wall = machine.wall
            self.folder.record_run(wall(), wall.right, wall.doubted_since)
        return right


@pytest.fixture
def desktop(tmp_path):
    desktop = Desktop(tmp_path / "data")
    assert desktop.run(0)
    yield desktop
    desktop.folder.release()


def test_the_clock_of_a_machine_that_was_off_for_long_is_right_at_the_start_a_day_later(desktop):
    starts = [30 * DAY, 30 * DAY + 12 * HOUR, 31 * DAY, 32 * DAY, 33 * DAY]
    assert [desktop.run(each) for each in starts] == [False, False, True, True, True]
    assert desktop.folder.doubted_runs() == (0, 0)
    assert not desktop.run(60 * DAY), "it was off again"


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(30 * DAY, id="begins at the same time again"),
        pytest.param(20 * DAY, id="went back"),
        pytest.param(30 * DAY + 23 * HOUR, id="goes on for less than a day"),
        pytest.param(40 * DAY, id="is far ahead again"),
    ],
)
def test_a_doubted_clock_is_not_right_at_a_later_start_when_it(desktop, start):
    assert not desktop.run(30 * DAY)
    assert not desktop.run(start)


def test_a_doubted_clock_that_was_set_right_is_noted_as_doubted_no_more(desktop):
    assert not desktop.run(YEAR)
    assert desktop.run(2 * DAY)
    assert desktop.folder.doubted_runs() == (0, 0)


def test_a_clock_that_stands_before_the_data_for_days_is_right_at_each_later_start(machine):
    machine.wall.compare("the newest signal", NOW + YEAR * 1000)
    machine.wall.compare_doubt(NOW - 3 * DAY * 1000, NOW - DAY * 1000)
    machine.wall.check_start()
    assert machine.wall.right
    assert machine.wall.doubted_since == NOW - 3 * DAY * 1000


@pytest.mark.parametrize(("away", "counted"), [(-DAY, 0), (DAY, 0), (YEAR, -YEAR)])
def test_ages_are_counted_from_the_last_run_where_the_clock_is_far_ahead(machine, away, counted):
    machine.wall.compare_run(NOW - away * 1000)
    assert machine.wall.estimate() == NOW + counted * 1000


@pytest.mark.parametrize(("jump", "counted"), [(YEAR, 0), (-YEAR, -YEAR)])
def test_ages_are_counted_from_the_earlier_time_while_the_clock_has_jumped(machine, jump, counted):
    machine.wall.check_start()
    machine.ahead = jump
    assert machine.wall.estimate() == NOW + counted * 1000


def test_ages_are_counted_from_the_last_run_as_long_as_the_clock_is_in_doubt(machine):
    machine.wall.compare_run(NOW - YEAR * 1000)
    machine.wall.check_start()
    machine.run(HOUR)
    assert machine.wall.estimate() == NOW + (HOUR - YEAR) * 1000
    machine.ahead = -YEAR
    assert machine.wall.estimate() == NOW + (HOUR - YEAR) * 1000


def test_a_process_that_was_held_up_knows_it_for_a_while(machine):
    assert not machine.wall.stalled()
    machine.run(CHECK_INTERVAL)
    machine.clock.advance(STALL + CHECK_INTERVAL)
    assert machine.wall.stalled()  # a timer that is due before the next look
    machine.run(0)
    assert machine.wall.stalled()
    for _ in range(int(STALL / CHECK_INTERVAL)):
        machine.run(CHECK_INTERVAL)
    assert not machine.wall.stalled()


def test_a_warning_stands_in_the_first_line_of_a_status():
    answer = {"version": "1", "healthy": True, "trouble": [], "warnings": ["clock: it jumped."]}
    assert [*describe(answer, 0.0)] == ["mtnet 1, healthy: clock: it jumped."]
