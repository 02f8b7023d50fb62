"""The service: what terminals compute, kept on disk and sent to those who follow."""

from secrets import token_hex

from twisted.internet.defer import Deferred

from mtnet.services.indicators.book import IndicatorBook
from mtnet.services.indicators.broadcast import IndicatorBroadcast
from mtnet.services.indicators.settings import IndicatorSettings
from mtnet.services.indicators.store import Row
from mtnet.services.indicators.subscription import Subscription
from mtnet.services.indicators.wire import Value


class IndicatorService:
    """
    Values, each on disk before anybody is sent it.

    What a read of the book has not returned is sent to the one who has read, once it is on disk.

    Attributes:
        settings: `[indicators]`.
        epoch: names the numbers of changes; another one at each start.
    """

    def __init__(
        self, settings: IndicatorSettings, book: IndicatorBook, broadcast: IndicatorBroadcast
    ) -> None:
        self.settings, self.book, self.broadcast = settings, book, broadcast
        self.epoch = token_hex(8)

    def calc(self, value: Value) -> "Deferred[None]":
        """Keep values as `IndicatorBook.keep`, and send them to those who follow."""
        return self.book.keep(value).addCallback(lambda seq: self.broadcast.send(value, seq))

    def follow(self, subscription: Subscription, bars: int) -> "Deferred[list[Row]]":
        """Return the last values, with which the caller begins in the broadcast at once."""
        self.broadcast.followers += 1
        return self.book.last(subscription.series, bars)

    def usage(self) -> dict[str, object]:
        """Return how much there is, for `mtnet status`."""
        return {
            "series": len(self.book.known),
            "followers": self.broadcast.followers,
            "values": self.book.kept,
        }

    def close(self) -> "Deferred[None]":
        """Send nothing more, and store what was taken."""
        self.broadcast.fanout.close()
        return self.book.commit.close()
