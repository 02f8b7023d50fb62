"""
Write-behind file of everybody who takes part: who was there before a restart is missed until it
comes again.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mtnet.services.signals.ownership.expected import Expected
from mtnet.services.signals.ownership.presence import Presence
from mtnet.services.signals.status.followers import Followers, Saved
from mtnet.storage.write_behind import WriteBehindFile


class _File(Struct, frozen=True):
    followers: list[Saved]
    providers: dict[str, Expected] = {}


class ParticipantStore:
    """
    File of the followers and of the providers, written a while after one came or went, and at the
    stop.

    Args:
        in_thread: runs a blocking function off the reactor.
    """

    def __init__(
        self,
        path: Path,
        clock: IReactorTime,
        in_thread: Callable[..., "Deferred[Any]"],
        followers: Followers,
        presence: Presence,
    ) -> None:
        self._followers, self._presence = followers, presence
        what = "The list of followers and providers"
        self._file = WriteBehindFile(path, clock, in_thread, self._copy, what)
        followers.changed = presence.expected.changed = self._file.changed

    def open(self, when: int) -> None:
        """Read what was stored; blocking. `when` is milliseconds since the Unix epoch."""
        try:
            data = self._file.read()
            if data is not None:
                found = msgspec.json.decode(data, type=_File)
                self._followers.restore(found.followers, when)
                self._presence.expected.restore(found.providers)
        except (OSError, msgspec.MsgspecError) as error:
            self._file.unreadable(error)

    def close(self) -> "Deferred[None]":
        """Write what is not written yet."""
        return self._file.close()

    def _copy(self) -> tuple[int, Callable[[], bytes]]:
        followers, presence = self._followers, self._presence
        providers = presence.expected.saved(presence.newest())
        changes = followers.changes + presence.expected.changes
        return changes, partial(msgspec.json.encode, _File(followers.saved(), providers))
