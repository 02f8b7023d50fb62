"""What systemd is told, on a real datagram socket."""

import os
import socket
import sys

import pytest

from mtnet.daemon.process.systemd import ServiceManager
from mtnet.daemon.process.watchdog import Watchdog

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's.")


class Worker:
    problem = None

    def trouble(self):
        return self.problem


@pytest.fixture(params=["file", "abstract"])
def systemd(request, tmp_path):
    """Return the socket of a systemd, and the variables that it sets."""
    name = f"@mtnet-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(name.replace("@", "\0", 1) if name.startswith("@") else name)
        receiver.settimeout(5)
        yield receiver, {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "60000000"}


def test_each_step_is_one_datagram(systemd):
    receiver, environ = systemd
    manager = ServiceManager(environ)
    manager.ready()
    manager.reloading()
    manager.stopping()
    assert receiver.recv(100) == b"READY=1"
    state, clock = receiver.recv(100).split(b"\n")
    assert state == b"RELOADING=1"
    assert int(clock.removeprefix(b"MONOTONIC_USEC=")) > 0
    assert receiver.recv(100) == b"STOPPING=1"


def test_signs_of_life_come_at_half_the_interval_and_only_while_the_threads_go(systemd):
    receiver, environ = systemd
    manager, disk, worker = ServiceManager(environ), Worker(), Worker()
    assert manager.watchdog == 30.0
    watchdog = Watchdog({"signals": {"": worker}}, disk, lambda: None)
    manager.give_sign_of_life(watchdog.goes)
    assert receiver.recv(100) == b"WATCHDOG=1"
    receiver.setblocking(False)
    for stuck in (disk, worker):
        stuck.problem = "The disk has not answered for 7 s"
        manager.give_sign_of_life(watchdog.goes)
        stuck.problem = None
        with pytest.raises(BlockingIOError):
            receiver.recv(100)


def test_the_watchdog_of_another_process_is_left_alone(systemd):
    receiver, environ = systemd
    receiver.setblocking(False)
    ServiceManager({**environ, "WATCHDOG_PID": "1"}).give_sign_of_life(lambda: True)
    with pytest.raises(BlockingIOError):
        receiver.recv(100)
    ServiceManager({**environ, "WATCHDOG_PID": str(os.getpid())}).give_sign_of_life(lambda: True)
    assert receiver.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("microseconds", ["", "0", "-5", "x", "²"])
def test_without_a_watchdog_no_sign_is_expected(systemd, microseconds):
    assert ServiceManager({**systemd[1], "WATCHDOG_USEC": microseconds}).watchdog is None


def test_without_systemd_or_with_a_socket_that_is_gone_the_daemon_goes_on(tmp_path):
    ServiceManager({}).ready()
    assert ServiceManager({"WATCHDOG_USEC": "60000000"}).watchdog is None
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
