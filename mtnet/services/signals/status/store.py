"""Write-behind file of the followers: who was there before a restart is known as offline."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mtnet.services.signals.status.followers import Followers, Saved
from mtnet.storage.write_behind import WriteBehindFile


class FollowerStore:
    """
    File of the followers, written a while after one came or went, and at the stop.

    Args:
        in_thread: runs a blocking function off the reactor.
    """

    def __init__(
        self,
        path: Path,
        clock: IReactorTime,
        in_thread: Callable[..., "Deferred[Any]"],
        followers: Followers,
    ) -> None:
        self._followers = followers
        self._file = WriteBehindFile(path, clock, in_thread, self._copy, "The list of followers")
        followers.changed = self._file.changed

    def open(self, when: int) -> None:
        """Read what was stored; blocking. `when` is milliseconds since the Unix epoch."""
        try:
            data = self._file.read()
            if data is not None:
                self._followers.restore(msgspec.json.decode(data, type=list[Saved]), when)
        except (OSError, msgspec.MsgspecError) as error:
            self._file.unreadable(error)

    def close(self) -> "Deferred[None]":
        """Write what is not written yet."""
        return self._file.close()

    def _copy(self) -> tuple[int, Callable[[], bytes]]:
        followers = self._followers
        return followers.changes, partial(msgspec.json.encode, followers.saved())
