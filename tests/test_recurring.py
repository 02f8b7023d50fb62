"""Work that a timer does again and again."""

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from mtnet.recurring import RecurringCall, RecurringService


class Work:
    """Fails as long as it is `broken`: by raising, or by a Deferred."""

    def __init__(self, later):
        self.later, self.broken, self.done = later, True, 0

    def __call__(self):
        if self.broken:
            error = ZeroDivisionError("an error that nobody foresaw")
            if not self.later:
                raise error
            return fail(error)
        self.done += 1
        return succeed(None) if self.later else None


@pytest.mark.parametrize("later", [False, True])
def test_a_timer_survives_an_error_and_says_it_once_until_it_works_again(later, log):
    work, clock = Work(later), Clock()
    RecurringCall("The work", work, 1.0, clock).start()
    clock.pump([1.0] * 3)
    assert [event["log_format"].format(**event) for event in log] == [
        "The work failed; it is tried again."
    ]
    work.broken = False
    clock.pump([1.0] * 3)
    assert (work.done, len(log)) == (3, 1)
    work.broken = True
    clock.pump([1.0] * 3)
    assert len(log) == 2


def test_a_timer_begins_as_it_is_told_slows_down_and_ends_more_than_once():
    calls, clock = [], Clock()
    timer = RecurringCall("The work", lambda: calls.append(clock.seconds()), 2.0, clock, now=False)
    timer.stop()
    timer.start()
    clock.pump([1.0] * 4)
    assert calls == [2.0, 4.0]
    timer.slow_down(5.0)
    clock.pump([1.0] * 9)
    assert calls == [2.0, 4.0, 6.0, 11.0]
    timer.stop()
    timer.stop()
    clock.advance(60.0)
    assert len(calls) == 4


def test_timers_that_begin_at_any_time_share_whole_seconds():
    calls, clock = {1.0: [], 2.0: [], 0.5: []}, Clock()
    for interval, called in calls.items():
        clock.advance(0.25)
        work = lambda called=called: called.append(clock.seconds())  # noqa: E731
        RecurringCall("The work", work, interval, clock, now=False).start()
    clock.pump([0.25] * 9)
    assert calls == {1.0: [1.0, 2.0, 3.0], 2.0: [2.0], 0.5: [1.0, 1.5, 2.0, 2.5, 3.0]}


def test_a_timer_leaves_out_the_calls_for_which_its_work_took_too_long():
    calls, clock, done = [], Clock(), Deferred()
    results = iter([done])

    def work():
        calls.append(clock.seconds())
        return next(results, None)

    RecurringCall("The work", work, 2.0, clock).start()
    clock.advance(5.0)
    done.callback(None)
    clock.pump([1.0] * 3)
    assert calls == [0.0, 6.0, 8.0]


def test_the_stop_of_a_service_waits_for_the_call_that_is_under_way():
    clock, done, calls = Clock(), Deferred(), []
    work = lambda: calls.append(clock.seconds()) or done  # noqa: E731
    service = RecurringService(RecurringCall("The work", work, 1.0, clock))
    service.startService()
    stopped = service.stopService()
    assert not stopped.called
    done.callback(None)
    assert stopped.called
    clock.pump([1.0] * 3)
    assert calls == [0.0]
    assert service.stopService() is None
