"""Files of ticks that are not ours, or not whole; kills of a process; and others who write."""

import random
import sqlite3
import subprocess
import sys
from contextlib import closing
from threading import Event, Thread

import pytest
from committing import ask, change, commit_of, everything

from mtnet.errors import JournalError
from mtnet.services.ticks.storage.schema import SCHEMA
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.storage.tally import Tally

# Files that are not ours, or not whole


@pytest.mark.parametrize("version", [SCHEMA + 1, 99, 2**31 - 1])
@pytest.mark.parametrize("call", ["load", "prepare", "commit"])
def test_a_file_of_a_newer_mtnet_is_refused_by_every_call_and_left_as_it_is(
    store, path, tally, version, call
):
    store.commit(commit_of(b"EURUSD", b"1.1"))
    store.close()
    change(path, f"PRAGMA user_version = {version}")
    before = everything(path)
    arguments = {"load": (tally, 10), "prepare": (), "commit": (commit_of(b"EURUSD", b"1.2"),)}
    with pytest.raises(JournalError, match=f"schema {version} of a newer mtnet"):
        getattr(store, call)(*arguments[call])
    assert everything(path) == before
    assert ask(path, "PRAGMA user_version") == [(version,)]


DAMAGES = {
    "no database": lambda data: b"no database at all" * 500,
    "noise behind the header": lambda data: data[:100] + random.Random(1).randbytes(len(data)),
    "an end that is missing": lambda data: data[: len(data) // 3],
    "noise in the first 100 bytes": lambda data: random.Random(2).randbytes(100) + data[100:],
    "tables that are not there": lambda data: data.replace(b"source", b"sauce!"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_with_a_sentence_that_names_it(path, tally, full, damage):
    first = Store(path)
    first.commit(full)
    first.close()
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    store = Store(path)
    with pytest.raises(JournalError, match="cannot be read or written") as caught:
        store.load(tally, 10)
    store.close()
    assert str(path) in str(caught.value)


def test_a_damaged_file_is_not_touched(path, tally):
    path.write_bytes(b"no database at all" * 500)
    store = Store(path)
    with pytest.raises(JournalError):
        store.load(tally, 10)
    with pytest.raises(JournalError):
        store.commit(commit_of(b"EURUSD", b"1.1"))
    assert path.read_bytes() == b"no database at all" * 500


# What was taken and never stored


@pytest.mark.parametrize(("taken", "lost"), [(0, 0), (4, 0), (5, 0), (6, 1), (5 + 2**40, 2**40)])
def test_what_was_taken_beyond_what_was_stored_is_lost_and_told_once(
    store, load, tally, taken, lost
):
    store.commit(commit_of(b"EURUSD", *[b"1.1"] * 5))
    tally.set(taken)
    assert [load().lost for _ in range(3)] == [lost, 0, 0]
    assert tally.value == 5 + lost


def test_losses_of_several_kills_are_told_one_by_one_and_add_up(store, path, load, tally):
    got = []
    for taken, kept in ((8, 5), (3, 3), (4, 1), (2, 0)):
        tally.set(tally.value + taken)
        if kept:
            store.commit(commit_of(b"EURUSD", *[b"1.1"] * kept))
        got.append(load().lost)
    assert got == [3, 0, 3, 2]
    totals = dict(ask(path, "SELECT name, value FROM total"))
    assert totals == {"stored": 9, "lost": 8}
    assert tally.value == 17


def test_a_loss_that_could_not_be_noted_is_told_the_next_time(store, path, load, tally):
    store.prepare()
    tally.set(3)
    refusal = "BEGIN SELECT RAISE(FAIL, 'no room here'); END"
    change(path, f"CREATE TRIGGER refusal BEFORE INSERT ON total {refusal}")
    with pytest.raises(JournalError, match="no room here"):
        load()
    change(path, "DROP TRIGGER refusal")
    assert [load().lost, load().lost] == [3, 0]


KILLED = """
import os, sys
from pathlib import Path
from mtnet.services.ticks.storage.blocks import Series
from mtnet.services.ticks.storage.commits import Commit
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.storage.tally import Tally

store, tally = Store(Path(sys.argv[1])), Tally(Path(sys.argv[2]))
store.load(tally, 10)
tally.set(5)
blocks = list(Series(b"EURUSD", None, [b"1.1"] * 5, [(17, 3)] * 5).pack())
store.commit(Commit(blocks, newest={b"EURUSD": (b"1.1", 17)}, totals={"stored": 5}))
tally.set(12)
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_process_had_stored_is_there_and_the_rest_is_counted_as_lost(tmp_path):
    path, taken = tmp_path / "ticks.sqlite", tmp_path / "ticks.taken"
    command = [sys.executable, "-c", KILLED, str(path), str(taken)]
    assert subprocess.run(command, check=False).returncode == -9
    store = Store(path)
    kept, again = store.load(Tally(taken), 10), store.load(Tally(taken), 10)
    store.close()
    assert (kept.newest, kept.lost, again.lost) == ({b"EURUSD": (b"1.1", 17)}, 7, 0)
    assert ask(path, "SELECT sum(ticks) FROM block") == [(5,)]


# Somebody else who writes


def test_a_commit_waits_for_somebody_who_is_writing(path, connects):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        begun = Event()
        connects(
            lambda connection: connection.set_trace_callback(
                lambda statement: begun.set() if statement == "BEGIN IMMEDIATE" else None
            )
        )
        store, failures = Store(path), []
        store.prepare()
        other.execute("BEGIN IMMEDIATE")
        begun.clear()

        def write():
            try:
                store.commit(commit_of(b"EURUSD", b"1.1"))
            except JournalError as error:
                failures.append(error)

        thread = Thread(target=write)
        thread.start()
        assert begun.wait(60)
        rows = [(f"S{at}",) for at in range(50_000)]
        other.executemany("INSERT INTO symbol (name) VALUES (?)", rows)
        assert other.execute("SELECT count(*) FROM block").fetchone() == (0,)
        other.execute("COMMIT")
        thread.join(60)
        store.close()
        assert failures == []
        assert other.execute("SELECT sum(ticks) FROM block").fetchone() == (1,)
        assert other.execute("SELECT count(*) FROM symbol").fetchone() == (50_001,)


def test_somebody_who_writes_for_too_long_fails_the_commit_and_not_the_next(path, connects):
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        connects(lambda connection: None, timeout=0)
        store = Store(path)
        store.prepare()
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="locked"):
            store.commit(commit_of(b"EURUSD", b"1.1"))
        other.execute("ROLLBACK")
        assert ask(path, "SELECT count(*) FROM block") == [(0,)]
        store.commit(commit_of(b"EURUSD", b"1.1"))
        store.close()
    assert ask(path, "SELECT sum(ticks) FROM block") == [(1,)]


def test_nobody_else_writes_while_a_commit_is_looked_for(store, path):
    store.prepare()
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:

        def look():
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
            return commit_of(b"EURUSD", b"1.1")

        store.commit_after(look)
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


def test_somebody_who_reads_delays_nobody(store, path, connects):
    store.commit(commit_of(b"EURUSD", b"1.1"))
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT sum(ticks) FROM block").fetchone() == (1,)
        connects(lambda connection: None, timeout=0)
        store.commit(commit_of(b"EURUSD", b"1.2"))
        assert reader.execute("SELECT sum(ticks) FROM block").fetchone() == (1,)
        reader.execute("COMMIT")
        assert reader.execute("SELECT sum(ticks) FROM block").fetchone() == (2,)


BESIDE = """
import sys
from pathlib import Path
from mtnet.services.ticks.storage.blocks import Series
from mtnet.services.ticks.storage.commits import Commit
from mtnet.services.ticks.storage.store import Store

store = Store(Path(sys.argv[1]))
store.prepare()
print("ready", flush=True)
sys.stdin.readline()
for at in range(40):
    symbol = b"B%d" % (at % 5)
    blocks = list(Series(symbol, None, [b"1.1"], [(17, 3)]).pack())
    store.commit(Commit(blocks, totals={"stored": 1}))
store.close()
"""


def test_two_processes_that_write_at_the_same_time_lose_nothing(store, path):
    command = [sys.executable, "-c", BESIDE, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as beside:
        assert beside.stdout.readline() == b"ready\n"
        beside.stdin.write(b"go\n")
        beside.stdin.flush()
        for at in range(40):
            store.commit(commit_of(b"A%d" % (at % 5), b"1.1"))
        assert beside.wait(60) == 0
    ticks = ask(path, "SELECT s.name, sum(b.ticks) FROM block b JOIN symbol s ON s.id = b.symbol "
                "GROUP BY s.name ORDER BY s.name")  # fmt: skip
    assert ticks == [(f"{side}{at}", 8) for side in "AB" for at in range(5)]
    assert ask(path, "SELECT value FROM total WHERE name = 'stored'") == [(80,)]
