"""A client of dialect 2 from HELLO to the end, bytes in and bytes out."""

import pytest
from signals_peers import HELLO, Server, frame, gone, short, told

from mtnet.services.signals.status.report import Status
from mtnet.services.signals.wire import requests
from mtnet.session import messages


@pytest.fixture
def server(tmp_path, clock):
    return Server(tmp_path / "data", clock)


@pytest.fixture
def serve(tmp_path, clock):
    return lambda *sets: Server(tmp_path / "data", clock, *sets)


WELCOME = "WELCOME|v=2|heartbeat=5"


def pings(frames):
    return [each for each in frames if each.startswith("PING")]


# HELLO


def test_hello_is_answered_with_the_epoch_of_main(server):
    terminal = server.dial()
    terminal.send(HELLO)
    answer = f"<<WELCOME|v=2|epoch={server.epoch()}|heartbeat=5|time=1700000000000|services="
    assert terminal.received().startswith(answer.encode() + b"signals")


@pytest.mark.parametrize("junk", [b"", b"\0\r\n", b"tail>>", b"<"])
def test_hello_is_heard_however_it_is_cut(server, junk):
    talk = junk + HELLO + b"\0" + frame("PING", t="x") + b"\r\n"
    for at in range(len(talk)):
        terminal = server.dial()
        terminal.send(talk[:at])
        terminal.send(talk[at:])
        assert told(terminal) == [WELCOME, "PONG"]
        terminal.hang_up()
    terminal = server.dial()
    terminal.send(talk, 1)
    assert told(terminal) == [WELCOME, "PONG"]


def test_a_classic_follower_may_say_hello_later(server, clock):
    server.dial().send(b"<<GBPUSD|1>>")
    terminal = server.follow()
    assert terminal.received() == b"<<GBPUSD|1.00>>\r\n"
    terminal.send(HELLO + requests.subscribe())
    assert [each.partition("|")[0] for each in told(terminal)][:2] == ["WELCOME", "SNAPSHOT"]
    server.dial().send(b"<<EURUSD|1>>")
    clock.pump([1.0] * 100)
    assert not any(each.startswith(("GBP", "EUR")) for each in told(terminal))


def test_nothing_of_dialect_2_is_sent_to_a_connection_without_hello(server, clock):
    followers = [server.follow(), server.dial()]
    followers[1].send(b"\0\0")
    master = server.dial()
    master.send(b"<<GBPUSD|1>>")
    refused = server.dial()
    refused.send(frame("PING") + frame("SUBSCRIBE", channel="main") + b"<<X|nan>>")
    publisher = server.greet()
    server.publish(publisher, "a", "2")
    publisher.hang_up()
    for _ in range(100):
        clock.advance(1)
        for each in followers:
            for line in each.received().split(b"\r\n")[:-1]:
                assert line in (b"<<GBPUSD|1.00>>", b"<<GBPUSD|2.00>>")
    assert master.received() == b""


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (b"<<HELLO>>", "field"),
        (b"<<HELLO|v=1>>", "field"),
        (b"<<HELLO|v=2|login=a>>", "field"),
        (b"<<HELLO|v=2|v=2>>", "field"),
        (b"<<HELLO|v=2|name=%>>", "field"),
        (b"<<HELLO|v=2|login=anna|password=s3cret>>", "login"),
    ],
)
def test_a_hello_that_is_refused_is_answered_with_an_error_and_closed(server, clock, hello, code):
    terminal = server.dial()
    terminal.send(hello + requests.subscribe())
    data = terminal.received()
    assert data.count(b"\n") == 1
    assert data.startswith(f"<<ERROR|code={code}|".encode())
    assert b"s3cret" not in data
    assert gone(terminal)
    assert not server.signals.channels.sessions
    terminal.hang_up()
    clock.advance(0)
    assert clock.getDelayedCalls() == []


def test_hello_may_be_said_again(server):
    terminal = server.subscribe()
    told(terminal)
    terminal.send(messages.hello(name="desk"))
    assert told(terminal) == [WELCOME]
    server.dial().send(b"<<GBPUSD|1>>")
    assert told(terminal)[0].startswith("SIGNAL")
    assert len(server.signals.channels.sessions) == 1


# No password in the log


@pytest.mark.parametrize("size", [None, 1, 3, 7])
@pytest.mark.parametrize(
    "said",
    [
        b"<<HELLO|v=2|login=anna|password=s3c<<ret>>",
        b"<<HELLO|v=2|login=anna|password=s3cret",
        b"<<hello|v=2|login=anna|password=s3cret>>",
        b"<<Hello|password=s3c<<ret>>",
        b"<<HELLO|v=2|login=anna|password=s3c>>ret>>",
        b"<<HELLO|v=2|login=anna|password=s3cret" + b"x" * 5_000,
        b"<<HELLO|v=2|login=anna|password=" + b"s3cret" * 500 + b">>",
        HELLO + b"<<HELLO|v=2|login=anna|password=" + b"s3cret" * 500 + b">>",
        HELLO + b"<<HELLO|v=2|login=anna|password=s3cret" + b"x" * 5_000,
        HELLO + b"<<HELLO|v=2|login=anna|password=s3c<<ret>>",
        b"<<PASS|v=2|s3cret>>",
    ],
)
def test_no_part_of_a_password_is_logged_or_sent_back(server, log, said, size):
    terminal = server.dial()
    terminal.send(said, size)
    terminal.finish()
    logged = "".join(str(event) for event in log if "what" in event or "log_failure" in event)
    for secret in ("s3c", "ret"):
        assert secret not in logged.replace("secret", "")
    assert b"s3c" not in terminal.received()


# Verbs


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"<<PING>>", "PONG"),
        (b"<<PONG>>", None),
        (b"<<NONSENSE|a=b>>", "ERROR|code=verb"),
        (b"<<GBPUSD|0.25>>", "ERROR|code=field"),
        (
            b"<<PUBLISH|id=x|channel=gold|symbol=A|volume=nan>>",
            "ERROR|code=field|id=x|channel=gold",
        ),
        (b"<<PUBLISH|id=x|symbol=A|volume=1|bad>>", "ERROR|code=field|id=x"),
        (b"<<SUBSCRIBE>>", "ERROR|code=field"),
        (b"<<SUBSCRIBE|channel=a b>>", "ERROR|code=field"),
        (b"<<UNSUBSCRIBE|channel=main>>", "UNSUBSCRIBED|channel=main"),
        (b"<<ACK|channel=main|seq=1>>", None),
        (b"<<ACK|channel=nowhere|seq=1>>", None),
    ],
)
def test_each_verb_is_answered(server, said, answer):
    terminal = server.greet()
    terminal.send(said)
    expected = [] if answer is None else [answer]
    assert told(terminal) == expected
    assert not gone(terminal)


def test_a_ping_gets_back_what_it_said(server):
    terminal = server.greet()
    terminal.send(b"<<PING|t=a%7Cb>>")
    assert terminal.received() == b"<<PONG|t=a%7Cb|time=1700000000000>>\r\n"


def test_bye_closes_behind_what_was_asked_before(server):
    terminal = server.greet()
    terminal.send(b"<<PING>><<BYE>><<PING>>")
    assert told(terminal) == ["PONG"]
    assert gone(terminal)
    assert not terminal.reset


def test_bye_waits_for_what_is_on_its_way_to_the_disk_and_for_nothing_behind_it(server):
    terminal, server.disk.held = server.greet(), True
    server.publish(terminal, "a")
    terminal.send(b"<<BYE>><<PING>>")
    assert not gone(terminal)
    server.disk.work()
    assert told(terminal) == ["STORED|id=a|seq=1"]
    assert gone(terminal)


def test_a_welcomed_client_may_send_longer_frames(server):
    terminal = server.greet()
    terminal.send(b"<<PING|x=%b>>" % (b"x" * 8_000) + b"y" * 8_000 + b"<<PING>>")
    assert told(terminal) == ["PONG", "PONG"]


def test_before_welcome_the_limit_is_that_of_classic_frames(server):
    terminal = server.dial()
    terminal.send(b"<<HELLO|v=2|x=%b>>" % (b"x" * 1_025))
    assert terminal.reset
    terminal = server.dial()
    terminal.send(HELLO + b"<<PING|x=%b>>" % (b"x" * 8_000))
    assert told(terminal)[1:] == ["PONG"]


@pytest.mark.parametrize("said", [b"<<" + b"x" * 8_193 + b">>", b"y" * 16_385])
def test_a_stream_without_frames_is_an_error_and_closed(server, said):
    terminal = server.greet()
    terminal.send(b"<<PING>>" + said)
    assert told(terminal) == ["PONG", "ERROR|code=frame"]
    assert gone(terminal)


def test_twenty_errors_within_a_minute_close_and_not_one_less(server, clock):
    terminal = server.greet()
    for _ in range(19):
        terminal.send(b"<<X>>")
    clock.advance(61)
    terminal.received()
    terminal = server.greet()
    for _ in range(19):
        terminal.send(b"<<X>>")
    assert len(told(terminal)) == 19
    assert not gone(terminal)
    terminal.send(b"<<X>>" * 5)
    assert told(terminal) == ["ERROR|code=verb"]
    assert gone(terminal)


def test_errors_of_different_minutes_do_not_add_up(server, clock):
    terminal = server.greet()
    for _ in range(4):
        terminal.send(b"<<X>>" * 19)
        clock.pump([1.0] * 3)
        terminal.send(b"<<PONG>>")
        for _ in range(60):
            clock.advance(1)
            terminal.send(b"<<PONG>>")
    assert not gone(terminal)


# Heartbeats


def test_after_a_heartbeat_of_silence_the_server_pings_and_after_three_it_closes(server, clock):
    terminal = server.greet()
    clock.pump([1.0] * 4)
    assert told(terminal) == []
    clock.advance(1)
    assert told(terminal) == ["PING"]
    clock.pump([1.0] * 10)
    assert told(terminal) == ["PING", "PING"]
    assert not gone(terminal)
    clock.pump([1.0] * 5)
    assert told(terminal) == ["ERROR|code=timeout"]
    assert gone(terminal)
    assert not server.signals.channels.sessions


def test_pings_name_the_last_signal_of_each_channel(server, clock):
    server.store(3)
    terminal = server.subscribe()
    told(terminal)
    clock.advance(5)
    assert terminal.received() == b"<<PING|time=1700000005000|seqs=main:3>>\r\n"


def test_pings_name_what_came_since(server, clock):
    terminal, publisher = server.subscribe(), server.greet()
    clock.advance(1)
    server.publish(publisher, "a")
    told(terminal)
    clock.advance(5)
    assert terminal.received() == b"<<PING|time=1700000006000|seqs=main:1>>\r\n"


def test_pings_name_no_channel_that_is_still_caught_up_with(server, clock):
    server.store(3)
    server.disk.held = True
    terminal = server.subscribe(epoch=server.epoch(), after=1)
    terminal.received()
    clock.advance(5)
    assert terminal.received() == b"<<PING|time=1700000005000>>\r\n"


@pytest.mark.parametrize("said", [b"<<PONG>>", b"<<PING>>", b"<<X>>"])
def test_a_client_that_sends_something_in_time_stays_connected(server, clock, said):
    terminal = server.greet()
    for turn in range(200):
        clock.advance(1)
        if turn % 14 == 13:
            terminal.send(said)
    assert not gone(terminal)


def test_a_follower_hears_something_at_least_every_heartbeat(server, clock):
    terminal, publisher = server.subscribe(), server.greet()
    told(terminal)
    silent = 0.0
    for turn in range(600):
        clock.advance(0.1)
        silent += 0.1
        terminal.send(b"<<PONG>>")
        publisher.send(b"<<PONG>>")
        if turn % 97 == 0:
            server.publish(publisher, f"n{turn}", turn)
        if terminal.received():
            silent = 0.0
        assert silent < 5.2


def test_a_peer_that_is_told_much_and_says_nothing_is_pinged_and_closed(server, clock):
    terminal, publisher = server.subscribe(), server.greet()
    for turn in range(25):
        server.publish(publisher, f"n{turn}", turn)
        clock.advance(1)
        publisher.send(b"<<PONG>>")
    frames = told(terminal)
    assert len(pings(frames)) == 3
    assert frames[-1] == "ERROR|code=timeout"


def test_the_heartbeat_is_a_setting(serve, clock):
    server = serve("signals.heartbeat=2")
    terminal = server.dial()
    terminal.send(HELLO)
    assert told(terminal) == ["WELCOME|v=2|heartbeat=2"]
    clock.advance(2)
    assert told(terminal) == ["PING"]


# What a follower reports


def test_acknowledgements_are_seen_in_the_status(server):
    server.store(3)
    terminal = server.dial()
    terminal.send(messages.hello(name="desk 7", client="EA 1.0") + requests.subscribe())
    terminal.send(frame("ACK", channel="main", seq=2, status="filled", volume="0.20"))
    terminal.send(frame("ACK", channel="main", seq=3, status="failed", reason="no money"))
    (session,) = Status(server.signals).status()["sessions"]
    assert (session["name"], session["client"]) == ("desk 7", "EA 1.0")
    assert session["channels"] == {
        "main": {
            "sent": 3,
            "acknowledged": 3,
            "behind": 0,
            "late": 0,
            "held": {"GBPUSD": "0.20"},
            "failed": {"GBPUSD": "no money"},
        }
    }
    terminal.send(frame("ACK", channel="main", seq=3, status="released", reason="by hand"))
    assert Status(server.signals).status()["sessions"][0]["channels"]["main"]["failed"] == {}
    terminal.send(frame("ACK", channel="main", seq=10**9, status="filled"))
    assert Status(server.signals).status()["sessions"][0]["channels"]["main"]["acknowledged"] == 3


# The end


def test_a_client_that_half_closes_is_answered_and_then_closed(server):
    terminal = server.greet()
    server.disk.held = True
    server.publish(terminal, "a")
    server.publish(terminal, "b")
    terminal.finish()
    assert not gone(terminal)
    server.disk.work()
    assert told(terminal) == ["STORED|id=a|seq=1", "STORED|id=b|seq=2"]
    assert terminal.closed
    assert not terminal.reset


def test_a_follower_that_has_said_all_goes_on_to_be_told(server):
    terminal = server.subscribe()
    terminal.finish()
    told(terminal)
    server.dial().send(b"<<GBPUSD|1>>")
    assert told(terminal)[0].startswith("SIGNAL")
    assert not gone(terminal)


def test_the_server_closes_its_half_and_then_waits_for_the_peer(server, clock):
    terminal = server.greet()
    terminal.send(b"<<BYE>>")
    assert terminal.transport.ended
    assert not terminal.closed
    terminal.finish()
    assert terminal.closed
    assert not terminal.reset


def test_a_peer_that_never_closes_is_closed_after_a_while(server, clock):
    terminal = server.greet()
    terminal.send(b"<<BYE>>")
    clock.pump([1.0] * 6)
    assert terminal.closed
    terminal.hang_up()
    clock.advance(0)
    assert clock.getDelayedCalls() == []


def moments(server):
    """What a client may be in the middle of when its connection is lost."""
    yield b""
    yield b"<<HEL"
    yield HELLO
    yield HELLO + b"<<PING"
    yield HELLO + requests.subscribe()
    yield HELLO + requests.subscribe(epoch=server.epoch(), after=1)
    yield HELLO + requests.subscribe() + requests.subscribe(symbols=["A"])
    yield HELLO + requests.subscribe() + requests.unsubscribe()
    yield HELLO + frame("PUBLISH", id="a", symbol="A", volume="1")
    yield HELLO + frame("PUBLISH", id="a", symbol="A", volume="1") + HELLO
    yield HELLO + requests.subscribe() + frame("PUBLISH", id="a", symbol="A", volume="1")
    yield b"<<GBPUSD|1>>" + HELLO
    yield HELLO + b"<<BYE>>"
    yield b"<<HELLO|v=3>>"
    yield HELLO + b"<<X>>" * 30


@pytest.mark.parametrize("moment", range(15))
@pytest.mark.parametrize("held", [0, 1, 2])
@pytest.mark.parametrize("half", [False, True])
def test_a_lost_connection_leaves_nothing_behind(server, clock, moment, held, half):
    server.store(3)
    clock.advance(0)
    server.disk.held = bool(held)
    terminal = server.dial()
    terminal.send(list(moments(server))[moment])
    if held == 2 and server.disk.calls:
        server.disk.step()
    if half:
        terminal.finish()
    terminal.hang_up()
    server.disk.work()
    clock.advance(0)
    assert clock.getDelayedCalls() == server.waits()
    assert server.signals.fanout.count() == 0
    assert not server.signals.channels.sessions
    assert Status(server.signals).health()["publishers"] == 0
    assert server.signals.rules.presence_of("main")[0] is False


def test_times_and_sentences_are_left_out_of_what_the_tests_compare():
    assert short("ERROR|code=verb|text=a b") == "ERROR|code=verb"
