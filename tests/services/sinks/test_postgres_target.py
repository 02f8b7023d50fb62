"""A system without descriptors or threads to spare is a failure of the target like any other."""

import os
import socket
from contextlib import suppress
from errno import EMFILE
from threading import Thread

import pytest

psycopg = pytest.importorskip("psycopg")

from mtnet.services.sinks.postgres import PostgresTarget  # noqa: E402
from mtnet.services.sinks.target import TargetError  # noqa: E402


class Connection:
    """A connection to a server that says nothing."""

    def __init__(self):
        self._socket, self._server = socket.socketpair()
        self.fileno, self.closed = self._socket.fileno, False

    def close(self):
        self.closed = True
        self._socket.close()
        self._server.close()


@pytest.fixture
def connection(monkeypatch):
    made = Connection()
    monkeypatch.setattr(psycopg, "connect", lambda **options: made)
    yield made
    made.close()


@pytest.fixture
def copies(monkeypatch):
    """The descriptors that were copied."""
    made, dup = [], os.dup
    monkeypatch.setattr(os, "dup", lambda file: made.append(dup(file)) or made[-1])
    return made


def is_open(file):
    with suppress(OSError):
        return bool(os.fstat(file))
    return False


def no_descriptor(*arguments, **options):
    raise OSError(EMFILE, os.strerror(EMFILE))


def no_thread(*arguments):
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("call", ["write", "check"])
@pytest.mark.parametrize(
    ("owner", "name", "fail", "sentence"),
    [
        (os, "dup", no_descriptor, "Too many open files"),
        (socket, "socket", no_descriptor, "Too many open files"),
        (Thread, "start", no_thread, "can't start new thread"),
    ],
)
def test_what_the_system_has_none_left_of_is_a_failure_of_the_target(
    monkeypatch, connection, copies, owner, name, fail, sentence, call
):
    target = PostgresTarget("sinks.x.url", "postgresql://db.example/ticks", "ticks", 5.0)
    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(TargetError, match=sentence):
        getattr(target, call)(*{"write": ("desk", None), "check": ()}[call])
    monkeypatch.undo()
    assert connection.closed
    assert not any(map(is_open, copies))
    assert len(copies) == (owner is not os)
