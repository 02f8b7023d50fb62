"""Channels by HTTP: the list, one of them, and its signals by long poll."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred

from mtnet.coroutines import run
from mtnet.errors import PrunedError
from mtnet.net.http.route import JSON_HEADERS, Answer, HttpRequest, json_bytes
from mtnet.services.signals.book import Channel
from mtnet.services.signals.history.catch_up import Known, compare, read_page, wanted, wants
from mtnet.services.signals.http.access import RequestAccess
from mtnet.services.signals.http.followers import PollingFollower, PollingFollowers
from mtnet.services.signals.http.wire import (
    ChannelPath,
    ChannelRow,
    ChannelState,
    Presence,
    Signal,
    SignalQuery,
    Signals,
    encoded_signal,
    position,
)
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.wire.requests import Subscribe

MAX_PAGES = 20
"""Pages of history that are looked through for one answer: of a filter that lets little pass, the
answer says how far it got."""
SHARED = 16
"""Answers that are kept for others who ask for the same: the last ones of so many channels."""
MAX_SHARED = 262_144
"""Bytes of an answer that is kept: what a follower of an hour ago misses."""


def state_of(signals: SignalService, channel: str) -> dict[str, Any]:
    """Return the keys that stand in every answer about a channel."""
    up, since = signals.rules.presence_of(channel)
    return {"publisher": Presence(up, since), "paused": signals.rules.pause_mode(channel)}


class ChannelReading:
    """Tells channels and what they hold."""

    def __init__(self, signals: SignalService) -> None:
        self._signals = signals

    def all(self, request: HttpRequest) -> list[ChannelRow]:
        """Return the channels that the client may see."""
        access, channels = RequestAccess(request, self._signals), self._signals.channels
        access.demand_any()
        names = [name for name in sorted(channels.book) if channels.is_named(name)]
        return [self._row(access, name) for name in names if self._is_listed(access, name)]

    def one(self, request: HttpRequest, path: ChannelPath) -> ChannelState:
        """Return a channel with its positions."""
        access = RequestAccess(request, self._signals)
        channel = access.find(path.channel)
        return ChannelState(
            channel=access.shown(channel.name),
            epoch=channel.epoch,
            seq=channel.seq,
            h=channel.h,
            positions=[*map(position, channel.held())],
            **state_of(self._signals, channel.name),
        )

    def _is_listed(self, access: RequestAccess, name: str) -> bool:
        # What hides behind the name of a view has no name for this client.
        named = access.meant(access.shown(name)) == name
        return named and access.may_see(name) and not self._signals.is_lost(name)

    def _row(self, access: RequestAccess, name: str) -> ChannelRow:
        channel = self._signals.channels.book[name]
        return ChannelRow(
            channel=access.shown(name),
            epoch=channel.epoch,
            seq=channel.seq,
            positions=channel.keys,
            followers=self._signals.fanout.count(name),
            **state_of(self._signals, name),
        )


class SignalReading:
    """Tells the signals of a channel, and waits for new ones."""

    def __init__(self, signals: SignalService, followers: PollingFollowers) -> None:
        self._signals, self._followers = signals, followers
        self._pages = Pages(signals)

    def get(self, request: HttpRequest, asked: SignalQuery) -> "Answer | Deferred[Answer]":
        """Return what is asked for, at once or with the first news."""
        return run(self._get(request, asked))

    async def _get(self, request: HttpRequest, asked: SignalQuery) -> "Answer | Deferred[Answer]":
        access = RequestAccess(request, self._signals)
        channel = access.find(asked.channel)
        follower = self._followers.of(access, channel, asked.name)
        reading = Reading(self._pages, follower, access, asked)
        found = await reading.answer(channel)
        if reading.has_news or not (asked.wait and access.here):
            return found
        return request.wait(asked.wait, reading.again, reading.subscribe)


class Reading:
    """
    One request for signals.

    Attributes:
        has_news: whether the last answer holds anything that the client does not know.
    """

    def __init__(
        self,
        pages: "Pages",
        follower: PollingFollower,
        access: RequestAccess,
        query: SignalQuery,
    ) -> None:
        self._pages, self._follower = pages, follower
        self._access, self._query = access, query
        self._asked = asked = query.subscribe(access.meant(query.channel))
        self.has_news = True
        self._who = access.witness(query.name)
        follower.asks(access.agent, asked.symbols, asked.epoch, asked.after)

    async def answer(self, channel: Channel) -> Answer:
        """
        Return the answer.

        Raises:
            JournalError: the journal cannot be read.
        """
        page = await self._pages.get(channel, self._asked, self._who, self._query.limit)
        follower = self._follower
        self.has_news = page.has_news or follower.shown != page.state
        follower.sent(page.seq, page.whole)
        follower.shown = page.state
        return page.answer

    def again(self) -> "Answer | Deferred[Answer]":
        """Return the answer at news; what the client may see is looked up again."""
        return run(self.answer(self._access.find(self._query.channel)))

    def subscribe(self, notify: Callable[..., None]) -> Callable[[], object]:
        """Call a function at news; return what undoes that."""
        self._follower.hold(notify, self._asked.symbols)
        return partial(self._follower.release, notify)


class Page(NamedTuple):
    """
    An answer, as all get it that ask for the same.

    Attributes:
        state: of publisher and pause, and the limits of a view.
        seq: up to which it is complete.
        whole: it is a snapshot.
        has_news: it has signals, or lies behind the channel's last one.
    """

    answer: Answer
    state: Mapping[str, Any]
    seq: int
    whole: bool
    has_news: bool


class Pages:
    """Cache of answers: a thousand followers that miss the same are answered with one."""

    def __init__(self, signals: SignalService) -> None:
        self._signals = signals
        self._shared: dict[object, Page] = {}

    async def get(self, channel: Channel, asked: Subscribe, who: str, limit: int) -> Page:
        """
        Return the answer.

        Args:
            who: as of `compare`.
            limit: signals in it.

        Raises:
            JournalError: the journal cannot be read.
        """
        signals = self._signals
        known = await compare(signals, channel, asked, who)
        # By all that makes the answer.
        key = (
            channel.name, channel.epoch, channel.seq, channel.h, known,
            asked.after if known is Known.THIS else None, asked.symbols, limit,
            *state_of(signals, channel.name).values(), *_limits(signals, channel).values(),
        )  # fmt: skip
        page = self._shared.get(key)
        if page is None:
            page = await _make(signals, channel, known, asked, limit)
            if len(page.answer.value) <= MAX_SHARED:
                if len(self._shared) == SHARED:
                    del self._shared[next(iter(self._shared))]
                self._shared[key] = page
        return page


async def _make(
    signals: SignalService, channel: Channel, known: Known, asked: Subscribe, limit: int
) -> Page:
    if known is Known.THIS:
        try:
            return await _replay(signals, channel, asked, limit)
        except PrunedError:
            pass
    held = [*map(position, wanted(asked.symbols, channel.held()))]
    more: dict[str, Any] = {"diverged": True} if known is Known.DIVERGED else {}
    return _page(signals, channel, channel.seq, channel.h, snapshot=held, **more)


async def _replay(signals: SignalService, channel: Channel, asked: Subscribe, limit: int) -> Page:
    found: list[Signal] = []
    seq, h = asked.after or 0, channel.h
    for page in range(MAX_PAGES):
        if seq >= channel.seq or len(found) >= limit:
            break
        if page:
            await signals.channels.replay_caches.budget.take()
        batch = await read_page(signals, channel, seq)
        for entry, encoded in zip(batch.entries, batch.each(encoded_signal), strict=True):
            seq, h = entry.seq, entry.h
            if wants(asked.symbols, entry):
                found.append(encoded)
                if len(found) == limit:
                    break
    if seq == channel.seq:
        h = channel.h
    return _page(signals, channel, seq, h, signals=found)


def _page(service: SignalService, channel: Channel, seq: int, h: str, **more: Any) -> Page:
    state = {**state_of(service, channel.name), **_limits(service, channel)}
    last = channel.seq
    news = Signals(channel.epoch, seq, h, last, **state, **more)
    answer = Answer(200, json_bytes(news), JSON_HEADERS)
    whole = "snapshot" in more
    return Page(answer, state, seq, whole, whole or seq < last or bool(more["signals"]))


def _limits(signals: SignalService, channel: Channel) -> dict[str, Any]:
    limits: dict[str, Any] = signals.views.limits(channel.name)
    if "max_age" in limits:
        limits["max_age"] = float(limits["max_age"])
    return limits
