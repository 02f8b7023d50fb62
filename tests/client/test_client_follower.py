"""A follower: stopped, held and given another filter, against a server that says it."""

from decimal import Decimal

import pytest
from follower_harness import EPOCH, KNOWN, OTHER, Harness, entry, held, signal, snapshot, synced
from msgspec.structs import replace

from mtnet.client import Follower, Report, Spec
from mtnet.errors import ClientError
from mtnet.services.signals.wire import answers
from mtnet.session import messages

# The limits of a view

LIMITED = answers.synced("main", EPOCH, 6, max_age="30", max_slippage="0.0005")


def limits(follower):
    return follower.max_age, follower.max_slippage


def test_a_follower_of_a_view_knows_its_limits_before_it_is_handed_a_position(harness):
    harness.server.answer = lambda asked: snapshot(6, "A")[: -len(synced())] + LIMITED
    seen = []
    follower = harness.follow()
    assert limits(follower) == (30.0, Decimal("0.0005"))
    follower._on = replace(follower._on, signal=lambda signal: seen.append(limits(follower)))
    harness.say(signal(7))
    harness.server.answer = lambda asked: signal(8) + answers.synced("main", EPOCH, 8)
    harness.reconnect()
    # What was missed is judged by the limits of before; the server says the new ones behind it.
    assert seen == [(30.0, Decimal("0.0005"))] * 2
    assert limits(follower) == (None, None)


def test_limits_are_handed_in_again_with_the_rest_of_an_earlier_run(harness):
    harness.server.answer = lambda asked: b""
    follower = harness.follow(**KNOWN, max_age=30.0, max_slippage=Decimal("0.0005"))
    assert limits(follower) == (30.0, Decimal("0.0005"))


def test_a_channel_without_limits_has_none(harness):
    assert limits(harness.follow()) == (None, None)


# The hash of the last entry


def test_the_hash_of_the_last_entry_is_given_back_and_only_of_exactly_that_entry(harness):
    harness.server.answer = lambda asked: answers.synced("main", EPOCH, 6, "0000beef")
    follower = harness.follow(**KNOWN)
    assert (harness.server.asked[0].after, harness.server.asked[0].h) == (6, "0000beef")
    harness.say(signal(7, h="00000007"))
    assert (follower.seq, follower.h) == (7, "00000007")
    harness.server.answer = lambda asked: answers.synced("main", EPOCH, 7, "00000007")
    harness.reconnect()
    assert (harness.server.asked[-1].after, harness.server.asked[-1].h) == (7, "00000007")
    harness.say(signal(8))
    harness.reconnect()
    assert (harness.server.asked[-1].after, harness.server.asked[-1].h) == (8, None)


def test_a_snapshot_is_kept_with_the_hash_of_its_last_entry(harness):
    harness.server.answer = lambda asked: snapshot(6, "A", h="0000beef")
    follower = harness.follow()
    assert (follower.seq, follower.h, follower.kept_for) == (6, "0000beef", "main")


@pytest.mark.parametrize(
    "answer",
    [
        snapshot(9, "X", diverged=True),
        snapshot(5, "X"),
        snapshot(0),
        snapshot(9, "X", epoch=OTHER),
    ],
    ids=["diverged", "lower", "empty", "another epoch"],
)
def test_another_history_changes_nothing_until_it_is_accepted(harness, answer):
    harness.server.answer = lambda asked: answer
    follower = harness.follow(**KNOWN, positions=[entry("A")])
    assert follower.held
    assert harness.names == ["epoch", "blind"]
    assert (follower.epoch, follower.seq, held(follower)) == (EPOCH, 6, {"A": "1"})
    harness.reconnect()
    assert harness.names.count("epoch") == 1, "it is told once"
    assert harness.server.asked[-1].after == 6, "it still asks for what it knows"


def test_an_accepted_history_is_followed_from_where_it_is(harness):
    harness.server.answer = lambda asked: snapshot(3, "X", h="00000003", diverged=True)
    follower = harness.follow(**KNOWN, positions=[entry("A")])
    harness.say(signal(4, "Y", h="00000004"))
    follower.accept()
    assert harness.names[-2:] == ["snapshot", "synced"]
    assert (follower.seq, follower.h, held(follower)) == (4, "00000004", {"X": "1", "Y": "1"})
    harness.server.answer = lambda asked: answers.synced("main", EPOCH, 4, "00000004")
    harness.reconnect()
    assert (harness.server.asked[-1].after, harness.server.asked[-1].h) == (4, "00000004")
    assert not follower.held


def test_the_right_history_again_ends_the_hold(harness):
    harness.server.answer = lambda asked: snapshot(5, "X")
    follower = harness.follow(**KNOWN, positions=[entry("A")])
    harness.server.answer = lambda asked: signal(7, "B") + answers.synced("main", EPOCH, 7)
    harness.reconnect()
    assert not follower.held
    harness.say(signal(8, "C"))
    assert held(follower) == {"A": "1", "B": "1", "C": "1"}
    assert len(harness.line.connections) == 2


@pytest.mark.parametrize("epoch", [EPOCH, OTHER])
def test_accepting_a_journal_that_knows_nothing_flattens_nobody(harness, epoch):
    harness.server.answer = lambda asked: snapshot(0, epoch=epoch)
    follower = harness.follow(**KNOWN, positions=[entry("A")])
    follower.accept()
    assert (follower.epoch, follower.seq, held(follower)) == (epoch, 0, {"A": "1"})
    assert "snapshot" not in harness.names
    harness.say(signal(1, "A", "0"))
    assert held(follower) == {}


# Another filter


def test_what_is_no_longer_followed_is_given_back_and_what_is_new_is_fetched(harness):
    harness.server.answer = lambda asked: (
        snapshot(9, "A", "C") if asked.after is None else answers.synced("main", EPOCH, 9)
    )
    known = {**KNOWN, "kept_for": "main:A,B", "positions": [entry("A"), entry("B")]}
    follower = harness.follow(symbols=["A", "C"], **known)
    assert harness.names == ["unfollowed", "snapshot", "blind", "synced"]
    assert [each.symbol for each in harness.told[0][1]] == ["B"]
    assert held(follower) == {"A": "1", "C": "1"}
    assert follower.kept_for == "main:A,C"
    assert harness.server.asked[0].after == 6, "another history would be noticed"


def test_what_was_missed_is_handed_out_before_what_is_new(harness):
    harness.server.answer = lambda asked: (
        signal(9, "A", "5") + answers.synced("main", EPOCH, 9) + signal(10, "C", "3")
        if asked.after is not None
        else snapshot(10, "A", "C") + signal(11, "C", "2")
    )
    follower = harness.follow(**{**KNOWN, "seq": 8, "kept_for": "main:A"}, positions=[entry("A")])
    assert harness.names == ["signal", "signal", "snapshot", "blind", "synced", "signal"]
    assert (follower.seq, held(follower)) == (11, {"A": "1", "C": "2"})


def test_fewer_symbols_than_before_need_no_snapshot(harness):
    harness.server.answer = lambda asked: answers.synced("main", EPOCH, 6)
    follower = harness.follow(symbols=["A"], **KNOWN, positions=[entry("A"), entry("B")])
    assert harness.names == ["unfollowed", "blind", "synced"]
    assert len(harness.server.asked) == 1
    assert follower.kept_for == "main:A"


def test_without_what_it_was_kept_for_a_state_is_fetched_anew(harness):
    harness.server.answer = lambda asked: (
        snapshot(6, "A", "B") if asked.after is None else answers.synced("main", EPOCH, 6)
    )
    follower = harness.follow(epoch=EPOCH, seq=6, positions=[entry("A")])
    assert held(follower) == {"A": "1", "B": "1"}


def test_a_state_of_another_channel_is_given_back_whole(harness):
    harness.server.answer = lambda asked: snapshot(1, "A")
    known = {**KNOWN, "kept_for": "gold", "positions": [entry("XAUUSD", channel="gold")]}
    follower = harness.follow(**known)
    assert harness.server.asked[0].epoch is None
    assert [each.symbol for each in harness.told[0][1]] == ["XAUUSD"]
    assert held(follower) == {"A": "1"}


def test_a_symbol_with_a_comma_can_be_followed(harness):
    follower = harness.follow(symbols=["A,B", "C"])
    assert harness.server.asked[0].symbols == {"A,B", "C"}
    harness.server.answer = lambda asked: snapshot(1, "A,B")
    harness.reconnect()
    assert follower.kept_for == "main:A%2CB,C"
    again = Harness()
    again.follow(symbols=["A,B"], **{**KNOWN, "kept_for": follower.kept_for})
    assert again.server.asked[0].symbols == {"A,B"}
    assert len(again.server.asked) == 1


def test_one_text_is_no_list_of_symbols(harness):
    with pytest.raises(ClientError, match="'EURUSD'"):
        Follower(harness.line, harness.clock, symbols="EURUSD", **KNOWN)


@pytest.mark.parametrize("symbols", [[], ["A|B"], [f"SYMBOL{n:04}" for n in range(200)]])
def test_what_cannot_be_asked_for_is_refused_before_anything_is_sent(harness, symbols):
    with pytest.raises(ClientError, match="cannot be followed"):
        Follower(harness.line, harness.clock, symbols=symbols)


# What is told beside positions


def test_pauses_are_told_when_they_begin_and_when_they_end(harness):
    harness.server.answer = lambda asked: snapshot(1, "A")
    harness.follow()
    harness.say(answers.paused("main", "close_only"), answers.paused("main", "close_only"))
    harness.say(answers.paused("main", "frozen"), answers.paused("gold", "frozen"))
    harness.say(answers.flattened("main"), answers.resumed("main"))
    assert harness.told[3:] == [
        ("paused", "close_only"), ("paused", "frozen"), ("flattened",), ("paused", None),
    ]  # fmt: skip


def test_a_pause_that_ended_while_nothing_was_heard_is_told_to_have_ended(harness):
    harness.server.answer = lambda asked: snapshot(1, "A") + answers.paused("main", "frozen")
    harness.follow()
    harness.reconnect()
    harness.say(messages.heartbeat(1))
    assert harness.names.count("paused") == 1, "it goes on"
    harness.server.answer = lambda asked: snapshot(1, "A")
    harness.reconnect()
    harness.say(messages.heartbeat(1))
    assert harness.told[-1] == ("paused", None)


def test_words_that_a_newer_server_says_are_ignored(harness):
    harness.server.answer = lambda asked: snapshot(1, "A")
    harness.follow()
    harness.say(b"<<WEATHER|sky=blue>>", b"<<STATUS|channel=main|publisher=up|since=1|moon=full>>")
    harness.say(answers.notice("Closed at 21:00."))
    assert harness.told[3:] == [("provider", True, 1), ("notice", "Closed at 21:00.")]


# Stopped


@pytest.mark.parametrize(
    ("callback", "answer", "options"),
    [
        ("snapshot", snapshot(1, "A") + signal(2), {}),
        ("signal", answers.synced("main", EPOCH, 6) + signal(7) + signal(8), KNOWN),
        ("synced", snapshot(1, "A") + signal(2), {}),
        ("blind", snapshot(1, "A") + signal(2), {}),
        ("provider", answers.status("main", True, 1) + snapshot(1, "A"), {}),
        ("epoch", snapshot(9, "X", epoch=OTHER) + signal(10), KNOWN),
        ("paused", answers.paused("main", "frozen") + snapshot(1, "A"), {}),
        ("flattened", answers.flattened("main") + snapshot(1, "A"), {}),
        ("notice", answers.notice("Good night.") + snapshot(1, "A"), {}),
        ("error", messages.error("denied", "No.", channel="main") + snapshot(1, "A"), {}),
        ("unfollowed", snapshot(1, "A"), {**KNOWN, "positions": [entry("B", channel="gold")]}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nothing_is_handed_out_after_a_stop_in_any_callback(harness, callback, answer, options):
    harness.server.answer = lambda asked: answer
    harness.follow(callback, **options)
    harness.clock.advance(60)
    harness.line.settle()
    assert harness.names[-2:] == [callback, "stopped"]
    assert not harness.clock.getDelayedCalls()


# What was claimed on this connection, and accepted meanwhile


def test_what_is_replayed_of_another_history_is_not_taken_for_the_accepted_one(harness):
    harness.server.answer = lambda asked: snapshot(9, "X", epoch=OTHER)
    follower = harness.follow(**KNOWN, positions=[entry("A")])
    harness.server.answer = lambda asked: b""
    harness.reconnect()
    follower.accept()
    assert (follower.epoch, follower.seq) == (OTHER, 9)
    replayed = [signal(seq, "A", "7", h=f"{seq:08x}") for seq in range(7, 12)]
    harness.say(*replayed, answers.synced("main", EPOCH, 11))
    assert (follower.epoch, follower.seq, held(follower)) == (OTHER, 9, {"X": "1"})
    harness.clock.advance(30)
    harness.line.settle()
    assert (harness.server.asked[-1].epoch, harness.server.asked[-1].after) == (OTHER, 9)


def test_a_history_that_was_accepted_while_it_came_again_is_not_asked_about_twice(harness):
    harness.server.answer = lambda asked: snapshot(3, "X", h="00000003", diverged=True)
    follower = harness.follow(**KNOWN, positions=[entry("A")])
    harness.server.answer = lambda asked: b""
    harness.reconnect()
    follower.accept()
    harness.server.answer = lambda asked: answers.synced("main", EPOCH, 3, "00000003")
    harness.say(snapshot(3, "X", h="00000003", diverged=True))
    harness.clock.advance(30)
    harness.line.settle()
    assert harness.names.count("epoch") == 1
    assert (follower.held, follower.blind, follower.seq) == (False, False, 3)


# What cannot be read


@pytest.mark.parametrize(
    "unreadable",
    [
        b"<<SIGNAL|channel=main|seq=7|symbol=B|volume=1|time=1|type=trailing_stop>>",
        b"<<SIGNAL|channel=main|seq=7|symbol=B|volume=1|time=1|comment=%ZZ>>",
        b"<<SNAPSHOT|channel=main|epoch=00000000000000bb|seq=9|count=many>>",
    ],
    ids=["a newer type", "no escape", "no count"],
)
@pytest.mark.parametrize("symbols", [None, ["A", "B"]], ids=["all", "some"])
def test_a_state_that_cannot_be_read_is_not_taken_for_known(harness, unreadable, symbols):
    harness.server.answer = lambda asked: unreadable + answers.synced("main", EPOCH, 7)
    kept_for = "main" if symbols is None else "main:A,B"
    known = {**KNOWN, "kept_for": kept_for, "positions": [entry("A")]}
    follower = harness.follow(symbols=symbols, **known)
    assert (follower.seq, follower.blind, held(follower)) == (6, True, {"A": "1"})
    assert "cannot be read" in harness.told[-1][1]


@pytest.mark.parametrize("seq", [5, 7])
def test_a_replay_that_ends_elsewhere_than_it_came_is_not_taken_for_whole(harness, seq):
    harness.server.answer = lambda asked: answers.synced("main", EPOCH, seq)
    follower = harness.follow(**KNOWN)
    assert (follower.seq, follower.blind) == (6, True)


def test_a_pause_is_confirmed_on_the_connection_that_says_synced(harness):
    harness.server.answer = lambda asked: snapshot(1, "A") + answers.paused("main", "frozen")
    harness.follow()
    harness.server.answer = lambda asked: snapshot(1, "A")
    harness.reconnect()
    harness.server.answer = lambda asked: messages.heartbeat(1)  # a long replay has not ended
    harness.reconnect()
    assert harness.names.count("paused") == 1
    harness.say(snapshot(1, "A"), answers.paused("main", "frozen"), messages.heartbeat(1))
    assert harness.names.count("paused") == 1


def test_what_can_be_no_acknowledgement_is_refused_with_a_sentence(harness):
    harness.server.answer = lambda asked: snapshot(1, "A")
    follower = harness.follow()
    with pytest.raises(ClientError, match="price"):
        follower.acknowledge(1, "filled", price="cheap")


def test_a_follower_may_be_stopped_when_the_connection_is_lost(harness):
    harness.server.answer = lambda asked: snapshot(1, "A")
    follower = harness.follow()

    def stop(why):
        follower.stopService().addCallback(lambda _: harness.told.append("stopped"))

    follower._on = replace(follower._on, blind=stop)
    harness.line.connection.cut()
    harness.clock.advance(60)
    assert harness.names[-1] == "stopped"
    assert len(harness.line.connections) == 1
    assert not harness.clock.getDelayedCalls()


# What a terminal tells about itself


def test_a_report_goes_to_a_server_that_names_its_services_and_to_no_other(harness):
    follower = harness.follow()
    report = Report(trading=True, balance=Decimal("10000.00"), currency="USD")
    assert not follower.report(report)
    harness.server.services = ("signals",)
    harness.reconnect()
    assert follower.report(report)
    assert follower.report(Spec("EURUSD", min=Decimal("0.01")))
    sent = harness.line.connection.client.said
    assert b"<<REPORT|trading=1|balance=10000.00|currency=USD>>" in sent
    assert b"<<SPEC|symbol=EURUSD|min=0.01>>" in sent
    with pytest.raises(ClientError, match="cannot be reported"):
        follower.report(Report(currency="US DOLLAR"))
    assert not Follower(harness.line, harness.clock).report(report), "without a connection"
