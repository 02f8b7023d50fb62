"""HTTP, bytes in and bytes out."""

from hashlib import sha256

import pytest
from fakes.http import WEB, Answer, HttpPort, chunked, request
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mtnet import __version__
from mtnet.errors import TemplateError
from mtnet.interfaces import IHealth, IListenerAware, IServicePlugin, ITemplates
from mtnet.net.endpoints import Listener
from mtnet.plugins.web import web

TEMPLATE = b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n"
MT5 = b"\xff\xfe" + TEMPLATE.decode().replace("\n", "\r\n").encode("utf-16-le")
STRANGER = {"host": "192.0.2.1", "peer": "192.0.2.9"}
REAL = ["mt4-default.tpl", "mt4-macd-alma.tpl", "mt4-xard-m30.tpl"]


@pytest.fixture
def serve(env_with, clock):
    """Start a server; it has `dial(host, peer)`, `ask(method, path, …)`, and `env`."""

    class Server(HttpPort):
        def __init__(self, *sets, listener=WEB):
            super().__init__(env_with(*sets), listener)

        def store(self, content=TEMPLATE, symbol="EURUSD", period="H1"):
            return self.env.find(ITemplates).library.store(symbol, period, content, self.env.now())[
                0
            ]

    return Server


@pytest.fixture
def server(serve):
    found = serve()
    found.store()
    return found


def test_the_plugin_and_its_factory_keep_their_interfaces(env_with):
    assert verifyObject(IServicePlugin, web)
    assert verifyObject(IListenerAware, env_with().factory("web"))


# Reading


def test_templates_are_listed(server, clock):
    server.store(MT5)
    answer = server.ask("GET", "/templates")
    assert answer.status == 200
    assert [(each["platform"], each["versions"], each["size"]) for each in answer.json] == [
        ("mt4", [1], len(TEMPLATE)),
        ("mt5", [1], len(MT5)),
    ]
    assert answer.json[0]["sha256"] == sha256(TEMPLATE).hexdigest()
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers


@pytest.mark.parametrize("period", ["H1", "h1", "16385", "60"])
def test_a_template_is_fetched_by_the_name_or_a_code_of_its_period(server, period):
    answer = server.ask("GET", f"/templates/EURUSD/{period}")
    assert (answer.status, answer.body) == (200, TEMPLATE)
    assert answer.headers["etag"] == f'"{sha256(TEMPLATE).hexdigest()}"'
    assert (answer.headers["x-symbol"], answer.headers["x-period"]) == ("eurusd", "h1")
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_version_and_a_platform_can_be_asked_for(server):
    server.store(MT5)
    newer = TEMPLATE + b"x"
    server.store(newer)
    assert server.ask("GET", "/templates/EURUSD/H1").body == newer
    assert server.ask("GET", "/templates/EURUSD/H1?platform=mt5").body == MT5
    assert server.ask("GET", "/templates/EURUSD/H1?version=1&platform=mt4").body == TEMPLATE


@pytest.mark.parametrize("given", ['"{}"', 'W/"{}"', '"x", "{}"', "*"])
def test_what_the_client_has_already_is_not_sent_again(server, given):
    tag = given.format(sha256(TEMPLATE).hexdigest())
    answer = server.ask("GET", "/templates/EURUSD/H1", If_None_Match=tag)
    assert (answer.status, answer.body) == (304, b"")
    assert server.ask("GET", "/templates/EURUSD/H1", If_None_Match='"old"').status == 200


@pytest.mark.parametrize("path", ["/templates", "/templates/EURUSD/H1", "/version", "/healthz"])
def test_head_says_what_get_would_and_sends_no_body(server, path):
    get, head = server.ask("GET", path), server.ask("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(get.body))


def test_a_symbol_may_hold_a_slash_and_other_alphabets(serve):
    server = serve()
    for path in ("EUR%2FUSD", "%C3%84", "UK%20100", "..%2F..%2Fetc%2Fpasswd"):
        assert server.ask("PUT", f"/templates/{path}/M5", TEMPLATE).status == 201
        assert server.ask("GET", f"/templates/{path}/M5").body == TEMPLATE
    symbols = [each["symbol"] for each in server.ask("GET", "/templates").json]
    assert sorted(symbols) == ["../../etc/passwd", "EUR/USD", "UK 100", "Ä"]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/templates/GBPUSD/H1", 404, "missing"),
        ("/templates/EURUSD/H1?version=9", 404, "missing"),
        ("/templates/EURUSD/H1?version=0", 422, "field"),
        ("/templates/EURUSD/H1?version=x", 422, "field"),
        ("/templates/EURUSD/H1?platform=mt6", 422, "field"),
        ("/templates/EURUSD/M7", 400, "period"),
        ("/templates/A%00B/H1", 400, "symbol"),
        ("/templates/%FF%FE%7C/H1", 400, "symbol"),
        ("/templates/EURUSD", 404, "missing"),
        ("/templates/EUR/USD/H1", 404, "missing"),
        ("/static", 404, "missing"),
        ("/nothing", 404, "missing"),
        ("/nothing/at/all", 404, "missing"),
        ("/version/x", 404, "missing"),
        ("/<script>", 404, "missing"),
    ],
)
def test_an_error_is_json_with_a_code_and_a_sentence(server, path, status, code):
    answer = server.ask("GET", path)
    assert (answer.status, answer.json["error"]) == (status, code)
    assert answer.json["text"].endswith(".")
    assert b"<script>" not in answer.body


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/templates", "get, head"), ("/templates/EURUSD/H1", "get, head, post, put"),
     ("/version", "get, head"), ("/healthz", "get, head")],
)  # fmt: skip
@pytest.mark.parametrize("method", ["DELETE", "PATCH", "OPTIONS", "NONSENSE"])
def test_a_method_that_a_path_does_not_take_is_told_those_it_takes(server, path, allowed, method):
    answer = server.ask(method, path)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)
    assert answer.json["error"] == "method"


def test_the_version_is_told(server):
    assert server.ask("GET", "/version").json == {"name": "mtnet", "version": __version__}


def test_health_is_503_when_somebody_must_act(serve):
    server = serve()
    answer = server.ask("GET", "/healthz")
    assert (answer.status, answer.json["healthy"]) == (200, True)
    server.env.find(IHealth).health = lambda: {"healthy": False, "disk": "full"}
    answer = server.ask("GET", "/healthz")
    assert (answer.status, answer.json) == (503, {"healthy": False, "disk": "full"})


# Storing


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("nul", [b"", b"\0", b"\0\0"])
def test_an_upload_is_stored_once(serve, method, nul, clock):
    server = serve()
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    created = server.ask(method, "/templates/EURUSD/16385", MT5 + nul, **form)
    again = server.ask(method, "/templates/EURUSD/H1", MT5)
    assert (created.status, again.status) == (201, 200)
    assert created.json == again.json == {
        "symbol": "EURUSD", "period": "H1", "platform": "mt5", "version": 1, "size": len(MT5),
        "sha256": sha256(MT5).hexdigest(), "stored": server.env.now(),
    }  # fmt: skip


@pytest.mark.parametrize("name", REAL)
def test_a_real_template_comes_back_as_it_was_put(serve, real_data, name):
    server, content = serve(), (real_data / name).read_bytes()
    assert server.ask("PUT", "/templates/GBPUSD/H1", content).status == 201
    assert server.ask("GET", "/templates/GBPUSD/60").body == content


def test_a_body_is_taken_in_chunks_and_a_byte_at_a_time(serve):
    server = serve()
    head = request("PUT", "/templates/EURUSD/H1", Transfer_Encoding="chunked")
    terminal = server.dial()
    terminal.send(head + chunked(TEMPLATE[:5], TEMPLATE[5:]), 1)
    assert Answer(terminal.received()).status == 201
    assert (
        server.env.find(ITemplates).library.content(server.env.find(ITemplates).library.newest())
        == TEMPLATE
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [(b"hello", 400, "template"), (b"", 400, "template"), (b"<" * 990, 400, "template"),
     (b"<chart>\n" + b"\xff" * 995, 413, "size")],
)  # fmt: skip
def test_what_is_no_template_is_refused(serve, body, status, code):
    answer = serve("templates.max_size=1000").ask("PUT", "/templates/EURUSD/H1", body)
    assert (answer.status, answer.json["error"]) == (status, code)


def test_a_body_that_is_announced_too_large_is_refused_before_it_is_read(serve, clock):
    server = serve("templates.max_size=1000")
    terminal = server.dial()
    terminal.send(request("PUT", "/templates/A/H1", Content_Length=999_999, Expect="100-continue"))
    answer = Answer(terminal.received())
    assert (answer.status, answer.json["error"]) == (413, "size")
    assert answer.headers["connection"] == "close"
    assert not terminal.closed
    terminal.send(b"x" * 10_000)
    clock.advance(5)
    assert (terminal.received(), terminal.closed) == (b"", True)


def test_a_body_that_grows_too_large_is_refused_while_it_streams_in(serve):
    server = serve("templates.max_size=1000")
    terminal = server.dial()
    terminal.send(request("PUT", "/templates/A/H1", Transfer_Encoding="chunked"))
    terminal.send(chunked(b"x" * 900)[:-5])
    assert terminal.received() == b""
    terminal.send(chunked(b"x" * 900)[:-5])
    assert Answer(terminal.received()).status == 413
    terminal.send(chunked(b"x" * 900))
    assert (terminal.received(), terminal.closed) == (b"", True)


def test_a_disk_that_is_full_is_503_and_a_bug_is_500(serve, log):
    server = serve()
    for error, status in ((TemplateError("server", "Full."), 503), (ZeroDivisionError(), 500)):
        failing = Deferred()
        server.env.find(ITemplates)._worker = lambda *args, failing=failing: failing
        terminal = server.dial()
        terminal.send(request("PUT", "/templates/A/H1", TEMPLATE))
        failing.errback(error)
        answer = Answer(terminal.received())
        assert (answer.status, answer.json["error"]) == (status, "server")
    assert [event["log_level"].name for event in log] == ["warn", "critical"]


def test_a_client_that_is_gone_before_the_answer_disturbs_nobody(serve, clock):
    server, stores = serve(), Deferred()
    server.env.find(ITemplates)._worker = lambda *args: stores
    terminal = server.dial()
    terminal.send(request("PUT", "/templates/A/H1", TEMPLATE))
    terminal.hang_up()
    stores.callback((server.store(), True))
    assert (terminal.received(), clock.getDelayedCalls()) == (b"", [])


@pytest.mark.parametrize("error", [TemplateError("template", "None."), ZeroDivisionError()])
def test_what_is_refused_after_the_client_has_left_is_logged_in_one_line(serve, log, error):
    server, stores = serve(), Deferred()
    server.env.find(ITemplates)._worker = lambda *args: stores
    terminal = server.dial()
    terminal.send(request("PUT", "/templates/A/H1", TEMPLATE))
    terminal.hang_up()
    stores.errback(error)
    got = [event for event in log if event["log_namespace"].startswith("mtnet")]
    assert (len(log), len(got), terminal.received()) == (1, 1, b"")


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_form_is_refused_and_told_what_to_send(serve, method):
    server = serve()
    body = b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n' + TEMPLATE + b"\r\n--x--\r\n"
    form = {"Content_Type": "Multipart/form-data; boundary=x"}
    answer = server.ask(method, "/templates/EURUSD/H1", body, **form)
    assert (answer.status, answer.json["error"]) == (415, "template")
    assert "curl -T FILE" in answer.json["text"]
    assert server.ask(method, "/templates/EURUSD/H1", body).status == 400
    assert server.env.find(ITemplates).library.listing() == []


def test_a_body_that_is_too_large_is_told_the_setting_and_both_sizes(serve):
    server = serve("templates.max_size=1000")
    sized = server.ask("PUT", "/templates/A/H1", b"x" * 1005)
    assert sized.json["text"] == "The body has 1005 bytes, and templates.max_size allows 1000."


# Connections


def test_requests_follow_each_other_on_one_connection_in_order(server):
    terminal = server.dial()
    terminal.send(
        request("GET", "/version")
        + request("PUT", "/templates/A/H1", TEMPLATE)
        + request("GET", "/nothing")
        + request("GET", "/version", Connection="close")
    )
    answers = terminal.received().split(b"HTTP/1.1 ")[1:]
    assert [each[:3] for each in answers] == [b"200", b"201", b"404", b"200"]
    assert terminal.closed


def test_headers_must_come_in_time_however_they_trickle(server, clock):
    terminal = server.dial()
    for each in request("GET", "/version")[:40]:
        terminal.send(bytes([each]))
        clock.advance(1)
    assert terminal.closed


def test_a_silent_connection_and_an_idle_one_are_closed(server, clock):
    silent, idle = server.dial(), server.dial()
    clock.advance(9)
    idle.send(request("GET", "/version"))
    clock.advance(2)
    assert (silent.closed, idle.closed) == (True, False)
    clock.advance(30)
    assert idle.closed


def test_a_slow_reader_is_waited_for_while_bytes_move_and_then_given_up(server, clock, monkeypatch):
    left = [3_000_000]
    for where in ("mtnet.services.web.http", "mtnet.net.closing"):
        monkeypatch.setattr(f"{where}.unacknowledged", lambda transport: left[0])
    terminal = server.dial()
    terminal.send(request("GET", "/templates/EURUSD/H1"))
    for _ in range(20):
        left[0] -= 1000
        clock.advance(30)
    assert not terminal.closed
    clock.advance(30)
    assert (terminal.closed, terminal.reset) == (True, False)
    clock.pump([1] * 6)
    assert terminal.reset


def test_a_body_that_stalls_is_closed(server, clock):
    terminal = server.dial()
    terminal.send(request("PUT", "/templates/A/H1", TEMPLATE)[:-10])
    clock.advance(31)
    assert terminal.closed


def test_an_old_client_without_host_and_keep_alive_is_answered(server):
    terminal = server.dial()
    terminal.send(b"GET /version HTTP/1.0\r\n\r\n")
    assert Answer(terminal.received()).status == 200
    assert terminal.closed


# Guards


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8083", "127.0.0.1", "127.0.0.1:8083", "localhost.", "my.host:1"],
)
def test_a_host_that_is_ours_is_served(serve, host):
    assert serve("web.hosts=my.host").ask("GET", "/version", host=host).status == 200


@pytest.mark.parametrize("host", ["[::1]:8083", "[::1]", "[0:0::1]"])
def test_an_ipv6_host_is_served(serve, host):
    answer = serve().ask("GET", "/version", host=host, at={"host": "::1", "peer": "::1"})
    assert answer.status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.2", "localhost.evil.example", "", "localhost:8083:1", "a@localhost",
     "[::1", "localhost localhost", "0.0.0.0"],
)  # fmt: skip
def test_a_host_that_is_not_ours_is_refused(server, host):
    answer = server.ask("GET", "/version", host=host)
    assert (answer.status, answer.json["error"]) == (403, "host")


@pytest.mark.parametrize(
    "origin",
    ["http://evil.example", "null", "http://localhost.evil.example", "http://localhost:3000", ""],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_origin_is_refused(serve, origin, method):
    server = serve()
    answer = server.ask(method, "/templates/A/H1", TEMPLATE, "localhost:8083", Origin=origin)
    assert (answer.status, answer.json["error"]) == (403, "origin")
    assert server.env.find(ITemplates).library.listing() == []


def test_our_own_page_is_served(serve):
    host, own = "localhost:8083", "http://localhost:8083"
    assert serve().ask("PUT", "/templates/A/H1", TEMPLATE, host, Origin=own).status == 201


@pytest.mark.parametrize("scheme", ["http", "https", "ws", "wss", "HTTP"])
@pytest.mark.parametrize("host", ["localhost", "localhost:8083", "127.0.0.1:8083"])
def test_an_absolute_target_is_taken_on_every_path(server, scheme, host):
    def ask(path):
        return server.ask("GET", f"{scheme}://{host}{path}", host=host)

    assert ask("/version").json["name"] == "mtnet"
    assert ask("/healthz").status == 200
    assert ask("/templates/EURUSD/H1?version=1").body == TEMPLATE
    assert ask("/nothing").json["error"] == "missing"
    assert ask("").body == ask("/").body != b""


def test_a_template_is_put_to_an_absolute_target(serve):
    assert serve().ask("PUT", "http://localhost/templates/A/H1", TEMPLATE).status == 201


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8083", "", "a@localhost", "localhost@evil.example"]
)
def test_the_host_of_an_absolute_target_must_be_ours_too(server, host):
    answer = server.ask("GET", f"http://{host}/version")
    assert (answer.status, answer.json["error"]) == (403, "host")
    answer = server.ask("GET", "http://localhost/version", host="evil.example")
    assert (answer.status, answer.json["error"]) == (403, "host")


def test_the_origin_is_compared_with_the_host_of_an_absolute_target(server):
    def ask(origin):
        return server.ask("GET", "http://localhost:8083/version", Origin=origin).status

    assert (ask("http://localhost:8083"), ask("http://localhost")) == (200, 403)


def test_two_hosts_are_refused(server):
    terminal = server.dial()
    terminal.send(b"GET /version HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n")
    assert Answer(terminal.received()).status == 403


def test_the_rights_of_a_stranger_depend_on_what_is_granted(serve):
    own = {"host": "192.0.2.1", "at": STRANGER}
    nothing = serve()
    nothing.store()
    assert nothing.ask("GET", "/templates", **own).json["error"] == "denied"
    assert nothing.ask("GET", "/templates/EURUSD/H1", **own).status == 403
    assert nothing.ask("GET", "/version", **own).status == 200
    fetch = serve("access.anonymous=fetch")
    assert fetch.ask("GET", "/templates/EURUSD/H1", **own).status == 200
    assert fetch.ask("PUT", "/templates/A/H1", TEMPLATE, **own).json["error"] == "denied"


def test_loopback_behind_a_proxy_is_a_stranger(serve):
    proxied = serve(listener=Listener("web", "haproxy:tcp:8083"))
    assert proxied.ask("GET", "/templates").status == 403


def test_refusals_are_logged_without_filling_the_log(server, log):
    for _ in range(50):
        server.ask("GET", "/%1b[31m", host="evil.example")
    assert len(log) == 5


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    data=st.binary(max_size=400),
    head=st.sampled_from([b"", b"GET /", b"PUT /templates/A/H1 HTTP/1.1\r\n", b"GET /templates/%"]),
)
def test_no_bytes_break_the_port(server, data, head):
    terminal = server.dial()
    terminal.send(head + data + b"\r\n\r\n")
    terminal.hang_up()


@pytest.mark.parametrize(
    "data",
    [
        b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /version HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
)
def test_a_line_that_is_too_long_is_answered_before_the_connection_closes(server, data):
    terminal = server.dial()
    terminal.send(data, 1_000)
    answer = Answer(terminal.received())
    assert answer.status == 431
    assert answer.json["error"] == "headers"
    assert terminal.closed


@pytest.mark.parametrize(
    "path",
    ["/version", "/healthz", "/metrics", "/templates", "/v1/nothing", "/%76%31/status", "/nothing"],
)
def test_nobody_on_the_way_keeps_an_answer(server, path):
    assert server.ask("GET", path).headers["cache-control"] == "no-store"


def test_a_client_may_keep_a_template_and_asks_whether_it_is_still_the_newest(server):
    server.ask("PUT", "/templates/EURUSD/H1", MT5)
    assert server.ask("GET", "/templates/EURUSD/H1").headers["cache-control"] == "no-cache"
