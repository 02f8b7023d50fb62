"""Pages of other origins: nothing is read or changed by them, on `/ws` and on every path."""

import pytest
from fakes.ports import FakePort
from fakes.websocket_bytes import Answer, WebSocketTerminal
from twisted.internet.interfaces import ISSLTransport
from zope.interface import alsoProvides

from mtnet.errors import ConfigError
from mtnet.interfaces import ISignals, ITemplates
from mtnet.net.endpoints import Listener
from mtnet.testing import make_environment

DESK = "https://desk.example.com"
ALLOWED = f"web.origins={DESK}"
TEMPLATE = b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n"
HOST = "localhost:8083"
FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "http://localhost"},
    {"Origin": "http://127.0.0.1:8083"},
    {"Origin": "http://localhost:8083.evil.example"},
    {"Origin": "localhost:8083"},
    {"Origin": ""},
    {"Sec_Fetch_Site": "cross-site"},
    {"Origin": "http://localhost:8083", "Sec_Fetch_Site": "cross-site"},
]
REBOUND = [
    {"host": "evil.example", "Origin": "http://evil.example"},
    {"host": "evil.example:8083", "Origin": "http://evil.example:8083"},
    {"host": "evil.example"},
    {"path": "http://evil.example/ws", "host": HOST},
    {"path": f"http://{HOST}/ws", "host": "evil.example"},
    {"path": f"ws://{HOST}/ws", "host": HOST, "Origin": "http://evil.example"},
]
PORTS = pytest.mark.parametrize("port", ["web", "any"])


@pytest.fixture
def serve(env_with):
    return lambda *sets, port="web": FakePort(env_with(*sets), Listener(port, "tcp:1"))


PUBLISH = {"verb": "PUBLISH", "id": "a", "symbol": "A", "volume": 9}


def ask(server, method="GET", path="/version", host=HOST, body=b"", **headers):
    length = {"Content-Length": len(body)} if body else {}
    named = {"Host": host, **length, **headers}
    lines = [
        f"{key.replace('_', '-')}: {value}" for key, value in named.items() if value is not None
    ]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""])
    return Answer(server.ask(head.encode() + body))


def upgrade(server, host=HOST, **more):
    return WebSocketTerminal(server.dial(), host=host, **more)


@PORTS
@pytest.mark.parametrize("headers", [*FOREIGN, *REBOUND])
def test_a_foreign_page_gets_no_websocket(serve, port, headers):
    server = serve(port=port)
    client = upgrade(server, **headers)
    assert client.answer.status == 403
    client.send(
        {"verb": "HELLO", "v": "2"}, {"verb": "PUBLISH", "id": "a", "symbol": "A", "volume": 9}
    )
    assert client.received() == []
    assert client.terminal.closed
    assert server.env.find(ISignals).positions("main") == {}


@PORTS
@pytest.mark.parametrize("headers", [*FOREIGN, *REBOUND[:3]])
@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_a_foreign_page_reads_and_changes_nothing(serve, port, headers, method):
    server = serve(port=port)
    answer = ask(server, method, "/templates/A/H1", body=TEMPLATE, **headers)
    assert answer.status == 403
    assert "access-control-allow-origin" not in answer.headers
    assert server.env.find(ITemplates).listing() == []


@pytest.mark.parametrize("site", ["same-origin", "same-site", "none"])
def test_our_own_page_and_no_page_are_served(serve, site):
    server = serve()
    assert ask(server, Origin=f"http://{HOST}", Sec_Fetch_Site=site).status == 200
    assert ask(server, Sec_Fetch_Site=site).status == ask(server).status == 200
    assert upgrade(server, Origin=f"http://{HOST}", Sec_Fetch_Site=site).answer.status == 101
    assert upgrade(server).answer.status == 101


@PORTS
@pytest.mark.parametrize("scheme", ["ws", "http", "WS"])
def test_an_absolute_target_is_taken(serve, port, scheme):
    client = upgrade(serve(port=port), path=f"{scheme}://{HOST}/ws", Origin=f"http://{HOST}")
    assert client.answer.status == 101


def test_over_tls_the_page_must_come_by_tls_too(serve):
    server = serve()
    status = []
    for scheme in ("http", "https"):
        terminal = server.dial()
        alsoProvides(terminal.transport, ISSLTransport)
        terminal.transport.getHandle = lambda: None
        status.append(
            WebSocketTerminal(terminal, host=HOST, Origin=f"{scheme}://{HOST}").answer.status
        )
    assert status == [403, 101]


# web.origins


def test_a_page_of_an_allowed_origin_may_ask_and_read(serve):
    server = serve(ALLOWED)
    answer = ask(server, Origin=DESK.upper(), Sec_Fetch_Site="cross-site")
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == DESK
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-credentials" not in answer.headers
    assert upgrade(server, Origin=DESK).answer.status == 101
    assert ask(server, path="/nothing", Origin=DESK).headers["access-control-allow-origin"] == DESK


def test_its_browser_is_answered_what_it_may_ask(serve):
    server = serve(ALLOWED)
    answer = ask(server, "OPTIONS", "/templates/A/H1", Origin=DESK)
    assert answer.status == 204
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD, PUT, POST, DELETE"
    assert "Authorization" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


def test_other_origins_get_no_cors_headers(serve):
    server = serve(ALLOWED)
    for headers in ({"Origin": "https://desk.example.com.evil"}, {"Origin": "null"}, {}):
        assert "access-control-allow-origin" not in ask(server, **headers).headers
    terminal = server.dial()
    terminal.send(
        f"GET /version HTTP/1.1\r\nHost: {HOST}\r\nOrigin: {DESK}\r\nOrigin: null\r\n\r\n".encode()
    )
    assert Answer(terminal.received()).status == 403


@pytest.mark.parametrize("origin", ["null", "*", "desk.example.com", "https://x/", "ftp://x"])
def test_an_origin_that_is_none_is_refused_at_the_start(tmp_path, clock, origin):
    with pytest.raises(ConfigError, match="origins"):
        make_environment(tmp_path / "data", clock, f"web.origins={origin}")


# The upgrade


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"Upgrade": None, "Connection": None}, 426),
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"key": "x"}, 400),
        ({"host": None}, 400),
        ({"Sec_WebSocket_Protocol": "chat"}, 400),
        ({"path": "/ws/more"}, 404),
        ({"path": "/version"}, 200),
    ],
)
def test_what_is_no_handshake_is_refused_with_a_sentence(serve, more, status):
    client = upgrade(serve(), **more)
    assert client.answer.status == status
    if status == 426:
        assert client.answer.reason == "Upgrade Required"
        assert client.answer.headers["sec-websocket-version"] == "13"
        assert client.answer.headers["upgrade"] == "websocket"


def test_a_request_that_offers_another_upgrade_is_answered_and_goes_on(serve):
    terminal = serve().dial()
    for _ in range(2):
        terminal.send(b"GET /version HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n\r\n")
        assert Answer(terminal.received()).status == 200
    assert not terminal.closed


def test_head_is_no_upgrade(serve):
    data = b"HEAD /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n"
    assert Answer(serve().ask(data)).status == 400


def test_a_port_of_templates_has_no_websocket(serve):
    assert upgrade(serve(port="templates"), host="localhost").answer.status == 404
