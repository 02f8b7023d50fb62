"""The cold store in the daemon: in the background, by the owner's commands, and in reports."""

import re
from collections.abc import Callable, Coroutine, Mapping
from datetime import date
from functools import partial
from threading import Event
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.errors import JournalError, WireError
from mtnet.interfaces import IControlCommands
from mtnet.metrics import Metric
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.cold.layout import day_of
from mtnet.services.ticks.cold.store import ColdStore
from mtnet.services.ticks.settings import TickSettings
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.wire import encode_symbol
from mtnet.storage.worker import InThread

FIRST = 60.0
"""Seconds from the start to the first look for closed days."""
EVERY = 3_600.0
"""Seconds between two looks."""
PAUSE = 0.05
"""Seconds between two steps of about 10 ms, which keep the interpreter from the reactor: a sixth
of one processor."""
METRICS = {
    "files": "Parquet files of ticks.",
    "stored": "Ticks in Parquet files.",
    "bytes": "Bytes of Parquet files of ticks.",
}

Asked = Mapping[str, Any]

_DATE = re.compile(r"\d{4}([-.])\d\d\1\d\d", re.ASCII)


class StoppedError(Exception):
    """The daemon stops."""


def closed_before(settings: TickSettings, now: int) -> int:
    """Return the first day that is not to be compacted yet; `now` is in milliseconds, UTC."""
    return day_of(now - int(settings.compact * 1_000))


def first_kept(settings: TickSettings, now: int) -> Callable[[bytes], int | None]:
    """Return a function: the first day of a symbol that `ticks.retain` keeps; None = all."""
    every = settings.retain.get("*")
    own = {encode_symbol(each): days for each, days in settings.retain.items() if each != "*"}

    def first(symbol: bytes) -> int | None:
        days = own.get(symbol, every)
        return None if days is None else day_of(now) - days

    return first


@implementer(IControlCommands)
class ColdCommands:
    """
    The owner's commands on closed days.

    Args:
        now: wall time, milliseconds since the Unix epoch, UTC.
    """

    def __init__(self, cold: ColdStore, settings: TickSettings, now: Callable[[], int]) -> None:
        self._cold, self._settings, self._now = cold, settings, now

    def commands(self) -> Mapping[str, Callable[[Asked], "Deferred[Any]"]]:
        """Return the commands by name."""
        found = {
            "ticks compact": self._compact,
            "ticks prune": self._prune,
            "ticks delete": self._delete,
        }
        return {name: partial(_run, work) for name, work in found.items()}

    async def _compact(self, asked: Asked) -> dict[str, Any]:
        before = _day(asked.get("before"))
        today = day_of(self._now())
        if before is None:
            before = closed_before(self._settings, self._now())
        made = await self._cold.compact(min(before, today), asked.get("most"))
        return {**made, "trouble": self._cold.trouble}

    async def _prune(self, asked: Asked) -> dict[str, Any]:
        if not self._settings.retain:
            raise WireError(
                "retain", 'Nothing is deleted: ticks.retain is empty. Example: {"*" = 730}'
            )
        first = first_kept(self._settings, self._now())
        return {"ticks": await self._cold.prune(first)}

    async def _delete(self, asked: Asked) -> dict[str, Any]:
        symbol = encode_symbol(str(asked.get("symbol")))
        start, stop = _day(asked.get("start")), _day(asked.get("stop"))
        if start is not None and stop is not None and start >= stop:
            span = f"from {asked['start']} to {asked['stop']}"
            raise WireError("date", f"There is no day {span}: the second has to be later")
        return {"ticks": await self._cold.delete(symbol, start, stop)}


def _run(work: Callable[[Asked], Coroutine[Any, Any, Any]], asked: Asked) -> "Deferred[Any]":
    return Deferred.fromCoroutine(work(asked))


def _day(text: Any) -> int | None:
    """Read a date as a day."""
    if text is None:
        return None
    if not isinstance(text, str) or _DATE.fullmatch(text) is None:
        raise WireError("date", "A day is a date such as 2026-11-27", str(text).encode())
    try:
        day = date.fromisoformat(text.replace(".", "-"))
        return day.toordinal() - date(1970, 1, 1).toordinal()
    except ValueError:
        raise WireError("date", "There is no such day", text.encode()) from None


class ColdService:
    """
    Background job: compacts the days that are closed, and deletes those that are no longer kept.

    Args:
        in_store: the thread that writes the ticks.
        may_run: returns whether the disk takes ticks, and has room.

    Attributes:
        cold: the cold store.
    """

    log = Logger()

    def __init__(
        self, env: Environment, store: Store, in_store: InThread, may_run: Callable[[], bool]
    ) -> None:
        self._env, self._may_run = env, may_run
        self._stopped = Event()
        thread = env.worker("compact", patient=True)
        self.cold = ColdStore(store, in_store, thread, self._pause)
        self._timer: IDelayedCall | None = None
        self._failing = False

    def start(self) -> None:
        """Count what there is, and begin to look for closed days."""
        self._wait(FIRST)
        Deferred.fromCoroutine(self.cold.refresh()).addErrback(self._failed)

    def stop(self) -> None:
        """Begin no more; a file that is being made is given up, and made again later."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pause(self) -> None:
        if self._stopped.wait(PAUSE):
            raise StoppedError

    def _wait(self, seconds: float) -> None:
        if not self._stopped.is_set():
            self._timer = self._env.clock.callLater(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        done = Deferred.fromCoroutine(self._run()).addCallbacks(self._worked, self._failed)
        done.addBoth(lambda _: self._wait(EVERY))

    async def _run(self) -> None:
        settings, now = self._env.section, self._env.now
        if settings.retain and now.right:
            await self.cold.prune(first_kept(settings, now.estimate()))
        if settings.compact and self._may_run() and parquet.available():
            await self.cold.compact(closed_before(settings, now.estimate()))

    def _worked(self, _: object) -> None:
        self._failing = False

    def _failed(self, failure: Failure) -> None:
        if failure.check(StoppedError):
            return
        if not self._failing:
            if failure.check(JournalError):
                self.log.warn("Days of ticks wait. {error}", error=failure.value)
            else:
                self.log.failure("Compacting days of ticks failed; it is tried again.", failure)
        self._failing = True

    def commands(self) -> ColdCommands:
        """Return the owner's commands."""
        return ColdCommands(self.cold, self._env.section, self._env.now.estimate)

    def status(self) -> dict[str, object]:
        """Report what there is, and why a day was not compacted."""
        return {
            **self.cold.totals,
            "trouble": self.cold.trouble,
            "duckdb": parquet.available(),
        }

    def metrics(self) -> list[Metric]:
        """Return what there is as metrics."""
        gauges = [
            Metric(f"mtnet_ticks_cold_{name}", "gauge", text, partial(self._read, name))
            for name, text in METRICS.items()
        ]
        text = "Ticks that were deleted, of all time."
        deleted = partial(self._read, "deleted")
        return [*gauges, Metric("mtnet_ticks_deleted_total", "counter", text, deleted)]

    def _read(self, name: str) -> int:
        return self.cold.totals.get("ticks" if name == "stored" else name, 0)
