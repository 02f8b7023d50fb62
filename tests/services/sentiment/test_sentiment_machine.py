"""
Votes against a model, over cuts, reconnects, other logins, requests, classic programs and time.

No vote is counted twice; what is shown is what the model has, or what was shown before while too
few votes differ from it; and nothing below the floor.
"""

import os
import shutil
import tempfile
from pathlib import Path

from fakes.daemon import FakeDaemon, basic, hello
from fakes.http import HttpPort
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)
from twisted.internet.task import Clock

from mtnet.interfaces import IControlCommands

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "8"))
LINGER = 60
LOGINS = ("ann", "bob")
HOSTS = tuple(f"127.0.0.{number}" for number in range(2, 6))
SYMBOLS = ("EURUSD", "GBPUSD")
VOLUMES = st.integers(-3, 3)
SETS = (
    "listen.sentiment=tcp:8085:interface=127.0.0.1",
    "access.anonymous=publish:sentiment,follow:sentiment",
    "signals.heartbeat=100000",
    "sentiment.pace=0",
)


class Model:
    """The votes: (symbol, voter) → [lots, who holds it, when it is forgotten]."""

    def __init__(self):
        self.votes, self.now = {}, 0.0

    def hold(self, symbol, voter, lots, holder, network=None):
        lingering = self.votes.get((symbol, network))
        if network and lingering and lingering[1] is None:
            del self.votes[symbol, network]
        self.votes.pop((symbol, voter), None)
        if lots:
            self.votes[symbol, voter] = [lots, holder, None]

    def end(self, holder):
        for vote in self.votes.values():
            if vote[1] is holder:
                vote[1:] = [None, self.now + LINGER]

    def withdraw(self, holder):
        self.votes = {key: vote for key, vote in self.votes.items() if vote[1] is not holder}

    def advance(self, seconds):
        self.now += seconds
        self.votes = {
            key: vote for key, vote in self.votes.items() if vote[2] is None or vote[2] > self.now
        }

    def of(self, symbol):
        return {voter: vote[0] for (name, voter), vote in self.votes.items() if name == symbol}


class Client:
    """A session, or a classic program, from one address."""

    def __init__(self, terminal, host, login=None):
        self.terminal, self.host, self.login = terminal, host, login

    @property
    def voter(self):
        return self.login or self.host


class SentimentMachine(RuleBasedStateMachine):
    sessions, programs = Bundle("sessions"), Bundle("programs")

    @initialize(floor=st.integers(1, 3))
    def begin(self, floor):
        self.folder, self.floor = Path(tempfile.mkdtemp(prefix="sentiment-")), floor
        sets = (*SETS, f"sentiment.min_clients={floor}", f"sentiment.min_changes={floor}")
        grants = dict.fromkeys(LOGINS, ("voter",))
        self.daemon = FakeDaemon(self.folder / "data", Clock(), *sets, grants=grants)
        component = self.daemon.env.components.services["sentiment"]
        self.list = IControlCommands(component).commands()["sentiment list"]
        self.model, self.shown = Model(), {}
        self.known = {symbol: {} for symbol in SYMBOLS}

    def teardown(self):
        if hasattr(self, "folder"):
            shutil.rmtree(self.folder)

    def say(self, client, frame):
        return self.daemon.say(client.terminal, frame)

    @rule(target=sessions, host=st.sampled_from(HOSTS), login=st.sampled_from([None, *LOGINS]))
    def arrive(self, host, login):
        client = Client(self.daemon.dial("signals", peer=host), host)
        self.log_in(client, login)
        return client

    @rule(client=sessions, login=st.sampled_from([None, *LOGINS]))
    def log_in_as(self, client, login):
        self.log_in(client, login or client.login)

    def log_in(self, client, login):
        answer = self.say(client, hello(login) if login else b"<<HELLO|v=2>>")
        assert b"WELCOME" in answer
        if login != client.login:
            self.model.withdraw(client)
            client.login = login

    @rule(client=sessions, symbol=st.sampled_from(SYMBOLS), lots=VOLUMES)
    def hold(self, client, symbol, lots):
        network = client.host if client.login else None
        self.model.hold(symbol, client.voter, lots, client, network)
        answer = self.say(client, f"<<HOLD|symbol={symbol}|volume={lots}>>".encode())
        self.agree()
        row = self.shown.get(symbol, {"net": "0.00", "clients": 0})
        assert f"|net={row['net']}|clients={row['clients']}|".encode() in answer

    @rule(client=consumes(sessions), bye=st.booleans())
    def leave(self, client, bye):
        if bye:
            self.say(client, b"<<BYE>>")
        client.terminal.hang_up()
        self.model.end(client)

    @rule(target=programs, host=st.sampled_from(HOSTS))
    def start(self, host):
        return Client(self.daemon.dial("sentiment", peer=host), host)

    @rule(client=programs, symbol=st.sampled_from(SYMBOLS), lots=VOLUMES)
    def trade(self, client, symbol, lots):
        self.model.hold(symbol, client.voter, lots, client)
        answer = self.say(client, f"<<{symbol}|{lots}.00>>".encode())
        self.agree()
        net = self.shown.get(symbol, {"net": "0.00"})["net"]
        assert f"<<{symbol}|{net}>>\r\n".encode() in answer

    @rule(client=consumes(programs))
    def stop(self, client):
        client.terminal.hang_up()
        self.model.end(client)

    @rule(
        host=st.sampled_from(HOSTS),
        login=st.sampled_from([None, *LOGINS]),
        symbol=st.sampled_from(SYMBOLS),
        lots=VOLUMES,
    )
    def post(self, host, login, symbol, lots):
        request = object()
        network = host if login else None
        self.model.hold(symbol, login or host, lots, request, network)
        self.model.end(request)
        headers = {"Authorization": basic(login).decode()} if login else {}
        path, body = f"/v1/sentiment/{symbol}", {"volume": str(lots)}
        port = HttpPort(self.daemon.env)
        assert port.ask("POST", path, body, at={"peer": host}, **headers).status == 200

    @rule(seconds=st.sampled_from([1, 30, 59, 60]))
    def wait(self, seconds):
        self.model.advance(seconds)
        self.daemon.clock.advance(seconds)

    @invariant()
    def agree(self):
        if not hasattr(self, "list"):
            return
        self.shown = {row["symbol"]: row for row in self.list({})}
        for symbol in SYMBOLS:
            votes, known = self.model.of(symbol), self.known[symbol]
            differing = {
                voter for voter in {*votes, *known} if votes.get(voter) != known.get(voter)
            }
            if len(votes) < self.floor:
                assert symbol not in self.shown
            elif len(differing) >= self.floor:
                self.known[symbol] = known = votes
                assert symbol in self.shown
            if symbol in self.shown:
                row = self.shown[symbol]
                assert row["clients"] == len(known) >= self.floor
                assert float(row["long"]) == sum(each for each in known.values() if each > 0)
                assert float(row["net"]) == sum(known.values())


TestSentiment = SentimentMachine.TestCase
TestSentiment.settings = settings(max_examples=RUNS, stateful_step_count=30, deadline=None)
