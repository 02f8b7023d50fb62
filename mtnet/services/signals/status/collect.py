"""Collects what the engine judges, from sessions, acknowledgements, REPORTs and the book."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from msgspec.structs import replace

from mtnet.services.signals.book import Channel
from mtnet.services.signals.ownership.ownership import Ownership
from mtnet.services.signals.ownership.publishers import Connection, Output, Publisher
from mtnet.services.signals.reports.registry import Reported
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.status.engine import hangs
from mtnet.services.signals.status.facts import (
    ChannelFacts,
    FollowerFacts,
    ProviderFacts,
    ProviderState,
    ViewState,
)
from mtnet.services.signals.status.followers import NONE, Follower
from mtnet.services.signals.status.judgements import Participant
from mtnet.services.signals.views.terms import Known, terms
from mtnet.services.signals.views.views import Summary

NAMED = 3
"""Symbols that a sentence names."""
TENTHS = 1_024
"""Tenths of a second of which each number is shared: a session is heard every few seconds."""


class Moment(NamedTuple):
    """
    The time of a judgement.

    Attributes:
        when: milliseconds since the Unix epoch.
        seconds: of the clock.
    """

    when: int
    seconds: float

    def of(self, seconds: float | None) -> int | None:
        """
        Return seconds of the clock as milliseconds since the Unix epoch, to a tenth of a second:
        the two clocks drift, and what has not happened must not look new.
        """
        if seconds is None:
            return None
        age = int((self.seconds - seconds) * 1000)
        return _tenth((self.when - age + 50) // 100)


@lru_cache(TENTHS)
def _tenth(count: int) -> int:
    """Return tenths of a second in milliseconds; one number for all that were heard then."""
    return count * 100


class FactCollector:
    """Reads what is known of channels, publishers and followers; changes nothing."""

    def __init__(self, signals: SignalService) -> None:
        self._signals, self._channels, self._rules = signals, signals.channels, signals.rules

    def everybody(self, moment: Moment) -> Iterator[Participant]:
        """Yield everybody who takes part in a channel, providers first."""
        channels = self.channels(moment)
        for number, provider in enumerate(self.providers(channels, moment)):
            yield Participant(number, provider)
        for follower, facts in self.followers(channels, moment):
            yield Participant(follower, facts, follower)

    def channels(self, moment: Moment) -> dict[str, ChannelFacts]:
        """Return the facts about each channel, views included."""
        names = {*self._channels.book, *(each.channel for each in self._channels.followers)}
        return {name: self._channel(name, moment) for name in sorted(names)}

    def providers(
        self, channels: Mapping[str, ChannelFacts], moment: Moment
    ) -> Iterator[ProviderFacts]:
        """Yield the publishers of each channel, or who is missed there."""
        followed = {each.channel for each in self._channels.followers}
        reports = self._rules.views.reports
        for name, channel in channels.items():
            found = self._rules.ownership.presence.of(name)
            if channel.view is not None:
                continue
            for publisher in found.present:
                yield _provider(publisher, channel, reports, moment)
            for publisher in found.fenced:
                yield replace(_provider(publisher, channel, reports, moment), fenced=True)
            state = channel.provider
            if not state.up and (state.who or (not channel.seq and name in followed)):
                yield ProviderFacts(state.who, channel, False, state.since, state.left)

    def followers(
        self, channels: Mapping[str, ChannelFacts], moment: Moment
    ) -> Iterator[tuple[Follower, FollowerFacts]]:
        """
        Yield each follower, those that went offline included.

        One that publishes in the channel, or did so last, watches what it sets itself: it is a
        provider alone.
        """
        book, reports = self._channels.book, self._rules.views.reports
        providers = {name: self._providers_of(name) for name in channels}
        symbols = {name: book.channel(name).open_symbols() for name in channels}
        for each in self._channels.followers:
            channel = channels[each.channel]
            if each.who in providers[each.channel]:
                continue
            if each.connection is None:
                yield each, _offline(each, channel)
            else:
                facts = _online(each, channel, book.channel(each.channel), reports, moment)
                untold = _untold(each, symbols[each.channel])
                yield each, replace(facts, untold=untold) if untold else facts

    def _providers_of(self, name: str) -> set[str]:
        ownership = self._rules.ownership
        expected = ownership.presence.expected.of(name)
        present = {*ownership.presence.names(name)}
        return present if expected is None else {*present, expected.who}

    def _channel(self, name: str, moment: Moment) -> ChannelFacts:
        view, reports = self._rules.views.known.get(name), self._rules.views.reports
        sources = (name,) if view is None else view.settings.sources
        channel, ownership = self._channels.book.channel(name), self._rules.ownership
        newest = channel.entry(channel.seq)
        return ChannelFacts(
            name,
            channel.seq,
            _joined({each: _state(ownership, each, reports, moment) for each in sources}),
            self._rules.pause_mode(name),
            name in self._signals.worker.journal.damaged,
            self._signals.histories.is_open(name),
            None if view is None else _view(view, reports, moment),
            None if newest is None else newest.when,
        )


def _view(view: Summary, reports: Known | None, moment: Moment) -> ViewState:
    settings = view.settings
    closed = "" if reports is None else terms(settings, reports, (), moment.when).closed
    return ViewState(view.struck, closed, bool(settings.follower))


def _state(ownership: Ownership, name: str, reports: Known | None, moment: Moment) -> ProviderState:
    """Return the provider of a channel, as its followers see it."""
    found = ownership.presence.of(name)
    if not found.present:
        who, left = ownership.presence.expected.of(name) or ("", False)
        return ProviderState(who, False, found.since, left)
    *_, newest = found.present
    reported = _reports(reports, newest.connection, *newest.who[:2])
    return ProviderState(
        newest.shown,
        True,
        found.since,
        heard=_heard(newest.connection, moment),
        trading=reported[0].report.trading if reported else None,
    )


def _provider(
    publisher: Publisher, channel: ChannelFacts, reports: Known | None, moment: Moment
) -> ProviderFacts:
    connection = publisher.connection
    return ProviderFacts(
        publisher.shown,
        channel,
        since=channel.provider.since,
        heard=_heard(connection, moment),
        reports=_reports(reports, connection, *publisher.who[:2]),
        client="" if connection is None else connection.client,
    )


def _offline(follower: Follower, channel: ChannelFacts) -> FollowerFacts:
    return FollowerFacts(
        follower.who,
        channel,
        False,
        follower.since,
        follower.left,
        follower.sent,
        copies=follower.copies or NONE,
        acked_at=follower.acked_at,
        held=follower.held or NONE,
    )


def _untold(follower: Follower, symbols: Mapping[str, int]) -> Sequence[str]:
    """
    Return the first symbols of which a follower has not said what it holds.

    Args:
        symbols: those with positions, each with its last entry.
    """
    held, feed = follower.held or NONE, follower.feed
    if feed is None or held.keys() >= symbols.keys():
        return ()
    copies, wanted = {key.symbol for key in follower.copies or NONE}, feed.symbols
    found = (
        symbol
        for symbol, seq in symbols.items()
        if symbol not in held
        and symbol not in copies
        and seq <= follower.acked
        and (wanted is None or symbol in wanted)
    )
    return tuple(islice(found, NAMED))


def _online(
    follower: Follower,
    channel: ChannelFacts,
    book: Channel,
    reports: Known | None,
    moment: Moment,
) -> FollowerFacts:
    connection, feed = follower.connection, follower.feed
    sent = channel.seq if feed is None else feed.position
    next = 0 if feed is None else feed.pending(follower.acked)
    heard = _heard(connection, moment)
    output = None if connection is None else connection.output
    stalled = None if output is None else moment.of(output.stalled)
    return FollowerFacts(
        follower.who,
        channel,
        True,
        follower.since,
        False,
        sent,
        _stored(book, sent + 1) if sent < channel.seq else None,
        next,
        _stored(book, next) if next else None,
        bool(follower.acked_at),
        heard,
        stalled,
        *_untaken(output, heard, stalled, moment.when),
        follower.copies or NONE,
        _reports(reports, connection, *follower.key),
        "" if connection is None else connection.client,
        follower.acked_at,
        follower.held or NONE,
        classic=feed is None,
        latency=None if follower.acks is None else follower.acks.latency,
    )


def _reports(
    reports: Known | None, connection: Connection | None, login: str, name: str
) -> Sequence[Reported]:
    """Return the last two REPORTs of a connection that has sent any."""
    reported = None if connection is None else connection.reported
    if reported is None:
        return ()
    return reports.last_two(login, name) if login and reports is not None else (reported,)


def _joined(states: Mapping[str, ProviderState]) -> ProviderState:
    """Return the provider of a channel, or of all sources of a view."""
    up = [each for each in states.values() if each.up]
    if not up:
        first, *_ = sorted(states.values(), key=lambda each: not each.who)
        return first
    missing = tuple(name for name, each in states.items() if not each.up and each.who)
    return replace(up[0], missing=missing) if missing else up[0]


def _heard(connection: Connection | None, moment: Moment) -> int | None:
    return None if connection is None else moment.of(connection.heard)


def _untaken(
    output: Output | None, heard: int | None, stalled: int | None, when: int
) -> tuple[int | None, bool]:
    """Ask the kernel about those in trouble alone: it is two system calls for each."""
    if output is None or not hangs(heard, stalled, when):
        return None, False
    found = output.untaken
    return (None, False) if found is None else found


def _stored(channel: Channel, seq: int) -> int:
    """Return when an entry was stored; 0 = longer ago than is remembered."""
    entry = channel.entry(seq)
    return 0 if entry is None else entry.when
