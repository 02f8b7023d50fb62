"""What no call reports: a disk that does not answer, a data folder that went away."""

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from mtnet.daemon.datadir import DataFolder
from mtnet.daemon.process.watchdog import Watchdog, with_timeout


class SerialWorker:
    def __init__(self):
        self.said = None

    def __call__(self, function, *arguments):
        return maybeDeferred(function, *arguments)

    def trouble(self):
        return self.said


class Scene:
    def __init__(self):
        self.signals, self.disk, self.folder = SerialWorker(), SerialWorker(), None
        workers = {"signals": {"": self.signals}, "templates": {"": self.disk}}
        self.watch = Watchdog(workers, self.disk, lambda: self.folder)


@pytest.fixture
def scene():
    return Scene()


def said(log):
    return [event["log_format"].format(**event) for event in log]


def test_a_disk_that_hangs_is_told_of_its_service_alone_and_logged_once(scene, log):
    scene.signals.said = "The disk has not answered for 6 s (mtnet-signals)"
    for _ in range(3):
        scene.watch.check()
    well = {"healthy": True, "trouble": None, "waiting": 1}
    assert scene.watch.report("templates", well) == well
    assert scene.watch.report("signals", well) == {
        "healthy": False,
        "trouble": "The disk has not answered for 6 s (mtnet-signals)",
        "waiting": 1,
    }
    scene.signals.said = None
    scene.watch.check()
    assert scene.watch.report("signals", well) == well
    assert said(log) == [
        "signals: The disk has not answered for 6 s (mtnet-signals).",
        "signals: the disk answers again.",
    ]


def test_a_folder_that_went_away_is_told_of_every_service_and_logged_once(scene, log):
    scene.folder = "The data folder was removed"
    scene.watch.check()
    assert scene.watch.trouble("signals") == scene.watch.trouble("templates") == scene.folder
    scene.folder = None
    scene.watch.check()
    assert scene.watch.trouble("signals") is None
    assert said(log) == ["The data folder was removed.", "The data folder can be used again."]


def test_a_look_at_the_folder_that_hangs_is_not_asked_for_again(scene, monkeypatch):
    asked = []
    monkeypatch.setattr(SerialWorker, "__call__", lambda *_: asked.append(1) or Deferred())
    for _ in range(3):
        scene.watch.check()
    assert asked == [1]


def test_the_data_folder_knows_its_place(tmp_path):
    folder = DataFolder(str(tmp_path / "data"))
    assert folder.replaced() is None
    (tmp_path / "data").rename(tmp_path / "moved")
    assert "removed, moved or replaced" in folder.replaced()
    other = DataFolder(str(tmp_path / "data"))
    assert "removed, moved or replaced" in folder.replaced()
    assert other.replaced() is None
    other.release()
    folder.release()


def test_work_that_ends_in_time_is_awaited_and_what_hangs_is_not():
    clock, work = Clock(), Deferred()
    first = with_timeout(work, 10, clock)
    clock.advance(9)
    assert not first.called
    work.callback(None)
    assert first.called
    assert clock.getDelayedCalls() == []
    failed = []
    hung = Deferred()
    with_timeout(hung, 10, clock).addErrback(failed.append)
    clock.advance(10)
    assert failed[0].check(TimeoutError)
    hung.errback(ZeroDivisionError())  # nobody is left whom it would concern
