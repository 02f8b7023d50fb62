"""Exports of bars, and `mtnet.ticks.bars`."""

import json

import pytest
from cold_stores import MIDNIGHT, Both

from mtnet import ticks
from mtnet.cli.main import main
from mtnet.errors import ClientError, WireError
from mtnet.services.ticks.bars.files import Basis
from mtnet.services.ticks.bars.series import BID, Bar, volume_text
from mtnet.services.ticks.export import bar_frames, bars, table

MINUTE = 60_000


@pytest.fixture
def both(tmp_path):
    made = Both(tmp_path)
    rows = [(0, "1.10000 1.10012"), (1, "1.1 -"), (MINUTE, "1.10010 -"), (MINUTE + 1, "1.2 1.3")]
    made.put(*(f"{prices} - 0.1 {MIDNIGHT + at} -".encode() for at, prices in rows))
    made.put(b"7000 - - - %d" % MIDNIGHT, symbol=b'A"%2C')
    yield made
    made.store.close()


@pytest.fixture
def said(capfdbinary, both):
    def run(*arguments):
        main(["ticks", "bars", *map(str, arguments), "--data", str(both.path.parent)])
        return capfdbinary.readouterr().out.decode()

    return run


def test_csv_is_the_default_and_several_symbols_come_one_after_another(said):
    assert said("*").splitlines() == [
        "symbol,time,open,high,low,close,ticks,spread,volume",
        f'"A""%2C",{MIDNIGHT},7000,7000,7000,7000,1,,0',
        f"EURUSD,{MIDNIGHT},1.10000,1.10000,1.10000,1.10000,2,12,0.2",
        f"EURUSD,{MIDNIGHT + MINUTE},1.10010,1.20000,1.10010,1.20000,2,,0.2",
    ]
    assert len(said("*", "--limit", 2).splitlines()) == 3


def test_times_as_people_read_them_and_utc(said):
    said_ = said("EURUSD", "--period", "D1", "--iso", "--utc", "UTC+2")
    assert said_.splitlines()[1].split(",")[1::8] == [
        "2024-10-04T00:00:00.000", "2024-10-03T22:00:00.000Z",
    ]  # fmt: skip
    row = json.loads(said("EURUSD", "--format", "jsonl", "--utc", "UTC+2", "--limit", "1"))
    assert (row["period"], row["time"], row["utc"]) == ("M1", MIDNIGHT, MIDNIGHT - 7_200_000)
    assert (row["spread"], row["volume"], row["ticks"]) == (12, 0.2, 2)


def test_mt5_has_the_columns_of_a_chart_and_days_no_time(said):
    first, row, _ = said("EURUSD", "--format", "mt5").split("\r\n")[:3]
    assert first == "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>"
    assert row == "2024.10.04\t00:00:00\t1.10000\t1.10000\t1.10000\t1.10000\t2\t0.2\t12"
    days = said("EURUSD", "--format", "mt5", "--period", "W1").split("\r\n")
    assert days[1].startswith("2024.09.29\t1.10000\t")


def test_a_span_is_one_of_openings(said):
    assert said("EURUSD", "--from", MIDNIGHT + 1).count("EURUSD") == 1
    assert said("EURUSD", "--from", "2024-10-04", "--to", MIDNIGHT + MINUTE).count("EURUSD") == 1


def test_parquet_and_arrow_say_how_their_bars_are_made(said, tmp_path):
    duckdb, pa = pytest.importorskip("duckdb"), pytest.importorskip("pyarrow")
    for name in ("parquet", "arrow"):
        said("*", "--format", name, "-o", tmp_path / name)
    got = duckdb.sql(f"FROM read_parquet('{tmp_path}/parquet') WHERE symbol = 'EURUSD'").fetchall()
    assert got[0] == ("EURUSD", MIDNIGHT, 1.1, 1.1, 1.1, 1.1, 2, 12, 0.2)
    assert got[1][-2:] == (None, 0.2)
    with pa.ipc.open_stream(tmp_path / "arrow") as stream:
        whole = stream.read_all()
    assert [tuple(row.values()) for row in whole.to_pylist()][1:] == got
    facts = whole.schema.metadata
    stored = pytest.importorskip("pyarrow.parquet").read_metadata(tmp_path / "parquet").metadata
    assert {name: stored[name] for name in facts} == facts
    assert facts[b"period"] == b"M1"
    assert b"first tick" in facts[b"spread"]
    assert json.loads(facts[b"series"])["EURUSD"] == {
        "clock": "broker", "price": "bid", "digits": 5,
    }  # fmt: skip


def test_symbols_of_last_prices_are_a_setting_also_here(both, said, tmp_path):
    both.put(b"1 2 3 - %d" % MIDNIGHT, symbol=b"SBER")
    config = tmp_path / "mtnet.toml"
    config.write_text('[ticks]\nbars_of_last = ["SBER"]\n')
    assert ",1,1,1,1,1," in said("SBER")
    assert ",3,3,3,3,1," in said("SBER", "--config", config)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("EURUSD", "--period", "M7"), "invalid period M7, expected one of S1, S2"),
        (("XYZ",), "There are no ticks of XYZ"),
        (("EURUSD", "--format", "arrow", "--iso"), "--utc and --iso are for csv and jsonl"),
        (("EURUSD", "--utc", "Mars"), "Invalid clock 'Mars'"),
        (("*", "--format", "mt5"), "has one symbol, not 2"),
    ],
)
def test_an_export_that_cannot_be_says_why(both, capsys, words, text):
    with pytest.raises(SystemExit) as ended:
        main(["ticks", "bars", *words, "--data", str(both.path.parent)])
    assert text in f"{ended.value}{capsys.readouterr().err}"


def test_a_stream_is_made_in_pieces_of_so_many_ticks(monkeypatch):
    monkeypatch.setattr(bars, "TICKS", 5)
    made = [Bar(at, 1, 1, 1, 1, 2, 0, 0, 0, 0) for at in range(7)]
    assert [len(each) for each in bars._portions(iter(made))] == [3, 3, 1]


@pytest.mark.parametrize(
    ("price", "digits", "text"),
    [(1.1, 5, "1.10000"), (1.23456, 2, "1.23456"), (1e-07, 2, "0.0000001"), (7000.0, 0, "7000")],
)
def test_a_price_has_the_digits_of_its_symbol_or_more(price, digits, text):
    assert bars.price_text(price, digits) == text


@pytest.mark.parametrize(
    ("volume", "text"), [(0.0, "0"), (0.1 + 0.2, "0.3"), (100.0, "100"), (1e-8, "0.00000001")]
)
def test_a_volume_has_no_noise(volume, text):
    assert volume_text(volume) == text


def test_rows_have_the_spread_in_points():
    assert bars.rows_of(Basis(BID, True, 3), [Bar(0, 1, 2, 1, 2, 3, 0.0025, 0.1 + 0.2, 0, 9)]) == [
        (0, 1, 2, 1, 2, 3, 2, 0.3)
    ]


# From Python


def read(both, *asked, **more):
    return ticks.bars("EURUSD", *asked, data=both.path.parent, **more)


def test_bars_come_one_by_one_and_say_how_they_are_made(both):
    found = read(both, "M1")
    assert (found.price, found.clock, found.digits) == ("bid", "broker", 5)
    assert list(found) == [
        (MIDNIGHT, 1.1, 1.1, 1.1, 1.1, 2, 12, 0.2, None),
        (MIDNIGHT + MINUTE, 1.1001, 1.2, 1.1001, 1.2, 2, None, 0.2, None),
    ]
    assert next(iter(found)).time_msc == MIDNIGHT
    assert [bar.ticks for bar in read(both, "D1")] == [4]
    assert [bar.ticks for bar in read(both, "M1", "2024-10-04 00:01")] == [2]
    assert list(read(both, "M1", "2024-10-05")) == []


def test_columns_are_those_of_the_bars(both):
    pytest.importorskip("numpy")
    found = read(both, "M1")
    columns = {name: column.tolist() for name, column in found.numpy().items()}
    rows = [bar[: len(bar_frames.COLUMNS)] for bar in found]
    assert columns == dict(zip(bar_frames.COLUMNS, map(list, zip(*rows, strict=True)), strict=True))
    assert read(both, "M1", "2024-10-05").numpy()["spread"].tolist() == []
    for package, convert in (("pyarrow", found.arrow), ("polars", found.polars)):
        pytest.importorskip(package)
        made = convert()
        assert (made.to_pydict() if package == "pyarrow" else made.to_dict(as_series=False)) == (
            columns
        )
    pytest.importorskip("pandas")
    frame = found.pandas()
    assert frame["spread"].isna().tolist() == [False, True]
    assert read(both, "M1", None, MIDNIGHT + 1).pandas()["spread"].dtype == "int64"


def test_bars_that_cannot_be_read_say_why(both, monkeypatch):
    with pytest.raises(ClientError, match="no period 'M7': expected one of S1"):
        read(both, "M7")
    with pytest.raises(ClientError, match="no ticks of XYZ"):
        ticks.bars("XYZ", "M1", data=both.path.parent)
    with pytest.raises(WireError, match="expected one such as"):
        read(both, "M1", "yesterday")
    monkeypatch.setattr(bar_frames, "arrow", lambda: None)
    with pytest.raises(Exception, match=table.INSTALL.replace("[", r"\[")):
        read(both, "M1").arrow()
