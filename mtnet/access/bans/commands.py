"""What whoever runs the daemon can do about bans, and how they outlive it."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mtnet.access.bans.policy import Bans
from mtnet.access.bans.store import BanStore
from mtnet.access.security_log import SecurityLog
from mtnet.clock import WallClock
from mtnet.errors import WireError

LISTED = 1_000
"""Rows of an answer; a flood leaves more behind than anybody reads."""

Arguments = Mapping[str, Any]
InThread = Callable[..., "Deferred[Any]"]


def listed(bans: Bans, asked: Arguments, when: float) -> dict[str, Any]:
    """Return `rows`, how many `more` there are, and how many `offences` of each kind there were."""
    rows = bans.rows(when, LISTED)
    return {"rows": rows, "more": len(bans) - len(rows), "offences": dict(bans.offences)}


def added(bans: Bans, asked: Arguments, when: float) -> None:
    """
    Ban `network` for `seconds`, or for ever.

    Raises:
        WireError: one of them is none.
    """
    seconds = asked.get("seconds")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
        raise WireError("seconds", f"{seconds!r} is no number of seconds")
    bans.add(_text(asked, "network"), seconds, when)


def lifted(bans: Bans, asked: Arguments, when: float) -> bool:
    """
    Lift `what`: a network, or LOGIN@NETWORK; return whether there was anything.

    Raises:
        WireError: nothing is named.
    """
    return bans.lift(_text(asked, "what"))


ORDERS: dict[str, Callable[[Bans, Arguments, float], Any]] = {
    "bans list": listed,
    "bans add": added,
    "bans lift": lifted,
}
"""What can be asked for."""


class BanCommands:
    """
    Keeps the bans on disk, and takes orders.

    Args:
        in_thread: runs a blocking function off the reactor, one at a time, in order.
        now: wall time, and whether it may be believed.
        banned: is called when somebody was banned by hand, with the seconds of `clock`.
        log: is told what was done by hand.
    """

    def __init__(
        self,
        bans: Bans,
        records: BanStore,
        in_thread: InThread,
        clock: IReactorTime,
        now: WallClock,
        banned: Callable[[float], None],
        log: SecurityLog,
    ) -> None:
        self._bans, self._records, self._in_thread = bans, records, in_thread
        self._clock, self._now, self._banned = clock, now, banned
        self._log = log

    def commands(self) -> dict[str, Callable[[Arguments], Any]]:
        """Return what can be asked for through the control socket."""
        return {
            "bans list": lambda asked: listed(self._bans, asked, self._clock.seconds()),
            "bans add": lambda asked: self._obey(added, asked),
            "bans lift": lambda asked: self._obey(lifted, asked),
        }

    def load(self) -> None:
        """
        Remember what was stored; blocks, for the time before the first connection.

        Raises:
            JournalError: the file cannot be read.
        """
        records = self._records.load()
        self._bans.load(records, self._clock.seconds(), self._now() / 1000)
        given = [p.until - p.most for _, p in records if isfinite(p.until)]
        self._now.compare("the newest ban", int(max(given, default=0.0) * 1000))

    async def flush(self) -> None:
        """
        Store what has changed.

        Raises:
            JournalError: the disk does not take it; it is tried again with the next flush.
        """
        changes = self._bans.changes(self._clock.seconds(), self._now() / 1000, self._now.steady)
        if changes:
            await self._in_thread(self._records.store, changes)
            self._bans.settle(changes)

    def _obey(
        self, order: Callable[[Bans, Arguments, float], Any], asked: Arguments
    ) -> "Deferred[Any]":
        return Deferred.fromCoroutine(self._obeyed(order, asked))

    async def _obeyed(
        self, order: Callable[[Bans, Arguments, float], Any], asked: Arguments
    ) -> Any:
        result = order(self._bans, asked, self._clock.seconds())
        if order is added:
            self._log.banned(_text(asked, "network"), "", "by-hand", asked.get("seconds"))
        elif result:
            self._log.lifted(_text(asked, "what"))
        self._banned(self._clock.seconds())
        await self.flush()
        return result


def _text(asked: Arguments, name: str) -> str:
    found = asked.get(name)
    if not isinstance(found, str):
        raise WireError(name, f"Name a {name}")
    return found
