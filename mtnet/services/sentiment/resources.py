"""Sentiment by HTTP: sums, their minute history, and a vote by POST."""

from decimal import Decimal
from functools import partial
from typing import Annotated

from msgspec import Meta, Struct, field
from twisted.internet.defer import Deferred

from mtnet import values
from mtnet.access.addresses import network_of
from mtnet.errors import WireError
from mtnet.net.http.route import HttpRequest, Route, refuse_disk
from mtnet.services.sentiment.recorder import MinuteRecorder
from mtnet.services.sentiment.service import SentimentService
from mtnet.services.sentiment.verbs import FOLLOW, SERVICE
from mtnet.services.sentiment.wire import VOLUME, Sentiment
from mtnet.values import read_symbol

MAX_MINUTES = 10_080
"""Minutes of one answer: a week, about a megabyte."""
NOT_READ = "The minutes cannot be read at present"

Time = Annotated[int, Meta(ge=0, le=2**53)]


class SentimentPath(Struct):
    """The symbol in the path."""

    symbol: str


class HistoryQuery(Struct, rename={"start": "from", "stop": "to"}):
    """
    Asks for minutes.

    Attributes:
        start: the first one, milliseconds since the Unix epoch, UTC; absent = the oldest.
        stop: the end of the last one; absent = the newest.
    """

    symbol: str
    start: Time | None = None
    stop: Time | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_MINUTES)] = 1_440


class NewVote(Struct):
    """The client's own net position in lots; below 0 = sold, 0 withdraws the vote."""

    volume: Annotated[str, Meta(examples=["0.25"])]

    def lots(self) -> Decimal:
        """
        Return it as a number.

        Raises:
            WireError: `field`; it is none.
        """
        volume = VOLUME.read(self.volume)
        if volume is None:
            wrong = self.volume.encode(errors="replace")
            raise WireError("field", f"volume is {VOLUME.expected}, not", wrong)
        return volume


class Sums(Struct):
    """
    The sums of a symbol.

    Attributes:
        clients: who hold any; 0 = they are fewer than may be shown.
        time: when the sums were made, milliseconds since the Unix epoch, UTC.
    """

    symbol: str
    long: str
    short: str
    net: str
    clients: int
    time: int


class MinuteSums(Struct):
    """The sums of a minute; `time` is its begin."""

    time: int
    long: str
    short: str
    net: str
    clients: int


class SentimentHistoryAnswer(Struct):
    """Minutes, oldest first; one in which nothing was shown is left out."""

    symbol: str
    minutes: list[MinuteSums] = field(default_factory=list)


class SumResources:
    """Tells sums, and takes votes."""

    def __init__(self, sentiment: SentimentService) -> None:
        self._sentiment = sentiment

    def every(self, request: HttpRequest) -> list[Sums]:
        """Return the sums of the symbols that the client may follow."""
        may = partial(request.rights.may, FOLLOW, SERVICE)
        return [sums_row(each) for each in self._sentiment.all() if may(each.symbol)]

    def get(self, request: HttpRequest, asked: SentimentPath) -> Sums:
        """Return the sums of a symbol."""
        return sums_row(self._sentiment.shown(_symbol(asked.symbol)))

    def post(self, request: HttpRequest, asked: SentimentPath, body: NewVote) -> Sums:
        """Vote."""
        symbol, volume = _symbol(asked.symbol), body.lots()
        login = "" if request.identity is None else request.identity.name
        network = network_of(request.peer.host)
        return sums_row(self._sentiment.vote(login, network, symbol, volume))


class HistoryResources:
    """Tells the minute history."""

    def __init__(self, recorder: MinuteRecorder) -> None:
        self._recorder = recorder

    def get(self, request: HttpRequest, asked: HistoryQuery) -> "Deferred[SentimentHistoryAnswer]":
        """Return the minutes of a symbol."""
        symbol = _symbol(asked.symbol)
        found = self._recorder.read(symbol, asked.start, asked.stop, asked.limit)
        return found.addCallbacks(
            lambda rows: SentimentHistoryAnswer(symbol, minute_rows(rows)),
            refuse_disk,
            errbackArgs=(NOT_READ,),
        )


def sums_row(sums: Sentiment) -> Sums:
    """Return sums as JSON shows them."""
    long, short, net = (f"{each:f}" for each in (sums.long, sums.short, sums.net))
    return Sums(sums.symbol, long, short, net, sums.clients, sums.time)


def minute_rows(rows: list[Sentiment]) -> list[MinuteSums]:
    """Return minutes as JSON shows them."""
    shown = map(sums_row, rows)
    return [MinuteSums(each.time, each.long, each.short, each.net, each.clients) for each in shown]


def _symbol(text: str) -> str:
    if read_symbol(text) is None:
        raise WireError(
            "field", f"A symbol has {values.SYMBOL}, not", text.encode(errors="replace")
        )
    return text


def sentiment_routes(sentiment: SentimentService, recorder: MinuteRecorder) -> list[Route]:
    """Return the routes of sentiment."""
    sums, history = SumResources(sentiment), HistoryResources(recorder)
    return [
        Route(
            method="GET",
            path="/v1/sentiment",
            handler=sums.every,
            summary="The sums of all symbols that may be shown.",
            right="follow:sentiment",
            answers={200: list[Sums]},
        ),
        Route(
            method="GET",
            path="/v1/sentiment/{symbol}",
            handler=sums.get,
            summary="The sums of a symbol.",
            params=SentimentPath,
            right="follow:sentiment/{symbol}",
            answers={200: Sums},
        ),
        Route(
            method="POST",
            path="/v1/sentiment/{symbol}",
            handler=sums.post,
            summary="Vote; the vote counts for sentiment.linger, unless it is sent again.",
            params=SentimentPath,
            body=NewVote,
            right="publish:sentiment/{symbol}",
            answers={200: Sums},
        ),
        Route(
            method="GET",
            path="/v1/sentiment/{symbol}/history",
            handler=history.get,
            summary="The sums of a symbol, minute by minute.",
            params=HistoryQuery,
            right="follow:sentiment/{symbol}",
            answers={200: SentimentHistoryAnswer},
        ),
    ]
