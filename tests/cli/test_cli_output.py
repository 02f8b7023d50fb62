"""What commands print: tables, times, and streams with the state of their connection."""

import io
import json
from argparse import Namespace

import pytest
from fakes.command_line import Terminal

from mtnet.cli import output, remote, server_options
from mtnet.cli.remote import StreamReporter
from mtnet.errors import ClientError

EPOCH = 1_700_000_000_000
SERVER = "tcp:fx.example:8081"


# Values


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (False, "no"),
        (7, "7"),
        ("a", "a"),
        ([1, None], "1, -"),
        ([], "-"),
    ],
)
def test_a_value_is_shown_as_people_write_it(value, text):
    assert output.show(value) == text


def test_a_mapping_is_shown_as_pairs():
    assert output.pairs({"EURUSD": "0.25", "GBPUSD": "-1"}) == "EURUSD 0.25 GBPUSD -1"
    assert output.pairs({}) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"), (0, "0 s"), (59.9, "59 s"), (60, "1 min"), (200, "3 min 20 s"),
        (3_600, "1 h"), (90_061, "1 d 1 h"), (86_400, "1 d"), (86_405, "1 d 5 s"),
    ],
)  # fmt: skip
def test_a_length_of_time_has_its_two_largest_units(seconds, text):
    assert output.duration(seconds) == text


def test_a_table_has_the_columns_of_all_rows_in_order_of_appearance():
    rows = [{"a": 1, "b": "long word"}, {"b": None, "c": True}]
    assert list(output.table(rows)) == [
        "A  B          C",
        "1  long word",
        "   -          yes",
    ]


@pytest.mark.parametrize(("value", "text"), [(None, "never"), (EPOCH, "2023-11-14 22:13 UTC")])
def test_a_time_to_the_minute_is_in_utc(value, text):
    assert output.utc_minute(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (EPOCH, "2023-11-14 22:13:20.000"), (EPOCH + 7, "2023-11-14 22:13:20.007")],
)
def test_an_exact_time_is_in_utc_with_milliseconds(value, text):
    assert output.utc_exact(value) == text


@pytest.mark.parametrize("value", [None, "", "soon", 1.5])
def test_what_is_no_time_is_shown_as_nothing(value):
    assert output.local_time(value) == ""


def test_a_local_time_follows_the_zone_of_the_machine(monkeypatch):
    import time

    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    try:
        assert output.local_time(EPOCH) == "2023-11-15 00:13:20"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(("as_json", "printed"), [(True, '{"a":1}\n'), (False, "a is 1\n")])
def test_a_result_is_json_or_text(capsys, as_json, printed):
    output.print_result(Namespace(json=as_json), {"a": 1}, "a is 1")
    assert capsys.readouterr().out == printed


# Streams


class Stream:
    """A reporter, and how the stream ended."""

    def __init__(self, capsys):
        self._capsys = capsys
        self.reporter = StreamReporter(SERVER)

    def read(self):
        return self._capsys.readouterr()

    @property
    def error(self):
        assert self.reporter.over
        with pytest.raises(ClientError) as raised:
            self.reporter.check()
        return str(raised.value)


@pytest.fixture
def stream(capsys):
    return Stream(capsys)


def test_a_server_that_never_answered_ends_the_stream_when_it_is_lost(stream):
    stream.reporter.lost("closed")
    assert stream.error == (
        f"{SERVER} never answered as it should (closed). If that port speaks TLS, it is "
        "secure:fx.example:8081."
    )


@pytest.mark.parametrize(
    ("status", "hint"),
    [(400, " If that port speaks TLS, it is secure:fx.example:8081."), (404, ""), (403, "")],
)
def test_a_server_that_answers_in_clear_text_gets_no_hint_at_tls(stream, status, hint):
    reason = f"the server refuses the WebSocket with HTTP status {status}"
    stream.reporter.lost(reason)
    assert stream.error == f"{SERVER} never answered as it should ({reason}).{hint}"


def test_after_an_answer_a_loss_and_a_return_are_reported(stream):
    reporter = stream.reporter
    reporter.connected()
    reporter.lost("closed")
    reporter.lost("refused")
    reporter.reconnected()
    reporter.reconnected()
    assert stream.read().err.splitlines() == [
        "mtnet: The connection is lost (closed).",
        "mtnet: The connection is lost (refused).",
        "mtnet: The connection is back.",
    ]
    assert not stream.reporter.over


@pytest.mark.parametrize("code", ["login", "port"])
def test_a_refused_login_or_port_ends_the_stream(stream, code):
    stream.reporter.refused(f"{code} The password is wrong.")
    assert stream.error == "The password is wrong."


def test_another_refusal_is_reported_and_the_stream_goes_on(stream):
    stream.reporter.refused("denied You may not read GBPUSD")
    assert stream.read().err == "mtnet: denied You may not read GBPUSD\n"
    assert not stream.reporter.over


def test_time_is_over_without_an_error_when_the_server_has_answered(stream):
    stream.reporter.connected()
    stream.reporter.expire(5.0)
    stream.reporter.check()
    assert stream.reporter.over


def test_time_is_over_with_an_error_when_it_has_not(stream):
    stream.reporter.expire(5.0)
    assert "(nothing within 5 s)" in stream.error


def test_output_that_cannot_be_written_ends_the_stream(stream):
    def write():
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        stream.reporter.emit(write)


def test_behind_its_end_nothing_is_printed(stream):
    printed = []
    stream.reporter.end()
    stream.reporter.emit(lambda: printed.append(1))
    stream.reporter.note("late")
    stream.reporter.end(ClientError("late"))
    stream.reporter.check()
    assert (printed, stream.read().err) == ([], "")


@pytest.mark.parametrize("kind", ["secure", "unix"])
def test_a_hint_at_tls_is_for_plain_tcp_alone(kind):
    assert "TLS" not in server_options.unanswered(f"{kind}:fx", "closed")


# Passwords


def test_no_login_needs_no_password(monkeypatch):
    monkeypatch.setenv("MTNET_PASSWORD", "correct horse")
    assert server_options.account(Namespace(login=None)) is None


def test_a_password_is_asked_for_in_a_terminal(monkeypatch):
    monkeypatch.delenv("MTNET_PASSWORD", raising=False)
    monkeypatch.setattr("getpass.getpass", lambda: "correct horse")
    found = server_options.account(Namespace(login="alice"))
    assert b"alice correct horse" in found.line


def test_without_a_terminal_nothing_that_is_typed_is_a_password(monkeypatch):
    monkeypatch.delenv("MTNET_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO("EURUSD 1.1\n"))
    monkeypatch.setattr("getpass.getpass", lambda: (_ for _ in ()).throw(EOFError))
    with pytest.raises(ClientError, match="The password is missing"):
        server_options.account(Namespace(login="alice"))


def test_json_is_one_line(capsys):
    output.print_json({"text": "a\nb", "rows": [1, 2]})
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert json.loads(printed) == {"text": "a\nb", "rows": [1, 2]}


# Progress


def test_progress_is_shown_in_a_terminal_alone(monkeypatch, capsys):
    with output.progress_bar("tick", 10) as bar:
        bar.update(10)
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with output.progress_bar("tick", 10) as bar:
        bar.update(4)
        bar.update(6)
    assert "10.0/10.0" in terminal.getvalue()


@pytest.mark.parametrize(
    ("time", "text"),
    [(None, "-"), (0, "1970-01-01 00:00:00.000"), (EPOCH + 7, "2023-11-14 22:13:20.007")],
)
def test_an_exact_time_has_its_milliseconds(time, text):
    assert output.utc_exact(time) == text


@pytest.mark.parametrize(
    ("time", "text"), [(None, "never"), (0, "never"), (EPOCH, "2023-11-14 22:13 UTC")]
)
def test_a_time_to_the_minute_may_be_never(time, text):
    assert output.utc_minute(time) == text


# Codecs and addresses of servers


@pytest.mark.parametrize(
    ("server", "path"),
    [
        ("tcp:fx.example:8081", False),
        ("ws://fx.example:8083/ws", True),
    ],
)
def test_a_websocket_alone_has_a_codec_of_its_own(server, path):
    address = remote.socket_address(Namespace(server=server, ca=None))
    assert bool(address.path) is path
    for make in (remote.session_framing, remote.tick_framing):
        assert type(make(address)).__module__.endswith(".websocket") is path
        assert not type(make(None)).__module__.endswith(".websocket")


@pytest.mark.parametrize(
    "server",
    ["unix:/run/mtnet", "http://fx.example", "tcp:fx.example", "tcp:fx.example:8081:timeout=5"],
)
def test_what_is_no_plain_stream_goes_by_way_of_the_reactor(server):
    assert remote.socket_address(Namespace(server=server, ca=None)) is None


def test_a_client_of_streams_refuses_a_websocket():
    address = remote.socket_address(Namespace(server="wss://fx.example", ca=None))
    with pytest.raises(ClientError):
        remote.of_streams(list)(address)
    assert remote.of_streams(list)(None) == []
