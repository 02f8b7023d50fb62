"""The port of classic programs: bytes in, bytes out, without a reactor."""

import pytest
from fakes.daemon import REMOTE, hello
from hypothesis import given
from hypothesis import strategies as st
from test_sentiment_verbs import enter, numbers, serve, vote

from mtnet.interfaces import IStatus
from mtnet.services.sentiment.classic.queue import SumQueue

PORT = "listen.sentiment=tcp:8085:interface=127.0.0.1"
ANONYMOUS = "access.anonymous=publish:sentiment"


@pytest.fixture
def daemon(tmp_path, clock):
    return serve(tmp_path, clock, PORT, ANONYMOUS, "sentiment.min_clients=1")


def dial(daemon, peer="127.0.0.7"):
    terminal = daemon.dial("sentiment", peer=peer)

    def say(data=b"", seconds=0.0):
        terminal.send(data)
        daemon.clock.advance(seconds)
        return terminal.received()

    say.terminal = terminal
    return say


def test_the_sum_comes_back_at_once_and_at_each_change(daemon):
    one, two = dial(daemon), dial(daemon, "127.0.0.8")
    assert one(b"<<EURUSD|0.25>>") == b"<<EURUSD|0.25>>\r\n"
    assert two(b"<<EURUSD|-1.00>>") == b"<<EURUSD|-0.75>>\r\n"
    assert one(seconds=2.5) == b"<<EURUSD|-0.75>>\r\n"
    assert two(b"<<EURUSD|0.00>>", seconds=2.5) == b"<<EURUSD|0.25>>\r\n"
    assert one(seconds=2.5) == b"<<EURUSD|0.25>>\r\n"


def test_a_connection_that_has_sent_no_frame_is_sent_nothing(daemon):
    silent, spoken = dial(daemon), dial(daemon, "127.0.0.8")
    spoken(b"<<EURUSD|1.00>>")
    for data in (b"", b"\0", b"\r\n", b" \0"):
        assert silent(data, seconds=70) == b""
    assert not silent.terminal.closed


def test_one_frame_leaves_each_pace_and_has_the_sum_of_its_moment(daemon):
    one, two = dial(daemon), dial(daemon, "127.0.0.8")
    assert one(b"<<A|1.00>><<B|2.00>><<C|3.00>>") == b"<<A|1.00>>\r\n"
    two(b"<<C|7.00>>")
    assert one(seconds=2.4) == b""
    assert one(seconds=0.1) == b"<<B|2.00>>\r\n"
    assert one(seconds=2.5) == b"<<C|10.00>>\r\n"
    assert one(seconds=10) == b""


def test_after_silence_each_sum_comes_again(daemon):
    one = dial(daemon)
    one(b"<<A|1.00>><<B|2.00>>")
    one(seconds=2.5)
    assert one(seconds=59) == b""
    assert one(seconds=1) == b"<<A|1.00>>\r\n"
    assert one(seconds=2.5) == b"<<B|2.00>>\r\n"


def test_below_the_floor_the_sum_is_flat(tmp_path, clock):
    daemon = serve(tmp_path, clock, PORT, ANONYMOUS)
    programs = [dial(daemon, f"127.0.0.{number}") for number in range(1, 4)]
    assert programs[0](b"<<EURUSD|0.25>>") == b"<<EURUSD|0.00>>\r\n"
    assert programs[1](b"<<EURUSD|0.25>>") == b"<<EURUSD|0.00>>\r\n"
    assert programs[2](b"<<EURUSD|0.25>>") == b"<<EURUSD|0.75>>\r\n"
    assert programs[0](seconds=2.5) == b"<<EURUSD|0.75>>\r\n"


def test_without_a_login_its_network_has_one_vote_with_sessions(daemon):
    one, two = dial(daemon), dial(daemon)
    one(b"<<EURUSD|1.00>>")
    assert two(b"<<EURUSD|2.00>>") == b"<<EURUSD|2.00>>\r\n"
    assert numbers(enter(daemon, "ann")(vote("EURUSD", "1"))) == [("EURUSD", "3.00", "0.00", 2)]


def test_the_vote_lingers_when_the_connection_ends(daemon):
    one, two = dial(daemon), dial(daemon, "127.0.0.8")
    one(b"<<EURUSD|1.00>>")
    one.terminal.hang_up()
    assert two(b"<<EURUSD|1.00>>") == b"<<EURUSD|2.00>>\r\n"
    assert two(seconds=59) == b""
    assert two(seconds=1.5) == b"<<EURUSD|1.00>>\r\n"


def test_the_buffers_of_classic_programs_are_taken_as_they_are(daemon):
    one = dial(daemon)
    assert one(b"<<GBPUSD|-10.25>>\0") == b"<<GBPUSD|-10.25>>\r\n"
    assert one(b"<<GBPUSD|0.00>>\0>\0", seconds=2.5) == b"<<GBPUSD|0.00>>\r\n"
    assert one(b"<<EURUSD.\xa3|1.00>>", seconds=2.5) == b"<<EURUSD.\xa3|1.00>>\r\n"


@pytest.mark.parametrize("size", range(1, 9))
def test_frames_may_be_cut_anywhere(daemon, size):
    one = dial(daemon)
    one.terminal.send(b"<<EURUSD|0.25>>\0<<EURUSD|0.50>>\r\n", size)
    daemon.clock.advance(2.5)
    assert one().endswith(b"<<EURUSD|0.50>>\r\n")


# What is refused


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n<<EURUSD|99.00>>",
        b"POST / HTTP/1.1\r\n\r\n<<EURUSD|99.00>>",
        b"\x16\x03\x01\x02\x00",
        b"<<HELLO|v=2|login=ann|password=secret>><<EURUSD|1.00>>",
        b"<<" + b"x" * 5_000,
        b"x" * 5_000,
    ],
)
def test_what_is_no_classic_program_is_reset_and_nothing_of_it_counts(daemon, data):
    one = dial(daemon)
    assert one(data) == b""
    assert one.terminal.reset
    component = daemon.env.components.services["sentiment"]
    assert IStatus(component).status()["symbols"] == 0


def test_a_bad_frame_costs_itself_alone(daemon):
    one = dial(daemon)
    answer = one(b"<<EURUSD|much>><<EURUSD|1|2>><<|1.00>><<EURUSD|1.00>>")
    assert answer == b"<<EURUSD|1.00>>\r\n"


def test_too_many_bad_frames_end_the_connection(tmp_path, clock):
    daemon = serve(tmp_path, clock, PORT, ANONYMOUS, "sentiment.refusals=5")
    one = dial(daemon)
    one(b"<<EURUSD|much>>" * 4)
    assert not one.terminal.closed
    one(b"<<EURUSD|much>>")
    assert one.terminal.reset


@pytest.mark.parametrize("data", [b"<<EURUSD|1.0", b"EURUSD|1.00\r\n", b"<"])
def test_bytes_without_a_whole_frame_are_waited_for_and_not_for_ever(daemon, data):
    one = dial(daemon)
    one(data, seconds=9)
    assert not one.terminal.closed
    one(seconds=1)
    assert one.terminal.reset


def test_a_half_frame_at_the_end_is_a_reset_and_a_whole_one_a_clean_close(daemon):
    one, two = dial(daemon), dial(daemon)
    one(b"<<EURUSD|1.0")
    one.terminal.finish()
    assert one.terminal.reset
    two(b"<<EURUSD|1.00>>\0")
    two.terminal.finish()
    assert not two.terminal.reset
    assert two.terminal.closed or two.terminal.transport.ended


def test_who_may_not_vote_is_closed_after_a_while(tmp_path, clock):
    daemon = serve(tmp_path, clock, PORT)
    one = dial(daemon)
    assert one(b"<<EURUSD|1.00>>") == b""
    one(seconds=5)
    assert one.terminal.reset


def test_a_right_to_some_symbols_is_one_to_these(tmp_path, clock):
    daemon = serve(
        tmp_path, clock, PORT, "access.anonymous=publish:sentiment/EUR*", "sentiment.min_clients=1"
    )
    one = dial(daemon)
    assert one(b"<<GBPUSD|1.00>><<EURUSD|1.00>>") == b"<<EURUSD|1.00>>\r\n"


def test_symbols_of_one_connection_are_limited(tmp_path, clock):
    daemon = serve(tmp_path, clock, PORT, ANONYMOUS, "sentiment.max_symbols=2", "sentiment.pace=0")
    one = dial(daemon)
    answer = one(b"<<A|0.00>><<B|0.00>><<C|0.00>><<A|0.00>>")
    assert answer == b"<<A|0.00>>\r\n<<B|0.00>>\r\n<<A|0.00>>\r\n"


def test_who_does_not_read_is_reset_and_delays_nobody(daemon):
    slow, other = dial(daemon), dial(daemon, "127.0.0.8")
    slow.terminal.transport.stalled = True
    slow(b"<<EURUSD|1.00>>")
    for volume in range(1, 20):
        other(f"<<EURUSD|{volume}.00>>".encode(), seconds=2.5)
    assert not slow.terminal.reset
    other(seconds=20)
    assert slow.terminal.reset


def test_an_address_of_the_network_is_served_alike(daemon):
    terminal = daemon.dial("sentiment", **REMOTE)
    assert daemon.say(terminal, b"<<EURUSD|1.00>>") == b"<<EURUSD|1.00>>\r\n"


def test_the_port_alone_turns_sentiment_on(tmp_path, clock):
    daemon = serve(tmp_path, clock, "sentiment.enabled=false", PORT)
    assert b"sentiment" in daemon.say(daemon.dial("signals"), hello("ann"))


# The queue


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.floats(0, 5)), max_size=40),
    st.sampled_from([0.0, 2.5]),
)
def test_every_symbol_that_is_offered_leaves_in_time_and_none_before_the_pace(offers, pace):
    queue, when, last, waiting = SumQueue(pace, 0, 0.0), 0.0, None, set()
    for symbol, pause in offers:
        queue.offer(symbol)
        waiting.add(symbol)
        until = when + pause
        while (due := queue.due()) is not None and max(due, when) <= until:
            when = max(due, when)
            taken = queue.take(when)
            assert taken in waiting
            waiting.discard(taken)
            assert last is None or when >= last + pace
            last = when
        when = until
        assert not waiting or when < last + pace
