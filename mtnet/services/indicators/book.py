"""The series that there are, and their values on disk."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mtnet.errors import PolicyError
from mtnet.services.indicators.settings import IndicatorSettings
from mtnet.services.indicators.store import TOO_OLD, Change, IndicatorStore, Row
from mtnet.services.indicators.wire import Series, Value
from mtnet.storage.group_commit import GroupCommit
from mtnet.storage.worker import InThread


class IndicatorBook:
    """
    Values of series. Reads and writes are made by one thread, in order.

    Args:
        now: milliseconds since the Unix epoch, UTC.

    Attributes:
        known: the series that there are.
        kept: values that were stored.
    """

    def __init__(
        self,
        settings: IndicatorSettings,
        store: IndicatorStore,
        in_thread: InThread,
        now: Callable[[], int],
    ) -> None:
        self._settings, self._store, self._in_thread, self._now = settings, store, in_thread, now
        self.commit = GroupCommit(store.store, store.close, in_thread)
        self.known, self.kept = set(store.open()), 0

    def keep(self, value: Value) -> "Deferred[int]":
        """
        Keep values.

        Returns:
            A Deferred with the number of the change, once it is on disk. It fails with
            `JournalError`, or with `PolicyError`: the bar is older than those that are kept.

        Raises:
            PolicyError: `denied`; there are too many series.
        """
        most, is_new = self._settings.max_series, value.series not in self.known
        if is_new and len(self.known) >= most:
            text = f"There are {most} series, as indicators.max_series allows"
            raise PolicyError("denied", text)
        self.known.add(value.series)
        done = self.commit.put(Change(value, self._now()))
        return done.addCallbacks(
            self._stored, self._not_stored, (value,), errbackArgs=(value.series, is_new)
        )

    def _stored(self, seq: int, value: Value) -> int:
        if seq == TOO_OLD:
            kept = f"the {self._settings.keep} that indicators.keep keeps"
            raise PolicyError("denied", f"The bar {value.bar} is older than {kept}")
        self.kept += 1
        self.known.add(value.series)  # one before it may have failed
        return seq

    def _not_stored(self, failure: Failure, series: Series, is_new: bool) -> Failure:
        """Give back the place of a series of which nothing is on disk."""
        if is_new:
            self.known.discard(series)
        return failure

    def last(self, series: Series, bars: int, after: int = 0) -> "Deferred[list[Row]]":
        """Return values as `IndicatorStore.last`, off the reactor."""
        return self._in_thread(self._store.last, series, min(bars, self._settings.keep), after)

    def expire(self) -> "Deferred[None]":
        """Remove the series that have got no value for `indicators.unused`."""
        before = self._now() - int(self._settings.unused * 1_000)
        done: Deferred[list[Series]] = self._in_thread(self._store.expire, before)
        return done.addCallback(self.known.difference_update)

    def rows(self) -> "Deferred[list[dict[str, object]]]":
        """Return one row of JSON values for each series, sorted."""
        return self._in_thread(self._store.summaries).addCallback(
            lambda found: [
                {
                    "name": each.series.name,
                    "symbol": each.series.symbol,
                    "period": each.series.period,
                    "bars": each.bars,
                    "oldest": each.oldest,
                    "newest": each.newest,
                    "changed": each.changed,
                }
                for each in found
            ]
        )
