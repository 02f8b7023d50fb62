"""The provider's expert: what it publishes, what it waits for, and what it leaves to people."""

import json
import socket
from contextlib import closing
from decimal import Decimal

import pytest
from imitation.script import Script
from imitation.server import LOOPBACK, free_port
from imitation.waiting import PATIENCE, sleep, stays, until

from mtnet.services.signals.journal.export import prove_entries
from mtnet.services.signals.record.trades import Trades

ROLES = {"provider": "provider"}
OTHER = 1003
"""The login of another account."""
TICKETS = 1
"""The value of InpForm."""
BY_TICKET = {"HEDGING": 1, "InpForm": TICKETS}
TRAPS = [
    {"READABLE_SPECULATIVE": 1, "SENT_AT_MOST": 7, "EMPTY_IS_NULL": 1},
    {"CONNECTED_OPTIMISTIC": 1, "TIMER_LEAST": 1000},
]
"""Readings of the reference where it is silent; any of them may be a terminal's."""


@pytest.fixture
def script(scene):
    return Script(scene.server, scene.channel)


def snapshot(scene):
    """Return the entries that a new follower of the channel is sent, as dictionaries."""
    received = b""
    with closing(socket.create_connection((LOOPBACK, scene.server.port), PATIENCE)) as connection:
        hello = f"<<HELLO|v=2>><<SUBSCRIBE|channel={scene.channel}>>"
        connection.sendall(hello.encode())
        # A channel is unknown until its first signal is stored.
        while not any(each in received for each in (b"<<SYNCED|", b"<<ERROR|code=channel")):
            more = connection.recv(65_536)
            assert more, received
            received += more
    payloads = [frame.rpartition("<<")[2] for frame in received.decode().split(">>")]
    found = [payload.split("|") for payload in payloads if payload.startswith("POSITION|")]
    return [dict(field.split("=", 1) for field in fields[1:]) for fields in found]


def shown(scene, *names):
    """Return these fields of each entry, sorted; an absent one is empty."""
    return sorted(tuple(each.get(name, "") for name in names) for each in snapshot(scene))


# What it publishes


def test_tickets_have_their_stops_and_an_order_becomes_its_position(scene):
    provider = scene.provider(**BY_TICKET)
    provider.say("buy EURUSD 0.3 1.05 1.2 7", "pending buy_limit GBPUSD 0.2 1.25 1.2 1.4")
    wanted = [("EURUSD", "0.3", "", "1.05000", "7"), ("GBPUSD", "0.2", "buy_limit", "1.20000", "")]
    until(lambda: shown(scene, "symbol", "volume", "type", "sl", "magic") == wanted)
    order = provider.state()["orders"][0]["ticket"]
    provider.say("price GBPUSD 1.24 1.2401")
    filled = [("GBPUSD", "0.2", "", str(order))]
    until(lambda: shown(scene, "symbol", "volume", "type", "ticket")[1:] == filled)
    assert scene.seq == 3  # a close in between would cost every follower the spread


@pytest.mark.parametrize("form", [{}, BY_TICKET], ids=["net", "by ticket"])
def test_a_closing_says_at_which_price_it_was_made(scene, form):
    provider = scene.provider(**form)
    provider.say("price EURUSD 1.09990 1.10000", "buy EURUSD 0.3")
    until(lambda: scene.published(EURUSD="0.3"))
    provider.say("price EURUSD 1.20000 1.20010", "close EURUSD")
    until(scene.published)
    trades = Trades()
    for proved in prove_entries(scene.server.data / "signals.sqlite", scene.channel):
        trades.take(proved.entry)
    (trade,) = trades.closed
    assert (trade.opening, trade.closing) == (Decimal("1.1"), Decimal("1.2"))


def test_only_positions_of_these_magic_numbers_are_published(scene):
    provider = scene.provider(HEDGING=1, InpMagics="7, 20-29")
    provider.say("buy EURUSD 0.1 0 0 7", "buy EURUSD 0.2 0 0 25", "buy EURUSD 0.4 0 0 30")
    until(lambda: scene.published(EURUSD="0.3"))


def test_a_restart_publishes_nothing_that_is_known(scene):
    provider = scene.provider()
    provider.say("set EURUSD 0.5", "set GBPUSD -0.1")
    until(lambda: scene.published(EURUSD="0.5", GBPUSD="-0.1"))
    before = scene.seq
    assert before == 2
    assert provider.alerts == []
    provider.kill()
    provider.start()
    provider.say("set USDJPY 1")
    until(lambda: scene.published(EURUSD="0.5", GBPUSD="-0.1", USDJPY="1"))
    assert scene.seq == before + 1


def test_what_somebody_else_changes_in_its_channel_is_set_right(scene, script):
    provider = scene.provider()
    provider.say("set EURUSD 0.5")
    until(lambda: scene.published(EURUSD="0.5"))
    script.publish("EURUSD", "3", take="0")
    until(lambda: scene.published(EURUSD="0.5"))


# What it waits for


@pytest.mark.parametrize("form", [0, TICKETS], ids=["net", "tickets"])
def test_positions_that_load_one_after_the_other_close_nothing(scene, form):
    provider = scene.provider(HEDGING=1, InpForm=form)
    provider.say("buy EURUSD 0.1", "buy EURUSD 0.2", "buy GBPUSD 0.1")
    until(lambda: scene.published(EURUSD="0.3", GBPUSD="0.1"))
    before = scene.seq
    provider.quit()
    provider.start(SYNC_MS=3000, LOADS_EVERY_MS=12000)
    stays(lambda: scene.published(EURUSD="0.3", GBPUSD="0.1"), 50)
    assert scene.seq == before
    provider.say("close GBPUSD")
    until(lambda: scene.published(EURUSD="0.3"))


@pytest.mark.parametrize("trap", TRAPS, ids=json.dumps)
def test_any_reading_of_the_reference_loses_nothing(scene, trap):
    provider = scene.provider(**trap)
    provider.say("set EURUSD 0.5", "set GBPUSD 0.1")
    until(lambda: scene.published(EURUSD="0.5", GBPUSD="0.1"))
    provider.say("set EURUSD 0")
    until(lambda: scene.published(GBPUSD="0.1"))


def test_the_second_host_is_tried_when_the_first_does_not_answer(scene):
    hosts = f"{LOOPBACK}:{free_port()},localhost:{scene.server.port}"
    provider = scene.provider(InpHost=hosts)
    provider.say("set EURUSD 0.5")
    until(lambda: scene.published(EURUSD="0.5"))


# What it leaves to people


def test_positions_that_the_account_never_held_are_closed_by_a_person_alone(scene, script):
    script.publish("EURUSD", "3")
    provider = scene.provider()
    provider.say("set GBPUSD 0.1")
    until(lambda: provider.mentions("did not publish", "InpAcceptEpoch"))
    stays(lambda: scene.published(EURUSD="3"), 20)
    epoch = scene.server.ask("status")["signals"]["channels"][scene.channel]["epoch"]
    provider.say(f"inputs InpAcceptEpoch={epoch}")
    until(lambda: scene.published(GBPUSD="0.1"))


def test_a_channel_is_taken_over_by_a_person_alone_and_once(scene):
    one = scene.provider()
    one.say("set EURUSD 0.5")
    until(lambda: scene.published(EURUSD="0.5"))
    two = scene.provider("second", LOGIN=OTHER)
    two.say("set EURUSD 0.5", "set GBPUSD 1")
    until(lambda: two.mentions("another publisher holds the channel"))
    assert scene.published(EURUSD="0.5")
    two.say("inputs InpTakeOver=true")
    until(lambda: scene.published(EURUSD="0.5", GBPUSD="1"))
    one.say("set EURUSD 0")
    until(lambda: one.mentions("another publisher holds the channel"))
    one.say("inputs InpTakeOver=true")
    until(lambda: scene.published())
    until(lambda: two.mentions("alert", "another publisher"))
    two.quit()
    two.start()
    stays(lambda: scene.published(), 10)


def test_a_server_with_another_certificate_is_told_no_password(scene_at):
    scene = scene_at(accounts=ROLES)
    provider = scene.provider(**scene.logged_in("provider"), InpPin="00:11")
    until(lambda: provider.mentions("not the one in InpPin"))
    pin = provider.comment.partition("the certificate ")[2][:40].upper()
    pairs = ":".join(pin[at : at + 2] for at in range(0, 40, 2))
    provider.say("set EURUSD 0.5", f"inputs InpPin={pairs}")
    until(lambda: scene.published(EURUSD="0.5"))
    assert "0011" not in scene.server.logged()


def test_a_password_does_not_leave_the_machine_in_clear(scene):
    provider = scene.provider(InpHost="192.0.2.1", InpLogin="alice", InpPassword="secret")
    until(lambda: provider.mentions("is not sent in clear"))
    sleep(5)
    assert len(provider.alerts) == 1
    assert "secret" not in provider.journal()
