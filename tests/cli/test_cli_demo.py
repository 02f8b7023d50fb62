"""`mtnet demo`: its options, and what it refuses before anything starts."""

import pytest

from mtnet.cli.demo import show as module
from mtnet.cli.main import parser
from mtnet.demo import market

EXPORT = (
    "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n"
    "2019.02.04\t00:00:00.500\t1.1\t1.2\t\t\t6\r\n"
)


def parse(*words):
    return parser("demo").parse_args(["demo", *words])


def test_without_options_it_takes_twenty_seconds_at_the_speed_of_one():
    found = parse()
    assert (found.seconds, found.speed, found.ticks, found.data) == (20.0, 1.0, None, None)


@pytest.mark.parametrize("speed", ["0", "-1", "1001", "nan", "inf"])
def test_a_speed_outside_its_range_is_refused_with_the_range(command_line, speed):
    status, _, error = command_line("demo", "--speed", speed)
    assert status == 2
    assert "expected more than 0 and at most 1000" in error


def test_a_made_up_market_has_the_symbols_of_its_instruments():
    quotes, symbols, _ = module._market(None, 1.0)
    assert symbols == [each.symbol for each in market.INSTRUMENTS]
    assert next(quotes).symbol.decode() in symbols


def test_a_file_has_the_symbol_of_its_name_and_loses_no_tick(tmp_path):
    file = tmp_path / "EURUSD_2019.tsv"
    file.write_text(EXPORT, newline="")
    quotes, symbols, _ = module._market(file, 1.0)
    assert symbols == ["EURUSD"]
    assert [quote.rest for quote in quotes] == [b"1.1 1.2 - - 1549238400500 6"]


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("EURUSD.tsv", EXPORT.splitlines()[0] + "\r\n", "contains no ticks"),
        ("EURUSD.tsv", "hello\n", "is not an export of ticks"),
        ("_2019.tsv", EXPORT, "does not begin with a symbol"),
    ],
)
def test_a_file_without_ticks_is_refused_before_a_daemon_starts(
    command_line, tmp_path, name, content, text
):
    file = tmp_path / name
    file.write_text(content, newline="")
    status, out, error = command_line("demo", "--ticks", file)
    assert (status, out) == (1, "")
    assert error.startswith("mtnet: ")
    assert text in error


def test_a_missing_file_is_named(command_line, tmp_path):
    status, _, error = command_line("demo", "--ticks", tmp_path / "EURUSD.tsv")
    assert status == 1
    assert "EURUSD.tsv" in error
