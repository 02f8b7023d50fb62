"""The service: what terminals compute, kept on disk and sent to those who follow."""

from collections.abc import Callable, Iterator
from functools import partial
from secrets import token_hex

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import PolicyError
from mtnet.net.output.fanout import TopicFanout
from mtnet.net.time_slices import TimeSlicer
from mtnet.services.indicators import wire
from mtnet.services.indicators.settings import IndicatorSettings
from mtnet.services.indicators.store import TOO_OLD, Change, IndicatorStore, Row
from mtnet.services.indicators.subscription import Subscription
from mtnet.services.indicators.wire import Series, Value
from mtnet.storage.group_commit import GroupCommit
from mtnet.storage.worker import InThread

Observer = Callable[[], object]


class IndicatorService:
    """
    Publish-subscribe broker of values, each on disk before anybody is sent it.

    Reads and writes are made by one thread, in order: what a read has not returned is sent to the
    one who has read, once it is on disk.

    Args:
        now: milliseconds since the Unix epoch, UTC.

    Attributes:
        epoch: names the numbers of changes; another one at each start.
        known: the series that there are.
        kept: values that were stored.
        followers: how many subscriptions there are.
    """

    log = Logger()

    def __init__(
        self,
        settings: IndicatorSettings,
        store: IndicatorStore,
        in_thread: InThread,
        clock: IReactorTime,
        now: Callable[[], int],
    ) -> None:
        self.settings, self._store, self._in_thread, self._now = settings, store, in_thread, now
        self.commit = GroupCommit(store.store, store.close, in_thread)
        self.fanout, self._slicer = TopicFanout(clock), TimeSlicer(clock, settings.turn)
        self.epoch, self.kept, self.followers = token_hex(8), 0, 0
        self.known = set(store.open())
        self._behind: dict[Series, dict[Subscription, None]] = {}
        self._observers: dict[Series, dict[Observer, None]] = {}

    def calc(self, value: Value) -> "Deferred[None]":
        """
        Keep values, and send them to those who follow.

        Returns:
            A Deferred that fires once they are on disk. It fails with `JournalError`, or with
            `PolicyError`: the bar is older than those that are kept.

        Raises:
            PolicyError: `denied`; there are too many series.
        """
        most = self.settings.max_series
        if value.series not in self.known and len(self.known) >= most:
            text = f"There are {most} series, as indicators.max_series allows"
            raise PolicyError("denied", text)
        self.known.add(value.series)
        done = self.commit.put(Change(value, self._now()))
        return done.addCallback(self._stored, value)

    def last(self, series: Series, bars: int, after: int = 0) -> "Deferred[list[Row]]":
        """Return values as `IndicatorStore.last`, off the reactor."""
        return self._in_thread(self._store.last, series, min(bars, self.settings.keep), after)

    def follow(self, subscription: Subscription, bars: int) -> "Deferred[list[Row]]":
        """Return the last values, with which the caller calls `begin` at once."""
        self.followers += 1
        return self.last(subscription.series, bars)

    def begin(self, subscription: Subscription, rows: "list[Row]") -> None:
        """Send the values that were read, and then what comes."""
        subscription.begin([each.value for each in rows], self.settings.keep)
        self._behind.setdefault(subscription.series, {})[subscription] = None
        self._slicer.run(self._catch_up(subscription), self._failed)

    def leave(self, subscription: Subscription) -> None:
        """End a subscription."""
        self.followers -= 1
        subscription.stop()
        self._caught_up(subscription)
        self.fanout.detach(subscription.series, subscription)

    def observe(self, series: Series, observer: Observer) -> Callable[[], None]:
        """Call `observer()` for each change of a series; return what undoes it."""
        self._observers.setdefault(series, {})[observer] = None
        return partial(self._forget, series, observer)

    def _forget(self, series: Series, observer: Observer) -> None:
        observers = self._observers.get(series, {})
        observers.pop(observer, None)
        if not observers:
            self._observers.pop(series, None)

    def expire(self) -> "Deferred[None]":
        """Remove the series that have got no value for `indicators.unused`."""
        before = self._now() - int(self.settings.unused * 1_000)
        done: Deferred[list[Series]] = self._in_thread(self._store.expire, before)
        return done.addCallback(self.known.difference_update)

    def usage(self) -> dict[str, object]:
        """Return how much there is, for `mtnet status`."""
        return {"series": len(self.known), "followers": self.followers, "values": self.kept}

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

    def close(self) -> "Deferred[None]":
        """Send nothing more, and store what was taken."""
        self.fanout.close()
        return self.commit.close()

    def _stored(self, seq: int, value: Value) -> None:
        if seq == TOO_OLD:
            kept = f"the {self.settings.keep} that indicators.keep keeps"
            raise PolicyError("denied", f"The bar {value.bar} is older than {kept}")
        self.kept += 1
        for each in list(self._behind.get(value.series, ())):
            each.changed(value)
        self.fanout.send(value.series, wire.value(value), seq)
        for observer in list(self._observers.get(value.series, ())):
            observer()

    def _catch_up(self, subscription: Subscription) -> Iterator["Deferred[None] | None"]:
        yield from subscription.steps()
        if not subscription.ended:
            self._caught_up(subscription)
            self.fanout.attach(subscription.series, subscription)

    def _caught_up(self, subscription: Subscription) -> None:
        behind = self._behind.get(subscription.series, {})
        behind.pop(subscription, None)
        if not behind:
            self._behind.pop(subscription.series, None)

    def _failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):  # it is closed
            self.log.failure("Values could not be sent.", failure)
