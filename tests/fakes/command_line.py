"""`mtnet` in this process: words in, exit status and output out, with servers in memory."""

import io
import json
from errno import ECONNREFUSED, ECONNRESET
from typing import NamedTuple

from fakes.transports import MemoryEndpoint
from twisted.internet.interfaces import IReactorCore, IReactorTime
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from mtnet.cli import local, reactor
from mtnet.cli.main import main
from mtnet.client.blocking import runner as blocking
from mtnet.daemon.control import client
from mtnet.daemon.control.protocol import ControlFactory
from mtnet.testing import connect

LONGEST = 600.0
"""Seconds after which a command that does not end is an error of the test."""


class Terminal(io.StringIO):
    """A file that is a terminal."""

    def isatty(self):
        return True


class Result(NamedTuple):
    """What became of a command; `error` is its sentence without the program's name."""

    status: int
    out: str
    error: str


@implementer(IReactorTime, IReactorCore)
class FakeReactor:
    """The clock of the test as a reactor, whose `seconds` nobody can replace."""

    def __init__(self, clock):
        vars(self).update(clock=clock, triggers=[])

    def __setattr__(self, name, value):
        assert name == "seconds"

    def seconds(self):
        return self.clock.seconds()

    def callLater(self, *call, **more):
        return self.clock.callLater(*call, **more)

    def addSystemEventTrigger(self, phase, event, call):
        self.triggers.append(call)


class MemorySocket:
    """
    A socket of the standard library that leads to a protocol; its waits move the clock.

    Attributes:
        said: everything that was ever sent.
    """

    def __init__(self, terminal, clock):
        self._terminal, self._clock, self._seconds = terminal, clock, 0.0
        self._until = clock.seconds() + LONGEST
        self._is_cut, self.said = False, b""

    def settimeout(self, seconds):
        self._seconds = seconds

    def getpeername(self):
        return ("127.0.0.1", 8081)

    def sendall(self, data):
        self.said += data
        self._terminal.send(data)

    def recv(self, size):
        until = self._clock.seconds() + self._seconds
        while not (found := self._terminal.received()):
            if self._is_cut:
                raise ConnectionResetError(ECONNRESET, "reset")
            if self._terminal.closed or self._terminal.transport.ended:
                return b""
            if self._clock.seconds() >= until:
                raise TimeoutError
            assert self._clock.seconds() < self._until, "The command does not end."
            self._clock.advance(0.05)
        return found

    def shutdown(self, how):
        self._terminal.finish()

    def cut(self):
        """Break the connection, in the eyes of both."""
        self._is_cut = True
        self._terminal.hang_up()

    def close(self):
        if not self._is_cut:
            self._terminal.hang_up()
        self._clock.advance(0)


class MemorySockets:
    """The connections of a command without a reactor, newest last."""

    def __init__(self):
        self.connections = []

    @property
    def connection(self):
        return self.connections[-1]


class CommandLine:
    """
    Runs commands.

    Attributes:
        folder: the data folder.
        server: what builds the protocols of `--server`; an exception refuses connections.
        endpoint: that of the last command that talked to the server.
    """

    def __init__(self, folder, clock, capsys, monkeypatch):
        self.folder, self.clock, self.server = folder, clock, None
        self.asked, self._capsys, self._monkeypatch = [], capsys, monkeypatch
        self._at, self._reactor = {}, None
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        monkeypatch.delenv("MTNET_CONTEXT", raising=False)
        monkeypatch.setattr(reactor, "react", self._react)
        monkeypatch.setattr(reactor, "log_warnings", lambda: None)
        monkeypatch.setattr(reactor, "server_from_string", self._endpoint)
        monkeypatch.setattr(blocking, "dial", self._dial)
        monkeypatch.setattr(blocking, "monotonic", clock.seconds)
        monkeypatch.setattr(blocking, "sleep", clock.advance)

    def __call__(self, *words, typed="", at=()):
        """
        Run a command.

        Args:
            typed: standard input, which is not a terminal.
            at: (seconds, call) pairs: what happens while the command runs.
        """
        self._monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        self._at, self._reactor, self.endpoint = at, None, MemorySockets()
        self._capsys.readouterr()
        status, sentence = 0, ""
        try:
            main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code
            status, sentence = (code, "") if isinstance(code, int) else (1, f"{code}\n")
        out, error = self._capsys.readouterr()
        return Result(status, out, error + sentence)

    def on_folder(self, *words, **options):
        """Run a command on the data folder."""
        return self(*words, "--data", self.folder, **options)

    def interrupt(self):
        """Press Ctrl-C."""
        if self._reactor is None:
            raise KeyboardInterrupt
        for trigger in self._reactor.triggers:
            trigger()

    def attach(self, commands):
        """Let the control socket of the data folder be answered by `commands`."""
        self._control = ControlFactory(commands)
        self._monkeypatch.setattr(local, "answers", lambda path: True)
        self._monkeypatch.setattr(local, "ask", self._ask)

    def _ask(self, path, command, wait=client.TIMEOUT, **arguments):
        assert path == self.folder / "control"
        request = {**arguments, "command": command}
        self.asked.append(request)
        transport, protocol = StringTransport(), self._control.buildProtocol(None)
        protocol.makeConnection(transport)
        protocol.dataReceived(json.dumps(request).encode() + b"\n")
        return client._result(path, transport.value())

    def _endpoint(self, reactor, text, ca):
        self.endpoint = MemoryEndpoint(self.server, self.clock)
        return self.endpoint

    def _dial(self, address, timeout):
        if isinstance(self.server, Exception):
            raise ConnectionRefusedError(ECONNREFUSED, "refused")
        self._plan()
        made = MemorySocket(connect(self.server, self.clock), self.clock)
        self.endpoint.connections.append(made)
        return made

    def _plan(self):
        for seconds, call in self._at:
            self.clock.callLater(seconds, call)
        self._at = ()

    def _react(self, work):
        self._reactor = FakeReactor(self.clock)
        self._plan()
        working, ended = work(self._reactor), []
        working.addBoth(ended.append)
        until = self.clock.seconds() + LONGEST
        while not ended and self.clock.seconds() < until:
            self.endpoint.settle()
            self.clock.advance(0.05)
        self.endpoint.settle()
        assert ended, "The command does not end."
        raise SystemExit(0)
