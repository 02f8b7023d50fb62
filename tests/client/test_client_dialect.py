"""Followers and publishers of dialect 2, against the real signals port."""

from decimal import Decimal
from shutil import copytree

import pytest
from fakes.clients import Harness
from twisted.logger import capturedLogs

from mtnet.client import Login, Position
from mtnet.errors import ClientError
from mtnet.interfaces import ISignals
from mtnet.services.signals.status.report import Status


@pytest.fixture
def harness(tmp_path):
    return Harness(tmp_path / "data")


def test_what_is_published_is_stored_and_handed_out_once(harness):
    follower, provider = harness.follower(), harness.publisher()
    harness.settle()
    provider.publish("GBPUSD", "0.25", price="1.23")
    harness.settle()
    assert provider.stored == [1]
    assert follower.seqs == [1]
    assert follower.held == {("GBPUSD", ""): Decimal("0.25")}
    assert dict(follower.follower.positions["GBPUSD", ""].fields) == {"price": "1.23"}
    assert follower.events == ["synced", "down", "up"]


def test_a_signal_that_comes_twice_is_handed_out_once(harness):
    follower, provider = harness.follower(), harness.publisher()
    harness.settle()
    provider.publish("A", "1")
    harness.settle()
    again = b"<<SIGNAL|channel=main|seq=1|symbol=A|volume=1|time=1>>"
    follower.line.connection.client.protocol.dataReceived(again)
    assert follower.seqs == [1]


def test_a_signal_behind_a_hole_is_not_handed_out_and_all_of_it_is_asked_for_again(harness):
    follower, provider = harness.follower(), harness.publisher()
    harness.settle()
    provider.publish("A", "1")
    harness.settle()
    hole = b"<<SIGNAL|channel=main|seq=3|symbol=A|volume=9|time=1>>"
    follower.line.connection.client.protocol.dataReceived(hole)
    provider.publish("A", "2")
    harness.pass_time(5)
    assert follower.seqs == [1, 2]
    assert len(follower.line.connections) == 2


def test_entries_of_another_journal_without_its_positions_are_not_handed_out(harness):
    follower = harness.follower(epoch="00000000000000aa", seq=0)
    follower.line.connection.client.protocol.dataReceived(
        b"<<WELCOME|v=2|epoch=00000000000000bb|heartbeat=5|time=1>>"
        b"<<SYNCED|channel=main|epoch=00000000000000bb|seq=0>>"
    )
    assert follower.follower.epoch == "00000000000000aa"
    assert follower.line.connection.client.aborted


def test_a_later_follower_gets_the_whole_state(harness):
    provider = harness.publisher()
    for symbol, volume in (("A", "1"), ("B", "2"), ("A", "0")):
        provider.publish(symbol, volume)
    harness.settle()
    follower = harness.follower()
    harness.settle()
    assert follower.held == {("B", ""): Decimal(2)}
    assert [entry.symbol for entry in follower.snapshots[0]] == ["B"]
    assert (follower.follower.seq, follower.seqs) == (3, [])


def test_where_nothing_was_ever_published_nothing_is_told(harness):
    follower = harness.follower()
    harness.settle()
    assert (follower.snapshots, follower.seqs) == ([], [])
    assert follower.blind == [""]


def test_a_follower_comes_back_with_what_it_knows(harness):
    follower, provider = harness.follower(), harness.publisher()
    harness.settle()
    provider.publish("A", "1")
    harness.settle()
    follower.line.connection.cut()
    provider.publish("A", "2")
    provider.publish("B", "1")
    harness.settle()
    assert follower.seqs == [1]
    assert follower.blind[-1]
    harness.pass_time(5)
    assert follower.seqs == [1, 2, 3]
    assert follower.blind[-1] == ""
    assert len(follower.snapshots) == 0


def test_a_program_that_is_started_again_goes_on_where_it_was(harness):
    first, provider = harness.follower(), harness.publisher()
    harness.settle()
    provider.publish("A", "1")
    harness.settle()
    again = harness.follower(**first.kept)
    provider.publish("B", "2")
    harness.settle()
    assert again.seqs == [2]
    assert again.held == {("A", ""): 1, ("B", ""): 2}
    assert again.snapshots == []


def test_a_filtered_follower_sees_its_symbols_alone_and_no_gap(harness):
    follower, provider = harness.follower(symbols=["B"]), harness.publisher()
    harness.settle()
    for symbol in "ABABB":
        provider.publish(symbol, f"{len(provider.stored) + 1}")
        harness.settle()
    assert follower.seqs == [2, 4, 5]
    follower.line.connection.cut()
    provider.publish("A", "9")
    provider.publish("B", "9")
    harness.pass_time(5)
    assert follower.seqs == [2, 4, 5, 7]
    assert "lost" not in follower.events


def test_a_server_that_is_not_heard_for_12_seconds_makes_blind(harness):
    follower = harness.follower()
    harness.settle()
    connection = follower.line.connection
    connection.stalled = True
    harness.pass_time(11)
    assert not connection.client.aborted
    harness.pass_time(2)
    connection.stalled = False
    harness.settle()
    assert "nothing was received" in follower.blind[1]


def test_heartbeats_keep_a_quiet_connection_for_hours(harness):
    follower, provider = harness.follower(), harness.publisher()
    harness.pass_time(3_600)
    assert len(follower.line.connections) == len(provider.line.connections) == 1
    assert follower.blind == [""]


def test_a_new_epoch_is_reported_and_changes_nothing_until_it_is_accepted(tmp_path, harness):
    follower, provider = harness.follower(), harness.publisher()
    harness.settle()
    provider.publish("A", "1")
    harness.settle()
    harness.restart(tmp_path / "another")
    harness.pass_time(5)
    assert "new epoch" in follower.events
    provider.publish("B", "2")
    harness.settle()
    assert follower.held == {("A", ""): 1}
    assert follower.follower.held
    assert follower.seqs == [1]
    follower.line.connection.cut()
    provider.publish("C", "3")
    harness.pass_time(5)
    assert follower.events.count("new epoch") == 1
    follower.follower.accept()
    assert follower.held == {("B", ""): 2, ("C", ""): 3}
    assert [entry.symbol for entry in follower.snapshots[-1]] == ["B", "C"]
    provider.publish("B", "0")
    harness.settle()
    assert follower.held == {("C", ""): 3}


def test_the_right_folder_again_ends_the_hold(tmp_path, harness):
    follower, provider = harness.follower(), harness.publisher()
    harness.settle()
    provider.publish("A", "1")
    harness.settle()
    right = harness.folder
    harness.restart(tmp_path / "wrong")
    harness.pass_time(5)
    assert follower.follower.held
    harness.restart(right)
    provider.publish("A", "2")
    harness.pass_time(5)
    assert not follower.follower.held
    assert follower.held == {("A", ""): 2}


def test_a_history_that_went_back_and_went_on_is_held_until_it_is_accepted(tmp_path, harness):
    follower, provider = harness.follower(), harness.publisher()
    harness.settle()
    provider.publish("A", "1")
    harness.settle()
    harness.restart(copytree(harness.folder, tmp_path / "copy"))
    harness.restart(tmp_path / "data")
    harness.pass_time(5)
    for symbol in "BC":
        provider.publish(symbol, "1")
    harness.settle()
    provider.publisher.stopService()
    harness.restart(tmp_path / "copy")
    newer = harness.publisher(take="1")
    for symbol in "XYZ":
        newer.publish(symbol, "2")
    harness.pass_time(5)
    assert follower.events.count("new epoch") == 1
    assert follower.held == {("A", ""): 1, ("B", ""): 1, ("C", ""): 1}
    follower.follower.accept()
    harness.settle()
    assert follower.held == harness.held()
    newer.publish("A", "0")
    harness.settle()
    assert follower.held == {("X", ""): 2, ("Y", ""): 2, ("Z", ""): 2}


def test_another_filter_over_a_restart_ends_with_the_truth(harness):
    first, provider = harness.follower(symbols=["A", "B"]), harness.publisher()
    harness.settle()
    for symbol in "ABC":
        provider.publish(symbol, "1")
    harness.settle()
    first.follower.stopService()
    provider.publish("B", "0")
    harness.settle()
    again = harness.follower(**first.kept, symbols=["A", "C"])
    harness.settle()
    assert again.given_back == ["B"]
    assert again.held == {("A", ""): 1, ("C", ""): 1}


def test_a_publisher_with_its_positions_makes_the_channel_equal_to_them(harness):
    provider = harness.publisher()
    for symbol in "ABC":
        provider.publish(symbol, "1")
    harness.settle()
    provider.publisher.stopService()
    harness.settle()
    held = [Position("A", "2"), Position("B", "1")]
    another = harness.publisher(positions=lambda: held)
    follower = harness.follower()
    harness.pass_time(5)
    assert follower.held == {("A", ""): 2, ("B", ""): 1, ("C", ""): 1}
    harness.pass_time(10)
    assert follower.held == {("A", ""): 2, ("B", ""): 1}
    seq = follower.follower.seq
    another.line.connection.cut()
    harness.pass_time(30)
    assert follower.follower.seq == seq, "what is equal is not published again"


def test_after_pause_flatten_and_freeze_everybody_ends_with_what_the_account_holds(harness):
    held = [Position("A", "2"), Position("B", "1")]
    provider, follower = harness.publisher(positions=lambda: held), harness.follower()
    harness.pass_time(5)
    harness.operate("flatten")
    assert follower.held == {}
    harness.pass_time(30)
    assert follower.held == {}, "a person has closed them"
    held[:] = [Position("A", "3"), Position("C", "-1")]
    provider.publish("C", "-1")
    harness.settle()
    assert "denied" in provider.failed[0]
    harness.operate("resume")
    assert follower.held == {("A", ""): 3, ("C", ""): -1}
    harness.operate("freeze")
    held[:] = [Position("A", "1"), Position("C", "-2")]
    provider.publish("A", "1")
    provider.publish("D", "0")
    harness.settle()
    assert follower.held == {("A", ""): 3, ("C", ""): -1}
    harness.operate("pause")
    assert follower.held == {("A", ""): 1, ("C", ""): -1}, "the closes and reductions alone"
    harness.operate("resume")
    assert follower.held == {("A", ""): 1, ("C", ""): -2}
    assert [each for each in follower.events if each not in ("up", "down", "synced")] == [
        "close_only", "flattened", "resumed", "frozen", "close_only", "resumed",
    ]  # fmt: skip


def test_a_publisher_leaves_a_channel_alone_that_another_holds_until_a_person_takes_it(harness):
    first = harness.publisher(name="one")
    first.publish("A", "1")
    harness.settle()
    second = harness.publisher(name="two")
    second.publish("A", "2")
    harness.settle()
    assert second.events == ["fenced main"]
    third = harness.publisher(name="three", take="1")
    third.publish("A", "3")
    harness.settle()
    assert (first.events, third.stored) == (["fenced main"], [2])
    hand = harness.publisher(name="hand", take="0")
    hand.publish("B", "1")
    third.publish("C", "1")
    harness.settle()
    assert sorted(hand.stored + third.stored) == [2, 3, 4]


def test_an_unknown_channel_is_told(harness):
    follower = harness.follower(channel="gold")
    harness.settle()
    assert follower.events == ["channel"]
    assert follower.snapshots == []


def test_the_first_signal_of_a_new_channel_reaches_a_follower_that_waited_within_a_second(harness):
    follower, provider = harness.follower(channel="gold"), harness.publisher(channel="gold")
    harness.pass_time(100)  # it asks more and more seldom
    assert follower.held == {}
    provider.publish("XAUUSD", "1")
    harness.settle()
    harness.clock.advance(0.5)
    harness.settle()
    assert follower.held == {("XAUUSD", ""): 1}


def test_what_was_not_answered_is_sent_again_and_applied_once(harness):
    provider = harness.publisher()
    harness.settle()
    provider.publish("A", "1")
    provider.publish("B", "2")
    connection = provider.line.connection
    connection.server.protocol.dataReceived(connection.client.unread)  # and no answer arrives
    connection.cut()
    harness.pass_time(5)
    assert sorted(provider.stored) == [1, 2]
    assert harness.env.find(ISignals).channel("main").seq == 2


def test_of_one_position_the_next_signal_waits_for_the_one_before(harness):
    provider = harness.publisher()
    harness.settle()
    for volume in ("1", "2", "3"):
        provider.publish("A", volume)
    provider.publish("B", "1")
    assert provider.line.connection.client.unread.count(b"PUBLISH") == 2
    harness.settle()
    assert provider.stored == [1, 2, 3, 4]
    assert harness.held() == {("A", ""): 3, ("B", ""): 1}


def test_a_refusal_is_told_and_the_next_signal_goes_on(tmp_path):
    harness = Harness(tmp_path, "signals.channels.main.max_volume=5")
    provider = harness.publisher()
    provider.publish("A", "50")
    provider.publish("A", "1")
    harness.settle()
    assert provider.failed == ["50 lots are more than the 5 of main (field)."]
    assert provider.stored == [1]


def test_an_id_with_other_content_is_refused(harness):
    provider = harness.publisher()
    provider.publish("A", "1", id="mine")
    harness.settle()
    provider.publish("A", "1", id="mine")
    provider.publish("A", "2", id="other")
    harness.settle()
    assert provider.stored == [1, 1, 2]
    provider.publish("A", "7", id="mine")
    harness.settle()
    assert "(id)" in provider.failed[0]
    assert harness.held() == {("A", ""): 2}


def test_a_publisher_that_is_replaced_stops(harness):
    older = harness.publisher()
    older.publish("A", "1")
    harness.settle()
    newer = harness.publisher()
    newer.publish("A", "2")
    harness.settle()
    assert older.events[0] == "fenced main"
    with pytest.raises(ClientError, match="Another publisher"):
        older.publisher.publish("A", "3")
    harness.pass_time(60)
    assert len(older.line.connections) == 1
    assert harness.held() == {("A", ""): 2}


def test_what_waits_fails_when_the_publisher_is_stopped(harness):
    provider = harness.publisher()
    provider.line.connection.stalled = True
    provider.publish("A", "1")
    provider.publisher.stopService()
    assert "may be stored all the same" in provider.failed[0]
    with pytest.raises(ClientError, match="stopped"):
        provider.publisher.publish("A", "1")


@pytest.mark.parametrize(
    ("symbol", "volume", "more"),
    [
        ("A|B", "1", {}),
        ("A", "1e3", {}),
        ("A", "-1", {"type": "buy_limit"}),
        ("A", "1", {"x": "1"}),
    ],
)
def test_what_can_be_no_signal_is_refused_before_it_is_sent(harness, symbol, volume, more):
    with pytest.raises(ClientError):
        harness.publisher().publisher.publish(symbol, volume, **more)


def test_a_login_where_there_are_no_accounts_ends_it_and_shows_no_password(harness):
    with capturedLogs() as logged:
        provider = harness.publisher(login=Login("joe", "canary"))
        provider.publish("A", "1")
        harness.pass_time(60)
    assert "no accounts" in provider.failed[0]
    assert len(provider.line.connections) == 1
    assert "canary" not in repr(logged) + repr(provider.failed)


def test_a_follower_whose_login_is_refused_does_not_knock_every_second(harness):
    follower_client = harness.follower(login=Login("joe", "canary"))
    harness.pass_time(600)
    assert follower_client.events[:2] == ["login", "login"]
    assert 15 <= len(follower_client.line.connections) <= 60


def test_an_acknowledgement_reaches_the_status(harness):
    follower, provider = harness.follower(name="pupil"), harness.publisher()
    harness.settle()
    provider.publish("A", "1")
    harness.settle()
    follower.follower.acknowledge(1, "filled", volume=Decimal("0.9"))
    harness.settle()
    sessions = Status(harness.env.find(ISignals)).status()["sessions"]
    row = next(each for each in sessions if each["name"] == "pupil")["channels"]["main"]
    assert (row["acknowledged"], row["behind"], row["held"]) == (1, 0, {"A": "0.9"})
