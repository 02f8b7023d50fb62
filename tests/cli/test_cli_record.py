"""`mtnet signals record`, and the proof of what it says."""

import csv
import io
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.daemon import FakeDaemon

from mtnet.cli.signals.record import _text, inert
from mtnet.services.signals.wire import requests
from mtnet.session import messages

RUNNING = (Path(__file__).parents[2] / "docs" / "running.md").read_text("utf-8")
PROGRAM = re.search(r"```python\n(import json, sys\n.*?)```", RUNNING, re.DOTALL)[1]


@pytest.fixture
def gold(command_line, clock):
    """A journal with a trade that won 250 points, one without a price, and an open position."""
    daemon = FakeDaemon(command_line.folder, clock, "access.trust_loopback=true")
    provider = daemon.dial("signals")
    daemon.say(provider, messages.hello(name="desk"))
    rows = [("EURUSD", 2, "1.10000"), ("EURUSD", 0, "1.10250"), ("GBPUSD", 1, None),
            ("GBPUSD", 0, None), ("USDJPY", -1, "150.00")]  # fmt: skip
    for number, (symbol, volume, price) in enumerate(rows):
        more = {} if price is None else {"price": price}
        asked = {"id": f"s{number}", "channel": "gold", "symbol": symbol, "volume": volume}
        assert b"STORED" in daemon.say(provider, _publish(**asked, **more))
    return daemon


def _publish(**fields):
    return messages.request(requests.REQUESTS, "PUBLISH", **fields)


def verify(chain):
    """Run the program of the document on an export."""
    program = [sys.executable, "-c", PROGRAM]
    return subprocess.run(program, input=chain, text=True, capture_output=True)


def record(command_line, *options):
    return command_line.on_folder("signals", "record", "gold", *options)


def test_the_record_is_a_table_by_month_with_its_proof(command_line, gold):
    status, out, error = record(command_line)
    assert (status, error) == (0, "")
    head, month, total, *rest = out.splitlines()
    assert head.split()[:5] == ["MONTH", "TRADES", "WON", "LOST", "UNKNOWN"]
    assert month.split()[1:6] == ["2", "1", "0", "1", "250.0"]
    assert total.split()[0] == "all"
    assert rest[0] == "1 position is open, and counts in nothing."
    assert "Trades of which a price is not known: 1." in rest[1]
    assert "entries 1 to 5" in rest[-2]


def test_each_trade_is_a_row_of_csv(command_line, gold):
    rows = list(csv.DictReader(io.StringIO(record(command_line, "--csv").out)))
    assert [(row["symbol"], row["volume"], row["points"]) for row in rows] == [
        ("EURUSD", "2", "250.0"),
        ("GBPUSD", "1", ""),
    ]


def test_anybody_with_an_export_can_verify_the_record(command_line, gold):
    found = json.loads(record(command_line, "--json").out)
    out = command_line.on_folder("signals", "export", "gold", "--format", "chain").out
    first, *_, last = map(json.loads, out.splitlines())
    assert first["hash"] == found["before"]
    assert json.loads(last["line"])[:3] == [found["epoch"], found["last"], "gold"]
    assert verify(out).stdout.strip() == found["hash"]
    forged = verify(out.replace("1.10250", "1.20250"))
    assert "AssertionError" in forged.stderr
    assert (found["first"], found["complete"]) == (1, True)


def test_a_terminal_s_specs_make_money_of_points(command_line, gold):
    spec = {"symbol": "EURUSD", "digits": 5, "tick": "0.00001", "tickvalue": "1"}
    terminal = {"login": "alice", "name": "desk", "specs": {"EURUSD": {"spec": spec, "time": 1}}}
    (command_line.folder / "signals.reports").write_text(json.dumps([terminal]))
    found = json.loads(record(command_line, "--json", "--terminal", "alice/desk").out)
    assert found["total"]["money"] == "500.00"
    status, _, error = record(command_line, "--terminal", "bob")
    assert (status, "No terminal has reported as bob" in error) == (1, True)


def test_a_channel_in_which_nobody_published_has_no_record(command_line, gold):
    status, _, error = command_line.on_folder("signals", "record", "main")
    assert (status, "Nobody has published in main" in error) == (1, True)


@pytest.mark.parametrize(
    ("symbol", "cell"),
    [
        ('=HYPERLINK("http://x")', '\'=HYPERLINK("http://x")'),
        ("=A1", "'=A1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+A(1)", "'+A(1)"),
        ("@ES", "@ES"),
        ("-12.5", "-12.5"),
        (None, None),
    ],
)
def test_no_symbol_is_computed_by_a_spreadsheet(symbol, cell):
    assert inert(symbol) == cell


TOTAL = {"unknown": 0, "without_spec": 0, "trades": 1}
SHOWN = {
    "channel": "gold", "epoch": "aa", "first": 1, "last": 2, "from": None, "to": None,
    "before": "00", "hash": "11", "open": 0, "complete": True, "months": [], "total": TOTAL,
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "sentence", "said"),
    [
        ({"open": 1}, "1 position is open, and counts in nothing.", True),
        ({"open": 2}, "2 positions are open, and count in nothing.", True),
        ({"complete": False, "first": 7}, "Entries before 7 are kept no longer", True),
        ({}, "are kept no longer", False),
        ({"total": {**TOTAL, "unknown": 3}}, "Trades of which a price is not known: 3.", True),
        ({}, "a price is not known", False),
        ({"total": {**TOTAL, "without_spec": 4}}, "what a point is worth: 4. --terminal", True),
        ({}, "--terminal", False),
    ],
)
def test_a_record_says_what_it_lacks_and_nothing_else(changes, sentence, said):
    assert any(sentence in each for each in _text({**SHOWN, **changes})) is said
