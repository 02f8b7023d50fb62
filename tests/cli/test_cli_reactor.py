"""Commands in the reactor of Twisted: what they watch, what ends them, and how that is said."""

import os
from argparse import Namespace

import pytest
from fakes.transports import MemoryEndpoint
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from mtnet.cli import reactor
from mtnet.cli.remote import session_framing
from mtnet.client.core.tasks.topics import Listening, TopicCore
from mtnet.errors import ClientError
from mtnet.session import messages


class Watching(Clock):
    """A reactor that can watch files: those that it does are in `readers`."""

    def __init__(self):
        super().__init__()
        self.readers = []

    def addReader(self, reader):
        self.readers.append(reader)

    def removeReader(self, reader):
        self.readers.remove(reader)


class Greeter(Protocol):
    """A server that has no topics."""

    def dataReceived(self, data):
        if b"HELLO" in data:
            self.transport.write(messages.welcome(5.0, 1, None, epoch="00000000000000aa"))


class Talk:
    """A command that talks to a server in memory until `over`."""

    def __init__(self, handle=lambda event: None):
        self.clock, self.events, self.over = Watching(), [], False
        self.line = MemoryEndpoint(Factory.forProtocol(Greeter), self.clock)
        self._handle, self.ended = handle, []
        self.talk = reactor.Conversation(
            Namespace(server="tcp:fx.example:8081", ca=None),
            TopicCore(Listening("news"), None),
            self._take,
            session_framing,
            False,
        )

    def _take(self, event):
        self.events.append(type(event).__name__)
        self._handle(event)

    def begin(self, seconds=None):
        self.talk._ended = lambda: self.over
        work = self.talk._run(self.line, self.clock, seconds)
        Deferred.fromCoroutine(work).addBoth(self.ended.append)
        self.line.settle()

    def settle(self, seconds=1):
        for _ in range(seconds):
            self.line.settle()
            self.clock.advance(1)
        self.line.settle()


def test_a_conversation_ends_after_its_seconds_and_closes_its_connection():
    talk = Talk()
    talk.begin(seconds=5)
    assert talk.ended == []
    talk.settle(6)
    assert talk.ended == [None]
    assert talk.events[0] == "Refused"


def test_an_exception_of_a_handler_is_that_of_the_command():
    def handle(event):
        raise ClientError("That is no message.")

    talk = Talk(handle)
    talk.begin()
    talk.settle(2)
    (failure,) = talk.ended
    assert failure.getErrorMessage() == "That is no message."


def test_a_handler_may_say_that_all_is_done():
    talk = Talk(lambda event: setattr(talk, "over", True))
    talk.begin()
    talk.settle(2)
    assert (talk.ended, talk.events) == ([None], ["Refused"])


def test_files_are_watched_from_before_the_start_until_the_end():
    talk, ready = Talk(), []
    talk.talk.watch(7, lambda: ready.append("early"))
    assert talk.clock.readers == []
    talk.begin(seconds=9)
    talk.talk.watch(8, lambda: ready.append("late"))
    assert [each.fileno() for each in talk.clock.readers] == [7, 8]
    for each in talk.clock.readers:
        assert verifyObject(IReadDescriptor, each)
        each.doRead()
    talk.talk.unwatch(7)
    talk.talk.unwatch(7)
    assert [each.fileno() for each in talk.clock.readers] == [8]
    talk.clock.readers[0].connectionLost(Failure(OSError("gone")))
    assert ready == ["early", "late", "late"]
    talk.settle(12)
    assert talk.clock.readers == []
    assert talk.ended == [None]


def test_what_becomes_ready_behind_the_end_is_not_looked_at():
    talk, ready = Talk(), []
    talk.talk.watch(7, lambda: ready.append("ready"))
    talk.begin(seconds=1)
    (watched,) = talk.clock.readers
    talk.settle(4)
    watched.doRead()
    assert ready == []


def test_nothing_is_sent_and_nothing_closed_before_the_start():
    talk = Talk()
    talk.talk.send()
    talk.talk.close()
    assert talk.line.connections == []
    assert talk.talk.now() > 0


def test_a_connection_that_fails_names_the_server():
    server = reactor.Server(Clock(), "tcp:fx.example:8081")
    server._endpoint = type("Down", (), {"connect": lambda _, f: fail(ConnectionRefusedError())})()
    failures = []
    server.connect(Factory.forProtocol(Protocol)).addErrback(failures.append)
    assert isinstance(failures[0].value, ClientError)
    assert failures[0].getErrorMessage().startswith("No connection to tcp:fx.example:8081: ")


@pytest.mark.parametrize("errors_alone", ["", "mtnet.noisy"])
def test_warnings_are_logged_and_those_of_one_namespace_left_out(monkeypatch, capsys, errors_alone):
    observers = []
    monkeypatch.setattr(
        type(globalLogBeginner),
        "beginLoggingTo",
        lambda self, found, redirectStandardIO: observers.extend(found),
    )
    reactor.log_warnings(errors_alone)

    def log(namespace, level, text):
        event = {"log_namespace": namespace, "log_level": level, "log_format": text}
        observers[0]({**event, "log_time": 0.0, "log_system": namespace})

    for namespace in ("mtnet.noisy", "mtnet.other"):
        log(namespace, LogLevel.info, f"{namespace} informs")
        log(namespace, LogLevel.warn, f"{namespace} warns")
        log(namespace, LogLevel.error, f"{namespace} fails")
    said = capsys.readouterr().err
    assert "informs" not in said
    assert ("mtnet.noisy warns" in said) is not bool(errors_alone)
    for text in ("mtnet.other warns", "mtnet.noisy fails", "mtnet.other fails"):
        assert text in said
    assert os.linesep.join(said.splitlines()).count("mtnet.other warns") == 1
