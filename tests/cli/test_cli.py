"""The command line: what it says, and with which exit status it ends."""

import json
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
from mtnet.cli import local, remote, templates
from mtnet.cli.main import main, parser
from mtnet.cli.output import show, table
from mtnet.cli.run import RunOptions
from mtnet.cli.status import describe

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
    assert parse(["signals", "follow"]).server == "tcp:127.0.0.1:8081"
    assert parse(["templates", "list"]).server == "tcp:127.0.0.1:8080"


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
    assert complained.startswith("mtnet: 127.0.0.1:8080 is no endpoint")
    assert "tcp:127.0.0.1:8081" in complained


def test_status_of_no_daemon_is_one_sentence(capsys, tmp_path):
    said, status = sentence(capsys, "status", "--data", tmp_path)
    assert status == 1
    assert said.startswith(f"mtnet: No daemon answers on {tmp_path / 'control'}")


def test_status_finds_the_data_folder_in_the_configuration(capsys, tmp_path):
    file = tmp_path / "mtnet.toml"
    file.write_text(f'data = "{tmp_path}/there"\n')
    assert f"{tmp_path}/there/control" in sentence(capsys, "status", "--config", file)[0]


def test_status_names_a_configuration_that_cannot_be_read(capsys, tmp_path):
    said, status = sentence(capsys, "status", "--config", tmp_path / "nosuch.toml")
    assert status == 1
    assert "nosuch.toml cannot be read" in said


# status


def ask_stub(monkeypatch, answer):
    monkeypatch.setattr(local, "ask", lambda path, command: {**answer, "asked": command})


def test_status_prints_the_answer_as_it_is_where_json_is_asked_for(monkeypatch, capsys, tmp_path):
    ask_stub(monkeypatch, {"pid": 7, "new": [1]})
    main(["status", "--json", "--data", str(tmp_path)])
    assert json.loads(capsys.readouterr().out) == {"pid": 7, "new": [1], "asked": "status"}


def test_status_tells_people_the_whole_answer(monkeypatch, capsys, tmp_path):
    ask_stub(monkeypatch, {"version": "0.1.0", "healthy": True, "trouble": []})
    main(["status", "--data", str(tmp_path)])
    assert capsys.readouterr().out == "mtnet 0.1.0, healthy\nasked: status\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_status_that_is_not_healthy_is_exit_3(monkeypatch, capsys, tmp_path, options):
    ask_stub(monkeypatch, {"healthy": False, "trouble": ["signals: The disk is full."]})
    with pytest.raises(SystemExit) as ended:
        main(["status", *options, "--data", str(tmp_path)])
    assert ended.value.code == 3
    first = capsys.readouterr().out.splitlines()[0]
    if not options:
        assert first == "mtnet, NOT HEALTHY: signals: The disk is full."


def test_a_status_is_told_line_by_line():
    answer = {
        "version": "0.1.0",
        "pid": 42,
        "since": SINCE,
        "healthy": True,
        "services": [
            {"service": "signals", "address": "127.0.0.1:8081"},
            {"service": "web", "address": "[::1]:8083", "rights": ["fetch", "read"]},
        ],
        "signals": {"followers": 2, "channels": {"main": {"publisher": None}}},
    }
    assert list(describe(answer, SINCE / 1000 + 90_061)) == [
        "mtnet 0.1.0, process 42, up 1 d 1 h, healthy",
        "services:",
        "  SERVICE  ADDRESS         RIGHTS",
        "  signals  127.0.0.1:8081",
        "  web      [::1]:8083      fetch, read",
        "signals:",
        "  followers: 2",
        "  channels:",
        "    main:",
        "      publisher: -",
    ]


@pytest.mark.parametrize(
    ("seconds", "told"), [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7_325, "2 h 2 min")]
)
def test_the_age_of_a_daemon_is_told_in_its_two_largest_units(seconds, told):
    assert list(describe({"since": SINCE}, SINCE / 1000 + seconds)) == [f"mtnet, up {told}"]


def test_an_empty_status_is_told_all_the_same():
    assert list(describe({}, 0)) == ["mtnet"]


@pytest.mark.parametrize(
    ("value", "told"), [(True, "yes"), (False, "no"), (None, "-"), ([], "-"), (0, "0"), (1, "1")]
)
def test_values_are_shown_as_people_write_them(value, told):
    assert show(value) == told


def test_a_table_is_as_wide_as_its_widest_cells():
    assert list(table([{"a": "long one", "b": 1}])) == ["A         B", "long one  1"]


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


def test_a_signal_that_is_refused_is_told_in_the_words_of_the_server(listener):
    process = mtnet("signals", "publish", "GBPUSD", "1", "--server", endpoint(listener))
    with listener.accept()[0] as connection:
        heard(connection, b"HELLO")
        connection.sendall(WELCOME)
        asked = heard(connection, b"PUBLISH")
        told = b"<<ERROR|code=field|text=1 lots are too many|id=%b>>\r\n" % asked[b"id"]
        connection.sendall(told)
        said, complained = process.communicate(timeout=20)
    assert (process.returncode, said) == (1, "")
    assert complained == "mtnet: 1 lots are too many (field).\n"


def test_follow_prints_each_position_at_once_and_ctrl_c_ends_it_quietly(listener):
    process = mtnet("signals", "follow", "--server", endpoint(listener))
    with listener.accept()[0] as connection:
        connection.sendall(STATE)
        assert process.stdout.readline() == "GBPUSD 0.25\n"
        connection.sendall(CLOSE)
        assert process.stdout.readline() == "GBPUSD 0.00\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 130


def test_follow_prints_objects_where_json_is_asked_for_and_ends_in_time(listener):
    process = mtnet("signals", "follow", "--json", "--seconds", "2", "--server", endpoint(listener))
    with listener.accept()[0] as connection:
        connection.sendall(STATE)
        said, complained = process.communicate(timeout=20)
    assert json.loads(said) == {
        "symbol": "GBPUSD",
        "volume": "0.25",
        "time": 1700000000000,
        "channel": "main",
        "seq": 7,
    }
    assert (process.returncode, complained) == (0, "")


def test_follow_shows_what_a_classic_client_is_told(listener):
    process = mtnet("signals", "follow", "--published", "--server", endpoint(listener))
    with listener.accept()[0] as connection:
        connection.sendall(b"<<GBPUSD|0.25>>\r\n")
        assert process.stdout.readline() == "GBPUSD 0.25\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == ("", "")


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


def test_follow_says_when_the_connection_is_lost_and_when_it_is_back(listener):
    process = mtnet("signals", "follow", "--server", endpoint(listener))
    with listener.accept()[0] as connection:
        connection.sendall(STATE)
        assert process.stdout.readline() == "GBPUSD 0.25\n"
    assert "connection is lost" in process.stderr.readline()
    with listener.accept()[0] as connection:
        connection.sendall(STATE)
        assert "connection is back" in process.stderr.readline()
        assert process.stdout.readline() == "GBPUSD 0.25\n"
        connection.sendall(CLOSE)
        assert process.stdout.readline() == "GBPUSD 0.00\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


@pytest.mark.parametrize("options", [[], ["--published"], ["--seconds", "60"]])
def test_follow_ends_when_its_server_never_answers_as_it_should(listener, options):
    process = mtnet("signals", "follow", *options, "--server", endpoint(listener))
    listener.accept()[0].close()
    said, complained = process.communicate(timeout=20)
    assert (process.returncode, said) == (1, "")
    port = listener.getsockname()[1]
    assert complained.startswith(f"mtnet: tcp:127.0.0.1:{port} never answered as it should (")
    assert complained.endswith(f"If that port speaks TLS, it is secure:127.0.0.1:{port}.\n")


def test_follow_ends_in_time_when_its_server_says_nothing(listener):
    said = outcome("signals", "follow", "--seconds", "0.5", "--server", endpoint(listener))
    assert said[0] == 1
    assert "nothing within 0.5 s" in said[2]


def test_a_signal_is_not_said_to_be_on_its_way_when_nobody_heard_it(listener):
    process = mtnet("signals", "publish", "GBPUSD", "1", "--server", endpoint(listener))
    listener.accept()[0].close()
    complained = process.communicate(timeout=20)[1]
    assert process.returncode == 1
    assert complained.endswith("Nothing was published.\n")


@pytest.mark.parametrize(("options", "take"), [([], b"0"), (["--take"], b"1")])
def test_publish_takes_a_channel_over_only_when_a_person_says_so(listener, options, take):
    process = mtnet("signals", "publish", "A", "1", *options, "--server", endpoint(listener))
    with listener.accept()[0] as connection:
        heard(connection, b"HELLO")
        connection.sendall(WELCOME)
        asked = heard(connection, b"PUBLISH")
        assert asked[b"take"] == take
        connection.sendall(
            b"<<ERROR|code=field|text=3 lots are too many|id=%b|closed=1>>\r\n" % asked[b"id"]
        )
        complained = process.communicate(timeout=20)[1]
    assert complained == (
        "mtnet: 3 lots are too many (field). What stood there before is closed, and nothing is "
        "opened.\n"
    )


def test_follow_shows_people_what_is_no_position(listener):
    process = mtnet("signals", "follow", "--server", endpoint(listener))
    with listener.accept()[0] as connection:
        connection.sendall(STATE + b"<<PAUSED|channel=main|mode=frozen>>")
        connection.sendall(b"<<FLATTENED|channel=main>><<RESUMED|channel=main>>")
        connection.sendall(b"<<NOTICE|text=Closed at 21:00.>><<WEATHER|sky=blue>>")
        told = [process.stderr.readline() for _ in range(4)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert told == [
        "mtnet: main is frozen: it takes nothing, not even a closing.\n",
        "mtnet: The server has closed every position of main.\n",
        "mtnet: main takes everything again.\n",
        "mtnet: Closed at 21:00.\n",
    ]


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


def test_get_writes_a_file_and_says_so(listener, tmp_path):
    file = tmp_path / "GBPUSD_H1.tpl"
    process = mtnet(
        *("templates", "get", "GBPUSD", "H1", "--json", "-o", file, "--server", endpoint(listener))
    )
    serve(listener, b"HTTP/1.1 200 OK", b"<chart>")
    assert json.loads(process.communicate(timeout=20)[0]) == {"file": str(file), "size": 7}
    assert file.read_bytes() == b"<chart>"


def test_put_takes_symbol_and_period_from_the_name_of_the_file(listener, tmp_path):
    file = tmp_path / "EUR_USD_M15.tpl"
    file.write_bytes(b"<chart>")
    process = mtnet("templates", "put", file, "--server", endpoint(listener))
    stored = b'{"symbol":"EUR_USD","period":"M15","platform":"mt4","version":3}'
    request = serve(listener, b"HTTP/1.1 201 Created", stored)
    assert request.startswith(b"PUT /templates/EUR_USD/M15 HTTP/1.1\r\n")
    assert process.communicate(timeout=20) == ("Stored: EUR_USD M15 mt4, version 3\n", "")


def test_put_of_a_file_that_says_nothing_of_itself_asks_for_symbol_and_period(nobody, tmp_path):
    file = tmp_path / "plain.tpl"
    file.write_bytes(b"<chart>\n</chart>\n")
    status, _, complained = outcome("templates", "put", str(file), "--server", nobody)
    assert (status, len(complained.splitlines())) == (1, 1)
    assert f"Or name SYMBOL and PERIOD behind {file}." in complained


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["put", "plain.tpl", "EURUSD"], "PERIOD is missing behind EURUSD"),
        (["put", "nosuch_H1.tpl"], "nosuch_H1.tpl cannot be read: No such file"),
        (["get", "EURUSD", "H1", "--json"], "name one with -o FILE"),
    ],
)
def test_what_can_be_known_without_a_server_is_told_without_one(nobody, arguments, told):
    status, _, complained = outcome("templates", *arguments, "--server", nobody)
    assert status == 1
    assert told in complained
    assert len(complained.splitlines()) == 1


def test_list_shows_a_table_of_what_is_stored(listener):
    process = mtnet("templates", "list", "--server", endpoint(listener))
    row = b'[{"symbol":"GBPUSD","period":"H1","version":2,"size":7,"sha256":"ab","new":1}]'
    serve(listener, b"HTTP/1.1 200 OK", row)
    said, _ = process.communicate(timeout=20)
    assert [line.split() for line in said.splitlines()] == [
        [column.upper() for column in templates.SHOWN],
        ["GBPUSD", "H1", "2", "7"],
    ]


def test_an_empty_list_is_told_in_words(listener):
    process = mtnet("templates", "list", "--server", endpoint(listener))
    serve(listener, b"HTTP/1.1 200 OK", b"[]")
    assert process.communicate(timeout=20) == ("No template is stored.\n", "")


def test_output_that_cannot_be_written_is_told_in_one_sentence(listener):
    with open("/dev/full", "w") as full:
        process = mtnet("templates", "list", "--server", endpoint(listener), stdout=full)
        serve(listener, b"HTTP/1.1 200 OK", b"[]")
        assert process.communicate(timeout=20)[1] == "mtnet: [Errno 28] No space left on device.\n"
    assert process.returncode == 1


def test_a_clock_that_is_set_holds_back_no_timer(monkeypatch):
    clock, told = Clock(), []
    clock.addSystemEventTrigger = lambda *trigger: None
    monkeypatch.setattr(remote, "react", lambda main: main(clock))
    monkeypatch.setattr(remote, "log_warnings", lambda: None)

    async def work(server, reactor, arguments):
        told.append(reactor.seconds)

    arguments = parser().parse_args(["signals", "follow"])
    directlyProvides(clock, IReactorTime, IReactorCore)
    remote.run_in_reactor(work, arguments)
    assert told == [time.monotonic]
