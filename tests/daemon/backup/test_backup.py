"""A whole backup is there under its name or not at all, and a restore replaces all or nothing."""

import errno
import json
import os
import stat

import pytest
from twisted.internet.defer import Deferred

from mtnet.access.accounts.store import AccountStore
from mtnet.daemon.backup import create as creation
from mtnet.daemon.backup.command import BackupCommand
from mtnet.daemon.backup.create import create
from mtnet.daemon.backup.restore import restore
from mtnet.daemon.datadir import DataFolder
from mtnet.daemon.registry import installed, permissions
from mtnet.errors import JournalError, StartError, WireError
from mtnet.interfaces import IBackup, IRestore, ISignals, ITemplates, ITicks
from mtnet.services.signals.ownership.pauses import Pauses
from mtnet.services.signals.status.report import Status
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.storage.worker import InlineWorker
from mtnet.testing import EPOCH, connect, make_environment

TEMPLATE = b"<chart>\r\nsymbol=EURUSD\r\nperiod_type=1\r\nperiod_size=1\r\n</chart>\r\n"
NAMES = ["accounts.sqlite", "bans.sqlite", "manifest.json", "signals.policy", "signals.sqlite"]


class Part:
    """A component whose files are given."""

    obsolete = ("part.cache",)

    def __init__(self, files, error=None):
        self.files, self.error = files, error

    def backup(self, folder):
        for name, data in self.files.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)
        if self.error:
            raise self.error


class Preparer:
    def __init__(self, error=None):
        self.error, self.seen = error, []

    def prepare(self, folder):
        self.seen = sorted(path.name for path in folder.iterdir())
        (folder / "part.heads").write_bytes(b"new")
        if self.error:
            raise self.error


FILES = {"part.sqlite": b"data", "part/one": b"1"}


@pytest.fixture
def data(tmp_path):
    folder = DataFolder(str(tmp_path / "data"))
    yield folder
    folder.release()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "backup"


@pytest.fixture
def made(target, data):
    create(target, data.path, {"part": Part(FILES)}, EPOCH)
    return target


def modes(folder):
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*") if path.is_file()}


# Making one


def test_a_backup_has_every_file_and_a_manifest_for_its_owner_alone(target, data):
    umask = os.umask(0)
    try:
        found = create(target, data.path, {"part": Part(FILES)}, EPOCH)
    finally:
        os.umask(umask)
    assert found == {"files": 2, "bytes": 5, "components": ["part"]}
    manifest = json.loads((target / "manifest.json").read_bytes())
    assert (manifest["format"], manifest["time"]) == (1, EPOCH)
    assert (manifest["components"], manifest["obsolete"]) == (["part"], ["part.cache"])
    assert {name: each["size"] for name, each in manifest["files"].items()} == {
        "part.sqlite": 4,
        "part/one": 1,
    }
    assert modes(target) == {0o600}
    assert {stat.S_IMODE(each.stat().st_mode) for each in (target, target / "part")} == {0o700}


def test_an_empty_folder_is_taken_and_another_is_refused(target, data):
    target.mkdir()
    create(target, data.path, {"part": Part(FILES)}, EPOCH)
    with pytest.raises(JournalError, match="exists already, and no backup replaces anything"):
        create(target, data.path, {"part": Part({"other": b""})}, EPOCH)
    assert not (target / "other").exists()


@pytest.mark.parametrize("name", ["file", "link"])
def test_what_is_no_folder_is_refused(tmp_path, data, name):
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(JournalError, match="exists already"):
        create(tmp_path / name, data.path, {}, EPOCH)
    assert (tmp_path / "file").read_text() == "precious"


def test_within_the_data_folder_only_one_folder_takes_backups(data):
    (data.path / "part").mkdir()
    with pytest.raises(JournalError, match=r"in .*data/backups alone"):
        create(data.path / "part" / "monday", data.path, {}, EPOCH)
    (data.path / "backups").mkdir()
    create(data.path / "backups" / "monday", data.path, {"part": Part(FILES)}, EPOCH)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "x"), "the disk of {} is full"),
        (JournalError("x is not copied to y: database or disk is full."), "the disk of {} is full"),
        (OSError(errno.EIO, os.strerror(errno.EIO), "x"), "x: Input/output error"),
        (JournalError("x is damaged."), "x is damaged"),
        (creation.shutil.Error([("a", "b", "[Errno 5] bad")]), r"\[Errno 5\] bad"),
    ],
)
def test_nothing_is_left_of_a_backup_that_fails(tmp_path, target, data, error, sentence):
    before = sorted(tmp_path.iterdir())
    with pytest.raises(
        JournalError, match=f"Nothing is backed up to .*: {sentence}".format(tmp_path)
    ):
        create(target, data.path, {"part": Part(FILES, error)}, EPOCH)
    assert sorted(tmp_path.iterdir()) == before


def test_an_error_of_a_foreign_component_leaves_nothing_either(tmp_path, target, data):
    with pytest.raises(LookupError):
        create(target, data.path, {"part": Part(FILES, LookupError())}, EPOCH)
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_everything_is_forced_to_the_disk_before_the_folder_has_its_name(target, data, monkeypatch):
    forced = []
    monkeypatch.setattr(
        creation.manifest, "sync", lambda path: forced.append((path.name, target.exists()))
    )
    create(target, data.path, {"part": Part(FILES)}, EPOCH)
    names = [name for name, _ in forced]
    assert {"part", "part.sqlite", "one"} < set(names)
    assert not any(there for _, there in forced)


# The command


def test_the_command_answers_once_all_is_stored_and_makes_one_at_a_time(
    target, data, env_with, clock
):
    calls, flushed = [], Deferred()
    in_thread = lambda *call: calls.append(call) or Deferred()  # noqa: E731
    env = env_with()
    command = BackupCommand(data, env.components, lambda: flushed, env.now, lambda: in_thread)
    run = command.commands()["backup"]
    first, errors = run({"folder": str(target)}), []
    assert calls == []
    run({"folder": str(target)}).addErrback(errors.append)
    assert "A backup is being made" in errors[0].getErrorMessage()
    flushed.callback(None)
    assert not first.called
    ((function, *arguments),) = calls
    assert function is create
    assert list(arguments[2]) == ["access", *env.find_all(IBackup)]


@pytest.mark.parametrize("folder", [None, 1, "", "backup"])
def test_a_folder_must_be_named_by_its_whole_path(data, env_with, folder):
    env, errors = env_with(), []
    command = BackupCommand(data, env.components, Deferred, env.now, InlineWorker)
    command.commands()["backup"]({"folder": folder}).addErrback(errors.append)
    assert errors[0].check(WireError)


# Putting one back


def test_an_empty_data_folder_gets_every_file(made, data):
    preparer = Preparer()
    assert restore(made, data, [preparer], EPOCH) is None
    assert preparer.seen == ["part", "part.sqlite"]
    assert sorted(each.name for each in data.path.iterdir()) == [
        "lock",
        "part",
        "part.heads",
        "part.sqlite",
    ]
    assert (data.path / "part" / "one").read_bytes() == b"1"
    assert modes(data.path) >= {0o600}


def test_what_is_there_is_replaced_by_force_alone_and_kept(made, data):
    for name in ("part.sqlite", "part.sqlite-wal", "part.cache", "other"):
        (data.path / name).write_bytes(b"old")
    with pytest.raises(JournalError, match=r"holds part.cache, part.sqlite, part.sqlite-wal: no"):
        restore(made, data, [], EPOCH)
    assert (data.path / "part.sqlite").read_bytes() == b"old"
    kept = restore(made, data, [], EPOCH, force=True)
    assert kept.name == "replaced-20231114T221320.000000Z"
    assert sorted(each.name for each in kept.iterdir()) == [
        "part.cache",
        "part.sqlite",
        "part.sqlite-wal",
    ]
    assert (data.path / "part.sqlite").read_bytes() == b"data"
    assert not (data.path / "part.sqlite-wal").exists()
    assert (data.path / "other").read_bytes() == b"old"


def unlink(folder):
    (folder / "part.sqlite").unlink()


def change(folder):
    (folder / "part.sqlite").write_bytes(b"dada")


def rename(folder, name):
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text(text.replace("part/one", name))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (unlink, "part.sqlite is missing"),
        (change, "part.sqlite is not what was backed up"),
        (lambda folder: (folder / "manifest.json").unlink(), "Invalid backup"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "cannot be read"),
        (lambda folder: rename(folder, "../one"), "expected a file of a backup"),
        (lambda folder: rename(folder, "/one"), "expected a file of a backup"),
        (lambda folder: rename(folder, "lock"), "expected a file of a backup"),
    ],
)
def test_a_damaged_backup_replaces_nothing(made, data, damage, sentence):
    damage(made)
    (data.path / "part.sqlite").write_bytes(b"old")
    with pytest.raises(JournalError, match=sentence):
        restore(made, data, [], EPOCH, force=True)
    assert (data.path / "part.sqlite").read_bytes() == b"old"
    assert sorted(each.name for each in data.path.iterdir()) == ["lock", "part.sqlite"]


def test_a_component_that_finds_damage_keeps_everything_as_it_is(made, data):
    (data.path / "part.sqlite").write_bytes(b"old")
    with pytest.raises(JournalError, match="damaged"):
        restore(made, data, [Preparer(JournalError("damaged"))], EPOCH, force=True)
    assert sorted(each.name for each in data.path.iterdir()) == ["lock", "part.sqlite"]


def test_the_daemon_does_not_start_on_a_restore_that_was_cut_short(made, data, monkeypatch):
    (data.path / "part.sqlite").write_bytes(b"old")
    rename, done = creation.Path.rename, []

    def fail(path, to):
        if done:
            raise OSError(errno.EIO, "bad disk")
        done.append(path)
        return rename(path, to)

    with monkeypatch.context() as patched:
        patched.setattr(creation.Path, "rename", fail)
        with pytest.raises(JournalError, match="run it again with --force"):
            restore(made, data, [], EPOCH, force=True)
    with pytest.raises(StartError, match="was cut short"):
        data.check_restored()
    restore(made, data, [], EPOCH + 1, force=True)
    data.check_restored()
    assert (data.path / "part.sqlite").read_bytes() == b"data"


# With the components that mtnet has


def fill(env, clock):
    connect(env.factory("signals"), clock).send(b"<<EURUSD|1.00>>")
    clock.advance(1)
    signals = env.find(ISignals)
    Pauses(signals).pause("main", "close_only")
    env.find(ITemplates).put("EURUSD", "H1", TEMPLATE)
    ticks = env.find(ITicks)
    ticks.take(ticks.source("desk-1"), [(b"EURUSD", b"1.1")], EPOCH)
    clock.advance(5)


def state(env):
    signals = env.find(ISignals)
    return {
        "positions": {name: str(each.volume) for name, each in signals.positions("main").items()},
        "paused": dict(signals.rules.store.paused),
        "templates": env.find(ITemplates).listing(),
        "ticks": [tick.rest for tick in TickReader(env.file("ticks.sqlite")).ticks(b"EURUSD")],
    }


def test_every_component_comes_back_with_a_new_epoch(tmp_path, clock, target):
    env = make_environment(tmp_path / "data", clock, "signals.pace=0")
    AccountStore(tmp_path / "data" / "accounts.sqlite", permissions()).load()
    fill(env, clock)
    epoch = Status(env.find(ISignals)).status()["channels"]["main"]["epoch"]
    folder = DataFolder(str(tmp_path / "data"))
    parts = {"access": folder, **env.find_all(IBackup)}
    create(target, folder.path, parts, EPOCH)
    assert {each.name for each in target.iterdir()} >= {*NAMES, "templates", "ticks.sqlite"} - {
        "bans.sqlite"
    }
    other = DataFolder(str(tmp_path / "other"))
    plugins = [each for each in installed().values() if IRestore.providedBy(each)]
    restore(target, other, plugins, EPOCH)
    again = make_environment(tmp_path / "other", clock, "signals.pace=0")
    assert state(again) == state(env)
    assert state(again)["positions"] == {"EURUSD": "1.00"}
    assert len(state(again)["ticks"]) == 1
    assert state(again)["paused"] == {"main": "close_only"}
    main = Status(again.find(ISignals)).status()["channels"]["main"]
    assert main["epoch"] != epoch
    for each in (folder, other):
        each.release()


def test_a_damaged_journal_in_a_whole_backup_is_found_before_anything_is_replaced(
    tmp_path, clock, data, target
):
    env = make_environment(tmp_path / "source", clock)
    create(target, tmp_path / "source", env.find_all(IBackup), EPOCH)
    path = target / "signals.sqlite"
    path.write_bytes(path.read_bytes()[:-4096])
    text = json.loads((target / "manifest.json").read_bytes())
    text["files"]["signals.sqlite"] = json.loads(
        json.dumps(creation.manifest.msgspec.to_builtins(creation.manifest.record(path)))
    )
    (target / "manifest.json").write_text(json.dumps(text))
    plugins = [each for each in installed().values() if IRestore.providedBy(each)]
    with pytest.raises(JournalError):
        restore(target, data, plugins, EPOCH)
    assert [each.name for each in data.path.iterdir()] == ["lock"]
