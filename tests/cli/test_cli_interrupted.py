"""What can happen to any command that talks: Ctrl-C, silence, a server that hangs up."""

import json

import pytest
from fakes.daemon import FakeDaemon
from twisted.internet.protocol import Factory, Protocol

from mtnet.interfaces import ITicks

ON = [f"{name}.enabled=true" for name in ("topics", "indicators", "sentiment", "jobs")]
STREAMS = {
    "signals follow": "signals",
    "signals follow --classic": "signals",
    "ticks tail": "ticks",
    "topics join desk/eurusd": "signals",
    "indicators tail RSI14 EURUSD H1": "signals",
    "sentiment watch": "signals",
    "jobs work search -- true": "signals",
}
"""Commands that end with Ctrl-C or after `--seconds`, and the port that each talks to."""
SPEAKING = [each for each in STREAMS if "--classic" not in each]
"""The streams of clients that say something first; an empty channel of the others is silent."""
QUESTIONS = {
    "signals publish EURUSD 0.1": "Nothing was published.",
    "topics send desk/eurusd hello": "Not answered within",
    "indicators export RSI14 EURUSD H1": "there was no WELCOME for 12 s",
    "templates get EURUSD H1": "No whole answer within",
    "templates list": "No whole answer within",
}
"""Commands that end with their answer, and what they say when none comes."""


QUIET = "", "mtnet: There is no provider now.\n"
"""What a stream says of itself where nothing happens."""


class Silence(Protocol):
    """A server that takes everything and says nothing; or hangs up at the first byte."""

    def dataReceived(self, data):
        self.factory.heard += data
        if self.factory.hangs_up:
            self.transport.loseConnection()


@pytest.fixture
def silent(command_line):
    return _server(command_line, hangs_up=False)


@pytest.fixture
def hanging_up(command_line):
    return _server(command_line, hangs_up=True)


def _server(command_line, hangs_up):
    factory = command_line.server = Factory.forProtocol(Silence)
    factory.noisy, factory.heard, factory.hangs_up = False, b"", hangs_up
    return factory


def words(command, *options):
    """Return the words of a command; options stand before those of another program."""
    before, dashes, after = command.partition(" -- ")
    return [*before.split(), *options, *([dashes.strip()] if dashes else []), *after.split()]


@pytest.mark.parametrize("command", STREAMS)
def test_ctrl_c_ends_a_stream_quietly_with_the_status_of_a_signal(command_line, clock, command):
    daemon = FakeDaemon(command_line.folder, clock, "access.trust_loopback=true", *ON)
    command_line.server = daemon.factory(STREAMS[command])
    shown = command_line(*words(command), at=[(1, command_line.interrupt)])
    assert (shown.status, shown.out) == (130, "")
    assert shown.error in QUIET


@pytest.mark.parametrize("command", STREAMS)
def test_a_stream_without_an_event_ends_in_time_without_a_word(command_line, clock, command):
    daemon = FakeDaemon(command_line.folder, clock, "access.trust_loopback=true", *ON)
    command_line.server = daemon.factory(STREAMS[command])
    shown = command_line(*words(command, "--seconds", "3"))
    assert (shown.status, shown.out) == (0, "")
    assert shown.error in QUIET


@pytest.mark.parametrize("command", SPEAKING)
def test_a_stream_of_a_server_that_says_nothing_is_an_error_in_time(command_line, silent, command):
    shown = command_line(*words(command, "--seconds", "3"))
    assert (shown.status, shown.out) == (1, "")
    assert "nothing within 3 s" in shown.error
    assert silent.heard


@pytest.mark.parametrize("command", SPEAKING)
def test_a_stream_of_a_server_that_hangs_up_is_an_error_at_once(command_line, hanging_up, command):
    shown = command_line(*words(command))
    assert (shown.status, shown.out, shown.error.count("\n")) == (1, "", 1)
    assert "never answered as it should" in shown.error
    assert len(command_line.endpoint.connections) == 1


@pytest.mark.parametrize("command", [*QUESTIONS, "templates put EURUSD_H1.tpl", "ticks send"])
def test_ctrl_c_ends_a_question_quietly(command_line, silent, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EURUSD_H1.tpl").write_bytes(b"<chart>\r\n</chart>\r\n")
    (tmp_path / "ticks.txt").write_text("EURUSD 1.1\n")
    file = ("ticks.txt",) if command == "ticks send" else ()
    asked = command_line(*command.split(), *file, at=[(1, command_line.interrupt)])
    assert (asked.status, asked.out, asked.error) == (130, "", "")


@pytest.mark.parametrize(("command", "sentence"), QUESTIONS.items())
def test_a_question_without_an_answer_is_one_sentence(command_line, silent, command, sentence):
    asked = command_line(*command.split())
    assert (asked.status, asked.out, asked.error.count("\n")) == (1, "", 1)
    assert sentence in asked.error


@pytest.mark.parametrize("command", QUESTIONS)
def test_a_question_to_a_server_that_hangs_up_is_one_sentence(command_line, hanging_up, command):
    asked = command_line(*command.split())
    assert (asked.status, asked.out, asked.error.count("\n")) == (1, "", 1)
    assert len(command_line.endpoint.connections) == 1, "it is asked once"


# Programs that read


OWNER = {
    "topics list": [],
    "indicators list": [],
    "sentiment list": [],
    "sentiment history EURUSD": [],
    "jobs list": [],
    "jobs show search": [],
    "jobs retry search": {"jobs": 0},
    "jobs purge search": {"jobs": 0},
    "alerts list": [],
    "views list": {},
}
"""Commands of the owner, and what each says in JSON where there is nothing yet."""


@pytest.mark.parametrize(("command", "nothing"), OWNER.items())
def test_where_there_is_nothing_people_get_a_sentence_and_programs_json(
    command_line, clock, command, nothing
):
    daemon = FakeDaemon(command_line.folder, clock, *ON, grants={})
    command_line.attach(daemon.env.components.commands())
    shown = command_line.on_folder(*command.split(), "--json")
    assert (shown.status, shown.error) == (0, "")
    assert json.loads(shown.out) == nothing
    shown = command_line.on_folder(*command.split())
    assert (shown.status, shown.error, shown.out.count("\n")) == (0, "", 1)
    assert shown.out.endswith(".\n")


def test_a_tail_that_was_interrupted_has_printed_what_came(command_line, clock):
    daemon = FakeDaemon(command_line.folder, clock, "access.trust_loopback=true")
    command_line.server = daemon.factory("ticks")
    ticks = daemon.env.find(ITicks)

    def tick():
        ticks.take(ticks.source("desk"), [(b"EURUSD", b"1.1 1.2")], 1_700_000_000_000)

    at = [(1, tick), (3, command_line.interrupt)]
    shown = command_line("ticks", "tail", "--json", at=at)
    assert (shown.status, shown.error) == (130, "")
    (row,) = map(json.loads, shown.out.splitlines())
    assert (row["symbol"], row["bid"], row["ask"]) == ("EURUSD", 1.1, 1.2)
