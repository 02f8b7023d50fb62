"""What the tests share."""

import os
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from mtnet.testing import make_hub


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def hub_with(tmp_path, clock):
    """Make a hub in the test's own data folder: `hub_with("signals.pace=0")`."""

    def make(*sets):
        return make_hub(tmp_path / "data", clock, *sets)

    return make


@pytest.fixture
def real_data():
    """The folder of real ticks and templates, which is not part of the project."""
    folder = os.environ.get("MTNET_TEST_DATA")
    if not folder:
        pytest.skip("MTNET_TEST_DATA does not name the folder of real ticks and templates.")
    return Path(folder)
