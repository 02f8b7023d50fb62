"""Reads the track records of channels from the journal, while the daemon goes on."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from twisted.internet.defer import DeferredLock

from mtnet.errors import WireError
from mtnet.services.signals.journal.export import Proved, prove_entries
from mtnet.services.signals.record.stream import RecordStream
from mtnet.storage.worker import InThread

PIECE = 200
"""Entries that are read in one turn of the thread: some 10 ms. Signals go on between two."""
KEPT = 20
"""Channels whose records go on from where they were; of others all is read again."""


class RecordReader:
    """
    Cache of track records: one is read at a time, and goes on from where it was.

    Args:
        path: of the journal.
        in_thread: runs a blocking function off the reactor; no commit waits for it.
    """

    def __init__(self, path: Path, in_thread: InThread) -> None:
        self._path, self._in_thread = path, in_thread
        self._lock = DeferredLock()
        self._known: dict[str, RecordStream] = {}

    async def read(self, channel: str, epoch: str) -> dict[str, Any]:
        """
        Return the record of a channel in its present epoch.

        Raises:
            WireError: `channel`; nobody has published in it.
            JournalError: the journal is damaged, or cannot be read.
        """
        await self._lock.acquire()
        try:
            return await self._read(channel, epoch)
        finally:
            self._lock.release()

    async def _read(self, channel: str, epoch: str) -> dict[str, Any]:
        known = self._known.pop(channel, None)
        same = known is not None and known.last is not None and known.last.epoch == epoch
        found = known if known is not None and same else RecordStream({})
        await self._go_on(found, channel)
        if found.stale:
            found = RecordStream(found.digits)
            await self._go_on(found, channel)
        if found.last is None:
            raise WireError("channel", f"Nobody has published in {channel}: there is no record")
        self._known[channel] = found
        if len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        return found.row(channel)

    async def _go_on(self, found: RecordStream, channel: str) -> None:
        after = 0 if found.last is None else found.last.entry.seq
        entries = prove_entries(self._path, channel, after)
        while piece := await self._in_thread(_next, entries):
            for each in piece:
                found.take(each)


def _next(entries: Iterator[Proved]) -> list[Proved]:
    return [*islice(entries, PIECE)]
