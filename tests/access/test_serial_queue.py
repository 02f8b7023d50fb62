"""The bounded serial queue in front of the password hashes."""

import pytest
from twisted.internet.defer import Deferred

from mtnet.access.accounts.authenticator import SerialQueue
from mtnet.errors import WireError


class Jobs:
    """Work that ends when the test says so."""

    def __init__(self, queue):
        self.queue, self.begun, self.done, self._ends = queue, [], [], {}

    def add(self, name):
        async def work():
            self.begun.append(name)
            end = self._ends[name] = Deferred()
            await end
            return name

        joined = self.queue.add(work)
        joined.addCallbacks(self.done.append, lambda failure: None)
        return joined

    def end(self, name, result=None):
        end = self._ends[name]
        end.errback(result) if isinstance(result, Exception) else end.callback(result)


@pytest.fixture
def jobs():
    return Jobs(SerialQueue(3))


def test_one_piece_of_work_is_done_at_a_time(jobs):
    jobs.add("a")
    jobs.add("b")
    assert jobs.begun == ["a"]
    jobs.end("a")
    assert (jobs.begun, jobs.done) == (["a", "b"], ["a"])


def test_a_full_queue_refuses_work(jobs):
    for name in ("a", "b", "c", "d"):
        jobs.add(name)
    with pytest.raises(WireError, match="Too many logins") as raised:
        jobs.add("e")
    assert raised.value.code == "server"
    assert (jobs.queue.refused, len(jobs.queue)) == (1, 3)


def test_cancelled_work_is_skipped(jobs):
    jobs.add("a")
    jobs.add("gone").cancel()
    jobs.add("b")
    jobs.end("a")
    assert jobs.begun == ["a", "b"]


def test_work_that_is_cancelled_while_it_runs_is_followed_by_the_next(jobs):
    jobs.add("a").cancel()
    jobs.add("b")
    assert jobs.begun == ["a"]
    jobs.end("a")
    assert (jobs.begun, jobs.done) == (["a", "b"], [])


def test_a_failure_does_not_affect_other_work(jobs):
    jobs.add("a")
    jobs.add("b")
    jobs.end("a", ValueError())
    jobs.end("b")
    assert jobs.done == ["b"]
