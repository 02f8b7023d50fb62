"""Close-only, frozen, flattened and resumed channels: what they take and who is told."""

import json

import pytest
from signals_peers import Server, gone, told
from twisted.internet.defer import Deferred

from mtnet.errors import JournalError, WireError
from mtnet.services.signals.commands import SignalCommands
from mtnet.services.signals.ownership.pauses import Pauses
from mtnet.services.signals.status.report import Status
from mtnet.services.signals.wire import requests
from mtnet.session import messages


class Harness(Server):
    """A server and whoever runs it."""

    def ask(self, command, channel="main"):
        found = SignalCommands(self.signals).commands()[f"signals {command}"]({"channel": channel})
        results = []
        if isinstance(found, Deferred):
            found.addBoth(results.append)
            self.disk.work()
            return results[0] if results else None
        return found


@pytest.fixture
def serve(tmp_path, clock):
    return lambda *sets, **more: Harness(tmp_path / "data", clock, *sets, **more)


@pytest.fixture
def server(serve):
    return serve()


def codes(terminal):
    found = [dict(part.split("=") for part in each.split("|")[1:]) for each in told(terminal)]
    return [f"{f['code']}{'+' * ('closed' in f)}" if "code" in f else f.get("id") for f in found]


def state(server, channel="main"):
    return {e.symbol: f"{e.volume:f}" for e in server.signals.channel(channel).held()}


def start(server, volume="2", **fields):
    """Let a publisher open GBPUSD; its answer is read."""
    publisher = server.greet()
    server.publish(publisher, f"start{fields.get('symbol', '')}", volume, **fields)
    told(publisher)
    return publisher


@pytest.mark.parametrize(
    ("volume", "fields", "answer"),
    [
        ("1", {}, "a"),
        ("0", {}, "a"),
        ("2", {"sl": "1.5"}, "a"),
        ("3", {}, "denied"),
        ("-1", {}, "denied+"),
        ("1", {"symbol": "X"}, "denied"),
        ("0", {"symbol": "X"}, "a"),
    ],
)
def test_a_paused_channel_takes_what_reduces_and_what_leaves_the_volume(
    server, volume, fields, answer
):
    publisher = start(server)
    server.ask("pause")
    told(publisher)
    server.publish(publisher, "a", volume, **fields)
    assert codes(publisher) == [answer]


@pytest.mark.parametrize("volume", ["0", "1", "2", "3", "-1"])
def test_a_frozen_channel_takes_nothing_and_says_so(server, volume, warnings):
    publisher, master = start(server), server.dial()
    server.ask("freeze")
    told(publisher)
    server.publish(publisher, "a", volume)
    assert codes(publisher) == ["denied"]
    server.publish(publisher, "start", "2")
    assert told(publisher) == ["STORED|id=start|seq=1"]
    publisher.send(messages.bye())
    master.send(b"<<GBPUSD|0>>")
    assert "frozen by its owner" in warnings()[-1]["what"]
    assert state(server) == {"GBPUSD": "2"}


def test_a_pause_is_told_to_all_whom_it_concerns_and_to_nobody_else(server):
    publisher, follower, other = start(server), server.subscribe(), server.greet()
    both = server.subscribe()
    server.publish(both, "both", "2", take="0")
    elsewhere = server.greet()
    server.publish(elsewhere, "x", "1", channel="gold")
    everybody = [publisher, follower, both, other, elsewhere]
    for each in everybody:
        told(each)
    for command, frames in (
        ("pause", ["PAUSED|channel=main|mode=close_only"]),
        ("pause", []),
        ("freeze", ["PAUSED|channel=main|mode=frozen"]),
        ("pause", ["PAUSED|channel=main|mode=close_only"]),
        ("resume", ["RESUMED|channel=main"]),
        ("resume", []),
    ):
        server.ask(command)
        assert [told(each) for each in everybody] == [frames, frames, frames, [], []]


def test_a_later_client_is_sent_the_pause_after_synced_and_after_its_first_signal(server):
    start(server)
    server.ask("freeze")
    follower, publisher = server.subscribe(), server.greet()
    assert told(follower)[-3:] == [
        "SYNCED|channel=main|seq=1",
        "STATUS|channel=main|publisher=up",
        "PAUSED|channel=main|mode=frozen",
    ]
    for identity in "ab":
        server.publish(publisher, identity, "0")
    assert told(publisher) == [
        "PAUSED|channel=main|mode=frozen",
        "ERROR|code=denied|id=a|channel=main",
        "ERROR|code=denied|id=b|channel=main",
    ]
    server.ask("resume")
    assert told(publisher) == ["RESUMED|channel=main"]


def test_one_who_is_not_caught_up_yet_is_told_all_the_same(server):
    start(server)
    server.disk.held = True
    follower = server.greet()
    follower.transport.stalled = True
    server.store(3)
    server.ask("pause")
    follower.send(requests.subscribe(epoch=server.epoch(), after=0))
    told(follower)
    server.ask("resume")
    server.disk.work()
    server.disk.held = False
    assert "RESUMED|channel=main" in told(follower)


def test_a_pause_and_its_mode_outlive_the_daemon(serve):
    server = serve()
    for channel in ("gold", "oil"):
        server.publish(server.greet(), "a", channel=channel)
    server.ask("freeze", "gold")
    server.ask("pause")
    server.ask("pause", "oil")
    server.ask("resume", "oil")
    again = serve()
    assert [again.signals.rules.pause_mode(name) for name in ("gold", "main", "oil")] == [
        "frozen",
        "close_only",
        None,
    ]


def test_the_pauses_of_an_older_mtnet_are_close_only(serve, tmp_path):
    serve().publish(serve().greet(), "a", channel="gold")
    (tmp_path / "data" / "signals.policy").unlink()
    (tmp_path / "data" / "signals.paused").write_text("gold\nmain\n")
    server = serve()
    assert {server.signals.rules.pause_mode(name) for name in ("gold", "main")} == {"close_only"}
    server.ask("resume")
    assert not (tmp_path / "data" / "signals.paused").exists()
    assert [serve().signals.rules.pause_mode(name) for name in ("gold", "main")] == [
        "close_only",
        None,
    ]


def test_a_file_that_says_nothing_is_no_start(serve, tmp_path):
    serve()
    (tmp_path / "data" / "signals.policy").write_text("{")
    with pytest.raises(JournalError, match=r"signals\.policy does not name the paused channels"):
        serve()


def test_a_pause_that_the_disk_does_not_keep_counts_until_the_stop_and_says_so(server, monkeypatch):
    def full(path, data):
        raise JournalError("The disk is full.")

    monkeypatch.setattr("mtnet.services.signals.ownership.policy_store.replace_file", full)
    failure = server.ask("pause")
    assert failure.check(JournalError)
    assert server.signals.rules.pause_mode("main") == "close_only"


@pytest.mark.parametrize("command", ["pause", "freeze", "resume", "flatten"])
def test_a_channel_that_is_not_there_is_named(server, command):
    try:
        found = server.ask(command, "nowhere")
    except WireError as error:
        found = error
    assert "no channel nowhere" in str(getattr(found, "value", found))


# Flatten


def test_flatten_is_close_only_first_then_closes_and_then_says_so(server):
    publisher = start(server, ticket="1")
    server.publish(publisher, "order", "1", ticket="2", type="buy_limit")
    server.publish(publisher, "other", "1", symbol="EURUSD")
    follower = server.subscribe()
    told(publisher)
    told(follower)
    assert server.ask("flatten") == 3
    assert told(follower) == [
        "PAUSED|channel=main|mode=close_only",
        "SIGNAL|channel=main|seq=4|symbol=EURUSD|volume=0",
        "SIGNAL|channel=main|seq=5|symbol=GBPUSD|volume=0|ticket=1",
        "SIGNAL|channel=main|seq=6|symbol=GBPUSD|volume=0|ticket=2",
        "FLATTENED|channel=main",
    ]
    assert told(publisher) == ["PAUSED|channel=main|mode=close_only", "FLATTENED|channel=main"]
    assert server.signals.rules.pause_mode("main") == "close_only"
    assert state(server) == {}


def test_nothing_that_waits_or_is_being_stored_opens_behind_a_flattening(server):
    publisher = start(server)
    server.disk.held = True
    server.publish(publisher, "under-way", "3")
    server.publish(publisher, "waits", "1", symbol="X")
    assert server.ask("flatten") == 1
    assert codes(publisher) == [None, "under-way", "denied", None]  # PAUSED and FLATTENED
    assert state(server) == {}


def test_nothing_held_is_flat_at_once(server):
    assert server.ask("flatten") == 0
    assert server.entries() == []


def test_a_flattening_that_is_not_stored_is_no_success(server):
    start(server)
    server.journal.fault = "lost"
    failure = server.ask("flatten")
    assert failure.value.code == "server"
    assert server.signals.rules.pause_mode("main") == "close_only"


def test_a_flattening_that_landed_though_its_commit_failed_is_one(server):
    start(server)
    server.journal.fault = "landed"
    assert not hasattr(server.ask("flatten"), "value")
    assert state(server) == {}


# Reductions that a freeze refused


def test_the_last_reduction_of_each_key_is_judged_first_when_the_freeze_ends(serve):
    server = serve()
    publisher = start(server)
    server.publish(publisher, "x", "1", ticket="1", symbol="X")
    server.publish(publisher, "y", "1", ticket="2", symbol="X")
    server.ask("freeze")
    for identity, volume, more in (
        ("a", "1.5", {}),
        ("b", "1", {}),
        ("c", "0", {"symbol": "X", "ticket": "1"}),
        ("d", "5", {"symbol": "Z"}),
    ):
        server.publish(publisher, identity, volume, **more)
    told(publisher)
    follower = server.subscribe()
    told(follower)
    server.ask("resume")
    assert told(follower) == [
        "RESUMED|channel=main",
        "SIGNAL|channel=main|seq=4|symbol=GBPUSD|volume=1",
        "SIGNAL|channel=main|seq=5|symbol=X|volume=0|ticket=1",
    ]
    server.publish(publisher, "b", "1")
    assert told(publisher)[-1] == "STORED|id=b|seq=6"


def test_it_outlives_the_daemon_whatever_road_it_came_by(serve):
    server = serve()
    start(server).send(messages.bye())
    start(server, symbol="X").send(messages.bye())
    server.ask("freeze")
    master, publisher = server.dial(), server.greet()
    master.send(b"<<GBPUSD|0>>")
    server.publish(publisher, "a", "-3", symbol="X")
    again = serve()
    assert state(again) == {"GBPUSD": "2", "X": "2"}
    again.ask("pause")
    assert state(again) == {}
    assert json.loads((again.journal.path.with_suffix(".policy")).read_bytes())["owed"] == []
    assert state(serve()) == {}


def test_what_was_on_its_way_when_the_daemon_died_is_judged_at_the_start(serve):
    server = serve()
    publisher = start(server)
    server.ask("freeze")
    server.publish(publisher, "a", "0")
    server.disk.held = True
    Pauses(server.signals).pause("main", None)
    server.disk.step()  # the pause is off the disk, and nothing is stored
    again = serve()
    again.start()
    assert state(again) == {}


@pytest.mark.parametrize("later", ["2", "3"])
def test_a_later_signal_of_the_key_takes_its_place(server, later):
    publisher = start(server)
    server.ask("freeze")
    server.publish(publisher, "a", "0")
    server.publish(publisher, "b", later)
    server.ask("pause")
    assert state(server) == {"GBPUSD": "2"}


def test_a_classic_frame_that_says_what_stands_takes_its_place(server):
    master = server.dial()
    master.send(b"<<GBPUSD|2>>")
    server.ask("freeze")
    master.send(b"<<GBPUSD|0>><<GBPUSD|2>>")
    server.ask("pause")
    assert state(server) == {"GBPUSD": "2"}


def test_one_who_is_fenced_is_owed_nothing(server):
    old = start(server)
    new = server.greet()
    server.publish(new, "new", "3")
    server.ask("freeze")
    server.publish(old, "a", "0")
    server.ask("resume")
    assert state(server) == {"GBPUSD": "3"}


def test_what_is_no_reduction_any_more_is_not_stored(server):
    publisher = start(server)
    server.ask("freeze")
    server.publish(publisher, "a", "1")
    server.ask("flatten")
    assert state(server) == {}
    assert [f"{e.volume:f}" for e in server.entries()] == ["2", "1", "0"]


def test_reductions_of_many_tickets_wait_for_a_disk_that_refuses(server, clock):
    publisher = server.greet()
    for ticket in "123":
        server.publish(publisher, ticket, "1", ticket=ticket)
    server.ask("freeze")
    for ticket in "123":
        server.publish(publisher, f"c{ticket}", "0", ticket=ticket)
    server.journal.fault = "lost"
    server.ask("pause")
    assert len(server.signals.channel("main").held()) == 3
    server.journal.fault = None
    clock.advance(5)
    assert state(server) == {}


def test_what_a_commit_refuses_while_its_freeze_ends_is_judged_before_what_waits(server):
    publisher = start(server)
    server.ask("freeze")
    server.disk.held = True
    server.publish(publisher, "a", "1")
    server.publish(publisher, "b", "3", symbol="X")
    Pauses(server.signals).pause("main", None)
    server.disk.work()
    assert [(e.symbol, f"{e.volume:f}") for e in server.entries()][1:] == [
        ("GBPUSD", "1"),
        ("X", "3"),
    ]


# Neither counts toward a limit


@pytest.mark.parametrize("command", ["pause", "freeze"])
def test_what_a_pause_refuses_is_no_offence(serve, command, monkeypatch):
    server = serve("signals.errors=3", "signals.refusals=3", "access.anonymous=publish")
    publisher, master = server.greet(peer="192.0.2.9"), server.dial(peer="192.0.2.8")
    server.ask(command)
    for number in range(9):
        server.publish(publisher, f"n{number}", "1")
        master.send(b"<<GBPUSD|1>>")
    assert not gone(publisher)
    assert not gone(master)
    assert codes(publisher)[1:] == ["denied"] * 9


def test_the_status_names_the_mode(server):
    assert Status(server.signals).status()["channels"]["main"]["paused"] is None
    server.ask("freeze")
    assert Status(server.signals).status()["channels"]["main"]["paused"] == "frozen"


def test_a_flattening_that_the_disk_never_answers_can_be_given_up(server):
    start(server)
    server.disk.held = True
    flattening = Pauses(server.signals).flatten("main")
    flattening.send(None)
    flattening.close()
