"""What survives a crash."""

import sqlite3
import subprocess
import sys
from decimal import Decimal

import pytest

from mtnet.errors import JournalError
from mtnet.signals.book import Change
from mtnet.signals.journal import Journal

CHANGES = [
    Change("main", "GBPUSD", Decimal("-10.25"), 1),
    Change("main", "EURUSD", Decimal("0.00001"), 2),
    Change("gold", "XAUUSD", Decimal("0"), 3),
]


def test_what_was_committed_is_loaded_by_the_next_process_exactly(tmp_path):
    journal = Journal(tmp_path / "signals.sqlite")
    journal.commit(CHANGES)
    assert Journal(tmp_path / "signals.sqlite").load() == CHANGES


def test_a_commit_survives_a_kill(tmp_path):
    program = (
        "import os, sys; from pathlib import Path; from decimal import Decimal\n"
        "from mtnet.signals.journal import Journal; from mtnet.signals.book import Change\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "journal.commit([Change('main', 'GBPUSD', Decimal('0.25'), 1)])\n"
        "os.kill(os.getpid(), 9)"
    )
    path = tmp_path / "signals.sqlite"
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == -9
    assert Journal(path).load() == [Change("main", "GBPUSD", Decimal("0.25"), 1)]


def test_a_newer_volume_replaces_the_older(tmp_path):
    journal = Journal(tmp_path / "signals.sqlite")
    journal.commit([CHANGES[0]])
    journal.commit([Change("main", "GBPUSD", Decimal("0"), 9)])
    assert journal.load() == [Change("main", "GBPUSD", Decimal("0"), 9)]


def test_only_flat_symbols_expire(tmp_path):
    journal = Journal(tmp_path / "signals.sqlite")
    journal.commit(CHANGES)
    journal.expire(4)
    assert journal.load() == CHANGES[:2]


def test_a_refused_commit_stores_nothing_and_the_next_one_works(tmp_path):
    journal = Journal(tmp_path / "signals.sqlite")
    journal.commit(CHANGES[:1])
    bad = Change("main", "EURUSD", Decimal(1), "no integer")  # type: ignore[arg-type]
    with pytest.raises(JournalError, match="does not take"):
        journal.commit([CHANGES[1], bad])
    assert journal.load() == CHANGES[:1]
    journal.commit(CHANGES[1:])
    assert journal.load() == CHANGES


def test_the_file_of_a_newer_mtnet_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "signals.sqlite"
    Journal(path).commit(CHANGES)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalError, match="schema 99 of a newer mtnet"):
        Journal(path).load()


def test_a_file_that_is_no_database_is_refused_with_a_sentence(tmp_path):
    path = tmp_path / "signals.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(JournalError, match="not a database"):
        Journal(path).load()
