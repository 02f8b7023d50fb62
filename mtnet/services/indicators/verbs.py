"""The verbs of indicators in a session: CALC and INDICATOR."""

from functools import partial

from twisted.python.failure import Failure

from mtnet.errors import PolicyError
from mtnet.services.indicators import wire
from mtnet.services.indicators.service import IndicatorService
from mtnet.services.indicators.store import Row
from mtnet.services.indicators.subscription import Subscription
from mtnet.services.indicators.wire import Calc, Calced, Follow, Indicated, Series
from mtnet.session import messages
from mtnet.session.handler import LateAnswers, SessionHandler, SessionVerbs, demand, refusal
from mtnet.session.session import Session

SERVICE = "indicators"
FOLLOW, PUBLISH = "follow", "publish"
NOT_STORED = "The values are not kept: the disk does not take them at present"
NOT_READ = "The values cannot be read at present"
READS = "reads of values"
"""Why a session is not read."""


class IndicatorClient(SessionHandler):
    """The verbs of indicators in one session."""

    __slots__ = ("_answers", "_followed", "_indicators", "_reading", "_session")

    def __init__(self, session: Session, indicators: IndicatorService) -> None:
        self._session, self._indicators = session, indicators
        self._followed: dict[Series, Subscription] = {}
        self._reading = 0
        self._answers = LateAnswers(session, NOT_STORED, indicators.settings.backlog)

    def busy(self) -> bool:
        return bool(self._answers.waiting or self._followed)

    def calc(self, asked: Calc) -> None:
        """CALC: keep values, and answer once they are on disk."""
        demand(self._session, PUBLISH, SERVICE, asked.value.series.name)
        answer = Calced(asked.value.series, asked.value.bar, asked.id)
        done = self._indicators.calc(asked.value).addCallback(lambda _: wire.calced(answer))
        self._answers.expect(done, "CALC", asked.id)

    def follow(self, asked: Follow) -> None:
        """INDICATOR: send the last values of a series, and then each as it comes."""
        series = asked.series
        demand(self._session, FOLLOW, SERVICE, series.name)
        self._leave(series)
        if not asked.bars:
            self._session.send(wire.indicated(Indicated(series, 0)))
            self._session.check_finished()
            return
        most = self._indicators.settings.max_followed
        if len(self._followed) >= most:
            text = f"A session follows {most} series, as indicators.max_followed allows"
            raise PolicyError("denied", text)
        subscription = Subscription(series, self._session.queue, self._too_late)
        self._followed[series] = subscription
        self._reading += 1
        self._session.throttle.pause(READS)
        done = self._indicators.follow(subscription, asked.bars)
        done.addCallbacks(partial(self._begin, subscription), partial(self._unread, series))
        done.addBoth(self._read)

    def _begin(self, subscription: Subscription, rows: "list[Row]") -> None:
        if not subscription.ended:
            self._session.send(wire.indicated(Indicated(subscription.series, len(rows))))
            self._indicators.broadcast.begin(subscription, [each.value for each in rows])

    def _unread(self, series: Series, failure: Failure) -> None:
        self._leave(series)
        self._session.send(refusal(failure, "INDICATOR", "", NOT_READ))

    def _read(self, result: object) -> object:
        self._reading -= 1
        if not self._reading and not self._session.closed:
            self._session.throttle.resume(READS)
        return result

    def _leave(self, series: Series) -> None:
        subscription = self._followed.pop(series, None)
        if subscription is not None:
            self._indicators.broadcast.leave(subscription)

    def end(self) -> None:
        """End what goes on."""
        for series in list(self._followed):
            self._leave(series)

    def _too_late(self) -> None:
        text = "More values have changed than wait; reconnect, and send INDICATOR again"
        self._session.close_with(messages.error("slow", text), "slow")


def indicator_verbs(indicators: IndicatorService) -> SessionVerbs:
    """Return the verbs of indicators."""
    return SessionVerbs(
        SERVICE,
        (FOLLOW, PUBLISH),
        wire.REQUESTS,
        {
            "CALC": IndicatorClient.calc,
            "INDICATOR": IndicatorClient.follow,
        },
        lambda session: IndicatorClient(session, indicators),
    )
