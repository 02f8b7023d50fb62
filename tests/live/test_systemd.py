"""A socket that systemd made and handed over."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from live_daemon import PATIENCE, until

ROOT = Path(__file__).parents[2]
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="signals")
os.execv(sys.executable, [sys.executable, "-m", "mtnet", "run", *sys.argv[2:]])
"""
SOCKET = "--listen=signals=systemd:domain=INET:name=signals"
ALONE = (SOCKET, "--listen=templates=off", "--listen=web=off")


def start(daemon, handed, *options):
    command = [sys.executable, "-c", ACTIVATE, str(handed.fileno()), "--data", str(daemon.data)]
    with (daemon.folder / "log.txt").open("a", encoding="utf-8") as log:
        return subprocess.Popen(
            [*command, *ALONE, *options],
            env=daemon.environ,
            pass_fds=[handed.fileno()],
            stdout=log,
            stderr=subprocess.STDOUT,
        )


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's.")
def test_a_handed_socket_is_served_and_its_address_decides_who_may_do_what(daemon):
    with socket.create_server(("127.0.0.1", 0)) as handed:
        daemon.process = start(daemon, handed)
        until(daemon.answers)
        assert daemon.port("signals") == handed.getsockname()[1]
        assert daemon.publish(b"<<GBPUSD|0.25>>")
        assert daemon.first_frame() == b"<<GBPUSD|0.25>>\r\n"
        daemon.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's.")
def test_a_handed_socket_that_strangers_reach_needs_a_word_about_them(daemon):
    with socket.create_server(("0.0.0.0", 0)) as handed:
        assert start(daemon, handed).wait(PATIENCE) == 1
    assert "access.anonymous" in daemon.logged()
    assert "Traceback" not in daemon.logged()


def test_a_socket_that_systemd_did_not_hand_over_is_one_sentence(daemon):
    assert "LISTEN_FDS" not in os.environ
    result = daemon.run(SOCKET)
    assert result.returncode == 1
    assert "systemd handed over no socket" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


class Manager:
    """The end of the protocol that systemd has: it knows the process of each datagram."""

    CREDENTIALS = struct.Struct("3i")

    def __init__(self, path):
        self.path, self.socket = path, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind(str(path))
        self.socket.settimeout(PATIENCE)

    def read(self):
        """Return the first line of a datagram, and the process that sent it."""
        data, ancillary, _, _ = self.socket.recvmsg(4_096, socket.CMSG_SPACE(12))
        ((_, _, credentials),) = ancillary
        return data.partition(b"\n")[0], self.CREDENTIALS.unpack(credentials)[0]

    def wait_for(self, state):
        """Return the process that says so."""
        while (found := self.read())[0] != state:
            pass
        return found[1]


@pytest.fixture
def manager(tmp_path):
    manager = Manager(tmp_path / "n")
    yield manager
    manager.socket.close()


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's.")
@pytest.mark.parametrize("foreground", [True, False])
def test_the_main_process_alone_reports_to_systemd(daemon, manager, foreground):
    """`NotifyAccess=main`: what another process says, systemd does not hear."""
    daemon.environ.update(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="400000")
    command = daemon.command(foreground=foreground)
    with (daemon.folder / "log.txt").open("ab") as log:
        process = subprocess.Popen(command, env=daemon.environ, cwd=daemon.folder, stdout=log)
    try:
        main = manager.wait_for(b"READY=1")
        if foreground:
            assert main == process.pid
        else:
            assert main == daemon_number(daemon)
            assert process.wait(PATIENCE) == 0
        assert manager.wait_for(b"WATCHDOG=1") == main
        os.kill(main, signal.SIGHUP)
        assert manager.wait_for(b"RELOADING=1") == main
        assert manager.wait_for(b"READY=1") == main
    finally:
        # Whatever it said: a daemon that has left its parent would outlive the tests.
        if foreground:
            process.terminate()
        elif process.wait(PATIENCE) == 0:
            os.kill(daemon_number(daemon), signal.SIGTERM)
    assert manager.wait_for(b"STOPPING=1") == main
    process.wait(PATIENCE)
    until(lambda: not (daemon.data / "control").exists())


def daemon_number(daemon):
    """Return the number of the process that a daemon became."""
    return int((daemon.folder / "twistd.pid").read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's.")
def test_a_process_that_hangs_gives_no_sign_of_life(daemon, manager):
    daemon.environ.update(NOTIFY_SOCKET=str(manager.path), WATCHDOG_USEC="200000")
    daemon.start()
    manager.wait_for(b"WATCHDOG=1")
    daemon.process.send_signal(signal.SIGSTOP)
    manager.socket.settimeout(1.0)
    with pytest.raises(TimeoutError):
        manager.wait_for(b"STOPPING=1")
    daemon.process.send_signal(signal.SIGCONT)
    manager.socket.settimeout(PATIENCE)
    manager.wait_for(b"WATCHDOG=1")


@pytest.mark.skipif(shutil.which("systemd-notify") is None, reason="systemd is not installed.")
def test_systemds_own_program_says_the_same(daemon, manager):
    environ = {**os.environ, "NOTIFY_SOCKET": str(manager.path)}
    subprocess.run(["systemd-notify", "--no-block", "--ready"], env=environ, check=True)
    assert manager.read()[0] == b"READY=1"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed.")
def test_systemd_reads_the_unit_without_a_complaint(tmp_path):
    unit = (ROOT / "contrib/mtnet.service").read_text("utf-8")
    (tmp_path / "mtnet.service").write_text(unit.replace("/opt/mtnet/bin/mtnet", sys.executable))
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "mtnet.service")]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
