"""What the tests of MQL5 programs share."""

import os
from itertools import count

import pytest
from imitation.scene import Scene
from imitation.server import Server
from translator.compiler import Compiler, missing

collect_ignore = [] if os.environ.get("MTNET_TEST_EXHAUSTIVE") else ["beyond"]
"""Scenarios that wait for minutes in all; pytest runs them when it is given their folder."""
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
def scene(compiler, shared_server, tmp_path):
    """Terminals and a channel of their own at the shared daemon."""
    made = Scene(compiler, shared_server, tmp_path, f"channel{next(numbers)}")
    yield made
    made.end()


@pytest.fixture
def scene_at(compiler, tmp_path):
    """Make a scene at a daemon of its own: `scene_at("signals.grace=0", accounts={…})`."""
    made = []

    def make(*sets, **options):
        server = Server(tmp_path / "server", *sets, **options).start()
        made.append(Scene(compiler, server, tmp_path, "main"))
        return made[-1]

    yield make
    for each in made:
        each.end()
        each.server.end()
