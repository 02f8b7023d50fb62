"""`mtnet ticks send` and `tail` with a tick port in memory."""

import json
import os

import pytest
from fakes.daemon import PASSWORD, FakeDaemon
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol

from mtnet.cli.ticks import send as send_command
from mtnet.cli.ticks.send import Lines
from mtnet.errors import ClientError

TICKS = "EURUSD 1.1 1.2\nGBPUSD 1.3\r\n\nEURUSD 1.15\n"
TAIL = ("ticks", "tail", "--seconds", "10")


@pytest.fixture
def daemon(command_line, clock):
    return serve(command_line, clock, "access.trust_loopback=true")


def serve(command_line, clock, *sets):
    daemon = FakeDaemon(command_line.folder, clock, *sets)
    command_line.server = daemon.factory("ticks")
    return daemon


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "ticks.txt"
    file.write_text(TICKS, newline="")
    return file


class ScriptedServer(Protocol):
    """A server that gives one answer to whatever it hears, or closes without one."""

    def dataReceived(self, data):
        self.transport.write(self.factory.answer)
        if not self.factory.answer:
            self.transport.loseConnection()


def scripted(answer):
    factory = Factory.forProtocol(ScriptedServer)
    factory.noisy, factory.answer = False, answer
    return factory


def send(daemon, *lines):
    terminal = daemon.dial("ticks")
    return lambda: terminal.send(b"".join(line + b"\n" for line in lines))


# send


def test_every_line_of_a_file_is_stored_before_the_command_ends(command_line, daemon, file):
    assert command_line("ticks", "send", file) == (0, "3 ticks stored.\n", "")


def test_programs_get_the_counts(command_line, daemon, file):
    out = command_line("ticks", "send", file, "--json").out
    assert json.loads(out) == {"sent": 3, "stored": 3, "refused": 0}


def test_what_was_sent_is_exported(command_line, daemon, file, clock):
    command_line("ticks", "send", file, "--source", "desk-1")
    clock.advance(5.0)
    rows = command_line.on_folder("ticks", "export", "EURUSD", "--format", "jsonl").out
    found = [json.loads(row) for row in rows.splitlines()]
    assert [(row["bid"], row["source"]) for row in found] == [(1.1, "desk-1"), (1.15, "desk-1")]


def test_a_line_that_is_no_tick_is_named_by_its_number_and_the_others_are_stored(
    command_line, daemon, file
):
    file.write_text("EURUSD 1.1\nnonsense\nEURUSD 1.2\nGBPUSD x\n")
    status, out, error = command_line("ticks", "send", file)
    assert (status, out) == (1, "2 ticks stored.\n")
    first, second, last = error.splitlines()
    assert first.startswith("mtnet: Line 2: ")
    assert second.startswith("mtnet: Line 4: ")
    assert last == "mtnet: 2 lines were not stored."
    file.write_text("EURUSD 1.1\nnonsense\n")
    assert command_line("ticks", "send", file).error.endswith("mtnet: 1 line was not stored.\n")


def test_an_empty_file_stores_nothing(command_line, daemon, file):
    file.write_text("")
    assert command_line("ticks", "send", file) == (0, "0 ticks stored.\n", "")


def test_a_file_that_does_not_exist_is_named(command_line, daemon, tmp_path):
    missing = tmp_path / "missing.txt"
    status, _, error = command_line("ticks", "send", missing)
    assert (status, error) == (1, f"mtnet: {missing} cannot be read: No such file or directory.\n")


@pytest.mark.parametrize("source", ["no source", "a" * 33, ""])
def test_a_source_that_can_be_none_is_refused(command_line, daemon, file, source):
    status, out, error = command_line("ticks", "send", file, "--source", source)
    if source:
        assert (status, out) == (1, "")
        assert error.startswith("mtnet: ")
    else:
        assert status == 0, "an empty name is that of this machine"


def test_a_server_that_refuses_the_connection_is_named(command_line, file):
    command_line.server = ConnectionRefusedError()
    status, _, error = command_line("ticks", "send", file, "--server", "tcp:fx.example:8082")
    assert status == 1
    assert error.startswith("mtnet: No connection to tcp:fx.example:8082: ")


def test_an_account_that_may_not_send_stores_nothing(command_line, clock, monkeypatch, file):
    serve(command_line, clock)
    monkeypatch.setenv("MTNET_PASSWORD", PASSWORD)
    status, out, error = command_line("ticks", "send", file, "--login", "alice")
    assert (status, "3 ticks stored" in out) == (1, False)
    assert PASSWORD not in error


def test_an_account_sends_the_symbols_that_it_may(command_line, clock, monkeypatch, file):
    serve(command_line, clock)
    monkeypatch.setenv("MTNET_PASSWORD", PASSWORD)
    status, out, _ = command_line("ticks", "send", file, "--login", "bob")
    assert (status, out) == (1, "2 ticks stored.\n"), "GBPUSD is not one of EUR*"


# Lines


def refuse_bad(line):
    if line.startswith(b"bad"):
        raise ClientError("This is no tick.")


@pytest.mark.parametrize("size", [1, 3, 1_000])
def test_lines_are_whole_however_they_are_read(size):
    records, text = [], b"A 1\r\nB 2\n\nC 3"
    lines = Lines(records.append)
    for at in range(0, len(text), size):
        lines.feed(text[at : at + size])
    lines.end()
    assert records == [b"A 1", b"B 2", b"C 3"]
    assert lines.bad == 0


def test_lines_that_are_no_ticks_are_counted_and_numbered(capsys):
    lines = Lines(refuse_bad)
    lines.feed(b"A 1\nbad\n\nbad\n")
    lines.end()
    assert lines.bad == 2
    assert capsys.readouterr().err == (
        "mtnet: Line 2: This is no tick.\nmtnet: Line 4: This is no tick.\n"
    )


# A pipe or a terminal


@pytest.mark.parametrize("sent", [TICKS, TICKS[:-1], ""])
def test_ticks_come_from_a_named_pipe(command_line, daemon, tmp_path, sent):
    pipe = tmp_path / "ticks.pipe"
    os.mkfifo(pipe)
    # A pipe has both ends open here before the command opens it, as another program would do later.
    writer = os.open(pipe, os.O_RDWR)
    os.write(writer, sent.encode())
    command_line.waits_for_files = False
    said = command_line("ticks", "send", pipe, at=[(0.0, lambda: os.close(writer))])
    assert (said.status, said.out) == (0, f"{3 if sent else 0} ticks stored.\n")


def test_the_input_is_not_read_on_before_the_server_has_stored_what_it_brought(
    command_line, file, monkeypatch
):
    """The server answers nothing, and the command is interrupted."""
    monkeypatch.setattr(send_command, "MAX_IN_FLIGHT", 2)
    monkeypatch.setattr(send_command, "CHUNK_SIZE", 16)
    command_line.server = scripted(b"OK: PONG\r\n")
    said = command_line("ticks", "send", file, at=[(3.0, command_line.interrupt)])
    heard = command_line.endpoint.connection.said
    assert (said.status, said.out) == (130, "")
    assert heard.count(b"EURUSD 1.1 ") == 1
    assert b"1.15" not in heard


def test_ticks_that_come_while_the_connection_is_lost_are_sent_on_the_next_one(
    command_line, daemon, tmp_path
):
    pipe = tmp_path / "ticks.pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    command_line.waits_for_files = False

    def write():
        os.write(writer, TICKS.encode())
        os.close(writer)

    at = [(1.0, lambda: command_line.endpoint.connection.cut()), (1.5, write)]
    status, out, error = command_line("ticks", "send", pipe, at=at)
    assert (status, out) == (0, "3 ticks stored.\n")
    assert error.splitlines()[-1] == "mtnet: The connection is back."
    assert len(command_line.endpoint.connections) == 2


def test_a_folder_is_no_input(command_line, daemon, tmp_path):
    said = command_line("ticks", "send", tmp_path)
    assert (said.status, said.error) == (1, f"mtnet: {tmp_path} cannot be read: Is a directory.\n")


def test_a_closed_standard_input_is_said(command_line, daemon, monkeypatch):
    monkeypatch.setattr(send_command.sys, "stdin", None)
    with (
        pytest.raises(ClientError, match="Standard input is closed; name a FILE"),
        send_command._opened(None),
    ):
        pass


# tail


def test_a_tail_prints_the_ticks_that_arrive(command_line, daemon):
    at = [(1.0, send(daemon, b"EURUSD 1.1 1.2", b"GBPUSD 1.3"))]
    status, out, error = command_line(*TAIL, at=at)
    assert (status, error) == (0, "")
    first, second = out.splitlines()
    assert first.endswith("EURUSD 1.1 1.2 - - - -")
    assert second.endswith("GBPUSD 1.3 - - - - -")


def test_a_tail_of_one_symbol_prints_no_other(command_line, daemon):
    at = [(1.0, send(daemon, b"EURUSD 1.1", b"GBPUSD 1.3"))]
    out = command_line(*TAIL, "GBPUSD", at=at).out
    assert "GBPUSD" in out
    assert "EURUSD" not in out


def test_programs_get_the_digits_that_were_sent(command_line, daemon):
    at = [(1.0, send(daemon, b"EURUSD 1.10 1.20 - - 1549238400994 6"))]
    out = command_line(*TAIL, "--json", at=at).out
    assert '"bid":1.10,"ask":1.20,"last":null' in out
    found = json.loads(out)
    assert (found["symbol"], found["time"], found["flags"]) == ("EURUSD", 1549238400994, 6)


def test_ctrl_c_ends_a_tail_quietly(command_line, daemon):
    result = command_line("ticks", "tail", at=[(2.0, command_line.interrupt)])
    assert result == (130, "", "")


def test_a_lost_connection_is_reported_and_made_again(command_line, daemon):
    at = [
        (1.0, lambda: command_line.endpoint.connection.cut()),
        (8.0, send(daemon, b"EURUSD 1.1")),
    ]
    status, out, error = command_line("ticks", "tail", "--seconds", "20", at=at)
    assert status == 0
    assert "EURUSD 1.1" in out
    lost, back = error.splitlines()
    assert lost.startswith("mtnet: The connection is lost (")
    assert back == "mtnet: The connection is back."


def test_skipped_ticks_and_zeros_that_json_forbids(command_line):
    line = b"TICK: EURUSD 01.10 - - 1e-05 - - 1700000000000 ~3\r\n"
    command_line.server = scripted(b"OK: SUBSCRIBED *\r\n" + line)
    status, out, error = command_line(*TAIL, "--json")
    assert (status, error) == (0, "")
    assert '"bid":1.10,' in out
    assert '"volume":1e-05,' in out
    assert json.loads(out) == {
        **{"symbol": "EURUSD", "bid": 1.1, "ask": None, "last": None, "volume": 1e-5},
        **{"time": None, "flags": None, "received": 1_700_000_000_000, "skipped": 3},
    }
    assert command_line(*TAIL).out.endswith("EURUSD 01.10 - - 1e-05 - - (3 skipped)\n")


def test_a_refusal_is_reported(command_line):
    answer = b"OK: SUBSCRIBED *\r\nERR: denied This connection may not read ticks\r\n"
    command_line.server = scripted(answer)
    status, out, error = command_line(*TAIL)
    assert (status, out) == (0, "")
    assert error.startswith("mtnet: denied This connection may not read ticks\n")


def test_a_line_of_the_server_that_cannot_be_read_is_left_out(command_line):
    answer = b"OK: SUBSCRIBED *\r\nTICK: EURUSD much\r\nTICK: EURUSD 1.1 - - - - - 1\r\n"
    command_line.server = scripted(answer)
    status, out, error = command_line(*TAIL)
    assert (status, out.count("\n")) == (0, 1)
    assert error.startswith("mtnet: A line of the server is left out: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", ["tail", "send"])
def test_a_server_of_another_kind_ends_it(command_line, file, command):
    command_line.server = scripted(b"")
    words = (file,) if command == "send" else ()
    status, _, error = command_line("ticks", command, *words)
    assert status == 1
    assert "never answered as it should" in error


def test_a_symbol_that_may_not_be_read_is_named(command_line, clock, monkeypatch):
    serve(command_line, clock)
    monkeypatch.setenv("MTNET_PASSWORD", PASSWORD)
    status, out, error = command_line(*TAIL, "GBPUSD", "--login", "bob")
    assert (status, out) == (1, "")
    assert error == "mtnet: This connection may not read: 'GBPUSD'.\n"


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan", "31536001", "soon"])
def test_seconds_are_a_number_above_0_within_a_year(command_line, seconds):
    status, out, error = command_line("ticks", "tail", "--seconds", seconds)
    assert (status, out) == (2, "")
    assert error.startswith("mtnet: argument --seconds: invalid ")
