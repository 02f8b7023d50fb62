"""Topics by HTTP and as JSON over WebSocket."""

import runpy
from pathlib import Path

import pytest
from fakes.daemon import FakeDaemon, basic
from fakes.http import Answer, HttpPort, request
from fakes.websocket_bytes import WebSocketTerminal
from test_topics_verbs import GRANTS, ON, enter, message

from mtnet.interfaces import IMetrics
from mtnet.net.endpoints import Listener
from mtnet.testing import EPOCH, connect, make_environment

EXAMPLE = Path(__file__).parents[3] / "examples" / "topics.py"
PATH = "/v1/topics/desk%2Feurusd"


@pytest.fixture
def port(tmp_path, clock):
    return HttpPort(make_environment(tmp_path / "data", clock, ON))


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock, ON, grants=GRANTS)


def ask(daemon, login, method, path, body=b""):
    port = HttpPort(daemon.env)
    return port.ask(method, path, body, Authorization=basic(login).decode())


def _topics(env):
    return IMetrics(env.components.services["topics"])._topics


def test_a_message_by_post_reaches_members_and_is_had_by_get(daemon):
    bob = enter(daemon, "bob")
    bob(b"<<JOIN|topic=desk/eurusd>>")
    sent = ask(daemon, "ann", "POST", PATH, {"data": "above 1.10", "id": "a-1"})
    assert (sent.status, sent.json) == (200, {"seq": 1, "receivers": 1, "id": "a-1"})
    assert bob() == message("desk/eurusd", 1, "above 1.10")
    found = ask(daemon, "bob", "GET", f"{PATH}?after=0").json
    assert found.pop("epoch") == _topics(daemon.env).epoch
    row = {"seq": 1, "from": "ann", "data": "above 1.10", "time": EPOCH}
    assert found == {"seq": 1, "last": 1, "oldest": 1, "messages": [row]}


def test_without_a_number_the_retained_values_are_told(port):
    port.ask("POST", PATH, {"data": "1", "key": "k", "retain": True})
    port.ask("POST", PATH, {"data": "2"})
    found = port.ask("GET", PATH).json
    assert [(each["seq"], each["data"], each["key"]) for each in found["messages"]] == [
        (1, "1", "k")
    ]
    assert found["seq"] == found["last"] == 2


def test_the_rest_follows_where_an_answer_is_cut(port):
    for number in range(5):
        port.ask("POST", PATH, {"data": str(number)})
    found = port.ask("GET", f"{PATH}?after=1&limit=2").json
    assert [each["seq"] for each in found["messages"]] == [2, 3]
    assert (found["seq"], found["last"]) == (3, 5)


def poll(daemon, login, query):
    terminal = daemon.dial("web")
    terminal.send(request("GET", PATH + query, Authorization=basic(login).decode()))
    daemon.clock.advance(0)
    return terminal


def test_a_poll_waits_for_the_first_message_that_is_for_its_client(daemon):
    bob = poll(daemon, "bob", "?after=0&wait=30")
    assert bob.received() == b""
    ask(daemon, "ann", "POST", PATH, {"data": "secret", "to": "ann"})
    ask(daemon, "ann", "POST", "/v1/topics/other", {"data": "1"})
    assert bob.received() == b""
    ask(daemon, "ann", "POST", PATH, {"data": "2"})
    found = Answer(bob.received()).json
    assert [(each["seq"], each["data"]) for each in found["messages"]] == [(2, "2")]


def test_a_poll_ends_with_its_time_or_its_client_and_is_forgotten(daemon):
    first, second = (poll(daemon, "bob", "?after=0&wait=30") for _ in range(2))
    second.hang_up()
    daemon.clock.advance(30)
    assert Answer(first.received()).json["messages"] == []
    assert len(_topics(daemon.env)._observers) == 0


def test_another_epoch_is_answered_at_once_with_all(daemon):
    ask(daemon, "ann", "POST", PATH, {"data": "1"})
    found = poll(daemon, "bob", "?after=1&epoch=0123456789abcdef&wait=30").received()
    assert [each["seq"] for each in Answer(found).json["messages"]] == [1]


@pytest.mark.parametrize(
    ("login", "method", "path", "body", "error"),
    [
        ("carl", "GET", "/v1/topics/other", b"", (403, "denied")),
        ("carl", "POST", PATH, {"data": "1"}, (403, "denied")),
        ("ann", "GET", "/v1/topics/desk%2F%2A", b"", (422, "field")),
        ("ann", "GET", f"{PATH}?after=-1", b"", (422, "field")),
        ("ann", "POST", PATH, {}, (422, "field")),
        ("ann", "POST", PATH, {"data": "x" * 6_001}, (422, "field")),
        ("ann", "POST", PATH, {"data": "%" * 6_000}, (422, "field")),
        ("ann", "POST", PATH, {"data": "x", "to": "bob", "retain": True}, (422, "field")),
    ],
)
def test_what_is_refused_says_why(daemon, login, method, path, body, error):
    assert ask(daemon, login, method, path, body).error == error


def test_frames_and_json_are_sent_the_same_encoded_once_each(tmp_path, clock):
    env = make_environment(tmp_path / "data", clock, ON)
    web = env.factory("web", Listener("web", "tcp:1"))
    pages = [WebSocketTerminal(connect(web, clock)) for _ in range(3)]
    for page in pages:
        page.ask({"verb": "HELLO", "v": "2"})
        (joined,) = page.ask({"verb": "JOIN", "topic": "desk/*", "presence": True})
        assert isinstance(joined["members"], int)
    terminal = connect(env.factory("signals"), clock)
    terminal.send(b"<<HELLO|v=2>><<SEND|topic=desk/a|data=a|key=k|retain=1>>")
    clock.advance(0)
    assert b"SENT|topic=desk/a|seq=1|receivers=3" in terminal.received()
    wanted = {"verb": "MESSAGE", "topic": "desk/a", "seq": 1, "data": "a", "key": "k"}
    for page in pages:
        (found,) = page.messages()
        assert {key: found[key] for key in wanted} == wanted
    topics = _topics(env)
    (group,) = topics.fanout._groups["desk/a"].values()
    assert len(group) == 3
    mirrored, sent = pages[0].ask({"verb": "SEND", "topic": "desk/a", "data": "<b>|%"})
    assert (mirrored["data"], sent["receivers"]) == ("<b>|%", 3)


def test_the_example_answers_a_ping(tmp_path, clock, monkeypatch, capsys):
    port = HttpPort(make_environment(tmp_path / "data", clock, ON))
    example = runpy.run_path(str(EXAMPLE))
    asked = []

    def ask(method, path, body=None):
        asked.append(method)
        if len(asked) == 2:
            port.ask("POST", PATH, {"data": "ping"})
        if len(asked) == 5:
            raise KeyboardInterrupt
        return port.ask(method, path, b"" if body is None else body).json

    monkeypatch.setitem(example["main"].__globals__, "ask", ask)
    with pytest.raises(KeyboardInterrupt):
        example["main"]("desk/eurusd")
    assert asked == ["GET", "GET", "POST", "GET", "GET"]
    assert capsys.readouterr().out == "1 127.0.0.1 ping\n2 127.0.0.1 pong\n"
