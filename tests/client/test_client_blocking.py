"""The client without an event loop, over a socket in memory."""

import socket
import ssl
from types import SimpleNamespace

import pytest

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
    """A socket that answers each read with the next of `answers`; the last one is repeated."""

    def __init__(self, clock, answers, cost=0.0):
        self._clock, self._answers, self._cost = clock, list(answers), cost
        self.waits, self.closed = [], False

    def getpeername(self):
        return ("127.0.0.1", 8081)

    def settimeout(self, seconds):
        self.waits.append(seconds)

    def recv(self, size):
        self._clock.advance(self._cost)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is TimeoutError:
            self._clock.advance(self.waits[-1])
            raise TimeoutError
        return answer

    def shutdown(self, how):
        pass

    def close(self):
        self.closed = True


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
    monkeypatch.setattr(module, "sleep", clock.advance)
    return run


def test_what_is_due_is_done_while_bytes_never_stop_coming(connect, clock):
    notes, _ = connect(Socket(clock, [b"x"], cost=1.0), seconds=11.5)
    assert [each for each in notes if each != b"x"] == ["begun", "due", "due"]


@pytest.mark.parametrize(("every", "wait"), [(5.0, 5.0), (None, LONGEST)])
def test_where_nothing_ends_it_each_wait_has_an_end(connect, clock, every, wait):
    quiet = Socket(clock, [TimeoutError, b"end"])
    connect(quiet, seconds=None, every=every, ended=lambda notes: notes[-1] == b"end")
    assert quiet.waits == [wait, wait]


def test_no_attempt_to_connect_again_takes_longer_than_there_is_time(connect, clock):
    notes, timeouts = connect(Socket(clock, [b""]), seconds=10.0)
    assert notes[:2] == ["begun", "lost: the server closed it"]
    assert timeouts == [module.CONNECT_TIMEOUT, 6.0, 2.0, module.SHORTEST]


def test_what_ends_with_the_time_is_no_event(connect, clock):
    notes, _ = connect(Socket(clock, [TimeoutError]), seconds=3.0)
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
