"""Publishers and followers by HTTP, pauses and restarts, in any order."""

import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.http import Answer, request
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from signals_web import Web, at, signal
from twisted.internet.task import Clock

from mtnet.testing import make_environment

LOTS = st.sampled_from(["1", "2", "-3", "0.5"])
KEYS = st.sampled_from([("A", ""), ("B", ""), ("C", ""), ("T", "1"), ("T", "2")])
STATES = st.dictionaries(KEYS, LOTS, max_size=5)
NAMES = st.sampled_from(["p1", "p2"])


class Poller:
    """A follower that keeps a poll held, and the positions that it was sent."""

    def __init__(self, symbols=None):
        self.symbols, self.held, self.terminal = symbols, {}, None
        self.known, self.seqs = "", []

    def connect(self, web):
        """Ask on a new connection."""
        self.web, self.terminal = web, web.dial()
        self.ask()

    def ask(self):
        more = f"&symbols={','.join(self.symbols)}" if self.symbols else ""
        path = f"/v1/channels/main/signals?wait=10{more}{self.known}"
        self.terminal.send(request("GET", path))

    def read(self):
        """Take every answer that there is."""
        for _ in range(100):
            self.web.clock.advance(0)
            data = self.terminal.received()
            if not data:
                return
            self.take(Answer(data).json)
            self.ask()
        raise AssertionError("A poll is answered again and again.")

    def take(self, found):
        assert not found.get("diverged")
        if "snapshot" in found:
            self.held = {}
        for each in found.get("snapshot", found.get("signals")):
            key = each["symbol"], each.get("ticket", "")
            self.held.pop(key, None)
            if Decimal(each["volume"]):
                self.held[key] = Decimal(each["volume"])
        seqs = [each["seq"] for each in found.get("signals", ())]
        if not self.symbols and seqs:  # each once, and in order
            assert seqs == list(range(self.seqs[-1] + 1, found["seq"] + 1))
        self.seqs.append(found["seq"])
        self.known = f"&epoch={found['epoch']}&after={found['seq']}&h={found['h']}"


class SignalsByHttp(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.clock, self.folder = Clock(), tempfile.TemporaryDirectory()
        self.clock.advance(1_000)
        self.n, self.count, self.mode = 0, 0, None
        self.pollers = [Poller(), Poller(["A", "T"])]
        self.start()

    def start(self):
        env = make_environment(Path(self.folder.name) / "data", self.clock)
        self.web = Web(env)
        for each in self.pollers:
            each.connect(self.web)

    @rule()
    def restart(self):
        self.start()

    @rule(seconds=st.sampled_from([0.5, 11.0, 40.0, 4_000.0]))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @rule(name=st.sampled_from(["pause", "freeze", "resume", "resume"]))
    def pause(self, name):
        assert self.web.pause(name).status == 200
        self.mode = {"pause": "close_only", "freeze": "frozen", "resume": None}[name]

    @rule(state=STATES, name=NAMES, take=st.booleans())
    def put(self, state, name, take):
        before, self.n = self.positions(), self.n + 1
        wanted = {key: Decimal(volume) for key, volume in state.items()}
        positions = [at(symbol, volume, ticket=t) for (symbol, t), volume in state.items()]
        answer = self.web.put(self.n, *positions, publisher=name, take=take, flat=True)
        now = self.positions()
        if answer.status == 409:
            assert (answer.json["error"], take, now) == ("fenced", False, before)
            return
        assert answer.status == 200
        refused = {(each["symbol"], each.get("ticket", "")) for each in answer.json["refused"]}
        if self.mode is None:
            assert (refused, now) == (set(), wanted)
        elif self.mode == "frozen":
            assert now == before
        else:  # closings and reductions are stored whatever is refused
            assert now.keys() <= before.keys()
            assert {key for key in now if key not in wanted} == set()
            assert all(now[key] == wanted[key] for key in now if key not in refused)
        again = self.web.put(self.n, *positions, publisher=name, flat=True)
        assert again.body == answer.body
        assert self.web.put(self.n - 1, *positions, publisher=name, flat=True).status == 409

    @rule(key=KEYS, volume=LOTS, name=NAMES, take=st.booleans(), closes=st.booleans())
    def post(self, key, volume, name, take, closes):
        self.count += 1
        opening = signal(f"o{self.count}", key[0], volume, ticket=key[1])
        closing = signal(f"c{self.count}", "A", "0")
        given = [opening, closing] if closes else [opening]
        answer = self.web.post(*given, publisher=name, take=take)
        fenced = {each.get("error") for each in answer.json} == {"fenced"}
        assert fenced or (answer.json[-1].get("error") is None) or not closes or self.mode
        if closes and not fenced and self.mode != "frozen":  # behind a refused signal, too
            assert ("A", "") not in self.positions()

    @invariant()
    def followers_hold_what_the_channel_holds(self):
        if not hasattr(self, "web"):
            return
        held = self.positions()
        for each in self.pollers:
            each.read()
            expected = {k: v for k, v in held.items() if not each.symbols or k[0] in each.symbols}
            assert each.held == expected

    def positions(self):
        found = self.web.ask("GET", "/v1/channels/main").json["positions"]
        return {(each["symbol"], each.get("ticket", "")): Decimal(each["volume"]) for each in found}

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
class TestSignalsByHttp(SignalsByHttp.TestCase):
    settings = settings(
        max_examples=20,
        stateful_step_count=20,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
