"""`mtnet ticks`: what it says, and with which exit status it ends."""

import csv
import gzip
import io
import json
import signal
import socket
import sqlite3
from contextlib import closing

import pytest
from test_cli import endpoint, mtnet, outcome, sentence

from mtnet.cli.main import main, parser
from mtnet.interfaces import ITicks
from mtnet.services.ticks.model import Batch
from mtnet.services.ticks.storage.hot import HotStore
from mtnet.testing import EPOCH

NOON = 1_549_281_600_000
HEADER = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n"
ROWS = [f"2019.02.04\t12:00:0{at}.000\t1.1454{at}\t1.1456{at}\t\t\t6\r\n" for at in range(4)]
RECEIVED = "2023-11-14 22:13:20.000"


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


@pytest.fixture
def env(env_with):
    """A running daemon: EURUSD with times of its own, UK 100 without."""
    env = env_with()
    desk = env.find(ITicks).source("desk-1")
    records = [
        (b"EURUSD", f"1.1454{at} 1.1456{at} - - {NOON + at * 1_000} 6".encode()) for at in range(4)
    ]
    env.find(ITicks).take(desk, [*reversed(records), (b"UK%20100", b"007500.10")], EPOCH)
    env.find(ITicks).sync()
    return env


@pytest.fixture
def data(env, tmp_path):
    return tmp_path / "data"


@pytest.fixture
def said(capfdbinary, data):
    """Run a command on the data folder; return what it printed."""

    def run(*arguments):
        main(["ticks", *map(str, arguments), "--data", str(data)])
        return capfdbinary.readouterr().out

    return run


# The parser


def test_ticks_are_asked_where_the_daemon_hosts_them_by_default():
    parsed = parser().parse_args(["ticks", "tail"])
    assert (parsed.default_server, parsed.symbols) == ("tcp:127.0.0.1:8082", [])


@pytest.mark.parametrize(
    "arguments",
    [
        ["ticks"],
        ["ticks", "tail", "--seconds", "0"],
        ["ticks", "export"],
        ["ticks", "export", "EURUSD", "--format", "xml"],
        ["ticks", "export", "EURUSD", "--from", "04.02.2019"],
        ["ticks", "export", "EURUSD", "--to", "2019.02.30"],
        ["ticks", "export", "EURUSD", "--to", "2019.02.04 25:00"],
        ["ticks", "import", "EURUSD.csv"],
        ["ticks", "import", "EURUSD.csv", "--symbol", "EURUSD", "--shift-hours", "nan"],
        ["ticks", "import", "EURUSD.csv", "--symbol", "EURUSD", "--shift-hours", "two"],
    ],
)
def test_a_wrong_command_line_is_told_in_one_line_with_where_help_is(capsys, arguments):
    got, status = sentence(capsys, *arguments)
    assert status == 2
    assert got.startswith("mtnet: ")
    assert "--help`" in got
    assert "\n" not in got


@pytest.mark.parametrize("command", ["tail", "export", "import", "symbols", "report"])
def test_help_ends_with_an_example_that_the_parser_takes(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main(["ticks", command, "--help"])
    assert ended.value.code == 0
    example = capsys.readouterr().out.split("Example: mtnet ")[1].split()
    assert example[:2] == ["ticks", command]
    parser().parse_args(example)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2019.02.04", NOON - 43_200_000),
        ("2019-02-04 12:00", NOON),
        ("2019.02.04T12:00:07", NOON + 7_000),
        ("2019-02-04 12:00:07.050", NOON + 7_050),
        (str(NOON), NOON),
    ],
)
def test_a_moment_may_be_written_as_terminals_and_people_do(text, moment):
    assert parser().parse_args(["ticks", "export", "EURUSD", "--from", text]).start == moment


@pytest.mark.parametrize(("hours", "shift"), [("-2", -7_200_000), ("5.5", 19_800_000)])
def test_a_shift_may_be_negative_or_a_part_of_an_hour(hours, shift):
    arguments = ["ticks", "import", "F.csv", "--symbol", "EURUSD", "--shift-hours", hours]
    assert parser().parse_args(arguments).shift == shift


# export


def test_an_export_is_what_metatrader_writes_in_order_of_time(said):
    assert said("export", "EURUSD").decode() == HEADER + "".join(ROWS)


def test_an_export_has_the_times_from_the_first_up_to_the_last(said):
    edges = ("--from", "2019.02.04 12:00:01", "--to", NOON + 3_000)
    assert said("export", "EURUSD", *edges).decode() == HEADER + "".join(ROWS[1:3])


def test_an_export_as_csv_has_every_column(said):
    first, *rows = said("export", "EURUSD", "--format", "csv").decode().split("\r\n")
    assert first == "symbol,bid,ask,last,volume,time,flags,received,source"
    assert rows[0] == f"EURUSD,1.14540,1.14560,,,{NOON},6,{EPOCH},desk-1"
    assert (len(rows), rows[-1]) == (5, "")


def test_an_export_as_json_lines_has_numbers_with_the_digits_that_were_sent(said):
    line = said("export", "EURUSD", "--format", "jsonl").splitlines()[0]
    assert b'"bid":1.14540,' in line
    assert json.loads(line) == {
        **{"symbol": "EURUSD", "bid": 1.1454, "ask": 1.1456, "last": None, "volume": None},
        **{"time": NOON, "flags": 6, "received": EPOCH, "source": "desk-1"},
    }


def test_zeros_that_json_forbids_are_left_out(said):
    (line,) = said("export", "UK 100", "--format", "jsonl").splitlines()
    assert b'"bid":7500.10,' in line
    assert json.loads(line)["symbol"] == "UK%20100"


def test_a_file_is_written_whole_in_place_of_the_older_one(said, tmp_path):
    file = tmp_path / "EURUSD.csv"
    file.write_text("old")
    said("export", "EURUSD", "-o", file)
    assert file.read_bytes().decode() == HEADER + "".join(ROWS)
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["EURUSD.csv"]


def test_a_file_that_cannot_be_written_is_told_in_a_sentence(capsys, data, tmp_path):
    file = tmp_path / "nosuch" / "EURUSD.csv"
    got, status = sentence(capsys, "ticks", "export", "EURUSD", "-o", file, "--data", data)
    assert (got, status) == (f"mtnet: {file} cannot be written: No such file or directory.", 1)


def test_a_file_that_was_there_stays_where_the_export_breaks_off(capsys, env, data, tmp_path):
    env.find(ITicks).take(env.find(ITicks).source("desk-1"), [(b"EURUSD", b"1.1")], EPOCH)
    env.find(ITicks).sync()
    store = HotStore(data / "ticks.sqlite")
    store.prepare()
    store.merge()
    store.close()
    with closing(sqlite3.connect(data / "ticks.sqlite")) as connection:
        connection.execute("UPDATE small_block SET data = x'00'")
        connection.commit()
    file = tmp_path / "EURUSD.csv"
    file.write_text("old")
    got, status = sentence(capsys, "ticks", "export", "EURUSD", "-o", file, "--data", data)
    assert status == 1
    assert "is damaged" in got
    assert file.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["EURUSD.csv"]


@pytest.mark.parametrize("text", ["20190204", "-5", "2019.02.04 12", "0000.01.01", ""])
def test_a_moment_that_is_none_is_told_with_one_that_is(capsys, data, text):
    got, status = sentence(capsys, "ticks", "export", "EURUSD", f"--from={text}", "--data", data)
    assert status == 2
    assert "expected one such as 2019.02.04" in got


@pytest.mark.parametrize("hours", ["inf", "1e9", "-9000", "nan", "two", "5,5"])
def test_a_shift_that_is_no_number_within_a_year_is_refused(capsys, hours):
    arguments = ["ticks", "import", "F.csv", "--symbol", "EURUSD", f"--shift-hours={hours}"]
    got, status = sentence(capsys, *arguments)
    assert status == 2
    assert f"invalid number of hours {hours}, expected at most a year" in got


@pytest.mark.parametrize(
    ("symbol", "near"), [("EURUSDm", "EURUSD"), ("DE40.cash", "mtnet ticks symbols")]
)
def test_a_symbol_that_is_not_there_is_told_with_what_is_like_it(capsys, data, symbol, near):
    got, status = sentence(capsys, "ticks", "export", symbol, "--data", data)
    assert status == 1
    assert f"no ticks of {symbol}" in got
    assert near in got


@pytest.mark.parametrize("command", [["export", "EURUSD"], ["symbols"], ["report"]])
def test_a_folder_without_ticks_is_told_in_a_sentence_and_left_as_it_is(capsys, tmp_path, command):
    got, status = sentence(capsys, "ticks", *command, "--data", tmp_path)
    assert status == 1
    assert f"no ticks in {tmp_path}" in got
    assert not list(tmp_path.iterdir())


def test_the_data_folder_is_found_in_the_configuration(capsys, tmp_path):
    file = tmp_path / "mtnet.toml"
    file.write_text(f'data = "{tmp_path}/there"\n')
    assert f"{tmp_path}/there" in sentence(capsys, "ticks", "symbols", "--config", file)[0]


def test_an_export_that_nobody_reads_to_its_end_ends_quietly(data):
    process = mtnet("ticks", "export", "EURUSD", "--data", data)
    process.stdout.close()
    assert process.wait(20) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


# import


def test_the_real_file_is_imported_and_exported_byte_for_byte(real_data, tmp_path):
    file, out = real_data / "EURUSD-2019-02-04.ticks.csv.gz", tmp_path / "out.csv"
    folder = ("--data", tmp_path / "data")
    for got in (
        "136741 ticks, 136741 new, 0 there already.",
        "136741 ticks, 0 new, 136741 there already.",
    ):
        done = outcome("ticks", "import", file, "--symbol", "EURUSD", *folder)
        assert done == (0, f"{got}\n", "")
    assert outcome("ticks", "export", "EURUSD", "-o", out, *folder)[::2] == (0, "")
    assert out.read_bytes() == gzip.decompress(file.read_bytes())


def test_an_import_beside_a_daemon_stores_what_it_missed(said, env, tmp_path):
    file = tmp_path / "EURUSD.csv"
    file.write_bytes((HEADER + "".join(ROWS[:2]) + ROWS[2].replace("1.1", "1.2")).encode())
    assert said("import", file, "--symbol", "EURUSD") == b"3 ticks, 1 new, 2 there already.\n"
    env.find(ITicks).take(env.find(ITicks).source("desk-1"), [(b"EURUSD", b"1.3")], EPOCH)
    env.find(ITicks).sync()
    assert len(said("export", "EURUSD").splitlines()) == 7


def test_an_import_that_stored_nothing_counts_nothing(tmp_path):
    folder = ("--data", tmp_path / "data")
    words = ("ticks", "import", tmp_path / "none.csv", "--symbol", "EURUSD", *folder)
    status, out, error = outcome(*words)
    assert (status, out) == (1, "")
    assert "none.csv" in error
    assert len(error.splitlines()) == 1


def test_an_import_shifts_its_times_and_spells_its_symbol(said, tmp_path):
    file = tmp_path / "ger.csv"
    file.write_bytes((HEADER + ROWS[0]).encode("utf-16"))
    said("import", file, "--symbol", "GER 40", "--shift-hours", "-2.5")
    row = ROWS[0].replace("12:00", "09:30")
    assert said("export", "GER%2040").decode() == HEADER + row


def test_an_empty_folder_is_made_for_the_user_alone(tmp_path):
    file, folder = tmp_path / "EURUSD.csv", tmp_path / "new" / "data"
    file.write_bytes((HEADER + ROWS[0]).encode())
    main(["ticks", "import", str(file), "--symbol", "EURUSD", "--data", str(folder)])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "ticks.sqlite").exists()


def test_a_quotation_mark_in_a_symbol_is_written_as_csv_has_it(capsys, env_with, tmp_path):
    env = env_with()
    env.find(ITicks).take(env.find(ITicks).source("desk"), [(b'A"B', b"1.1")], EPOCH)
    env.find(ITicks).sync()
    main(["ticks", "export", 'A"B', "--format", "csv", "--data", str(tmp_path / "data")])
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["symbol"] == 'A"B'


def test_a_file_that_goes_back_in_time_is_refused_and_sorted_where_that_is_asked_for(
    capsys, data, tmp_path
):
    file = tmp_path / "EURUSD.csv"
    file.write_bytes((HEADER + "".join(ROWS[::-1])).encode())
    words = ["ticks", "import", file, "--symbol", "NEWUSD", "--data", data]
    refused, status = sentence(capsys, *words)
    assert status == 1
    assert (
        "Line 3 goes back in time, from 2019.02.04 12:00:03.000 to 2019.02.04 12:00:02" in refused
    )
    main([*map(str, words), "--sort"])
    got = capsys.readouterr().out
    assert got == (
        f"{len(ROWS)} ticks, {len(ROWS)} new, 0 there already.\n"
        "Line 3 goes back in time: the ticks were sorted.\n"
    )


@pytest.mark.parametrize(
    ("content", "got"),
    [
        (HEADER + ROWS[0] + "2019.02.04\t12:00:01.000\t1,1\t\t\t\t2\r\n", "Line 3"),
        ("time,bid,ask\r\n", "not an export of ticks"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_sentence(capsys, data, tmp_path, content, got):
    file = tmp_path / "EURUSD.csv"
    file.write_bytes(content.encode())
    complained, status = sentence(
        capsys, "ticks", "import", file, "--symbol", "EURUSD", "--data", data
    )
    assert status == 1
    assert got in complained
    assert "\n" not in complained


# symbols and report


def test_symbols_are_listed_with_their_ticks_and_times(said):
    lines = [line.split() for line in said("symbols").decode().splitlines()]
    assert lines[0][:2] == ["SYMBOL", "TICKS"]
    assert lines[1][:4] == ["EURUSD", "4", "2019-02-04", "12:00:00.000"]
    assert lines[2][:4] == ["UK%20100", "1", *RECEIVED.split()]


def test_symbols_are_printed_as_json_where_it_is_asked_for(said):
    eurusd, _ = json.loads(said("symbols", "--json"))
    expected = {"symbol": "EURUSD", "ticks": 4, "first": NOON, "last": NOON + 3_000}
    assert expected.items() <= eurusd.items()


@pytest.fixture
def gapped(env):
    """The same daemon, whose sender lost two datagrams."""
    desk = env.find(ITicks).source("desk-1")
    for number, when in ((1, EPOCH), (4, EPOCH + 61_500)):
        desk.classify(Batch(number, b"EURUSD 1.1\n").seen(), when)
        env.find(ITicks).take(desk, [(b"EURUSD", b"1.1")], when)
    env.find(ITicks).count_refused(desk, 3, EPOCH + 61_500)
    env.find(ITicks).sync()


def test_a_report_tells_people_who_sent_what_and_what_is_missing(gapped, said):
    got = said("report").decode()
    sources, _, rest = got.partition("\nsymbols:\n")
    symbols, _, gaps = rest.partition("\ngaps:\n")
    head, desk = (line.split() for line in sources.splitlines()[1:])
    counts = dict(zip(head, desk, strict=False))
    assert (counts["SOURCE"], counts["RECEIVED"], counts["STORED"]) == ("desk-1", "10", "7")
    assert (counts["REFUSED"], counts["MISSING"]) == ("3", "2")
    assert "61.500 s" in sources
    assert [line.split()[:3] for line in symbols.splitlines()[1:]] == [
        ["desk-1", "EURUSD", "6"],
        ["desk-1", "UK%20100", "1"],
    ]
    _, gap, total = gaps.splitlines()
    assert gap.split() == ["desk-1", "2023-11-14", "22:14:21.500", "2", "3", "2", "0"]
    assert total.startswith("7 ticks taken and stored, 0 lost")


def test_a_report_is_printed_as_json_where_it_is_asked_for(gapped, said):
    got = json.loads(said("report", "--json"))
    assert got["totals"] == {"stored": 7, "lost": 0, "unstored": 0, "kernel drops": 0}
    assert got["gaps"][0]["found"] == EPOCH + 61_500
    assert got["sources"][0]["silence"] == 61_500


# tail

TICK = b"TICK: EURUSD 1.1 1.2 - - 1549238400994 6 %d" % EPOCH


def hear(connection):
    """Return what a subscriber asked for."""
    return connection.makefile("rb").readline()


def test_a_tail_prints_each_tick_at_once_and_ctrl_c_ends_it_quietly(listener):
    process = mtnet("ticks", "tail", "EURUSD", "UK 100", "--server", endpoint(listener))
    with listener.accept()[0] as connection:
        assert hear(connection) == b"SUBSCRIBE: EURUSD UK%20100\r\n"
        connection.sendall(b"OK: SUBSCRIBED EURUSD UK%20100\r\n" + TICK + b"\r\n")
        first = process.stdout.readline()
        assert first == f"{RECEIVED} EURUSD 1.1 1.2 - - 1549238400994 6\n"
        connection.sendall(TICK + b" ~12\r\n")
        assert process.stdout.readline() == first.replace("\n", " (12 skipped)\n")
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 130


def test_a_tail_ends_quietly_when_nobody_reads_it_any_more(listener):
    process = mtnet("ticks", "tail", "--server", endpoint(listener))
    with listener.accept()[0] as connection:
        connection.sendall(TICK + b"\r\n")
        process.stdout.readline()
        process.stdout.close()
        connection.sendall(TICK + b"\r\n")
        assert process.wait(20) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
