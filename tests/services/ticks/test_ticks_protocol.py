"""The tick port for streams, bytes in and bytes out."""

import re

import pytest
from tick_server import Server
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from mtnet.interfaces import IListenerAware, IServicePlugin, ITicks
from mtnet.net.time_slices import TimeSlicer
from mtnet.plugins.ticks import ticks
from mtnet.services.ticks import connection
from mtnet.services.ticks.ingest import StreamIngest
from mtnet.testing import EPOCH

STRANGER = {"host": "192.0.2.1", "peer": "192.0.2.9"}


def test_the_plugin_and_its_factory_keep_their_interfaces(env_with):
    assert verifyObject(IServicePlugin, ticks)
    assert verifyObject(IListenerAware, env_with().factory("ticks"))


# Lines

SCRIPT = (
    b"EURUSD 1.1\nEURUSD\t1.2  1.3\r\n@@desk 7\r\nGBPUSD;1.5;;1.6\0\nPING:\r\nbad\n"
    b"@@desk 8\nEURUSD 1.4\0SYNC:\nUNSUBSCRIBE: X\0@@other x\nXAUUSD,2000,2001\r\nSYNC:\r\n"
    b"EURUSD 1.5"
)
SCRIPT_STORED = (
    ["EURUSD 1.1", "EURUSD 1.2 1.3", "EURUSD 1.4", "EURUSD 1.5"],
    ["GBPUSD 1.5 - 1.6"],
    ["XAUUSD 2000 2001"],
)
SCRIPT_ANSWERS = re.compile(
    rb"OK: PONG\r\nERR: tick [^\r\n]+\r\nOK: SYNC 4\r\nOK: UNSUBSCRIBED X\r\nOK: SYNC 5\r\n"
)


def play(server, pieces):
    terminal, answers = server.dial(), b""
    for piece in pieces:
        answers += server.say(terminal, piece)
    answers += server.finish(terminal)
    stored = server.stored()
    by_symbol = tuple(
        [record for record in stored if record.startswith(symbol)] for symbol in ("EU", "GB", "XA")
    )
    return by_symbol, answers, server.count("received", "refused")


@pytest.mark.parametrize("at", range(len(SCRIPT) + 1))
def test_a_script_that_is_cut_anywhere_into_two_reads_means_the_same(serve, at):
    stored, answers, counts = play(serve(), [SCRIPT[:at], SCRIPT[at:]] if at else [SCRIPT])
    assert stored == SCRIPT_STORED
    assert SCRIPT_ANSWERS.fullmatch(answers)
    assert counts == [8, 2]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_a_script_in_reads_of_any_size_means_the_same(serve, size):
    pieces = [SCRIPT[at : at + size] for at in range(0, len(SCRIPT), size)]
    stored, answers, counts = play(serve(), pieces)
    assert stored == SCRIPT_STORED
    assert SCRIPT_ANSWERS.fullmatch(answers)
    assert counts == [8, 2]


def test_a_long_read_is_cut_into_slices_and_loses_nothing(serve):
    server = serve()
    server.ask(b"".join(b"EURUSD %d\n" % tick for tick in range(10_000)))
    assert server.stored() == [f"EURUSD {tick}" for tick in range(10_000)]


@pytest.mark.parametrize("empty", [b"\n\n\n", b"\0\0\0", b"\r\n\r\n", b"\n\0\r\n"])
def test_empty_lines_are_nothing(serve, empty):
    server = serve()
    assert server.ask(empty + b"EURUSD 1.1" + empty + b"EURUSD 1.2\n" + empty) == b""
    assert server.stored() == ["EURUSD 1.1", "EURUSD 1.2"]
    assert server.count("received", "refused") == [2, 0]


def test_a_port_is_paused_while_bytes_wait_and_read_again_afterwards(serve, clock):
    server = serve()
    terminal = server.dial()
    terminal.send(b"EURUSD 1.1\n")
    assert server.count("received") == [1], "little is read at once"
    assert terminal.transport.producerState == "producing"
    terminal.send(b"SYNC:\nEURUSD 1.2\n")
    assert server.count("received") == [1]
    assert terminal.transport.producerState == "paused"
    clock.advance(0)
    assert server.count("received") == [2]
    assert terminal.transport.producerState == "producing"


# Tails


@pytest.mark.parametrize("tail", [b"EURUSD 1.2", b"EURUSD 1.2\r", b"E U"])
def test_a_tail_counts_when_the_peer_said_all(serve, tail):
    server = serve()
    terminal = server.dial()
    server.say(terminal, b"EURUSD 1.1\n" + tail)
    server.finish(terminal)
    whole = [] if tail == b"E U" else ["EURUSD 1.2"]
    assert server.stored() == ["EURUSD 1.1", *whole]
    assert server.count("received", "refused") == [2, 0 if whole else 1]


def test_a_tail_counts_when_the_whole_connection_was_closed_cleanly(serve, clock):
    server = serve()
    terminal = server.dial()
    server.say(terminal, b"EURUSD 1.1")
    terminal.protocol.connectionLost(Failure(ConnectionDone()))
    clock.advance(0)
    assert server.stored() == ["EURUSD 1.1"]


def test_a_tail_counts_once_although_two_ends_are_told(serve, clock):
    server = serve()
    terminal = server.dial()
    server.say(terminal, b"EURUSD 1.1")
    server.finish(terminal)
    terminal.hang_up()
    clock.advance(0)
    assert server.stored() == ["EURUSD 1.1"]


def test_a_tail_behind_a_reset_may_be_cut_and_is_refused(serve, warnings):
    server = serve()
    terminal = server.dial()
    server.say(terminal, b"EURUSD 1.1\nEURUSD 1.09")
    server.cut(terminal)
    assert server.stored() == ["EURUSD 1.1"]
    assert server.count("received", "refused") == [2, 1]
    (line,) = warnings()
    assert "is cut off within a record" in line["what"]


@pytest.mark.parametrize("head", [b"G", b"<", b"POST"])
def test_first_bytes_that_never_became_anything_are_refused_when_the_peer_ends(serve, head):
    server = serve()
    terminal = server.dial()
    server.say(terminal, head)
    server.finish(terminal)
    assert server.stored() == []
    assert server.count("received", "refused") == [1, 1]
    assert not terminal.reset


def test_a_command_without_a_separator_is_answered_when_the_peer_said_all(serve):
    server = serve()
    terminal = server.dial()
    assert server.say(terminal, b"EURUSD 1.1\nSYNC:") == b""
    assert server.finish(terminal) == b"OK: SYNC 1\r\n"
    assert terminal.closed
    assert not terminal.reset


def test_what_was_read_before_the_peer_vanished_is_taken(serve):
    server = serve()
    terminal = server.dial()
    terminal.send(b"EURUSD 1.1\nEURUSD 1.2\n")
    server.cut(terminal)
    assert server.stored() == ["EURUSD 1.1", "EURUSD 1.2"]


def test_a_connection_that_ends_leaves_no_timer_and_no_subscriber(serve, clock):
    server = serve()
    for _ in range(20):
        terminal = server.dial()
        server.say(terminal, b"SUBSCRIBE: *\nEURUSD 1.1\n")
        server.cut(terminal)
    server.stored()
    assert server.count("subscribers") == [0]
    assert clock.getDelayedCalls() == []


# What does not belong here


def test_a_record_of_512_bytes_is_a_record(serve):
    server = serve()
    terminal = server.dial()
    server.say(terminal, b"EURUSD 1.1" + b" " * 502 + b"\r\n")
    assert server.stored() == ["EURUSD 1.1"]
    assert not terminal.closed


@pytest.mark.parametrize("size", [None, 1, 512])
@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"\0", b""])
def test_a_longer_one_resets_its_connection_and_the_lines_before_it_count(
    serve, warnings, separator, size
):
    server = serve()
    terminal = server.dial()
    overlong = b"EURUSD 1.2" + b" " * (503 if separator else 600) + separator
    answer = server.say(terminal, b"EURUSD 1.1\nPING:\n" + overlong + b"EURUSD 1.3\n", size)
    assert terminal.reset
    assert answer == b"OK: PONG\r\n"
    assert server.stored() == ["EURUSD 1.1"]
    assert len(warnings()) == 1


METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT")


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize(
    "head",
    [
        *(f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for method in METHODS),
        b"<<EURUSD|1.00>>\0",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_speaks_something_else_is_reset_and_stores_nothing(serve, warnings, head, size):
    server = serve()
    page = server.dial()
    assert server.say(page, head + b"\nEURUSD 1.1\nEURUSD 1.2\n", size) == b""
    assert page.reset
    assert server.stored() == []
    assert server.count("received") == [0]
    assert len(warnings()) == 1


def test_a_slow_browser_is_reset_too(serve, clock):
    server = serve()
    page = server.dial()
    server.say(page, b"PO")
    clock.advance(60)
    server.say(page, b"ST / HTTP/1.1\r\n\r\nEURUSD 1.1\n")
    assert page.reset
    assert server.stored() == []


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("symbol", ["EURUSD", "G", "GBPUSD", "POSTX", "OPTION", "C", "T", "#POST"])
def test_a_symbol_that_begins_as_a_method_does_is_a_symbol(serve, symbol, size):
    server = serve()
    server.ask(f"{symbol} 1.1\n".encode(), size)
    assert server.stored() == [f"{symbol} 1.1"]


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("record", [b"POST\t1.1\n", b"GET;1.1\n", b"PUT,1.1\r\n"])
def test_a_symbol_named_as_a_method_is_one_before_any_other_separator(serve, record, size):
    server = serve()
    server.ask(record, size)
    assert server.stored() == [record[:-1].decode().strip().translate({9: " ", 59: " ", 44: " "})]


def test_a_method_is_a_symbol_behind_the_first_record(serve):
    server = serve()
    server.ask(b"EURUSD 1.1\nPOST 1.2\n")
    assert server.stored() == ["EURUSD 1.1", "POST 1.2"]


def test_nothing_is_heard_of_a_connection_that_was_reset(serve):
    server = serve()
    page = server.dial()
    server.say(page, b"POST / HTTP/1.1\r\n")
    page.protocol.dataReceived(b"EURUSD 1.1\nPING:\n")
    server.cut(page)
    assert page.received() == b""
    assert server.stored() == []


def test_a_bug_ends_its_connection_with_one_failure_in_the_log_and_no_other(
    serve, log, monkeypatch
):
    def fail(stream, text):
        raise ValueError("a bug")

    server = serve()
    broken, other = server.dial(), server.dial()
    with monkeypatch.context() as patch:
        patch.setattr(StreamIngest, "take", fail)
        server.say(broken, b"EURUSD 1.1\n")
    server.say(other, b"EURUSD 1.2\n")
    assert broken.reset
    assert not other.closed
    assert server.stored() == ["EURUSD 1.2"]
    assert len([event for event in log if "log_failure" in event]) == 1


# Bad records


def test_bad_records_are_told_at_most_once_a_second_and_the_good_ones_kept(serve, clock):
    server = serve()
    terminal = server.dial()
    answers = [server.say(terminal, b"bad\nEURUSD %d\n" % at) for at in range(10)]
    assert b"".join(answers).count(b"ERR: tick ") == 1
    clock.advance(0.99)
    assert server.say(terminal, b"bad\n") == b""
    clock.advance(0.01)
    assert server.say(terminal, b"bad\n").count(b"ERR: ") == 1
    assert server.stored() == [f"EURUSD {at}" for at in range(10)]
    assert server.count("refused") == [12]


def test_an_error_quotes_no_line_break_of_the_record(serve):
    answer = serve().ask(b"EURUSD \r1.1 \x1b[2J\n")
    assert answer.count(b"\r") == answer.count(b"\n") == 1
    assert b"\x1b" not in answer


def test_one_network_cannot_fill_the_log(serve, warnings):
    server = serve()
    for _ in range(20):
        server.ask(b"bad\n" * 10)
    assert len(warnings()) == 5


# The end, and answers that nobody reads


def test_a_sender_that_said_all_is_closed_cleanly(serve):
    server = serve()
    terminal = server.dial()
    server.say(terminal, b"EURUSD 1.1\n")
    server.finish(terminal)
    assert terminal.closed
    assert not terminal.reset


def test_commands_of_a_peer_that_does_not_read_its_answers_wait_until_it_does(
    serve, clock, monkeypatch
):
    monkeypatch.setattr(connection, "BUDGET", 2_000)
    server = serve()
    terminal = server.dial()
    terminal.transport.stalled = True
    answered = server.say(terminal, b"PING:\n" * 3_000).count(b"PONG")
    assert answered < 1_000
    assert terminal.transport.producerState == "paused"
    terminal.transport.stalled = False
    terminal.transport.drain()
    clock.advance(0)
    assert answered + terminal.received().count(b"PONG") == 3_000
    assert terminal.transport.producerState == "producing"


# Silence


@pytest.mark.parametrize("said", [b"", b"PING:\n", b"SYNC:\n", b"@@desk 1\n", b"EURUSD 1.1"])
def test_a_connection_that_never_began_is_reset_after_its_idle_time(serve, clock, warnings, said):
    server = serve("ticks.idle=600")
    terminal = server.dial()
    server.say(terminal, said)
    clock.advance(599.9)
    assert not terminal.closed
    clock.advance(0.1)
    assert terminal.reset
    assert len(warnings()) == 1
    assert server.stored() == []


@pytest.mark.parametrize("said", [b"EURUSD 1.1\n", b"@@desk 1\nEURUSD 1.1\n", b"SUBSCRIBE: *\n"])
def test_a_connection_that_began_may_be_silent_for_ever(serve, clock, said):
    server = serve("ticks.idle=600")
    terminal = server.dial()
    server.say(terminal, said)
    clock.pump([60.0] * 2_000)
    assert not terminal.closed
    assert server.say(terminal, b"PING:\n").endswith(b"OK: PONG\r\n")


# Rights


def test_strangers_who_may_only_read_store_nothing_and_are_told_so(serve, warnings):
    server = serve("access.anonymous=read")
    server.ask(b"EURUSD 1.1\n")
    stranger = server.dial(**STRANGER)
    assert server.say(stranger, b"EURUSD 1.2\nEURUSD 1.3\n").startswith(b"ERR: denied ")
    assert server.say(stranger, b"SUBSCRIBE: EURUSD\nSYNC:\n").splitlines() == [
        b"OK: SUBSCRIBED EURUSD",
        b"TICK: EURUSD 1.1 - - - - - %d" % EPOCH,
        b"OK: SYNC 0",
    ]
    assert server.stored() == ["EURUSD 1.1"]
    assert server.count("received", "refused") == [3, 2]
    assert len(warnings()) == 1


def test_strangers_who_may_only_send_are_told_nothing(serve):
    server = serve("access.anonymous=send")
    stranger = server.dial(**STRANGER)
    assert server.say(stranger, b"EURUSD 1.1\nSUBSCRIBE: *\n").startswith(b"ERR: denied ")
    server.ask(b"EURUSD 1.2\n")
    assert stranger.received() == b""
    assert server.stored() == ["EURUSD 1.1", "EURUSD 1.2"]


def test_strangers_of_whom_nothing_is_said_may_do_nothing(serve):
    server = serve()
    answer = server.ask(b"EURUSD 1.1\nSUBSCRIBE: *\n", **STRANGER)
    assert answer.count(b"ERR: denied ") == 2
    assert server.stored() == []
    assert server.count("subscribers") == [0]


def test_the_header_of_a_stranger_who_may_not_send_changes_no_source(serve):
    server = serve("access.anonymous=read")
    server.ask(b"@@desk 7\nEURUSD 1\nEURUSD 2\n")
    server.ask(b"@@desk 999999\n@@desk 7\nPING:\n@@desk 1\nEURUSD 3\n@@nobody 1\n", **STRANGER)
    desk = server.env.find(ITicks).source("desk")
    assert (desk.highest, desk.missing, desk.restarts) == (7, 0, 0)
    assert server.count("sources") == [1]
    server.ask(b"@@desk 7\nEURUSD 1\nEURUSD 2\n")
    assert server.stored() == ["EURUSD 1", "EURUSD 2"]


# Fairness


class Reactor(Clock):
    """A clock whose time passes while work is done: a turn with each look at it."""

    def seconds(self):
        self.rightNow += 1.0
        return self.rightNow

    def turn(self):
        due, self.calls = self.calls, []
        for call in due:
            call.called = 1
            call.func(*call.args, **call.kw)


def test_a_flood_on_one_connection_delays_another_by_no_more_than_a_turn(env_with):
    reactor = Reactor()
    server = Server(env_with("reserve=0"), TimeSlicer(reactor, 0.5))
    flooding, other = server.dial(), server.dial()
    flooding.send(b"EURUSD 1.1\n" * 100_000)
    for _ in range(3):
        reactor.turn()
    (before,) = server.count("waiting")
    assert before < 3_000, "a turn takes a slice"
    other.send(b"GBPUSD 1.3\nPING:\n")
    answered = 0
    while not other.transport.value() and answered < 10:
        reactor.turn()
        answered += 1
    assert answered <= 3
    assert server.count("waiting")[0] - before < 1_500


@pytest.mark.parametrize(
    "line",
    [
        b"LOGIN:\tdesk hunter2",
        b" LOGIN: desk hunter2",
        b"LOGIN:desk hunter2",
        b"login: desk hunter2",
        b"LOGN: desk hunter2",
    ],
)
def test_a_login_with_a_typing_error_is_not_repeated(serve, log, line):
    server = serve()
    answer = server.say(server.dial(), line + b"\n")
    assert answer.startswith(b"ERR: ")
    assert b"hunter2" not in answer
    assert not any("hunter2" in str(event) for event in log)


def test_a_symbol_may_be_asked_for_in_any_spelling(serve):
    server = serve()
    reader = server.dial()
    asked = b"SUBSCRIBE: EURUSD.\xa3 %5BNQ100%5D\n"
    assert server.say(reader, asked) == "OK: SUBSCRIBED EURUSD.£ [NQ100]\r\n".encode()
    server.ask(b"EURUSD.%C2%A3 1\n[NQ100] 2\n")
    got = reader.received().decode()
    assert [line.split()[1] for line in got.splitlines()] == ["EURUSD.£", "[NQ100]"]
    answer = server.say(reader, "UNSUBSCRIBE: EURUSD.£\n".encode())
    assert answer == "OK: UNSUBSCRIBED EURUSD.£\r\n".encode()


@pytest.mark.parametrize("word", [b"<X>", b"A|B", b"%00", b"X" * 33])
def test_what_is_no_symbol_cannot_be_asked_for(serve, word):
    assert serve().ask(b"SUBSCRIBE: " + word + b"\n").startswith(b"ERR: symbol A symbol has")
