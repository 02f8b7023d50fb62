"""Below the floor nothing can be had on any road; it is as if nobody had voted."""

import re

import pytest
from fakes.daemon import basic
from fakes.http import HttpPort
from test_sentiment_verbs import enter, serve, vote

from mtnet.interfaces import IControlCommands, IStatus

SYMBOL, OTHER = "SECRET", "UNUSED"
PATHS = (
    "/metrics",
    "/v1/sentiment",
    f"/v1/sentiment/{SYMBOL}",
    f"/v1/sentiment/{OTHER}",
    f"/v1/sentiment/{SYMBOL}/history",
    f"/v1/sentiment/{SYMBOL}/history?from=0&to=9000000000000000",
)
MOMENTS = re.compile(r"<<PING[^\r]*\r\n|time\W{1,3}\d+")
"""Parts that differ with the time of an answer."""


@pytest.fixture
def daemon(tmp_path, clock):
    daemon = serve(
        tmp_path,
        clock,
        "listen.sentiment=tcp:8085:interface=127.0.0.1",
        "access.anonymous=publish:sentiment",
        "web.metrics_open=true",
        "signals.heartbeat=3000",
        "sentiment.min_changes=3",
    )
    component = daemon.env.components.services["sentiment"]
    component.start()
    yield daemon
    component.stop()


class Spy:
    """A client with every right, and the owner of the machine, who look wherever one can look."""

    def __init__(self, daemon):
        self.daemon = daemon
        self.listed, self.all = enter(daemon, "dora"), enter(daemon, "dora")
        self.classic = daemon.dial("sentiment")
        self.component = daemon.env.components.services["sentiment"]
        self.look()

    def look(self):
        """Return what can be seen now, without times."""
        self.daemon.clock.advance(61)  # the sums of a round, and of a minute
        found = [self.listed().decode(), self.all().decode()]
        found += [self.listed(f"<<SENTIMENTS|symbols={SYMBOL},{OTHER}>>".encode()).decode()]
        found += [self.listed(vote(SYMBOL, "0")).decode()]
        found += [self.all(b"<<SENTIMENTS|symbols=*>>").decode()]
        found += map(self.http, PATHS)
        found += map(repr, (IStatus(self.component).status(), IStatus(self.component).health()))
        commands = IControlCommands(self.component).commands()
        found += [repr(commands["sentiment list"]({}))]
        past = commands["sentiment history"]({"symbol": SYMBOL, "hours": 24})
        past.addCallback(lambda rows: found.append(repr(rows)))
        self.classic.received()
        found += [self.daemon.say(self.classic, f"<<{SYMBOL}|0.00>>".encode()).decode()]
        return [MOMENTS.sub("", each) for each in found]

    def http(self, path):
        login = basic("dora").decode()
        text = HttpPort(self.daemon.env).ask("GET", path, Authorization=login).body.decode()
        return "".join(
            line for line in text.splitlines() if path != "/metrics" or "mtnet_sentim" in line
        )


def without_history(found):
    """Return what can be seen of now; the minutes in which three were shown stay."""
    return [each for each in found if "minutes" not in each and not each.startswith("[{")]


def test_what_two_clients_hold_is_nowhere_to_be_seen(daemon):
    spy = Spy(daemon)
    empty = spy.look()
    assert "Traceback" not in "".join(empty)
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    for volume in ("0.25", "-1", "99999"):
        ann(vote(SYMBOL, volume))
        bob(vote(SYMBOL, volume))
        assert spy.look() == empty
    ann(vote(SYMBOL, "0"))
    assert spy.look() == empty
    bob.terminal.hang_up()
    assert spy.look() == empty


@pytest.mark.parametrize("road", ["session", "http", "classic"])
def test_neither_is_what_came_on_another_road(daemon, road):
    spy = Spy(daemon)
    empty = spy.look()
    if road == "session":
        enter(daemon, "ann")(vote(SYMBOL, "7"))
    elif road == "http":
        port, login = HttpPort(daemon.env), basic("ann").decode()
        path = f"/v1/sentiment/{SYMBOL}"
        assert port.ask("POST", path, {"volume": "7"}, Authorization=login).json["clients"] == 0
    else:
        terminal = daemon.dial("sentiment", peer="127.0.0.77")
        assert daemon.say(terminal, f"<<{SYMBOL}|7.00>>".encode()) == b"<<SECRET|0.00>>\r\n"
    assert spy.look() == empty


def test_who_comes_and_goes_beside_enough_others_is_not_seen_where_three_must_change(daemon):
    spy = Spy(daemon)
    three = [enter(daemon, name) for name in ("ann", "bob", "carl")]
    for each in three:
        each(vote(SYMBOL, "1"))
    spy.look()
    shown = without_history(spy.look())
    assert "3.00" in shown[2]
    other = enter(daemon, "hugo")
    other(vote(SYMBOL, "7"))
    assert without_history(spy.look()) == shown
    three[0](vote(SYMBOL, "9"))
    assert without_history(spy.look()) == shown
    three[0](vote(SYMBOL, "1"))
    other.terminal.hang_up()
    assert without_history(spy.look()) == shown


def test_when_too_few_are_left_all_is_as_if_nobody_had_voted(daemon):
    spy = Spy(daemon)
    three = [enter(daemon, name) for name in ("ann", "bob", "carl")]
    for each in three:
        each(vote(SYMBOL, "1"))
    spy.look()
    three[0](vote(SYMBOL, "0"))
    spy.look()
    gone = spy.look()
    others = without_history(gone)
    three[1](vote(SYMBOL, "5"))
    three[2](vote(SYMBOL, "0"))
    assert spy.look() == gone
    assert not any("1.00" in each or "5.00" in each for each in others)
