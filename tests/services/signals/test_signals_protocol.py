"""The signals port, bytes in and bytes out."""

from decimal import Decimal

import pytest
from fakes.ports import FakePort
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mtnet.errors import JournalError, quote
from mtnet.interfaces import IListenerAware, IServicePlugin, ISignals
from mtnet.net.endpoints import Listener
from mtnet.plugins.signals import signals
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.status.report import Status

LISTENER = Listener("signals", "tcp:8081")


@pytest.fixture
def serve(env_with, clock):
    """Start a server; it has `dial(host, peer)`, and `env`."""

    class Server(FakePort):
        def __init__(self, *sets, listener=LISTENER):
            super().__init__(env_with(*sets), listener)

        def follow(self, **addresses):
            terminal = self.dial(**addresses)
            clock.advance(self.env.of("signals").section.grace)
            return terminal

        def volume(self, symbol, channel="main"):
            position = self.env.find(ISignals).positions(channel).get(symbol)
            return None if position is None else position.volume

    return Server


def test_the_plugin_and_its_factory_keep_their_interfaces(env_with):
    assert verifyObject(IServicePlugin, signals)
    assert verifyObject(IListenerAware, env_with().factory("signals"))


def test_a_silent_connection_is_told_the_positions_after_the_grace_and_not_before(serve, clock):
    server = serve()
    server.dial().send(b"<<GBPUSD|0.25>>\0")
    follower = server.dial()
    clock.advance(0.29)
    assert follower.received() == b""
    clock.advance(0.01)
    assert follower.received() == b"<<GBPUSD|0.25>>\r\n"


def test_a_change_reaches_a_follower_at_once(serve, clock):
    server = serve()
    follower = server.follow()
    server.dial().send(b"<<GBPUSD|-0.25>>\0")
    assert follower.received() == b"<<GBPUSD|-0.25>>\r\n"


def test_a_publisher_is_sent_nothing(serve, clock):
    server = serve()
    publisher = server.dial()
    publisher.send(b"<<GBPUSD|0.25>>\0")
    server.dial().send(b"<<EURUSD|0.25>>\0")
    clock.advance(600)
    assert publisher.received() == b""


def test_a_follower_that_begins_to_publish_is_sent_nothing_more(serve, clock):
    server = serve()
    terminal = server.follow()
    terminal.send(b"<<GBPUSD|0.25>>\0")
    clock.advance(600)
    assert terminal.received() == b""
    assert Status(server.env.find(ISignals)).health()["followers"] == 0


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_a_master_whose_buffer_never_shrinks_is_heard_whole(serve, size):
    server = serve()
    server.dial().send(b"<<GBPUSD|-10.25>>\0<<GBPUSD|0.00>>\0>\0<<EURUSD|1.00>>\0\0", size)
    assert server.volume("GBPUSD") == 0
    assert server.volume("EURUSD") == 1


def test_volumes_are_kept_exactly_and_told_with_two_decimals(serve):
    server = serve()
    follower = server.follow()
    server.dial().send(b"<<GBPUSD|0.12345>>")
    assert server.volume("GBPUSD") == Decimal("0.12345")
    assert follower.received() == b"<<GBPUSD|0.12>>\r\n"


@pytest.mark.parametrize(
    ("codepage", "symbol", "encoding"),
    [
        ("cp1252", "EURUSD.£", "cp1252"),
        ("cp1251", "Газпром", "cp1251"),
        ("cp1252", "Газпром", "utf-8"),
    ],
)
@pytest.mark.parametrize("sent", ["as a terminal", "in UTF-8"])
def test_a_classic_follower_is_sent_what_it_would_send(
    serve, clock, codepage, symbol, encoding, sent
):
    server = serve(f"signals.codepage={codepage}")
    follower, frame = server.follow(), f"<<{symbol}|0.50>>\r\n"
    server.dial().send(frame.encode(encoding if sent == "as a terminal" else "utf-8"))
    assert follower.received() == frame.encode(encoding)


def test_no_byte_to_a_follower_is_a_nul(serve, clock):
    server = serve("signals.pace=0")
    follower = server.follow()
    server.dial().send(b"<<GBPUSD|0.25>>\0<<EURUSD|0.5>>\0")
    clock.advance(120)
    assert b"\0" not in follower.received()


def test_without_pacing_each_change_of_one_read_is_a_frame_of_its_own(serve):
    server = serve("signals.pace=0")
    follower = server.follow()
    server.dial().send(b"<<GBPUSD|1>><<GBPUSD|2>><<GBPUSD|3>>")
    assert follower.received() == b"<<GBPUSD|1.00>>\r\n<<GBPUSD|2.00>>\r\n<<GBPUSD|3.00>>\r\n"


def test_without_pacing_a_follower_that_is_behind_gets_the_newest_alone(serve, clock):
    server = serve("signals.pace=0", "signals.repeat=0", "signals.resend_after=")
    follower, publisher = server.follow(), server.dial()
    follower.transport.stalled = True
    for volume in range(10_000):
        publisher.send(f"<<GBPUSD|{volume % 7}.01>>".encode())
    publisher.send(b"<<GBPUSD|9.00>>")
    assert len(follower.received()) < 70_000
    follower.transport.stalled = False
    follower.transport.drain()
    assert follower.received() == b"<<GBPUSD|9.00>>\r\n"


def test_a_follower_that_does_not_read_has_one_frame_waiting_and_is_closed(serve, clock, warnings):
    server = serve()
    stuck, reading = server.follow(), server.follow()
    stuck.transport.stalled = True
    publisher = server.dial()
    for volume in range(1, 20):
        publisher.send(f"<<GBPUSD|{volume}.00>>".encode())
        clock.advance(2.5)
    assert stuck.received() == b"<<GBPUSD|1.00>>\r\n"
    assert reading.received().endswith(b"<<GBPUSD|19.00>>\r\n")
    clock.pump([1.0] * 60)
    assert stuck.reset
    assert not reading.closed
    assert "took no byte for 60 s" in warnings()[-1]["what"]


def test_a_follower_may_be_silent_for_ever(serve, clock):
    server = serve()
    server.dial().send(b"<<GBPUSD|0.25>>")
    follower = server.follow()
    clock.pump([30.0] * 2_880)
    assert not follower.closed
    follower.received()
    server.dial().send(b"<<GBPUSD|0.00>>")
    clock.advance(2.5)
    assert follower.received() == b"<<GBPUSD|0.00>>\r\n"


@pytest.mark.parametrize("size", [None, 1])
@pytest.mark.parametrize("method", [b"GET", b"POST", b"OPTIONS", b"PUT", b"HEAD", b"DELETE"])
def test_a_browser_cannot_trade(serve, warnings, method, size):
    server = serve()
    page = server.dial()
    page.send(method + b" /<<GBPUSD|99.00>> HTTP/1.1\r\n\r\n<<GBPUSD|99.00>>", size)
    assert page.reset
    assert page.received() == b""
    assert server.volume("GBPUSD") is None
    assert len(warnings()) == 1


def test_a_slow_browser_cannot_trade_either(serve, clock):
    server = serve()
    page = server.dial()
    page.send(b"PO")
    clock.advance(60)
    page.send(b"ST / HTTP/1.1\r\n\r\n<<GBPUSD|99.00>>")
    assert page.reset
    assert server.volume("GBPUSD") is None


def test_a_symbol_that_looks_like_a_method_is_a_symbol(serve):
    server = serve()
    server.dial().send(b"<<GET /|1.00>>", 1)
    assert server.volume("GET /") == 1


@pytest.mark.parametrize(
    "frame",
    [
        b"<<GBPUSD|nan>>",
        b"<<GBPUSD|1e999>>",
        b"<<GBPUSD|1_0>>",
        "<<GBPUSD|٣>>".encode(),
        b"<<GBPUSD>>",
        b"<<GBPUSD|1|2>>",
        b"<<GBP\0USD|1>>",
        b"<<\xff\xfe\x81|1>>",
        b"<<|1>>",
    ],
)
def test_a_bad_frame_is_refused_with_one_line_and_the_next_one_counts(serve, warnings, frame):
    server = serve()
    publisher = server.dial()
    publisher.send(frame + b"<<EURUSD|1>>", 1)
    assert server.volume("GBPUSD") is None
    assert server.volume("EURUSD") == 1
    assert not publisher.closed
    assert len(warnings()) == 1


def test_minus_zero_is_flat_and_a_path_is_a_symbol_like_another(serve):
    server = serve()
    follower = server.follow()
    server.dial().send(b"<<GBPUSD|-0>><<../../etc/passwd|1>>")
    assert server.volume("GBPUSD") == 0
    assert server.volume("../../etc/passwd") == 1
    assert follower.received() == b"<<GBPUSD|0.00>>\r\n"


@pytest.mark.parametrize("junk", [b"<" * 2**20, b"\0" * 2**20, b"<<" + b"x" * 2**20])
def test_a_mebibyte_of_junk_ends_its_connection_and_nothing_else(serve, warnings, junk):
    server = serve()
    follower, bad = server.follow(), server.dial()
    bad.send(b"<<GBPUSD|1>>" + junk, 65_536)
    assert bad.reset
    assert follower.received() == b"<<GBPUSD|1.00>>\r\n"
    assert not follower.closed
    assert len(warnings()) == 1


def test_one_network_cannot_fill_the_log(serve, warnings):
    server = serve()
    for _ in range(10):
        server.dial().send(b"<<GBPUSD|nan>>" * 100)
    assert len(warnings()) == 5
    server.dial().send(b"<<|1>>")
    assert len(warnings()) == 6, "another kind has room of its own"


def test_a_flood_of_refused_frames_ends_its_connection(serve, warnings):
    server = serve()
    flooding, patient = server.dial(), server.dial()
    flooding.send(b"<<GBPUSD|nan>>" * 201 + b"<<GBPUSD|1>>")
    assert flooding.reset
    assert server.volume("GBPUSD") is None
    patient.send(b"<<GBPUSD|nan>>" * 200 + b"<<GBPUSD|1>>")
    assert not patient.closed
    assert server.volume("GBPUSD") == 1


@pytest.mark.parametrize(
    "head",
    [
        b"get / HTTP/1.1\r\n\r\n",
        b"\r\nPOST / HTTP/1.1\r\n\r\n",
        b"PROPFIND / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
@pytest.mark.parametrize("size", [None, 1])
def test_no_other_speech_of_a_browser_can_trade(serve, warnings, head, size):
    server = serve()
    page = server.dial()
    page.send(head + b"<<GBPUSD|99.00>>", size)
    assert page.reset
    assert server.volume("GBPUSD") is None
    assert len(warnings()) == 1


def test_a_tail_of_an_old_buffer_before_the_first_frame_is_no_browser(serve):
    server = serve()
    server.dial().send(b"SD|0.25>>\0<<GBPUSD|1>>", 1)
    assert server.volume("GBPUSD") == 1


def test_strangers_do_what_anonymous_says(serve, clock):
    server = serve("access.anonymous=follow")
    server.dial().send(b"<<GBPUSD|1>>")
    stranger = server.follow(host="192.0.2.1", peer="192.0.2.9")
    assert stranger.received() == b"<<GBPUSD|1.00>>\r\n"
    stranger.send(b"<<GBPUSD|2>>")
    assert server.volume("GBPUSD") == 1


def test_strangers_who_may_not_follow_are_closed_without_a_byte(serve, clock):
    server = serve("access.anonymous=fetch")
    server.dial().send(b"<<GBPUSD|1>>")
    stranger = server.follow(host="192.0.2.1", peer="192.0.2.9")
    clock.advance(server.env.config.access.login)
    assert stranger.closed
    assert stranger.received() == b""


def test_a_port_can_have_a_channel_of_its_own(serve):
    listener = Listener("signals", "tcp:9081")
    gold = serve('signals.ports."tcp:9081".channel=gold', listener=listener)
    gold.dial().send(b"<<XAUUSD|1>>")
    assert gold.volume("XAUUSD", "gold") == 1
    assert gold.volume("XAUUSD") is None


def test_a_publisher_that_said_all_is_closed_cleanly_once_it_is_stored(serve):
    publisher = serve().dial()
    publisher.send(b"<<GBPUSD|1>>")
    publisher.finish()
    assert publisher.closed
    assert not publisher.reset


def test_a_publisher_that_was_refused_anything_is_reset_when_it_said_all(serve):
    publisher = serve().dial()
    publisher.send(b"<<GBPUSD|1>><<EURUSD|x>>")
    publisher.finish()
    assert publisher.reset


def test_a_reconnecting_follower_starts_from_the_state_and_leaves_nothing_behind(serve, clock):
    server = serve()
    for _ in range(50):
        follower = server.follow()
        follower.hang_up()
    silent = server.dial()
    silent.hang_up()
    assert Status(server.env.find(ISignals)).health()["followers"] == 0
    clock.advance(1)
    assert clock.getDelayedCalls() == []


def test_restarting_the_daemon_loses_nothing(serve):
    serve().dial().send(b"<<GBPUSD|0.25>>")
    assert serve().follow().received() == b"<<GBPUSD|0.25>>\r\n"


def test_a_publisher_that_left_is_not_waited_for_while_the_disk_refuses(serve, clock, monkeypatch):
    server = serve()

    def refuse(journal, changes):
        raise JournalError("The disk is full.")

    monkeypatch.setattr(Journal, "commit", refuse)
    publisher = server.dial()
    publisher.send(b"<<GBPUSD|1>>")
    publisher.finish()
    clock.pump([1.0] * 59)
    assert not publisher.closed
    clock.advance(1)
    assert publisher.reset
    monkeypatch.undo()
    clock.advance(1)
    assert server.volume("GBPUSD") == 1


def test_a_publisher_is_reset_rather_than_closed_by_a_daemon_that_stops(serve):
    server = serve()
    publisher = server.dial()
    Deferred.fromCoroutine(server.env.find(ISignals).close())
    publisher.send(b"<<GBPUSD|1>>")
    assert publisher.reset


@pytest.mark.parametrize("cut", [b"<<GBPUSD|0.5", b"<<AUDUSD|1>><<NZDUSD|2", b"<<AUDUSD|1>><"])
def test_a_publisher_that_ends_in_the_middle_of_a_frame_is_reset(serve, warnings, cut):
    publisher = serve().dial()
    publisher.send(cut)
    publisher.finish()
    assert publisher.reset
    assert len(warnings()) == 1


def test_the_tail_of_an_old_buffer_behind_the_last_frame_is_no_cut_frame(serve):
    publisher = serve().dial()
    publisher.send(b"<<GBPUSD|-10.25>>\0<<GBPUSD|0.00>>\0>\0")
    publisher.finish()
    assert publisher.closed
    assert not publisher.reset


NO_FRAMES = [
    b"EURUSD|0.25\n",
    b"<EURUSD|0.25>",
    b"<<EURUSD|0.25",
    "<<EURUSD|0.25>>".encode("utf-16-le"),
    b'{"symbol":"EURUSD","volume":0.25}',
    b"\0\r\n x",
]


@pytest.mark.parametrize("data", NO_FRAMES)
@pytest.mark.parametrize("size", [1, None])
@pytest.mark.parametrize("rights", ["all", "follow"])
def test_a_connection_that_ends_without_a_frame_is_reset_and_shown(
    serve, warnings, data, size, rights
):
    server = serve(*([] if rights == "all" else ["access.anonymous=follow"]))
    terminal = server.dial(**({} if rights == "all" else {"host": "192.0.2.1"}))
    terminal.send(data, size)
    terminal.finish()
    assert terminal.reset
    (warning,) = warnings()
    shown = quote(data.lstrip(b"\0\r\n "))
    assert warning["what"].startswith(f"ended without a frame: {shown}. A frame is <<SYMBOL|LOTS>>")


@pytest.mark.parametrize("data", NO_FRAMES)
def test_a_connection_that_is_silent_behind_bytes_that_are_no_frame_is_reset(
    serve, clock, warnings, data
):
    terminal = serve().dial()
    terminal.send(data)
    clock.advance(9.9)
    terminal.send(b"\0\r\n ")
    assert not terminal.closed
    clock.advance(0.1)
    assert terminal.reset
    assert len(warnings()) == 1


def test_a_follower_that_sends_bytes_and_no_frame_is_reset_too(serve, clock, warnings):
    terminal = serve().follow()
    clock.advance(600)
    terminal.send(b"ready?\r\n")
    clock.advance(10)
    assert terminal.reset
    assert "sent no frame within 10 s of this: 'ready?" in warnings()[0]["what"]


@pytest.mark.parametrize("data", [b"", b"\0", b"\r\n \t\0\0"])
def test_bytes_that_say_nothing_are_no_reason_to_reset(serve, clock, warnings, data):
    server = serve()
    terminal, ended = server.dial(), server.dial()
    terminal.send(data)
    ended.send(data)
    ended.finish()
    clock.advance(600)
    assert not terminal.closed
    assert ended.closed
    assert not ended.reset
    assert warnings() == []


def test_bytes_before_and_behind_a_frame_are_no_reason_to_reset(serve, clock, warnings):
    server = serve()
    terminal = server.dial()
    terminal.send(b"> <\0<<GBPUSD|1.00>>\0>\0")
    clock.advance(600)
    terminal.finish()
    assert terminal.closed
    assert not terminal.reset
    assert server.volume("GBPUSD") == 1
    assert warnings() == []


def test_a_frame_that_begins_late_behind_other_bytes_has_its_whole_time(serve, clock):
    server = serve()
    terminal = server.dial()
    terminal.send(b"x")
    clock.advance(9)
    terminal.send(b"<<GBP")
    clock.advance(9)
    terminal.send(b"USD|1.00>>")
    assert server.volume("GBPUSD") == 1


def test_a_connection_that_closes_at_once_without_a_frame_is_logged(serve, warnings):
    terminal = serve().dial()
    terminal.send(b"EURUSD|0.25")
    terminal.hang_up()
    assert "ended without a frame: 'EURUSD|0.25'" in warnings()[0]["what"]


@pytest.mark.parametrize(
    "data",
    [
        b"HELLO|v=2|login=a|password=s3cr3t",
        "<<HELLO|v=2|login=a|password=s3cr3t>>".encode("utf-16-le"),
        "<<HELLO|v=2|login=a|password=s3cr3t>>".encode("utf-16-be"),
        b'{"password": "s3cr3t"}',
        b"LOGIN: a s3cr3t\n",
        b"1 STORE EURUSD H1 9 a s3cr3t\n",
        b"mtnet_s3cr3t",
    ],
)
@pytest.mark.parametrize("size", [1, 5, None])
@pytest.mark.parametrize("way", ["finish", "hang_up", "wait"])
def test_no_bytes_are_shown_that_may_hold_a_password(serve, clock, log, data, size, way):
    terminal = serve().dial()
    terminal.send(data, size)
    clock.advance(60) if way == "wait" else getattr(terminal, way)()
    assert "it may hold a password" in log[-1]["what"]
    assert not any("s3c" in repr(event) or "s\\x003" in repr(event) for event in log)
