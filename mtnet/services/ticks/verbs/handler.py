"""The verbs of ticks in a session: TICKS and BARS."""

from collections.abc import Mapping
from functools import lru_cache
from typing import ClassVar

from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from mtnet.interfaces import ISessionVerbs
from mtnet.net.output.queue import Encoder
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.fanout.chunks import Encode
from mtnet.services.ticks.fanout.groups import TICKS
from mtnet.services.ticks.fanout.subscriber import ConflatingSubscriber, demand_readable
from mtnet.services.ticks.verbs import wire
from mtnet.services.ticks.verbs.bar_sender import BarSender
from mtnet.services.ticks.verbs.wire import Bars, Ticks
from mtnet.services.ticks.wire import EVERYTHING, encode_symbol
from mtnet.session.handler import SessionHandler
from mtnet.session.session import Session, Verb

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

    def busy(self) -> bool:
        subscribed = self._subscriber in self._collector.feed.subscribers
        return subscribed or bool(self._bars)

    def leaving(self) -> None:
        self._end()

    def closed(self, bye: bool) -> None:
        self._end()

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

    def _end(self) -> None:
        bars, self._bars = self._bars, None
        if bars is not None:
            bars.close()
        subscriber, self._subscriber = self._subscriber, None
        if subscriber is not None:
            self._collector.feed.leave(subscriber)
            subscriber.close()


@implementer(ISessionVerbs)
class TickVerbs:
    """Attaches the verbs of ticks to sessions."""

    service, every_session = TICKS, False
    verbs: ClassVar[Mapping[str, Verb]] = {
        "TICKS": Verb(wire.REQUESTS["TICKS"], TickClient.ticks),
        "BARS": Verb(wire.REQUESTS["BARS"], TickClient.bars),
    }

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def permitted(self, session: Session) -> bool:
        """Return whether the client may read any ticks."""
        return session.peer.rights.any("read", TICKS)

    def attach(self, session: Session) -> TickClient:
        """Return the handler of the verbs in one session."""
        return TickClient(session, self._collector)
