"""Status and events by HTTP."""

import pytest
from fakes.daemon import FakeDaemon, basic
from fakes.http import Answer, HttpPort, request

from mtnet.interfaces import IEvents, IHealth

GRANTS = {"root": ("admin",), "wendy": ("read:status",), "bob": ("follow:signals",)}


@pytest.fixture
def web(env_with):
    return HttpPort(env_with())


@pytest.fixture
def ask_as(tmp_path, clock):
    """Ask as somebody."""
    daemon = FakeDaemon(tmp_path / "data", clock, grants=GRANTS)

    def ask(name, path):
        terminal = daemon.dial("web")
        terminal.send(request("GET", path, Authorization=basic(name).decode()))
        clock.advance(0)
        return Answer(terminal.received())

    ask.env = daemon.env
    return ask


def events(answer):
    return [each["text"] for each in answer.json["events"]]


def test_the_newest_events_are_told_oldest_first(web):
    log = web.env.find(IEvents)
    for text in ("One.", "Two.", "Three."):
        log.record("test", text)
    answer = web.ask("GET", "/v1/events?limit=2")
    assert (events(answer), answer.json["last"]) == (["Two.", "Three."], 3)
    assert answer.headers["cache-control"] == "no-store"


def test_events_behind_a_number_are_told_in_pages(web):
    log = web.env.find(IEvents)
    for text in ("One.", "Two.", "Three."):
        log.record("test", text)
    first = web.ask("GET", "/v1/events?after=0&limit=2")
    assert (events(first), first.json["last"]) == (["One.", "Two."], 2)
    assert events(web.ask("GET", "/v1/events?after=2")) == ["Three."]


def test_an_event_is_waited_for(web, clock):
    log, terminal = web.env.find(IEvents), web.dial()
    terminal.send(request("GET", "/v1/events?after=0&wait=30&kinds=wanted"))
    log.record("other", "Not this.")
    assert terminal.received() == b""
    log.record("wanted", "This.")
    answer = Answer(terminal.received())
    assert (events(answer), answer.json["last"]) == (["This."], 2)


def test_a_wait_ends_with_an_empty_answer(web, clock):
    terminal = web.dial()
    terminal.send(request("GET", "/v1/events?after=0&wait=0.4"))
    clock.advance(0.4)
    assert Answer(terminal.received()).json == {"events": [], "last": 0}


def test_nothing_waits_for_a_client_that_has_left(web, clock):
    before, terminal = len(clock.getDelayedCalls()), web.dial()
    terminal.send(request("GET", "/v1/events?after=0&wait=60"))
    terminal.hang_up()
    web.env.find(IEvents).record("test", "One.")
    clock.advance(2)  # in which it is stored
    assert len(clock.getDelayedCalls()) == before


@pytest.mark.parametrize(
    "query",
    ["wait=61", "wait=-1", "wait=nan", "after=-1", "after=x", "after=99999999999999999999",
     "limit=0", "limit=1001", "level=loud", "after=1&after=2"],
)  # fmt: skip
def test_what_cannot_be_asked_is_422(web, query):
    assert web.ask("GET", f"/v1/events?{query}").error == (422, "field")


def test_a_login_that_ends_ends_its_wait(ask_as, tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "other", clock, grants=GRANTS)
    terminal = daemon.dial("web")
    said = basic("wendy").decode()
    terminal.send(request("GET", "/v1/events?after=0&wait=60", Authorization=said))
    clock.advance(0)
    assert terminal.received() == b""
    daemon.change("wendy", grants=("follow:signals",), password="")
    assert Answer(terminal.received()).error == (401, "login")


def test_the_right_is_needed_and_admin_sees_more(ask_as):
    log = ask_as.env.find(IEvents)
    log.record("login_refused", "login refused: peer=192.0.2.9:7 login=eve", peer="192.0.2.9:7")
    log.record("channel_paused", "Main is paused.")
    assert ask_as("bob", "/v1/events").error == (403, "denied")
    assert ask_as("bob", "/v1/status").error == (403, "denied")
    assert events(ask_as("wendy", "/v1/events")) == [
        "login refused: login=eve",
        "Main is paused.",
    ]
    assert len(events(ask_as("root", "/v1/events"))) == 2


def test_status_is_health_for_most_and_the_whole_for_admin(ask_as):
    health = ask_as.env.find(IHealth)
    health.whole = lambda: {**health.health(), "version": "1", "since": 2, "pid": 3}
    few, all = ask_as("wendy", "/v1/status").json, ask_as("root", "/v1/status").json
    assert (few["version"], few["since"], few["healthy"]) == ("1", 2, True)
    assert ("pid" in few, "pid" in all) == (False, True)
    assert "signals" in few
