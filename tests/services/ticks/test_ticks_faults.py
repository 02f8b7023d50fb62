"""Faults that were found by trying: each with what shows that it is gone."""

import os
import sqlite3
import struct
import threading
import zlib
from contextlib import closing

import pytest
from fakes.servers import Server
from twisted.internet.task import Clock

from mtnet.cli.main import main
from mtnet.client import subscribe
from mtnet.errors import ClientError, JournalError
from mtnet.interfaces import ITicks
from mtnet.net.endpoints import Listener
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.files.mt5 import HEADER, rows
from mtnet.services.ticks.model import Source
from mtnet.services.ticks.protocol import TicksFactory
from mtnet.services.ticks.storage.blocks import Series
from mtnet.services.ticks.storage.commits import Commit, snapshot
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.storage.store import Store
from mtnet.testing import EPOCH, connect

EURUSD = b"EURUSD"
NOON = 1_549_281_600_000
RUN = struct.pack("<IqII", 1, NOON, 3, 1)


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "ticks.sqlite")
    made.commit(Commit(sources=[snapshot(Source("desk", 3))]))
    yield made
    made.close()


def block(*ticks, received=NOON):
    return list(Series(EURUSD, None, list(ticks), [(received, 3)] * len(ticks)).pack())


@pytest.mark.parametrize(
    "plain",
    [b"\1\0\0\0abc", bytes(4) + b"1.1\n1.2", RUN + b"1 - - - soon 2"],
    ids=["runs cut", "more records than marks", "no time"],
)
def test_a_block_that_unpacks_to_nonsense_is_named_with_its_file(store, plain):
    store.commit(Commit(blocks=block(b"1.1")))
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("UPDATE small_block SET data = ?", (zlib.compress(plain),))
        connection.commit()
    with pytest.raises(JournalError, match="Block 1 of "):
        list(TickReader(store.path).ticks(EURUSD))


def test_two_imports_of_one_file_at_a_time_store_it_once(tmp_path):
    path = tmp_path / "ticks.sqlite"
    file = [(2, NOON + at, b"1.1 - - - %d" % (NOON + at)) for at in range(3_000)]
    both = [Importer(path, EURUSD, EPOCH) for _ in range(2)]
    start = threading.Barrier(2)

    def work(one):
        start.wait()
        one.run(lambda: file, lambda done: None)

    threads = [threading.Thread(target=work, args=(one,)) for one in both]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(one.added for one in both) == 3_000


@pytest.mark.parametrize(
    "clock", ["2019.02.04\t29:00:00", "2019.2.4\t00:00:00", "２019.02.04\t00:00:00"]
)
def test_no_other_date_or_time_is_read(tmp_path, clock):
    file = tmp_path / "EURUSD.csv"
    file.write_bytes(HEADER + f"{clock}\t1.1\t\t\t\t2\r\n".encode())
    with pytest.raises(ClientError, match="Line 2"):
        list(rows(file))


@pytest.fixture
def data(env_with, tmp_path):
    env = env_with()
    env.find(ITicks).take(env.find(ITicks).source("desk"), [(EURUSD, b"1.1")], EPOCH)
    env.find(ITicks).sync()
    return tmp_path / "data"


def test_a_pipe_is_written_and_not_replaced(data, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    main(["ticks", "export", "EURUSD", "-o", str(pipe), "--data", str(data)])
    assert pipe.is_fifo(), "-o /dev/null as root takes the machine's /dev/null away"
    assert os.read(reader, 6) == b"<DATE>"
    os.close(reader)


def test_a_link_stays_one(data, tmp_path):
    (tmp_path / "real.csv").touch()
    (tmp_path / "link.csv").symlink_to("real.csv")
    main(["ticks", "export", "EURUSD", "-o", str(tmp_path / "link.csv"), "--data", str(data)])
    assert (tmp_path / "link.csv").is_symlink()


def test_a_file_of_the_users_own_that_ends_in_part_survives(data, tmp_path):
    (tmp_path / "a.csv.part").write_text("mine")
    main(["ticks", "export", "EURUSD", "-o", str(tmp_path / "a.csv"), "--data", str(data)])
    assert (tmp_path / "a.csv.part").read_text() == "mine"


def test_many_symbols_are_asked_for_in_lines_that_the_server_reads(env_with):
    clock, server = Clock(), Server()
    symbols = [f"SYMBOL{number:03}" for number in range(100)]
    subscribe(server, symbols, print, clock).startService()
    env = env_with()
    port = connect(TicksFactory(env.of("ticks"), Listener("ticks", "")), env.clock)
    port.send(server.end.value())
    env.clock.advance(1)
    assert not port.closed
    assert not port.reset
    (asked,) = env.find(ITicks).feed.subscribers.values()
    assert len(asked) == 100


def test_a_symbol_is_spelt_for_the_wire(env_with):
    server = Server()
    subscribe(server, ["UK 100"], print, Clock()).startService()
    assert server.end.value() == b"SUBSCRIBE: UK%20100\r\n"


def test_the_file_is_its_owners_alone(store):
    assert store.path.stat().st_mode & 0o077 == 0


def test_an_empty_file_is_no_store(tmp_path):
    (tmp_path / "ticks.sqlite").touch()
    with pytest.raises(ClientError, match="no ticks"):
        TickReader(tmp_path / "ticks.sqlite")
