"""`mtnet demo` from its first line to its last, with a daemon and people that are stand-ins."""

import io
from argparse import Namespace
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mtnet.cli.demo import show
from mtnet.errors import ClientError


class Reactor(Clock):
    """A clock that keeps what is to be called at the shutdown."""

    def __init__(self):
        super().__init__()
        self.triggers = []

    def addSystemEventTrigger(self, phase, event, call):
        assert (phase, event) == ("before", "shutdown")
        self.triggers.append(call)


class Pipe(io.StringIO):
    """A file whose reader leaves once it has read `until`."""

    until = "nothing that is ever printed"

    def write(self, text):
        if self.until in self.getvalue():
            raise BrokenPipeError
        return super().write(text)


class Daemon:
    """Stands in for the daemon of the demonstration."""

    def __init__(self, reactor, data):
        self.service, self.stopped = self, 0

    def table(self):
        return "signals tcp:8081\nTry: nc localhost 8081"

    def stopService(self):
        self.stopped += 1
        return succeed(None)


class Scenario:
    """Stands in for the people; `start_error` = they cannot begin."""

    start_error: Exception | None = None

    def __init__(self, reactor, daemon, console, market, speed, seed):
        self.daemon, self.speed, self.failed = daemon, speed, Deferred()
        self.steps = []
        World.scenario = self

    async def start(self):
        self.steps.append("start")
        if self.start_error is not None:
            raise self.start_error

    async def stop(self):
        self.steps.append("stop")


class World:
    """A demonstration that runs on a clock."""

    scenario: Scenario

    def __init__(self, monkeypatch, file=None, **arguments):
        self.out, self.reactor = file or Pipe(), Reactor()
        monkeypatch.setattr("sys.stdout", self.out)
        monkeypatch.setattr(show, "DemoDaemon", Daemon)
        monkeypatch.setattr(show, "Scenario", Scenario)
        for name, text in (("commands_to_try", "mtnet signals follow"), ("summary", "3 signals")):
            monkeypatch.setattr(show.summary, name, lambda *_, text=text: [text])
        monkeypatch.setattr(show.summary, "page_to_open", lambda daemon: ["http://localhost:8083"])
        monkeypatch.setattr(show.summary, "next_commands", lambda data, kept, symbol: [str(kept)])
        given = Namespace(
            **{"seconds": 20.0, "speed": 2.0, "stay": False, "data": None, **arguments}
        )
        shown = show._market(None, 1.0)
        self.show, self.ended = show.Demonstration(self.reactor, given, Path("/data"), shown), []

    def run(self):
        Deferred.fromCoroutine(self.show.run()).addBoth(self.ended.append)
        return self

    @property
    def text(self):
        return self.out.getvalue()


def test_it_shows_what_to_try_first_and_a_summary_after_its_seconds(monkeypatch):
    world = World(monkeypatch).run()
    assert world.ended == []
    assert "signals tcp:8081" in world.text
    assert "Try: nc" not in world.text, "the console has commands of its own"
    assert world.text.index("mtnet signals follow") < world.text.index("http://localhost:8083")
    assert "Ctrl-C ends it." in world.text
    world.reactor.advance(20)
    assert world.ended == [None]
    assert world.text.index("Summary of 20.0 s") < world.text.index("3 signals")
    assert (world.scenario.steps, world.scenario.daemon.stopped) == (["start", "stop"], 1)
    assert world.scenario.speed == 2.0


@pytest.mark.parametrize(("data", "kept"), [(None, "False"), (Path("/data"), "True")])
def test_the_next_commands_know_whether_the_data_stay(monkeypatch, data, kept):
    world = World(monkeypatch, data=data).run()
    world.reactor.advance(20)
    assert world.text.rstrip().endswith(kept)


def test_with_stay_it_goes_on_until_ctrl_c_which_waits_for_its_end(monkeypatch):
    world, closed = World(monkeypatch, stay=True).run(), []
    world.reactor.advance(3_600)
    assert world.ended == []
    (interrupt,) = world.reactor.triggers
    interrupt().addCallback(closed.append)
    assert (world.ended, closed) == ([None], [None])
    assert "Summary of 3600.0 s" in world.text


def test_ctrl_c_just_before_the_end_ends_it_once(monkeypatch):
    world = World(monkeypatch).run()
    world.reactor.triggers[0]()
    world.reactor.advance(30)
    assert world.ended == [None]
    assert world.scenario.daemon.stopped == 1


def test_people_who_fail_end_it_with_their_reason_and_without_a_summary(monkeypatch):
    world = World(monkeypatch).run()
    world.scenario.failed.errback(Failure(ClientError("The copier cannot trade.")))
    (failure,) = world.ended
    assert failure.getErrorMessage() == "The copier cannot trade."
    assert "Summary" not in world.text
    assert (world.scenario.steps, world.scenario.daemon.stopped) == (["start", "stop"], 1)


def test_people_who_fail_behind_the_end_change_nothing(monkeypatch):
    world = World(monkeypatch).run()
    world.reactor.advance(20)
    world.scenario.failed.errback(Failure(ClientError("Too late.")))
    assert world.ended == [None]


def test_a_start_that_fails_still_stops_the_daemon(monkeypatch):
    monkeypatch.setattr(Scenario, "start_error", ClientError("The port is taken."))
    world = World(monkeypatch).run()
    (failure,) = world.ended
    assert failure.getErrorMessage() == "The port is taken."
    assert (world.scenario.steps, world.scenario.daemon.stopped) == (["start", "stop"], 1)


def test_a_reader_who_leaves_ends_it(monkeypatch):
    file = Pipe()
    file.until = "Open the page"
    world = World(monkeypatch, file).run()
    (failure,) = world.ended
    assert failure.check(BrokenPipeError)
    assert world.scenario.daemon.stopped == 1


@pytest.mark.parametrize("kept", [True, False])
def test_the_folder_goes_with_the_demonstration_unless_it_was_named(monkeypatch, tmp_path, kept):
    folders = []

    async def run(self):
        folders.append(self._data)
        self._data.mkdir(exist_ok=True)

    def react(main):
        main(Reactor())
        raise SystemExit(0)

    monkeypatch.setattr(show, "react", react)
    monkeypatch.setattr(show, "log_warnings", lambda errors_alone: None)
    monkeypatch.setattr(show.Demonstration, "run", run)
    data = tmp_path / "demo" if kept else None
    show.demo(Namespace(ticks=None, speed=1.0, data=data, stay=False, seconds=1.0))
    assert folders[0].exists() is kept
    assert folders[0].is_absolute()


def test_what_ended_the_demonstration_is_raised(monkeypatch):
    async def run(self):
        raise ClientError("The daemon cannot start.")

    def react(main):
        main(Reactor())
        raise SystemExit(1)

    monkeypatch.setattr(show, "react", react)
    monkeypatch.setattr(show, "log_warnings", lambda errors_alone: None)
    monkeypatch.setattr(show.Demonstration, "run", run)
    with pytest.raises(ClientError, match="cannot start"):
        show.demo(Namespace(ticks=None, speed=1.0, data=None, stay=False, seconds=1.0))
