"""One SQLite file on a disk that has no room."""

import pytest

from mtnet import database
from mtnet.database import ROOM, Database, has_room
from mtnet.errors import JournalError

TABLES = "CREATE TABLE word (text TEXT) STRICT"


@pytest.fixture
def path(tmp_path):
    """A file with one row, which was closed."""
    found = tmp_path / "a.sqlite"
    opened = Database(found, 1, TABLES)
    opened.run(lambda db: db.execute("INSERT INTO word VALUES ('hello')"))
    opened.close()
    return found


@pytest.fixture
def full(monkeypatch):
    monkeypatch.setattr(database, "has_room", lambda folder: False)


def words(db):
    return [text for (text,) in db.execute("SELECT text FROM word")]


def test_what_is_stored_is_read_on_a_full_disk_and_no_file_grows(path, full):
    assert Database(path, 1, TABLES).look(words) == ["hello"]
    assert [each.name for each in path.parent.iterdir() if each.stat().st_size] == [path.name]


def test_what_only_the_log_holds_is_read_too(path, monkeypatch):
    killed = Database(path, 1, TABLES)
    killed.run(lambda db: db.execute("INSERT INTO word VALUES ('again')"))
    log = path.with_name(path.name + "-wal").read_bytes()
    killed.close()
    path.with_name(path.name + "-wal").write_bytes(log)
    monkeypatch.setattr(database, "has_room", lambda folder: False)
    assert Database(path, 1, TABLES).look(words) == ["hello", "again"]


def test_nothing_is_written_and_the_file_is_not_mapped(path, full):
    opened = Database(path, 1, TABLES)
    with pytest.raises(JournalError, match="database or disk is full"):
        opened.run(words)
    assert opened.force() is False
    assert not path.with_name(path.name + "-shm").exists()


def test_it_is_written_again_when_there_is_room(path, monkeypatch):
    opened = Database(path, 1, TABLES)
    with monkeypatch.context() as patch:
        patch.setattr(database, "has_room", lambda folder: False)
        assert opened.look(words) == ["hello"]
    opened.run(lambda db: db.execute("INSERT INTO word VALUES ('again')"))
    assert opened.look(words) == ["hello", "again"]
    opened.close()


def test_a_file_that_is_missing_damaged_or_newer_is_told_on_a_full_disk_too(path, full, tmp_path):
    with pytest.raises(JournalError, match="full"):
        Database(tmp_path / "b.sqlite", 1, TABLES).look(words)
    with pytest.raises(JournalError, match="schema 1"):
        Database(path, 2, TABLES).look(words)
    path.write_bytes(b"no database " * 99)
    with pytest.raises(JournalError, match="does not give its rows"):
        Database(path, 1, TABLES).look(words)


@pytest.mark.parametrize(("free", "room"), [(ROOM - 1, False), (ROOM, True)])
def test_there_is_room_for_the_index_of_a_log_or_there_is_none(tmp_path, monkeypatch, free, room):
    class Found:
        f_blocks, f_frsize, f_bavail, f_bfree = 1_000_000, 1, free, free

    monkeypatch.setattr("os.statvfs", lambda path: Found)
    assert has_room(tmp_path) is room
    Found.f_blocks = 0  # some network file systems do not say
    assert has_room(tmp_path)


def test_where_nobody_can_tell_there_is_room(tmp_path):
    assert has_room(tmp_path / "nosuch")
