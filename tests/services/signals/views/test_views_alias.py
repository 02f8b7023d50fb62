"""The name `main` for a view: whose it is, and that nobody copies another size for want of it."""

import sqlite3
from contextlib import closing
from decimal import Decimal

import pytest
from fakes.rights import rights
from signals_peers import Server, frame, gone, told
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mtnet.access.accounts.identity import Identity
from mtnet.errors import ConfigError, WireError
from mtnet.services.signals.views.settings import ViewSettings

BOBS = ViewSettings(sources=("main",), value=Decimal("0.5"), accounts=("bob",))
OFFICE = ViewSettings(sources=("main",), value=Decimal("0.5"), networks=("10.7.0.0/16",))
THERE = "10.7.1.1"


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path, Clock())


def ask(work):
    found = []
    Deferred.fromCoroutine(work).addBoth(found.append)
    (result,) = found
    if hasattr(result, "raiseException"):
        result.raiseException()
    return result


def add(server, settings=BOBS, name="half"):
    return ask(server.signals.views.add(name, settings))


def log_in(server, name="bob"):
    """Say HELLO with an account that may follow and publish everywhere."""
    terminal = server.dial()
    granted = rights("follow:signals") | rights("publish:signals")
    terminal.protocol.peer.become(Identity(name, granted))
    terminal.send(frame("HELLO", v=2))
    return terminal


def follow_main(terminal):
    """Ask for `main`; return what is answered."""
    told(terminal)
    terminal.send(frame("SUBSCRIBE", channel="main"))
    return told(terminal)


def damage(server, *statements):
    server.journal.close()
    with closing(sqlite3.connect(server.journal.path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


REFUSED = ["ERROR|code=server|channel=main"]
DAMAGES = {
    "ledger": ["DELETE FROM ledger"],
    "settings": ["UPDATE view SET body = CAST(replace(body, 'bob', 'rob') AS BLOB)"],
    "all": ["UPDATE view SET body = zeroblob(9)", "UPDATE alias SET body = zeroblob(9)"],
}


@pytest.mark.parametrize("what", DAMAGES)
def test_while_its_view_is_damaged_an_account_follows_nothing_as_main(server, tmp_path, what):
    add(server)
    server.publish(server.greet(), "a-1", "1.00")
    damage(server, *DAMAGES[what])
    again = Server(tmp_path, Clock())
    assert follow_main(log_in(again)) == REFUSED
    publisher = log_in(again)
    told(publisher)
    again.publish(publisher, "b-1")
    assert told(publisher) == ["ERROR|code=server|id=b-1"]
    assert any("SNAPSHOT" in each for each in follow_main(log_in(again, "carol"))) == (
        what != "all"
    )


def test_a_row_of_aliases_that_is_lost_costs_nothing_while_the_views_are_whole(server, tmp_path):
    add(server)
    damage(server, "UPDATE alias SET body = zeroblob(9)")
    again = Server(tmp_path, Clock())
    assert again.signals.views.main_of("bob", "") == "half"
    assert again.signals.views.main_of("carol", "") == "main"


def test_followers_of_a_view_that_is_found_damaged_are_closed(server):
    add(server)
    server.publish(server.greet(), "a-1", "1.00")
    follower, other = log_in(server), server.subscribe("main")
    follow_main(follower), told(other)
    damage(server, "UPDATE position SET body = zeroblob(9) WHERE channel = 'half'")
    server.signals.worker.journal._transactions.clear()
    server.publish(server.greet(), "a-2", "2.00")
    assert told(follower) == REFUSED
    assert gone(follower)
    assert "SIGNAL|channel=main|seq=2|symbol=GBPUSD|volume=2" in "".join(told(other))
    assert follow_main(log_in(server)) == REFUSED


def test_a_classic_follower_of_a_view_that_is_damaged_is_told_nothing(tmp_path):
    server = Server(tmp_path, Clock(), 'signals.ports."tcp:8081".channel=half')
    add(server, ViewSettings(sources=("main",)))
    server.publish(server.greet(), "a-1", "1.00", channel="main")
    follower = server.follow()
    assert follower.received() == b"<<GBPUSD|1.00>>\r\n"
    damage(server, "UPDATE position SET body = zeroblob(9) WHERE channel = 'half'")
    server.signals.worker.journal._transactions.clear()
    server.publish(server.greet(), "a-2", "2.00", channel="main")
    assert gone(follower)
    late = server.follow()
    assert gone(late)
    assert late.received() == b""


def test_a_session_ends_when_main_becomes_another_channel_for_it(server):
    add(server, ViewSettings(sources=("main",)))
    mine, other = log_in(server), log_in(server, "carol")
    follow_main(mine), follow_main(other)
    ask(server.signals.views.edit("half", BOBS))
    assert told(mine) == REFUSED
    assert gone(mine)
    assert not gone(other)
    assert any("SNAPSHOT" in each for each in follow_main(log_in(server)))
    assert server.signals.views.main_of("bob", "") == "half"


def test_what_somebody_means_by_main_is_not_removed(server):
    add(server)
    with pytest.raises(WireError, match=r"for bob; .*`mtnet views edit half --accounts none`"):
        ask(server.signals.views.remove("half", "refuse"))
    ask(server.signals.views.edit("half", ViewSettings(sources=("main",))))
    ask(server.signals.views.remove("half", "refuse"))
    assert server.signals.views.main_of("bob", "") == "main"


@pytest.mark.parametrize("damaged", [False, True])
def test_an_account_has_one_view(server, tmp_path, damaged):
    add(server)
    if damaged:
        damage(server, "DELETE FROM ledger")
        server = Server(tmp_path, Clock())
    with pytest.raises(WireError, match="bob has the view half already"):
        add(server, name="other")


def test_a_configuration_that_gives_an_account_two_views_keeps_the_daemon_from_starting(tmp_path):
    both = [
        f"signals.views.{name}.{key}"
        for name in ("a", "b")
        for key in ("sources=main", "accounts=bob")
    ]
    with pytest.raises(ConfigError, match="bob has the view a already"):
        Server(tmp_path, Clock(), *both)


def test_there_are_so_many_views_and_no_more(server, monkeypatch):
    monkeypatch.setattr("mtnet.services.signals.views.changes.MAX_VIEWS", 1)
    add(server)
    with pytest.raises(WireError, match="There are 1 views, and this is one more"):
        add(server, ViewSettings(sources=("main",)), "other")


def test_views_take_no_room_from_the_channels_of_publishers(server, monkeypatch):
    monkeypatch.setattr("mtnet.services.signals.service.MAX_CHANNELS", 2)
    add(server)
    publisher = server.greet()
    server.publish(publisher, "a-1", channel="gold")
    server.publish(publisher, "a-2", channel="silver")
    assert told(publisher)[-1] == "ERROR|code=channel|id=a-2|channel=silver"
    assert server.signals.channels.is_named("gold")


def test_a_classic_follower_of_a_network_with_a_view_follows_that(server):
    add(server, OFFICE)
    server.publish(server.greet(), "a-1", "1.00")
    there, elsewhere = server.follow(peer=THERE), server.follow()
    assert there.received() == b"<<GBPUSD|0.50>>\r\n"
    assert elsewhere.received() == b"<<GBPUSD|1.00>>\r\n"
    ask(server.signals.views.edit("half", ViewSettings(sources=("main",))))
    assert gone(there)
    assert not gone(elsewhere)


def test_a_session_without_a_login_follows_the_view_of_its_network(server):
    add(server, OFFICE)
    server.publish(server.greet(), "a-1", "1.00")
    terminal = server.dial(peer=THERE)
    terminal.send(frame("HELLO", v=2))
    assert "POSITION|channel=main|seq=1|symbol=GBPUSD|volume=0.5" in follow_main(terminal)


def test_the_narrowest_network_counts(server):
    add(server, OFFICE)
    add(server, ViewSettings(sources=("main",), networks=("10.7.1.0/24",)), "narrow")
    assert server.signals.views.main_of("", THERE) == "narrow"
    assert server.signals.views.main_of("", "10.7.2.1") == "half"
    assert server.signals.views.main_of("", "::1") == "main"


def test_aliases_survive_a_restart(server, tmp_path):
    add(server, OFFICE)
    again = Server(tmp_path, Clock())
    assert again.signals.views.main_of("", THERE) == "half"


def test_a_view_followed_by_its_name_is_asked_for_anew_once_it_is_main(server):
    add(server)
    terminal, publisher = log_in(server, "carol"), server.greet()
    terminal.send(frame("SUBSCRIBE", channel="half"))
    terminal.protocol.peer.become(Identity("bob", rights("follow:signals")))
    terminal.send(frame("HELLO", v=2))
    told(terminal)
    server.publish(publisher, "a-1", "1.00")
    assert told(terminal) == [], "SIGNAL would name it as it was asked for"
    assert "POSITION|channel=main|seq=1|symbol=GBPUSD|volume=0.5" in "".join(follow_main(terminal))
