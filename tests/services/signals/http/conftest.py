"""Signals by HTTP: the web port of an environment."""

import pytest
from fakes.daemon import FakeDaemon, basic, directory
from fakes.http import Answer, request
from signals_web import Web

GRANTS = {
    "root": ("admin",),
    "alice": ("provider",),
    "bob": ("follow:signals/gold",),
    "wendy": ("read:status",),
}


@pytest.fixture
def web(env_with):
    return Web(env_with())


@pytest.fixture
def ask_as(tmp_path, clock):
    """Ask as somebody with an account."""
    daemon = FakeDaemon(tmp_path / "data", clock, grants=GRANTS)

    def ask(name, method, path, body=b""):
        said = {"Authorization": basic(name).decode()} if name else {}
        terminal = daemon.dial("web")
        terminal.send(request(method, path, body, **said))
        for _ in range(3):
            clock.advance(0)
        return Answer(terminal.received())

    def grant(name, *grants):
        daemon.accounts.replace(directory({**GRANTS, name: grants}))

    ask.daemon, ask.grant = daemon, grant
    return ask
