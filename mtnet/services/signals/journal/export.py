"""The entries of a journal for other programs, while the daemon may be writing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from mtnet.errors import ClientError, DamageError, JournalError
from mtnet.services.signals.journal.schema import check_structure
from mtnet.services.signals.journal.transaction import read_row
from mtnet.services.signals.journal.verify import channels, read_links
from mtnet.services.signals.model import Entry
from mtnet.storage.sqlite import BUSY_TIMEOUT, FAILURES

PAGE = 2_000
"""Entries that are read at once."""


class Proved(NamedTuple):
    """
    An entry with its proof.

    Attributes:
        epoch: of the channel now.
        before: the hash before it; `hash` is the SHA-256 of that and of `line`.
        line: of the journal, JSON in UTF-8.
    """

    epoch: str
    entry: Entry
    before: bytes
    line: bytes
    hash: bytes


def export(path: Path, channel: str | None = None) -> Iterator[Entry]:
    """
    Yield the entries that are kept, of one channel or of all, each proved by the chain.

    Raises:
        ClientError: there is no such journal or channel.
        JournalError: an entry is not what was written; the error names the place.
    """
    for proved in prove_entries(path, channel):
        yield proved.entry


def prove_entries(path: Path, channel: str | None = None, after: int = 0) -> Iterator[Proved]:
    """Yield the same with their proofs, from behind an entry of a channel; raises as `export`."""
    if not path.exists():
        raise ClientError(f"There is no journal {path}; --data names the daemon's folder.")
    try:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT)) as connection:
            check_structure(connection)
            for name in sorted(channels(connection)) if channel is None else [channel]:
                yield from _entries(connection, name, after)
    except DamageError as damage:
        raise JournalError(f"{path}, {damage}.") from damage
    except FAILURES as error:
        raise JournalError(f"{path} cannot be read: {error}.") from error


def _entries(connection: sqlite3.Connection, name: str, after: int) -> Iterator[Proved]:
    row = read_row(connection, name)
    if row is None:
        known = ", ".join(sorted(channels(connection))) or "none"
        raise ClientError(f"There is no channel {name}; there are {known}.")
    after = max(after, row.oldest - 1)
    while page := read_links(connection, row, after, PAGE):
        yield from (Proved(row.epoch, *each) for each in page)
        after = page[-1].entry.seq
