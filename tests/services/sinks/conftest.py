"""What the tests of sinks share."""

import pytest
from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock

from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.storage.tally import Tally


@pytest.fixture
def serve_ticks(env_with, tmp_path):
    """Return a collector of ticks that stores at once: `serve_ticks("ticks.flush=2")`."""

    def serve(*sets):
        settings = env_with("reserve=0", *sets).config.section("ticks")
        store, tally = Store(tmp_path / "ticks.sqlite"), Tally(tmp_path / "ticks.taken")
        collector = Collector(settings, 0, store, tally, Clock(), maybeDeferred)
        collector.open()
        return collector

    return serve
