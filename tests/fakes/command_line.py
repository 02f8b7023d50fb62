"""`mtnet` in this process: words in, exit status and output out, with servers in memory."""

import io
import json
from errno import ECONNREFUSED, ECONNRESET
from selectors import EVENT_READ, PollSelector
from types import SimpleNamespace
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
PATIENCE = 20.0
"""Real seconds for which the clock stands still while files, pipes and processes say nothing."""


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
    A socket of the standard library that leads to a protocol.

    Attributes:
        said: everything that was ever sent.
        unread: what the command has not read.
    """

    def __init__(self, terminal, clock):
        self._terminal, self._clock = terminal, clock
        self._is_cut, self.unread, self.said = False, b"", b""

    def settimeout(self, seconds):
        pass

    def sendall(self, data):
        assert not data

    def getpeername(self):
        return ("127.0.0.1", 8081)

    def send(self, data):
        self.said += data
        self._terminal.send(bytes(data))
        return len(data)

    def is_ready(self):
        self.unread += self._terminal.received()
        ended = self._terminal.closed or self._terminal.transport.ended
        return bool(self.unread) or self._is_cut or ended

    def recv(self, size):
        found, self.unread = self.unread, b""
        if not found and self._is_cut:
            raise ConnectionResetError(ECONNRESET, "reset")
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


class MemorySelector:
    """A selector of sockets in memory, whose waits move the clock, and of real files and pipes."""

    def __init__(self, command_line):
        self._command_line, self._clock = command_line, command_line.clock
        self._until = self._clock.seconds() + LONGEST
        self._sockets, self._files = {}, PollSelector()

    def register(self, watched, events, data):
        if isinstance(watched, int):
            return self._files.register(watched, events, data)
        self._sockets[watched] = SimpleNamespace(fd=watched, data=data)

    def unregister(self, watched):
        if isinstance(watched, int):
            return self._files.unregister(watched)
        del self._sockets[watched]

    def get_map(self):
        return {**self._sockets, **{key.fd: key for key in self._files.get_map().values()}}

    def select(self, timeout):
        until = self._clock.seconds() + timeout
        while not (found := self._ready()) and self._clock.seconds() < until:
            assert self._clock.seconds() < self._until, "The command does not end."
            self._clock.advance(0.05)
        return found

    def _ready(self):
        found = [(key, EVENT_READ) for at, key in self._sockets.items() if at.is_ready()]
        if not self._files.get_map():
            return found
        waits = not found and self._command_line.waits_for_files
        return found + self._files.select(PATIENCE if waits else 0)


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
        waits_for_files: whether the clock stands still until a file, a pipe or a process is ready.
    """

    def __init__(self, folder, clock, capsys, monkeypatch):
        self.folder, self.clock, self.server = folder, clock, None
        self.asked, self._capsys, self._monkeypatch = [], capsys, monkeypatch
        self._at, self._reactor, self.waits_for_files = {}, None, True
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        monkeypatch.delenv("MTNET_CONTEXT", raising=False)
        monkeypatch.setattr(reactor, "react", self._react)
        monkeypatch.setattr(reactor, "log_warnings", lambda: None)
        monkeypatch.setattr(reactor, "server_from_string", self._endpoint)
        monkeypatch.setattr(blocking, "dial", self._dial)
        monkeypatch.setattr(blocking, "monotonic", clock.seconds)
        monkeypatch.setattr(blocking, "Selector", lambda: MemorySelector(self))

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
