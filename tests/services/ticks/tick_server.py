"""A tick port in memory, for the tests of its streams."""

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import decompress

from fakes.ports import FakePort
from twisted.internet.error import ConnectionLost
from twisted.python.failure import Failure

from mtnet.interfaces import ITicks
from mtnet.net.endpoints import Listener
from mtnet.services.ticks.protocol import TicksFactory
from mtnet.services.ticks.storage.blocks import unpack
from mtnet.services.ticks.storage.hot import copy_store

LISTENER = Listener("ticks", "tcp:8082")


class Server(FakePort):
    """A tick port."""

    def __init__(self, env, slicer=None):
        super().__init__(env, LISTENER, TicksFactory(env.of("ticks"), LISTENER, slicer=slicer))

    def cut(self, terminal):
        """Reset a connection from the far end."""
        terminal.protocol.connectionLost(Failure(ConnectionLost()))
        self.clock.advance(0)

    def finish(self, terminal):
        """Say that nothing more comes; return what is answered then."""
        terminal.finish()
        self.clock.advance(0)
        return terminal.received()

    def count(self, *names):
        return [self.env.find(ITicks).health()[name] for name in names]

    def stored(self):
        """Return what is on disk as texts, in order, once all that was taken is there."""
        self.clock.advance(self.env.of("ticks").section.flush)
        rows = merged_rows(
            self.env.config.data,
            "SELECT name, data FROM block JOIN symbol ON symbol.id = block.symbol "
            "ORDER BY block.id",
        )
        return [
            f"{name} {rest.decode()}" for name, data in rows for rest in unpack(decompress(data))[1]
        ]


def merged_rows(folder, query):
    """Return the rows of a store of ticks in a data folder, as if its log was merged."""
    with TemporaryDirectory() as copies:
        copy_store(Path(folder) / "ticks.sqlite", copy := Path(copies) / "ticks.sqlite")
        with closing(sqlite3.connect(copy)) as connection:
            return connection.execute(query).fetchall()
