"""TICKS in a session: which ticks are sent, to whom, and what happens to those that lag."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_clients import Daemon, answers, parsed, told
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mtnet.interfaces import ISessionHandler, ISessionVerbs, ITicks
from mtnet.services.signals.wire.requests import subscribe
from mtnet.services.ticks.verbs import handler, wire
from mtnet.services.ticks.verbs.handler import MAX_UNSENT
from mtnet.services.ticks.verbs.wire import Tick, Ticking
from mtnet.session import messages
from mtnet.session.grammar import parse
from mtnet.session.session import Session
from mtnet.testing import EPOCH


@pytest.fixture
def daemon(tmp_path, clock):
    return Daemon(tmp_path / "data", clock)


@pytest.fixture
def build(tmp_path, clock):
    return lambda *sets, **more: Daemon(tmp_path / "data", clock, *sets, **more)


def subscribers(daemon):
    return daemon.env.find(ITicks).health()["subscribers"]


def test_it_provides_what_the_interfaces_ask_for(daemon):
    verbs = ISessionVerbs(daemon.env.components.services["ticks"])
    assert verifyObject(ISessionVerbs, verbs)
    session = daemon.session().protocol._session
    assert verifyObject(ISessionHandler, verbs.attach(session))


def test_the_last_tick_of_each_symbol_comes_at_once_and_then_every_one(daemon):
    daemon.feed("EURUSD 1.1", "GBPUSD - - 1.3", "UK%20100 7000")
    terminal = daemon.session(wire.ticks(["EURUSD", "UK 100", "XAUUSD"]))
    assert told(terminal) == [
        "TICKING|symbols=EURUSD,UK 100,XAUUSD",
        f"TICK|symbol=EURUSD|bid=1.1|received={EPOCH}",
        f"TICK|symbol=UK 100|bid=7000|received={EPOCH}",
    ]
    daemon.clock.advance(2)
    daemon.feed("EURUSD 1.10 1.2 - 0.5 1700000000000 6", "GBPUSD 1.4", "XAUUSD 2e3")
    assert told(terminal) == [
        "TICK|symbol=EURUSD|bid=1.10|ask=1.2|volume=0.5|time=1700000000000|flags=6"
        f"|received={EPOCH + 2_000}",
        f"TICK|symbol=XAUUSD|bid=2e3|received={EPOCH + 2_000}",
    ]


def test_a_star_is_every_symbol_those_that_come_later_included(daemon):
    daemon.feed("EURUSD 1.1")
    terminal = daemon.session(wire.ticks("*"))
    assert answers(terminal) == [Ticking(frozenset("*")), Tick("EURUSD", EPOCH, "1.1")]
    daemon.feed("XAUUSD 2000")
    assert answers(terminal) == [Tick("XAUUSD", EPOCH, "2000")]


def test_a_new_request_replaces_the_one_before(daemon):
    daemon.feed("EURUSD 1.1", "GBPUSD 1.3")
    terminal = daemon.session(wire.ticks("*"), wire.ticks(["GBPUSD"]))
    assert answers(terminal)[-2:] == [Ticking(frozenset({"GBPUSD"})), Tick("GBPUSD", EPOCH, "1.3")]
    daemon.feed("EURUSD 1.2", "GBPUSD 1.4")
    assert answers(terminal) == [Tick("GBPUSD", EPOCH, "1.4")]


def test_no_symbols_end_it(daemon):
    terminal = daemon.session(wire.ticks(["EURUSD"]), wire.ticks([]))
    assert answers(terminal)[-1] == Ticking(frozenset())
    daemon.feed("EURUSD 1.1")
    assert told(terminal) == []
    assert subscribers(daemon) == 0


@pytest.mark.parametrize("end", [lambda t: t.send(messages.bye()), lambda t: t.hang_up()])
def test_a_session_that_ends_leaves_nothing_behind(daemon, end):
    terminal = daemon.session(wire.ticks(["EURUSD"]))
    terminal.transport.stalled = True
    for _ in range(2_000):
        daemon.feed("EURUSD 1.1", "GBPUSD 1.1")
    end(terminal)
    assert subscribers(daemon) == 0
    daemon.feed("EURUSD 1.1")


def test_a_half_closed_session_goes_on_getting_ticks(daemon):
    terminal = daemon.session(wire.ticks(["EURUSD"]))
    terminal.finish()
    answers(terminal)
    daemon.feed("EURUSD 1.1")
    assert answers(terminal) == [Tick("EURUSD", EPOCH, "1.1")]
    assert not terminal.closed


def test_requests_that_cannot_be_met_are_refused_and_change_nothing(daemon):
    terminal = daemon.session(wire.ticks(["EURUSD"]))
    names = ",".join(f"S{number}" for number in range(1_001))
    answer = daemon.say(terminal, b"<<TICKS>><<TICKS|symbols=" + names.encode() + b">>")
    assert answer.count(b"ERROR|code=field") == 2
    daemon.feed("EURUSD 1.1")
    assert answers(terminal) == [Tick("EURUSD", EPOCH, "1.1")]


# Rights


GRANTS = {
    "all": ("read:ticks",),
    "some": ("read:ticks/EUR*", "follow"),
    "none": ("follow:signals", "send:ticks"),
}


@pytest.fixture
def strict(build):
    return build("access.trust_loopback=false", grants=GRANTS)


@pytest.mark.parametrize(
    ("login", "services"), [("all", "ticks"), ("some", "signals,ticks"), ("none", "signals")]
)
def test_welcome_names_ticks_to_those_who_may_read_them(strict, login, services):
    terminal = strict.dial("signals")
    answer = strict.say(terminal, messages.hello(login=login, password="correct horse"))
    assert answer.endswith(f"|services={services}>>\r\n".encode())


def test_symbols_that_a_login_may_not_read_are_denied_and_left_out_of_all(strict):
    local = {"peer": "127.9.9.9"}
    terminal = strict.session(wire.ticks(["EURUSD", "GBPUSD"]), login="some", **local)
    assert told(terminal)[0].startswith("ERROR|code=denied")
    strict.say(terminal, wire.ticks("*"))
    strict.feed("GBPUSD 1.3", "EURUSD 1.1")
    assert answers(terminal) == [Tick("EURUSD", EPOCH, "1.1")]
    other = strict.session(wire.ticks("*"), login="none", **local)
    assert told(other)[0].startswith("ERROR|code=denied")


# Sessions that lag


def flood(daemon, count, first=0):
    """Feed ticks of three symbols by turns; return how many of each."""
    symbols = ["EURUSD", "GBPUSD", "XAUUSD"]
    lines = [f"{symbols[at % 3]} {at}" for at in range(first, first + count)]
    for at in range(0, count, 50):
        daemon.feed(*lines[at : at + 50])
        daemon.clock.advance(0)  # those who read do so now
    return Counter(line.partition(" ")[0] for line in lines)


def counted(ticks):
    found = Counter()
    for each in ticks:
        found[each.symbol] += 1 + each.skipped
    return found


def drain(daemon, terminal):
    terminal.transport.stalled = False
    terminal.transport.drain()
    daemon.clock.advance(0)


def test_a_session_that_lags_is_sent_the_newest_and_how_many_were_skipped(daemon):
    terminal = daemon.session(wire.ticks("*"))
    answers(terminal)
    terminal.transport.stalled = True
    sent = flood(daemon, 6_000)
    before = terminal.received()
    assert len(before) < 200_000, "what waits for a session is bounded"
    assert b"skipped" not in before
    before = [wire.ANSWERS["TICK"](each) for each in parsed(before)]
    drain(daemon, terminal)
    behind = answers(terminal)
    assert [each.symbol for each in behind] == ["EURUSD", "GBPUSD", "XAUUSD"]
    assert [each.bid for each in behind] == ["5997", "5998", "5999"]
    assert counted([*before, *behind]) == sent


def test_a_session_that_lags_in_ticks_gets_every_signal_and_is_not_closed(daemon):
    terminal = daemon.session(wire.ticks("*"), subscribe())
    told(terminal)
    publisher = daemon.session()
    terminal.transport.stalled = True
    for number in range(100):
        flood(daemon, 600, number * 600)
        publish = f"<<PUBLISH|id=a-{number}|symbol=GBPUSD|volume={number + 1}>>"
        daemon.say(publisher, publish.encode())
    daemon.clock.advance(0)
    first = told(terminal)
    drain(daemon, terminal)
    frames = [*first, *told(terminal)]
    seqs = [each.split("|")[2] for each in frames if each.startswith("SIGNAL")]
    assert seqs == [f"seq={number}" for number in range(1, 101)]
    assert not terminal.closed
    ticks = [parse(each.encode()) for each in frames if each.startswith("TICK|")]
    assert sum(1 + int(each.fields.get("skipped", 0)) for each in ticks) == 60_000
    last = frames[-3:]
    assert all(each.startswith("TICK|") for each in last), "signals go before what was conflated"


def test_ticks_do_not_pile_up_in_the_kernel_before_signals(daemon, monkeypatch):
    limits = []
    monkeypatch.setattr(Session, "limit_unsent", lambda session, most: limits.append(most))
    daemon.session(subscribe())
    assert limits == [], "signals alone may fill what the kernel has"
    daemon.session(wire.ticks("*"), wire.ticks(["EURUSD"]))
    daemon.session(wire.bars("EURUSD", "M1"), wire.bars("EURUSD", "H1"))
    assert limits == [MAX_UNSENT, MAX_UNSENT]


def test_a_session_that_caught_up_gets_every_tick_again(daemon):
    terminal = daemon.session(wire.ticks("*"))
    terminal.transport.stalled = True
    flood(daemon, 6_000)
    drain(daemon, terminal)
    answers(terminal)
    sent = flood(daemon, 300)
    ticks = answers(terminal)
    assert len(ticks) == 300
    assert counted(ticks) == sent


def test_one_that_lags_costs_the_others_nothing(daemon):
    stuck, reading = daemon.session(wire.ticks("*")), daemon.session(wire.ticks("*"))
    answers(reading)
    stuck.transport.stalled = True
    sent = flood(daemon, 6_000)
    ticks = answers(reading)
    assert counted(ticks) == sent
    assert not any(each.skipped for each in ticks)


def test_a_request_while_ticks_wait_drops_those_of_other_symbols_and_skips_none_twice(daemon):
    terminal = daemon.session(wire.ticks(["EURUSD", "GBPUSD"]))
    terminal.transport.stalled = True
    sent = flood(daemon, 6_000)
    before = answers(terminal)
    terminal.send(wire.ticks(["GBPUSD"]))
    drain(daemon, terminal)
    after = answers(terminal)
    assert after[0] == Ticking(frozenset({"GBPUSD"}))
    assert [each.symbol for each in after[1:]] == ["GBPUSD"]
    ticks = [each for each in [*before, *after] if isinstance(each, Tick)]
    assert counted(ticks)["GBPUSD"] == sent["GBPUSD"]


STEPS = st.lists(
    st.sampled_from(["stall", "read", "signal"]) | st.integers(1, 900), min_size=1, max_size=12
)


@given(STEPS)
def test_sent_and_skipped_are_all_ticks_however_a_session_reads(tmp_path_factory, steps):
    daemon = Daemon(tmp_path_factory.mktemp("data"), Clock())
    terminal = daemon.session(wire.ticks("*"), subscribe())
    publisher = daemon.session()
    frames, sent, signals = parsed(terminal.received()), Counter(), 0
    for step in steps:
        if step == "stall":
            terminal.transport.stalled = True
        elif step == "read":
            drain(daemon, terminal)
        elif step == "signal":
            signals += 1
            publish = f"<<PUBLISH|id=a-{signals}|symbol=A|volume={signals}>>"
            daemon.say(publisher, publish.encode())
        else:
            sent += flood(daemon, step, sent.total())
        frames += parsed(terminal.received())
    drain(daemon, terminal)
    frames += parsed(terminal.received())
    ticks = [wire.ANSWERS["TICK"](each) for each in frames if each.verb == "TICK"]
    assert counted(ticks) == sent
    for symbol in sent:
        bids = [int(each.bid) for each in ticks if each.symbol == symbol]
        assert bids == sorted(bids), "no older tick follows a newer one"
    assert sum(each.verb == "SIGNAL" for each in frames) == signals


def test_a_tick_is_encoded_once_for_all_sessions_of_one_form(daemon, monkeypatch):
    encoded = []

    def tick(*parts):
        encoded.append(parts)
        return wire.tick(*parts)

    monkeypatch.setattr(handler, "tick_form", lambda encoder: tick)
    sessions = [daemon.session(wire.ticks("*")) for _ in range(3)]
    daemon.feed("EURUSD 1.1", "EURUSD 1.2")
    for terminal in sessions:
        assert [each.bid for each in answers(terminal) if isinstance(each, Tick)] == ["1.1", "1.2"]
    assert len(encoded) == 2
