"""
The log of ticks before the blocks in SQLite: a log-structured merge tree of two levels.

Blocking, for one thread at a time. Small commits go to the log, a page of which has the ticks of
many of them; what it has becomes blocks within an hour, in one transaction. A commit of full blocks
goes there at once.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import rmtree

from mtnet.errors import JournalError
from mtnet.services.ticks.storage.blocks import FULL
from mtnet.services.ticks.storage.commits import Commit, Refusal
from mtnet.services.ticks.storage.log import (
    DAMAGED,
    FOLDER,
    REJECTED,
    TALLY,
    TickLog,
    copy_segments,
)
from mtnet.services.ticks.storage.log_records import RecordEncoder, Summary, noted_in, scan
from mtnet.services.ticks.storage.merge import Merge, summary_of
from mtnet.services.ticks.storage.store import Store, StoredState
from mtnet.services.ticks.storage.tally import Tally
from mtnet.storage.sqlite import copy_database

NEVER = 2**62
"""An order time behind all others."""
MERGED_TICKS = 200_000
"""Ticks that the log has, at most, until they are merged. All of them are looked at for each
question: this takes 0.2 s."""
LIMIT = 5 * MERGED_TICKS
"""Ticks from which on the log takes no more before a merge has succeeded."""


class HotStore(Store):
    """A store with a log before it; it survives a crash."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._log = TickLog(path.parent / FOLDER)
        self._encoder, self._summary = RecordEncoder(), Summary()
        self._older, self._has_older = 0, False
        self._merged = 0
        self._earliest = NEVER
        self._merging: _Merging | None = None
        self._direct: Commit | None = None
        self._is_old = False
        self._left_out: list[Refusal] = []
        self._notes: list[str] = []

    def load(self, tally: Tally, sources: int, hot: Commit | None = None) -> StoredState:
        """Return the stored state, what the log has included."""
        self._log.tally = tally
        hot = self._open(tally)
        if hot is None:
            return super().load(tally, sources)
        if tally.whole:  # it counts those that are damaged as lost
            self._older = hot.ticks
        try:
            state = super().load(tally, sources, hot)
        except JournalError:
            self.merge()  # rows of one sender may be invalid: the others are taken
            state = super().load(tally, sources)
        return replace(state, notes=self._notes)

    def prepare(self) -> None:
        """Make the file if it does not exist, and find the log."""
        super().prepare()
        self._open(None)

    def _open(self, tally: Tally | None) -> Commit | None:
        self._merged = self.merged()
        self._log.open(self._merged)
        segments = dict(self._log.pending(self._merged))
        self._find_tally(segments, tally)
        self._older = sum(scan(data).ticks for data in segments.values())
        self._notes = _damage(segments)
        self._has_older = bool(segments)
        hot = summary_of(segments.values())
        self._earliest = min((block.first for block in hot.blocks), default=NEVER)
        return hot if segments else None

    def _find_tally(self, segments: Mapping[int, bytes], tally: Tally | None) -> None:
        """Put the number of taken ticks into its own file: the segments will be removed."""
        found = max(map(noted_in, segments.values()), default=0)
        path = self.path.with_name(TALLY)
        if tally is None and found and path.exists():
            tally = Tally(path)
        if tally is not None:
            tally.raise_to(found)

    def commit(self, commit: Commit) -> None:
        """
        Store all of it, or nothing; it is on the platter if `commit.forced`, else soon.

        After a failure the same commit comes again, before any other.

        Raises:
            JournalError: the disk is full or failed.
        """
        if self._direct is not commit and not self._is_for_blocks(commit):
            if commit.forced and self._log.suspect:
                self.merge()
            if not commit:
                self._log.sync()
                return
            if self._log.is_new:
                self._begin()
            try:
                record = self._encoder.encode(commit, self._summary)
            except (OverflowError, TypeError, ValueError):
                self._encoder.restart()  # one of its rows is invalid
            else:
                self._append(commit, record)
                return
        self.merge()
        self._direct = commit
        super().commit(commit)
        self._direct = None

    def _is_for_blocks(self, commit: Commit) -> bool:
        is_full = commit.ticks >= FULL * len(commit.blocks) > 0
        return is_full or self._older + self._summary.ticks >= LIMIT

    def _begin(self) -> None:
        """Begin a segment; there may be one that was left, as after an error of the disk."""
        self._has_older |= self._log.has_others(self._merged)
        self._older, self._summary = self._older + self._summary.ticks, Summary()
        self._encoder.restart()

    def _append(self, commit: Commit, record: bytes) -> None:
        try:
            self.check()
            self._log.append(record, commit.forced)
        except JournalError:
            self._encoder.restart()
            raise
        commit.refusals = []
        for block in commit.blocks:
            self._summary.add(block)
            self._earliest = min(self._earliest, block.first)

    def sync_late(self) -> None:
        """
        Force what waits in memory onto the platter, unless that was done since the last call.

        Raises:
            JournalError: the disk failed; what waits is merged.
        """
        self._log.sync_late()

    def join(self, age: bool) -> bool:
        """
        Merge what the log has, or join small blocks: one step of some milliseconds, or the
        transaction behind many.

        Args:
            age: do it however few they are.

        Returns:
            Whether the next step has work.

        Raises:
            JournalError: the disk is full or failed; all is as before, or merged, or joined.
        """
        self._is_old |= age
        ticks = self._older + self._summary.ticks
        is_due = self._is_old or ticks >= MERGED_TICKS or self._log.suspect
        if self._merging is not None or (is_due and self._is_hot):
            self._step()
            return True
        age, self._is_old = self._is_old, False
        return super().join(age)

    def merge(self, before: int | None = None) -> None:
        """
        Make blocks of all that the log has.

        Args:
            before: an order time: only if there is a tick before it.

        Raises:
            JournalError: the disk is full or failed; all is as before, or merged.
        """
        if before is not None and self._earliest >= before:
            return
        while self._merging is not None or self._is_hot:
            self._step()

    @property
    def _is_hot(self) -> bool:
        return self._has_older or self._log.suspect or not self._log.is_new

    def _step(self) -> None:
        if self._merging is None:
            self._merging = self._started()
        elif self._merging.commit is None:
            if not self._merging.merge.read():
                self._merging.commit = self._merging.merge.commit()
        else:
            self._finish(self._merging, self._merging.commit)

    def _started(self) -> "_Merging | None":
        self._log.rotate()
        self._begin()
        segments = dict(self._log.pending(self._merged))
        self._log.suspect, self._has_older = False, bool(segments)
        if segments:
            return _Merging(Merge(segments), self._older)
        self._older = 0
        return None

    def _finish(self, found: "_Merging", commit: Commit) -> None:
        commit.totals["lost"] = max(0, found.ticks - commit.ticks)
        super().commit(commit)
        kept = self._kept(found.merge, commit)
        self._older -= found.ticks
        self._merging, self._merged = None, found.merge.numbers[-1]
        self._log.remove(self._merged, kept)
        self._has_older = self._log.has_others(self._merged)
        if not self._is_hot:
            self._earliest = NEVER

    def _kept(self, merge: Merge, commit: Commit) -> dict[int, str]:
        """Note what a merge left out; return the segments that are kept."""
        kept = dict.fromkeys(merge.damaged, DAMAGED)
        for each in commit.refusals:
            if each.ticks:
                # Those who sent them may have been told that they are stored.
                kept = {number: kept.get(number, REJECTED) for number in merge.numbers}
                names = ", ".join(f"{number}{suffix}" for number, suffix in kept.items())
                each = replace(each, reason=f"{each.reason}; {FOLDER} keeps them as {names}")
            self._left_out.append(each)
        return kept

    def take_left_out(self) -> list[Refusal]:
        """Return the rows that merges since the last call found to be rejected for good."""
        found, self._left_out = self._left_out, []
        return found

    def close(self) -> None:
        """Force the log, and close all files; the next call opens them again."""
        with suppress(JournalError):  # a commit that had to be forced was, or has failed
            self._log.close()
        super().close()


@dataclass
class _Merging:
    """
    A merge that goes on.

    Attributes:
        ticks: that the log had when it began.
        commit: what it made, once all is read.
    """

    merge: Merge
    ticks: int
    commit: Commit | None = None


def _damage(segments: Mapping[int, bytes]) -> list[str]:
    """Return sentences on what is damaged."""
    notes = []
    for number, data in segments.items():
        found = scan(data)
        if found.torn:
            notes.append(
                f"Segment {number} of the log of ticks ends in {found.torn} bytes that are no "
                "whole record, as when a write was cut short; they are left out."
            )
        if found.damaged:
            gone = found.ticks - summary_of([data]).ticks
            notes.append(
                f"Segment {number} of the log of ticks is damaged: {found.damaged} bytes with "
                f"{gone} ticks cannot be read. It is kept as {number}{DAMAGED}."
            )
    return notes


def copy_store(path: Path, target: Path) -> None:
    """
    Copy a store and its log, as they are at one moment, into one new file; a daemon may go on.

    Raises:
        JournalError: it is damaged, there is such a target already, or the disk is full or failed.
    """
    # The log first: what becomes blocks meanwhile is in the copy of the file, which knows it.
    copy_segments(path.parent / FOLDER, target.parent / FOLDER)
    copy_database(path, target)
    copied = HotStore(target)
    try:
        copied.prepare()
        copied.merge()
    finally:
        copied.close()
    rmtree(target.parent / FOLDER, ignore_errors=True)
