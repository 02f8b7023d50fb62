"""Requests that wait: they count as connections, and end with their client or its login."""

import re

import pytest
from fakes.daemon import FakeDaemon, basic, directory
from fakes.http import Answer, request
from fakes.rights import rights

from mtnet.access.accounts.model import Token, digest, new_secret

GRANTS = {"root": ("admin",), "bob": ("read:status",)}
WAIT = "/v1/events?after=0&wait=60"
BOB = {"Authorization": basic("bob").decode()}


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock, grants=GRANTS)


def wait(daemon, path=WAIT, said=BOB, **addresses):
    """Return the terminal of a request that waits."""
    terminal = daemon.dial("web", **addresses)
    terminal.send(request("GET", path, **said))
    daemon.clock.advance(0)
    assert terminal.received() == b""
    return terminal


def watched(daemon):
    return daemon.accounts._watchers


def test_a_client_that_sends_no_more_waits_no_longer(daemon):
    """A client that has given up looks the same, and would be held for nobody."""
    terminal = wait(daemon)
    terminal.protocol.readConnectionLost()
    assert Answer(terminal.received()).json == {"events": [], "last": 0}
    assert terminal.closed
    assert watched(daemon) == {}


def test_a_client_that_is_gone_is_forgotten(daemon):
    terminal = wait(daemon)
    assert len(watched(daemon)["bob"]) == 1
    terminal.hang_up()
    assert watched(daemon) == {}
    assert daemon.env.access.limiter("web").total == 0
    assert not [call for call in daemon.clock.getDelayedCalls() if call.getTime() == 60]


@pytest.mark.parametrize(
    "change", [{"disabled": True}, {"changed": 2}, {"grants": ("follow:signals",)}]
)
def test_a_change_of_the_account_ends_what_waits_at_once(daemon, change):
    terminal = wait(daemon)
    daemon.change("bob", **{"grants": GRANTS["bob"], **change})
    assert Answer(terminal.received()).error == (401, "login")


def test_a_withdrawn_token_ends_what_waits_by_it_at_once(daemon):
    secret = new_secret()
    read = rights("read:status")
    token = Token("0000000a", "root", "", digest(secret), ("read:status",), read, 1, None)
    daemon.accounts.replace(directory(GRANTS, [token]))
    terminal = wait(daemon, said={"Authorization": f"Bearer {secret}"})
    daemon.accounts.replace(directory(GRANTS))
    assert Answer(terminal.received()).error == (401, "login")


def test_requests_behind_one_that_waits_are_answered_in_their_order(daemon):
    terminal = wait(daemon)
    terminal.send(request("GET", "/version") + request("GET", "/nothing"))
    assert terminal.received() == b""
    daemon.clock.advance(60)
    daemon.clock.advance(0)
    data = terminal.received()
    assert re.findall(rb"^HTTP/1.1 (\d+)", data, re.MULTILINE) == [b"200", b"200", b"404"]
    assert data.index(b'"last"') < data.index(b'"version"') < data.index(b'"missing"')


def test_what_waits_counts_as_a_connection_of_its_network(tmp_path, clock):
    limits = ("access.connections.web.network=3", "access.connections.web.known_network=3")
    daemon = FakeDaemon(tmp_path / "data", clock, *limits, grants=GRANTS)
    factory = daemon.factory("web")
    held = [wait(daemon) for _ in range(3)]
    address = held[0].transport.getPeer()
    assert daemon.env.access.limiter("web").total == 3
    assert factory.buildProtocol(address) is None
    held[0].hang_up()
    assert factory.buildProtocol(address) is not None
