"""Commands on a data folder: by the daemon that runs there, or on its files."""

import os
from argparse import Namespace
from contextlib import contextmanager

import pytest

from mtnet.cli import local
from mtnet.daemon.datadir import DataFolder
from mtnet.errors import ClientError, ConfigError, StartError


@contextmanager
def offline(folder):
    """Run commands without a daemon, as far as a test of it goes."""
    yield lambda command, **values: (command, values, folder.control.parent)


def arguments(**values):
    return Namespace(**{"config": None, "data": None, **values})


# Where the folder is


def test_the_folder_is_the_one_that_is_named(tmp_path):
    assert local.folder(arguments(data=str(tmp_path))) == tmp_path


def test_a_folder_that_is_named_comes_before_the_one_of_the_configuration(tmp_path):
    file = tmp_path / "mtnet.toml"
    file.write_text('data = "/var/lib/mtnet"\n')
    assert local.folder(arguments(config=file, data=str(tmp_path))) == tmp_path
    assert str(local.folder(arguments(config=file))) == "/var/lib/mtnet"


def test_a_configuration_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"mtnet\.toml"):
        local.folder(arguments(config=tmp_path / "mtnet.toml"))


# Without a daemon


def test_without_a_daemon_this_process_runs_the_commands(tmp_path):
    with local.admin_session(tmp_path / "data", offline) as run:
        assert run("bans list", more=1) == ("bans list", {"more": 1}, tmp_path / "data")


def test_no_daemon_can_start_meanwhile_and_one_can_afterwards(tmp_path):
    with local.admin_session(tmp_path, offline), pytest.raises(StartError):
        DataFolder(str(tmp_path))
    DataFolder(str(tmp_path)).release()


def test_an_error_of_a_command_releases_the_folder(tmp_path):
    with pytest.raises(ClientError), local.admin_session(tmp_path, offline):
        raise ClientError("It cannot be done.")
    DataFolder(str(tmp_path)).release()


def test_a_folder_that_is_held_and_silent_is_an_error(tmp_path):
    held = DataFolder(str(tmp_path))
    with pytest.raises(StartError), local.admin_session(tmp_path, offline):
        pass
    held.release()


# With a daemon


def test_a_daemon_that_answers_runs_the_commands(command_line):
    command_line.attach({"bans list": lambda values: dict(values)})
    with local.admin_session(command_line.folder, offline) as run:
        assert run("bans list", more=1) == {"more": 1, "who": f"uid:{os.getuid()}"}
    assert not command_line.folder.exists(), "the files belong to the daemon"


def test_a_refusal_of_the_daemon_is_an_error_with_its_sentence(command_line):
    def refuse(values):
        raise ClientError("There is no such ban.")

    command_line.attach({"bans lift": refuse})
    with (
        local.admin_session(command_line.folder, offline) as run,
        pytest.raises(ClientError, match=r"There is no such ban\."),
    ):
        run("bans lift")


def test_a_command_that_the_daemon_does_not_know_is_an_error_that_names_those_it_does(command_line):
    command_line.attach({"status": lambda _: {}})
    with pytest.raises(ClientError, match="status"):
        local.ask_daemon(arguments(data=str(command_line.folder)), "weather")
