"""`mtnet topics` with a port of sessions in memory."""

import json
import re

import pytest
from fakes.daemon import FakeDaemon
from twisted.internet.error import ConnectionRefusedError

from mtnet.testing import EPOCH, connect

JOIN = ("topics", "join", "--seconds", "5")


@pytest.fixture
def daemon(command_line, clock):
    return serve(command_line, clock, "topics.enabled=true")


def serve(command_line, clock, *sets):
    daemon = FakeDaemon(command_line.folder, clock, "access.trust_loopback=true", *sets)
    command_line.server = daemon.factory("signals")
    return daemon


def sends(daemon, *frames):
    terminal = connect(daemon.factory("signals"), daemon.clock, peer="127.0.0.2")
    terminal.send(b"<<HELLO|v=2>>")
    return lambda: terminal.send(b"".join(frames))


def test_a_message_is_sent_and_kept(command_line, daemon):
    sent = command_line("topics", "send", "desk/x", "above 1.10", "--key", "k", "--retain")
    assert sent == (0, "Sent to 0 members.\n", "")
    shown = command_line(*JOIN, "desk/*")
    assert shown.status == 0
    assert re.fullmatch(r"2023-\S+ \S+ desk/x k \S+: above 1\.10\n", shown.out)


def test_programs_get_json(command_line, daemon):
    out = command_line("topics", "send", "x", "1", "--json").out
    assert json.loads(out) == {"topic": "x", "seq": 1, "receivers": 0}
    shown = command_line(*JOIN, "x", "--after", "0", "--json")
    row = json.loads(shown.out)
    assert row.pop("from").startswith("127.0.0.1:")
    assert EPOCH <= row.pop("time") < EPOCH + 60_000
    assert row == {"topic": "x", "seq": 1, "data": "1", "key": "", "retained": False}


def test_after_a_lost_connection_what_was_missed_is_printed_once(command_line, daemon):
    first = sends(daemon, b"<<SEND|topic=x|data=1>>")
    second = sends(daemon, b"<<SEND|topic=x|data=2>>")
    third = sends(daemon, b"<<SEND|topic=x|data=3>>")

    def cut():
        command_line.endpoint.connections[-1].cut()
        second()

    shown = command_line(
        "topics", "join", "x", "--seconds", "60", at=[(1, first), (2, cut), (15, third)]
    )
    assert [line.rpartition(" ")[2] for line in shown.out.splitlines()] == ["1", "2", "3"]
    assert "The connection is lost" in shown.error
    assert "The connection is back." in shown.error


def test_members_who_come_and_go_are_printed(command_line, daemon):
    joins = sends(daemon, b"<<JOIN|topic=x>>")
    leaves = sends(daemon, b"<<JOIN|topic=x>><<BYE>>")
    shown = command_line(*JOIN, "x", "--presence", at=[(1, joins), (2, leaves)])
    assert re.fullmatch(r"x 127\.0\.0\.2:50000 has joined\n", shown.out)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("send", "a b", "1"), "In SEND topic is 1 to 64 of"),
        (("send", "x", "y" * 6_001), "data has at most 6000 bytes, not 6001"),
        (("send", "x", "1", "--retain", "--to", "bob"), "In SEND retain is for all"),
        (("join", "*"), "In JOIN topic is a topic, or a pattern"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    command_line, daemon, words, sentence
):
    refused = command_line("topics", *words)
    assert refused.status == 1
    assert sentence in refused.error


@pytest.mark.parametrize("words", [("send", "x", "1"), ("join", "x")])
def test_where_topics_are_off_both_say_so(command_line, clock, words):
    serve(command_line, clock)
    refused = command_line("topics", *words)
    assert (refused.status, refused.out) == (1, "")
    assert "The server offers this login no topics (denied)." in refused.error


UNIX = ("--server", "unix:/run/mtnet.sock")


def test_a_server_that_needs_the_reactor_is_asked_and_followed_as_any_other(command_line, daemon):
    sent = command_line("topics", "send", "x", "1", "--retain", *UNIX)
    assert sent == (0, "Sent to 0 members.\n", "")

    def cut():
        command_line.endpoint.connections[-1].cut()

    shown = command_line("topics", "join", "x", "--seconds", "30", *UNIX, at=[(1, cut)])
    assert shown.status == 0
    assert shown.out.endswith(": 1\n")
    assert "The connection is back." in shown.error
    refused = command_line("topics", "join", "*", *UNIX)
    assert (refused.status, refused.out) == (1, "")


def test_ctrl_c_ends_what_runs_in_the_reactor_quietly(command_line, daemon):
    shown = command_line("topics", "join", "x", *UNIX, at=[(1, command_line.interrupt)])
    assert shown == (130, "", "")


def test_a_reader_that_is_gone_ends_what_runs_in_the_reactor_quietly(
    command_line, daemon, monkeypatch
):
    command_line("topics", "send", "x", "1", "--retain")

    def gone(event, as_json):
        raise BrokenPipeError

    monkeypatch.setattr("mtnet.cli.topics.sessions._print", gone)
    monkeypatch.setattr("mtnet.cli.main._drop_output", lambda: None)
    assert command_line("topics", "join", "x", *UNIX) == (0, "", "")


def test_without_a_server_the_sentence_names_it(command_line):
    command_line.server = ConnectionRefusedError()
    refused = command_line("topics", "send", "x", "1")
    assert refused.status == 1
    assert "No connection to tcp:127.0.0.1:8081" in refused.error


def test_the_owner_lists_the_topics(command_line, daemon):
    command_line.attach(daemon.env.components.commands())
    assert command_line.on_folder("topics", "list").out == "There is no topic.\n"
    command_line("topics", "send", "x", "1", "--retain")
    assert command_line.on_folder("topics", "list").out.splitlines()[1].split() == [
        "x", "0", "1", "1", "1",
    ]  # fmt: skip
    (row,) = json.loads(command_line.on_folder("topics", "list", "--json").out)
    assert row == {"topic": "x", "members": 0, "seq": 1, "history": 1, "retained": 1}
