"""One thing after the other."""

import pytest
from twisted.internet.defer import Deferred

from mtnet.access.accounts.serial_queue import SerialQueue
from mtnet.errors import WireError


class Jobs:
    """Work that ends when the test says so."""

    def __init__(self, line):
        self.line, self.begun, self.done, self._ends = line, [], [], {}

    def join(self, name):
        async def work():
            self.begun.append(name)
            end = self._ends[name] = Deferred()
            await end
            return name

        joined = self.line.join(work)
        joined.addCallbacks(self.done.append, lambda failure: None)
        return joined

    def end(self, name, result=None):
        end = self._ends[name]
        end.errback(result) if isinstance(result, Exception) else end.callback(result)


@pytest.fixture
def jobs():
    return Jobs(SerialQueue(3))


def test_one_piece_of_work_is_done_at_a_time(jobs):
    jobs.join("a")
    jobs.join("b")
    assert jobs.begun == ["a"]
    jobs.end("a")
    assert (jobs.begun, jobs.done) == (["a", "b"], ["a"])


def test_too_many_are_refused(jobs):
    for name in ("a", "b", "c", "d"):
        jobs.join(name)
    with pytest.raises(WireError, match="Too many logins") as raised:
        jobs.join("e")
    assert raised.value.code == "server"
    assert (jobs.line.refused, len(jobs.line)) == (1, 3)


def test_who_is_gone_is_not_waited_for(jobs):
    jobs.join("a")
    jobs.join("gone").cancel()
    jobs.join("b")
    jobs.end("a")
    assert jobs.begun == ["a", "b"]


def test_who_goes_in_the_middle_leaves_the_line_to_the_next(jobs):
    jobs.join("a").cancel()
    jobs.join("b")
    assert jobs.begun == ["a"]
    jobs.end("a")
    assert (jobs.begun, jobs.done) == (["a", "b"], [])


def test_a_failure_is_its_own(jobs):
    jobs.join("a")
    jobs.join("b")
    jobs.end("a", ValueError())
    jobs.end("b")
    assert jobs.done == ["b"]
