"""
Recovery of the journal's files: what is stored when they are opened, and what is damaged.

Blocking, for one thread at a time.
"""

import sqlite3
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path

from mtnet.errors import JournalError, NotAskedError
from mtnet.services.signals.journal.checkpoints import Checkpoints
from mtnet.services.signals.journal.hash_chain import checkpoint_of
from mtnet.services.signals.journal.maintenance import checkpoints_path, verify
from mtnet.services.signals.journal.schema import SCHEMA, TABLES, WITHOUT_VIEWS
from mtnet.services.signals.journal.verify import REMEDY, Progress, beyond, check_all
from mtnet.services.signals.model import Entry, Loaded
from mtnet.storage.sqlite import Database

LOG_SIZE = 67_108_864
"""Bytes of the write-ahead log before the complete check, or those of a smaller journal: enough
for 2,400 signals that come one at a time."""
CHECKED = 40
"""Rows of the complete check that a commit may have to wait for: under half a millisecond."""


class RecoverableFiles:
    """
    Crash recovery: the two files of a journal, which are checked whenever they are opened.

    Args:
        path: the SQLite file; its folder exists. The checkpoint file lies beside it.

    Attributes:
        database, checkpoints: the two files.
        damaged: the channels that are refused, each with a sentence; another mapping with each
            change.
        spoilt: those of them that were found since the file was opened, or before it was again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = Database(path, SCHEMA, TABLES, self._upgrade)
        self.checkpoints = Checkpoints(checkpoints_path(path))
        self.damaged: Mapping[str, str] = {}
        self.spoilt: dict[str, str] = {}
        self._settled = False
        self._checking: Generator[Progress] | None = None

    @property
    def trouble(self) -> str:
        """
        Why the checkpoints could not be noted after the last commit; nothing is lost, but a loss
        would not be seen.
        """
        return self.checkpoints.trouble

    @property
    def needs_recovery(self) -> bool:
        """Whether a call failed with unknown outcome."""
        return not self._settled

    def load(self) -> Loaded:
        """
        Open the journal, and check the state and the end of each channel.

        Raises:
            JournalError: the file is damaged, unreadable, lost, or of a newer mtnet.
        """
        self.database.forget()  # a start takes what it finds
        return self._opened({}, strict=False)[0]

    def recover(self, known: Mapping[str, int]) -> list[Entry]:
        """
        Reopen the journal after a call failed, and find out whether it was stored.

        Args:
            known: the last entry of each channel that the caller knows to be stored.

        Returns:
            The entries beyond those, which are stored after all. Nothing of the failed call is
            stored besides.

        Raises:
            JournalError: the disk still fails; until this returns, nothing is known of the last
                call, and nothing more is taken or given.
        """
        self.close()
        return self._opened(known, strict=True)[1]

    def check_files(self) -> None:
        """
        Look whether the files are where they were opened, and note the checkpoints that lag.

        Raises:
            NotAskedError: the journal is not, or the disk is full.
            JournalError: what was stored last may be lost.
        """
        try:
            self.database.check()
        except NotAskedError:
            raise
        except JournalError:
            self._settled = False
            raise
        self.checkpoints.catch_up()
        self.database.check_room()

    def lengthen_log(self) -> bool:
        """Make room in the log for commits during `verify`; return whether there is more to do."""
        try:
            return self.database.lengthen_log(min(LOG_SIZE, self.path.stat().st_size))
        except OSError:
            return False

    def verify(self, channel: str | None = None, deep: bool = False) -> Iterator[Progress]:
        """
        Check every row as it is now, one slice at each step; commits may come in between.

        Until its end the write-ahead log only grows, so the steps should not lie far apart.

        Args:
            channel: the only one to look at.
            deep: whether SQLite checks its pages too, all in one last step.

        Raises:
            JournalError: the journal was closed or reopened meanwhile.
        """
        if self.database.exclusive:
            raise JournalError(f"The disk of {self.path} is full; it is checked later.")
        check = self._checking = verify(self.path, channel, deep, CHECKED)
        with closing(check):
            for progress in check:
                if progress.channel and progress.findings:
                    self._spoil(progress.channel, f"{progress.findings[0]} {REMEDY}")
                yield progress
                if self._checking is not check:
                    raise JournalError(f"The check of {self.path} was broken off; begin it again.")

    def close(self) -> None:
        """Close the files; the next call opens them again."""
        # An open snapshot would keep the log from being copied.
        self.break_off()
        with suppress(JournalError):  # a lag is mended when they are opened
            self.checkpoints.sync()
        self.checkpoints.close()
        self.database.close()

    def break_off(self) -> None:
        """Break off a check of the rows."""
        if self._checking is not None:
            self._checking.close()
            self._checking = None

    def _spoil(self, channel: str, why: str) -> None:
        """Refuse a channel from now on."""
        self.spoilt = {**self.spoilt, channel: why}
        self.damaged = {**self.damaged, channel: why}

    def check_recovered(self) -> None:
        """
        Check that no call has failed with an outcome that is not known.

        Raises:
            JournalError: one has.
        """
        if not self._settled:
            raise JournalError(
                f"{self.path} takes and gives nothing until it is opened, or until it is known "
                "what came of the call that failed."
            )

    def refuse_damaged(self, channel: str) -> None:
        """
        Check that a channel is whole.

        Raises:
            JournalError: it is damaged.
        """
        if channel in self.damaged:
            raise JournalError(self.damaged[channel])

    # Opening

    def _opened(self, known: Mapping[str, int], strict: bool) -> tuple[Loaded, list[Entry]]:
        self._settled = False
        forced = self.database.checkpoint()
        found = self.checkpoints.read()
        if not forced and not strict:
            self.database.sync_log()
        loaded, rows = self.database.read(lambda c: check_all(c, self.path, found, self.spoilt))
        landed = self.database.read(lambda c: beyond(c, rows, known)) if strict else []
        if landed and not forced:
            raise JournalError(
                f"{self.path} shows {len(landed)} entries that may not be on the disk, and there "
                "is no room to write them, or somebody reads the file; it is tried again."
            )
        self.damaged = dict(loaded.damaged)
        self.checkpoints.behind.clear()
        if forced or not strict:
            checkpoints = map(checkpoint_of, rows)
            self.checkpoints.note(
                checkpoint
                for checkpoint in checkpoints
                if found.get(checkpoint.channel) != checkpoint
            )
        self._settled = True
        return loaded, landed

    def _upgrade(self, connection: sqlite3.Connection, version: int) -> None:
        if version >= WITHOUT_VIEWS:
            return  # there are new tables, which are empty
        lost = sorted(
            name for name, checkpoint in self.checkpoints.read().items() if checkpoint.revision
        )
        if lost:
            raise JournalError(
                f"{self.path} is empty or of an older mtnet, and {self.checkpoints.path} "
                f"knows the channels {', '.join(lost)}: the journal is lost. Restore a backup, "
                "or remove the checkpoint file to make a new one."
            )
        if version:
            raise JournalError(
                f"{self.path} has schema {version} of an mtnet that was never released; this one "
                f"reads {SCHEMA}."
            )
