"""A follower: refused, stopped, held and given another filter, against a server that says it."""

from contextlib import suppress
from decimal import Decimal

import pytest
from fakes import entries
from fakes.servers import DialectServer
from fakes.transports import MemoryEndpoint
from msgspec.structs import replace
from twisted.internet.task import Clock

from mtnet.client import Follower, Login, Report, Spec
from mtnet.errors import ClientError
from mtnet.services.signals import wire
from mtnet.services.signals.wire import Subscribe
from mtnet.session import messages
from mtnet.session.messages import Hello

EPOCH, OTHER = "00000000000000aa", "00000000000000bb"


class Server(DialectServer):
    """
    Attributes:
        answer: returns what SUBSCRIBE is answered.
        services: that WELCOME names; None = as an older server.
        asked: every SUBSCRIBE, oldest first.
    """

    def __init__(self):
        self.asked, self.answer = [], lambda asked: snapshot(0)
        self.services = None

    def takes(self, session, request):
        if isinstance(request, Hello):
            session.say(messages.welcome(5.0, 1, self.services, epoch=EPOCH))
        elif isinstance(request, Subscribe):
            self.asked.append(request)
            session.say(self.answer(request))


class Harness:
    """A follower, its server, and what it was told."""

    def __init__(self):
        self.clock, self.server = Clock(), Server()
        self.line = MemoryEndpoint(self.server, self.clock)
        self.told = []

    def follow(self, stop_at="", **options):
        """Follow; stop in the callback that is called `stop_at`."""

        def note(name):
            def called(*told):
                self.told.append((name, *told))
                if name == stop_at:
                    self.follower.stopService().addCallback(lambda _: self.told.append("stopped"))

            return called

        names = (
            "snapshot", "signal", "synced", "blind", "provider", "epoch", "unfollowed", "paused",
            "flattened", "notice", "error",
        )  # fmt: skip
        callbacks = {f"on_{name}": note(name) for name in names}
        self.follower = Follower(self.line, self.clock, **callbacks, **options)
        self.follower.startService()
        self.line.settle()
        return self.follower

    def say(self, *frames):
        self.line.connection.server.protocol.transport.write(b"".join(frames))
        self.line.settle()

    def reconnect(self):
        self.line.connection.cut()
        self.clock.advance(30)
        self.line.settle()

    @property
    def names(self):
        return [each if isinstance(each, str) else each[0] for each in self.told]


@pytest.fixture
def harness():
    return Harness()


def signal(seq, symbol="A", volume="1", **more):
    return entries.signal("main", seq, symbol, Decimal(volume), 1, **more)


def entry(symbol, volume="1", channel="main"):
    return wire.Entry(channel, 1, symbol, Decimal(volume), 1)


def snapshot(seq, *symbols, epoch=EPOCH, h="", diverged=False):
    shown = [entries.position("main", seq, each, Decimal(1), 1) for each in symbols]
    head = wire.snapshot("main", epoch, seq, len(shown), diverged)
    return b"".join([head, *shown, wire.synced("main", epoch, seq, h)])


def synced():
    return wire.synced("main", EPOCH, 6, "")


def held(follower):
    return {symbol: str(each.volume) for (symbol, _), each in follower.positions.items()}


KNOWN = {"epoch": EPOCH, "seq": 6, "h": "0000beef", "kept_for": "main"}


# The limits of a view

LIMITED = wire.synced("main", EPOCH, 6, max_age="30", max_slippage="0.0005")


def limits(follower):
    return follower.max_age, follower.max_slippage


def test_a_follower_of_a_view_knows_its_limits_before_it_is_handed_a_position(harness):
    harness.server.answer = lambda asked: snapshot(6, "A")[: -len(synced())] + LIMITED
    seen = []
    follower = harness.follow()
    assert limits(follower) == (30.0, Decimal("0.0005"))
    follower._on = replace(follower._on, signal=lambda signal: seen.append(limits(follower)))
    harness.say(signal(7))
    harness.server.answer = lambda asked: signal(8) + wire.synced("main", EPOCH, 8)
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
    harness.server.answer = lambda asked: wire.synced("main", EPOCH, 6, "0000beef")
    follower = harness.follow(**KNOWN)
    assert (harness.server.asked[0].after, harness.server.asked[0].h) == (6, "0000beef")
    harness.say(signal(7, h="00000007"))
    assert (follower.seq, follower.h) == (7, "00000007")
    harness.server.answer = lambda asked: wire.synced("main", EPOCH, 7, "00000007")
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
    harness.server.answer = lambda asked: wire.synced("main", EPOCH, 4, "00000004")
    harness.reconnect()
    assert (harness.server.asked[-1].after, harness.server.asked[-1].h) == (4, "00000004")
    assert not follower.held


def test_the_right_history_again_ends_the_hold(harness):
    harness.server.answer = lambda asked: snapshot(5, "X")
    follower = harness.follow(**KNOWN, positions=[entry("A")])
    harness.server.answer = lambda asked: signal(7, "B") + wire.synced("main", EPOCH, 7)
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


# Refused subscriptions


@pytest.mark.parametrize("code", ["channel", "denied", "server"])
def test_a_channel_that_was_refused_is_asked_for_again_with_growing_delays(harness, code):
    harness.server.answer = lambda asked: messages.error(code, "Not now", channel="main")
    harness.follow()
    for _ in range(600):
        harness.clock.advance(1)
        harness.line.settle()
        harness.say(messages.pong(1))
    assert len(harness.line.connections) == 1
    assert 20 < len(harness.server.asked) < 60
    assert harness.told == [("error", code, "Not now")], "it is told once"
    harness.server.answer = lambda asked: snapshot(1, "A")
    for _ in range(30):
        harness.clock.advance(1)
        harness.line.settle()
        harness.say(messages.pong(1))
    assert harness.names == ["error", "snapshot", "blind", "synced"]


def test_a_follower_that_is_denied_a_channel_logs_in_again(harness):
    harness.server.answer = lambda asked: messages.error("denied", "Not yours.", channel="main")
    harness.follow(login=Login("joe", "canary"))
    for _ in range(600):
        harness.clock.advance(1)
        harness.say(messages.pong(1))
    assert 15 < len(harness.line.connections) < 45, "after delays that grow"
    assert harness.names.count("error") == 1, "it is told once"
    harness.server.answer = lambda asked: snapshot(1, "A")
    for _ in range(32):
        harness.clock.advance(1)
        harness.say(messages.pong(1))
    assert held(harness.follower) == {"A": "1"}


def test_a_channel_that_may_be_asked_for_now_is_asked_for_at_once(harness):
    harness.server.answer = lambda asked: messages.error("channel", "No main.", channel="main")
    harness.follow()
    harness.say(wire.channels(["gold"]))
    assert len(harness.server.asked) == 1
    harness.server.answer = lambda asked: snapshot(1, "A")
    harness.say(wire.channels(["gold", "main"]))
    assert held(harness.follower) == {"A": "1"}
    harness.clock.advance(5)
    harness.say(wire.channels(["gold", "main"]))
    assert len(harness.server.asked) == 2, "who has it does not ask"


def test_a_subscription_that_the_server_ends_makes_blind_until_it_is_had_again(harness):
    harness.server.answer = lambda asked: snapshot(1, "A")
    harness.follow()
    harness.say(messages.error("server", "The disk is ill", channel="main"))
    assert harness.follower.blind
    assert harness.told[-1] == ("blind", "The disk is ill")
    harness.server.answer = lambda asked: wire.synced("main", EPOCH, 1) + signal(2)
    harness.clock.advance(1)
    harness.line.settle()
    assert (harness.follower.blind, harness.follower.seq) == (False, 2)


def test_an_error_about_something_else_ends_no_subscription(harness):
    harness.server.answer = lambda asked: snapshot(1, "A")
    harness.follow()
    harness.say(messages.error("channel", "No gold.", channel="gold"))
    harness.say(messages.error("field", "No seq.", channel="main"))
    harness.clock.advance(10)
    assert not harness.follower.blind
    assert len(harness.server.asked) == 1


def test_a_follower_replaced_by_its_own_account_waits_ten_minutes(harness):
    harness.follow()
    harness.say(messages.error("sessions", "Another session took over."))
    harness.line.connection.cut()
    harness.clock.advance(599)
    assert len(harness.line.connections) == 1
    harness.clock.advance(61)
    assert len(harness.line.connections) == 2
    harness.line.settle()
    harness.line.connection.cut()
    harness.clock.advance(2)
    assert len(harness.line.connections) == 3, "once"


@pytest.mark.parametrize("code", ["login", "banned"])
def test_a_client_that_is_not_welcome_waits_long_from_the_first_time_on(harness, code):
    harness.follow()
    harness.say(messages.error(code, "No."))
    harness.line.connection.cut()
    harness.clock.advance(14)
    assert len(harness.line.connections) == 1
    harness.clock.advance(17)
    assert len(harness.line.connections) == 2


# Connections that do not help


def attempts(harness, seconds):
    before = len(harness.line.connections)
    for _ in range(seconds):
        harness.clock.advance(1)
        harness.line.settle()
        harness.say(messages.pong(1))
        if harness.line.connection.client.aborted:
            harness.line.connection.cut()
    return len(harness.line.connections) - before


@pytest.mark.parametrize(
    "replay",
    [
        pytest.param(signal(8), id="a hole"),
        pytest.param(wire.synced("main", EPOCH, 9), id="an end that does not fit"),
        pytest.param(b"<<SIGNAL|channel=main|seq=7|symbol=A|volume=x|time=1>>", id="unreadable"),
    ],
)
def test_a_server_whose_replay_cannot_be_taken_is_dialled_after_delays_that_grow(harness, replay):
    harness.server.answer = lambda asked: replay
    harness.follow(**KNOWN)
    assert 10 < attempts(harness, 600) < 45
    harness.server.answer = lambda asked: wire.synced("main", EPOCH, 6)
    attempts(harness, 31)
    assert not harness.follower.blind
    harness.line.connection.cut()
    assert attempts(harness, 2) == 1, "SYNCED makes the delays short again"


# Another filter


def test_what_is_no_longer_followed_is_given_back_and_what_is_new_is_fetched(harness):
    harness.server.answer = lambda asked: (
        snapshot(9, "A", "C") if asked.after is None else wire.synced("main", EPOCH, 9)
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
        signal(9, "A", "5") + wire.synced("main", EPOCH, 9) + signal(10, "C", "3")
        if asked.after is not None
        else snapshot(10, "A", "C") + signal(11, "C", "2")
    )
    follower = harness.follow(**{**KNOWN, "seq": 8, "kept_for": "main:A"}, positions=[entry("A")])
    assert harness.names == ["signal", "signal", "snapshot", "blind", "synced", "signal"]
    assert (follower.seq, held(follower)) == (11, {"A": "1", "C": "2"})


def test_fewer_symbols_than_before_need_no_snapshot(harness):
    harness.server.answer = lambda asked: wire.synced("main", EPOCH, 6)
    follower = harness.follow(symbols=["A"], **KNOWN, positions=[entry("A"), entry("B")])
    assert harness.names == ["unfollowed", "blind", "synced"]
    assert len(harness.server.asked) == 1
    assert follower.kept_for == "main:A"


def test_without_what_it_was_kept_for_a_state_is_fetched_anew(harness):
    harness.server.answer = lambda asked: (
        snapshot(6, "A", "B") if asked.after is None else wire.synced("main", EPOCH, 6)
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
    harness.say(wire.paused("main", "close_only"), wire.paused("main", "close_only"))
    harness.say(wire.paused("main", "frozen"), wire.paused("gold", "frozen"))
    harness.say(wire.flattened("main"), wire.resumed("main"))
    assert harness.told[3:] == [
        ("paused", "close_only"), ("paused", "frozen"), ("flattened",), ("paused", None),
    ]  # fmt: skip


def test_a_pause_that_ended_while_nothing_was_heard_is_told_to_have_ended(harness):
    harness.server.answer = lambda asked: snapshot(1, "A") + wire.paused("main", "frozen")
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
    harness.say(wire.notice("Closed at 21:00."))
    assert harness.told[3:] == [("provider", True, 1), ("notice", "Closed at 21:00.")]


# Stopped


@pytest.mark.parametrize(
    ("callback", "answer", "options"),
    [
        ("snapshot", snapshot(1, "A") + signal(2), {}),
        ("signal", wire.synced("main", EPOCH, 6) + signal(7) + signal(8), KNOWN),
        ("synced", snapshot(1, "A") + signal(2), {}),
        ("blind", snapshot(1, "A") + signal(2), {}),
        ("provider", wire.status("main", True, 1) + snapshot(1, "A"), {}),
        ("epoch", snapshot(9, "X", epoch=OTHER) + signal(10), KNOWN),
        ("paused", wire.paused("main", "frozen") + snapshot(1, "A"), {}),
        ("flattened", wire.flattened("main") + snapshot(1, "A"), {}),
        ("notice", wire.notice("Good night.") + snapshot(1, "A"), {}),
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
    harness.say(*replayed, wire.synced("main", EPOCH, 11))
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
    harness.server.answer = lambda asked: wire.synced("main", EPOCH, 3, "00000003")
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
    harness.server.answer = lambda asked: unreadable + wire.synced("main", EPOCH, 7)
    kept_for = "main" if symbols is None else "main:A,B"
    known = {**KNOWN, "kept_for": kept_for, "positions": [entry("A")]}
    follower = harness.follow(symbols=symbols, **known)
    assert (follower.seq, follower.blind, held(follower)) == (6, True, {"A": "1"})
    assert "cannot be read" in harness.told[-1][1]


@pytest.mark.parametrize("seq", [5, 7])
def test_a_replay_that_ends_elsewhere_than_it_came_is_not_taken_for_whole(harness, seq):
    harness.server.answer = lambda asked: wire.synced("main", EPOCH, seq)
    follower = harness.follow(**KNOWN)
    assert (follower.seq, follower.blind) == (6, True)


def test_a_pause_is_confirmed_on_the_connection_that_says_synced(harness):
    harness.server.answer = lambda asked: snapshot(1, "A") + wire.paused("main", "frozen")
    harness.follow()
    harness.server.answer = lambda asked: snapshot(1, "A")
    harness.reconnect()
    harness.server.answer = lambda asked: messages.heartbeat(1)  # a long replay has not ended
    harness.reconnect()
    assert harness.names.count("paused") == 1
    harness.say(snapshot(1, "A"), wire.paused("main", "frozen"), messages.heartbeat(1))
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


# Programs that fail


def fail_once(harness, name):
    """Let a callback raise, the first time it is called."""
    works = getattr(harness.follower._on, name)

    def fail(*told):
        harness.follower._on = replace(harness.follower._on, **{name: works})
        raise RuntimeError("The broker does not answer.")

    harness.follower._on = replace(harness.follower._on, **{name: fail})


def test_a_signal_on_which_the_program_failed_comes_again_before_the_next(harness):
    harness.server.answer = lambda asked: wire.synced("main", EPOCH, 6, KNOWN["h"])
    follower = harness.follow(**KNOWN, positions=[entry("A")])
    fail_once(harness, "signal")
    with pytest.raises(RuntimeError):
        harness.say(signal(7, "A", "0"), signal(8, "B"))
    assert (follower.seq, follower.h, held(follower)) == (6, "0000beef", {"A": "1"})
    assert harness.line.connection.client.aborted
    missed = signal(7, "A", "0") + signal(8, "B") + wire.synced("main", EPOCH, 8)
    harness.server.answer = lambda asked: missed
    wait(harness, 3)
    assert harness.server.asked[-1].after == 6
    assert [each[1].seq for each in harness.told if each[0] == "signal"] == [7, 8]


def test_a_state_on_which_the_program_failed_comes_again(harness):
    harness.server.answer = lambda asked: b""
    follower = harness.follow()
    fail_once(harness, "snapshot")
    with pytest.raises(RuntimeError):
        harness.say(snapshot(3, "A", "B"))
    assert (follower.epoch, follower.seq, held(follower)) == (None, 0, {})
    harness.server.answer = lambda asked: snapshot(3, "A", "B")
    wait(harness, 3)
    assert harness.names.count("snapshot") == 1
    assert held(follower) == {"A": "1", "B": "1"}


def test_a_program_that_fails_again_and_again_is_called_after_delays_that_grow(harness):
    harness.server.answer = lambda asked: signal(7) + wire.synced("main", EPOCH, 7)
    harness.told, calls = [], []

    def fail(signal):
        calls.append(harness.clock.seconds())
        raise RuntimeError("never")

    follower = Follower(harness.line, harness.clock, on_signal=fail, **KNOWN)
    follower.startService()
    for _ in range(300):
        with suppress(RuntimeError):
            harness.line.settle()
        harness.clock.advance(1)
    assert 8 < len(calls) < 30
    assert follower.seq == 6


# Servers that are not there


def wait(harness, seconds):
    for _ in range(seconds):
        harness.line.settle()
        harness.clock.advance(1)
    harness.line.settle()


def test_a_server_that_is_not_there_is_named_once_until_it_is_there(harness):
    harness.line.factory = ConnectionRefusedError("Connection refused")
    told = []
    harness.follow(on_unreachable=told.append)
    wait(harness, 100)
    assert told == ["No connection to the server: Connection refused."]
    harness.line.factory = harness.server
    seconds = 0
    while harness.follower.blind and seconds < 31:
        wait(harness, 1)
        seconds += 1
    assert not harness.follower.blind
    harness.line.factory = ConnectionRefusedError("Connection refused")
    harness.line.connection.cut()
    wait(harness, 100)
    assert len(told) == 2


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
