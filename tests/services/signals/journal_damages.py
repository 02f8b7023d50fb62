"""What the tests of damage and of backups do to a journal, and how they ask what is wrong."""

import sqlite3
from contextlib import closing
from decimal import Decimal

from mtnet.services.signals.journal.maintenance import verify
from mtnet.services.signals.model import Entry


def draft(symbol="GBPUSD", volume="0.25", when=1, channel="main", **others):
    return Entry(channel, symbol, Decimal(volume), when, **others)


def numbered(first, last, **others):
    return [draft(volume=str(n), id=f"id-{n}", **others) for n in range(first, last + 1)]


def shell(path, *statements):
    """Change a journal behind its back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            assert connection.execute(statement).rowcount, statement


def findings(path, **options):
    return [each for progress in verify(path, **options) for each in progress.findings]


def reopened(journal):
    journal.close()
    return journal.load()
