"""The verbs of indicators in a session: CALC and INDICATOR."""

from mtnet.services.indicators import wire
from mtnet.services.indicators.followed import FollowedSeries
from mtnet.services.indicators.service import IndicatorService
from mtnet.services.indicators.wire import Calc, Follow
from mtnet.session.handler import LateAnswers, SessionHandler, SessionVerbs, demand
from mtnet.session.session import Session

SERVICE = "indicators"
FOLLOW, PUBLISH = "follow", "publish"
NOT_STORED = "The values are not kept: the disk does not take them at present"


class IndicatorClient(SessionHandler):
    """The verbs of indicators in one session."""

    __slots__ = ("_answers", "_followed", "_indicators", "_session")

    def __init__(self, session: Session, indicators: IndicatorService) -> None:
        self._session, self._indicators = session, indicators
        self._followed = FollowedSeries(session, indicators)
        self._answers = LateAnswers(session, NOT_STORED, indicators.settings.backlog)

    def busy(self) -> bool:
        return bool(self._answers.waiting or len(self._followed))

    def calc(self, asked: Calc) -> None:
        """CALC: keep values, and answer once they are on disk."""
        demand(self._session, PUBLISH, SERVICE, asked.value.series.name)
        done = self._indicators.calc(asked.value).addCallback(lambda _: wire.calced(asked.done))
        self._answers.expect(done, "CALC", asked.id)

    def follow(self, asked: Follow) -> None:
        """INDICATOR: send the last values of a series, and then each as it comes."""
        demand(self._session, FOLLOW, SERVICE, asked.series.name)
        self._followed.follow(asked)

    def end(self) -> None:
        """End what goes on."""
        self._followed.end()


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
