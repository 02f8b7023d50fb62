"""A store of ticks on disk."""

import sqlite3

import pytest
from committing import batch, commit_of

from mtnet.services.ticks.model import Source
from mtnet.services.ticks.storage import log
from mtnet.services.ticks.storage.commits import snapshot
from mtnet.services.ticks.storage.hot import HotStore
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.storage.tally import Tally


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ticks.sqlite"


@pytest.fixture
def tally(tmp_path):
    return Tally(tmp_path / "ticks.taken")


@pytest.fixture
def store(path):
    made = Store(path)
    yield made
    made.close()


@pytest.fixture
def hot_store(tmp_path, monkeypatch):
    """A store with a log, loaded."""
    monkeypatch.setattr(log, "ROOM", 0)  # a segment ends where its last record does
    made = HotStore(tmp_path / "ticks.sqlite")
    made.load(Tally(tmp_path / "ticks.taken"), 10)
    yield made
    made.close()


@pytest.fixture
def load(path, tally):
    """Load what the next daemon would."""

    def again(sources=100):
        store = Store(path)
        try:
            return store.load(tally, sources)
        finally:
            store.close()

    return again


@pytest.fixture
def connects(monkeypatch):
    """Let a function have a look at each connection that is opened from now on."""

    def look(prepare, **forced):
        connect = sqlite3.connect

        def opened(*arguments, **options):
            connection = connect(*arguments, **{**options, **forced})
            prepare(connection)
            return connection

        monkeypatch.setattr(sqlite3, "connect", opened)

    return look


@pytest.fixture
def full():
    """A commit that puts rows into every table, and changes some that are there."""
    source = Source("desk", 3)
    for number in (1, 5):
        source.count_received(1, number)
        source.classify(batch(number), number)
    whole = commit_of(b"EURUSD", b"1.1", b"1.2", when=30)
    whole.sources = [snapshot(source)]
    return whole
