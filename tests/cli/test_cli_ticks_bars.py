"""`mtnet ticks bars` and `mtnet ticks report SYMBOL`: what is made of the stored ticks."""

import csv
import io
import json

import pytest
from test_cli import sentence

from mtnet.cli.main import main, parser
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.files.importer import Importer

MONDAY = 1_549_238_400_000
"""2019-02-04, milliseconds; a day of trading."""
MINUTE = 60_000
BIDS = ["1.14540", "1.14560", "1.14530", "1.14550"]
needs_duckdb = pytest.mark.skipif(not parquet.available(), reason="DuckDB is not installed.")


def store(folder, symbol, rows):
    """Store (time, bid, ask) rows of a symbol."""
    found = [(line, time, b"%b %b - - %d 6" % (*prices, time)) for line, (time, *prices) in
             enumerate(rows)]  # fmt: skip
    importer = Importer(folder / "ticks.sqlite", symbol, MONDAY)
    importer.run(lambda: found, lambda done: None)


def ticks(begin=MONDAY, step=20_000):
    """Return ticks of two minutes: three of the first, one of the second."""
    times = (begin + at * step for at in range(len(BIDS)))
    return [(time, bid.encode(), f"{float(bid) + 0.0002:.5f}".encode()) for time, bid in
            zip(times, BIDS, strict=True)]  # fmt: skip


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    store(folder, b"EURUSD", ticks())
    return folder


@pytest.fixture
def said(capfdbinary, data):
    """Run a command on the data folder; return what it printed."""

    def run(*arguments):
        main(["ticks", *map(str, arguments), "--data", str(data)])
        return capfdbinary.readouterr().out.decode()

    return run


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


# Bars


def test_bars_are_one_minute_long_unless_another_period_is_named(said):
    first, second = rows(said("bars", "EURUSD"))
    assert (first["time"], second["time"]) == (str(MONDAY), str(MONDAY + MINUTE))
    assert [first[key] for key in ("open", "high", "low", "close", "ticks")] == [
        "1.14540", "1.14560", "1.14530", "1.14530", "3",
    ]  # fmt: skip
    (hour,) = rows(said("bars", "EURUSD", "--period", "H1"))
    assert (hour["time"], hour["close"], hour["ticks"]) == (str(MONDAY), "1.14550", "4")


def test_bars_as_the_charts_of_metatrader_export_them(said):
    header, first, second = said("bars", "EURUSD", "--format", "mt5").splitlines()
    assert header.split("\t")[:3] == ["<DATE>", "<TIME>", "<OPEN>"]
    assert first.split("\t")[:7] == [
        "2019.02.04", "00:00:00", "1.14540", "1.14560", "1.14530", "1.14530", "3",
    ]  # fmt: skip
    assert second.startswith("2019.02.04\t00:01:00\t1.14550")


def test_bars_as_json_lines_keep_their_digits(said):
    line, _ = said("bars", "EURUSD", "--format", "jsonl").splitlines()
    assert '"open":1.14540' in line
    assert json.loads(line)["symbol"] == "EURUSD"


def test_bars_open_from_one_moment_up_to_another_and_no_more_than_are_wanted(said):
    (second,) = rows(said("bars", "EURUSD", "--from", MONDAY + MINUTE))
    assert second["time"] == str(MONDAY + MINUTE)
    assert [each["time"] for each in rows(said("bars", "EURUSD", "--to", MONDAY + MINUTE))] == [
        str(MONDAY)
    ]
    assert len(rows(said("bars", "EURUSD", "--limit", "1"))) == 1


def test_bars_of_several_symbols_follow_one_another(said, data):
    store(data, b"GBPUSD", ticks())
    assert [each["symbol"] for each in rows(said("bars", "*", "--period", "H1"))] == [
        "EURUSD", "GBPUSD",
    ]  # fmt: skip


def test_bars_can_have_their_time_in_utc(said):
    """The broker's clock is two hours ahead of UTC; NY+7 is that in winter."""
    for clock in ("UTC+2", "NY+7"):
        first, _ = rows(said("bars", "EURUSD", "--utc", clock))
        (utc,) = [text for key, text in first.items() if "utc" in key]
        assert utc == str(MONDAY - 2 * 60 * MINUTE)


def test_bars_can_have_times_for_people(said):
    first, _ = rows(said("bars", "EURUSD", "--iso"))
    assert first["time"].startswith("2019-02-04T00:00:00")


def test_bars_are_written_into_a_file(said, tmp_path):
    file = tmp_path / "bars.csv"
    assert said("bars", "EURUSD", "-o", file) == ""
    assert file.read_bytes().decode() == said("bars", "EURUSD")


@needs_duckdb
def test_bars_are_written_as_parquet(said, tmp_path):
    import duckdb

    file = tmp_path / "bars.parquet"
    said("bars", "EURUSD", "--format", "parquet", "-o", file)
    found = duckdb.sql(f"SELECT symbol, open, ticks FROM '{file}' ORDER BY time_msc").fetchall()
    assert found == [("EURUSD", 1.1454, 3), ("EURUSD", 1.1455, 1)]


@pytest.mark.parametrize("command", ["bars", "export"])
def test_a_stream_of_arrow_can_be_read_where_it_is_wanted(said, tmp_path, command):
    pyarrow = pytest.importorskip("pyarrow")
    file = tmp_path / "stream.arrow"
    said(command, "EURUSD", "--format", "arrow", "-o", file)
    found = pyarrow.ipc.open_stream(file.read_bytes()).read_all()
    assert found.num_rows == {"bars": 2, "export": 4}[command]
    assert found["symbol"].to_pylist() == ["EURUSD"] * found.num_rows


# What a format cannot hold


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("bars", "EURUSD", "GBPUSD", "--format", "mt5"), "A file of MetaTrader 5 has one symbol"),
        (("export", "EURUSD", "GBPUSD"), "A file of MetaTrader 5 has one symbol, not 2"),
        (("bars", "EURUSD", "--format", "mt5", "--iso"), "--utc and --iso are for csv and jsonl"),
        (("export", "EURUSD", "--order"), "--utc, --order and --iso are for csv and jsonl"),
        (("bars", "EURUSD", "--utc", "noon"), "noon"),
        (("bars", "USDJPY"), "There are no ticks of USDJPY"),
    ],
)
def test_what_a_format_cannot_hold_is_told_in_a_sentence(capsys, data, arguments, why):
    store(data, b"GBPUSD", ticks())
    got, status = sentence(capsys, "ticks", *arguments, "--data", data)
    assert status == 1
    assert why in got


@needs_duckdb
@pytest.mark.parametrize("command", ["bars", "export"])
def test_a_parquet_file_that_cannot_be_written_leaves_nothing(capsys, data, tmp_path, command):
    file = tmp_path / "nosuch" / "EURUSD.parquet"
    words = ("ticks", command, "EURUSD", "--format", "parquet", "-o", file, "--data", data)
    got, status = sentence(capsys, *words)
    assert (got, status) == (f"mtnet: {file} cannot be written: No such file or directory.", 1)
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_an_export_into_a_pipe_does_not_replace_it(said, tmp_path):
    device = tmp_path / "null"
    device.symlink_to("/dev/null")
    said("bars", "EURUSD", "-o", device)
    assert device.is_symlink()


@pytest.mark.parametrize("period", ["M7", "m5", ""])
def test_a_period_that_is_none_is_told_with_those_that_are(capsys, data, period):
    got, status = sentence(capsys, "ticks", "bars", "EURUSD", "--period", period, "--data", data)
    assert status == 2
    assert "expected one of S1, " in got


def test_help_of_bars_ends_with_an_example_that_the_parser_takes(capsys):
    with pytest.raises(SystemExit):
        main(["ticks", "bars", "--help"])
    example = capsys.readouterr().out.split("Example: mtnet ")[1].split()
    assert parser().parse_args(example).period == "M5"


# The report on a symbol


def test_a_report_counts_silences_and_ticks_that_are_suspicious(said, data):
    store(
        data,
        b"GBPUSD",
        [
            (MONDAY + 600 * MINUTE, b"1.30000", b"1.30020"),
            (MONDAY + 600 * MINUTE, b"1.30000", b"1.30020"),  # the same again
            (MONDAY + 607 * MINUTE, b"1.30050", b"1.30010"),  # the ask below the bid, 7 min later
        ],
    )
    (found,) = json.loads(said("report", "GBPUSD", "--json"))
    assert (found["symbol"], found["ticks"], found["crossed"]) == ("GBPUSD", 3, 1)
    assert found["duplicates"] + found["stale"] >= 1
    (longest,) = found["longest"]
    assert (longest["to"] - longest["from"], longest["trading"]) == (7 * MINUTE, 7 * MINUTE)


def test_a_report_for_people_has_the_longest_silences_below_their_number(said, data):
    store(data, b"GBPUSD", [(MONDAY + at * MINUTE, b"1.3", b"1.4") for at in (600, 607, 640)])
    head, silences, columns, *longest, end = said("report", "GBPUSD").splitlines()
    assert head.startswith("GBPUSD: 3 ticks from 2019-02-04 10:00:00")
    assert silences.startswith("  silences while trading: ")
    assert columns.split() == ["FROM", "TO", "TRADING"]
    assert [each.split()[-1] for each in longest] == ["0:33:00", "0:07:00"]
    assert "0 with the ask below the bid" in end


def test_a_report_has_one_paragraph_for_each_symbol_in_their_order(said, data):
    store(data, b"GBPUSD", ticks())
    heads = [line for line in said("report", "GBPUSD", "EURUSD").splitlines() if line[0] != " "]
    assert [head.partition(":")[0] for head in heads] == ["GBPUSD", "EURUSD"]


def test_a_report_looks_at_a_span_alone(said):
    (found,) = json.loads(said("report", "EURUSD", "--from", MONDAY + MINUTE, "--json"))
    assert (found["ticks"], found["first"]) == (1, MONDAY + MINUTE)


def test_a_report_on_a_symbol_without_ticks_is_a_sentence(capsys, data):
    got, status = sentence(capsys, "ticks", "report", "EURGBP", "--data", data)
    assert status == 1
    assert "There are no ticks of EURGBP" in got
