"""What the live tests share."""

import signal

import pytest
from live_daemon import RealDaemon


@pytest.fixture
def daemon(tmp_path):
    running = RealDaemon(tmp_path)
    yield running
    if running.process is not None:
        running.stop(signal.SIGKILL)
