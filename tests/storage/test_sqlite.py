"""The file that survives errors: where it lies, what its log holds, how much room there is."""

import os
import shutil
import sqlite3
from functools import partial

import pytest

from mtnet.errors import JournalError, NotAskedError
from mtnet.storage import sqlite
from mtnet.storage.sqlite import (
    COPY_ON_WRITE_FREE_BYTES,
    MIN_FREE_BYTES,
    Database,
    has_free_space,
    wal_path,
)

TABLES = "CREATE TABLE word (text TEXT) STRICT"


@pytest.fixture
def path(tmp_path):
    """A file with one row, which was closed."""
    found = tmp_path / "a.sqlite"
    opened = Database(found, 1, TABLES)
    opened.transaction(lambda db: db.execute("INSERT INTO word VALUES ('hello')"))
    opened.close()
    return found


@pytest.fixture
def full(monkeypatch):
    monkeypatch.setattr(sqlite, "has_free_space", lambda folder: False)


def words(db):
    return [text for (text,) in db.execute("SELECT text FROM word")]


def test_what_is_stored_is_read_on_a_full_disk_and_no_file_grows(path, full):
    assert Database(path, 1, TABLES).read(words) == ["hello"]
    assert [each.name for each in path.parent.iterdir() if each.stat().st_size] == [path.name]


def test_what_only_the_log_holds_is_read_too(path, monkeypatch):
    killed = Database(path, 1, TABLES)
    killed.transaction(lambda db: db.execute("INSERT INTO word VALUES ('again')"))
    log = path.with_name(path.name + "-wal").read_bytes()
    killed.close()
    path.with_name(path.name + "-wal").write_bytes(log)
    monkeypatch.setattr(sqlite, "has_free_space", lambda folder: False)
    assert Database(path, 1, TABLES).read(words) == ["hello", "again"]


def test_nothing_is_written_and_the_file_is_not_mapped(path, full):
    opened = Database(path, 1, TABLES)
    with pytest.raises(JournalError, match="database or disk is full"):
        opened.transaction(words)
    assert opened.checkpoint() is False
    assert not path.with_name(path.name + "-shm").exists()


def test_it_is_written_again_when_there_is_room(path, monkeypatch):
    opened = Database(path, 1, TABLES)
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "has_free_space", lambda folder: False)
        assert opened.read(words) == ["hello"]
    opened.transaction(lambda db: db.execute("INSERT INTO word VALUES ('again')"))
    assert opened.read(words) == ["hello", "again"]
    opened.close()


def test_a_file_that_is_missing_damaged_or_newer_is_told_on_a_full_disk_too(path, full, tmp_path):
    with pytest.raises(JournalError, match="full"):
        Database(tmp_path / "b.sqlite", 1, TABLES).read(words)
    with pytest.raises(JournalError, match="schema 1"):
        Database(path, 2, TABLES).read(words)
    path.write_bytes(b"no database " * 99)
    with pytest.raises(JournalError, match="cannot be read or written"):
        Database(path, 1, TABLES).read(words)


@pytest.mark.parametrize(
    ("files", "free", "room"),
    [
        (9, MIN_FREE_BYTES - 1, False),
        (9, MIN_FREE_BYTES, True),
        (0, COPY_ON_WRITE_FREE_BYTES - 1, False),  # btrfs
        (0, COPY_ON_WRITE_FREE_BYTES, True),
    ],
)
def test_there_is_room_for_the_index_of_a_log_or_there_is_none(
    tmp_path, monkeypatch, files, free, room
):
    class Found:
        f_blocks, f_frsize, f_bavail, f_bfree, f_files = 1_000_000, 1, free, free, files

    monkeypatch.setattr("os.statvfs", lambda path: Found)
    assert has_free_space(tmp_path) is room
    Found.f_blocks = 0  # some network file systems do not say
    assert has_free_space(tmp_path)


def test_the_log_of_an_open_file_is_not_emptied_into_a_full_disk(path, monkeypatch):
    opened = Database(path, 1, TABLES)
    opened.transaction(words)
    monkeypatch.setattr(sqlite, "has_free_space", lambda folder: False)
    assert opened.checkpoint() is False
    assert not opened.exclusive
    opened.close()


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="Linux lists open files there")
def test_a_statement_that_changes_many_pages_writes_no_file_of_its_own(tmp_path):
    def change(db):
        rows = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000) "
        for part in (0, 1):
            db.execute(f"INSERT INTO place {rows} SELECT (i * 7919 + {part}) % 100003 FROM n")
        return [os.path.realpath(entry.path) for entry in os.scandir("/proc/self/fd")]

    opened = Database(tmp_path / "a.sqlite", 1, "CREATE TABLE place (at INTEGER UNIQUE) STRICT")
    files = opened.transaction(change)
    opened.close()
    assert not [name for name in files if "etilqs" in name]


def test_where_nobody_can_tell_there_is_room(tmp_path):
    assert has_free_space(tmp_path / "nosuch")


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "data"
    made.mkdir()
    return made


@pytest.fixture
def file(folder):
    made = Database(folder / "a.sqlite", 1, "CREATE TABLE t (n INTEGER)")
    yield made
    made.close()


def put(file, number):
    file.transaction(lambda connection: connection.execute("INSERT INTO t VALUES (?)", (number,)))


def numbers(file):
    return file.read(lambda c: [n for (n,) in c.execute("SELECT n FROM t")])


def remove(folder):
    shutil.rmtree(folder)


def replace(folder):
    folder.rename(folder.with_name("moved"))
    folder.mkdir()


def put_another_file(folder):
    path = folder / "a.sqlite"
    path.rename(path.with_name("moved"))
    shutil.copy(path.with_name("moved"), path)


@pytest.mark.parametrize("lose", [remove, replace, put_another_file])
def test_nothing_is_stored_in_a_file_that_has_no_name_any_more(file, folder, lose):
    put(file, 1)
    lose(folder)
    for call in (lambda: put(file, 2), lambda: numbers(file), file.check):
        with pytest.raises(NotAskedError, match=r"removed, moved or replaced while the daemon"):
            call()
    file.close()
    with pytest.raises(NotAskedError):
        put(file, 3)
    assert not (folder / "a.sqlite").exists() or lose is put_another_file, "no new one is made"


def test_a_folder_that_is_back_is_gone_on_with(file, folder):
    put(file, 1)
    replace(folder)
    with pytest.raises(NotAskedError):
        put(file, 2)
    folder.rmdir()
    folder.with_name("moved").rename(folder)
    file.check()
    put(file, 3)
    assert numbers(file) == [1, 3]


def test_what_went_astray_in_the_last_moment_is_not_said_to_be_stored(file, folder):
    put(file, 1)

    def work(connection):
        connection.execute("INSERT INTO t VALUES (2)")
        replace(folder)

    with pytest.raises(JournalError, match="moved or replaced") as raised:
        file.transaction(work)
    assert not isinstance(raised.value, NotAskedError), "it may be stored after all"


def copy_in_place(log):
    shutil.copy(log, log.with_name("copy"))
    log.with_name("copy").replace(log)


cut_off = partial(os.truncate, length=32)


@pytest.mark.parametrize("loss", [os.unlink, cut_off, copy_in_place])
def test_a_log_that_loses_its_end_is_found_by_the_next_look(file, folder, loss):
    put(file, 1)
    file.check()
    loss(wal_path(folder / "a.sqlite"))
    with pytest.raises(JournalError, match="while the daemon runs"):
        file.check()
    file.check()
    numbers(file)


@pytest.mark.parametrize("loss", [os.unlink, cut_off])
def test_a_log_that_loses_its_end_is_found_by_the_next_commit(file, folder, loss):
    put(file, 1)
    put(file, 2)
    loss(wal_path(folder / "a.sqlite"))
    with pytest.raises(JournalError, match="while the daemon runs"):
        put(file, 3)
    assert 3 not in numbers(file)


def test_a_commit_does_not_ask_for_the_times_of_the_log(file, folder, monkeypatch):
    put(file, 1)
    asked, stat = [], os.stat

    def stat_path(path, **options):
        asked.append(path)
        return stat(path, **options)

    monkeypatch.setattr("os.stat", stat_path)
    monkeypatch.setattr("os.fstat", stat_path)
    put(file, 2)
    assert set(asked) == {str(folder / "a.sqlite")}


def test_a_log_that_is_copied_into_the_file_has_lost_nothing(file):
    put(file, 1)
    assert file.checkpoint()
    file.check()
    put(file, 2)
    file.check()
    assert numbers(file) == [1, 2]


def test_a_full_disk_is_not_asked_to_take_anything_and_gives_what_it_holds(
    file, folder, monkeypatch
):
    put(file, 1)
    monkeypatch.setattr(sqlite, "has_free_space", lambda folder: False)
    with pytest.raises(NotAskedError, match="disk is full"):
        put(file, 2)
    assert numbers(file) == [1]
    file.close()
    assert numbers(file) == [1]
    assert not (folder / "a.sqlite-shm").exists(), "no memory is mapped to a file"
    assert file.exclusive
    assert not file.checkpoint()


def test_with_room_again_the_file_is_written_and_others_can_read_it(file, folder, monkeypatch):
    put(file, 1)
    file.close()
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "has_free_space", lambda folder: False)
        assert numbers(file) == [1]
    put(file, 2)
    assert not file.exclusive
    with sqlite3.connect(folder / "a.sqlite", timeout=0) as other:
        assert other.execute("SELECT count(*) FROM t").fetchone() == (2,)
    other.close()


def test_what_is_committed_into_a_log_that_was_lengthened_is_there_after_a_kill(path, tmp_path):
    opened = Database(path, 1, TABLES)
    opened.transaction(lambda db: db.execute("INSERT INTO word VALUES ('before')"))
    while opened.lengthen_log(2_000_000):
        opened.transaction(lambda db: db.execute("INSERT INTO word VALUES ('meanwhile')"))
    length = wal_path(path).stat().st_size
    opened.transaction(lambda db: db.execute("INSERT INTO word VALUES ('behind')"))
    assert wal_path(path).stat().st_size == length >= 2_000_000
    opened.check()
    (tmp_path / "killed").mkdir()
    copy = tmp_path / "killed" / path.name
    shutil.copy(path, copy)
    shutil.copy(wal_path(path), wal_path(copy))
    found = Database(copy, 1, TABLES).read(words)
    assert found[:2] == ["hello", "before"]
    assert found[-1] == "behind"
    assert set(found[2:-1]) == {"meanwhile"}


def test_a_log_is_lengthened_on_a_disk_with_much_room_alone(path, monkeypatch):
    opened = Database(path, 1, TABLES)
    assert not opened.lengthen_log(2_000_000), "there is none yet"
    opened.transaction(lambda db: db.execute("INSERT INTO word VALUES ('before')"))
    length = wal_path(path).stat().st_size
    assert not opened.lengthen_log(2**60)
    assert not opened.lengthen_log(length)
    assert wal_path(path).stat().st_size == length
