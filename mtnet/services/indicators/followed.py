"""The series of indicators that a session follows."""

from functools import partial

from twisted.python.failure import Failure

from mtnet.errors import PolicyError
from mtnet.services.indicators import wire
from mtnet.services.indicators.service import IndicatorService
from mtnet.services.indicators.store import Row
from mtnet.services.indicators.subscription import Subscription
from mtnet.services.indicators.wire import Follow, Indicated, Series
from mtnet.session import messages
from mtnet.session.handler import refusal
from mtnet.session.session import Session

NOT_READ = "The values cannot be read at present"
READS = "reads of values"
"""Why a session is not read."""


class FollowedSeries:
    """The series that one session follows."""

    __slots__ = ("_all", "_indicators", "_reading", "_session")

    def __init__(self, session: Session, indicators: IndicatorService) -> None:
        self._session, self._indicators = session, indicators
        self._all: dict[Series, Subscription] = {}
        self._reading = 0

    def __len__(self) -> int:
        return len(self._all)

    def follow(self, asked: Follow) -> None:
        """
        Send the last values of a series, and then each as it comes; for no bars, none any more.

        Raises:
            PolicyError: `denied`; the session follows too many.
        """
        series = asked.series
        self._leave(series)
        if not asked.bars:
            self._session.send(wire.indicated(Indicated(series, 0)))
            self._session.check_finished()
            return
        most = self._indicators.settings.max_followed
        if len(self._all) >= most:
            text = f"A session follows {most} series, as indicators.max_followed allows"
            raise PolicyError("denied", text)
        subscription = Subscription(series, self._session.queue, self._too_late)
        self._all[series] = subscription
        self._reading += 1
        self._session.throttle.pause(READS)
        done = self._indicators.follow(subscription, asked.bars)
        done.addCallbacks(partial(self._begin, subscription), partial(self._unread, series))
        done.addBoth(self._read)

    def end(self) -> None:
        """Follow nothing more."""
        for series in list(self._all):
            self._leave(series)

    def _begin(self, subscription: Subscription, rows: "list[Row]") -> None:
        if not subscription.ended:
            self._session.send(wire.indicated(Indicated(subscription.series, len(rows))))
            self._indicators.broadcast.begin(subscription, [each.value for each in rows])

    def _unread(self, series: Series, failure: Failure) -> None:
        self._leave(series)
        self._session.send(refusal(failure, self._session, "INDICATOR", "", NOT_READ))

    def _read(self, result: object) -> object:
        self._reading -= 1
        if not self._reading and not self._session.closed:
            self._session.throttle.resume(READS)
        return result

    def _leave(self, series: Series) -> None:
        subscription = self._all.pop(series, None)
        if subscription is not None:
            self._indicators.broadcast.leave(subscription)

    def _too_late(self) -> None:
        text = "More values have changed than wait; reconnect, and send INDICATOR again"
        self._session.close_with(messages.error("slow", text), "slow")
