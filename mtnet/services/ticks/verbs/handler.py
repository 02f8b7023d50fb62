"""The verbs of ticks in a session: TICKS and BARS."""

from functools import lru_cache

from twisted.internet.defer import CancelledError, Deferred

from mtnet.net.output.queue import Encoder
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.fanout.chunks import Encode
from mtnet.services.ticks.fanout.groups import TICKS
from mtnet.services.ticks.fanout.subscriber import ConflatingSubscriber, demand_readable
from mtnet.services.ticks.verbs import wire
from mtnet.services.ticks.verbs.bar_sender import BarSender
from mtnet.services.ticks.verbs.wire import Bars, Ticks
from mtnet.services.ticks.wire import EVERYTHING, encode_symbol
from mtnet.session.handler import SessionHandler, SessionVerbs
from mtnet.session.session import Session

FORMS = 16
"""Forms of a tick that are cached: frames, JSON, and some more."""
MAX_UNSENT = 65_536
"""Bytes in the kernel before they are sent: ticks must not pile up there before signals."""


@lru_cache(FORMS)
def tick_form(encoder: Encoder | None) -> Encode:
    """Return the form of a tick on the road of a session; the same for all with one encoder."""
    if encoder is None:
        return wire.tick
    return lambda *tick: encoder(wire.tick(*tick))


class SessionSubscriber(ConflatingSubscriber):
    """Sends one session its ticks; while its queue is not empty they wait here, conflated."""

    def __init__(self, session: Session) -> None:
        super().__init__(session.queue, session.peer, tick_form(session.queue.encoder))
        session.limit_unsent(MAX_UNSENT)
        self._queue = session.queue
        self.write = session.queue.post
        self._empty: Deferred[None] | None = None

    def flush_delay(self) -> float:
        """Return the seconds for which the session gathers ticks for one write."""
        return self._queue.flush_delay()

    def flush(self) -> None:
        """Write the ticks that were taken, now or as soon as the queue is empty."""
        super().flush()
        if self.lags and self._empty is None:
            self._empty = self._queue.when_empty()
            self._empty.addCallbacks(self._drained, lambda failure: failure.trap(CancelledError))

    def close(self) -> None:
        """Wait no more."""
        if self._empty is not None:
            self._empty.cancel()

    def _drained(self, _: None) -> None:
        self._empty = None
        self.flush()


class TickClient(SessionHandler):
    """The verbs of ticks in one session."""

    __slots__ = ("_bars", "_collector", "_session", "_subscriber")

    def __init__(self, session: Session, collector: Collector) -> None:
        self._session, self._collector = session, collector
        self._subscriber: SessionSubscriber | None = None
        self._bars: BarSender | None = None

    def welcomed(self) -> dict[str, str]:
        return {}  # the rights of its new login count for what it has asked for

    def busy(self) -> bool:
        subscribed = self._subscriber in self._collector.feed.subscribers
        return subscribed or bool(self._bars)

    def ticks(self, asked: Ticks) -> None:
        """TICKS: send the ticks of these symbols, and of no others."""
        names = asked.symbols
        symbols = [
            EVERYTHING if each == wire.EVERYTHING else encode_symbol(each) for each in sorted(names)
        ]
        if symbols:
            demand_readable(self._session.peer.rights, symbols)
        answer = wire.ticking(names)
        subscriber = self._subscriber = self._subscriber or SessionSubscriber(self._session)
        ticks = self._collector.feed
        ticks.unsubscribe(subscriber, [EVERYTHING])
        subscriber.keep(symbols)
        self._session.send(answer)
        if symbols:
            ticks.subscribe(subscriber, symbols, self._collector.symbols())
        self._session.check_finished()

    def bars(self, asked: Bars) -> None:
        """BARS: send the last bars of a symbol, and what becomes of them."""
        demand_readable(self._session.peer.rights, [encode_symbol(asked.symbol)])
        if self._bars is None:
            self._session.limit_unsent(MAX_UNSENT)
            self._bars = BarSender(self._session, self._collector.bars)
        self._bars.ask(asked)
        self._session.check_finished()

    def end(self) -> None:
        """End what goes on."""
        bars, self._bars = self._bars, None
        if bars is not None:
            bars.close()
        subscriber, self._subscriber = self._subscriber, None
        if subscriber is not None:
            self._collector.feed.leave(subscriber)
            subscriber.close()


def tick_verbs(collector: Collector) -> SessionVerbs:
    """Return the verbs of ticks."""
    return SessionVerbs(
        TICKS,
        ("read",),
        wire.REQUESTS,
        {
            "TICKS": TickClient.ticks,
            "BARS": TickClient.bars,
        },
        lambda session: TickClient(session, collector),
        shows=True,
    )
