"""`mtnet context`: servers by name, and the commands that use them."""

import json
import stat

import pytest
from tls_samples import Authority, Files
from twisted.internet.error import ConnectionRefusedError

from mtnet.cli import reactor as in_reactor
from mtnet.cli.context import command, store
from mtnet.cli.main import parser
from mtnet.client.blocking import runner

PUBLISH = ("signals", "publish", "GBPUSD", "0.25")


@pytest.fixture
def kept(command_line):
    """Return a call that shows what is kept."""
    return lambda: json.loads(command_line("context", "list", "--json").out)


@pytest.fixture
def used(command_line, monkeypatch):
    """Return a call that runs a command, and returns the server that it used, or its error."""
    found = []

    def note(reactor, text, ca):
        found.append(text)
        return command_line._endpoint(reactor, text, ca)

    def dial(address, timeout):
        found.append(address.text)
        raise OSError

    def run(*words):
        found.clear()
        command_line.server = ConnectionRefusedError("Connection refused")
        monkeypatch.setattr(in_reactor, "server_from_string", note)
        monkeypatch.setattr(runner, "dial", dial)
        outcome = command_line(*words)
        return found[0] if found else outcome.error

    return run


def add(command_line, *words):
    outcome = command_line("context", "add", *words)
    assert outcome.status == 0, outcome.error
    return outcome.out


def test_without_a_context_a_command_talks_to_this_machine(used):
    assert used(*PUBLISH) == "tcp:127.0.0.1:8081"
    assert used("ticks", "tail") == "tcp:127.0.0.1:8082"


def test_the_first_context_is_the_current_one_and_others_are_named(command_line, used, monkeypatch):
    assert add(command_line, "fx", "--server", "wss://fx.example") == (
        "fx is kept; fx is the current context.\n"
    )
    add(command_line, "home", "--server", "tcp:10.0.0.7:8081")
    assert used(*PUBLISH) == "wss://fx.example"
    assert used("ticks", "tail") == "wss://fx.example"
    assert used(*PUBLISH, "--context", "home") == "tcp:10.0.0.7:8081"
    monkeypatch.setenv("MTNET_CONTEXT", "home")
    assert used(*PUBLISH) == "tcp:10.0.0.7:8081"
    assert used(*PUBLISH, "--context", "fx") == "wss://fx.example"
    assert used(*PUBLISH, "--server", "tcp:127.0.0.1:9") == "tcp:127.0.0.1:9"
    monkeypatch.delenv("MTNET_CONTEXT")
    assert command_line("context", "use", "home").out == "home is the current context.\n"
    assert used(*PUBLISH) == "tcp:10.0.0.7:8081"
    assert command_line("context", "use", "--none").out == "None is the current context.\n"
    assert used(*PUBLISH) == "tcp:127.0.0.1:8081"


def test_a_service_may_have_a_server_of_its_own(command_line, used):
    add(command_line, "fx", "--for", "signals=secure:a.example:1", "--for", "ticks=tcp:b.example:2")
    assert used(*PUBLISH) == "secure:a.example:1"
    assert used("ticks", "tail") == "tcp:b.example:2"
    assert used("templates", "list") == (
        "mtnet: The context fx names no server for templates: "
        "mtnet context add fx --for templates=ENDPOINT\n"
    )
    listed = command_line("context", "list").out
    assert "signals secure:a.example:1 ticks tcp:b.example:2" in listed


@pytest.fixture
def files(tmp_path):
    found = Files(tmp_path / "tls", Authority())
    found.issue("fx.example")
    return found


def test_ca_and_login_come_with_the_server_and_flags_win(
    command_line, files, monkeypatch, tmp_path
):
    monkeypatch.setenv("MTNET_PASSWORD", "canary")
    words = ("--server", "secure:fx.example:8081", "--ca", files.ca, "--login", "alice")
    add(command_line, "fx", *words)
    for given, expected in (
        ((), ("secure:fx.example:8081", files.ca, "alice")),
        (("--login", "bob"), ("secure:fx.example:8081", files.ca, "bob")),
        (("--ca", "b.pem"), ("secure:fx.example:8081", "b.pem", "alice")),
        (("--server", "tcp:127.0.0.1:9"), ("tcp:127.0.0.1:9", None, None)),
        (("--context", "fx", "--server", "wss://b"), ("wss://b", files.ca, "alice")),
    ):
        arguments = parser().parse_args([*PUBLISH, *given])
        command.apply(arguments)
        ca = None if arguments.ca is None else str(arguments.ca)
        assert (arguments.server, ca, arguments.login) == (
            expected[0], None if expected[1] is None else str(expected[1]), expected[2],
        )  # fmt: skip


def test_the_file_is_its_owners_and_holds_no_password(command_line, files, monkeypatch):
    monkeypatch.setenv("MTNET_PASSWORD", "canary")
    add(command_line, "fx", "--server", "wss://fx.example", "--login", "alice", "--ca", files.ca)
    path = store.path()
    assert path.name == "contexts.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "canary" not in path.read_text()
    assert json.loads(path.read_text())["contexts"]["fx"]["ca"] == str(files.ca)


def test_contexts_are_replaced_listed_and_forgotten(command_line, kept):
    assert command_line("context", "list").out == "No context is kept.\n"
    add(command_line, "fx", "--server", "wss://a.example")
    add(command_line, "fx", "--server", "wss://b.example", "--login", "alice")
    assert kept() == {
        "contexts": {
            "fx": {"server": "wss://b.example", "services": {}, "ca": None, "login": "alice"}
        },
        "current": "fx",
    }
    assert "*" in command_line("context", "list").out
    assert command_line("context", "remove", "fx").out == "fx is forgotten.\n"
    assert kept() == {"contexts": {}, "current": None}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "a b", "--server", "wss://x"), "Invalid context 'a b'"),
        (("add", "fx"), "A server is missing"),
        (("add", "fx", "--server", "secure:x"), "Invalid endpoint 'secure:x'"),
        (("add", "fx", "--server", "fx.example"), "Invalid endpoint 'fx.example'"),
        (("add", "fx", "--server", "ftp://fx.example"), "Invalid endpoint 'ftp://fx.example'"),
        (("add", "fx", "--server", "wss://joe:pw@x"), "without a login"),
        (("add", "fx", "--server", "wss://x", "--login", "a b"), "Invalid login 'a b'"),
        (("add", "fx", "--server", "wss://x", "--ca", "none.pem"), "none.pem"),
        (("use", "fx"), "There is no context 'fx' (known: none)"),
        (("use",), "A name is expected, or --none"),
        (("use", "fx", "--none"), "A name is expected, or --none"),
        (("remove", "fx"), "There is no context 'fx'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(command_line, kept, words, said):
    outcome = command_line("context", *words)
    assert outcome.status == 1
    assert said in outcome.error
    assert len(outcome.error.splitlines()) == 1
    assert kept()["contexts"] == {}


def test_a_server_of_no_service_is_refused_with_the_known_ones(command_line):
    outcome = command_line("context", "add", "fx", "--for", "gold=wss://x")
    assert outcome.status == 2
    services = "any, indicators, jobs, sentiment, signals, templates, ticks, topics, web"
    assert f"SERVICE=ENDPOINT of {services}" in outcome.error


def test_a_context_that_is_not_there_is_named_with_those_that_are(command_line, used, monkeypatch):
    add(command_line, "fx", "--server", "wss://fx.example")
    assert "There is no context 'gold' (known: fx)" in used(*PUBLISH, "--context", "gold")
    monkeypatch.setenv("MTNET_CONTEXT", "gold")
    assert "There is no context 'gold' (known: fx)" in used(*PUBLISH)


@pytest.mark.parametrize("text", ["", "[]", '{"x": 1}'])
def test_a_file_of_something_else_is_named_and_left_alone(command_line, used, text):
    store.path().parent.mkdir(parents=True)
    store.path().write_text(text)
    for outcome in (
        used(*PUBLISH),
        command_line("context", "add", "a", "--server", "ws://x").error,
    ):
        assert "contexts.json cannot be read as contexts" in outcome
        assert "Correct it, or move it away" in outcome
    assert store.path().read_text() == text
    assert used(*PUBLISH, "--server", "tcp:127.0.0.1:9") == "tcp:127.0.0.1:9"


def test_without_xdg_the_file_lies_in_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert store.path() == tmp_path / ".config" / "mtnet" / "contexts.json"


def test_a_file_that_cannot_be_written_is_one_sentence(command_line, monkeypatch):
    def fail(path, text):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mtnet.cli.context.store.replace_file", fail)
    outcome = command_line("context", "add", "fx", "--server", "tcp:fx.example:8081")
    assert outcome.status == 1
    assert outcome.error.startswith("mtnet: The contexts cannot be kept: ")
