"""What belongs to the process: threads that start after the fork."""

import pytest
from twisted.internet.defer import Deferred

from mtnet.clock import WallClock
from mtnet.daemon.process.machine import Machine
from mtnet.errors import JournalError, NotAskedError, StartError


class Reactor:
    """Calls from threads at once."""

    def callFromThread(self, function, *args):
        function(*args)


@pytest.fixture
def machine(tmp_path):
    machine = Machine(str(tmp_path), WallClock(lambda: 0, lambda: 0.0), Reactor())
    yield machine
    machine.release()


def finished(worker):
    done: Deferred = worker(lambda: "done")
    worker.stop()
    return done.result


def test_a_worker_starts_with_the_daemon(machine):
    worker = machine.make_worker("before")
    machine.start_workers()
    assert finished(worker) == "done"


def test_a_worker_that_is_made_while_the_daemon_runs_starts_at_once(machine):
    machine.start_workers()
    assert finished(machine.make_worker("later")) == "done"


@pytest.mark.parametrize(
    ("error", "room", "sentence"),
    [
        (NotAskedError("Locked."), True, "Locked."),
        (JournalError("Damaged."), True, "Damaged. Restore it from a backup"),
        (JournalError("Damaged."), False, "Damaged. Make room on the disk"),
    ],
)
def test_a_file_that_cannot_be_opened_is_a_reason_not_to_start(
    machine, monkeypatch, error, room, sentence
):
    monkeypatch.setattr("mtnet.daemon.datadir.has_free_space", lambda _: room)
    with pytest.raises(StartError, match=sentence), machine.folder.opening():
        raise error
