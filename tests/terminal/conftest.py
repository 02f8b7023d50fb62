"""What the tests of MQL5 programs share."""

from itertools import count

import pytest
from imitation.scene import Scene
from imitation.server import Server
from translator.compiler import Compiler, missing

numbers = count(1)


@pytest.fixture(scope="session")
def compiler():
    """g++ with the flags of the tests; without it the tests skip."""
    sentence = missing()
    if sentence:
        pytest.skip(sentence)
    return Compiler()


@pytest.fixture(scope="session")
def shared_server(compiler, tmp_path_factory):
    """One daemon for all scenes that leave it alone."""
    server = Server(tmp_path_factory.mktemp("server")).start()
    yield server
    server.end()


@pytest.fixture
def own_server(compiler, tmp_path):
    """A daemon that the test may end and start."""
    server = Server(tmp_path / "server").start()
    yield server
    server.end()


@pytest.fixture
def scene(compiler, shared_server, tmp_path):
    """Terminals and a channel of their own at the shared daemon."""
    made = Scene(compiler, shared_server, tmp_path, f"channel{next(numbers)}")
    yield made
    made.end()


@pytest.fixture
def own_scene(compiler, own_server, tmp_path):
    """Terminals at a daemon of their own."""
    made = Scene(compiler, own_server, tmp_path, "main")
    yield made
    made.end()
