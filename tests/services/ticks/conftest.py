"""What the tests of ticks share."""

import pytest
from failing_commits import fail_commits
from tick_server import Server


@pytest.fixture
def serve(env_with):
    """Start a server; its disk has room: `serve("ticks.idle=10")`."""
    return lambda *sets: Server(env_with("reserve=0", *sets))


@pytest.fixture
def logged(log):
    """Return the events of one level: `logged("error")`."""
    return lambda level: [event for event in log if event["log_level"].name == level]


@pytest.fixture
def failing(monkeypatch):
    """Let commits fail: `failing("before", "behind")`; see `fail_commits`."""
    return fail_commits(monkeypatch)
