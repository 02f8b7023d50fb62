"""`mtnet signals` on a journal, without a daemon."""

import csv
import io
import json
from decimal import Decimal

import pytest

from mtnet.cli.main import parser
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.model import Entry

SYMBOLS = ["@EU6", "=1+1", "+A", "-A", "EURUSD", 'A,"B"', "EURUSD.£"]


@pytest.fixture
def rows(tmp_path, capsys):
    """Run `mtnet signals export` on a journal of `SYMBOLS`; return the rows that it printed."""
    journal = Journal(tmp_path / "signals.sqlite", 1_000)
    journal.load()
    journal.commit([Entry("main", symbol, Decimal("-0.1"), 1) for symbol in SYMBOLS])
    journal.close()

    def run(*arguments):
        words = ["signals", "export", *arguments, "--data", str(tmp_path)]
        parsed = parser(used="signals").parse_args(words)
        parsed.run(parsed)
        printed = capsys.readouterr().out
        if "jsonl" in arguments:
            return [json.loads(line) for line in printed.splitlines()]
        return list(csv.DictReader(io.StringIO(printed)))

    return run


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_export_holds_symbols_as_they_are(rows, form):
    found = rows("--format", form)
    assert [row["symbol"] for row in found] == SYMBOLS
    assert {row["volume"] for row in found} == {"-0.1"}


def test_an_export_for_spreadsheets_has_no_text_that_they_compute(rows):
    found = rows("--spreadsheet")
    assert [row["symbol"] for row in found] == [
        "'@EU6", "'=1+1", "'+A", "'-A", "EURUSD", 'A,"B"', "EURUSD.£",
    ]  # fmt: skip
    assert {row["volume"] for row in found} == {"-0.1"}
