"""Exports of ticks: the same ticks in every format, from both stores."""

import csv
import io
import json
import signal

import pytest
from cold_stores import DAY, EURUSD, MIDNIGHT, Both
from hypothesis import given, settings
from hypothesis import strategies as st

from mtnet.cli.main import main
from mtnet.durations import DAY_MS
from mtnet.errors import ConfigError, WireError
from mtnet.services.ticks.clocks.rules import read_rule
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.export import stream
from mtnet.services.ticks.export.moments import read_moment
from mtnet.services.ticks.export.stream import Selection
from mtnet.services.ticks.storage.reader import TickReader

needs_duckdb = pytest.mark.skipif(not parquet.available(), reason="DuckDB is not installed.")
UK = b"UK%20100"


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """EURUSD of three days, the first two of them compacted, and UK 100 without times."""
    made = Both(tmp_path_factory.mktemp("exports"))
    for day in range(3):
        made.put(*((MIDNIGHT + day * DAY_MS + at, b"1.%d" % at) for at in range(4)))
    made.put(b"7500.1 - - 0.25", symbol=UK, received=MIDNIGHT + 5)
    if parquet.available():
        made.compact(DAY + 2)
    yield made
    made.store.close()


@pytest.fixture
def said(capfdbinary, both):
    """Export; return what was printed."""

    def run(*arguments):
        main(["ticks", "export", *map(str, arguments), "--data", str(both.path.parent)])
        return capfdbinary.readouterr().out

    return run


@pytest.fixture
def refused(capsys, both):
    """Export; return the sentence."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["ticks", "export", *arguments, "--data", str(both.path.parent)])
        return f"{ended.value.code}{capsys.readouterr().err}"

    return run


def rows(data):
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_several_symbols_come_one_after_another(said):
    every = rows(said("*", "--format", "csv"))
    assert [row["symbol"] for row in every] == ["EURUSD"] * 12 + ["UK%20100"]
    named = rows(said("UK 100", "EURUSD", "--format", "csv"))
    assert [row["symbol"] for row in named] == ["UK%20100"] + ["EURUSD"] * 12
    assert len(rows(said("*", "--format", "csv", "--limit", 5))) == 5
    assert len(rows(said("EURUSD", "EURUSD", "--format", "csv"))) == 12


def test_more_columns_and_times_as_people_read_them(said):
    words = ("--format", "csv", "--utc", "UTC+2", "--order", "--iso")
    first, *_, last = rows(said("*", *words))
    assert first["time"] == first["order"] == "2024-10-04T00:00:00.000"
    assert first["utc"] == "2024-10-03T22:00:00.000Z"
    assert (last["time"], last["order"]) == ("", "2024-10-04T00:00:00.005")
    assert last["utc"] == last["received"] == "2024-10-04T00:00:00.005Z"
    line = json.loads(said("EURUSD", "--format", "jsonl", "--order", "--limit", 1))
    assert (line["order"], line["time"], line["bid"]) == (MIDNIGHT, MIDNIGHT, 1.0)


@needs_duckdb
def test_parquet_has_the_columns_of_the_cold_store(said, tmp_path):
    import duckdb

    file = tmp_path / "all.parquet"
    said("*", "--format", "parquet", "-o", file)
    found = duckdb.sql(f"SELECT symbol, count(*), sum(bid) FROM '{file}' GROUP BY 1 ORDER BY 1")
    ((symbol, count, bids), uk) = found.fetchall()
    assert (symbol, count, round(bids, 6)) == ("EURUSD", 12, 13.8)
    assert uk == ("UK 100", 1, 7500.1)
    assert [each.name for each in tmp_path.iterdir()] == ["all.parquet"]
    assert said("*", "--format", "parquet") == file.read_bytes()


@pytest.mark.parametrize("name", ["csv", pytest.param("parquet", marks=needs_duckdb)])
def test_a_signal_leaves_nothing_of_an_export(said, tmp_path, monkeypatch, name):
    (tmp_path / "work").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "work"))
    read = TickReader.ticks

    def then_end(reader, *span):
        yield next(read(reader, *span))
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(TickReader, "ticks", then_end)
    with pytest.raises(SystemExit) as ended:
        said("*", "--format", name, "-o", tmp_path / "out")
    assert ended.value.code == 130
    assert [each.name for each in tmp_path.rglob("*")] == ["work"]


def test_arrow_is_a_stream_of_batches(said, monkeypatch):
    pa = pytest.importorskip("pyarrow")
    monkeypatch.setattr(stream, "BATCH", 5)
    table = pa.ipc.open_stream(said("*", "--format", "arrow")).read_all()
    assert table.column_names == [
        "symbol", "time_msc", "received_us", "bid", "ask", "last", "volume", "flags", "source",
    ]  # fmt: skip
    assert table["symbol"].to_pylist() == ["EURUSD"] * 12 + ["UK 100"]
    assert table["time_msc"].to_pylist()[-2:] == [MIDNIGHT + 2 * DAY_MS + 3, None]
    assert table["volume"].to_pylist()[-2:] == [None, 0.25]
    assert set(table["source"].to_pylist()) == {"desk"}


def test_no_tick_is_a_stream_with_columns_alone(said):
    pa = pytest.importorskip("pyarrow")
    data = said("EURUSD", "--format", "arrow", "--from", "2030-01-01")
    assert pa.ipc.open_stream(data).read_all().num_rows == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("*",), "one symbol, not 2"),
        (("EURUSD", "--order"), "are for csv and jsonl"),
        (("EURUSD", "--format", "csv", "--utc", "Mars"), "expected UTC+2, NY+7"),
        (("EURUSD", "--format", "csv", "--utc", "/etc/passwd"), "expected UTC+2, NY+7"),
        (("EURUSD", "--limit", "0"), "expected one such as 1000"),
        (("eurusd",), "no ticks of eurusd. Stored symbols: EURUSD"),
        (("EURUSD", "--from", "2024-10-05", "--to", "2024-10-05"), "no time from --from to --to"),
    ],
)
def test_an_export_that_cannot_be_says_why(refused, words, text):
    assert text in refused(*words)


def test_a_format_whose_package_is_missing_says_what_to_install(refused, monkeypatch):
    monkeypatch.setattr(stream, "arrow", lambda: None)
    monkeypatch.setattr(parquet, "available", lambda: False)
    assert "mtnet-hub[arrow]" in refused("EURUSD", "--format", "arrow")
    assert "mtnet-hub[parquet]" in refused("EURUSD", "--format", "parquet", "-o", "x.parquet")


def test_a_stream_of_text_is_made_in_pieces(both, monkeypatch):
    monkeypatch.setattr(stream, "ROWS", 5)
    pieces = list(stream.text("csv", TickReader(both.path), Selection([EURUSD])))
    assert [piece.count(b"\n") for piece in pieces] == [1, 5, 5, 2]


# Clocks


@pytest.mark.parametrize(
    ("rule", "local", "utc"),
    [
        ("UTC+2", "2024-07-01", "2024-06-30T22:00"),
        ("UTC-5:30", "2024-07-01", "2024-07-01T05:30"),
        ("UTC", "2024-07-01", "2024-07-01"),
        # New York is 4 hours behind UTC in summer, and 5 in winter.
        ("NY+7", "2024-07-01", "2024-06-30T21:00"),
        ("NY+7", "2024-12-02", "2024-12-01T22:00"),
        # New York changes on the third of November, a week after Europe.
        ("NY+7", "2024-11-01", "2024-10-31T21:00"),
        ("Europe/Athens", "2024-11-01", "2024-10-31T22:00"),
    ],
)
def test_the_clock_of_a_broker_is_told_by_a_rule(rule, local, utc):
    assert read_rule(rule)(read_moment(local)) == read_moment(utc)


@pytest.mark.parametrize("rule", ["", "UTC+", "NY7", "utc+2", "Europe/Nowhere", "../../x"])
def test_a_rule_that_is_none_is_refused(rule):
    with pytest.raises(ConfigError, match="expected UTC"):
        read_rule(rule)


@settings(max_examples=50)
@given(time=st.integers(0, 4_000_000_000_000), hours=st.integers(-12, 14))
def test_a_fixed_clock_keeps_its_distance(time, hours):
    assert time - read_rule(f"UTC{hours:+d}")(time) == hours * 3_600_000


@pytest.mark.parametrize("text", ["", "2024", "2024-02-30", "20240101", "2024-01-01T1", "-5"])
def test_a_moment_that_is_none_is_refused(text):
    with pytest.raises(WireError, match="expected one such as"):
        read_moment(text)
