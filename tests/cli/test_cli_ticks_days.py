"""`mtnet ticks compact`, `prune` and `delete`: by a daemon and without one."""

import subprocess
import sys
from contextlib import contextmanager

import pytest
from test_cli import sentence

from mtnet.cli.main import main
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.storage.reader import TickReader

DAY_MS = 86_400_000
FIRST = 20_000 * DAY_MS
needs_duckdb = pytest.mark.skipif(not parquet.available(), reason="DuckDB is not installed.")


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    times = [FIRST + day * DAY_MS + at for day in range(3) for at in range(2)]
    rows = [(line, time, b"1.1 - - - %d 2" % time) for line, time in enumerate(times)]
    Importer(folder / "ticks.sqlite", b"EURUSD", FIRST + 3 * DAY_MS).run(
        lambda: rows, lambda done: None
    )
    return folder


@pytest.fixture
def said(capsys, data):
    def run(*arguments):
        main(["ticks", *arguments, "--data", str(data)])
        return capsys.readouterr().out

    return run


def stored(data):
    return len(list(TickReader(data / "ticks.sqlite").ticks(b"EURUSD")))


@needs_duckdb
def test_closed_days_are_compacted_and_read_as_before(said, data):
    assert said("compact", "--before", "2024-10-05") == "2 ticks are in 1 new Parquet files.\n"
    assert said("compact") == "4 ticks are in 2 new Parquet files.\n"
    assert len(list(data.glob("ticks/symbol=EURUSD/date=*/part-1.parquet"))) == 3
    assert len(said("export", "EURUSD").splitlines()) == 7


@needs_duckdb
def test_a_progress_bar_counts_the_ticks_that_are_compacted(said, monkeypatch):
    monkeypatch.setattr("mtnet.cli.ticks.days.PIECE", 1)
    moves = []

    @contextmanager
    def bar(total):
        moves.append(total)
        yield moves.append

    monkeypatch.setattr("mtnet.cli.ticks.days.progress_bar", bar)
    assert said("compact") == "6 ticks are in 3 new Parquet files.\n"
    assert moves == [6, 2, 2, 2]
    assert said("compact") == "0 ticks are in 0 new Parquet files.\n"


@needs_duckdb
def test_days_are_deleted_from_both_stores(said, data):
    said("compact", "--before", "2024-10-05")
    assert said("delete", "EURUSD", "--to", "2024-10-06", "--yes") == "4 ticks are deleted.\n"
    assert stored(data) == 2
    assert said("delete", "EURUSD", "--yes") == "2 ticks are deleted.\n"
    assert said("symbols") == "No tick is stored.\n"


def test_nothing_is_deleted_without_yes(capsys, data):
    words = ("ticks", "delete", "EURUSD", "--from", "2024-10-04", "--data", data)
    got, status = sentence(capsys, *words)
    assert status == 1
    assert "add --yes to delete the ticks of EURUSD from 2024-10-04" in got
    assert stored(data) == 6


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("GBPUSD",), "no ticks of GBPUSD"),
        (("eurusd",), "Stored symbols: EURUSD"),
        (("*",), "no ticks of *"),
        (("EURUSD", "--from", "2024-10-05", "--to", "2024-10-05"), "There is no day from"),
        (("EURUSD", "--from", "2024-10-06", "--to", "2024-10-05"), "There is no day from"),
    ],
)
def test_a_deletion_of_nothing_says_why(capsys, data, words, text):
    got, status = sentence(capsys, "ticks", "delete", *words, "--yes", "--data", data)
    assert (status, text in got) == (1, True)
    assert stored(data) == 6


def test_a_day_may_be_written_as_terminals_write_it(said, data):
    words = ("EURUSD", "--from", "2024.10.05", "--to", "2024.10.06", "--yes")
    assert said("delete", *words) == "2 ticks are deleted.\n"
    assert stored(data) == 4


@pytest.mark.parametrize("day", ["2024-13-01", "yesterday", "20241004", "2024.10-04"])
def test_a_day_is_a_date(capsys, data, day):
    words = ("ticks", "delete", "EURUSD", "--from", day, "--yes", "--data", data)
    got, status = sentence(capsys, *words)
    assert status == 1
    assert day in got


def test_days_are_pruned_by_the_settings(capsys, said, data, tmp_path, monkeypatch):
    got, status = sentence(capsys, "ticks", "prune", "--data", data)
    assert (status, "ticks.retain is empty" in got) == (1, True)
    monkeypatch.setattr("mtnet.cli.ticks.days.system_time", lambda: FIRST + 3 * DAY_MS)
    file = tmp_path / "mtnet.toml"
    file.write_text('[ticks.retain]\nEURUSD = 2\n"*" = 1\n')
    assert said("prune", "--config", str(file)) == "2 ticks are deleted.\n"
    assert stored(data) == 4
    file.write_text('[ticks.retain]\n"a|b" = 2\n')
    got, status = sentence(capsys, "ticks", "prune", "--config", file, "--data", data)
    assert (status, "ticks.retain: " in got) == (1, True)


def test_without_duckdb_a_sentence_says_what_to_install(capsys, data, monkeypatch):
    monkeypatch.setattr(parquet, "available", lambda: False)
    got, status = sentence(capsys, "ticks", "compact", "--data", data)
    assert status == 1
    assert "pip install 'mtnet-hub[parquet]'" in got


def test_a_folder_without_ticks_is_told(capsys, tmp_path):
    got, status = sentence(capsys, "ticks", "compact", "--data", tmp_path)
    assert (status, "There are no ticks" in got) == (1, True)


def test_small_commands_import_neither_duckdb_nor_numpy_nor_pyarrow():
    code = (
        "import sys; from mtnet.cli.main import parser; parser()\n"
        "import mtnet.services.ticks.component, mtnet.cli.ticks.stored, mtnet.cli.ticks.days\n"
        "print(*{'duckdb', 'numpy', 'pyarrow', 'pandas', 'polars'} & sys.modules.keys())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "\n"
