"""
What a journal says of itself when it is opened: which channels are whole, and what landed.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path

from mtnet.errors import DamageError
from mtnet.services.signals.journal.hash_chain import Checkpoint, Row
from mtnet.services.signals.journal.schema import check_structure
from mtnet.services.signals.journal.transaction import read_row
from mtnet.services.signals.journal.verify import channels, check_channel, read_entries
from mtnet.services.signals.model import Entry, Loaded
from mtnet.storage.sqlite import FAILURES

REMEDY = (
    "Restore a backup (`mtnet restore`), or go on with what can be proved, under a new epoch "
    "(`mtnet signals accept`)."
)


def check_all(
    connection: sqlite3.Connection,
    path: Path,
    found: Mapping[str, Checkpoint],
    spoilt: Mapping[str, str],
) -> tuple[Loaded, list[Row]]:
    """
    Check the state and the end of each channel; return it, and the rows of those that are whole.

    Args:
        found: the checkpoints.
        spoilt: the channels that were found damaged before, each with a sentence.

    Raises:
        JournalError: the file is no journal.
        sqlite3.Error: the disk failed.
    """
    check_structure(connection)
    states, damaged, whole = {}, {}, []
    lost = {name for name, checkpoint in found.items() if checkpoint.revision}
    for name in sorted({*channels(connection), *lost}):
        try:
            state = check_channel(connection, name, found.get(name))
            row = read_row(connection, name)
        except (DamageError, *FAILURES) as error:
            damaged[name] = sentence(path, name, error)
            continue
        if row is not None and name not in spoilt:
            states[name] = state
            whole.append(row)
    return Loaded(states, {**damaged, **spoilt}), whole


def sentence(path: Path, channel: str, error: Exception) -> str:
    """Say what is wrong with a channel, or raise what is wrong with the disk."""
    return f"{path}, {blame(channel, error)}. {REMEDY}"


def blame(channel: str, error: Exception) -> DamageError:
    """Return what is wrong with a channel, or raise what is wrong with the disk."""
    if isinstance(error, DamageError):
        return error
    # What has no code is text that is no UTF-8, or a row of another table.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    if code & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CONSTRAINT):
        raise error
    return DamageError(channel, f"channel {channel}: {error}")


def beyond(
    connection: sqlite3.Connection, rows: Iterable[Row], known: Mapping[str, int]
) -> list[Entry]:
    """
    Return the entries that came after those which are known, by channel.

    Raises:
        JournalError: they are kept no longer, or are not what was written.
    """
    landed: list[Entry] = []
    for row in rows:
        after = known.get(row.name, 0)
        landed += read_entries(connection, row, after, row.seq - after) if row.seq > after else []
    return landed
