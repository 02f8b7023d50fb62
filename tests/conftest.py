"""What the tests share."""

import os
import signal
import tempfile
from pathlib import Path

import pytest
from fakes.command_line import CommandLine
from hypothesis import HealthCheck, settings
from twisted.internet.task import Clock
from twisted.internet.testing import EventLoggingObserver
from twisted.logger import globalLogPublisher

from mtnet.services.signals.journal.checkpoints import Checkpoints
from mtnet.testing import make_environment

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell lets what runs in its background ignore Ctrl-C, and so would every program that
    # the tests start and end with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


MEMORY, ROOM = "/dev/shm", 4 * 2**30


def pytest_configure():
    """
    Keep the folders of the tests in memory where there is room and programs may be run.

    Half of the time of many tests is a disk that writes what no test needs after a power cut.
    """
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK):
        return
    found = os.statvfs(MEMORY)
    if found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC:
        tempfile.tempdir = MEMORY


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers():
    """Let `-n auto` start two workers a processor: many tests wait for other programs."""
    return 2 * (os.cpu_count() or 1)


# How long an example takes says more about who else uses the machine than about the code.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(autouse=True)
def _no_heads_left_open(monkeypatch):
    """
    Close the checkpoint file of every journal that a test forgets: whether the journal closes it by
    itself, or Python warns of it, depends on which of the two is found to be garbage first.
    """
    opened, really_open = [], Checkpoints._open

    def note(checkpoints):
        opened.append(checkpoints)
        return really_open(checkpoints)

    monkeypatch.setattr(Checkpoints, "_open", note)
    yield
    for checkpoints in opened:
        checkpoints.close()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def env_with(tmp_path, clock):
    """Make a env in the test's own data folder: `env_with("signals.pace=0")`."""

    def make(*sets):
        return make_environment(tmp_path / "data", clock, *sets)

    return make


@pytest.fixture
def real_data():
    """The folder of real ticks and templates, which is not part of the project."""
    folder = os.environ.get("MTNET_TEST_DATA")
    if not folder:
        pytest.skip("MTNET_TEST_DATA does not name the folder of real ticks and templates.")
    return Path(folder)


@pytest.fixture
def log():
    """The log lines of the test."""
    observer = EventLoggingObserver()
    globalLogPublisher.addObserver(observer)
    yield observer
    globalLogPublisher.removeObserver(observer)


@pytest.fixture
def warnings(log):
    """Return the warnings so far."""
    return lambda: [event for event in log if event["log_level"].name not in ("debug", "info")]


@pytest.fixture
def command_line(tmp_path, clock, capsys, monkeypatch):
    """`mtnet` in this process, on a data folder of its own and with a server in memory."""
    for name in [name for name in os.environ if name.startswith("MTNET_")]:
        monkeypatch.delenv(name)
    return CommandLine(tmp_path / "data", clock, capsys, monkeypatch)
