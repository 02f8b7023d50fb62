"""
Everybody who takes part in a channel, each with a status.

The facts are collected when somebody asks, at most once a second, and judged when they differ from
those before.
"""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any, TypeAlias

from msgspec import Struct, to_builtins
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mtnet.clock import WallClock
from mtnet.interfaces import IParticipants
from mtnet.services.signals.status.collect import FactCollector, Moment
from mtnet.services.signals.status.engine import judge, lasts
from mtnet.services.signals.status.facts import FollowerFacts, ProviderFacts
from mtnet.services.signals.status.followers import Follower, Followers
from mtnet.services.signals.status.warnings import ORDER, Judgement, Role

LIFETIME = 1.0
"""Seconds for which a judgement holds; people and alerts ask no faster."""
SHARE = 50.0
"""A judgement holds for so many times what it took: the engine costs 2 % of a processor at most,
up to some ten thousand followers."""

ROLES = "providers", "followers"
LONGEST = 5.0
"""Seconds for which a judgement holds at most: a machine that is busy with other things makes it
look expensive."""


Row: TypeAlias = dict[str, Any]
"""A participant in plain JSON values, see `IParticipants`."""


class Judged(Struct, eq=False):
    """
    A participant, and its status.

    Attributes:
        facts: what is known of it.
        follower: None = it is a provider.
        begin, until: milliseconds since the Unix epoch, between which the judgement holds; 0 =
            the end is not computed yet.
    """

    role: Role
    facts: FollowerFacts | ProviderFacts
    judgement: Judgement
    follower: Follower | None
    begin: int
    until: int = 0

    def holds(self, facts: FollowerFacts | ProviderFacts, when: int) -> bool:
        """Return whether a judgement of these facts would say the same."""
        if self.facts != facts or when < self.begin:
            return False
        self.until = self.until or lasts(self.facts, self.begin)
        return when <= self.until

    def behind(self) -> tuple[int, int | None]:
        """Return how many signals a follower is behind, and since when; None = none."""
        facts, follower = self.facts, self.follower
        if not isinstance(facts, FollowerFacts) or follower is None:
            return 0, None
        acknowledges = facts.expected if facts.connected else bool(follower.acked_at)
        confirmed = follower.acked if acknowledges else facts.sent
        if facts.connected and not facts.next and facts.unsent is None:
            confirmed = facts.channel.seq  # a filter has left out the others
        count = max(0, facts.channel.seq - confirmed)
        waits = facts.unacknowledged if acknowledges else facts.unsent
        first = facts.unsent if waits is None else waits
        return count, max(facts.since, first or 0) if count else None


class RowMemo:
    """Memo of rows: the row of what has not changed is the same object as before."""

    def __init__(self) -> None:
        self._known: dict[Hashable, tuple[Judged, Row]] = {}
        self._used = False

    def rows(self, judged: Mapping[Hashable, Judged]) -> list[Row]:
        """Return a row for each participant."""
        self._used = True
        self._known = {key: self._shown(key, each) for key, each in judged.items()}
        return [row for _, row in self._known.values()]

    def release(self) -> None:
        """Forget all rows, unless they were asked for since the last time."""
        if not self._used:
            self._known = {}
        self._used = False

    def _shown(self, key: Hashable, judged: Judged) -> tuple[Judged, Row]:
        known = self._known.get(key)
        if known is not None and known[0] is judged:
            return known
        row = _row(judged)
        return judged, row if known is None or known[1] != row else known[1]


@implementer(IParticipants)
class Participants:
    """
    Memoised judgements of followers and providers.

    Args:
        now: wall time, milliseconds since the Unix epoch, UTC.
    """

    def __init__(
        self,
        collector: FactCollector,
        followers: Followers,
        clock: IReactorTime,
        now: WallClock,
    ) -> None:
        self._collector, self._followers = collector, followers
        self._clock, self._now = clock, now
        self._known: dict[Hashable, Judged] = {}
        self._judged: list[Judged] = []
        self._rows = RowMemo()
        self._until = float("-inf")

    def judged(self) -> list[Judged]:
        """Return everybody, providers first, as they were within `LIFETIME`."""
        begin = self._clock.seconds()
        if begin >= self._until:
            self._rows.release()
            self._known = dict(self._judge(Moment(self._now(), begin)))
            self._judged = [*self._known.values()]
            end = self._clock.seconds()
            self._until = end + max(LIFETIME, min(LONGEST, SHARE * (end - begin)))
        return self._judged

    def participants(self) -> list[dict[str, Any]]:
        """Return a row for each, as `IParticipants` has it."""
        self.judged()
        return self._rows.rows(self._known)

    def health(self) -> dict[str, Any]:
        """Return how many have each status, and a sentence: what strangers may know."""
        counts = {role: dict.fromkeys(map(str, ORDER), 0) for role in ROLES}
        for each in self.judged():
            counts[f"{each.role}s"][each.judgement.status] += 1
        needy = {role: each["error"] + each["offline"] for role, each in counts.items()}
        # Its words never change, only its numbers: what goes on must not look like an end.
        who = " and ".join(
            f"{n} of {sum(counts[role].values())} {role}" for role, n in needy.items()
        )
        text = f"{who} are in trouble: `mtnet signals status` says what to do"
        warning = text if any(needy.values()) else None
        return {"warning": warning, "participants": counts}

    def _judge(self, moment: Moment) -> Iterator[tuple[Hashable, Judged]]:
        if self._now.right:  # a clock that is wrong for a moment must delete nothing
            self._followers.expire(moment.when)
        channels = self._collector.channels(moment)
        for number, provider in enumerate(self._collector.providers(channels, moment)):
            yield number, self._judged_of(number, "provider", provider, None, moment.when)
        for follower, facts in self._collector.followers(channels, moment):
            yield follower, self._judged_of(follower, "follower", facts, follower, moment.when)

    def _judged_of(
        self,
        key: Hashable,
        role: Role,
        facts: FollowerFacts | ProviderFacts,
        follower: Follower | None,
        when: int,
    ) -> Judged:
        known = self._known.get(key)
        if known is not None and known.holds(facts, when):
            return known
        return Judged(role, facts, judge(facts, when), follower, when)


def _row(judged: Judged) -> Row:
    facts, judgement = judged.facts, judged.judgement
    row: Row = {
        "role": judged.role,
        "who": facts.who,
        "channel": facts.channel.name,
        "status": judgement.status,
        "connected": facts.connected,
        "since": facts.since,
        "client": facts.client,
        "build": facts.reports[0].report.build if facts.reports else None,
        "warnings": to_builtins(judgement.warnings),
    }
    if isinstance(facts, FollowerFacts):
        row.update(_progress(facts, *judged.behind()))
    return row


def _progress(facts: FollowerFacts, count: int, since: int | None) -> Row:
    """Return what a row says of a follower besides; of a latency milliseconds."""
    latency = facts.latency
    return {
        "sent": facts.sent,
        "behind": count,
        "behind_since": since,
        "last_ack": facts.acked_at or None,
        "latency": None if latency is None else latency._asdict(),
        "held": dict(facts.held),
        "wrong": [
            {
                "symbol": key.symbol,
                "ticket": key.ticket,
                "wanted": f"{copy.wanted:f}",
                "held": None if copy.held is None else f"{copy.held:f}",
                "reason": copy.reason,
            }
            for key, copy in facts.copies.items()
        ],
    }
