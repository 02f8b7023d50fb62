"""What lies in the data folder, and who can read it."""

import os
import socket

import pytest

from mtnet.daemon.datadir import ACCOUNTS, DataFolder
from mtnet.errors import StartError


@pytest.fixture
def path(tmp_path):
    folder = DataFolder(str(tmp_path / "data"))
    folder.release()
    return folder.path


@pytest.mark.skipif(os.name != "posix", reason="Windows has no modes.")
@pytest.mark.parametrize("name", [ACCOUNTS, "signals.sqlite", "signals.sqlite-wal"])
@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644])
def test_what_others_can_open_is_refused_with_what_mends_it(path, name, mode):
    (path / name).touch(mode=0o600)
    (path / name).chmod(mode)
    with pytest.raises(StartError, match=f"chmod o-rwx {path / name}"):
        DataFolder(str(path))
    (path / name).chmod(mode & 0o770)
    DataFolder(str(path)).release()


def test_the_control_socket_of_a_daemon_that_was_killed_before_it_was_closed_is_no_hindrance(path):
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path / "control"))
    (path / "control").chmod(0o755)
    folder = DataFolder(str(path))
    folder.clear_control()
    assert not folder.control.exists()
    folder.release()


def test_a_disk_without_room_is_told_from_one_look_to_the_next(path, monkeypatch):
    folder = DataFolder(str(path))
    folder.check_space()
    assert folder.health() == {"healthy": True, "trouble": None}
    monkeypatch.setattr("mtnet.daemon.datadir.has_free_space", lambda path: False)
    assert folder.health()["healthy"], "who asks does not wait for the disk"
    folder.check_space()
    assert "is full" in folder.health()["trouble"]
    folder.release()


def test_a_folder_that_a_daemon_uses_is_refused(path):
    first = DataFolder(str(path))
    with pytest.raises(StartError, match="Another mtnet runs"):
        DataFolder(str(path))
    first.release()
    DataFolder(str(path)).release()


def test_the_last_run_is_known_to_the_next_one_by_the_clock_of_then(tmp_path):
    folder = DataFolder(str(tmp_path / "data"))
    assert folder.last_run() == 0
    for when in (1_700_000_000_000, 1_600_000_000_000):
        folder.record_run(when, True, 0)
        assert folder.last_run() == when
    folder.release()


def test_a_doubted_clock_is_known_to_the_next_run_until_it_is_doubted_no_more(tmp_path):
    folder = DataFolder(str(tmp_path / "data"))
    assert folder.doubted_runs() == (0, 0)
    folder.record_run(1_700_000_000_000, False, 1_600_000_000_000)
    folder.record_run(3_000, False, 1_000)
    assert (folder.doubted_runs(), folder.last_run()) == ((1_000, 3_000), 0)
    folder.doubted.write_text("cut o")
    assert folder.doubted_runs() == (0, 0)
    folder.record_run(3_000, True, 0)
    assert not folder.doubted.exists()
    folder.release()
