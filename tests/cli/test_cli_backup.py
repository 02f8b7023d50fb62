"""`mtnet backup` and `mtnet restore` of a whole data folder, by the daemon or without one."""

import pytest
from fakes.daemon import FakeDaemon

from mtnet.daemon.backup.command import BackupCommand
from mtnet.daemon.datadir import DataFolder
from mtnet.testing import InlineWorker, connect, make_environment


@pytest.fixture
def stored(command_line, clock):
    """A data folder with a position, on which no daemon runs."""
    env = make_environment(command_line.folder, clock, "signals.pace=0")
    connect(env.factory("signals"), clock).send(b"<<EURUSD|1.00>>")
    DataFolder(str(command_line.folder)).release()


def entries(command_line, folder):
    out = command_line("signals", "export", "--data", folder).out
    return [row.split(",")[3] for row in out.splitlines()[1:]]


def test_a_folder_without_a_daemon_is_backed_up_and_restored(command_line, stored, tmp_path):
    status, out, error = command_line.on_folder("backup", tmp_path / "backup")
    assert (status, error) == (0, "")
    assert out.startswith(f"{tmp_path / 'backup'}: ")
    assert out.endswith(" bytes (access, alerts, signals, status, templates, ticks).\n")
    status, out, error = command_line("restore", tmp_path / "backup", "--data", tmp_path / "other")
    assert (status, error) == (0, "")
    assert out.endswith("; every channel has a new epoch.\n")
    assert entries(command_line, tmp_path / "other") == ["EURUSD"]


def test_a_restore_onto_something_needs_force_and_says_where_that_is_kept(
    command_line, stored, tmp_path
):
    command_line.on_folder("backup", tmp_path / "backup")
    status, out, error = command_line.on_folder("restore", tmp_path / "backup")
    assert (status, out) == (1, "")
    assert "`--force` puts the backup in their place, and keeps them" in error
    status, out, _ = command_line.on_folder("restore", tmp_path / "backup", "--force")
    (kept,) = command_line.folder.glob("replaced-*")
    assert (status, out.splitlines()[1]) == (0, f"Replaced files are kept in {kept}.")
    assert (kept / "signals.heads").exists()
    assert entries(command_line, command_line.folder) == ["EURUSD"]


@pytest.mark.parametrize("command", [("backup",), ("restore", "--force")])
def test_a_folder_that_is_locked_is_left_alone(command_line, stored, tmp_path, command):
    command_line.on_folder("backup", tmp_path / "backup")
    held = DataFolder(str(command_line.folder))
    target = tmp_path / ("other" if command == ("backup",) else "backup")
    status, _, error = command_line.on_folder(*command, target)
    held.release()
    assert status == 1
    assert "Another mtnet runs" in error
    assert not (tmp_path / "other").exists()


def test_a_mistyped_data_folder_is_neither_made_nor_backed_up(command_line, tmp_path):
    status, _, error = command_line.on_folder("backup", tmp_path / "backup")
    assert (status, "Invalid data folder" in error) == (1, True)
    assert not command_line.folder.exists()
    assert not (tmp_path / "backup").exists()


def test_a_restore_that_was_cut_short_is_not_backed_up(command_line, stored, tmp_path):
    (command_line.folder / "restore.unfinished").touch()
    assert "was cut short" in command_line.on_folder("backup", tmp_path / "backup").error


def test_a_running_daemon_makes_the_backup_itself(command_line, clock, tmp_path, monkeypatch):
    env = FakeDaemon(command_line.folder, clock).env
    folder = DataFolder(str(command_line.folder))
    command = BackupCommand(folder, env.components, env.access.flush, env.now, InlineWorker)
    command_line.attach(command.commands())
    status, out, _ = command_line.on_folder("backup", tmp_path / "backup")
    assert (status, command_line.asked[0]["folder"]) == (0, str(tmp_path / "backup"))
    assert (tmp_path / "backup" / "signals.sqlite").exists()
    command_line.attach({"backup": lambda _: {"files": 1, "bytes": 1, "components": []}})
    status, out, error = command_line.on_folder("backup", tmp_path / "elsewhere")
    assert (status, out) == (1, "")
    assert "The daemon sees another" in error
    folder.release()


def test_a_backup_that_is_not_there_is_a_sentence(command_line, tmp_path):
    absent = tmp_path / "absent"
    status, _, error = command_line("restore", absent, "--data", tmp_path / "other")
    assert status == 1
    assert error == (
        f"mtnet: {absent} is not restored to {tmp_path / 'other'}: No such file or directory.\n"
    )
