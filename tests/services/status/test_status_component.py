"""Status as a component: what it offers, and the control command `events`."""

import pytest
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mtnet.errors import WireError
from mtnet.interfaces import IBackup, IControlCommands, IEvents, IService, IStatus
from mtnet.services.status.commands import MAX_EVENTS, MAX_WAIT
from mtnet.testing import make_environment


@pytest.fixture
def env(tmp_path, clock):
    return make_environment(tmp_path / "data", clock)


@pytest.fixture
def component(env):
    return env.components.services["status"]


@pytest.fixture
def ask(env):
    """Return the answer to the command `events`; None = it waits."""

    def answer(**asked):
        found = env.components.commands()["events"](asked)
        return found if isinstance(found, dict) else getattr(found, "result", None)

    return answer


def record(env, *kinds, level="info"):
    for kind in kinds:
        env.find(IEvents).record(kind, f"It is {kind}.", level)


def kinds(answer):
    return [event["kind"] for event in answer["events"]]


@pytest.mark.parametrize("interface", [IService, IStatus, IBackup, IEvents, IControlCommands])
def test_the_component_keeps_its_interfaces(component, interface):
    assert verifyObject(interface, interface(component))


def test_start_and_stop_are_events_and_there_after_a_restart(env, component, tmp_path, clock):
    component.start()
    assert component.stop().called
    again = make_environment(tmp_path / "data", clock)
    again.components.services["status"].start()
    found = [event["kind"] for event in again.find(IEvents).after(0, 10)]
    assert found == ["daemon_started", "daemon_stopped", "daemon_started"]


def test_a_daemon_that_was_killed_is_an_event_of_the_next(env, component, tmp_path, clock):
    component.start()
    again = make_environment(tmp_path / "data", clock)
    again.components.services["status"].start()
    found = [event["kind"] for event in again.find(IEvents).after(0, 10)]
    assert found == ["daemon_started", "daemon_killed", "daemon_started"]


def test_a_disk_that_takes_no_events_is_a_warning_and_not_red(component, monkeypatch):
    monkeypatch.setattr(IEvents(component), "_trouble", "The disk is full.")
    health = IStatus(component).health()
    assert health["healthy"]
    assert health["warning"] == "Events are not stored: The disk is full."


def test_a_backup_takes_the_events_along(env, component, tmp_path, clock):
    component.start()
    (tmp_path / "backup").mkdir()
    IBackup(component).backup(tmp_path / "backup")
    copy = make_environment(tmp_path / "backup", clock)
    assert kinds({"events": copy.find(IEvents).after(0, 10)}) == ["daemon_started"]


def test_a_backup_of_no_events_is_none(component, tmp_path):
    IBackup(component).backup(tmp_path)
    assert not (tmp_path / "events.sqlite").exists()


def test_the_newest_events_are_answered_and_the_number_to_go_on_with(env, ask):
    record(env, "one", "two", "three")
    assert kinds(ask(limit=2)) == ["two", "three"]
    assert ask()["last"] == 3


def test_a_long_answer_ends_where_the_next_begins(env, ask):
    record(env, "one", "two", "three")
    first = ask(after=0, limit=2)
    assert (kinds(first), first["last"]) == (["one", "two"], 2)
    assert kinds(ask(after=first["last"], limit=2)) == ["three"]


def test_what_was_left_out_by_its_kind_is_not_asked_for_again(env, ask):
    record(env, "one", "two")
    assert ask(after=0, kinds=["nothing"]) == {"events": [], "last": 2}


def test_one_who_waits_is_answered_by_the_first_event_that_is_asked_for(env):
    wait = {"after": 0, "seconds": 30, "level": "warning"}
    waiting = env.components.commands()["events"](wait)
    record(env, "one")
    assert not waiting.called
    record(env, "two", level="error")
    assert kinds(waiting.result) == ["two"]


def test_one_who_waits_is_answered_when_nothing_comes(env, clock):
    waiting = env.components.commands()["events"]({"after": 0, "seconds": 1e6})
    assert isinstance(waiting, Deferred)
    clock.advance(MAX_WAIT)
    assert waiting.result == {"events": [], "last": 0}
    record(env, "one")  # nobody waits for it any more


def test_more_than_the_limit_is_never_answered(env, ask):
    record(env, *["one"] * (MAX_EVENTS + 1))
    assert len(ask(after=0, limit=10**9)["events"]) == MAX_EVENTS


@pytest.mark.parametrize("asked", [{"after": "x"}, {"level": "loud"}, {"kinds": "one"}])
def test_an_argument_that_is_none_is_refused(ask, asked):
    with pytest.raises(WireError, match="Invalid argument"):
        ask(**asked)
