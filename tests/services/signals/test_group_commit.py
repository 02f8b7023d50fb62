"""What becomes of positions when the disk fails, in the middle of anything."""

from decimal import Decimal

import pytest
from signals_peers import Server, frame, gone, told
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel
from twisted.python.failure import Failure

from mtnet.errors import PrunedError
from mtnet.services.signals.status.report import Status
from mtnet.services.signals.views import changes
from mtnet.services.signals.views.settings import ViewSettings


@pytest.fixture
def server(tmp_path, clock):
    return Server(tmp_path / "data", clock)


@pytest.fixture
def serve(tmp_path, clock):
    return lambda *sets: Server(tmp_path / "data", clock, *sets)


def volumes(server, channel="main"):
    return [(entry.seq, entry.symbol, str(entry.volume)) for entry in server.entries(channel)]


def heal(server):
    server.journal.fault = None
    server.clock.advance(1)
    server.disk.work()


def serving(terminal):
    return [each for each in told(terminal) if not each.startswith("PING")]


def test_a_publish_that_the_disk_refuses_is_answered_and_certainly_not_stored(server, clock):
    publisher, follower = server.greet(), server.subscribe()
    told(follower)
    server.journal.fault = "lost"
    server.publish(publisher, "a")
    assert told(publisher) == ["ERROR|code=server|id=a|channel=main"]
    assert Status(server.signals).health()["healthy"] is False
    heal(server)
    clock.advance(1)
    assert volumes(server) == []
    assert told(follower) == []
    server.publish(publisher, "a")
    assert told(publisher) == ["STORED|id=a|seq=1"]
    assert Status(server.signals).health()["healthy"] is True
    assert not gone(publisher)


def test_what_arrives_while_the_disk_refuses_waits_for_the_next_attempt(server, clock):
    publisher = server.greet()
    server.journal.fault = "lost"
    server.publish(publisher, "a")
    server.publish(publisher, "b")
    server.journal.fault = None
    assert told(publisher) == ["ERROR|code=server|id=a|channel=main"]
    clock.advance(1)
    assert told(publisher) == ["STORED|id=b|seq=1"]


def test_a_commit_that_failed_and_is_stored_nevertheless_is_answered_and_told_once(server, clock):
    publisher, follower = server.greet(), server.subscribe()
    told(follower)
    server.journal.fault = "landed"
    server.publish(publisher, "a")
    assert told(publisher) == ["STORED|id=a|seq=1"]
    assert told(follower) == [
        "SIGNAL|channel=main|seq=1|symbol=GBPUSD|volume=1",
        "STATUS|channel=main|publisher=up",
    ]
    heal(server)
    server.publish(publisher, "b")
    assert told(follower) == ["SIGNAL|channel=main|seq=2|symbol=GBPUSD|volume=1"]


def test_nobody_is_answered_before_it_is_known_what_came_of_a_commit(server, clock):
    publisher, follower = server.greet(), server.subscribe()
    told(follower)
    server.journal.fault, server.journal.landed = "dead", True
    server.publish(publisher, "a")
    server.publish(publisher, "b")
    clock.pump([1.0] * 4)
    assert serving(publisher) == serving(follower) == []
    assert Status(server.signals).health()["trouble"] == "The disk is dead."
    heal(server)
    assert serving(publisher) == ["STORED|id=a|seq=1", "STORED|id=b|seq=2"]
    assert [each for each in told(follower) if "SIGNAL" in each] == [
        f"SIGNAL|channel=main|seq={seq}|symbol=GBPUSD|volume=1" for seq in (1, 2)
    ]


def test_a_commit_of_which_nothing_was_known_may_turn_out_to_be_lost(server, clock):
    publisher = server.greet()
    server.journal.fault = "dead"
    server.publish(publisher, "a")
    clock.pump([1.0] * 3)
    heal(server)
    assert serving(publisher) == ["ERROR|code=server|id=a|channel=main"]
    assert volumes(server) == []


def test_each_publisher_of_a_failed_commit_is_answered_for_itself(server, clock):
    known, publisher = server.greet(), server.greet()
    server.publish(known, "old", symbol="X")
    told(known)
    server.disk.held = True
    server.publish(known, "warm", symbol="Y")
    server.publish(known, "old", symbol="X")
    server.publish(known, "old", "7", symbol="X")
    server.publish(publisher, "new")
    server.disk.step()
    server.journal.fault = "lost"
    server.disk.work()
    assert told(known) == [
        "STORED|id=warm|seq=2",
        "STORED|id=old|seq=1",
        "ERROR|code=id|id=old|channel=main",
    ]
    assert told(publisher) == ["ERROR|code=server|id=new|channel=main"]


def test_the_author_of_an_entry_of_a_failed_commit_is_the_publisher(server, clock):
    old, new, master = server.greet(), server.greet(), server.dial()
    server.publish(old, "a")
    told(old)
    server.journal.fault = "landed"
    server.publish(new, "b", "2")
    heal(server)
    assert told(old) == ["ERROR|code=fenced|channel=main"]
    server.publish(old, "c")
    assert told(old) == ["ERROR|code=fenced|id=c|channel=main"]
    master.send(b"<<GBPUSD|5>>")
    assert volumes(server) == [(1, "GBPUSD", "1"), (2, "GBPUSD", "2")]


def test_the_first_entry_of_a_channel_can_be_of_a_failed_commit(server):
    publisher = server.greet()
    server.journal.fault = "landed"
    server.publish(publisher, "a", channel="gold")
    heal(server)
    assert told(publisher) == ["STORED|id=a|seq=1"]
    assert told(server.subscribe("gold"))[0] == "SNAPSHOT|channel=gold|seq=1|count=1"


def test_a_classic_frame_of_a_failed_commit_is_not_set_again_over_what_came_behind(server):
    master, publisher = server.dial(), server.greet()
    server.disk.held = True
    master.send(b"<<X|1>><<GBPUSD|1>>")
    server.publish(publisher, "a", "2")
    server.disk.step()
    server.journal.fault = "landed"
    server.disk.step()  # the commit
    server.disk.step()  # what came of it
    publisher.hang_up()
    heal(server)
    assert volumes(server) == [(1, "X", "1"), (2, "GBPUSD", "1"), (3, "GBPUSD", "2")]


def test_classic_frames_of_two_masters_in_a_failed_commit_do_not_turn_positions(server):
    older, newer = server.dial(), server.dial()
    server.disk.held = True
    older.send(b"<<X|1>><<GBPUSD|1>>")
    newer.send(b"<<GBPUSD|2>>")
    server.disk.step()
    server.journal.fault = "landed"
    server.disk.step()
    server.disk.step()
    heal(server)
    assert [entry[2] for entry in volumes(server)] == ["1", "1", "2"]


def test_the_newest_frame_of_each_master_and_symbol_is_kept_while_the_disk_refuses(serve):
    server = serve("signals.backlog=5")
    master, follower = server.dial(), server.subscribe()
    told(follower)
    server.journal.fault = "lost"
    for volume in range(1, 100):
        master.send(f"<<GBPUSD|{volume}>><<EURUSD|{-volume}>>".encode())
        server.clock.advance(0.02)
    heal(server)
    assert volumes(server) == [(1, "GBPUSD", "99"), (2, "EURUSD", "-99")]
    assert master.transport.producerState == "producing"


def test_what_a_master_had_set_is_kept_when_it_is_gone(server):
    master = server.dial()
    server.journal.fault = "lost"
    master.send(b"<<GBPUSD|1>>")
    master.hang_up()
    heal(server)
    assert volumes(server) == [(1, "GBPUSD", "1")]
    assert server.signals.rules.presence_of("main")[0] is False


def test_a_master_that_has_said_all_is_closed_once_its_frames_are_stored(server):
    master = server.dial()
    server.journal.fault = "lost"
    master.send(b"<<GBPUSD|1>><<GBPUSD|2>>")
    master.finish()
    assert not master.closed
    heal(server)
    assert master.closed
    assert not master.reset
    assert volumes(server)[-1] == (1, "GBPUSD", "2")


def test_publishers_that_wait_for_answers_are_paused_while_the_disk_is_dead(serve, clock):
    server = serve("signals.backlog=10")
    publisher = server.greet()
    server.journal.fault = "dead"
    for number in range(20):
        server.publish(publisher, f"n{number}")
    assert publisher.transport.producerState == "paused"
    heal(server)
    clock.advance(1)
    assert publisher.transport.producerState == "producing"


def test_a_failed_look_at_the_disk_is_tried_again_and_not_at_every_frame(server, clock):
    publisher = server.greet()
    server.disk.held = True
    server.journal.fault = "dead"
    server.publish(publisher, "a")
    server.disk.work()
    for number in range(10):
        server.publish(publisher, f"n{number}")
    assert server.disk.calls == []
    clock.advance(1)
    assert len(server.disk.calls) == 1


def test_an_unknown_failure_of_the_journal_stops_nothing(server, monkeypatch, log):
    publisher = server.greet()

    def bug(*_):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(server.journal, "commit", bug)
    server.publish(publisher, "a")
    assert told(publisher) == ["ERROR|code=server|id=a|channel=main"]
    monkeypatch.undo()
    heal(server)
    server.publish(publisher, "a")
    assert told(publisher) == ["STORED|id=a|seq=1"]
    assert any("in a way that it does not know" in event["log_format"] for event in log)


def fail_once(monkeypatch, owner, name):
    """Let the next call of a method raise."""
    method = getattr(owner, name)

    def fail(*_):
        monkeypatch.setattr(owner, name, method)
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(owner, name, fail)


def test_a_commit_that_cannot_begin_is_answered(server, monkeypatch):
    publisher, master = server.greet(), server.dial()
    fail_once(monkeypatch, server.signals.rules, "policy")
    server.publish(publisher, "a")
    assert told(publisher) == ["ERROR|code=server|id=a|channel=main"]
    fail_once(monkeypatch, server.signals.rules, "policy")
    master.send(b"<<EURUSD|1.00>>")
    assert gone(master), "it sends its state to each connection"
    assert server.signals.commits.queue.keys == {}
    server.publish(publisher, "a")
    assert told(publisher) == ["STORED|id=a|seq=1"]


def test_what_waits_is_stored_though_followers_could_not_be_told(server, monkeypatch, log):
    publisher = server.greet()
    server.disk.held = True
    server.publish(publisher, "a")
    server.publish(publisher, "b")
    fail_once(monkeypatch, server.signals.channels, "append")
    server.disk.work()
    assert told(publisher) == ["STORED|id=a|seq=1", "STORED|id=b|seq=2"]
    assert any("went wrong" in event["log_format"] for event in log)


def test_a_follower_that_was_away_is_told_of_an_entry_that_landed(server):
    follower = server.subscribe()
    told(follower)
    epoch = server.epoch()
    follower.hang_up()
    publisher = server.greet()
    server.journal.fault, server.journal.landed = "dead", True
    server.publish(publisher, "a")
    early = server.subscribe(epoch=epoch, after=0)
    assert told(early)[0] == "SYNCED|channel=main|seq=0", "nobody knows of it yet"
    heal(server)
    assert [each for each in told(early) if "SIGNAL" in each] == [
        "SIGNAL|channel=main|seq=1|symbol=GBPUSD|volume=1"
    ]


def test_a_publisher_that_fails_at_its_answer_keeps_nothing_from_others(server, log):
    def fail(error):
        raise ValueError("It cannot be refused.")

    publisher, follower = server.greet(), server.subscribe()
    told(follower)
    master = server.signals.join("a master", refuse=fail)
    server.disk.held = True
    server.publish(publisher, "a")
    server.signals.submit(master, "main", "EURUSD", Decimal(1))  # whose channel another one holds
    server.publish(publisher, "b", "2")
    server.disk.work()
    assert told(publisher) == ["STORED|id=a|seq=1", "STORED|id=b|seq=2"]
    assert [each for each in told(follower) if not each.startswith("PING")] == [
        "SIGNAL|channel=main|seq=1|symbol=GBPUSD|volume=1",
        "STATUS|channel=main|publisher=up",
        "SIGNAL|channel=main|seq=2|symbol=GBPUSD|volume=2",
    ]
    assert any(event["log_level"] is LogLevel.critical for event in log)


def test_a_read_that_fails_while_a_view_is_changed_tells_nothing_twice(server, clock):
    def failing(space):
        # What was read before is over in the reactor, and this is still under way.
        server.signals.commits.repair(Failure(PrunedError("The entry is kept no longer.")))
        return changes.flatten(space, "half", "a person closed it", 1)

    publisher, views = server.greet(), server.signals.views
    server.publish(publisher, "a", "1")
    Deferred.fromCoroutine(views.add("half", ViewSettings(sources=("main",))))
    server.publish(publisher, "b", "0")
    server.publish(publisher, "c", "1")
    follower = server.subscribe("half")
    told(follower)
    server.disk.held = True
    changed = Deferred.fromCoroutine(views._change(failing))
    server.disk.work()
    server.publish(publisher, "d", "1", "EURUSD")
    server.disk.work()
    assert changed.called
    assert [each for each in told(follower) if "SIGNAL" in each] == [
        "SIGNAL|channel=half|seq=2|symbol=GBPUSD|volume=0",
    ]
    assert told(publisher)[-1] == "STORED|id=d|seq=4"


# Stopping in each state


def close(server):
    stopped = Deferred.fromCoroutine(server.signals.close())
    server.disk.work()
    return stopped


@pytest.mark.parametrize("waits", [0, 1, 3])
def test_a_stop_stores_and_answers_what_waits(server, waits):
    publisher = server.greet()
    server.disk.held = True
    for number in range(waits):
        server.publish(publisher, f"n{number}")
    assert close(server).called
    assert len(told(publisher)) == waits
    assert publisher.received() == b""


@pytest.mark.parametrize("fault", ["lost", "landed", "dead", "dead, landed"])
@pytest.mark.parametrize("moment", ["before", "during", "asleep"])
def test_a_stop_while_the_disk_fails_ends_and_lies_to_nobody(server, clock, fault, moment):
    publisher, master = server.greet(), server.dial()
    server.disk.held = True
    server.journal.landed = fault == "dead, landed"
    server.journal.fault = fault.partition(",")[0]
    server.publish(publisher, "a")
    server.publish(publisher, "b")
    master.send(b"<<EURUSD|1>>")
    if moment == "during":
        server.disk.step()
    elif moment == "asleep":
        server.disk.work()
    stopped = close(server)
    stopped.addErrback(lambda failure: None)
    assert stopped.called
    server.journal.fault = None
    stored = {entry.id for entry in server.entries()}
    for answer in told(publisher):
        name = answer.split("|id=")[1][0]
        assert answer.startswith("STORED") == (name in stored)
    publisher.hang_up()
    master.hang_up()
    clock.advance(0)
    assert clock.getDelayedCalls() == []


def test_nothing_is_taken_once_the_daemon_stops(server):
    publisher = server.greet()
    close(server)
    publisher.send(frame("PUBLISH", id="a", symbol="X", volume="1"))
    assert told(publisher) == ["ERROR|code=server|id=a"]
