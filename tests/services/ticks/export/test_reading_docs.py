"""The programs of `docs/reading-ticks.md` run, and DuckDB counts what mtnet reads."""

import re
from pathlib import Path

import pytest
from cold_stores import EURUSD, Both

from mtnet import ticks
from mtnet.durations import DAY_MS
from mtnet.services.ticks.storage.reader import TickReader

PAGE = (Path(__file__).parents[4] / "docs" / "reading-ticks.md").read_text("utf-8")
PROGRAMS = re.findall(
    r"^```python\n(.*?)^```", PAGE.partition("## From Python")[2], re.MULTILINE | re.DOTALL
)
FEBRUARY = 17_931
"""The day 2019-02-04."""


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    pytest.importorskip("duckdb")
    made = Both(tmp_path_factory.mktemp("docs"))
    for symbol in (EURUSD, b"UK%20100"):
        for day in (FEBRUARY, FEBRUARY + 1):
            times = (day * DAY_MS + at for at in range(50))
            made.put(*(b"1.%d 1.2 - - %d 6" % (at % 50, at) for at in times), symbol=symbol)
    made.compact(FEBRUARY + 2)
    yield made
    made.store.close()


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_programs_of_the_page_run(both, program):
    for name in re.findall(r"^import (?:mtnet\.)?(\w+)", program, re.MULTILINE):
        if name != "ticks":
            pytest.importorskip(name)
    names = {}
    exec(program.replace("DATA", str(both.path.parent)), names)
    if "scan" not in program:
        assert len(names["frame"]) == 100 if "frame" in names else len(names["candles"]) == 2


def test_there_are_four_programs():
    assert len(PROGRAMS) >= 4


def test_answers_of_duckdb_are_ours(both):
    import duckdb

    found = duckdb.sql(
        f"SELECT count(*), sum(bid_exact), min(time_msc), max(time_msc), sum(ask - bid) "
        f"FROM '{both.path.parent}/ticks/**/*.parquet' WHERE symbol = 'UK 100'"
    ).fetchall()[0]
    rows = list(TickReader(both.path).ticks(b"UK%20100"))
    bids = [each.rest.split()[0].decode() for each in rows]
    columns = ticks.read("UK 100", data=both.path.parent).numpy()
    assert found[0] == len(rows) == 100
    assert found[1] == sum(round(float(bid) * 100) for bid in bids)
    assert found[2:4] == (rows[0].time, rows[-1].time)
    assert found[4] == pytest.approx((columns["ask"] - columns["bid"]).sum())
