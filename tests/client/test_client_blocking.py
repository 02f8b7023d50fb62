"""The client without an event loop, over a socket in memory."""

import os
import socket
import ssl
import threading
from selectors import EVENT_READ
from types import SimpleNamespace

import pytest

from mtnet.callbacks import noop
from mtnet.client.blocking import runner as module
from mtnet.client.blocking.runner import LONGEST, BlockingRunner
from mtnet.client.core.address import read_address
from mtnet.errors import ClientError

ADDRESS = read_address("tcp:127.0.0.1:8081")


class Output:
    ending = ""

    def data_to_send(self):
        return b""

    def delay(self, attempt=0):
        return 4.0


class NotingCore:
    """
    A core whose events are what is done with it.

    Args:
        every: seconds between its deadlines; None = it has none.
    """

    def __init__(self, every):
        self.session, self.deadline, self._every = Output(), None, every

    def begin(self, framing, when, clear_peer=""):
        self.deadline = self._every and when + self._every
        return ["begun"]

    def receive(self, data, when):
        return [data]

    def expire(self, when):
        self.deadline = when + self._every
        return ["due"]

    def lose(self, reason):
        self.deadline = None
        return [f"lost: {reason}"]

    def unreachable(self, text):
        return [text]

    def stop(self):
        return ["stopped"]


class Socket:
    """A socket that answers each wait with the next of `answers`; the last one is repeated."""

    def __init__(self, clock, answers, cost=0.0):
        self._clock, self._answers, self._cost = clock, list(answers), cost
        self.waits, self.closed = [], False

    def getpeername(self):
        return ("127.0.0.1", 8081)

    def settimeout(self, seconds):
        pass

    def sendall(self, data):
        assert not data

    def wait(self, seconds):
        """Return whether there is something to read before so many seconds have passed."""
        self.waits.append(seconds)
        if self._answers[0] is not NOTHING:
            return True
        self._next()
        self._clock.advance(seconds)
        return False

    def recv(self, size):
        self._clock.advance(self._cost)
        answer = self._next()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _next(self):
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def shutdown(self, how):
        pass

    def close(self):
        self.closed = True


NOTHING = object()
"""The answer of a server that says nothing as long as somebody waits."""


class Selector:
    """Waits for one socket at most, by the clock."""

    def __init__(self, clock):
        self._clock, self._keys = clock, {}

    def register(self, watched, events, data):
        self._keys[watched] = SimpleNamespace(fd=watched, data=data)

    def unregister(self, watched):
        del self._keys[watched]

    def get_map(self):
        return self._keys

    def select(self, seconds):
        if not self._keys:
            self._clock.advance(seconds)
        return [(key, EVENT_READ) for watched, key in self._keys.items() if watched.wait(seconds)]


@pytest.fixture
def connect(clock, monkeypatch):
    """Return a call that runs a core over sockets, one after the other, and returns its notes."""

    def run(*sockets, seconds, ended=lambda notes: False, every=5.0):
        waiting, timeouts = list(sockets), []

        def dial(address, timeout):
            timeouts.append(timeout)
            if not waiting:
                raise ConnectionRefusedError(111, "refused")
            return waiting.pop(0)

        monkeypatch.setattr(module, "dial", dial)
        notes = []
        client = BlockingRunner(ADDRESS, NotingCore(every), notes.append, lambda _: None)
        client.run(lambda: ended(notes), seconds)
        client.close()
        return notes, timeouts

    monkeypatch.setattr(module, "monotonic", clock.seconds)
    monkeypatch.setattr(module, "Selector", lambda: Selector(clock))
    return run


def test_what_is_due_is_done_while_bytes_never_stop_coming(connect, clock):
    notes, _ = connect(Socket(clock, [b"x"], cost=1.0), seconds=11.5)
    assert [each for each in notes if each != b"x"] == ["begun", "due", "due"]


@pytest.mark.parametrize(("every", "wait"), [(5.0, 5.0), (None, LONGEST)])
def test_where_nothing_ends_it_each_wait_has_an_end(connect, clock, every, wait):
    quiet = Socket(clock, [NOTHING, NOTHING, b"end"])
    connect(quiet, seconds=None, every=every, ended=lambda notes: notes[-1] == b"end")
    assert quiet.waits[:2] == [wait, wait]


def test_no_attempt_to_connect_again_takes_longer_than_there_is_time(connect, clock):
    notes, timeouts = connect(Socket(clock, [b""]), seconds=10.0)
    assert notes[:2] == ["begun", "lost: the server closed it"]
    assert timeouts == [module.CONNECT_TIMEOUT, 6.0, 2.0]


def test_what_ends_with_the_time_is_no_event(connect, clock):
    notes, _ = connect(Socket(clock, [NOTHING]), seconds=3.0)
    assert notes == ["begun"]


@pytest.mark.parametrize("error", [ConnectionResetError(104, "reset"), ssl.SSLEOFError(8, "EOF")])
def test_a_port_that_breaks_off_the_handshake_is_asked_whether_it_speaks_tls(monkeypatch, error):
    def wrap_socket(found, server_hostname):
        raise error

    here = socket.socket()
    monkeypatch.setattr(module.socket, "create_connection", lambda where, timeout: here)
    monkeypatch.setattr(module, "context", lambda address: SimpleNamespace(wrap_socket=wrap_socket))
    monkeypatch.setattr(module, "enable_keepalive", lambda found: None)
    address = read_address("secure:fx.example:8081")
    client = BlockingRunner(address, NotingCore(None), print, lambda _: None)
    with pytest.raises(ClientError) as refused:
        client.run(lambda: True, 1.0)
    assert str(refused.value) == (
        "No connection to secure:fx.example:8081: the server broke off the TLS handshake; does "
        "that port speak TLS?"
    )
    assert here.fileno() == -1


def test_half_a_record_of_tls_is_waited_for(connect, clock):
    notes, _ = connect(
        Socket(clock, [ssl.SSLWantReadError(2, "later"), b"whole"]),
        seconds=None,
        ended=lambda notes: notes[-1] == b"whole",
    )
    assert notes[:2] == ["begun", b"whole"]


def test_a_pipe_is_read_while_nothing_comes_from_the_server_and_while_there_is_none():
    """With real pipes and sockets; the server closes the first connection."""
    here, there = socket.socketpair()
    reader, writer = os.pipe()
    core, read = NotingCore(None), []
    core.session.delay = lambda attempt=0: 30.0
    client = BlockingRunner(ADDRESS, core, noop, lambda _: None)
    client._connect = lambda timeout: here
    client.watch(reader, lambda: read.append(os.read(reader, 9)))
    os.write(writer, b"one")
    there.close()
    threading.Timer(0.05, os.write, (writer, b"two")).start()
    client.run(lambda: read[-1:] == [b"two"], 20.0)
    client.unwatch(reader)
    client.close()
    assert read == [b"one", b"two"]
    os.close(reader)
    os.close(writer)


@pytest.fixture
def pair():
    """Two ends of a connection with little room, over TCP, on which an end can be a reset."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        here = socket.create_connection(server.getsockname())
        there, _ = server.accept()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    with here, there:
        yield here, there


DATA = bytes(range(256)) * 2_048


def read_all(connection):
    return b"".join(iter(lambda: connection.recv(65_536), b""))


class Writing(NotingCore):
    """A core that writes `DATA` on each connection."""

    def begin(self, framing, when, clear_peer=""):
        waiting = [DATA]
        self.session.data_to_send = lambda: waiting.pop() if waiting else b""
        return ["begun"]


def test_what_the_peer_takes_slowly_is_sent_while_files_and_answers_are_read(pair):
    here, there = pair
    came, notes = bytearray(), []
    client = BlockingRunner(ADDRESS, Writing(None), notes.append, lambda _: None)
    client._connect = lambda timeout: here

    def take():
        came.extend(there.recv(65_536))
        if len(came) >= len(DATA):
            client.unwatch(there.fileno())
            there.sendall(b"answer")

    client.watch(there.fileno(), take)
    client.run(lambda: len(came) >= len(DATA) and b"answer" in notes, 20.0)
    client.close()
    assert came == DATA


def test_what_is_cut_in_its_middle_ends_in_a_reset_and_not_as_if_it_were_whole(pair):
    here, there = pair
    client = BlockingRunner(ADDRESS, Writing(None), noop, lambda _: None)
    client._connect = lambda timeout: here
    client.run(lambda: client._unsent, None)
    client.abort()
    with pytest.raises(ConnectionResetError):
        read_all(there)


def test_the_last_bytes_leave_before_the_connection_is_closed(pair):
    here, there = pair
    came = []
    client = BlockingRunner(ADDRESS, Writing(None), noop, lambda _: None)
    client._connect = lambda timeout: here
    client.run(lambda: client._unsent, None)
    taking = threading.Thread(target=lambda: came.append(read_all(there)))
    taking.start()
    client.close()
    taking.join()
    assert came == [DATA]
