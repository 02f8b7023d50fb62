"""Channels by HTTP: the list, one of them, and its signals by long poll."""

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mtnet.errors import PrunedError
from mtnet.net.http.long_poll import LongPoll
from mtnet.net.http.route import HttpRequest
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

MAX_PAGES = 20
"""Pages of history that are looked through for one answer: of a filter that lets little pass, the
answer says how far it got."""


def state_of(signals: SignalService, channel: str) -> dict[str, Any]:
    """Return the keys that stand in every answer about a channel."""
    up, since = signals.presence.of(channel)
    return {"publisher": Presence(up, since), "paused": signals.pauses.mode(channel)}


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

    def __init__(
        self, signals: SignalService, followers: PollingFollowers, clock: IReactorTime
    ) -> None:
        self._signals, self._followers, self._clock = signals, followers, clock

    def get(self, request: HttpRequest, asked: SignalQuery) -> "Deferred[Signals]":
        """Return what is asked for, at once or with the first news."""
        return Deferred.fromCoroutine(self._get(request, asked))

    async def _get(self, request: HttpRequest, asked: SignalQuery) -> Signals:
        access = RequestAccess(request, self._signals)
        reading = Reading(self._signals, self._followers, access, asked)
        found = await reading.answer()
        if reading.has_news or not (asked.wait and access.here):
            return found

        def release() -> None:
            reading.follower.release(poll)

        poll = LongPoll(
            self._clock, asked.wait, lambda: Deferred.fromCoroutine(self._woken(reading)), release
        )
        reading.follower.hold(poll, reading.asked.symbols)
        request.hold(poll)
        answer: Signals = await poll.deferred
        return answer

    async def _woken(self, reading: "Reading") -> Signals:
        # One signal wakes a thousand polls, and the next one must not wait for all of them.
        await self._signals.channels.replay_caches.budget.take()
        return await reading.answer()


class Reading:
    """
    One request for signals.

    Attributes:
        asked: what it asks for, as a session would.
        follower: the client.
        has_news: whether the last answer holds anything that the client does not know.
    """

    def __init__(
        self,
        signals: SignalService,
        followers: PollingFollowers,
        access: RequestAccess,
        query: SignalQuery,
    ) -> None:
        self._signals, self._access, self._query = signals, access, query
        self.asked = asked = query.subscribe(access.meant(query.channel))
        self.follower: PollingFollower = followers.of(
            access, access.find(query.channel), query.name
        )
        self.has_news = True
        self.follower.asks(access.agent, asked.symbols, asked.epoch, asked.after)

    async def answer(self) -> Signals:
        """
        Return the answer.

        Raises:
            WireError: as `RequestAccess.find`.
            JournalError: the journal cannot be read.
        """
        channel = self._access.find(self._query.channel)
        asked, who = self.asked, self._access.witness(self._query.name)
        known = await compare(self._signals, channel, asked, who)
        if known is Known.THIS:
            try:
                return await self._replay(channel, asked.after or 0)
            except PrunedError:
                pass
        return self._snapshot(channel, known is Known.DIVERGED)

    async def _replay(self, channel: Channel, seq: int) -> Signals:
        found: list[Signal] = []
        h, limit = channel.h, self._query.limit
        for page in range(MAX_PAGES):
            if seq >= channel.seq or len(found) >= limit:
                break
            if page:
                await self._signals.channels.replay_caches.budget.take()
            batch = await read_page(self._signals, channel, seq)
            for entry, encoded in zip(batch.entries, batch.each(encoded_signal), strict=True):
                seq, h = entry.seq, entry.h
                if wants(self.asked.symbols, entry):
                    found.append(encoded)
                    if len(found) == limit:
                        break
        if seq == channel.seq:
            h = channel.h
        state = state_of(self._signals, channel.name)
        self.has_news = bool(found) or seq < channel.seq or self.follower.shown != state
        return self._made(channel, state, seq, h, signals=found)

    def _snapshot(self, channel: Channel, diverged: bool) -> Signals:
        self.has_news = True
        held = [*map(position, wanted(self.asked.symbols, channel.held()))]
        more: dict[str, Any] = {"diverged": True} if diverged else {}
        state = state_of(self._signals, channel.name)
        return self._made(channel, state, channel.seq, channel.h, snapshot=held, **more)

    def _made(
        self, channel: Channel, state: Mapping[str, Any], seq: int, h: str, **more: Any
    ) -> Signals:
        self.follower.sent(seq, "snapshot" in more)
        self.follower.shown = state
        limits: dict[str, Any] = self._signals.views.limits(channel.name)
        if "max_age" in limits:
            limits["max_age"] = float(limits["max_age"])
        return Signals(channel.epoch, seq, h, channel.seq, **state, **more, **limits)
