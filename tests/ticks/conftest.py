"""What the tests of ticks share."""

import pytest
from tick_server import Server


@pytest.fixture
def serve(hub_with):
    """Start a server; its disk has room: `serve("ticks.idle=10")`."""
    return lambda *sets: Server(hub_with("reserve=0", *sets))
