"""The log file of twistd, reopened."""

import signal

import pytest
from twisted.application.app import AppLogger
from twisted.python.logfile import LogFile
from twisted.scripts._twistd_unix import UnixAppLogger

from mtnet.daemon.process import reload


@pytest.fixture
def file(tmp_path):
    opened = LogFile("mtnet.log", str(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
def handler():
    """Put the handler of SIGUSR1 back."""
    before = signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_what_was_moved_away_gets_no_more_lines(file, tmp_path):
    file.write("before\n")
    (tmp_path / "mtnet.log").rename(tmp_path / "mtnet.log.1")
    reload.reopen(file)
    file.write("after\n")
    assert (tmp_path / "mtnet.log").read_text() == "after\n"
    assert (tmp_path / "mtnet.log.1").read_text() == "before\n"


def test_what_was_not_moved_is_written_on_at_its_end(file, tmp_path):
    file.write("before\n")
    reload.reopen(file)
    file.write("after\n")
    assert (tmp_path / "mtnet.log").read_text() == "before\nafter\n"


def test_where_it_cannot_be_opened_the_old_one_is_written_to(file, tmp_path):
    (tmp_path / "mtnet.log").rename(tmp_path / "mtnet.log.1")
    (tmp_path / "mtnet.log").mkdir()
    with pytest.raises(OSError, match="directory"):
        reload.reopen(file)
    file.write("on\n")
    assert (tmp_path / "mtnet.log.1").read_text() == "on\n"


def test_the_file_of_twistd_is_found(tmp_path, handler):
    """It hangs on names of Twisted's own."""
    assert reload.current() is None
    logger = UnixAppLogger({"logfile": str(tmp_path / "mtnet.log"), "nodaemon": True})
    assert isinstance(logger, AppLogger)
    logger._getLogObserver()
    found = reload.current()
    assert isinstance(found, LogFile)
    assert found.path == str(tmp_path / "mtnet.log")
    found.close()
