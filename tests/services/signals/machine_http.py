"""Clients of the signals machine that speak HTTP, and what they do."""

from decimal import Decimal

from fakes.http import WEB, Answer, request
from hypothesis import strategies as st
from hypothesis.stateful import rule
from signals_model import Content

from mtnet.net.http.router import Router
from mtnet.services.signals.commands import SignalCommands
from mtnet.services.signals.http.resources import signal_routes
from mtnet.services.signals.record.reader import RecordReader
from mtnet.services.web.http import ApiSite
from mtnet.services.web.logins.registry import Sessions
from mtnet.testing import connect

CHANNEL = "/v1/channels/main"
PROVIDERS = st.integers(0, 1)
OFTEN = st.sampled_from([True, True, False])
TAKE = st.sampled_from([False, False, True])
STATES = st.dictionaries(
    st.sampled_from([("A", ""), ("B", ""), ("C", ""), ("T", "1"), ("T", "2")]),
    st.sampled_from([Decimal(number) for number in (1, 2, -3)]),
    max_size=4,
)

CONTENTS = st.tuples(
    st.sampled_from("ABC"), st.just(""), st.sampled_from([Decimal(lots) for lots in (0, 1, 2, -3)])
).map(lambda found: Content(*found))


def site_of(server):
    """Return the factory of the web port of a server."""
    signals, env = server.signals, server.root.of("web")
    commands = SignalCommands(signals).commands()
    records = RecordReader(server.journal.path, server.disk)
    routes = signal_routes(signals, server.reports, records, commands, server.clock)
    sessions = Sessions(env.access.accounts, env.now, 1, 1_000)
    return ApiSite(env, Router({"signals": routes}), WEB, sessions)


class HttpClient:
    """One that has one request under way at a time, and comes back whenever it is cut off."""

    def __init__(self, world):
        self.world, self.terminal = world, None

    def connect(self):
        self.cut(1.0)
        self.terminal = connect(self.world.server.web, self.world.clock)

    def read(self, share=1.0):
        """Take an answer; what is cut short is none."""
        if self.terminal is None:
            return
        data = self.terminal.received()
        data = data[: round(len(data) * share)]
        if data:
            answer = Answer(data) if b"\r\n\r\n" in data else None
            if answer is None or len(answer.body) < int(answer.headers.get("content-length", 0)):
                self.lose()
            else:
                self.take(answer.status, answer.json)
        if self.terminal is not None and self.terminal.closed:
            self.lose()

    def cut(self, share):
        self.read(share)
        self.lose()

    def lose(self):
        terminal, self.terminal = self.terminal, None
        if terminal is not None:
            terminal.hang_up()


class Poller(HttpClient):
    """
    A follower by long poll.

    Attributes:
        epoch, seq, h: what it knows last.
        state: volumes by (symbol, ticket).
    """

    def __init__(self, world, symbols=None):
        super().__init__(world)
        self.symbols, self.state = symbols, {}
        self.epoch = self.seq = self.h = None

    def connect(self):
        super().connect()
        self.ask()

    def ask(self):
        query = "wait=10&name=poller"
        if self.symbols:
            query += f"&symbols={','.join(sorted(self.symbols))}"
        if self.epoch is not None:
            query += f"&epoch={self.epoch}&after={self.seq}&h={self.h}"
            self.world.claims.add((self.seq, self.h))
        self.diverged = not self.world.truth.knows(self.seq, self.h)
        self.terminal.send(request("GET", f"{CHANNEL}/signals?{query}"))

    def take(self, status, found):
        if status != 200:
            assert (status, found["error"]) == (503, "server")
            self.lose()
            return
        if "snapshot" in found:
            self._begin(found)
        else:
            self._go_on(found)
        self.epoch, self.seq, self.h = found["epoch"], found["seq"], found["h"]
        truth = self.world.truth
        assert truth.knows(self.seq, self.h)
        assert self.state == truth.state(self.seq, self.symbols)
        self.ask()

    def _begin(self, found):
        diverged = found["epoch"] == self.epoch and self.diverged
        assert found.get("diverged", False) == diverged
        if diverged:
            self.world.claimed((self.seq, self.h))
        went_back = self.epoch is not None and found["seq"] < self.seq
        assert not (diverged or went_back) or self.world.went_back
        self.state = {}
        self._apply(found["snapshot"])

    def _go_on(self, found):
        assert found["epoch"] == self.epoch
        seqs = [each["seq"] for each in found["signals"]]
        expected = [
            entry.seq
            for entry in self.world.truth.entries[self.seq : found["seq"]]
            if not self.symbols or entry.symbol in self.symbols
        ]
        assert seqs == expected, "something is missing, or comes twice"
        self._apply(found["signals"])

    def _apply(self, rows):
        for each in rows:
            key = each["symbol"], each.get("ticket", "")
            self.state.pop(key, None)
            if Decimal(each["volume"]):
                self.state[key] = Decimal(each["volume"])


class Provider(HttpClient):
    """
    A publisher of signals and of whole states; it repeats what has no answer.

    Attributes:
        name: `publisher` in its requests.
        waiting: its request that has no answer: method, path, body, and what checks the answer.
    """

    def __init__(self, world, name):
        super().__init__(world)
        self.name, self.n, self.waiting = name, 0, None

    def connect(self):
        super().connect()
        if self.waiting is not None:
            ids = (each["id"] for each in self.waiting[2].get("signals", ()))
            self.world.repeated.update(ids)
            self.terminal.send(request(*self.waiting[:3]))

    def post(self, signals, take):
        rows = [{"id": id, **content.fields} for id, content in signals.items()]
        rows = [{key: str(value) for key, value in row.items()} for row in rows]
        body = {"publisher": self.name, "signals": rows, "take": take}
        self._send("POST", f"{CHANNEL}/signals", body, lambda found: self._judged(signals, found))

    def put(self, state, take):
        self.n += 1
        positions = [
            {"symbol": symbol, "ticket": ticket, "volume": str(volume)}
            for (symbol, ticket), volume in state.items()
        ]
        body = {"publisher": self.name, "n": self.n, "positions": positions, "flat": True}
        body["take"] = take
        self._send("PUT", f"{CHANNEL}/positions", body, lambda found: self._replaced(state, found))

    def _send(self, method, path, body, check):
        self.waiting = method, path, body, check
        self.terminal.send(request(method, path, body))

    def take(self, status, found):
        *_, check = self.waiting
        if isinstance(found, dict) and found.get("error") == "server":
            assert status == 503
            self.lose()  # and sent again
            return
        self.waiting = None
        if isinstance(found, dict) and "error" in found:
            assert (status, found["error"]) == (409, "fenced")
        else:
            check(found)

    def _judged(self, signals, found):
        truth, verdicts = self.world.truth, self.world.rules.verdicts
        assert [each["id"] for each in found] == [*signals]
        for each in found:
            id, entry = each["id"], truth.of_id(each["id"])
            if "seq" in each:
                assert signals[id].is_of(entry)
                assert entry.seq == each["seq"]
            elif id not in self.world.repeated and each["error"] != "server":
                assert verdicts[id] == ("closed" if each.get("closed") else each["error"])
                assert entry is None

    def _replaced(self, state, found):
        truth = self.world.truth
        assert truth.knows(found["seq"], found["h"])
        held, refused = truth.state(found["seq"]), found["refused"]
        if not refused:
            assert held == state
        keys = {(each["symbol"], each.get("ticket", "")) for each in refused}
        assert all(held.get(key) == state.get(key) for key in {*held, *state} - keys)


class HttpClients:
    """
    Attributes:
        providers: publishers by HTTP, of one login.
        pollers: followers by HTTP.
    """

    def join_by_http(self):
        self.providers = [Provider(self, "shop"), Provider(self, "script")]
        self.pollers = [Poller(self), Poller(self, {"A", "T"})]

    @rule(
        asked=st.lists(st.tuples(PROVIDERS, STATES, TAKE), min_size=1, max_size=4),
        stored=OFTEN,
    )
    def put_whole_states(self, asked, stored):
        for who, state, take in asked:
            provider = self.ready(who)
            if provider.waiting is None:
                provider.put(state, take)
            self.work(stored)
            provider.read()

    @rule(
        asked=st.lists(
            st.tuples(PROVIDERS, st.lists(CONTENTS, max_size=3), TAKE), min_size=1, max_size=4
        ),
        stored=OFTEN,
    )
    def post_signals(self, asked, stored):
        for who, contents, take in asked:
            provider = self.ready(who)
            if provider.waiting is None:
                first, self.count = self.count + 1, self.count + len(contents)
                signals = {f"n{first + at}": content for at, content in enumerate(contents)}
                self.sent.update(signals)
                provider.post(signals, take)
            self.work(stored)
            provider.read()

    def ready(self, who):
        """Return a provider that is connected, and has read its last answer."""
        provider = self.providers[who]
        provider.read()
        if provider.terminal is None:
            provider.connect()
        return provider

    @rule(who=st.integers(0, 1), share=st.floats(0, 1))
    def poll_again(self, who, share):
        self.pollers[who].cut(share)
        self.pollers[who].connect()

    def check_pollers(self):
        """Whoever polls knows the truth; whoever published has an answer."""
        for each in self.providers:
            if each.waiting is not None and each.terminal is None:
                each.connect()
        for each in self.pollers:
            if each.terminal is None:
                each.connect()
        self.settle(3)
        for each in self.pollers:
            assert each.state == self.truth.state(None, each.symbols)
        assert all(each.waiting is None for each in self.providers)
