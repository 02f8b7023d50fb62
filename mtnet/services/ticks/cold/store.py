"""
The cold store: compacts closed days, and deletes days, step by step and one thing at a time.

Two threads: Parquet files are made in one of their own, and SQLite is written by that of the ticks.
"""

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from shutil import copyfile
from threading import Lock
from typing import Any

from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from mtnet.durations import DAY_MS
from mtnet.errors import JournalError
from mtnet.services.ticks.cold import catalog, parquet, removal
from mtnet.services.ticks.cold.archiver import Archiver, StaleError, Unit
from mtnet.services.ticks.cold.catalog import DueDay
from mtnet.services.ticks.cold.layout import FOLDER, date_of, day_of
from mtnet.services.ticks.storage.snapshot import snapshot
from mtnet.services.ticks.storage.store import Store
from mtnet.storage.worker import InThread


class ColdStore:
    """
    Facade of the cold store.

    Args:
        store: the ticks in SQLite.
        in_store: the thread that writes them.
        in_thread: the thread for the files.
        pause: called in that thread between two steps of some milliseconds; may raise what ends
            the work.

    Attributes:
        totals: how many `files`, `ticks` and `bytes` there are, and how many ticks were `deleted`.
        trouble: why the last day was not compacted, or None.
        kept: held while files must not be removed.
    """

    log = Logger()

    def __init__(
        self, store: Store, in_store: InThread, in_thread: InThread, pause: Callable[[], object]
    ) -> None:
        self._store, self._in_store, self._in_thread = store, in_store, in_thread
        self._root = store.path.parent / FOLDER
        self._archiver = Archiver(store.path, self._root, pause)
        self._working = DeferredLock()
        self.totals: Mapping[str, int] = {}
        self.trouble: str | None = None
        self.kept = Lock()

    async def compact(self, closed: int, most: int | None = None) -> dict[str, int]:
        """
        Compact the days before the day `closed`.

        A day that cannot be compacted is left out, and `trouble` says why.

        Args:
            most: ticks, after which the next days are left for another call; None = compact all.

        Returns:
            How many `files` and `ticks` that made, and how many ticks are `left`; those that are in
            one block with ticks of later days count as well.

        Raises:
            JournalError: DuckDB is not installed, or SQLite cannot be read.
        """
        if not parquet.available():
            raise JournalError(
                f"Closed days stay in SQLite: Parquet files need DuckDB: {parquet.INSTALL}."
            )
        made, failed = {"files": 0, "ticks": 0, "left": 0}, set[bytes]()
        self.trouble = None
        async with self._working:
            await self._in_store(self._store.merge, closed * DAY_MS)
            await self._clean()
            while due := await self._due(closed, failed):
                if most is not None and made["ticks"] >= most:
                    made["left"] = await self._in_thread(self._archiver.left, closed, failed)
                    break
                for each in due:
                    ticks = await self._try(each, failed)
                    made["files"] += ticks > 0
                    made["ticks"] += ticks
            await self.refresh()
        return made

    async def _due(self, closed: int, failed: set[bytes]) -> list[DueDay]:
        found: list[DueDay] = await self._in_thread(self._archiver.due, closed)
        return [each for each in found if each.symbol not in failed]

    async def _try(self, due: DueDay, failed: set[bytes]) -> int:
        """Compact a day; returns the number of its ticks, or 0 when it has to be done again."""
        try:
            return await self._compact(due)
        except JournalError as error:
            failed.add(due.symbol)
            self._set_trouble(f"{date_of(due.day)} of {due.symbol.decode()}: {error}")
            await self._clean()
            return 0

    async def _compact(self, due: DueDay) -> int:
        unit: Unit | None = None
        try:
            unit = await self._in_thread(self._archiver.plan, due)
            if not await self._change(self._archiver.announce(unit)):
                raise JournalError("Ticks wait for the disk.")
            await self._in_thread(self._archiver.write, unit)
            if await self._change(self._archiver.finish(unit)):
                return unit.ticks
        except StaleError:
            pass
        if unit is not None:
            await self._clean()
        return 0

    def _change(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        return self._in_store(self._store.change, work)

    async def _clean(self) -> None:
        """Remove what a process that was killed has left, and files whose ticks are deleted."""
        found = await self._in_thread(self._clean_files)
        if found:
            await self._change(lambda connection: catalog.forget(connection, found))

    def _clean_files(self) -> list[catalog.ColdFile]:
        with self.kept:
            return self._archiver.clean()

    async def delete(self, symbol: bytes, start: int | None, stop: int | None) -> int:
        """
        Delete the ticks of some days of a symbol; returns how many.

        Args:
            start, stop: days; `start` is included, `stop` is not, None = without an end.

        Raises:
            JournalError: the disk is full or failed; those that were deleted so far are counted.
        """
        which, total = removal.days(symbol, start, stop), 0
        async with self._working:
            await self._in_store(self._store.merge)
            at: int | None = 0
            while at is not None:
                found = await self._change(_deletion(which, at))
                if found is None:
                    raise JournalError("Ticks wait for the disk; nothing more is deleted now.")
                ticks, at = found
                total += ticks
            await self._clean()
            await self.refresh()
        return total

    async def prune(self, first: Callable[[bytes], int | None]) -> int:
        """
        Delete the days of all symbols that are no longer kept; returns how many ticks.

        Args:
            first: returns the first day of a symbol that is kept; None = all are.

        Raises:
            JournalError: as `delete`.
        """
        total, earliest = 0, await self._in_thread(self._earliest)
        for symbol, time in earliest.items():
            day = first(symbol)
            if day is not None and day_of(time) < day:
                total += await self.delete(symbol, None, day)
        return total

    def _earliest(self) -> dict[bytes, int]:
        with snapshot(self._store.path) as connection:
            query = "SELECT name, earliest FROM symbol WHERE earliest IS NOT NULL"
            return {name.encode(): first for name, first in connection.execute(query)}

    async def refresh(self) -> None:
        """Count what there is."""
        self.totals = await self._in_thread(self._summary)

    def _summary(self) -> dict[str, int]:
        with snapshot(self._store.path) as connection:
            return catalog.summary(connection)

    def backup(self, folder: Path) -> None:
        """
        Copy the files that a copy of SQLite names; blocking.

        Args:
            folder: that the copy lies in, under its usual name.

        Raises:
            JournalError, OSError: there is no whole copy.
        """
        with snapshot(folder / self._store.path.name) as connection:
            found = catalog.files(connection, (catalog.STORED,))
        for each in found:
            target = each.path(folder / FOLDER)
            target.parent.mkdir(parents=True, exist_ok=True)
            copyfile(each.path(self._root), target)

    def count(self) -> None:
        """Count what there is; blocking."""
        self.totals = self._summary()

    def _set_trouble(self, trouble: str) -> None:
        if self.trouble is None:
            self.log.warn("A day of ticks is not compacted. {trouble}", trouble=trouble)
        self.trouble = trouble


def _deletion(which: removal.Range, at: int) -> Callable[[sqlite3.Connection], Any]:
    return lambda connection: removal.delete(connection, which, at)
