"""Downloads: streams of what a thread reads of the stores, as fast as the client reads."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote

from twisted.internet.defer import Deferred

from mtnet.daemon.environment import Environment, Worker
from mtnet.errors import HttpError
from mtnet.net.http.route import Stream

CONCURRENT = 4
"""Downloads at once; each waits for the pieces of the others, in one thread."""
STAGING = "download.new"
"""The beginning of the names of folders, in that of the cold store, in which files are made."""


class ThreadedPieces:
    """
    Iterator of Deferreds: each piece of a generator is made in a thread, when it is asked for.

    Args:
        ended: called in the reactor, once, at the end or when the client has left.
    """

    def __init__(self, pieces: Iterator[bytes], thread: Worker, ended: Any) -> None:
        self._pieces, self._thread, self._ended = pieces, thread, ended

    def __iter__(self) -> "ThreadedPieces":
        return self

    def __next__(self) -> "Deferred[bytes | None]":
        return self._thread(next, self._pieces, None).addCallbacks(self._made, self._failed)

    def close(self) -> None:
        """Close the generator, in its thread."""
        self._thread(getattr(self._pieces, "close", bool)).addBoth(self._end)

    def _made(self, piece: bytes | None) -> bytes | None:
        if piece is None:
            self._end(None)
        return piece

    def _failed(self, failure: Any) -> Any:
        self._end(None)
        return failure

    def _end(self, _: object) -> None:
        ended, self._ended = self._ended, bool
        ended()


class Downloads:
    """Semaphore of downloads: `CONCURRENT` at once, in one thread."""

    def __init__(self, env: Environment) -> None:
        self._env, self._running = env, 0
        for left in env.file(env.name).glob(f"{STAGING}*"):
            rmtree(left, ignore_errors=True)  # by a daemon that was killed

    @cached_property
    def _thread(self) -> Worker:
        return self._env.worker("download", patient=True)

    def begin(
        self, make: Callable[[], Iterator[bytes]], name: str, media_type: str
    ) -> "Deferred[Stream]":
        """
        Stream what a generator yields that is made in the thread, as a file of that name.

        Raises:
            HttpError: 503, too many are downloaded at once.
        """
        if self._running >= CONCURRENT:
            raise HttpError(503, "server", f"{CONCURRENT} downloads run; ask again later.")
        shown = f'attachment; filename="{quote(name, safe="")}"'
        self._running += 1
        return self._thread(make).addCallbacks(
            lambda pieces: Stream(
                media_type,
                ThreadedPieces(pieces, self._thread, self._ended),
                {b"Content-Disposition": shown.encode()},
            ),
            self._refused,
        )

    def folder(self) -> Path:
        """Make a folder for the files of a download."""
        return Path(mkdtemp(prefix=STAGING, dir=self._env.data))

    def _ended(self) -> None:
        self._running -= 1

    def _refused(self, failure: Any) -> Any:
        self._running -= 1
        return failure
