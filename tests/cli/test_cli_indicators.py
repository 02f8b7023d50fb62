"""`mtnet indicators` with a port of sessions in memory."""

import json

import pytest
from fakes.daemon import FakeDaemon

from mtnet.testing import connect

RSI = ("RSI14", "EURUSD", "H1")
TAIL = ("indicators", "tail", "--seconds", "5")
NINE = 1_796_029_200_000


@pytest.fixture
def daemon(command_line, clock):
    return serve(command_line, clock, "indicators.enabled=true")


def serve(command_line, clock, *sets):
    daemon = FakeDaemon(command_line.folder, clock, "access.trust_loopback=true", *sets)
    command_line.server = daemon.factory("signals")
    return daemon


def gives(daemon, *frames):
    terminal = connect(daemon.factory("signals"), daemon.clock)
    terminal.send(b"<<HELLO|v=2>>")
    return lambda: terminal.send(b"".join(frames))


def calc(bar, values, more=b""):
    head = b"<<CALC|name=RSI14|symbol=EURUSD|period=H1"
    return head + b"|bar=%d|values=%b%b>>" % (bar, values, more)


def test_the_last_values_are_printed_and_then_each(command_line, daemon):
    gives(daemon, *(calc(NINE + hour * 3_600_000, b"5%d," % hour) for hour in range(12)))()
    later = gives(daemon, calc(NINE + 12 * 3_600_000, b"1.50,2", b"|open=1"))
    shown = command_line(*TAIL, *RSI, "--bars", "2", at=[(1, later)])
    assert (shown.status, shown.error) == (0, "")
    assert shown.out.splitlines() == [
        "2026-11-30 19:00:00 510 -",
        "2026-11-30 20:00:00 511 -",
        "2026-11-30 21:00:00 1.50 2 (open)",
    ]


def test_programs_get_json(command_line, daemon):
    gives(daemon, calc(NINE, b"55.30,", b"|open=1"))()
    shown = command_line(*TAIL, *RSI, "--json")
    assert json.loads(shown.out) == {"bar": NINE, "values": ["55.30", None], "open": True}


def test_values_are_exported_as_csv_and_as_lines_of_json(command_line, daemon, tmp_path):
    gives(daemon, calc(NINE, b"55.30"), calc(NINE + 3_600_000, b"1,2", b"|open=1"))()
    file = tmp_path / "rsi.csv"
    assert command_line("indicators", "export", *RSI, "-o", str(file)) == (0, "", "")
    assert file.read_text() == (
        "bar,time,open,buffer0,buffer1\n"
        f"{NINE},2026-11-30 09:00:00,0,55.30\n"
        f"{NINE + 3_600_000},2026-11-30 10:00:00,1,1,2\n"
    )
    shown = command_line("indicators", "export", *RSI, "--format", "jsonl", "--bars", "1")
    assert shown.out == f'{{"bar":{NINE + 3_600_000},"values":["1","2"],"open":true}}\n'


def test_without_values_the_export_says_so(command_line, daemon):
    refused = command_line("indicators", "export", *RSI)
    assert refused.status == 1
    assert "There are no values of RSI14 of EURUSD H1" in refused.error


@pytest.mark.parametrize("command", [TAIL, ("indicators", "export")])
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(command_line, daemon, command):
    refused = command_line(*command, "a b", "EURUSD", "H1")
    assert refused.status == 1
    assert "In INDICATOR name is 1 to 64 of" in refused.error


@pytest.mark.parametrize("command", [TAIL, ("indicators", "export")])
def test_where_indicators_are_off_both_say_so(command_line, clock, command):
    serve(command_line, clock)
    refused = command_line(*command, *RSI)
    assert (refused.status, refused.out) == (1, "")
    assert "The server offers this login no indicators (denied)." in refused.error


def test_the_owner_lists_the_series(command_line, daemon):
    command_line.attach(daemon.env.components.commands())
    empty = command_line.on_folder("indicators", "list").out
    assert empty == "There are no values of indicators.\n"
    gives(daemon, calc(NINE, b"1"), calc(NINE + 3_600_000, b"1"))()
    shown = command_line.on_folder("indicators", "list").out.splitlines()[1]
    assert shown.startswith("RSI14  EURUSD  H1      2     2026-11-30 09:00:00  2026-11-30 10:00:00")
    (row,) = json.loads(command_line.on_folder("indicators", "list", "--json").out)
    assert (row["bars"], row["oldest"], row["newest"]) == (2, NINE, NINE + 3_600_000)


def test_a_file_that_cannot_be_written_is_named_with_the_reason(command_line, daemon, tmp_path):
    gives(daemon, calc(NINE, b"55.30,"))()
    target = tmp_path / "missing" / "rsi.csv"
    refused = command_line("indicators", "export", *RSI, "-o", target)
    assert (refused.status, refused.out) == (1, "")
    assert refused.error == f"mtnet: {target} cannot be written: No such file or directory.\n"
