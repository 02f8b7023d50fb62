"""Jobs by HTTP and as JSON over WebSocket."""

import pytest
from fakes.daemon import FakeDaemon, basic
from fakes.http import Answer, HttpPort, request
from fakes.websocket_bytes import WebSocketTerminal
from test_jobs_verbs import GRANTS, ON, done, enter, offer, result, results, task, work

from mtnet.errors import JournalError
from mtnet.interfaces import IMetrics
from mtnet.net.endpoints import Listener
from mtnet.storage.sqlite import Database
from mtnet.testing import connect, make_environment

PATH = "/v1/jobs/q"
RESULTS = f"{PATH}/results"


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock, ON, grants=GRANTS)


def ask(daemon, login, method, path, body=b""):
    port = HttpPort(daemon.env)
    return port.ask(method, path, body, Authorization=basic(login).decode())


def finish(daemon, *ids):
    bob = enter(daemon, "bob")
    bob(work(64))
    bob(*(result(each) for each in ids))


def test_a_job_by_post_goes_to_a_worker_and_its_result_is_had_by_get(daemon):
    bob = enter(daemon, "bob")
    bob(work())
    stored = ask(daemon, "ann", "POST", PATH, {"id": "a-1", "data": "x"})
    assert (stored.status, stored.json) == (200, {"id": "a-1", "seq": 1})
    assert bob() == task("a-1")
    bob(result("a-1"))
    found = ask(daemon, "ann", "GET", f"{RESULTS}?after=0").json
    assert len(found.pop("epoch")) == 16
    assert found == {
        "seq": 1, "last": 1, "results": [{"seq": 1, "id": "a-1", "by": "bob", "data": "y"}],
    }  # fmt: skip
    assert results(enter(daemon, "ann")) == done("a-1", 1)


def test_a_dead_job_has_a_reason_and_no_data(daemon):
    ask(daemon, "ann", "POST", PATH, {"id": "1", "data": "x", "tries": 1})
    enter(daemon, "bob")(work(), b"<<FAIL|queue=q|id=1|reason=no>>")
    (row,) = ask(daemon, "ann", "GET", f"{RESULTS}?after=0").json["results"]
    assert row == {"seq": 1, "id": "1", "by": "bob", "reason": "no"}


def test_without_a_number_the_last_one_is_told(daemon):
    ask(daemon, "ann", "POST", PATH, {"id": "1", "data": "x"})
    finish(daemon, 1)
    found = ask(daemon, "ann", "GET", RESULTS).json
    assert (found["seq"], found["last"], found["results"]) == (1, 1, [])


def test_the_rest_follows_where_an_answer_is_cut(daemon):
    for each in range(5):
        ask(daemon, "ann", "POST", PATH, {"id": str(each), "data": "x"})
    finish(daemon, *range(5))
    found = ask(daemon, "ann", "GET", f"{RESULTS}?after=1&limit=2").json
    assert [each["seq"] for each in found["results"]] == [2, 3]
    assert (found["seq"], found["last"]) == (3, 5)


def poll(daemon, login, query):
    terminal = daemon.dial("web")
    terminal.send(request("GET", RESULTS + query, Authorization=basic(login).decode()))
    daemon.clock.advance(0)
    return terminal


def test_a_poll_waits_for_the_first_result(daemon):
    ann = poll(daemon, "ann", "?after=0&wait=30")
    enter(daemon, "ann")(offer(1))
    assert ann.received() == b""
    finish(daemon, 1)
    assert [each["id"] for each in Answer(ann.received()).json["results"]] == ["1"]


def test_a_poll_ends_with_its_time_or_its_client_and_is_forgotten(daemon):
    first, second = (poll(daemon, "ann", "?after=0&wait=30") for _ in range(2))
    second.hang_up()
    daemon.clock.advance(30)
    assert Answer(first.received()).json["results"] == []
    assert not IMetrics(daemon.env.components.services["jobs"])._jobs.feed("q").in_use


def test_another_epoch_is_answered_at_once_with_all(daemon):
    enter(daemon, "ann")(offer(1))
    finish(daemon, 1)
    found = poll(daemon, "ann", "?after=1&epoch=0123456789abcdef&wait=30").received()
    assert [each["seq"] for each in Answer(found).json["results"]] == [1]


@pytest.mark.parametrize(
    ("login", "method", "path", "body", "error"),
    [
        ("bob", "POST", PATH, {"id": "1", "data": "x"}, (403, "denied")),
        ("bob", "GET", RESULTS, b"", (403, "denied")),
        ("ann", "GET", "/v1/jobs/a%20b/results", b"", (422, "field")),
        ("ann", "GET", f"{RESULTS}?after=-1", b"", (422, "field")),
        ("ann", "POST", PATH, {"data": "x"}, (422, "field")),
        ("ann", "POST", PATH, {"id": "a b", "data": "x"}, (422, "field")),
        ("ann", "POST", PATH, {"id": "1", "data": "x", "tries": 0}, (422, "field")),
        ("ann", "POST", PATH, {"id": "1", "data": "x" * 6_001}, (422, "field")),
        ("ann", "POST", PATH, {"id": "1", "data": "%" * 6_000}, (422, "field")),
    ],
)
def test_what_is_refused_says_why(daemon, login, method, path, body, error):
    assert ask(daemon, login, method, path, body).error == error


def test_other_data_under_one_id_is_a_conflict(daemon):
    assert ask(daemon, "ann", "POST", PATH, {"id": "1", "data": "x"}).status == 200
    assert ask(daemon, "ann", "POST", PATH, {"id": "1", "data": "y"}).error == (409, "id")


def test_success_is_not_said_of_what_the_disk_does_not_take(daemon, monkeypatch):
    def fail(*_):
        raise JournalError("The disk is gone.")

    ask(daemon, "ann", "GET", RESULTS)
    monkeypatch.setattr(Database, "transaction", fail)
    monkeypatch.setattr(Database, "read", fail)
    body = {"id": "1", "data": "x"}
    assert ask(daemon, "ann", "POST", PATH, body).error == (503, "server")
    assert ask(daemon, "ann", "GET", f"{RESULTS}?after=0").error == (503, "server")


def test_json_has_the_same_verbs_with_numbers_as_numbers(tmp_path, clock):
    env = make_environment(tmp_path / "data", clock, ON)
    page = WebSocketTerminal(connect(env.factory("web", Listener("web", "tcp:1")), clock))
    page.ask({"verb": "HELLO", "v": "2"})
    (begin,) = page.ask({"verb": "RESULTS", "queue": "q", "after": 0})
    assert (begin["seq"], begin["oldest"]) == (0, 1)
    job = {"verb": "OFFER", "queue": "q", "id": "1", "data": "a|%<b>", "timeout": 9, "tries": 2}
    assert page.ask(job) == [{"verb": "OFFERED", "queue": "q", "id": "1", "seq": 1}]
    working, given = page.ask({"verb": "WORK", "queue": "q", "slots": 2})
    assert working["slots"] == 2
    assert given == {
        "verb": "TASK", "queue": "q", "id": "1", "data": "a|%<b>", "lease": 30, "try": 1,
    }  # fmt: skip
    (late,) = page.ask({"verb": "FAIL", "queue": "q", "id": "2", "reason": "x"})
    assert late["late"] == 1
    (taken,) = page.ask({"verb": "RESULT", "queue": "q", "id": "1", "data": "<y>"})
    clock.advance(0)
    (ended,) = page.messages()
    assert (taken["verb"], ended["verb"]) == ("TAKEN", "DONE")
    assert (ended["data"], ended["seq"], ended["took"]) == ("<y>", 1, 0)
