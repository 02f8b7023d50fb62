"""What a killed daemon left behind does not keep the next one from starting."""

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mtnet.daemon.process.stale_locks import check_pidfile, clear_pidfile, clear_socket
from mtnet.errors import StartError
from mtnet.net.endpoints import Listener

pytestmark = pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="It needs /proc.")


@pytest.fixture
def pidfile(tmp_path):
    return tmp_path / "twistd.pid"


@pytest.fixture
def process():
    """Start a Python by a name, whose command line holds a word, and return its number."""
    started = []

    def start(word, name="python"):
        program = "print(flush=True); input()"
        child = subprocess.Popen(
            [name, "-c", program, word],
            executable=sys.executable,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        child.stdout.readline()
        started.append(child)
        return child.pid

    yield start
    for child in started:
        child.communicate()


@pytest.mark.parametrize(
    ("name", "word", "left"),
    [
        ("python", "sleep", False),
        ("python", "/srv/mtnet/report.py", False),
        ("/srv/mtnet/bin/python3.13", "", False),
        ("tail", "/srv/mtnet", False),
        ("python", "mtnet", True),
        ("/usr/bin/python3.13", "/opt/desk/bin/twistd", True),
        ("pypy3", "/usr/bin/twistd3", True),
        ("/opt/desk/mtnet", "run", True),
    ],
)
def test_a_number_that_another_program_has_now_is_forgotten(pidfile, process, name, word, left):
    pidfile.write_text(f"{process(word, name)}\n")
    clear_pidfile(pidfile)
    assert pidfile.exists() is left


@pytest.mark.parametrize(
    ("text", "left"),
    [(str(os.getpid()), False), ("", False), ("\n", False), ("hello", True), ("4194305", True)],
    ids=["our own", "empty", "a line end", "no number", "more than any number"],
)
def test_our_own_number_and_none_are_forgotten_and_the_rest_is_left_to_twistd(pidfile, text, left):
    pidfile.write_text(text)
    clear_pidfile(pidfile)
    assert pidfile.exists() is left


def test_a_file_that_is_not_there_is_nothing(pidfile):
    clear_pidfile(pidfile)


def test_a_number_can_be_written_where_nothing_is_left_of_the_trial(pidfile):
    assert check_pidfile(pidfile)
    assert list(pidfile.parent.iterdir()) == []


def test_a_full_disk_is_no_reason_not_to_start_and_a_folder_that_is_not_there_is(
    pidfile, monkeypatch
):
    with pytest.raises(StartError, match=r"No such file or directory.*--pidfile"):
        check_pidfile(pidfile / "x" / "y")

    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert not check_pidfile(pidfile)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "signals"


def lock(path):
    return path.with_name(path.name + ".lock")


@pytest.mark.parametrize("pid", [1, os.getpid()], ids=["another", "our own"])
def test_a_socket_and_its_lock_go_where_nobody_listens(path, pid):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    lock(path).symlink_to(str(pid))
    clear_socket(path)
    assert list(path.parent.iterdir()) == []


def test_a_lock_without_its_socket_goes(path):
    lock(path).symlink_to("1")
    clear_socket(path)
    assert not lock(path).is_symlink()


def test_a_socket_on_which_somebody_listens_stays(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        lock(path).symlink_to(str(os.getpid()))
        clear_socket(path)
    assert path.exists()
    assert lock(path).is_symlink()


def test_what_is_no_socket_stays(path):
    path.write_text("mine")
    clear_socket(path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("unix:/run/mtnet/s", "/run/mtnet/s"),
        ("haproxy:unix:/run/s:mode=660", "/run/s"),
        (r"unix:address=/run/a\:b:lockfile=0", "/run/a:b"),
        ("tcp:8081", ""),
        ("udp:8082", ""),
    ],
)
def test_the_path_of_a_unix_endpoint_is_known(endpoint, path):
    assert Listener("signals", endpoint).path == path
