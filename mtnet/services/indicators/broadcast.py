"""Broadcast of values to those who follow their series."""

from collections.abc import Callable, Iterator

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.callbacks import Observers
from mtnet.net.output.fanout import TopicFanout
from mtnet.net.time_slices import TimeSlicer
from mtnet.services.indicators import wire
from mtnet.services.indicators.settings import IndicatorSettings
from mtnet.services.indicators.subscription import Subscription
from mtnet.services.indicators.wire import Series, Value

Observer = Callable[[], object]


class IndicatorBroadcast:
    """
    Publish-subscribe broker of values that are on disk.

    Attributes:
        fanout: those who have been sent what they asked for.
        followers: how many subscriptions there are.
    """

    log = Logger()

    def __init__(self, settings: IndicatorSettings, clock: IReactorTime) -> None:
        self._settings, self.followers = settings, 0
        self.fanout, self._slicer = TopicFanout(clock), TimeSlicer(clock, settings.turn)
        self._behind: dict[Series, dict[Subscription, None]] = {}
        self._observers = Observers[Series]()

    def begin(self, subscription: Subscription, values: "list[Value]") -> None:
        """Send the values that were read, and then what comes."""
        subscription.begin(values, self._settings.keep)
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
        return self._observers.add(series, observer)

    def send(self, value: Value, seq: int) -> None:
        """Send values to those who follow; `seq`: the number of their change."""
        for each in list(self._behind.get(value.series, ())):
            each.changed(value)
        self.fanout.send(value.series, wire.value(value), seq)
        self._observers.call(value.series)

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
