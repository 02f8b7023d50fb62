"""Indicators by HTTP: values by POST, the last ones by GET, and new ones by long poll."""

from functools import partial
from typing import Annotated, Any

from msgspec import Meta, Struct
from twisted.internet.defer import Deferred, DeferredList
from twisted.python.failure import Failure

from mtnet.errors import PolicyError
from mtnet.net.http.long_poll import MAX_WAIT
from mtnet.net.http.route import BodyLimit, HttpRequest, Route, refuse_disk
from mtnet.services.indicators import wire
from mtnet.services.indicators.followed import NOT_READ
from mtnet.services.indicators.service import IndicatorService
from mtnet.services.indicators.store import Row
from mtnet.services.indicators.verbs import NOT_STORED
from mtnet.services.indicators.wire import DEFAULT_BARS, NAME_PATTERN

PATH = "/v1/indicators/{name}/{symbol}/{period}"
MAX_POSTED = 1_000
"""Bars of one request, which are stored in one commit."""
MAX_BODY = 1_048_576
"""Bytes of so many bars of every buffer."""

Name = Annotated[str, Meta(pattern=f"^{NAME_PATTERN}$", examples=["RSI14"])]
Bar = Annotated[int, Meta(ge=0, le=2**63 - 1, examples=[1_796_029_200_000])]
Items = Annotated[list[str | None], Meta(min_length=1, max_length=wire.MAX_BUFFERS)]


class SeriesPath(Struct):
    """The series in the path; `/` is `%2F`."""

    name: Name
    symbol: str
    period: str


class SeriesQuery(Struct):
    """
    Asks for values.

    Attributes:
        bars: how many of the last bars, at most.
        epoch: of `after`; another one than the present asks for all of these bars.
        after: only bars that have changed behind this number.
        wait: seconds to wait for the first such change.
    """

    name: Name
    symbol: str
    period: str
    bars: Annotated[int, Meta(ge=1)] = DEFAULT_BARS
    epoch: str | None = None
    after: Bar | None = None
    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT)] = 0


class BarValues(Struct, omit_defaults=True):
    """
    The values of one bar.

    Attributes:
        bar: the time of its opening, milliseconds of the broker's clock.
        values: one for each buffer; null = EMPTY_VALUE.
        open: the bar is still open: its values will change.
    """

    bar: Bar
    values: Items
    open: bool = False


class NewValues(Struct):
    """Values to keep; those of a bar replace the former ones."""

    values: Annotated[list[BarValues], Meta(min_length=1, max_length=MAX_POSTED)]


class KeptValues(Struct):
    """
    The answer to values.

    Attributes:
        stored: how many bars are on disk now.
        too_old: how many are not, since they are older than those that are kept.
    """

    stored: int
    too_old: int


class IndicatorValues(Struct):
    """
    Values, the oldest bar first.

    Attributes:
        seq: the number to ask with next, together with `epoch`.
    """

    epoch: str
    seq: int
    values: list[BarValues]


class IndicatorResources:
    """Takes values, and tells them."""

    def __init__(self, indicators: IndicatorService) -> None:
        self._indicators = indicators

    def post(
        self, request: HttpRequest, asked: SeriesPath, body: NewValues
    ) -> "Deferred[KeptValues]":
        """Keep values."""
        series = wire.series(asked.name, asked.symbol, asked.period)
        values = [wire.bar_values(series, each.bar, each.values, each.open) for each in body.values]
        kept = [self._indicators.calc(each) for each in values]
        done: Deferred[Any] = DeferredList(kept, consumeErrors=True)
        return done.addCallback(_count)

    def get(self, request: HttpRequest, asked: SeriesQuery) -> "Deferred[IndicatorValues]":
        """Return values, at once or with the first that changes."""
        found = self._read(asked)
        if asked.after is None or not asked.wait:
            return found
        return found.addCallback(partial(self._or_wait, request, asked))

    def _or_wait(
        self, request: HttpRequest, asked: SeriesQuery, found: IndicatorValues
    ) -> "IndicatorValues | Deferred[IndicatorValues]":
        if found.values or asked.epoch not in (None, found.epoch):
            return found
        series = wire.series(asked.name, asked.symbol, asked.period)
        subscribe = partial(self._indicators.broadcast.observe, series)
        return request.wait(asked.wait, partial(self._read, asked), subscribe)

    def _read(self, asked: SeriesQuery) -> "Deferred[IndicatorValues]":
        series = wire.series(asked.name, asked.symbol, asked.period)
        after = asked.after or 0
        if asked.epoch not in (None, self._indicators.epoch):
            after = 0
        done = self._indicators.book.last(series, asked.bars, after)
        answer = partial(self._answer, after)
        return done.addCallbacks(answer, refuse_disk, errbackArgs=(NOT_READ,))

    def _answer(self, after: int, rows: "list[Row]") -> IndicatorValues:
        seq = max((each.seq for each in rows), default=after)
        return IndicatorValues(self._indicators.epoch, seq, [*map(_shown, rows)])


def _shown(row: Row) -> BarValues:
    value = row.value
    return BarValues(value.bar, [item or None for item in value.values], value.open)


def _count(results: "list[tuple[bool, object]]") -> KeptValues:
    """
    Count what was stored.

    Raises:
        HttpError: 503, the disk has not taken all.
    """
    reasons = [reason for success, reason in results if not success]
    for reason in reasons:
        assert isinstance(reason, Failure)
        if not reason.check(PolicyError):
            refuse_disk(reason, NOT_STORED)
    return KeptValues(len(results) - len(reasons), len(reasons))


def indicator_routes(indicators: IndicatorService) -> list[Route]:
    """Return the routes of indicators."""
    resources = IndicatorResources(indicators)
    return [
        Route(
            method="GET",
            path=PATH,
            handler=resources.get,
            summary="The last values of an indicator, or what has changed behind a number.",
            params=SeriesQuery,
            right="follow:indicators/{name}",
            answers={200: IndicatorValues},
        ),
        Route(
            method="POST",
            path=PATH,
            handler=resources.post,
            summary="Keep values; they are on disk when this is answered.",
            params=SeriesPath,
            body=NewValues,
            body_limit=BodyLimit(MAX_BODY, f"this path takes {MAX_BODY}"),
            right="publish:indicators/{name}",
            answers={200: KeptValues},
        ),
    ]
