"""The daemon, without a process of its own."""

import errno
import time

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock

from mtnet.daemon.configuration import load
from mtnet.daemon.datadir import DataFolder
from mtnet.daemon.process.machine import SPACE_CHECK_INTERVAL
from mtnet.interfaces import IHealth, ITicks
from mtnet.service import Daemon

DAY = 86_400_000


class FullDisk(MemoryReactorClock):
    """A reactor whose disk has no room for a socket until it is told."""

    full = True

    def listenUNIX(self, address, *arguments, **options):
        if self.full:
            raise CannotListenError(None, address, OSError(errno.ENOSPC, "No space left"))
        return super().listenUNIX(address, *arguments, **options)


class Thread:
    """A worker whose work is done at once."""

    def __init__(self, *_):
        pass

    def __call__(self, function, *arguments):
        return maybeDeferred(function, *arguments)

    later = __call__

    def start(self):
        pass

    stop = start

    def trouble(self):
        return None


@pytest.fixture
def start(tmp_path, monkeypatch):
    """Start a daemon on a reactor and the test's own data folder."""
    monkeypatch.setattr("mtnet.daemon.process.machine.SerialWorker", Thread)
    monkeypatch.setattr("mtnet.service.on_hangup", lambda *_: None)
    started = []

    def begin(reactor):
        listens = [f"{name}=tcp:1" for name in ("signals", "templates", "ticks", "web")]
        sets = ["access.anonymous=follow,fetch"]
        daemon = Daemon(load(data=str(tmp_path / "data"), sets=sets, listens=listens), reactor)
        started.append(daemon)
        daemon.startService()
        return daemon

    yield begin
    for daemon in started:
        daemon.stopService()


def test_a_control_socket_that_a_full_disk_had_no_room_for_is_made_when_it_has(
    start, monkeypatch, log
):
    monkeypatch.setattr("mtnet.daemon.control.unix_socket.has_free_space", lambda _: False)
    monkeypatch.setattr("mtnet.daemon.datadir.has_free_space", lambda _: not reactor.full)
    reactor = FullDisk()
    start(reactor)
    reactor.advance(SPACE_CHECK_INTERVAL)
    assert reactor.unixServers == []
    reactor.full = False
    for _ in range(3):
        reactor.advance(SPACE_CHECK_INTERVAL)
    assert [path.rpartition("/")[2] for path, *_ in reactor.unixServers] == ["control"]
    assert [each["log_format"] for each in log if "control socket" in each["log_format"]] == [
        "The control socket is made, now that the disk has room."
    ]


def test_a_clock_that_went_on_from_a_doubted_start_is_right_and_noted(start, tmp_path):
    reactor, now = FullDisk(), time.time_ns() // 1_000_000
    reactor.full = False
    folder = DataFolder(str(tmp_path / "data"))
    folder.record_run(now - 40 * DAY, True, 0)
    folder.record_run(now - DAY // 4, False, now - 2 * DAY)
    folder.release()
    daemon = start(reactor)
    assert daemon.health()["warnings"] == []
    assert daemon._machine.folder.last_run() >= now


def test_strangers_are_not_told_where_the_data_folder_is(start, monkeypatch, tmp_path):
    reactor = FullDisk()
    reactor.full = False
    daemon = start(reactor)
    trouble = f"{tmp_path / 'data' / 'ticks.sqlite'} cannot be read."
    health = {"healthy": False, "trouble": trouble}
    monkeypatch.setattr(daemon.components.find(ITicks), "health", lambda: health)
    assert daemon.components.find(IHealth).health()["trouble"] == [
        "ticks: ticks.sqlite cannot be read."
    ]
    assert (
        daemon.components.find(IHealth).health()["ticks"]["trouble"]
        == "ticks.sqlite cannot be read."
    )
    assert daemon.status()["trouble"] == [f"ticks: {trouble}"]


def test_each_service_has_its_own_limit_of_connections_from_a_network(start):
    reactor = FullDisk()
    reactor.full = False
    daemon = start(reactor)
    for _, factory, *_ in reactor.tcpServers:
        for port in range(60):
            factory.buildProtocol(IPv4Address("TCP", "192.0.2.9", 1_024 + port))
    access = daemon.status()["access"]
    connections = {
        name: access[name]["connections"] for name in ("signals", "templates", "ticks", "web")
    }
    assert connections == {"signals": 50, "templates": 10, "ticks": 20, "web": 50}
