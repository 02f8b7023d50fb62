"""Whatever happens, all who can be asked for the status say the same."""

import json
import os
from collections import Counter

from fakes.daemon import basic
from fakes.http import Answer, request
from fakes.screens import Screen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from status_scene import Scene
from twisted.internet.task import Clock

from mtnet.cli.signals.status import IN_TROUBLE, URGENT
from mtnet.interfaces import IControlCommands
from mtnet.services.signals.wire import requests
from mtnet.session import messages

EXAMPLES = int(os.environ.get("MTNET_TEST_STATUS_EXAMPLES", "8"))
OPEN = ("access.trust_loopback=true", "web.metrics_open=true")
PEOPLE = ("alice/desk", "alice/other", "bob/desk", "bob/attic", "bob/view")
MODES = ("pause", "freeze", "resume")
who = st.sampled_from(PEOPLE)
volume = st.sampled_from(["-1", "0", "0.5", "1", "2"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), who),
        st.tuples(st.just("publish"), who, volume, st.sampled_from(["0", "free", "1"])),
        st.tuples(st.just("acknowledge"), who, st.integers(0, 3), volume, st.booleans()),
        st.tuples(st.just("report"), who, st.booleans(), st.sampled_from(["1", "2"])),
        st.tuples(st.just("go"), who, st.booleans()),
        st.tuples(st.just("stall"), who),
        st.tuples(st.just("claim"), who),
        st.tuples(st.just("command"), st.sampled_from(MODES), st.sampled_from(["gold", "half"])),
        st.tuples(st.just("forget"), who),
        st.tuples(st.just("once")),
        st.tuples(st.just("rest"), st.sampled_from([1, 6, 13, 16, 61]), st.sets(who)),
    ),
    min_size=3,
    max_size=20,
)


class Play:
    """Real sessions of a few people, who do what they are told; `second` lets one pass."""

    def __init__(self, scene, second):
        self.scene, self.second, self.there, self.ids = scene, second, {}, 0

    def take(self, step, *more):
        getattr(self, f"_{step}")(*more)

    def _session(self, who):
        login, name = who.split("/")
        if who not in self.there or self.there[who].closed:
            client = "MtnetFollower 1.00" if name == "attic" else ""
            self.there[who] = self.scene.greet(login, name, client)
        return self.there[who]

    def _come(self, who):
        channel = "half" if who == "bob/view" else "gold"
        self.scene.say(self._session(who), requests.subscribe(channel))

    def _publish(self, who, volume, take):
        self.ids += 1
        fields = f"id={self.ids}|channel=gold|symbol=EURUSD|volume={volume}|take={take}"
        self.scene.say(self._session(who), f"<<PUBLISH|{fields}>>".encode())

    def _acknowledge(self, who, back, volume, failed):
        seq = max(1, self.scene.signals.channel("gold").seq - back)
        status = "failed" if failed else "filled"
        self.scene.acknowledge(self._session(who), seq, status=status, volume=volume)

    def _report(self, who, trading, account):
        self.scene.report(self._session(who), trading=trading, account=account)

    def _go(self, who, bye):
        if bye:
            self.scene.say(self._session(who), messages.bye())
        elif who in self.there:
            self.there.pop(who).hang_up()

    def _stall(self, who):
        self._session(who).transport.stalled = True

    def _claim(self, who):
        epoch = self.scene.signals.channels.epoch("gold")
        self.scene.say(self._session(who), requests.subscribe("gold", epoch=epoch, after=99))

    def _command(self, command, channel):
        self._ask(f"signals {command}", channel=channel)

    def _forget(self, who):
        if who not in self.there:
            self._ask("signals forget", follower=who)

    def _ask(self, command, **asked):
        IControlCommands(self.scene.component).commands()[command](asked)
        self.scene.clock.advance(0)

    def _once(self):
        terminal = self.scene.dial("signals")
        self.scene.say(terminal, b"<<GBPUSD|1.00>>")
        terminal.hang_up()

    def _rest(self, seconds, awake):
        for _ in range(seconds):
            self.second()
            for who, each in self.there.items():
                if who in awake and not each.closed:
                    self.scene.say(each, messages.ping())


class Asked:
    """All who can be asked; each answer is `(role, channel, who, status, codes)` of everybody."""

    def __init__(self, scene, command_line):
        self.scene, self.run = scene, command_line
        command_line.attach({"status": scene.report_all})
        scene.env.components.services["status"].start()
        self.screens = {login: Screen(scene, login) for login in ("root", "erin")}
        for screen in self.screens.values():
            screen.watch("status")

    def second(self):
        """Let a second pass, so that those who watch are told of everything."""
        self.scene.clock.advance(1)
        for screen in self.screens.values():
            screen.say(messages.ping())

    def component(self):
        return said(self.scene.everybody())

    def signals_status(self):
        return said(self._json("signals", "status")["participants"])

    def status(self):
        return said(self._json("status")["signals"]["participants"])

    def watched(self, login):
        parts = self.screens[login].parts["status"].items()
        return said(row for key, row in parts if key.startswith("participant/"))

    def _json(self, *words):
        return json.loads(self.run.on_folder(*words, "--json").out)

    def http(self, path, login="root"):
        terminal = self.scene.dial("web")
        terminal.send(request("GET", path, Authorization=basic(login).decode()))
        self.scene.clock.advance(0)
        return Answer(terminal.received())

    def metric(self, name, label):
        """Return the values of a metric by role and another label, without those that are 0."""
        families = text_string_to_metric_families(self.http("/metrics").body.decode())
        (family,) = [each for each in families if each.name == name]
        found = {(e.labels["role"], e.labels[label]): e.value for e in family.samples}
        return Counter({key: int(value) for key, value in found.items() if value})


def said(rows):
    return sorted(
        (each["role"], each["channel"], each["who"], each["status"],
         [warning["code"] for warning in each["warnings"]])
        for each in rows
    )  # fmt: skip


def by_status(shown):
    """Return the counts of `/healthz` in the form of a metric."""
    found = {(role[:-1], status): n for role, each in shown.items() for status, n in each.items()}
    return Counter({key: n for key, n in found.items() if n})


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_all_who_are_asked_name_the_same_people_with_the_same_codes(
    tmp_path_factory, command_line, steps
):
    scene = Scene(tmp_path_factory.mktemp("data"), Clock(), *OPEN)
    publisher = scene.provide()
    scene.make_view("gold")
    asked = Asked(scene, command_line)
    play = Play(scene, asked.second)
    play.there["alice/desk"] = publisher
    for step in steps:
        play.take(*step)
        asked.second()
    people = asked.component()
    assert asked.signals_status() == asked.status() == people
    assert asked.watched("root") == asked.watched("erin") == people
    statuses = Counter((role, status) for role, _, _, status, _ in people)
    codes = Counter((role, code) for role, *_, warned in people for code in {*warned})
    health = asked.http("/healthz").json
    assert by_status(health["signals"]["participants"]) == statuses
    assert asked.metric("mtnet_signals_participants", "status") == statuses
    assert asked.metric("mtnet_signals_warnings", "code") == codes
    needy = any(each[3] in URGENT for each in people)
    assert (health["signals"]["in_trouble"] is not None) == needy
    result = asked.run.on_folder("signals", "status")
    assert result.status == (IN_TROUBLE if needy else 0)
    texts = [
        warning["text"]
        for row in scene.report_all()["signals"]["participants"]
        for warning in row["warnings"]
    ]
    assert all(text in result.out for text in texts)
    assert not any(name in str(health) for name in ("alice", "bob"))
