"""HOLD and SENTIMENTS: bytes in, bytes out, in a daemon without sockets."""

import re

import pytest
from fakes.daemon import FakeDaemon, hello
from fakes.websocket_bytes import WebSocketTerminal
from zope.interface.verify import verifyObject

from mtnet.interfaces import (
    IBackup,
    IControlCommands,
    IHttpResources,
    IMetrics,
    ISessionVerbs,
    IStatus,
    IStreamListener,
)
from mtnet.services.sentiment.wire import ANSWERS, Sentiment, hold, sentiment, sentiments, to_lots
from mtnet.session.grammar import parse, payloads
from mtnet.testing import EPOCH, connect, make_environment

ON = "sentiment.enabled=true"
NAMES = ("ann", "bob", "carl", "dora")
GRANTS = {
    **dict.fromkeys((*NAMES, "hugo"), ("voter",)),
    "eve": ("follow", "publish"),
    "fred": ("publish:sentiment/EUR*",),
    "gina": ("follow:sentiment/EUR*",),
}


@pytest.fixture
def daemon(tmp_path, clock):
    return serve(tmp_path, clock)


@pytest.fixture
def open_daemon(tmp_path, clock):
    return serve(tmp_path, clock, "sentiment.min_clients=1")


def serve(tmp_path, clock, *sets):
    return FakeDaemon(tmp_path / "data", clock, ON, *sets, grants=GRANTS)


def enter(daemon, login, **addresses):
    """Return a session that was welcomed, as a function: bytes in, bytes out."""
    terminal = daemon.dial("signals", **addresses)
    assert b"sentiment" in daemon.say(terminal, hello(login))

    def say(*frames):
        return daemon.say(terminal, b"".join(frames))

    say.terminal = terminal
    return say


def vote(symbol, volume):
    return f"<<HOLD|symbol={symbol}|volume={volume}>>".encode()


def sums(symbol, long, short, net, clients, time=EPOCH):
    text = f"SENTIMENT|symbol={symbol}|long={long}|short={short}|net={net}"
    return f"<<{text}|clients={clients}|time={time}>>\r\n".encode()


def nothing(symbol, time=EPOCH):
    return sums(symbol, "0.00", "0.00", "0.00", 0, time)


def numbers(answer):
    """Return (symbol, long, short, clients) of each SENTIMENT."""
    messages = [parse(payload) for payload in payloads(answer)]
    found = [each.fields for each in messages if each.verb == "SENTIMENT"]
    return [(each["symbol"], each["long"], each["short"], int(each["clients"])) for each in found]


# Votes


def test_the_sums_are_those_of_all_once_there_are_three(daemon):
    ann, bob, carl = (enter(daemon, name) for name in NAMES[:3])
    assert ann(vote("EURUSD", "0.25")) == nothing("EURUSD")
    assert bob(vote("EURUSD", "-1.5")) == nothing("EURUSD")
    assert carl(vote("EURUSD", "2")) == sums("EURUSD", "2.25", "1.50", "0.75", 3)


def test_a_vote_replaces_the_one_before_and_zero_withdraws_it(open_daemon):
    ann = enter(open_daemon, "ann")
    assert numbers(ann(vote("EURUSD", "1"), vote("EURUSD", "-0.5"))) == [
        ("EURUSD", "1.00", "0.00", 1),
        ("EURUSD", "0.00", "0.50", 1),
    ]
    assert ann(vote("EURUSD", "0")) == nothing("EURUSD")


def test_a_login_has_one_vote_whichever_of_its_sessions_has_spoken_last(open_daemon):
    one, two = enter(open_daemon, "ann"), enter(open_daemon, "ann")
    one(vote("EURUSD", "1"))
    assert numbers(two(vote("EURUSD", "5"))) == [("EURUSD", "5.00", "0.00", 1)]
    one.terminal.hang_up()
    open_daemon.clock.advance(61)
    assert numbers(two(vote("GBPUSD", "1"), vote("EURUSD", "5"))) == [
        ("GBPUSD", "1.00", "0.00", 1),
        ("EURUSD", "5.00", "0.00", 1),
    ]


def test_without_a_login_a_network_has_one_vote(tmp_path, clock):
    anonymous = "access.anonymous=publish:sentiment,follow:sentiment"
    daemon = serve(tmp_path, clock, "sentiment.min_clients=1", anonymous)

    def say(peer, frame):
        terminal = daemon.dial("signals", host="192.0.2.1", peer=peer)
        return numbers(daemon.say(terminal, b"<<HELLO|v=2>>" + frame))

    assert say("198.51.100.1", vote("EURUSD", "1")) == [("EURUSD", "1.00", "0.00", 1)]
    assert say("198.51.100.1", vote("EURUSD", "2")) == [("EURUSD", "2.00", "0.00", 1)]
    assert say("198.51.100.2", vote("EURUSD", "1")) == [("EURUSD", "3.00", "0.00", 2)]
    assert say("2001:db8::1", vote("EURUSD", "1")) == [("EURUSD", "4.00", "0.00", 3)]
    assert say("2001:db8::2", vote("EURUSD", "4")) == [("EURUSD", "7.00", "0.00", 3)]


def test_a_vote_lingers_when_its_session_ends_and_is_taken_up_by_the_next(open_daemon):
    ann, bob = enter(open_daemon, "ann"), enter(open_daemon, "bob")
    ann(vote("EURUSD", "1"))
    bob(vote("EURUSD", "2"))
    ann.terminal.hang_up()
    open_daemon.clock.advance(59)
    assert numbers(bob(vote("EURUSD", "2"))) == [("EURUSD", "3.00", "0.00", 2)]
    again = enter(open_daemon, "ann")
    assert numbers(again(vote("EURUSD", "1"))) == [("EURUSD", "3.00", "0.00", 2)]
    open_daemon.clock.advance(10)
    bob(b"<<BYE>>")
    open_daemon.clock.advance(60)
    assert numbers(again(vote("EURUSD", "1"))) == [("EURUSD", "1.00", "0.00", 1)]


def test_a_vote_lingers_from_the_last_end_on(open_daemon):
    for _ in range(2):
        ann = enter(open_daemon, "ann")
        ann(vote("EURUSD", "1"))
        ann.terminal.hang_up()
        open_daemon.clock.advance(31)
    bob = enter(open_daemon, "bob")
    assert numbers(bob(vote("EURUSD", "2"))) == [("EURUSD", "3.00", "0.00", 2)]


def test_a_session_that_logs_in_as_another_takes_its_vote_along(tmp_path, clock):
    anonymous = "access.anonymous=publish:sentiment"
    daemon = serve(tmp_path, clock, "sentiment.min_clients=1", anonymous)
    terminal = daemon.dial("signals")
    daemon.say(terminal, b"<<HELLO|v=2>>" + vote("EURUSD", "1"))
    daemon.say(terminal, hello("ann"))
    assert numbers(daemon.say(terminal, vote("EURUSD", "1"))) == [("EURUSD", "1.00", "0.00", 1)]
    daemon.say(terminal, hello("ann"))
    assert numbers(daemon.say(terminal, vote("GBPUSD", "1"))) == [("GBPUSD", "1.00", "0.00", 1)]
    assert numbers(daemon.say(terminal, vote("EURUSD", "2"))) == [("EURUSD", "2.00", "0.00", 1)]


def test_who_comes_back_with_a_login_is_not_counted_beside_the_vote_that_lingers(tmp_path, clock):
    anonymous = "access.anonymous=publish:sentiment"
    daemon = serve(tmp_path, clock, "sentiment.min_clients=1", anonymous)
    terminal = daemon.dial("signals")
    daemon.say(terminal, b"<<HELLO|v=2>>" + vote("EURUSD", "1"))
    terminal.hang_up()
    assert numbers(enter(daemon, "ann")(vote("EURUSD", "1"))) == [("EURUSD", "1.00", "0.00", 1)]


def test_a_large_vote_is_cut(tmp_path, clock):
    daemon = serve(tmp_path, clock, "sentiment.min_clients=1", "sentiment.max_volume=2.5")
    assert numbers(enter(daemon, "ann")(vote("X", "-99999999"))) == [("X", "0.00", "2.50", 1)]


def test_votes_are_limited_and_so_are_symbols(tmp_path, clock):
    limits = ("sentiment.max_symbols=2", "sentiment.max_votes=3", "sentiment.symbols=3")
    daemon = serve(tmp_path, clock, "sentiment.min_clients=1", *limits)
    ann, bob, carl = (enter(daemon, name) for name in NAMES[:3])
    refused = ann(vote("A", "1"), vote("B", "1"), vote("C", "1"))
    assert b"ERROR|code=denied|text=There are votes of this client on 2 symbols" in refused
    assert numbers(ann(vote("A", "2"))) == [("A", "2.00", "0.00", 1)]
    bob(vote("C", "1"))
    assert b"There are 3 votes, as sentiment.max_votes allows" in carl(vote("A", "1"))
    bob(vote("C", "0"))
    assert numbers(carl(vote("D", "1"))) == [("D", "1.00", "0.00", 1)]
    carl(vote("D", "0"))
    daemon = serve(tmp_path, clock, "sentiment.min_clients=1", "sentiment.symbols=1")
    ann = enter(daemon, "ann")
    assert b"There are votes on 1 symbols" in ann(vote("A", "1"), vote("B", "1"))


def test_of_symbols_without_votes_one_makes_room(tmp_path, clock):
    daemon = serve(tmp_path, clock, "sentiment.symbols=1", "sentiment.min_clients=2")
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    for name in "AB":
        ann(vote(name, "1"))
        assert numbers(bob(vote(name, "1"))) == [(name, "2.00", "0.00", 2)]
        ann(vote(name, "0"))
        bob(vote(name, "0"))


# Sums to those who watch


def test_who_watches_is_sent_what_is_shown_and_then_changes_at_most_once_a_second(open_daemon):
    ann, gina = enter(open_daemon, "ann"), enter(open_daemon, "gina")
    ann(vote("EURUSD", "1"), vote("GBPUSD", "1"))
    open_daemon.clock.advance(5)
    gina()
    answer = gina(b"<<SENTIMENTS|symbols=EURUSD,EURJPY>>")
    assert answer.startswith(b"<<SENTIMENTS|symbols=EURJPY,EURUSD>>\r\n")
    assert sums("EURUSD", "1.00", "0.00", "1.00", 1) in answer
    assert nothing("EURJPY", EPOCH + 5_000) in answer
    for volume in range(2, 6):
        ann(vote("EURUSD", volume), vote("GBPUSD", volume))
        open_daemon.clock.advance(0.1)
    assert numbers(gina()) == [("EURUSD", "2.00", "0.00", 1)]
    open_daemon.clock.advance(0.9)
    assert numbers(gina()) == [("EURUSD", "5.00", "0.00", 1)]
    open_daemon.clock.advance(3)
    assert gina() == b""


def test_all_symbols_are_had_by_a_star_and_none_by_nothing(open_daemon):
    ann, bob = enter(open_daemon, "ann"), enter(open_daemon, "bob")
    assert bob(b"<<SENTIMENTS|symbols=*>>") == b"<<SENTIMENTS|symbols=*>>\r\n"
    ann(vote("EURUSD", "1"), vote("GBPUSD", "-1"))
    open_daemon.clock.advance(1)
    assert numbers(bob()) == [("EURUSD", "1.00", "0.00", 1), ("GBPUSD", "0.00", "1.00", 1)]
    ann(vote("EURUSD", "0"))
    open_daemon.clock.advance(1)
    assert numbers(bob()) == [("EURUSD", "0.00", "0.00", 0)]
    assert bob(b"<<SENTIMENTS|symbols=>>") == b"<<SENTIMENTS|symbols=>>\r\n"
    ann(vote("GBPUSD", "2"))
    open_daemon.clock.advance(1)
    assert numbers(bob()) == []


def test_a_list_replaces_the_one_before(open_daemon):
    ann, bob = enter(open_daemon, "ann"), enter(open_daemon, "bob")
    bob(b"<<SENTIMENTS|symbols=EURUSD>><<SENTIMENTS|symbols=GBPUSD>>")
    ann(vote("EURUSD", "1"), vote("GBPUSD", "1"))
    open_daemon.clock.advance(1)
    assert numbers(bob()) == [("GBPUSD", "1.00", "0.00", 1)]


def test_the_end_of_a_vote_is_told(open_daemon):
    ann, bob = enter(open_daemon, "ann"), enter(open_daemon, "bob")
    ann(vote("EURUSD", "1"))
    bob(b"<<SENTIMENTS|symbols=*>>")
    ann.terminal.hang_up()
    bob()
    open_daemon.clock.advance(60)
    open_daemon.clock.advance(1)
    assert numbers(bob()) == [("EURUSD", "0.00", "0.00", 0)]


def test_who_says_bye_or_is_gone_is_sent_nothing(open_daemon):
    ann, bob = enter(open_daemon, "ann"), enter(open_daemon, "bob")
    ann(b"<<SENTIMENTS|symbols=*>>")
    ann(b"<<BYE>>")
    assert ann.terminal.transport.ended
    bob(b"<<SENTIMENTS|symbols=*>>")
    bob.terminal.hang_up()
    component = open_daemon.env.components.services["sentiment"]
    assert IStatus(component).status()["subscribers"] == 0


# Rights and errors


@pytest.mark.parametrize(
    ("login", "frame", "right"),
    [
        ("fred", vote("GBPUSD", "1"), b"publish:sentiment/GBPUSD"),
        ("fred", b"<<SENTIMENTS|symbols=EURUSD>>", b"follow:sentiment/EURUSD"),
        ("gina", vote("EURUSD", "1"), b"publish:sentiment/EURUSD"),
        ("gina", b"<<SENTIMENTS|symbols=EURUSD,GBPUSD>>", b"follow:sentiment/GBPUSD"),
        ("gina", b"<<SENTIMENTS|symbols=*>>", b"follow:sentiment/*"),
    ],
)
def test_what_there_is_no_right_to_is_denied(daemon, login, frame, right):
    assert b"code=denied|text=There is no right " + right in enter(daemon, login)(frame)


def test_a_bare_verb_gives_no_right(daemon):
    terminal = daemon.dial("signals")
    welcome = daemon.say(terminal, hello("eve"))
    assert b"sentiment" not in welcome
    assert b"code=denied" in daemon.say(terminal, vote("EURUSD", "1"))


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (b"<<HOLD|symbol=EURUSD>>", b"HOLD needs volume"),
        (b"<<HOLD|volume=1>>", b"HOLD needs symbol"),
        (b"<<HOLD|symbol=EURUSD|volume=nan>>", b"In HOLD volume is lots such as 0.25"),
        (b"<<HOLD|symbol= |volume=1>>", b"In HOLD symbol is 1 to 32 printable"),
        (b"<<SENTIMENTS>>", b"SENTIMENTS needs symbols"),
        (b"<<SENTIMENTS|symbols=,>>", b"In SENTIMENTS symbols is one or more"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(daemon, frame, sentence):
    assert b"ERROR|code=field|text=" + sentence in enter(daemon, "ann")(frame)


def test_while_it_is_off_its_verbs_are_unknown(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, grants={"ann": ("voter", "follower")})
    terminal = daemon.dial("signals")
    assert b"sentiment" not in daemon.say(terminal, hello("ann"))
    assert b"ERROR|code=verb" in daemon.say(terminal, vote("EURUSD", "1"))
    assert not (tmp_path / "data" / "sentiment.sqlite").exists()


def test_in_json_sums_are_texts_and_counts_are_numbers(tmp_path, clock):
    env = make_environment(tmp_path / "data", clock, ON)
    page = WebSocketTerminal(connect(env.factory("web"), clock))
    page.ask({"verb": "HELLO", "v": "2"})
    assert page.ask({"verb": "SENTIMENTS", "symbols": ["EURUSD"]})[0] == {
        "verb": "SENTIMENTS",
        "symbols": ["EURUSD"],
    }
    found = page.ask({"verb": "HOLD", "symbol": "EURUSD", "volume": 0.25})
    row = {"long": "0.25", "short": "0.00", "net": "0.25", "clients": 1, "time": EPOCH}
    assert found[0] == {"verb": "SENTIMENT", "symbol": "EURUSD", **row}


def test_what_one_side_writes_the_other_reads():
    shown = Sentiment("a,b%c", to_lots(150_001), to_lots(0), 3, 7)
    (payload,) = payloads(sentiment(shown))
    assert ANSWERS["SENTIMENT"](parse(payload)) == shown
    (payload,) = payloads(sentiments(["a,b", "EURUSD"]))
    assert ANSWERS["SENTIMENTS"](parse(payload)).symbols == {"a,b", "EURUSD"}
    assert hold("EURUSD", to_lots(-25_000)) == b"<<HOLD|symbol=EURUSD|volume=-0.25>>\r\n"


# The component


def test_the_component_offers_what_it_says(daemon):
    component = daemon.env.components.services["sentiment"]
    offered = (IBackup, IControlCommands, IHttpResources, IMetrics, ISessionVerbs, IStatus)
    for interface in (*offered, IStreamListener):
        assert verifyObject(interface, interface(component))


def test_the_floor_is_one_where_all_belongs_to_the_owner_of_the_machine(tmp_path, clock):
    def clients(*sets):
        folder = tmp_path / re.sub(r"\W", "", "".join(sets) or "default")
        env = make_environment(folder, clock, ON, *sets)
        terminal = connect(env.factory("signals"), clock)
        terminal.send(b"<<HELLO|v=2>>" + vote("EURUSD", "1"))
        return numbers(terminal.received())[0][3]

    assert clients() == 1
    assert clients("listen.signals=tcp:8081:interface=127.0.0.1") == 1
    assert clients("listen.web=off") == 1
    assert clients("sentiment.min_clients=2") == 0
    assert clients("listen.web=tcp:8083") == 0
    assert clients("listen.web=haproxy:tcp:8083:interface=127.0.0.1") == 0
    assert clients("listen.web=tcp:8083", "sentiment.min_clients=1") == 1
