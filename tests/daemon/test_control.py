"""The control socket: what is answered, and what the blocking client makes of it."""

import json
import os
import socket
import threading
from types import SimpleNamespace

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs

from mtnet.daemon.control.client import BROKEN, ask
from mtnet.daemon.control.protocol import MAX_REQUEST, ControlFactory, user_of
from mtnet.errors import ClientError, ConfigError


class Caller:
    """The far end of a control connection to a daemon with `commands`."""

    def __init__(self, **commands):
        self.transport = StringTransport()
        self.protocol = ControlFactory(commands).buildProtocol(None)
        self.protocol.makeConnection(self.transport)

    def say(self, line):
        self.protocol.dataReceived(line)

    def ask(self, request):
        self.say(json.dumps(request).encode() + b"\n")
        return self.answers()

    def answers(self):
        lines = self.transport.value().splitlines()
        self.transport.clear()
        return [json.loads(line) for line in lines]


def refuse(sentence):
    def command(arguments):
        raise ConfigError(sentence)

    return command


def test_a_command_is_handed_its_arguments_and_its_result_is_the_answer():
    caller = Caller(echo=dict)
    (answer,) = caller.ask({"command": "echo", "a": 1, "who": "root"})
    # Nobody says of himself who he is.
    assert answer == {"ok": True, "result": {"a": 1, "who": f"uid:{os.getuid()}"}}


def test_the_user_at_the_other_end_of_a_unix_socket_is_named():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert user_of(SimpleNamespace(getHandle=lambda: ours)) == f"uid:{os.getuid()}"


def test_a_request_in_single_bytes_is_answered_once():
    caller = Caller(status=lambda _: 7)
    for byte in b'{"command":"status"}\r\n':
        caller.say(bytes([byte]))
    assert caller.answers() == [{"ok": True, "result": 7}]


def test_a_deferred_result_is_answered_when_it_fires_and_in_the_order_asked():
    later = Deferred()
    caller = Caller(slow=lambda _: later, fast=lambda _: "fast")
    assert caller.ask({"command": "slow"}) == []
    assert caller.ask({"command": "fast"}) == []
    later.callback("slow")
    assert [answer["result"] for answer in caller.answers()] == ["slow", "fast"]


def test_an_error_of_mtnet_is_answered_by_its_sentence():
    caller = Caller(set=refuse("signals.pace cannot be -1."))
    assert caller.ask({"command": "set"}) == [{"ok": False, "error": "signals.pace cannot be -1."}]


@pytest.mark.parametrize("command", [lambda _: 1 / 0, lambda _: object()])
def test_any_other_failure_is_logged_and_answered_without_its_details(command):
    caller = Caller(status=command)
    with capturedLogs() as logged:
        assert caller.ask({"command": "status"}) == [{"ok": False, "error": BROKEN}]
    assert [event["log_failure"].type for event in logged if "log_failure" in event]
    assert caller.ask({"command": "status"}), "the connection goes on"


def test_a_failure_is_logged_by_the_command_alone_for_an_argument_may_be_a_password():
    caller = Caller(passwd=lambda _: 1 / 0)
    with capturedLogs() as logged:
        caller.ask({"command": "passwd", "password": "correct horse"})
    (event,) = logged
    assert event["command"] == "passwd"
    got = repr({key: value for key, value in event.items() if key != "log_failure"})
    assert "correct horse" not in got + event["log_failure"].getTraceback()


@pytest.mark.parametrize(
    "line", [b'{"command":"paswd","password":"correct horse"}', b'{"password":"correct horse"']
)
def test_no_answer_repeats_an_argument(line):
    caller = Caller(passwd=dict)
    caller.say(line + b"\n")
    (answer,) = caller.answers()
    assert not answer["ok"]
    assert "correct horse" not in answer["error"]


@pytest.mark.parametrize("request_", [{"command": "halt"}, {"command": 5}, {"command": []}, {}])
def test_an_unknown_command_is_answered_with_the_known_ones(request_):
    (answer,) = Caller(status=dict, ban=dict).ask(request_)
    assert not answer["ok"]
    assert "ban, status" in answer["error"]


@pytest.mark.parametrize(
    "line", [b"", b"{", b"\xff\xfe", b"[]", b'"status"', b'{"command":"\xff"}', b"[" * 60_000]
)
def test_what_is_no_request_is_answered_with_an_example_and_logged_as_nothing(line):
    caller = Caller(status=lambda _: 7)
    with capturedLogs() as logged:
        caller.say(line + b"\n")
    (answer,) = caller.answers()
    assert '{"command": "status"}' in answer["error"]
    assert not logged
    assert caller.ask({"command": "status"}) == [{"ok": True, "result": 7}]


def test_a_request_that_grows_too_long_ends_the_connection():
    caller = Caller(status=dict)
    caller.say(b" " * MAX_REQUEST)
    assert not caller.transport.disconnecting
    caller.say(b" ")
    assert caller.transport.disconnecting


def test_a_client_that_does_not_read_answers_is_not_read():
    answered = []
    caller = Caller(status=answered.append)
    write = caller.transport.writeSequence

    def fill(parts):
        write(parts)
        caller.protocol.pauseProducing()  # as a transport does whose buffer is full

    caller.transport.writeSequence = fill
    caller.say(b'{"command":"status"}\n' * 100)
    assert (len(answered), caller.transport.producerState) == (1, "paused")
    caller.protocol.resumeProducing()
    assert (len(answered), caller.transport.producerState) == (2, "paused")
    caller.transport.writeSequence = write
    caller.protocol.resumeProducing()
    assert (len(caller.answers()), caller.transport.producerState) == (100, "producing")


def test_nothing_more_is_read_while_a_request_is_being_answered():
    later = Deferred()
    caller = Caller(slow=lambda _: later, fast=lambda _: "fast")
    caller.ask({"command": "slow"})
    assert caller.transport.producerState == "paused"
    later.callback("slow")
    assert (len(caller.answers()), caller.transport.producerState) == (1, "producing")


@pytest.fixture
def answering(tmp_path):
    """Serve one connection on a Unix socket: `answering(b"line")` returns (path, requests)."""
    listener = socket.socket(socket.AF_UNIX)
    path, requests, threads = tmp_path / "control", [], []

    def serve(answer):
        with listener.accept()[0] as connection:
            requests.append(connection.makefile("rb").readline())
            if answer is None:
                connection.recv(1)
            else:
                connection.sendall(answer)

    def start(answer):
        listener.bind(str(path))
        listener.listen()
        threads.append(threading.Thread(target=serve, args=(answer,)))
        threads[0].start()
        return path, requests

    yield start
    for thread in threads:
        thread.join(10)
    listener.close()


def test_ask_sends_one_line_and_returns_the_result(answering):
    path, requests = answering(b'{"ok":true,"result":[1,"two"]}\n')
    assert ask(path, "status", deep=True) == [1, "two"]
    assert json.loads(requests[0]) == {"command": "status", "deep": True}


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b'{"ok":false,"error":"No such ban."}\n', "No such ban."),
        (b"220 ready\n", "expected that of a mtnet daemon"),
        (b"[]\n", "expected that of a mtnet daemon"),
        (b'{"ok":true,"res', "broke off"),
        (b"", "broke off"),
    ],
)
def test_ask_fails_with_a_sentence_when_the_answer_is_none(answering, answer, sentence):
    path, _ = answering(answer)
    with pytest.raises(ClientError, match=sentence):
        ask(path, "status")


def test_ask_gives_up_on_a_daemon_that_is_silent_and_says_after_how_long(answering):
    path, _ = answering(None)
    with pytest.raises(ClientError, match=r"did not answer within 0\.05 s"):
        ask(path, "status", wait=0.05)


def test_ask_says_how_to_start_a_daemon_where_none_is(tmp_path):
    with pytest.raises(ClientError, match=r"start one with `mtnet run`.*--data"):
        ask(tmp_path / "control", "status")


def test_ask_knows_a_socket_that_a_killed_daemon_left_behind(tmp_path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "control"))
    with pytest.raises(ClientError, match="is gone"):
        ask(tmp_path / "control", "status")


def test_ask_names_a_path_that_is_too_long_for_a_socket(tmp_path):
    with pytest.raises(ClientError, match=r"cannot be asked: .*too long"):
        ask(tmp_path / ("x" * 120), "status")
