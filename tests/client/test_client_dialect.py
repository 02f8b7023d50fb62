"""Followers and publishers of dialect 2, against the real signals port."""

from decimal import Decimal
from shutil import copytree

import pytest
from offices import Office
from twisted.logger import capturedLogs

from mtnet.client import Login, Position
from mtnet.errors import ClientError


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path / "data")


def test_what_is_published_is_stored_and_handed_out_once(office):
    follower, provider = office.follower(), office.publisher()
    office.settle()
    provider.publish("GBPUSD", "0.25", price="1.23")
    office.settle()
    assert provider.stored == [1]
    assert follower.seqs == [1]
    assert follower.held == {("GBPUSD", ""): Decimal("0.25")}
    assert dict(follower.follower.positions["GBPUSD", ""].fields) == {"price": "1.23"}
    assert follower.events == ["synced", "down", "up"]


def test_a_signal_that_comes_twice_is_handed_out_once(office):
    follower, provider = office.follower(), office.publisher()
    office.settle()
    provider.publish("A", "1")
    office.settle()
    again = b"<<SIGNAL|channel=main|seq=1|symbol=A|volume=1|time=1>>"
    follower.line.wire.client.protocol.dataReceived(again)
    assert follower.seqs == [1]


def test_a_signal_behind_a_hole_is_not_handed_out_and_all_of_it_is_asked_for_again(office):
    follower, provider = office.follower(), office.publisher()
    office.settle()
    provider.publish("A", "1")
    office.settle()
    hole = b"<<SIGNAL|channel=main|seq=3|symbol=A|volume=9|time=1>>"
    follower.line.wire.client.protocol.dataReceived(hole)
    provider.publish("A", "2")
    office.pass_time(5)
    assert follower.seqs == [1, 2]
    assert len(follower.line.wires) == 2


def test_entries_of_another_journal_without_its_positions_are_not_handed_out(office):
    follower = office.follower(epoch="00000000000000aa", seq=0)
    follower.line.wire.client.protocol.dataReceived(
        b"<<WELCOME|v=2|epoch=00000000000000bb|heartbeat=5|time=1>>"
        b"<<SYNCED|channel=main|epoch=00000000000000bb|seq=0>>"
    )
    assert follower.follower.epoch == "00000000000000aa"
    assert follower.line.wire.client.aborted


def test_who_comes_later_is_told_the_whole_truth(office):
    provider = office.publisher()
    for symbol, volume in (("A", "1"), ("B", "2"), ("A", "0")):
        provider.publish(symbol, volume)
    office.settle()
    follower = office.follower()
    office.settle()
    assert follower.held == {("B", ""): Decimal(2)}
    assert [entry.symbol for entry in follower.snapshots[0]] == ["B"]
    assert (follower.follower.seq, follower.seqs) == (3, [])


def test_where_nothing_was_ever_published_nothing_is_told(office):
    follower = office.follower()
    office.settle()
    assert (follower.snapshots, follower.seqs) == ([], [])
    assert follower.blind == [""]


def test_a_follower_comes_back_with_what_it_knows(office):
    follower, provider = office.follower(), office.publisher()
    office.settle()
    provider.publish("A", "1")
    office.settle()
    follower.line.wire.cut()
    provider.publish("A", "2")
    provider.publish("B", "1")
    office.settle()
    assert follower.seqs == [1]
    assert follower.blind[-1]
    office.pass_time(5)
    assert follower.seqs == [1, 2, 3]
    assert follower.blind[-1] == ""
    assert len(follower.snapshots) == 0


def test_a_program_that_is_started_again_goes_on_where_it_was(office):
    first, provider = office.follower(), office.publisher()
    office.settle()
    provider.publish("A", "1")
    office.settle()
    again = office.follower(**first.kept)
    provider.publish("B", "2")
    office.settle()
    assert again.seqs == [2]
    assert again.held == {("A", ""): 1, ("B", ""): 2}
    assert again.snapshots == []


def test_a_filtered_follower_sees_its_symbols_alone_and_no_gap(office):
    follower, provider = office.follower(symbols=["B"]), office.publisher()
    office.settle()
    for symbol in "ABABB":
        provider.publish(symbol, f"{len(provider.stored) + 1}")
        office.settle()
    assert follower.seqs == [2, 4, 5]
    follower.line.wire.cut()
    provider.publish("A", "9")
    provider.publish("B", "9")
    office.pass_time(5)
    assert follower.seqs == [2, 4, 5, 7]
    assert "lost" not in follower.events


def test_a_server_that_is_not_heard_for_12_seconds_makes_blind(office):
    follower = office.follower()
    office.settle()
    wire = follower.line.wire
    wire.stalled = True
    office.pass_time(11)
    assert not wire.client.aborted
    office.pass_time(2)
    wire.stalled = False
    office.settle()
    assert "nothing was heard" in follower.blind[1]


def test_heartbeats_keep_a_quiet_connection_for_hours(office):
    follower, provider = office.follower(), office.publisher()
    office.pass_time(3_600)
    assert len(follower.line.wires) == len(provider.line.wires) == 1
    assert follower.blind == [""]


def test_a_new_epoch_is_reported_and_changes_nothing_until_it_is_accepted(tmp_path, office):
    follower, provider = office.follower(), office.publisher()
    office.settle()
    provider.publish("A", "1")
    office.settle()
    office.restart(tmp_path / "another")
    office.pass_time(5)
    assert "new epoch" in follower.events
    provider.publish("B", "2")
    office.settle()
    assert follower.held == {("A", ""): 1}
    assert follower.follower.held
    assert follower.seqs == [1]
    follower.line.wire.cut()
    provider.publish("C", "3")
    office.pass_time(5)
    assert follower.events.count("new epoch") == 1
    follower.follower.accept()
    assert follower.held == {("B", ""): 2, ("C", ""): 3}
    assert [entry.symbol for entry in follower.snapshots[-1]] == ["B", "C"]
    provider.publish("B", "0")
    office.settle()
    assert follower.held == {("C", ""): 3}


def test_the_right_folder_again_ends_the_hold(tmp_path, office):
    follower, provider = office.follower(), office.publisher()
    office.settle()
    provider.publish("A", "1")
    office.settle()
    right = office.folder
    office.restart(tmp_path / "wrong")
    office.pass_time(5)
    assert follower.follower.held
    office.restart(right)
    provider.publish("A", "2")
    office.pass_time(5)
    assert not follower.follower.held
    assert follower.held == {("A", ""): 2}


def test_a_history_that_went_back_and_went_on_is_held_until_it_is_accepted(tmp_path, office):
    follower, provider = office.follower(), office.publisher()
    office.settle()
    provider.publish("A", "1")
    office.settle()
    office.restart(copytree(office.folder, tmp_path / "copy"))
    office.restart(tmp_path / "data")
    office.pass_time(5)
    for symbol in "BC":
        provider.publish(symbol, "1")
    office.settle()
    provider.publisher.stopService()
    office.restart(tmp_path / "copy")
    newer = office.publisher(take="1")
    for symbol in "XYZ":
        newer.publish(symbol, "2")
    office.pass_time(5)
    assert follower.events.count("new epoch") == 1
    assert follower.held == {("A", ""): 1, ("B", ""): 1, ("C", ""): 1}
    follower.follower.accept()
    office.settle()
    assert follower.held == office.held()
    newer.publish("A", "0")
    office.settle()
    assert follower.held == {("X", ""): 2, ("Y", ""): 2, ("Z", ""): 2}


def test_another_filter_over_a_restart_ends_with_the_truth(office):
    first, provider = office.follower(symbols=["A", "B"]), office.publisher()
    office.settle()
    for symbol in "ABC":
        provider.publish(symbol, "1")
    office.settle()
    first.follower.stopService()
    provider.publish("B", "0")
    office.settle()
    again = office.follower(**first.kept, symbols=["A", "C"])
    office.settle()
    assert again.given_back == ["B"]
    assert again.held == {("A", ""): 1, ("C", ""): 1}


def test_a_publisher_with_its_positions_makes_the_channel_equal_to_them(office):
    provider = office.publisher()
    for symbol in "ABC":
        provider.publish(symbol, "1")
    office.settle()
    provider.publisher.stopService()
    office.settle()
    held = [Position("A", "2"), Position("B", "1")]
    another = office.publisher(positions=lambda: held)
    follower = office.follower()
    office.pass_time(5)
    assert follower.held == {("A", ""): 2, ("B", ""): 1, ("C", ""): 1}
    office.pass_time(10)
    assert follower.held == {("A", ""): 2, ("B", ""): 1}
    seq = follower.follower.seq
    another.line.wire.cut()
    office.pass_time(30)
    assert follower.follower.seq == seq, "what is equal is not published again"


def test_after_pause_flatten_and_freeze_everybody_ends_with_what_the_account_holds(office):
    held = [Position("A", "2"), Position("B", "1")]
    provider, follower = office.publisher(positions=lambda: held), office.follower()
    office.pass_time(5)
    office.operate("flatten")
    assert follower.held == {}
    office.pass_time(30)
    assert follower.held == {}, "a person has closed them"
    held[:] = [Position("A", "3"), Position("C", "-1")]
    provider.publish("C", "-1")
    office.settle()
    assert "denied" in provider.failed[0]
    office.operate("resume")
    assert follower.held == {("A", ""): 3, ("C", ""): -1}
    office.operate("freeze")
    held[:] = [Position("A", "1"), Position("C", "-2")]
    provider.publish("A", "1")
    provider.publish("D", "0")
    office.settle()
    assert follower.held == {("A", ""): 3, ("C", ""): -1}
    office.operate("pause")
    assert follower.held == {("A", ""): 1, ("C", ""): -1}, "the closes and reductions alone"
    office.operate("resume")
    assert follower.held == {("A", ""): 1, ("C", ""): -2}
    assert [each for each in follower.events if each not in ("up", "down", "synced")] == [
        "close_only", "flattened", "resumed", "frozen", "close_only", "resumed",
    ]  # fmt: skip


def test_a_publisher_leaves_a_channel_alone_that_another_holds_until_a_person_takes_it(office):
    first = office.publisher(name="one")
    first.publish("A", "1")
    office.settle()
    second = office.publisher(name="two")
    second.publish("A", "2")
    office.settle()
    assert second.events == ["fenced main"]
    third = office.publisher(name="three", take="1")
    third.publish("A", "3")
    office.settle()
    assert (first.events, third.stored) == (["fenced main"], [2])
    hand = office.publisher(name="hand", take="0")
    hand.publish("B", "1")
    third.publish("C", "1")
    office.settle()
    assert sorted(hand.stored + third.stored) == [2, 3, 4]


def test_an_unknown_channel_is_told(office):
    follower = office.follower(channel="gold")
    office.settle()
    assert follower.events == ["channel"]
    assert follower.snapshots == []


def test_the_first_signal_of_a_new_channel_reaches_a_follower_that_waited_within_a_second(office):
    follower, provider = office.follower(channel="gold"), office.publisher(channel="gold")
    office.pass_time(100)  # it asks more and more seldom
    assert follower.held == {}
    provider.publish("XAUUSD", "1")
    office.settle()
    office.clock.advance(0.5)
    office.settle()
    assert follower.held == {("XAUUSD", ""): 1}


def test_what_was_not_answered_is_sent_again_and_applied_once(office):
    provider = office.publisher()
    office.settle()
    provider.publish("A", "1")
    provider.publish("B", "2")
    wire = provider.line.wire
    wire.server.protocol.dataReceived(wire.client.unread)  # and no answer arrives
    wire.cut()
    office.pass_time(5)
    assert sorted(provider.stored) == [1, 2]
    assert office.hub.desk.channel("main").seq == 2


def test_of_one_position_the_next_signal_waits_for_the_one_before(office):
    provider = office.publisher()
    office.settle()
    for volume in ("1", "2", "3"):
        provider.publish("A", volume)
    provider.publish("B", "1")
    assert provider.line.wire.client.unread.count(b"PUBLISH") == 2
    office.settle()
    assert provider.stored == [1, 2, 3, 4]
    assert office.held() == {("A", ""): 3, ("B", ""): 1}


def test_a_refusal_is_told_and_the_next_signal_goes_on(tmp_path):
    office = Office(tmp_path, "signals.channels.main.max_volume=5")
    provider = office.publisher()
    provider.publish("A", "50")
    provider.publish("A", "1")
    office.settle()
    assert provider.failed == ["50 lots are more than the 5 of main (field)."]
    assert provider.stored == [1]


def test_an_id_with_other_content_is_refused(office):
    provider = office.publisher()
    provider.publish("A", "1", id="mine")
    office.settle()
    provider.publish("A", "1", id="mine")
    provider.publish("A", "2", id="other")
    office.settle()
    assert provider.stored == [1, 1, 2]
    provider.publish("A", "7", id="mine")
    office.settle()
    assert "(id)" in provider.failed[0]
    assert office.held() == {("A", ""): 2}


def test_a_publisher_that_is_replaced_stops(office):
    older = office.publisher()
    older.publish("A", "1")
    office.settle()
    newer = office.publisher()
    newer.publish("A", "2")
    office.settle()
    assert older.events[0] == "fenced main"
    with pytest.raises(ClientError, match="Another publisher"):
        older.publisher.publish("A", "3")
    office.pass_time(60)
    assert len(older.line.wires) == 1
    assert office.held() == {("A", ""): 2}


def test_what_waits_fails_when_the_publisher_is_stopped(office):
    provider = office.publisher()
    provider.line.wire.stalled = True
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
def test_what_can_be_no_signal_is_refused_before_it_is_sent(office, symbol, volume, more):
    with pytest.raises(ClientError):
        office.publisher().publisher.publish(symbol, volume, **more)


def test_a_login_where_there_are_no_accounts_ends_it_and_shows_no_password(office):
    with capturedLogs() as logged:
        provider = office.publisher(login=Login("joe", "canary"))
        provider.publish("A", "1")
        office.pass_time(60)
    assert "no accounts" in provider.failed[0]
    assert len(provider.line.wires) == 1
    assert "canary" not in repr(logged) + repr(provider.failed)


def test_a_follower_whose_login_is_refused_does_not_knock_every_second(office):
    pupil = office.follower(login=Login("joe", "canary"))
    office.pass_time(600)
    assert pupil.events[:2] == ["login", "login"]
    assert 15 <= len(pupil.line.wires) <= 60


def test_an_acknowledgement_reaches_the_status(office):
    follower, provider = office.follower(name="pupil"), office.publisher()
    office.settle()
    provider.publish("A", "1")
    office.settle()
    follower.follower.acknowledge(1, "filled", volume=Decimal("0.9"))
    office.settle()
    sessions = office.hub.desk.status()["sessions"]
    row = next(each for each in sessions if each["name"] == "pupil")["channels"]["main"]
    assert (row["acknowledged"], row["behind"], row["held"]) == (1, 0, {"A": "0.9"})
