"""Who may set what, while the disk fails, a channel is damaged, or the daemon stops in between."""

import sqlite3
from contextlib import closing

import pytest
from signals_peers import told
from test_pauses import Harness, codes, start, state
from twisted.internet.defer import Deferred

from mtnet.errors import JournalError, WireError
from mtnet.services.signals.history.epochs import Epochs
from mtnet.services.signals.ownership.ownership import Ownership
from mtnet.services.signals.ownership.pauses import Pauses
from mtnet.services.signals.status.report import Status
from mtnet.session import messages


@pytest.fixture
def serve(tmp_path, clock):
    return lambda *sets, **more: Harness(tmp_path / "data", clock, *sets, **more)


@pytest.fixture
def server(serve):
    return serve()


def fail_to_keep(monkeypatch):
    def full(path, data):
        raise JournalError("The disk is full.")

    monkeypatch.setattr("mtnet.services.signals.ownership.policy_store.replace_file", full)


# A commit that is judged a second time


def damage(server, channel, symbol="GBPUSD"):
    """Let a position of a channel be no more what was written."""
    server.journal.close()
    server.journal.load()
    with closing(sqlite3.connect(server.journal.path)) as connection:
        change = "UPDATE position SET body = x'00' WHERE (channel, symbol) = (?, ?)"
        connection.execute(change, (channel, symbol))
        connection.commit()


def test_a_damaged_channel_costs_nobody_else_of_its_commit_an_answer(serve):
    server = serve("signals.max_positions=2")
    server.publish(server.greet(), "gold", channel="gold")
    first, second, other = server.greet(), server.greet(), server.greet()
    server.publish(first, "a", "2")
    damage(server, "gold")
    told(first)
    server.disk.held = True
    server.publish(first, "held", "2", symbol="X")
    server.publish(first, "less", "1")
    server.publish(second, "more", "2")
    server.publish(other, "gold2", channel="gold")
    server.disk.work()
    assert codes(first) == ["held", "less", "fenced"]
    assert codes(second) == ["more"]
    assert codes(other) == ["server"]
    assert state(server) == {"GBPUSD": "2", "X": "2"}


def test_positions_of_such_a_commit_are_counted_once(serve):
    server = serve("signals.max_positions=2")
    server.publish(server.greet(), "gold", channel="gold")
    publisher, other = server.greet(), server.greet()
    damage(server, "gold")
    server.disk.held = True
    server.publish(publisher, "warm", "0", symbol="W")
    server.publish(publisher, "a", symbol="A")
    server.publish(publisher, "b", symbol="B")
    server.publish(other, "gold2", channel="gold")
    server.disk.work()
    assert codes(publisher) == ["warm", "a", "b"]


# A commit that failed and is stored nevertheless


def land(server):
    server.disk.held = True
    server.publish(server.greet(), "warm", "0", symbol="W", take="0")
    server.journal.fault = None


def settle(server):
    server.disk.step()
    server.journal.fault = "landed"
    server.disk.step()
    server.journal.fault = None
    server.disk.held = False
    server.disk.work()
    server.clock.advance(5)


def test_a_frame_that_such_a_commit_refused_takes_no_symbol_and_is_heard_again(server):
    older, newer = server.dial(), server.dial()
    older.send(b"<<GBPUSD|2>>")
    server.ask("pause")
    land(server)
    newer.send(b"<<GBPUSD|3>>")
    server.publish(server.greet(), "z", "0", symbol="Z", take="0")
    settle(server)
    older.send(b"<<GBPUSD|1>>")
    assert state(server) == {"GBPUSD": "1"}
    server.ask("resume")
    assert newer.closed


def test_what_such_a_commit_closed_and_refused_is_answered_as_in_any_other(server):
    publisher = start(server)
    server.ask("pause")
    land(server)
    server.publish(publisher, "a", "-1")
    server.publish(publisher, "b", "1", symbol="X")
    settle(server)
    assert codes(publisher)[1:3] == ["denied+", "denied"]
    assert state(server) == {}


def test_a_flattening_in_such_a_commit_says_how_much_it_closed(server):
    publisher = start(server)
    server.publish(publisher, "x", symbol="X")
    server.journal.fault = "landed"
    assert server.ask("flatten") == 2


# Reductions that a freeze refused


def test_a_reduction_that_was_owed_is_stored_once_and_not_after_a_restart_again(serve):
    server = serve()
    publisher = start(server)
    server.ask("freeze")
    server.publish(publisher, "a", "1")
    server.disk.held = True
    server.publish(publisher, "b", "1", symbol="X")
    server.ask("resume")
    server.disk.held = False
    assert state(server)["GBPUSD"] == "1"
    server.publish(publisher, "c", "1.8")
    again = serve()
    again.start()
    assert state(again)["GBPUSD"] == "1.8"


def test_a_reduction_that_was_owed_outlives_a_disk_that_takes_no_signal(serve):
    server = serve()
    publisher = start(server)
    server.ask("freeze")
    server.publish(publisher, "a", "1")
    server.journal.fault = "lost"
    server.ask("resume")
    again = serve()
    again.start()
    assert state(again) == {"GBPUSD": "1"}


def test_a_reduction_that_was_owed_outlives_a_stop_before_its_commit(serve):
    server = serve()
    publisher = start(server)
    server.ask("freeze")
    server.publish(publisher, "a", "1")
    server.disk.held = True
    server.publish(publisher, "b", "1", symbol="X")
    Pauses(server.signals).pause("main", None)
    while len(server.disk.calls) > 1:
        server.disk.step()
    again = serve()
    again.start()
    assert again.signals.rules.pause_mode("main") is None
    assert state(again)["GBPUSD"] == "1"


def test_a_channel_frozen_again_takes_no_owed_reduction_before_its_end(server):
    publisher = start(server)
    server.ask("freeze")
    server.publish(publisher, "a", "1")
    server.journal.fault = "lost"
    server.ask("resume")
    server.ask("freeze")
    server.journal.fault = None
    server.clock.advance(5)
    assert state(server) == {"GBPUSD": "2"}
    server.ask("pause")
    assert state(server) == {"GBPUSD": "1"}
    assert len(server.entries()) == 2


def test_a_later_signal_that_a_failing_disk_delayed_takes_the_place_of_one_that_is_owed(server):
    master = server.dial()
    master.send(b"<<GBPUSD|2>>")
    server.ask("freeze")
    master.send(b"<<GBPUSD|1>>")
    server.journal.fault = "lost"
    master.send(b"<<GBPUSD|3>>")
    server.ask("resume")
    server.journal.fault = None
    server.clock.advance(5)
    assert f"{server.entries()[-1].volume:f}" == "3"


def test_a_reduction_that_was_owed_is_judged_when_its_damaged_channel_is_accepted(server):
    publisher = start(server, symbol="A")
    server.publish(publisher, "b", "2", symbol="B")
    server.ask("freeze")
    server.publish(publisher, "c", "1", symbol="A")
    damage(server, "main", "B")
    server.disk.held = True
    server.publish(publisher, "d", "1", symbol="B")
    server.ask("resume")
    server.disk.held = False
    accepted = Deferred.fromCoroutine(Epochs(server.signals).accept("main"))
    assert accepted.called
    assert state(server)["A"] == "1"


def test_a_reduction_that_is_owed_never_opens_the_other_side(serve):
    server = serve()
    publisher = start(server)
    server.ask("freeze")
    server.publish(publisher, "a", "1")
    kept = server.journal.path.with_suffix(".policy").read_bytes()
    server.ask("resume")
    server.publish(publisher, "b", "-2")
    server.journal.path.with_suffix(".policy").write_bytes(kept.replace(b'"main":"frozen"', b""))
    again = serve()
    again.start()
    assert state(again) == {"GBPUSD": "-2"}


# What is kept beside the journal


def test_a_pause_that_the_disk_does_not_keep_is_told_by_health_and_kept_when_it_can(
    serve, monkeypatch
):
    server = serve()
    with monkeypatch.context() as broken:
        fail_to_keep(broken)
        assert server.ask("freeze").check(JournalError)
        server.upkeep.look()
        assert Status(server.signals).health()["trouble"] == "The disk is full."
    server.upkeep.look()
    assert Status(server.signals).health()["healthy"]
    assert serve().signals.rules.pause_mode("main") == "frozen"


def test_a_fence_that_the_disk_does_not_keep_is_kept_when_it_can(serve, monkeypatch):
    server = serve()
    old, new = server.greet(), server.dial()
    new.send(messages.hello(name="new"))
    server.publish(old, "a")
    with monkeypatch.context() as broken:
        fail_to_keep(broken)
        server.publish(new, "b", take="1")
    assert Status(server.signals).health()["trouble"] == "The disk is full."
    server.upkeep.look()
    again = serve()
    back = again.greet()
    again.publish(back, "c", take="free")
    assert codes(back) == ["fenced"]


# The order of what is told


def test_flattened_is_told_behind_its_closings(server):
    follower = server.subscribe()
    publisher = start(server)
    told(follower)
    server.disk.held = True
    assert server.ask("flatten") == 1
    assert [each.split("|")[0] for each in told(follower)] == ["PAUSED", "SIGNAL", "FLATTENED"]
    assert told(publisher)[-1] == "FLATTENED|channel=main"


def test_flattened_is_not_told_of_a_channel_that_could_not_be_closed(server):
    follower = server.subscribe()
    publisher = start(server)
    damage(server, "main")
    told(follower), told(publisher)
    assert server.ask("flatten").check(WireError)
    assert "FLATTENED|channel=main" not in told(follower) + told(publisher)


def test_flattened_is_told_though_the_disk_does_not_keep_the_pause(server, monkeypatch):
    publisher = start(server)
    fail_to_keep(monkeypatch)
    assert server.ask("flatten").check(JournalError)
    assert told(publisher)[-1] == "FLATTENED|channel=main"


# Channels


def test_a_refused_signal_makes_no_channel(serve):
    server = serve("signals.channels.gold.max_volume=1")
    publisher = server.greet()
    server.signals.rules.store.pause("oil", "close_only")
    server.publish(publisher, "a", "1", channel="oil")
    assert "denied" in codes(publisher)[-1]
    assert "oil" not in Status(server.signals).status()["channels"]


# What is remembered


def test_very_many_refused_frames_are_not_kept_and_their_publisher_is_closed_all_the_same(
    server, monkeypatch
):
    monkeypatch.setattr("mtnet.services.signals.ownership.ownership.REFUSED", 2)
    master = server.dial()
    server.ask("pause")
    master.send(b"<<A|1>><<B|1>><<C|1>><<A|2>>")
    server.ask("resume")
    assert state(server) == {"A": "2", "B": "1"}
    assert master.closed


def test_one_signal_costs_the_same_however_many_frames_were_refused(server, monkeypatch):
    looked, look = [], Ownership._reason_holds
    monkeypatch.setattr(Ownership, "_reason_holds", lambda *args: looked.append(1) or look(*args))
    publisher, master = start(server), server.dial()
    for number in range(50):
        master.send(b"<<S%d|1>>" % number)
    looked.clear()
    server.publish(publisher, "a", "1")
    assert looked == []
    publisher.send(messages.bye())
    assert master.closed
