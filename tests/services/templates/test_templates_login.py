"""Templates with accounts: who may fetch and store what, by command."""

import errno

import pytest
from fakes.daemon import HASH, LOCAL, REMOTE, TOKEN, FakeDaemon
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent

from mtnet.interfaces import ITemplates

TEMPLATE = b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n"
SECRET = "correct-horse"


@pytest.fixture
def build(tmp_path, clock, monkeypatch):
    # A password in a command is one word.
    monkeypatch.setattr(
        "mtnet.access.accounts.authenticator.matches",
        lambda hashed, said: (hashed, said) == (HASH, SECRET),
    )
    return lambda *sets: FakeDaemon(tmp_path / "data", clock, *sets)


@pytest.fixture
def daemon(build):
    return build()


def store(login="", symbol="EURUSD", content=TEMPLATE):
    said = f" {login} {SECRET}" if login else ""
    return f"STORE {symbol} H1 {len(content)}{said}\n".encode() + content


def test_a_login_may_store_what_its_account_may(daemon):
    assert daemon.ask("templates", store("alice")) == b"OK 1\r\n"


def test_a_login_is_heard_however_its_bytes_are_cut(daemon):
    for at in range(len(store("alice"))):
        terminal = daemon.dial("templates")
        terminal.send(store("alice")[:at])
        terminal.send(store("alice")[at:])
        assert terminal.received() == b"OK 1\r\n"
        terminal.hang_up()


def test_a_token_is_a_secret_too(daemon):
    line = store("bob").replace(SECRET.encode(), TOKEN.encode())
    assert daemon.ask("templates", line).startswith(b"ERR denied")


@pytest.mark.parametrize("login", ["", "bob"])
def test_a_client_without_the_right_to_store_gets_an_error(daemon, login):
    assert daemon.ask("templates", store(login)).startswith(b"ERR denied")


def test_a_wrong_login_is_told_and_soon_kept_out(daemon):
    wrong = store("alice").replace(SECRET.encode(), b"guess-canary")
    answers = [daemon.ask("templates", wrong) for _ in range(3)]
    assert [answer[:9] for answer in answers] == [b"ERR login", b"ERR login", b"ERR banne"]
    assert b"canary" not in b"".join(answers)


def test_a_password_is_not_taken_where_others_can_listen(build, log):
    daemon = build("access.anonymous=publish")
    assert b"secure:" in daemon.ask("templates", store("alice"), **REMOTE)
    assert daemon.env.find(ITemplates).library.listing() == []
    assert SECRET not in " ".join(map(formatEvent, log))


def test_an_overlong_command_does_not_repeat_its_password(daemon, log):
    answer = daemon.ask("templates", b"STORE EURUSD H1 9 alice canary " + b"x" * 600)
    assert b"canary" not in answer
    assert "canary" not in " ".join(map(formatEvent, log))


def test_an_upload_waits_for_its_login(daemon, monkeypatch):
    held = Deferred()
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: held)
    terminal = daemon.dial("templates")
    line, body = store("alice")[: -len(TEMPLATE)], TEMPLATE
    terminal.send(line + body[:5])
    assert terminal.transport.producerState == "paused"
    terminal.send(body[5:9])  # which TLS had taken already
    held.callback(True)
    assert terminal.transport.producerState == "producing"
    terminal.send(body[9:])
    assert terminal.received() == b"OK 1\r\n"


def test_a_client_that_leaves_before_the_login_is_checked_leaves_nothing_behind(
    daemon, monkeypatch, log
):
    held = Deferred()
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: held)
    terminal = daemon.dial("templates")
    terminal.send(store("alice"))
    terminal.hang_up()
    held.callback(True)
    assert daemon.env.find(ITemplates).library.listing() == []
    assert daemon.env.access.limiter("templates").total == 0
    assert not [event for event in log if "log_failure" in event]


def test_a_client_that_ends_its_half_before_the_login_is_decided_is_answered(daemon, monkeypatch):
    held = Deferred()
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: held)
    whole, cut = daemon.dial("templates"), daemon.dial("templates")
    whole.send(store("alice"))
    whole.finish()
    held.callback(True)
    assert whole.received() == b"OK 1\r\n"
    cut.send(store("alice")[:-3])
    cut.finish()
    assert cut.received().startswith(b"ERR size The upload ended after")


def test_an_upload_has_to_end_however_slowly_it_moves(build, clock):
    daemon = build("access.anonymous=publish")
    terminal = daemon.dial("templates")
    for byte in store():
        terminal.send(bytes([byte]))
        clock.advance(1.0)
    assert terminal.reset
    assert daemon.env.access.bans.offences["deadline"] == 1


def test_a_network_fetches_the_symbols_that_it_may(build, clock):
    daemon = build('access.networks."127.9.0.0/16"=fetch:templates/EUR*')
    for symbol in ("EURUSD", "GBPUSD"):
        daemon.env.find(ITemplates).library.store(symbol, "H1", TEMPLATE, 1)
    assert daemon.ask("templates", b"FETCH EURUSD H1\n").endswith(TEMPLATE)
    assert daemon.ask("templates", b"FETCH GBPUSD H1\n") == b""
    assert daemon.ask("templates", b"FETCH XAUUSD H1\n") == b""
    raw = daemon.dial("templates")  # whose newest is of the pound
    clock.advance(0.2)
    assert (raw.closed, raw.received()) == (True, b"")


def test_a_full_disk_is_ours_to_answer_for(build, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    daemon = build("access.anonymous=publish")
    monkeypatch.setattr("os.fsync", full)
    for _ in range(30):
        terminal = daemon.dial("templates")
        terminal.send(store())
        assert terminal.received().startswith(b"ERR server The disk did not take the template")
        terminal.hang_up()
    assert not any(daemon.env.access.bans.offences.values())


def test_silence_and_drips_of_strangers_end_soon(daemon, clock):
    silent, dripping = daemon.dial("templates"), daemon.dial("templates")
    for byte in b"STORE ":
        dripping.send(bytes([byte]))
        clock.advance(1.0)
    assert silent.closed
    assert dripping.closed
    assert daemon.env.access.bans.offences["deadline"] == 1


def test_a_connection_that_went_over_to_http_is_counted_once(daemon):
    limiter = daemon.env.access.limiter("templates")
    terminal = daemon.dial("templates")
    terminal.send(b"GET /templates HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"401 Unauthorized" in terminal.received()
    assert limiter.total == 1
    terminal.hang_up()
    assert limiter.total == 0


def test_a_network_has_so_many_connections(daemon):
    factory = daemon.factory("templates")
    for _ in range(10):
        daemon.dial("templates")
    full, other = (IPv4Address("TCP", host, 1) for host in (LOCAL["peer"], "127.9.9.8"))
    assert factory.buildProtocol(full) is None
    assert factory.buildProtocol(other) is not None


# Many at once


def many(build, count):
    daemon = build("access.anonymous=fetch")
    daemon.env.find(ITemplates).library.store("EURUSD", "H1", TEMPLATE, 1)
    return daemon, [daemon.dial("templates", peer=f"127.1.1.{n}") for n in range(count)]


def test_honest_clients_that_say_nothing_are_all_served_at_once(build, clock):
    daemon, terminals = many(build, 500)
    clock.advance(0.11)
    assert all(terminal.received().endswith(TEMPLATE) for terminal in terminals)
    assert not daemon.env.access.limiter("templates").refused


def test_a_client_with_an_unfinished_command_counts_as_unauthenticated(build, clock):
    daemon, terminals = many(build, 500)
    limiter = daemon.env.access.limiter("templates")
    for number, terminal in enumerate(terminals):
        terminal.send(b"STO" if number % 2 else b"FETCH EUR")
    assert limiter.unauthenticated <= 100
    silent = daemon.dial("templates")
    clock.advance(0.11)
    assert silent.received().endswith(TEMPLATE)
    spoken = daemon.dial("templates", peer="127.1.1.1")
    spoken.send(b"FETCH EURUSD H1\n")
    assert spoken.received().endswith(TEMPLATE)
