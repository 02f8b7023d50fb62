"""
The values of one indicator over lost connections, the last ones once, and values to keep.

Pure.
"""

from collections.abc import Iterable, Iterator
from math import isfinite

from msgspec import Struct

from mtnet.client.core.events import Connected
from mtnet.client.core.login import Login
from mtnet.client.core.tasks.task import SessionEvent, Task, TaskCore, checked
from mtnet.services.indicators import wire
from mtnet.services.indicators.wire import ANSWERS, DEFAULT_BARS, Calced, Indicated, Series, Value


class History(Struct, frozen=True):
    """The last values of an indicator, the oldest bar first."""

    values: list[Value]


IndicatorNews = Value | Calced | History
IndicatorEvent = IndicatorNews | SessionEvent


class Following:
    """
    INDICATOR: the last bars, and each change; after a lost connection what has changed meanwhile.

    Args:
        bars: of the last ones; after a lost connection as many are compared.

    Raises:
        ClientError: there are no such values.
    """

    def __init__(self, series: Series, bars: int = DEFAULT_BARS) -> None:
        self._series, self._bars = series, max(1, bars)
        self._known: dict[int, Value] = {}
        self.request()

    def request(self) -> bytes:
        """Return INDICATOR."""
        return checked(wire.indicator, self._series, self._bars)

    def take(self, answer: object) -> Iterator[IndicatorEvent]:
        """Yield what was not known yet."""
        if isinstance(answer, Indicated):
            yield Connected()
        elif isinstance(answer, Value) and self._known.get(answer.bar) != answer:
            self._known[answer.bar] = answer
            if len(self._known) > self._bars:
                del self._known[min(self._known)]
            yield answer


class Fetching:
    """
    INDICATOR: the last bars, once.

    Raises:
        ClientError: there are no such values.
    """

    def __init__(self, series: Series, bars: int) -> None:
        self._series, self._bars = series, max(1, bars)
        self._values: list[Value] = []
        self._count: int | None = None
        self.request()

    def request(self) -> bytes:
        """Return INDICATOR."""
        self._values, self._count = [], None
        return checked(wire.indicator, self._series, self._bars)

    def take(self, answer: object) -> Iterator[IndicatorEvent]:
        """Yield all values together."""
        if isinstance(answer, Indicated):
            self._count = answer.count
            yield Connected()
        elif isinstance(answer, Value):
            self._values.append(answer)
        if self._count == len(self._values):
            self._count = None
            yield History(self._values)


class Keeping:
    """
    CALC of the values of one bar.

    Raises:
        ClientError: there are no such values.
    """

    def __init__(self, value: Value) -> None:
        self._frame = checked(wire.calc, value)

    def request(self) -> bytes:
        """Return CALC."""
        return self._frame

    def take(self, answer: object) -> Iterator[IndicatorEvent]:
        """Yield the answer."""
        if isinstance(answer, Calced):
            yield answer


class IndicatorCore(TaskCore[IndicatorNews]):
    """
    Client state machine of indicators.

    Args:
        login: sent only over TLS or within this machine.
    """

    def __init__(self, task: Task[IndicatorNews], login: Login | None) -> None:
        super().__init__("indicators", ANSWERS, task, login)


def items(numbers: Iterable[float | str | None]) -> tuple[str, ...]:
    """Return numbers as the values of a bar; None, NaN and infinity are EMPTY_VALUE."""
    return tuple(map(_item, numbers))


def _item(number: float | str | None) -> str:
    if number is None or (isinstance(number, float) and not isfinite(number)):
        return wire.EMPTY
    return str(number)
