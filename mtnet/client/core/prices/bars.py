"""
The bars of one symbol: history, then the open bar as it changes and each closed one.

Pure. `when` is seconds of a clock that is never set.
"""

from collections.abc import Iterable, Iterator
from types import MappingProxyType

from mtnet.client.core.events import (
    HANDED_ON,
    Connected,
    LeftOut,
    Lost,
    Notice,
    Refused,
    Unreachable,
)
from mtnet.client.core.login import Login
from mtnet.client.core.session import Session, SessionCore
from mtnet.errors import ClientError, WireError
from mtnet.services.signals.wire import answers
from mtnet.services.ticks.bars.periods import PERIODS
from mtnet.services.ticks.verbs.wire import (
    ANSWERS,
    MAX_BARS,
    Bar,
    Barred,
    bars,
)
from mtnet.session import messages

BarEvent = Bar | Connected | Lost | Notice | Refused | LeftOut | Unreachable
"""Events of a subscription; `Connected` = the server has answered BARS."""
Events = Iterable[BarEvent]
READERS = MappingProxyType({**answers.ANSWERS, **ANSWERS})


class BarProgress:
    """
    Progress of a subscription: what was handed out of the bars of one symbol.

    Args:
        symbol: as its broker writes it, `UK 100`.
        period: `S1` … `S30`, `M1` … `MN1`.
        count: of the last bars, the open one included.

    Raises:
        ClientError: there are no such bars.
    """

    def __init__(self, symbol: str, period: str, count: int) -> None:
        self._symbol, self._period, self._count = symbol, period, count
        self._newest: Bar | None = None
        self._clock, self._taken_at = "", 0.0
        try:
            if count < 1:
                raise WireError("field", f"count is a whole number from 1 to {MAX_BARS}")
            bars(symbol, period, count)
        except WireError as error:
            raise ClientError(f"{error}; these bars cannot be asked for.") from error

    def request(self, when: float) -> bytes:
        """Return the BARS for all that there may be from the newest bar on, that included."""
        missing = self._count
        if self._newest is not None:
            length = PERIODS[self._period].length / 1_000
            passed = int((when - self._taken_at) / length)
            missing = min(passed + 2, MAX_BARS)
        return bars(self._symbol, self._period, missing)

    def take(self, answer: object, when: float) -> Iterator[BarEvent]:
        """Yield what an answer of the server says."""
        if isinstance(answer, Bar):
            if self._is_news(answer):
                self._newest, self._taken_at = answer, when
                yield answer
        elif isinstance(answer, Barred):
            if answer.count and answer.clock != self._clock:
                self._clock, self._newest = answer.clock, None  # bars of two clocks are no series
            yield Connected()
        else:
            yield from _reported(answer)

    def _is_news(self, bar: Bar) -> bool:
        """Return whether a bar was not handed out as a closed one, on an earlier connection."""
        newest = self._newest
        return newest is None or bar.time >= newest.time + (not newest.current)


class BarCore(SessionCore):
    """
    Bar subscription state machine.

    No bar is missed over lost connections, as far as the server has it, and no closed one comes
    twice.

    Args:
        progress: of the bars that are asked for.
        login: sent only over TLS or within this machine.
    """

    def __init__(self, progress: BarProgress, login: Login | None) -> None:
        super().__init__(Session("", login, lambda message: messages.read(READERS, message)))
        self._progress = progress

    def receive(self, data: bytes, when: float) -> Iterator[BarEvent]:
        """Take what the server has sent."""
        for answer in self.session.receive(data, when):
            if isinstance(answer, messages.Welcome) and self.session.offers("ticks"):
                self.session.send(self._progress.request(when))
                continue
            for event in self._progress.take(answer, when):
                if isinstance(event, Connected):
                    self.session.succeeded()
                yield event


def _reported(answer: object) -> Iterator[BarEvent]:
    """Yield the event of an answer that is about no bar."""
    if isinstance(answer, messages.Welcome):
        yield Refused("denied", "The server offers this login no ticks, and so no bars")
    elif isinstance(answer, messages.Error):
        yield Refused(answer.code, answer.text)
    elif isinstance(answer, HANDED_ON):
        yield answer
