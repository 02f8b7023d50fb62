"""Sessions over WebSocket: JSON in and out, by the verbs of all components."""

import gc
import json
from types import FunctionType, ModuleType

import pytest
from fakes.daemon import LOCAL, PASSWORD, REMOTE, TOKEN, FakeDaemon, basic
from fakes.rights import rights
from fakes.websocket_bytes import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    WebSocketTerminal,
    close,
    deflated,
    frame,
    frames,
    request,
    text,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mtnet.access.accounts.identity import Identity
from mtnet.interfaces import ISignals
from mtnet.net.endpoints import Listener
from mtnet.services.signals.events import SignalEvents
from mtnet.services.signals.views.commands import ViewCommands
from mtnet.services.web import websocket
from mtnet.services.web.websocket import SLICE
from mtnet.session import messages
from mtnet.testing import connect, make_environment

HELLO = {"verb": "HELLO", "v": "2", "name": "page"}
GOODBYE = {"verb": "BYE"}
PORTS = pytest.mark.parametrize("port", ["web", "any"])
OWN = {"Origin": "http://localhost"}


def publish(id="a-1", symbol="GBPUSD", volume="0.25", **more):
    return {"verb": "PUBLISH", "id": id, "symbol": symbol, "volume": volume, **more}


class Server:
    def __init__(self, folder, clock, *sets):
        self.clock = clock
        self.env = make_environment(folder, clock, *sets)

    def open(self, port="web", addresses=None, **headers):
        factory = self.env.factory(port, Listener(port, "tcp:1"))
        return WebSocketTerminal(connect(factory, self.clock, **(addresses or {})), **headers)

    def greet(self, port="web", **more):
        client = self.open(port, **more)
        assert [each["verb"] for each in client.ask(HELLO)] == ["WELCOME"]
        return client

    @property
    def sessions(self):
        return [each._access.session for each in self.env.find(ISignals).channels.sessions]


@pytest.fixture
def server(tmp_path, clock):
    return Server(tmp_path / "data", clock)


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock)


def verbs(answers):
    return [each["verb"] for each in answers]


def ends(client):
    """Return the ERRORs and the code with which a connection was closed."""
    *said, last = client.received()
    assert last.opcode == CLOSE
    return [each.json.get("code") for each in said], last.code


# Verbs


@PORTS
@pytest.mark.parametrize("protocol", [None, "mtnet.v2", "foo, mtnet.v2"])
def test_a_session_has_the_verbs_of_a_tcp_session_on_every_port(server, port, protocol):
    client = server.open(port, Sec_WebSocket_Protocol=protocol)
    assert client.answer.status == 101
    assert client.answer.headers.get("sec-websocket-protocol") == (protocol and "mtnet.v2")
    assert client.answer.frames == []
    (welcome,) = client.ask(HELLO)
    tcp = connect(server.env.factory("signals"), server.clock)
    tcp.send(messages.hello())
    same = {key: str(value) for key, value in welcome.items() if key not in ("verb", "services")}
    frame = tcp.received().decode()
    assert all(f"|{key}={value}" in frame for key, value in same.items())
    assert frame.endswith(f"|services={','.join(welcome['services'])}>>\r\n")


def test_signals_are_published_and_followed(server):
    publisher, follower = server.greet(), server.greet("any")
    answers = publisher.ask(publish(price=1.25, magic=7, comment="50 % | <b>"))
    assert answers == [{"verb": "STORED", "id": "a-1", "seq": 1}]
    snapshot, position, synced, status = follower.ask({"verb": "SUBSCRIBE", "channel": "main"})
    assert (snapshot["seq"], snapshot["count"], synced["seq"]) == (1, 1, 1)
    assert position == {
        "verb": "POSITION",
        "channel": "main",
        "seq": 1,
        "symbol": "GBPUSD",
        "volume": "0.25",
        "time": 1_700_000_000_000,
        "comment": "50 % | <b>",
        "magic": "7",
        "price": "1.25",
        "opened": 1_700_000_000_000,
    }
    assert (status["publisher"], status["since"]) == ("up", 1_700_000_000_000)
    publisher.send(publish("a-2", volume=0))
    (signal,) = follower.messages()
    assert (signal["seq"], signal["volume"], len(signal["h"])) == (2, "0", 8)


def test_a_view_is_the_channel_main_of_its_account_in_every_message(server, clock):
    views = server.env.find(ISignals).views
    half = {"sources": ["main"], "value": "0.5", "accounts": ["bob"]}
    ViewCommands(views, SignalEvents()).commands()["views add"]({"view": "half", "settings": half})
    publisher, follower = server.greet(), server.open()
    follower.terminal.protocol.peer.become(Identity("bob", rights("follow:signals/half")))
    (welcome,) = follower.ask(HELLO)
    assert welcome["epoch"] == server.env.find(ISignals).channel("half").epoch
    snapshot, synced, status = follower.ask({"verb": "SUBSCRIBE", "channel": "main"})
    assert {each["channel"] for each in (snapshot, synced, status)} == {"main"}
    assert snapshot["epoch"] == welcome["epoch"]
    publisher.ask(publish(volume="1", comment="half|channel=half"))
    signal, status = follower.messages()
    assert (status["channel"], signal["channel"]) == ("main", "main")
    assert (signal["volume"], signal["comment"]) == ("0.5", "half|channel=half")
    (refused,) = follower.ask(publish("b-1", channel="main"))
    assert (refused["code"], refused["channel"]) == ("denied", "main")
    assert follower.ask({"verb": "SUBSCRIBE", "channel": "gold"})[0]["code"] == "denied"
    (unsubscribed,) = follower.ask({"verb": "UNSUBSCRIBE", "channel": "main"})
    assert unsubscribed == {"verb": "UNSUBSCRIBED", "channel": "main"}


def test_followers_of_every_road_are_told_the_same(server, clock):
    tcp = connect(server.env.factory("signals"), clock)
    tcp.send(b"<<HELLO|v=2>><<SUBSCRIBE|channel=main>>")
    pages = [server.greet(), server.greet(), server.greet(**OWN)]
    filtered = server.greet()
    server.greet().ask(publish())
    for each in (*pages, filtered):
        more = {"symbols": ["EURUSD", "A,B"]} if each is filtered else {}
        each.ask({"verb": "SUBSCRIBE", "channel": "main", **more})
    tcp.send(b"<<SUBSCRIBE|channel=main>>")
    tcp.received()
    server.greet().ask(publish("a-2", "EURUSD"), publish("a-3"), publish("a-4", "A,B", 1e-5))
    seqs = [[each["seq"] for each in page.messages() if each["verb"] == "SIGNAL"] for page in pages]
    assert seqs == [[2, 3, 4]] * 3
    assert tcp.received().count(b"<<SIGNAL|") == 3
    signals = [each for each in filtered.messages() if each["verb"] == "SIGNAL"]
    assert [(each["seq"], each["prev"]) for each in signals] == [(2, 1), (4, 2)]
    assert signals[1]["volume"] == "0.00001"


def test_what_followers_have_missed_is_encoded_once(server, monkeypatch):
    publisher, encoded = server.greet(), []
    publisher.ask(*[publish(f"c-{number}", volume=number % 7 + 1) for number in range(50)])
    encode = websocket.json.encode
    monkeypatch.setattr(
        websocket.json, "encode", lambda message: encoded.append(message) or encode(message)
    )
    channel = server.env.find(ISignals).channel("main")
    subscribe = {"verb": "SUBSCRIBE", "channel": "main", "epoch": channel.epoch}
    for after in range(10):
        answers = server.greet().ask({**subscribe, "after": after})
        seqs = [each["seq"] for each in answers if each["verb"] == "SIGNAL"]
        assert seqs == list(range(after + 1, 51))
    assert len([each for each in encoded if each.verb == "SIGNAL"]) == 50


def test_messages_that_come_once_are_not_kept(server):
    client = server.greet(**{"Sec_WebSocket_Extensions": "permessage-deflate"}, **OWN)
    kept = websocket._deflated_json_frame.cache_info().currsize
    (_, *state) = client.ask({"verb": "WATCH", "what": ["status"]})
    assert len(str(state)) > websocket.LONGEST_KEPT
    assert websocket._deflated_json_frame.cache_info().currsize <= kept + 1  # WATCHED is short


def test_a_refusal_names_its_request(server):
    client = server.greet()
    answers = client.ask(publish("x", volume="much"), publish("y", volume=float("nan")))
    assert [(each["code"], each["id"]) for each in answers] == [("field", "x"), ("field", "y")]
    (error,) = client.ask({"verb": "SING", "id": "z"})
    assert (error["code"], error["id"]) == ("verb", "z")


def test_a_verb_before_hello_is_refused(server):
    (error,) = server.open().ask(publish())
    assert error["code"] == "verb"


def test_bye_closes_normally_behind_the_answers(server):
    client = server.greet()
    client.send(publish(), GOODBYE, publish("late"))
    stored, last = client.received()
    assert (stored.json["verb"], last.code) == ("STORED", 1000)
    assert client.terminal.transport.ended
    assert not server.env.find(ISignals).channel("main").seq > 1


def test_a_client_that_closes_is_answered_and_gone(server):
    client = server.greet()
    client.send(close(1000))
    assert ends(client) == ([], 1000)
    assert client.terminal.transport.ended
    client.terminal.hang_up()
    assert server.sessions == []


def test_a_client_that_half_closes_is_answered_first(server):
    client = server.greet()
    client.send(publish())
    client.terminal.finish()
    stored, last = client.received()
    assert (stored.json["verb"], last.code) == ("STORED", 1000)


def test_messages_behind_the_handshake_in_one_segment_are_read(server, clock):
    terminal = connect(server.env.factory("web"), clock)
    terminal.send(request() + text(HELLO) + text(publish()))
    said = frames(terminal.received().partition(b"\r\n\r\n")[2])
    assert verbs([each.json for each in said]) == ["WELCOME", "STORED"]


# Closing


@pytest.mark.parametrize(
    ("sent", "codes", "code"),
    [
        (frame(b"x", BINARY), [], 1003),
        (frame(b"\xff"), [], 1007),
        (frame(b"x", 5), [], 1002),
        (frame(b"x" * 16_385), [], 1009),
        (frame(b"x" * 9_000, fin=False) + frame(b"x" * 9_000, CONTINUATION), [], 1009),
        (text("[]"), ["frame"], 1008),
        (text("<<PING>>"), ["frame"], 1008),
        (text("{"), ["frame"], 1008),
        (text({"verb": "HELLO", "v": "3"}), ["field"], 1008),
        (text({"verb": "HELLO", "v": 2, "login": "a", "password": "b"}), ["login"], 1008),
        (text({"verb": "SING"}) * 20, ["verb"] * 20, 1008),
    ],
)
def test_a_fault_ends_the_connection_with_its_code(server, sent, codes, code):
    client = server.greet()
    client.send(sent)
    assert ends(client) == (codes, code)
    assert client.terminal.transport.ended
    client.send(publish())
    assert client.received() == []


@pytest.mark.parametrize("sent", [frame(b"x", 5), text(GOODBYE), close(1000)])
def test_a_client_that_half_closes_behind_our_close_is_gone_at_once(server, sent):
    client = server.greet()
    client.send(sent)
    assert not client.terminal.closed
    client.terminal.finish()
    assert client.terminal.closed


def test_a_message_of_the_largest_size_is_read(server):
    client = server.greet()
    shown = json.dumps({"verb": "PING", "x": "", "t": "1"})
    (pong,) = client.ask(shown.replace('"x": ""', f'"x": "{"x" * (16_384 - len(shown))}"'))
    assert pong["t"] == "1"


def test_without_hello_a_connection_is_closed_after_five_seconds(server, clock):
    client = server.open()
    client.send({"verb": "PING"})
    client.received()
    clock.advance(4.9)
    assert client.received() == []
    clock.advance(0.1)
    assert ends(client) == (["timeout"], 1001)


def test_a_follower_that_does_not_read_is_closed_as_slow(tmp_path, clock):
    server = Server(tmp_path / "data", clock, "signals.queue=20000")
    client, publisher = server.greet(), server.greet()
    client.ask({"verb": "SUBSCRIBE", "channel": "main"})
    publisher.ask(publish())
    client.ask({"verb": "SUBSCRIBE", "channel": "main"})
    client.terminal.transport.stalled = True
    for number in range(1_500):
        publisher.send(publish(f"b-{number}", volume=number % 7 + 1))
    clock.advance(0)
    said, code = ends(client)
    assert (said[-1], code) == ("slow", 1013)
    assert client.terminal.transport.ended
    for _ in range(6):
        clock.advance(1)
    assert client.terminal.reset or client.terminal.closed


# Heartbeat


def test_the_heartbeat_is_a_ping_of_the_protocol_and_a_pong_its_answer(server, clock):
    client = server.greet()
    client.ask({"verb": "SUBSCRIBE", "channel": "main"})
    client.received()
    for _ in range(10):
        clock.advance(5)
        (ping,) = client.received()
        assert ping.opcode == PING
        client.send(frame(ping.payload, PONG))
    for _ in range(3):
        clock.advance(5)
        assert [each.opcode for each in client.received()] == [PING]
    clock.advance(5)
    assert ends(client) == (["timeout"], 1001)


def test_a_client_that_uses_no_service_is_pinged_every_twenty_seconds(server, clock):
    client = server.greet()
    clock.pump([1.0] * 19)
    assert client.received() == []
    clock.advance(1)
    assert [each.opcode for each in client.received()] == [PING]


DEFLATE = {"Sec_WebSocket_Extensions": "permessage-deflate; client_max_window_bits"}
LOOKS = (
    {"verb": "WATCH", "what": ["status", "events", "alerts"]},
    {"verb": "TICKS", "symbols": ["EURUSD"]},
    {"verb": "BARS", "symbol": "EURUSD", "period": "M1"},
    {"verb": "SUBSCRIBE", "channel": "main", "observe": True},
    {"verb": "UNSUBSCRIBE", "channel": "main"},
)


def test_a_page_that_only_looks_on_is_pinged_every_twenty_seconds(server, clock):
    def pings(client, seconds):
        clock.pump([1.0] * seconds)
        return [each.opcode for each in client.received()].count(PING)

    page, program = server.greet(**DEFLATE, **OWN), server.greet()
    for each in (page, program):
        each.send(*LOOKS)
    assert [pings(page, 19), pings(page, 1)] == [0, 1]
    assert pings(program, 0) == 3
    page.send({"verb": "SUBSCRIBE", "channel": "main"}, frame(b"", PONG))
    assert [pings(page, 4), pings(page, 1)] == [0, 1]


def test_pings_of_the_client_are_answered_in_turn(server):
    client = server.greet()
    client.send(frame(b"a", PING), {"verb": "PING", "t": "b"}, frame(b"c", PING))
    first, second, third = client.received()
    assert (first, second.json["t"], third) == ((PONG, b"a", False), "b", (PONG, b"c", False))


# Login


def login(name, password=PASSWORD):
    return {"verb": "HELLO", "v": "2", "login": name, "password": password}


def opened(daemon, addresses=LOCAL, **headers):
    terminal = daemon.dial("web", **addresses)
    client = WebSocketTerminal(terminal, **headers)
    daemon.clock.advance(0)
    return client


def test_hello_logs_in(daemon):
    client = opened(daemon)
    client.send(login("alice"), publish())
    daemon.clock.advance(0)
    assert verbs(client.messages()) == ["WELCOME", "STORED"]


def test_without_a_login_nothing_is_permitted(daemon):
    client = opened(daemon)
    client.send(HELLO)
    assert ends(client) == (["login"], 1008)


def test_a_wrong_password_is_refused(daemon):
    client = opened(daemon)
    client.send(login("alice", "wrong"))
    daemon.clock.advance(0)
    assert ends(client) == (["login"], 1008)


def test_a_password_is_not_read_where_others_can_listen(daemon):
    client = opened(daemon, REMOTE)
    client.send(login("alice"))
    assert ends(client) == (["login"], 1008)
    assert opened(daemon, REMOTE, host="192.0.2.1", Authorization=basic("alice").decode())


@pytest.mark.parametrize("shown", ["Basic", "Bearer"])
def test_the_upgrade_can_log_in(daemon, shown):
    authorization = f"Bearer {TOKEN}" if shown == "Bearer" else basic("bob").decode()
    client = opened(daemon, Authorization=authorization)
    client.send(HELLO, publish(channel="gold"))
    welcome, error = client.messages()
    assert "signals" in welcome["services"]
    assert error["text"] == "bob may not publish gold"


@pytest.mark.parametrize("shown", [basic("alice", "wrong").decode(), "Bearer wrong", "Digest x"])
def test_an_upgrade_with_a_wrong_login_is_refused(daemon, shown):
    client = opened(daemon, Authorization=shown)
    assert client.answer.status in (400, 401)
    assert client.terminal.closed


def test_an_upgrade_waits_for_its_password_and_what_comes_meanwhile_is_kept(daemon, monkeypatch):
    waiting, verify = Deferred(), daemon.env.access.authenticator.authenticate

    def slowly(*arguments):
        return waiting.addCallback(lambda _: verify(*arguments))

    monkeypatch.setattr(daemon.env.access.authenticator, "authenticate", slowly)
    terminal = daemon.dial("web")
    terminal.send(request(Authorization=basic("alice").decode()) + text(HELLO)[:5])
    terminal.send(text(HELLO)[5:] + text(publish()))
    assert terminal.received() == b""
    waiting.callback(None)
    daemon.clock.advance(0)
    head, _, rest = terminal.received().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101")
    assert verbs([each.json for each in frames(rest)]) == ["WELCOME", "STORED"]


def test_a_login_ends_the_connection_when_it_may_less(daemon):
    client = opened(daemon, Authorization=basic("alice").decode())
    client.ask(HELLO)
    daemon.change("alice", grants=("follower",))
    assert ends(client) == ([], 1001)


def held_by(thing):
    """Return all that is reached from a thing, but for what belongs to the program."""
    found, left = {}, [thing]
    while left:
        each = left.pop()
        if id(each) in found or isinstance(each, type | ModuleType):
            continue
        found[id(each)] = each
        function = isinstance(each, FunctionType)
        left += (each.__closure__ or ()) if function else gc.get_referents(each)
    return list(found.values())


@pytest.mark.parametrize("by", ["hello", "header"])
def test_a_password_is_forgotten_once_it_has_let_somebody_in(daemon, by):
    secret = f"Bearer {TOKEN}" if by == "header" else None
    client = opened(daemon, Authorization=secret)
    client.send(login("bob", TOKEN) if by == "hello" else HELLO)
    daemon.clock.advance(0)
    assert verbs(client.messages()) == ["WELCOME"]
    client.terminal.transport.clear()
    texts = [each for each in held_by(client.terminal.protocol) if isinstance(each, str | bytes)]
    assert not [each for each in texts if TOKEN in str(each)]


# Floods


def test_a_flood_of_the_smallest_frames_is_read_slowly(tmp_path, clock):
    server = Server(
        tmp_path / "data", clock, "access.trust_loopback=false", "access.anonymous=follow"
    )
    client = server.greet()
    flood = frame(b"", PONG) * 60_000
    client.send(flood)
    assert client.terminal.transport.producerState == "paused"
    before = clock.seconds()
    while client.terminal.transport.producerState == "paused":
        clock.advance(1)
    assert 55 <= clock.seconds() - before <= 65
    assert len(frame(b"", PONG)) * 1_700 > SLICE


def test_a_publisher_is_read_no_further_while_the_disk_is_behind(tmp_path, clock):
    server = Server(tmp_path / "data", clock)
    client = server.greet()
    client.send(publish())
    client.received()
    (session,) = server.sessions
    session.throttle.pause("disk")
    client.send(publish("b"))
    assert client.received() == []
    session.throttle.resume("disk")
    assert verbs(client.messages()) == ["STORED"]


# Compression


def test_browsers_are_sent_long_messages_compressed_and_others_are_not(server):
    browser, program = server.greet(**DEFLATE, **OWN), server.greet(**DEFLATE)
    assert "permessage-deflate" in browser.answer.headers["sec-websocket-extensions"]
    assert "sec-websocket-extensions" not in program.answer.headers
    for each in (browser, program):
        each.send({"verb": "A" * 17, "comment": "y" * 40})
    (short,), (plain,) = browser.received(), program.received()
    assert short.json == plain.json
    assert (short.compressed, plain.compressed) == (len(short.payload) >= 256, False)
    asked = json.dumps({"verb": "PING", "t": "compressed"}).encode()
    browser.send(frame(deflated(asked), rsv=4))
    (pong,) = browser.messages()
    assert pong["t"] == "compressed"


# Anything

NAMES = (
    "id symbol volume channel ticket type price sl tp magic comment time take symbols epoch after "
    "h seq status reason t login password name client v period count trading balance mode"
)
VERBS = "HELLO PING PONG BYE SUBSCRIBE UNSUBSCRIBE PUBLISH ACK REPORT SPEC TICKS BARS SING"
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=3), SCALARS)
OBJECTS = st.builds(
    lambda verb, fields: text({"verb": verb, **fields}),
    st.sampled_from(VERBS.split()),
    st.dictionaries(st.sampled_from(NAMES.split()) | st.text(max_size=5), VALUES, max_size=8),
)
MESSAGES = (
    OBJECTS
    | st.sampled_from(
        [
            text(HELLO),
            text(publish()),
            text(publish("b", volume=1)),
            text({"verb": "SUBSCRIBE", "channel": "main"}),
            text({"verb": "SUBSCRIBE", "channel": "main", "symbols": []}),
            text({"verb": "PUBLISH", "id": {}, "symbol": [], "volume": None}),
            text({"verb": "ACK", "channel": "main", "seq": 1}),
            text("{"),
            frame(b"", PING),
            frame(b"", PONG),
            frame(b"{", fin=False),
            close(1000),
        ]
    )
    | st.binary(max_size=12)
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Server(tmp_path_factory.mktemp("shared") / "data", Clock())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(MESSAGES, max_size=10), size=st.integers(1, 60))
def test_whatever_a_client_sends_others_are_served_and_no_error_is_ours(shared, log, sent, size):
    client = shared.open()
    client.terminal.send(b"".join(sent), size)
    client.terminal.received()
    client.terminal.hang_up()
    assert verbs(shared.open().ask(HELLO)) == ["WELCOME"]
    assert not [event for event in log if "log_failure" in event]
