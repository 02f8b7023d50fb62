"""
Judgements of everybody: what has not changed is not judged anew.

Pure: methods take `when`, in milliseconds since the Unix epoch, UTC.
"""

from collections.abc import Hashable, Iterable
from typing import Any, NamedTuple, TypeAlias

from msgspec import Struct, to_builtins

from mtnet.services.signals.status.engine import judge, lasts
from mtnet.services.signals.status.facts import FollowerFacts, ProviderFacts
from mtnet.services.signals.status.followers import Follower
from mtnet.services.signals.status.warnings import Judgement, Role, Status, StatusWarning

Facts: TypeAlias = FollowerFacts | ProviderFacts
Row: TypeAlias = dict[str, Any]
"""A participant in plain JSON values, see `IParticipants`."""


class Judged(Struct, eq=False):
    """
    A participant, and its status; a participant of `IParticipants`.

    Attributes:
        facts: what is known of it.
        judgement: the same object for as long as it says the same.
        follower: None = it is a provider.
        named: its name, once somebody has asked for it; the same object for as long as it is the
            same.
        begin, until: milliseconds since the Unix epoch, between which the judgement holds; 0 =
            the end is not computed yet.
    """

    facts: Facts
    judgement: Judgement
    follower: Follower | None
    named: tuple[Role, str, str] | None
    begin: int
    until: int = 0

    @property
    def role(self) -> Role:
        """Its role in the channel."""
        return "provider" if self.follower is None else "follower"

    @property
    def name(self) -> tuple[Role, str, str]:
        """Its role, channel and `who`."""
        if self.named is None:
            self.named = self.role, self.facts.channel.name, self.facts.who
        return self.named

    @property
    def status(self) -> Status:
        """The status of its judgement."""
        return self.judgement.status

    @property
    def warnings(self) -> list[StatusWarning]:
        """The warnings of its judgement, the most urgent first, with its name."""
        return self.judgement.about(self.facts.who)

    def holds(self, facts: Facts, when: int) -> bool:
        """Return whether a judgement of these facts would say the same."""
        if self.facts != facts or when < self.begin:
            return False
        self.until = self.until or lasts(self.facts, self.begin)
        return when <= self.until

    def row(self) -> Row:
        """Return it in plain JSON values."""
        facts = self.facts
        row: Row = {
            "role": self.role,
            "who": facts.who,
            "channel": facts.channel.name,
            "status": self.judgement.status,
            "connected": facts.connected,
            "since": facts.since,
            "client": facts.client,
            "build": facts.reports[0].report.build if facts.reports else None,
            "warnings": to_builtins(self.warnings),
        }
        if isinstance(facts, FollowerFacts):
            # What is on its way changes all the time, and a row is sent when there is time.
            late = self.judgement.late or not facts.connected
            row.update(_progress(facts, *(self.behind() if late else (0, None))))
        return row

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


class Participant(NamedTuple):
    """
    Somebody who is to be judged.

    Attributes:
        key: by which it is the same the next time.
        follower: None = it is a provider.
    """

    key: Hashable
    facts: Facts
    follower: Follower | None = None


class Judgements:
    """Memo of judgements."""

    def __init__(self) -> None:
        self._judged: dict[Hashable, Judged] = {}

    def judge(self, everybody: Iterable[Participant], when: int) -> list[Judged]:
        """
        Judge those whose facts are others than before, or for whom time says something new.

        A former judgement is dropped as the new one is made: with all of both, thousands of
        followers would take a third of a kilobyte more each.
        """
        former, self._judged = self._judged, {}
        for each in everybody:
            self._judged[each.key] = self._judge(each, former.pop(each.key, None), when)
        return [*self._judged.values()]

    def _judge(self, known: Participant, before: Judged | None, when: int) -> Judged:
        facts = known.facts
        if before is not None and before.holds(facts, when):
            return before
        judgement, follower = judge(facts, when), known.follower
        named = None
        if before is not None:
            judgement = before.judgement if before.judgement == judgement else judgement
            named = before.named if _is_of(before.facts, facts) else None
        return Judged(facts, judgement, follower, named, when)


def _is_of(before: Facts, facts: Facts) -> bool:
    """Return whether facts are about the same name in the same channel."""
    return before.who == facts.who and before.channel.name == facts.channel.name


def _progress(facts: FollowerFacts, count: int, since: int | None) -> Row:
    """Return what a row says of a follower besides; of a latency milliseconds."""
    latency = facts.latency
    return {
        "dialect": "classic" if facts.classic else "2",
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
