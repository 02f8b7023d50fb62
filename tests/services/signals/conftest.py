"""What the tests of signals share."""

import pytest

from mtnet.services.signals.journal.journal import Journal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "signals.sqlite"


@pytest.fixture
def journal(path):
    made = Journal(path, 10_000)
    made.load()
    yield made
    made.close()
