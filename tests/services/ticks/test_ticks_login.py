"""Ticks with accounts: who may send and read what."""

import pytest
from fakes.daemon import LOCAL, PASSWORD, REMOTE, TOKEN, FakeDaemon
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent

from mtnet.interfaces import ITicks
from mtnet.net.endpoints import Listener
from mtnet.services.ticks.udp import TickDatagramProtocol

ALICE, BOB = (f"LOGIN: {name} {PASSWORD}\n".encode() for name in ("alice", "bob"))
DENIED = b"ERR: denied"


@pytest.fixture
def build(tmp_path, clock):
    return lambda *sets: FakeDaemon(tmp_path / "data", clock, "reserve=0", *sets)


@pytest.fixture
def daemon(build):
    return build()


def symbols(daemon):
    return {symbol.decode() for symbol in daemon.env.find(ITicks).symbols()}


def test_a_login_is_told_and_its_password_may_hold_blanks(daemon):
    assert daemon.ask("ticks", BOB) == b"OK: LOGIN\r\n"


@pytest.mark.parametrize("line", [b"LOGIN:\n", b"LOGIN: bob\n"])
def test_a_login_without_a_password_is_told_so(daemon, line):
    assert daemon.ask("ticks", line).startswith(b"ERR: login LOGIN takes")


def test_a_token_is_a_password_too(daemon):
    assert daemon.ask("ticks", f"LOGIN: bob {TOKEN}\n".encode()) == b"OK: LOGIN\r\n"


def test_strangers_send_and_read_nothing(daemon):
    terminal = daemon.dial("ticks")
    assert daemon.say(terminal, b"EURUSD 1.1\n").startswith(DENIED)
    assert daemon.say(terminal, b"SUBSCRIBE: *\n").startswith(DENIED)
    assert symbols(daemon) == set()


def test_an_account_sends_the_symbols_that_it_may_and_no_others(daemon):
    answer = daemon.ask("ticks", BOB + b"EURUSD 1.1\nGBPUSD 1.3\nEURJPY 160.1\n")
    assert answer.startswith(b"OK: LOGIN\r\nERR: denied")
    assert symbols(daemon) == {"EURUSD", "EURJPY"}
    assert daemon.env.find(ITicks).health()["refused"] == 1


def test_what_may_not_be_sent_of_a_numbered_batch_is_left_out_of_its_repetition_too(daemon):
    batch = b"@@desk 1\nEURUSD 1.1\nGBPUSD 1.3\n@@desk 2\nEURUSD 1.2\n"
    for _ in range(2):
        daemon.ask("ticks", BOB + batch)
    assert symbols(daemon) == {"EURUSD"}


def test_an_account_reads_the_symbols_that_it_may_and_a_star_is_all_of_those(build):
    daemon = build("access.anonymous=send")
    reader = daemon.dial("ticks")
    assert daemon.say(reader, BOB + b"SUBSCRIBE: GBPUSD\n").endswith(b"'GBPUSD'\r\n")
    assert daemon.say(reader, b"SUBSCRIBE: *\n") == b"OK: SUBSCRIBED *\r\n"
    daemon.ask("ticks", b"GBPUSD 1.3\nEURUSD 1.1\n")
    got = reader.received()
    assert got.startswith(b"TICK: EURUSD 1.1 ")
    assert b"GBPUSD" not in got


def test_a_wrong_login_is_told_and_may_be_said_anew_until_there_were_too_many(daemon, clock):
    terminal = daemon.dial("ticks")
    wrong = b"LOGIN: bob guess\n"
    assert daemon.say(terminal, wrong).startswith(b"ERR: login")
    assert daemon.say(terminal, wrong).startswith(b"ERR: login")
    assert not terminal.closed
    assert daemon.say(terminal, BOB).startswith(b"ERR: banned")
    assert terminal.closed
    clock.advance(16)
    assert daemon.ask("ticks", BOB) == b"OK: LOGIN\r\n"


def test_what_stands_behind_a_login_waits_for_it(daemon, clock, monkeypatch):
    held = Deferred()
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: held)
    terminal = daemon.dial("ticks")
    assert daemon.say(terminal, BOB + b"EURUSD 1.1\nPING:\n") == b""
    held.callback(True)
    clock.pump([0.01] * 3)
    assert terminal.received() == b"OK: LOGIN\r\nOK: PONG\r\n"
    assert symbols(daemon) == {"EURUSD"}


def test_a_client_that_leaves_during_the_login_check_leaves_nothing_behind(
    daemon, clock, monkeypatch, log
):
    held = Deferred()
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: held)
    terminal = daemon.dial("ticks")
    daemon.say(terminal, BOB + b"EURUSD 1.1\n")
    terminal.hang_up()
    held.callback(True)
    clock.pump([0.01] * 3)
    assert daemon.env.access.limiter("ticks").total == 0
    assert not [event for event in log if "log_failure" in event]


def test_a_password_is_not_taken_where_others_can_listen(build, log):
    daemon = build("access.anonymous=send")
    terminal = daemon.dial("ticks", **REMOTE)
    assert b"secure:" in daemon.say(terminal, BOB)
    assert b"canary" not in daemon.say(terminal, b"LOGIN bob hunter-canary\n")
    assert "canary" not in " ".join(map(formatEvent, log))
    assert not daemon.env.access.authenticator.counts


def test_disabling_an_account_closes_its_connections(daemon):
    terminal = daemon.dial("ticks")
    daemon.say(terminal, BOB)
    daemon.change("bob", grants=["reader"], disabled=True)
    assert terminal.reset


def test_only_peers_without_rights_have_a_short_login_deadline(build, clock):
    stranger = build().dial("ticks")
    sender = build("access.anonymous=send").dial("ticks")
    clock.advance(6)
    assert (stranger.closed, sender.closed) == (True, False)
    clock.advance(3_600)
    assert sender.closed


def test_more_records_than_the_budget_are_read_more_slowly_and_none_is_lost(build, clock):
    daemon = build("access.anonymous=send", "ticks.records=10")
    terminal = daemon.dial("ticks")
    terminal.send(b"".join(b"S%d 1.1\n" % number for number in range(25)) + b"PING:\n")
    clock.pump([0.1] * 10)
    assert terminal.received() == b""
    clock.pump([0.1] * 10)
    assert terminal.received() == b"OK: PONG\r\n"
    assert len(symbols(daemon)) == 25


# Datagrams


class Port:
    """A port for datagrams, heard on an address that others reach."""

    def __init__(self, daemon):
        self.protocol = TickDatagramProtocol(daemon.env.of("ticks"), Listener("ticks", "udp:8082"))
        self.protocol.transport = self
        self.protocol.startProtocol = None

    def getHost(self):
        return IPv4Address("UDP", "192.0.2.1", 8082)

    def send(self, sender, *datagrams):
        self.protocol.datagramsReceived([(data, (sender, 5000)) for data in datagrams])


@pytest.fixture
def harness(build):
    networks = (
        'access.networks."10.0.0.0/8"=send:ticks',
        'access.networks."10.1.0.0/16"=fetch',
        'access.networks."172.16.0.0/12"=send:ticks/EUR*',
    )
    return build(*networks)


def test_a_network_may_send_and_others_may_not(harness):
    port = Port(harness)
    port.protocol.datagramsReceived(
        [(b"EURUSD 1.1\0", ("10.1.2.3", 1)), (b"GBPUSD 1.3\0", ("192.0.2.7", 1))]
    )
    assert symbols(harness) == {"EURUSD"}
    assert harness.env.find(ITicks).health()["refused"] == 1


def test_a_network_may_send_some_symbols_in_whatever_form(harness):
    port = Port(harness)
    port.send("172.16.0.1", b"EURUSD 1.1\0", b"GBPUSD 1.3\0", b"EURJPY 1 2\nGBPJPY 1\n")
    port.send("172.16.0.1", b"@@desk 1\nEURCHF 1.1\nUSDCHF 1.1\n")
    assert symbols(harness) == {"EURUSD", "EURJPY", "EURCHF"}
    assert harness.env.find(ITicks).health()["refused"] == 3


def test_a_datagram_never_earns_a_penalty(daemon):
    Port(daemon).send("192.0.2.7", *[b"\xff garbage"] * 50)
    assert len(daemon.env.access.bans) == 0


def test_a_network_s_rights_are_for_streams_too(harness):
    terminal = harness.dial("ticks", host="10.0.0.1", peer="10.9.9.9")
    assert harness.say(terminal, b"EURUSD 1.1\nPING:\n") == b"OK: PONG\r\n"
    assert harness.dial("ticks", **LOCAL)
