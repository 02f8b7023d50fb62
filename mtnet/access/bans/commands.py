"""The owner's commands on bans, and their persistence."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

from mtnet.access.bans.policy import Bans
from mtnet.access.bans.store import BanStore
from mtnet.access.security_log import SecurityLog
from mtnet.clock import WallClock
from mtnet.errors import WireError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from mtnet.storage.worker import InThread

LISTED = 1_000
"""Rows of an answer; a flood leaves more behind than anybody reads."""

Arguments = Mapping[str, Any]
Command = Callable[[Bans, Arguments, float], Any]


def list_bans(bans: Bans, arguments: Arguments, when: float) -> dict[str, Any]:
    """Return `rows`, how many `more` there are, and the number of `offences` of each kind."""
    rows = bans.rows(when, LISTED)
    return {"rows": rows, "more": len(bans) - len(rows), "offences": dict(bans.offences)}


def add_ban(bans: Bans, arguments: Arguments, when: float) -> None:
    """
    Ban `network` for `seconds`; null = permanently.

    Raises:
        WireError: one of them is invalid.
    """
    seconds = arguments.get("seconds")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
        raise WireError("seconds", f"Invalid seconds {seconds!r}: expected a number or null")
    bans.add(_text(arguments, "network"), seconds, when)


def lift_ban(bans: Bans, arguments: Arguments, when: float) -> bool:
    """
    Lift `what`: a network, or LOGIN@NETWORK; return whether there was a penalty.

    Raises:
        WireError: nothing is named.
    """
    return bans.lift(_text(arguments, "what"))


COMMANDS: dict[str, Command] = {
    "bans list": list_bans,
    "bans add": add_ban,
    "bans lift": lift_ban,
}
"""By their names on the control socket."""


class BanCommands:
    """
    Runs the commands in the daemon, and keeps the file of bans up to date.

    Args:
        in_thread: runs a blocking function off the reactor, one at a time, in order.
        now: wall time, and whether it can be trusted.
        on_manual_ban: called with the seconds of `clock` after the owner has banned somebody.
        log: logs what the owner did.
    """

    def __init__(
        self,
        bans: Bans,
        store: BanStore,
        in_thread: "InThread",
        clock: "IReactorTime",
        now: WallClock,
        on_manual_ban: Callable[[float], None],
        log: SecurityLog,
    ) -> None:
        self._bans, self._store, self._in_thread = bans, store, in_thread
        self._clock, self._now, self._on_manual_ban = clock, now, on_manual_ban
        self._log = log

    def commands(self) -> dict[str, Callable[[Arguments], Coroutine[Any, Any, Any]]]:
        """Return the commands for the control socket."""
        return {name: partial(self._run, command) for name, command in COMMANDS.items()}

    def load(self) -> None:
        """
        Read the file; blocks, so it is for the time before the first connection.

        Raises:
            JournalError: the file cannot be read.
        """
        records = self._store.load()
        self._bans.load(records, self._clock.seconds(), self._now() / 1000)
        given = [p.until - p.cap for _, p in records if isfinite(p.until)]
        self._now.compare("the newest ban", int(max(given, default=0.0) * 1000))

    async def flush(self) -> None:
        """
        Store what has changed.

        Raises:
            JournalError: the disk fails; the next flush tries again.
        """
        changes = self._bans.changes(self._clock.seconds(), self._now() / 1000, self._now.steady)
        if changes:
            await self._in_thread(self._store.store, changes)
            self._bans.mark_stored(changes)

    async def _run(self, command: Command, arguments: Arguments) -> Any:
        result = command(self._bans, arguments, self._clock.seconds())
        if command is list_bans:
            return result
        who = str(arguments.get("who", ""))
        if command is add_ban:
            seconds = arguments.get("seconds")
            self._log.banned(_text(arguments, "network"), "", "by-hand", seconds, who)
        elif result:
            self._log.lifted(_text(arguments, "what"), who)
        self._on_manual_ban(self._clock.seconds())
        await self.flush()
        return result


def _text(arguments: Arguments, name: str) -> str:
    found = arguments.get(name)
    if not isinstance(found, str):
        raise WireError(name, f"Invalid {name} {found!r}: expected a text")
    return found
