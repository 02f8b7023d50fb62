"""A thread for blocking work."""

import os
import sys
import threading
import weakref

import pytest
from twisted.internet.defer import Deferred

from mtnet.storage.worker import SerialWorker


class Harness:
    """A reactor that calls when the test looks."""

    def __init__(self):
        self.calls = []

    def callFromThread(self, call, *arguments):
        self.calls.append((call, arguments))

    def look(self):
        while self.calls:
            call, arguments = self.calls.pop(0)
            call(*arguments)


@pytest.fixture
def harness():
    return Harness()


@pytest.fixture
def worker(harness):
    return SerialWorker(harness, "test-worker")


def got(done):
    said = []
    done.addBoth(said.append)
    return said


def test_work_is_done_in_order_in_one_thread_that_is_not_the_reactors(harness, worker):
    worker.start()
    names = [got(worker(lambda: threading.current_thread().name)) for _ in range(3)]
    numbers = [got(worker(int, str(number))) for number in range(100)]
    worker.stop()
    assert names[0] == []
    assert len(harness.calls) == 103
    harness.look()
    assert names == [["test-worker"]] * 3
    assert numbers == [[number] for number in range(100)]


def test_what_is_raised_is_a_failure_and_the_next_call_is_done(harness, worker):
    worker.start()
    failed, done = got(worker(int, "no number")), got(worker(int, "1"))
    worker.stop()
    harness.look()
    assert failed[0].check(ValueError)
    assert done == [1]


def test_what_is_asked_for_before_the_start_waits_for_it(harness, worker):
    done = worker(int, "1")
    assert isinstance(done, Deferred)
    assert not done.called
    worker.start()
    worker.stop()
    harness.look()
    assert got(done) == [1]


def test_a_thread_that_waits_keeps_nothing_of_its_last_call(harness, worker):
    class Large:
        """Something of many megabytes."""

    large, gone = Large(), threading.Event()
    weakref.finalize(large, gone.set)
    worker.start()
    worker(repr, large)
    del large
    assert gone.wait(5.0), "the thread waits for its next call, and keeps the last one"
    worker.stop()


def test_the_stop_waits_until_all_is_done(harness, worker):
    going, done = threading.Event(), []
    worker(going.wait, 10)
    worker(done.append, 1)
    worker.start()
    threading.Timer(0.05, going.set).start()
    worker.stop()
    assert done == [1]


@pytest.mark.skipif(sys.platform != "linux", reason="Only Linux has threads that stand back.")
def test_a_thread_stands_back_as_far_as_it_is_told_and_no_other_does(harness):
    worker = SerialWorker(harness, "test-worker", nice=3)
    worker.start()
    done, before = got(worker(os.getpriority, os.PRIO_PROCESS, 0)), os.getpriority(0, 0)
    worker.stop()
    harness.look()
    assert done == [before + 3]
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_what_can_wait_is_done_when_nothing_else_waits_and_in_its_order(harness, worker):
    done = []
    for number in range(3):
        worker.later(done.append, f"later {number}")
    worker(done.append, "now")
    worker(done.append, "next")
    worker.start()
    worker.stop()
    assert done == ["now", "next", "later 0", "later 1", "later 2"]


def test_a_call_that_hangs_is_told_and_does_not_hold_up_the_stop(harness, worker, monkeypatch):
    hangs, goes_on = threading.Event(), threading.Event()

    def hang():
        hangs.set()
        goes_on.wait(30)

    worker.start()
    assert worker.trouble() is None
    worker(hang)
    hangs.wait(10)
    monkeypatch.setattr("mtnet.storage.worker.HUNG_AFTER", 0.0)
    assert "The disk has not answered for 0 s (test-worker)" in worker.trouble()
    thread = worker._thread
    assert thread.daemon, "it does not keep the process alive"
    worker.stop()
    assert not goes_on.is_set(), "it still hangs"
    goes_on.set()
    thread.join(10)
    assert worker.trouble() is None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_has_stopped_by_itself_is_told(worker):
    class Gone:
        def callFromThread(self, *call):
            raise SystemExit

    worker._reactor = Gone()
    worker.start()
    worker(int, "1")
    worker._thread.join(10)
    assert worker.trouble() == "The thread test-worker has stopped; restart the daemon"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="There are no daemons.")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_thread_that_begins_behind_a_fork_is_known_to_run(worker):
    child = os.fork()
    if not child:
        worker.start()
        os._exit(worker.trouble() is not None)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
