"""`mtnet sentiment` with a port of sessions in memory."""

import json
import re

import pytest
from fakes.daemon import FakeDaemon
from twisted.internet.error import ConnectionRefusedError

from mtnet.testing import EPOCH, connect

WATCH = ("sentiment", "watch", "--seconds", "5")


@pytest.fixture
def daemon(command_line, clock):
    return serve(command_line, clock, "sentiment.enabled=true")


def serve(command_line, clock, *sets):
    daemon = FakeDaemon(command_line.folder, clock, "access.trust_loopback=true", *sets)
    command_line.server = daemon.factory("signals")
    return daemon


def votes(daemon, symbol, volume, peer="127.0.0.2"):
    terminal = connect(daemon.factory("signals"), daemon.clock, peer=peer)
    terminal.send(b"<<HELLO|v=2>>")
    return lambda: terminal.send(f"<<HOLD|symbol={symbol}|volume={volume}>>".encode())


def test_sums_are_printed_as_they_change(command_line, daemon):
    votes(daemon, "EURUSD", "0.25")()
    later = votes(daemon, "GBPUSD", "-1", "127.0.0.3")
    shown = command_line(*WATCH, at=[(2, later)])
    assert (shown.status, shown.error) == (0, "")
    lines = [line[24:] for line in shown.out.splitlines()]
    assert lines[0] == "EURUSD long 0.25 short 0.00 net 0.25 clients 1"
    assert lines[-1] == "GBPUSD long 0.00 short 1.00 net -1.00 clients 1"


def test_only_what_is_asked_for_is_printed_and_what_is_hidden_says_so(command_line, daemon):
    votes(daemon, "EURUSD", "0.25")()
    shown = command_line(*WATCH, "GBPUSD")
    assert re.fullmatch(r"\S+ \S+ GBPUSD fewer clients than may be shown\n", shown.out)


def test_programs_get_json(command_line, daemon):
    votes(daemon, "EURUSD", "0.25")()
    shown = command_line(*WATCH, "EURUSD", "--json")
    row = json.loads(shown.out.splitlines()[0])
    assert row.pop("time") >= EPOCH
    assert row == {"symbol": "EURUSD", "long": "0.25", "short": "0.00", "clients": 1, "net": "0.25"}


def test_after_a_lost_connection_the_sums_come_again(command_line, daemon):
    votes(daemon, "EURUSD", "0.25")()
    shown = command_line(
        *("sentiment", "watch", "EURUSD", "--seconds", "30"),
        at=[(1, lambda: command_line.endpoint.connections[-1].cut())],
    )
    assert shown.out.count("EURUSD long 0.25") >= 2
    assert "The connection is lost" in shown.error
    assert "The connection is back." in shown.error


def test_where_it_is_off_both_say_so(command_line, clock):
    serve(command_line, clock)
    refused = command_line(*WATCH)
    assert (refused.status, refused.out) == (1, "")
    assert "The server offers this login no sentiment (denied)." in refused.error


def test_what_cannot_be_meant_is_refused_before_anything_is_sent(command_line, daemon):
    refused = command_line("sentiment", "watch", "a|b")
    assert refused.status == 1
    assert "In SENTIMENTS symbols is one or more symbols" in refused.error
    refused = command_line.on_folder("sentiment", "history", "EURUSD", "--hours", "0")
    assert "'0' is no whole number from 1 to 168, such as 24" in refused.error


def test_without_a_server_the_sentence_names_it(command_line):
    command_line.server = ConnectionRefusedError()
    refused = command_line(*WATCH)
    assert refused.status == 1
    assert "No connection to tcp:127.0.0.1:8081" in refused.error


def test_the_owner_lists_the_sums_and_their_minutes(command_line, daemon):
    command_line.attach(daemon.env.components.commands())
    nothing = "No symbol has enough clients.\n"
    assert command_line.on_folder("sentiment", "list").out == nothing
    past = command_line.on_folder("sentiment", "history", "EURUSD", "--hours", "8")
    assert past.out == "Of EURUSD nothing was shown in the last 8 hours.\n"
    component = daemon.env.components.services["sentiment"]
    component.start()
    votes(daemon, "EURUSD", "0.25")()
    daemon.clock.advance(60)
    component.stop()
    (row,) = json.loads(command_line.on_folder("sentiment", "history", "EURUSD", "--json").out)
    assert (row["long"], row["clients"]) == ("0.25", 1)
    listed = command_line.on_folder("sentiment", "list").out.splitlines()
    assert listed[1].split()[:5] == ["EURUSD", "0.25", "0.00", "0.25", "1"]
