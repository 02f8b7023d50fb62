"""A backup is whole or is none, and what is restored is the same journal in a new epoch."""

import os
import shutil
import sqlite3
from contextlib import closing

import pytest
from journal_damages import draft, findings, numbered, reopened, shell

from mtnet.errors import JournalError
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.maintenance import backup, renew


def restore(file, path):
    """Put a backup in the place of a journal, as `mtnet restore` does."""
    staging = path.with_name("staging")
    staging.mkdir(exist_ok=True)
    shutil.copyfile(file, staging / path.name)
    renew(staging / path.name)
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()
    for each in staging.iterdir():
        each.rename(path.parent / each.name)
    staging.rmdir()


def test_a_backup_is_whole_and_for_its_owner_alone_and_never_overwrites(journal, path, tmp_path):
    target = tmp_path / "backup"
    journal.commit(numbered(1, 5))
    backup(path, target)
    assert target.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path).count("backup.partial") == 0
    kept = target.read_bytes()
    with pytest.raises(JournalError, match="no backup overwrites a file"):
        backup(path, target)
    assert target.read_bytes() == kept
    journal.commit(numbered(6, 7))
    assert journal.positions("main").seq == 7


def test_a_damaged_journal_is_not_backed_up_as_if_it_were_whole(journal, path, tmp_path):
    journal.commit(numbered(1, 5))
    shell(path, "DELETE FROM entry WHERE seq = 2")
    with pytest.raises(JournalError, match=r"is incomplete and is removed: .* entry 2"):
        backup(path, tmp_path / "backup")
    assert not list(tmp_path.glob("backup*"))


def test_a_restored_journal_has_the_state_the_ids_and_new_epochs(journal, path, tmp_path):
    stored = journal.commit([*numbered(1, 5), draft("XAUUSD", channel="gold", id="g")])
    before = {name: journal.positions(name) for name in ("main", "gold")}
    backup(path, tmp_path / "backup")
    journal.commit(numbered(6, 9))
    journal.close()
    restore(tmp_path / "backup", path)
    loaded = journal.load()
    assert not loaded.damaged
    for name, state in loaded.states.items():
        assert state.epoch != before[name].epoch
        assert state.positions == before[name].positions
        assert (state.seq, state.oldest) == (before[name].seq, before[name].seq + 1)
    assert journal.read("main", 0, 99) == stored[:5]
    outcomes = journal.commit([*numbered(5, 6), draft("XAUUSD", channel="gold", id="g")])
    assert [each.seq for each in outcomes] == [5, 6, 1]
    assert findings(path) == []
    assert not reopened(journal).damaged
    backup(path, tmp_path / "second")
    journal.close()
    restore(tmp_path / "second", path)
    assert journal.load().states["main"].oldest == 7
    assert findings(path) == []


@pytest.mark.parametrize("kept", ["signals.sqlite", "signals.heads"])
def test_a_restore_that_was_cut_short_is_found(journal, path, tmp_path, kept):
    journal.commit(numbered(1, 5))
    backup(path, tmp_path / "backup")
    journal.close()
    old = (tmp_path / kept).read_bytes()
    restore(tmp_path / "backup", path)
    (tmp_path / kept).write_bytes(old)
    assert "one of the two files is not of this journal" in journal.load().damaged["main"]


def test_every_byte_of_a_backup_counts_or_is_harmless(journal, path, tmp_path):
    journal.commit(numbered(1, 5))
    truth = journal.positions("main").positions
    backup(path, tmp_path / "backup")
    whole = (tmp_path / "backup").read_bytes()
    target = tmp_path / "new.sqlite"
    refused = 0
    for at in range(0, len(whole), 211):
        (tmp_path / "bad").write_bytes(whole[:at] + bytes([whole[at] ^ 0x81]) + whole[at + 1 :])
        try:
            restore(tmp_path / "bad", target)
        except JournalError:
            refused += 1
            continue
        other = Journal(target, 9)
        assert other.load().states["main"].positions == truth
        other.close()
    assert refused > 5


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        (["PRAGMA user_version = 99"], "schema 99 of a newer mtnet"),
        (["PRAGMA user_version = 1"], "schema 1 of an older mtnet"),
        (["DROP TABLE heads"], "is incomplete: no such table"),
        (["DELETE FROM heads"], "is incomplete"),
        (["DELETE FROM channel"], "channel main: it is lost"),
        (["DELETE FROM known"], "is damaged and is not restored"),
    ],
)
def test_what_is_no_whole_backup_is_not_restored(journal, path, tmp_path, statements, sentence):
    journal.commit(numbered(1, 5))
    backup(path, tmp_path / "backup")
    with closing(sqlite3.connect(tmp_path / "backup")) as connection, connection:
        for each in statements:
            connection.execute(each)
    with pytest.raises(JournalError, match=sentence):
        restore(tmp_path / "backup", path)
    assert reopened(journal).states["main"].seq == 5


def test_another_schema_is_not_read(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "schema 99 of a newer mtnet" in findings(path)[0]
    with pytest.raises(JournalError, match="schema 99 of a newer"):
        backup(path, path.with_name("backup"))
