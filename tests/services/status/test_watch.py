"""WATCH: the state of a part, then its changes, over frames and JSON, cut by rights."""

import json

import pytest
from fakes.daemon import GRANTS, PASSWORD, FakeDaemon
from fakes.participants import Participant
from fakes.screens import Screen
from fakes.websocket_bytes import WebSocketTerminal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zope.interface import implementer

from mtnet.errors import WireError
from mtnet.interfaces import IAlerts, IEvents, IParticipants, IService
from mtnet.services.alerts.settings import AlertRule
from mtnet.services.status import wire
from mtnet.services.status.component import LOOK, UNWATCHED_LOOKS
from mtnet.services.status.feed import StatusFeed
from mtnet.services.status.parts import opener
from mtnet.services.status.rows import apply
from mtnet.services.status.wire import PARTS
from mtnet.session import messages
from mtnet.session.grammar import MAX_SESSION_FRAME, parse, payloads
from mtnet.testing import connect

PEOPLE = {**GRANTS, "erin": ("watcher",), "root": ("admin",), "few": ("read:status/alerts",)}


@implementer(IService, IParticipants, IAlerts)
class Desk:
    """A component with people and alerts that the test names, and which counts its work."""

    def __init__(self):
        self.people, self.incidents, self.asked = [], [], 0

    def participants(self):
        self.asked += 1
        return self.people

    def rows(self):
        return self.incidents

    def start(self):
        pass

    stop = start


@pytest.fixture
def daemon(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, grants=PEOPLE)
    daemon.env.components.services["status"].start()
    return daemon


@pytest.fixture
def desk(daemon):
    desk = Desk()
    daemon.env.components.services["desk"] = desk
    return desk


def follower(who, **more):
    return Participant(role="follower", channel="gold", who=who, **{"status": "ok", **more})


def second(daemon, *screens):
    daemon.clock.advance(LOOK)
    return [each.read() for each in screens]


def test_the_whole_comes_once_and_then_what_changes(daemon, desk):
    desk.people = [follower("bob"), follower("eve")]
    screen = Screen(daemon, "erin")
    assert screen.watch("status", "events", "alerts") == ["WATCHED"] + ["STATE"] * 3
    assert set(screen.parts) == set(PARTS)
    status = screen.parts["status"]
    assert status["health"]["healthy"] is True
    assert status["participant/desk/follower/gold/bob"]["status"] == "ok"
    assert {"service/signals", "service/ticks", "service/status"} <= status.keys()
    assert second(daemon, screen) == [[]]
    desk.people = [follower("bob", status="offline")]
    assert second(daemon, screen) == [["CHANGED"]]
    assert screen.parts["status"]["participant/desk/follower/gold/bob"]["status"] == "offline"
    assert "participant/desk/follower/gold/eve" not in screen.parts["status"]


def test_changes_come_once_a_second_however_many_there_are(daemon, desk):
    screen = Screen(daemon, "erin")
    screen.watch("status")
    for number in range(8):
        desk.people = [follower("bob", behind=number)]
        daemon.clock.advance(LOOK / 8)
    assert screen.read() == ["CHANGED"]
    assert screen.parts["status"]["participant/desk/follower/gold/bob"]["behind"] == 7


def test_a_status_that_takes_long_to_read_comes_at_every_second_look(daemon, desk, monkeypatch):
    read, took = desk.participants, [0.002]

    def slow():
        daemon.clock.rightNow += took[0]
        return read()

    monkeypatch.setattr(desk, "participants", slow)
    screen, told = Screen(daemon, "erin"), []
    screen.watch("status")
    for number in range(12):
        if number == 6:
            took[0] = 0.0
        desk.people = [follower("bob", behind=number)]
        told += ["CHANGED" in verbs for verbs in second(daemon, screen)]
    assert (sum(told[:6]), sum(told[-5:])) == (3, 5)
    assert screen.parts["status"]["participant/desk/follower/gold/bob"]["behind"] == 11


def test_events_and_alerts_come_and_go(daemon, desk):
    screen = Screen(daemon, "erin")
    screen.watch("events", "alerts")
    daemon.env.find(IEvents).record("test", "It happened.", channel="gold")
    incident = {"subject": "gold", "since": 1, "text": "gold is silent."}
    desk.incidents = [{"name": "silent", "muted": False, "incidents": [incident]}]
    second(daemon, screen)
    (event,) = [row for row in screen.parts["events"].values() if row["kind"] == "test"]
    assert (event["text"], event["channel"]) == ("It happened.", "gold")
    assert screen.parts["alerts"] == {"silent": desk.incidents[0]}
    desk.incidents = []
    second(daemon, screen)
    assert screen.parts["alerts"] == {}


def test_all_who_see_the_same_are_sent_the_same_bytes_from_one_computation(daemon, desk):
    screens = [Screen(daemon, "erin") for _ in range(10)]
    for screen in screens:
        screen.watch("status")
    assert desk.asked == 1
    desk.people = [follower("bob")]
    assert second(daemon, *screens) == [["CHANGED"]] * 10
    assert desk.asked == 3  # once for the events, too
    assert all(screen.parts == screens[0].parts for screen in screens)


def test_one_who_comes_later_knows_the_same_as_the_others(daemon, desk):
    first = Screen(daemon, "erin")
    first.watch("status")
    daemon.clock.advance(LOOK / 2)
    desk.people = [follower("bob")]
    later = Screen(daemon, "erin")
    later.watch("status")
    second(daemon, first, later)
    assert first.parts == later.parts
    assert "participant/desk/follower/gold/bob" in later.parts["status"]


class Reader:
    """A watcher of one edition, and the picture that it has by STATE and CHANGED."""

    encoder = staticmethod(lambda frames: frames)

    def __init__(self, feed, what, admin):
        self.feed, self.what, self.admin = feed, what, admin
        self.picture = apply({}, self.read(feed.join(self, what, admin).state(self.encoder)))

    def changed(self, edition, encoded):
        self.picture = apply(self.picture, self.read(encoded))

    def read(self, encoded):
        (payload,) = payloads(encoded)
        return json.loads(parse(payload).fields["data"])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("second")),
        st.tuples(st.just("join"), st.sampled_from(PARTS), st.booleans()),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("event"), st.sampled_from(["it peer=192.0.2.1:1 was", "it was"])),
        st.tuples(st.just("come"), st.sampled_from(["bob", "eve"]), st.integers(0, 1)),
        st.tuples(st.just("go"), st.integers(0, 9)),
        st.tuples(st.just("change"), st.integers(0, 9), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("incident"), st.sampled_from(["a", "b", ""])),
    ),
    max_size=25,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(STEPS)
def test_who_joins_at_any_time_has_the_picture_of_a_fresh_state(daemon, desk, steps):
    desk.people, desk.incidents = [], []
    events = daemon.env.find(IEvents)
    feed, readers = StatusFeed(opener(daemon.env, events), daemon.clock), []

    def take(what, *more):
        if what == "join":
            readers.append(Reader(feed, *more))
        elif what == "leave" and readers:
            feed.leave(readers.pop(more[0] % len(readers)))
        elif what == "event":
            events.record("test", more[0])
        elif what == "come":
            who, behind = more
            desk.people = [*desk.people, follower(who, behind=behind, balance="1")]
        elif what == "go" and desk.people:
            at = more[0] % len(desk.people)
            desk.people = desk.people[:at] + desk.people[at + 1 :]
        elif what == "change" and desk.people:
            at, behind, anew = more
            before = desk.people[at % len(desk.people)]
            row = Participant(before, behind=behind, balance=f"{anew}")
            desk.people = [
                row if n == at % len(desk.people) else e for n, e in enumerate(desk.people)
            ]
        elif what == "incident":
            found = [{"subject": more[0], "text": "It is.", "public": "Something is."}]
            desk.incidents = [{"name": "x", "incidents": found if more[0] else []}]

    for step in [*steps, ("second",)]:
        take(*step)
        if step == ("second",):
            daemon.clock.advance(LOOK)
            feed.refresh()
            for each in readers:
                other = StatusFeed(opener(daemon.env, events), daemon.clock)
                assert each.picture == Reader(other, each.what, each.admin).picture
                other.close()
    feed.close()


def test_while_nobody_watches_the_events_alone_ask(daemon, desk):
    screen = Screen(daemon, "erin")

    def asked_in(seconds):
        before = desk.asked
        daemon.clock.pump([LOOK] * seconds)
        return desk.asked - before

    assert asked_in(10 * UNWATCHED_LOOKS) == 10
    screen.watch("status")
    screen.watch()
    assert asked_in(10 * UNWATCHED_LOOKS) == 10
    screen.watch("status")
    screen.terminal.hang_up()
    assert asked_in(10 * UNWATCHED_LOOKS) == 10


def test_a_slow_watcher_gets_the_newest_state_and_no_queue_grows(daemon, desk):
    screen = Screen(daemon, "erin")
    screen.watch("status")
    transport = screen.terminal.transport
    transport.stalled = True
    for number in range(100):
        desk.people = [follower("bob", behind=number, noise="x" * 50_000)]
        daemon.clock.advance(LOOK)
        screen.terminal.send(b"<<PONG>>")
    assert len(transport.value()) < 200_000
    transport.stalled = False
    for _ in range(10):
        transport.drain()
        daemon.clock.advance(0)
    assert screen.read().count("STATE") == 7  # the parts of one
    assert screen.parts["status"]["participant/desk/follower/gold/bob"]["behind"] == 99


BIG = 'Ö%|<>"\\\n' * 4_000


def test_a_state_that_is_too_long_for_a_frame_comes_in_parts(daemon, desk):
    desk.people = [follower("bob", note=BIG)]
    screen = Screen(daemon, "erin")
    verbs = screen.watch("status")
    assert verbs.count("STATE") > 4
    assert screen.parts["status"]["participant/desk/follower/gold/bob"]["note"] == BIG


@given(st.text(alphabet=st.sampled_from('aé€😀%|<>\n"\\'), max_size=200), st.integers(1, 400))
def test_no_character_and_no_escape_is_cut(text, times):
    frames = wire.pieces("STATE", "status", text * times)
    shown = [wire.ANSWERS["STATE"](parse(payload)) for payload in payloads(frames)]
    assert "".join(each.data for each in shown) == text * times
    assert [each.part for each in shown] == [*range(1, len(shown) + 1)]
    assert all(each.parts == len(shown) for each in shown)
    assert all(len(frame) + 4 <= MAX_SESSION_FRAME for frame in frames.split(b">>\r\n"))


# JSON


@pytest.fixture
def page(daemon):
    client = WebSocketTerminal(connect(daemon.factory("web"), daemon.clock))
    hello = {"verb": "HELLO", "v": "2", "login": "erin", "password": PASSWORD}
    (welcome,) = client.ask(hello)
    assert "status" in welcome["services"]
    return client


@pytest.mark.parametrize("asked", [["status", "alerts"], "status,alerts"])
def test_a_page_watches_by_one_object_for_each_state_however_long(daemon, desk, page, asked):
    desk.people = [follower("bob", note=BIG)]
    watched, alerts, status = page.ask({"verb": "WATCH", "what": asked})
    assert watched == {"verb": "WATCHED", "what": "alerts,status"}
    assert (alerts["what"], json.loads(alerts["data"])) == ("alerts", {"set": {}})
    rows = json.loads(status["data"])["set"]
    assert rows["participant/desk/follower/gold/bob"]["note"] == BIG
    assert "part" not in status
    desk.people = []
    daemon.clock.advance(LOOK)
    (changed,) = [each.json for each in page.received()]
    assert changed["verb"] == "CHANGED"
    assert json.loads(changed["data"]) == {"removed": ["participant/desk/follower/gold/bob"]}


# Rights


def test_networks_and_balances_are_for_admins_alone(daemon, desk):
    desk.people = [follower("bob", balance="100.00", peer="192.0.2.7:1")]
    erin, root = Screen(daemon, "erin"), Screen(daemon, "root")
    for screen in (erin, root):
        screen.watch("status", "events")
    row = "participant/desk/follower/gold/bob"
    assert {"balance", "peer"} & erin.parts["status"][row].keys() == set()
    assert root.parts["status"][row]["balance"] == "100.00"
    texts = [event["text"] for event in erin.parts["events"].values()]
    assert any("login=erin" in text for text in texts)
    assert "127.9.9.9" not in json.dumps(erin.parts)
    assert "peer=127.9.9.9" in json.dumps(root.parts)
    assert "service/signals/channels/main" in root.parts["status"]
    assert "service/signals/channels/main" not in erin.parts["status"]


def test_a_warning_about_an_account_has_another_sentence_for_those_who_may_not_see_it(daemon, desk):
    warning = {"code": "limit_struck", "text": "10000 became 8900.", "public": "A limit struck."}
    desk.people = [follower("bob", warnings=[warning])]
    erin, root = Screen(daemon, "erin"), Screen(daemon, "root")
    for screen in (erin, root):
        screen.watch("status")
    row = "participant/desk/follower/gold/bob"
    assert erin.parts["status"][row]["warnings"] == [
        {"code": "limit_struck", "text": "A limit struck."}
    ]
    assert root.parts["status"][row]["warnings"][0]["text"] == "10000 became 8900."


def test_an_alert_about_a_network_shows_it_to_admins_alone(daemon, desk):
    rule = AlertRule(when="login_new_network")
    incident = {"subject": "bob@192.0.2.0/24", "text": "bob has logged in from 192.0.2.0/24."}
    desk.incidents = [{"name": "new", "incidents": [{**incident, **rule.public("bob@192.0.2.7")}]}]
    erin, root = Screen(daemon, "erin"), Screen(daemon, "root")
    for screen in (erin, root):
        screen.watch("alerts")
    assert erin.parts["alerts"]["new"]["incidents"] == [
        {"text": "The condition `login_new_network` holds for bob."}
    ]
    assert incident.items() <= root.parts["alerts"]["new"]["incidents"][0].items()


@pytest.mark.parametrize(("login", "what"), [("bob", "status"), ("few", "events")])
def test_who_may_not_read_a_part_is_denied(daemon, login, what):
    screen = Screen(daemon, login)
    assert screen.watch(what) == ["ERROR"]
    assert screen.answers[-1]["code"] == "denied"


def test_a_right_to_one_part_shows_that_part(daemon, desk):
    screen = Screen(daemon, "few")
    assert screen.watch("alerts") == ["WATCHED", "STATE"]


def test_welcome_names_status_to_those_who_may_watch(daemon):
    services = [Screen(daemon, login).answers[0]["services"] for login in ("erin", "alice")]
    assert "status" in services[0].split(",")
    assert "status" not in services[1].split(",")


def test_another_login_ends_what_was_watched_before(daemon, desk):
    screen = Screen(daemon, "erin")
    screen.watch("status")
    screen.say(messages.hello(login="alice", password=PASSWORD))
    desk.people = [follower("bob")]
    assert second(daemon, screen) == [[]]


def test_what_cannot_be_watched_is_refused_with_what_can(daemon):
    screen = Screen(daemon, "erin")
    screen.say(b"<<WATCH|what=weather>>\r\n")
    assert screen.answers[-1]["code"] == "field"
    assert "alerts, events, status" in screen.answers[-1]["text"]
    with pytest.raises(WireError):
        wire.watch(["weather"])
