"""Work that a timer does again and again."""

import pytest
from twisted.internet.defer import fail, succeed
from twisted.internet.task import Clock, LoopingCall

from mtnet.recurring import Recurring


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
    loop = LoopingCall(Recurring("The work", work))
    loop.clock = clock
    loop.start(1.0)
    clock.pump([1.0] * 3)
    assert [event["log_format"].format(**event) for event in log] == [
        "The work failed; it is tried again."
    ]
    work.broken = False
    clock.pump([1.0] * 3)
    assert (work.done, loop.running, len(log)) == (3, True, 1)
    work.broken = True
    clock.pump([1.0] * 3)
    assert len(log) == 2
