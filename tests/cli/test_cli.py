"""The command line: what it says, and with which exit status it ends."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from twisted.application.service import IServiceMaker
from twisted.internet.interfaces import IReactorCore, IReactorTime
from twisted.internet.task import Clock
from zope.interface import directlyProvides

from mtnet import __version__
from mtnet.cli import reactor as in_reactor
from mtnet.cli import templates
from mtnet.cli.main import main, parser
from mtnet.cli.run import RunOptions

SINCE = 1_700_000_000_000


def mtnet(*arguments, stdin=subprocess.DEVNULL, **options):
    """Start the program; nothing of the tests' own environment configures it."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MTNET_")}
    command = [sys.executable, "-m", "mtnet", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, stdin=stdin, text=True, env=environ, **pipes)


def outcome(*arguments, **options):
    """Run the program; return its exit status, stdout and stderr."""
    process = mtnet(*arguments, **options)
    said, complained = process.communicate(timeout=30)
    return process.returncode, said, complained


def sentence(capsys, *arguments):
    """Run `main` in this process, where it must fail; return its sentence and status."""
    with pytest.raises(SystemExit) as ended:
        main([*map(str, arguments)])
    if isinstance(ended.value.code, str):
        return ended.value.code, 1
    return capsys.readouterr().err.strip(), ended.value.code


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


def endpoint(listener):
    return f"tcp:127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def nobody():
    """An endpoint where nothing listens: the port is bound, so nothing else gets it."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield endpoint(bound)


# The parser


@pytest.mark.parametrize("volume", ["-0.25", "-1", "0.25", "0"])
def test_a_volume_may_be_negative(volume):
    parsed = parser().parse_args(["signals", "publish", "GBPUSD", volume, "--json"])
    assert (parsed.symbol, parsed.volume, parsed.json) == ("GBPUSD", volume, True)


def test_each_service_is_asked_where_the_daemon_hosts_it_by_default():
    parse = parser().parse_args
    assert parse(["signals", "follow"]).default_server == "tcp:127.0.0.1:8081"
    assert parse(["templates", "list"]).default_server == "tcp:127.0.0.1:8080"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["signals"],
        ["signals", "publish", "GBPUSD"],
        ["signals", "follow", "--seconds", "nan"],
        ["signals", "follow", "--seconds", "-1"],
        ["templates", "get", "GBPUSD", "H1", "--platform", "mt6"],
    ],
)
def test_a_wrong_command_line_is_told_in_one_line_with_where_help_is(capsys, arguments):
    said, status = sentence(capsys, *arguments)
    assert status == 2
    assert said.startswith("mtnet: ")
    assert "--help`" in said
    assert "\n" not in said


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["status"],
        ["signals", "publish"],
        ["signals", "follow"],
        ["templates", "list"],
        ["templates", "get"],
        ["templates", "put"],
    ],
)
def test_help_ends_with_an_example_that_the_parser_takes(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    example = capsys.readouterr().out.split("Example: mtnet ")[1].split()
    assert example[: len(command)] == command
    if command:
        parser().parse_args(example)


# run and check


def test_run_hands_its_options_to_mtnet_without_looking_for_a_plugin():
    options = RunOptions()
    options.parseOptions(["--nodaemon", "run", "--listen", "signals=off", "--set", "a.b=c"])
    assert options.subOptions["listen"] == ["signals=off"]
    assert options.subOptions["set"] == ["a.b=c"]
    maker = options.loadedPlugins[options.subCommand]
    assert IServiceMaker.providedBy(maker)
    assert maker.tapname == "mtnet"


def test_run_shows_its_usage_with_an_example():
    status, said, _ = outcome("run", "--help")
    assert status == 0
    assert said.startswith("Usage: mtnet run [options]")
    assert "Example: " in said


@pytest.mark.parametrize("command", ["run", "check"])
def test_run_and_check_refuse_a_wrong_option_in_one_sentence(command):
    status, _, complained = outcome(command, "--nonsense")
    assert status == 1
    assert complained.startswith("mtnet: option --nonsense")
    assert len(complained.splitlines()) == 1


def test_check_starts_nothing(tmp_path):
    status, said, complained = outcome("check", "--data", tmp_path / "data")
    assert (status, complained) == (0, "")
    assert str(tmp_path / "data") in said
    assert not (tmp_path / "data").exists()


def test_version_is_the_version_of_the_package():
    assert outcome("--version") == (0, f"mtnet {__version__}\n", "")


# What fails is one sentence and a status


@pytest.mark.parametrize(
    "command",
    [
        ["signals", "publish", "GBPUSD", "-0.25"],
        ["signals", "follow"],
        ["templates", "list"],
        ["templates", "get", "GBPUSD", "H1"],
        ["templates", "put", __file__, "GBPUSD", "H1"],
    ],
)
def test_a_server_that_is_not_there_is_named_in_one_sentence(nobody, command):
    status, said, complained = outcome(*command, "--server", nobody)
    assert status == 1
    assert said == ""
    assert complained == f"mtnet: No connection to {nobody}: Connection refused.\n"


def test_a_server_that_is_no_endpoint_is_told_with_an_example():
    status, _, complained = outcome("templates", "list", "--server", "127.0.0.1:8080")
    assert status == 1
    assert complained.startswith("mtnet: Invalid endpoint '127.0.0.1:8080'")
    assert "tcp:127.0.0.1:8081" in complained


def test_an_endpoint_that_is_not_whole_is_told_without_words_of_python():
    _, _, complained = outcome("templates", "list", "--server", "tcp:127.0.0.1")
    assert complained == (
        "mtnet: Invalid endpoint 'tcp:127.0.0.1': expected one such as tcp:127.0.0.1:8081, "
        "secure:fx.example:8081 or wss://fx.example.\n"
    )


# signals


WELCOME = b"<<WELCOME|v=2|epoch=00000000000000aa|heartbeat=5|time=1>>\r\n"
SNAPSHOT = b"<<SNAPSHOT|channel=main|epoch=00000000000000aa|seq=%d|count=%d>>\r\n"
POSITION = b"<<POSITION|channel=main|seq=7|symbol=GBPUSD|volume=0.25|time=1700000000000>>\r\n"
SYNCED = b"<<SYNCED|channel=main|epoch=00000000000000aa|seq=%d>>\r\n"
CLOSE = b"<<SIGNAL|channel=main|seq=8|symbol=GBPUSD|volume=0|time=1700000000001>>\r\n"
STATE = WELCOME + SNAPSHOT % (7, 1) + POSITION + SYNCED % 7


def heard(connection, verb):
    """Read frames up to the one that begins so, and return its fields."""
    said = b""
    while True:
        said += connection.recv(4096)
        for frame in said.split(b"<<"):
            if frame.startswith(verb) and b">>" in frame:
                pairs = frame.split(b">>")[0].split(b"|")[1:]
                return dict(pair.split(b"=", 1) for pair in pairs)


def test_a_signal_is_confirmed_once_the_server_has_stored_it(listener):
    process = mtnet("signals", "publish", "GBPUSD", "-0.25", "--server", endpoint(listener))
    with listener.accept()[0] as connection:
        heard(connection, b"HELLO")
        connection.sendall(WELCOME)
        asked = heard(connection, b"PUBLISH")
        assert (asked[b"symbol"], asked[b"volume"]) == (b"GBPUSD", b"-0.25")
        assert process.poll() is None, "it waits for the server"
        connection.sendall(b"<<STORED|id=%b|seq=8>>\r\n" % asked[b"id"])
        assert process.communicate(timeout=20) == ("Stored: GBPUSD -0.25\n", "")
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_follow_prints_each_position_at_once_and_ctrl_c_ends_it_quietly(listener, number):
    process = mtnet("signals", "follow", "--server", endpoint(listener))
    with listener.accept()[0] as connection:
        connection.sendall(STATE)
        assert process.stdout.readline() == "GBPUSD 0.25\n"
        connection.sendall(CLOSE)
        assert process.stdout.readline() == "GBPUSD 0.00\n"
        process.send_signal(number)
        assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 130


def test_follow_ends_quietly_when_nobody_reads_it_any_more(listener):
    process = mtnet("signals", "follow", "--server", endpoint(listener))
    with listener.accept()[0] as connection:
        connection.sendall(STATE)
        process.stdout.readline()
        process.stdout.close()
        connection.sendall(CLOSE)
        assert process.wait(20) == 0
    assert process.stderr.read() == ""
    process.stderr.close()


# templates


def serve(listener, head, body=b""):
    """Answer one request; return it."""
    with listener.accept()[0] as connection:
        request = connection.recv(65_536)
        connection.sendall(head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    return request


def test_get_writes_the_bytes_to_standard_output(listener, tmp_path):
    with open(tmp_path / "out", "wb") as out:
        process = mtnet(
            "templates", "get", "GBPUSD", "H1", "--server", endpoint(listener), stdout=out
        )
        serve(listener, b"HTTP/1.1 200 OK", b"\xff\xfe<\0\n\0")
        assert process.communicate(timeout=20)[1] == ""
    assert (tmp_path / "out").read_bytes() == b"\xff\xfe<\0\n\0"


def test_list_shows_a_table_of_what_is_stored(listener):
    process = mtnet("templates", "list", "--server", endpoint(listener))
    row = b'[{"symbol":"GBPUSD","period":"H1","version":2,"size":7,"sha256":"ab","new":1}]'
    serve(listener, b"HTTP/1.1 200 OK", row)
    said, _ = process.communicate(timeout=20)
    assert [line.split() for line in said.splitlines()] == [
        [column.upper() for column in templates.SHOWN],
        ["GBPUSD", "H1", "2", "7"],
    ]


def test_output_that_cannot_be_written_is_told_in_one_sentence(listener):
    with open("/dev/full", "w") as full:
        process = mtnet("templates", "list", "--server", endpoint(listener), stdout=full)
        serve(listener, b"HTTP/1.1 200 OK", b"[]")
        assert process.communicate(timeout=20)[1] == "mtnet: [Errno 28] No space left on device.\n"
    assert process.returncode == 1


def test_a_clock_that_is_set_holds_back_no_timer(monkeypatch):
    clock, got = Clock(), []
    clock.addSystemEventTrigger = lambda *trigger: None
    monkeypatch.setattr(in_reactor, "react", lambda main: main(clock))
    monkeypatch.setattr(in_reactor, "log_warnings", lambda: None)

    async def work(server, reactor):
        got.append(reactor.seconds)

    arguments = parser().parse_args(["signals", "follow", "--server", "tcp:127.0.0.1:1"])
    directlyProvides(clock, IReactorTime, IReactorCore)
    in_reactor.run(work, arguments)
    assert got == [time.monotonic]
