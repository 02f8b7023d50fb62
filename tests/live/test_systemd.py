"""A socket that systemd made and handed over."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from live_daemon import PATIENCE, until

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


@pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's.")
def test_systemd_is_told_of_start_life_reload_and_stop(daemon, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "n"))
        receiver.settimeout(PATIENCE)
        daemon.environ.update(NOTIFY_SOCKET=str(tmp_path / "n"), WATCHDOG_USEC="400000")
        daemon.start()

        def wait_for(state):
            while receiver.recv(100).partition(b"\n")[0] != state:
                pass

        wait_for(b"READY=1")
        assert daemon.answers()
        wait_for(b"WATCHDOG=1")
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(b"RELOADING=1")
        wait_for(b"READY=1")
        daemon.process.terminate()
        wait_for(b"STOPPING=1")
        assert daemon.process.wait(PATIENCE) is not None
