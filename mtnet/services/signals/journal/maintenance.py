"""
Maintenance of a journal: verify, back up, renew, accept what is left after damage.

Each opens the file by itself, so that a program can do it while the daemon writes; `renew`
alone wants a journal that no daemon uses.
"""

import os
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

from msgspec import UNSET
from msgspec.structs import replace

from mtnet.callbacks import noop
from mtnet.errors import DamageError, JournalError
from mtnet.services.signals.journal import checkpoints as disk
from mtnet.services.signals.journal.hash_chain import (
    GENESIS,
    Checkpoint,
    Row,
    add,
    checkpoint_of,
    id_item,
    position_item,
    prove,
)
from mtnet.services.signals.journal.schema import BACKUP, SCHEMA, WITHOUT_VIEWS, fetch, rows
from mtnet.services.signals.journal.transaction import new_row, next_epoch, read_row, write_row
from mtnet.services.signals.journal.verify import (
    POSITION,
    POSITIONS,
    SLICE,
    Check,
    Progress,
    channels,
)
from mtnet.storage.files import replace_file, sync
from mtnet.storage.sqlite import FAILURES

BACKUP_SLICE = 100
"""Rows of a copy that are checked at a time: about 2 ms."""


def checkpoints_path(path: Path) -> Path:
    """Name the checkpoint file of a journal."""
    return path.with_suffix(".heads")


def verify(
    path: Path, channel: str | None = None, deep: bool = True, slice: int = SLICE
) -> Generator[Progress]:
    """
    Check every row of a journal, as it is at one moment, in slices.

    Args:
        channel: the only one to look at.
        deep, slice: see `Check`; a daemon, whose commits wait for a slice to end, leaves out the
            first, and takes fewer rows.

    Raises:
        JournalError: there is no such file.
    """
    with closing(_open(path)) as connection:
        try:
            found = _snapshot(connection, path)
            for progress in Check(connection, found, channel, deep, slice).run():
                named = tuple(f"{path}, {finding}." for finding in progress.findings)
                yield replace(progress, findings=named)
        except (*FAILURES, JournalError) as error:
            yield Progress(0, 0, (f"{path} cannot be read: {error}.",))


def backup(path: Path, target: Path, rest: Callable[[], object] = noop) -> None:
    """
    Copy a journal, as it is at one moment, into a new file that proves itself.

    The copy is checked whole before it gets its name.

    Args:
        rest: called behind each slice of the check; a daemon does something else meanwhile.

    Raises:
        JournalError: there is such a file already, the journal or its copy is damaged, or the
            disk is full or failed.
    """
    partial = target.with_name(f"{target.name}.partial")
    try:
        # Holds the name; links, which could take it at the end, are not known everywhere.
        target.touch(0o600, exist_ok=False)
    except OSError as error:
        raise JournalError(
            f"{target} cannot be made, and no backup overwrites a file: {error}."
        ) from error
    try:
        _fill(path, partial, rest)
        os.replace(partial, target)
        sync(target.parent)
    except BaseException as error:
        for left in (partial, target):
            left.unlink(missing_ok=True)
        if isinstance(error, (*FAILURES, OSError)):
            raise JournalError(f"{path} is not backed up to {target}: {error}.") from error
        raise


def renew(path: Path) -> None:
    """
    Make a journal of a backup, in place: verify it, begin new epochs, write its checkpoint file.

    Raises:
        JournalError: the backup is damaged or of a newer mtnet.
        OSError, sqlite3.Error: the disk is full or failed.
    """
    _check_backup(path)
    replace_file(checkpoints_path(path), disk.dump(_begin_epochs(path)))


def adopt(connection: sqlite3.Connection, name: str, checkpoint: Checkpoint | None) -> Row | None:
    """
    Make a damaged channel whole from what still proves itself, under a new epoch.

    The entries go, since followers get a snapshot anyhow; positions that cannot be proved go
    too. Returns None when nothing is known of such a channel.
    """
    old = _last_row(connection, name)
    if old is None and checkpoint is None:
        return None
    total, last = _keep_proven(connection, name)
    seq = max(last, old.seq if old else 0, checkpoint.seq if checkpoint else 0)
    connection.execute("DELETE FROM entry WHERE channel = ?", (name,))
    connection.execute("DELETE FROM known WHERE channel = ? AND seq > ?", (name, seq))
    revision = max(old.revision if old else 0, checkpoint.revision if checkpoint else 0) + 1
    row = replace(new_row(name), since=seq, seq=seq, oldest=seq + 1, revision=revision)
    former = UNSET if checkpoint is None else checkpoint.epoch
    derived = UNSET if old is None else old.derived
    row = replace(row, derived=derived, former=former)
    row = _count_ids(connection, replace(row, positions=total))
    write_row(connection, row)
    return row


def _keep_proven(connection: sqlite3.Connection, name: str) -> tuple[bytes, int]:
    """Remove the positions that cannot be proved; return the sum of the others, and their end."""
    total, last = GENESIS, 0
    for symbol, ticket, *rest in rows(connection, POSITION, POSITIONS, name):
        try:
            held = prove(name, symbol, ticket, (rest[0], rest[1], rest[2]))
        except DamageError:
            connection.execute(
                "DELETE FROM position WHERE (channel, symbol, ticket) = (?, ?, ?)",
                (name, symbol, ticket),
            )
            continue
        total = add(total, position_item(symbol, ticket, held.hash))
        last = max(last, held.entry.seq)
    return total, last


def _last_row(connection: sqlite3.Connection, name: str) -> Row | None:
    try:
        return read_row(connection, name)
    except DamageError:
        return new_row(name)


def _count_ids(connection: sqlite3.Connection, row: Row) -> Row:
    total, known = GENESIS, 0
    statement = "SELECT id, seq, proof FROM known WHERE channel = ?"
    with closing(connection.execute(statement, (row.name,))) as found:
        for id, seq, proof in found:
            total, known = add(total, id_item(id, seq, proof)), known + 1
    return replace(row, ids=total, known=known)


def _open(path: Path, mode: str = "ro") -> sqlite3.Connection:
    try:
        return sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise JournalError(f"{path} cannot be opened: {error}.") from error


def _snapshot(connection: sqlite3.Connection, path: Path) -> dict[str, Checkpoint]:
    """Begin to read at one moment; return the checkpoints as they were before it."""
    before = _checkpoints(path)
    connection.execute("BEGIN")
    _check_schema(connection, path)
    return {**_nothing_yet(_checkpoints(path)), **before}


def _checkpoints(path: Path) -> dict[str, Checkpoint]:
    found = disk.parse(disk.read(checkpoints_path(path)))
    return {name: checkpoint for name, (_, checkpoint) in found.items()}


def _nothing_yet(checkpoints: dict[str, Checkpoint]) -> dict[str, Checkpoint]:
    """Name the channels that were made while the checkpoints were read, and no more than that."""
    return {
        name: Checkpoint(name, h.epoch, 0, 0, GENESIS, GENESIS) for name, h in checkpoints.items()
    }


def _check_schema(connection: sqlite3.Connection, path: Path) -> None:
    ((version,),) = fetch(connection, "PRAGMA user_version")
    if version > SCHEMA:
        raise JournalError(f"{path} has schema {version} of a newer mtnet; this one reads {SCHEMA}")
    if version < WITHOUT_VIEWS:
        raise JournalError(
            f"{path} has schema {version} of an older mtnet, or is empty; this one reads {SCHEMA}. "
            "A daemon that starts on it makes it new"
        )


def _fill(path: Path, partial: Path, rest: Callable[[], object]) -> None:
    partial.unlink(missing_ok=True)
    partial.touch(0o600)
    _seal(partial, _copy(path, partial), rest)
    sync(partial)


def _copy(path: Path, partial: Path) -> dict[str, Checkpoint]:
    with closing(_open(path)) as connection:
        before = _checkpoints(path)
        _check_schema(connection, path)
        connection.execute("VACUUM INTO ?", (str(partial),))
        return {**_nothing_yet(_checkpoints(path)), **before}


def _seal(partial: Path, found: dict[str, Checkpoint], rest: Callable[[], object]) -> None:
    """Check a copy, and write into it what it must hold."""
    with closing(_open(partial, "rw")) as connection:
        for progress in Check(connection, found, slice=BACKUP_SLICE).run():
            for finding in progress.findings:
                raise JournalError(f"The copy {partial} is incomplete and is removed: {finding}.")
            rest()
        found_rows = [read_row(connection, name) for name in channels(connection)]
        data = disk.dump(checkpoint_of(row) for row in found_rows if row is not None)
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(BACKUP)
        connection.execute("INSERT INTO heads VALUES (?)", (data,))
        connection.execute("COMMIT")


def _check_backup(source: Path) -> None:
    with closing(_open(source)) as connection:
        try:
            _check_schema(connection, source)
            copies = rows(connection, (bytes,), "SELECT data FROM heads")
            found = {name: checkpoint for name, (_, checkpoint) in disk.parse(copies[0][0]).items()}
            for progress in Check(connection, found).run():
                for finding in progress.findings:
                    raise JournalError(f"{source} is damaged and is not restored: {finding}.")
        except (*FAILURES, IndexError) as error:
            raise JournalError(f"The backup {source} is incomplete: {error}.") from error


def _begin_epochs(partial: Path) -> list[Checkpoint]:
    found = []
    with closing(_open(partial, "rw")) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for name in channels(connection):
            row = read_row(connection, name)
            if row is not None:
                # Both files are replaced: an old checkpoint file is no lag, but half a restore.
                row = replace(next_epoch(row), former=UNSET)
                write_row(connection, row)
                found.append(checkpoint_of(row))
        connection.execute("DROP TABLE heads")
        connection.execute("COMMIT")
    return found
