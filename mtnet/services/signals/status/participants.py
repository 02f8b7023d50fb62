"""
Everybody who takes part in a channel, each with a status.

The facts are collected when somebody asks, at most once a second, and judged when they differ from
those before.
"""

from collections import Counter
from typing import Any

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mtnet.clock import WallClock
from mtnet.interfaces import IParticipants
from mtnet.services.signals.status.collect import FactCollector, Moment
from mtnet.services.signals.status.followers import Followers
from mtnet.services.signals.status.judgements import Judged, Judgements
from mtnet.services.signals.status.warnings import ORDER, RULES, Role

LIFETIME = 1.0
"""Seconds for which a judgement holds; people and alerts ask no faster."""
EACH = 0.002
"""Seconds for which it holds for each participant, where that is longer. One takes some 10 µs, so
that the engine costs half a percent of a processor. By the number of them, and not by the time that
it took: else it would come at every second look or at every third, as the machine is busy."""
ROLES: tuple[Role, ...] = ("provider", "follower")
LONGEST = 5.0
"""Seconds for which a judgement holds at most."""
EARLY = 0.1
"""Seconds by which it ends before: those who ask once a second come a little late, or less late."""


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
        self._judgements = Judgements()
        self._judged: list[Judged] = []
        self._counts: Counter[tuple[str, str]] = Counter()
        self._until = float("-inf")

    def judged(self) -> list[Judged]:
        """Return everybody, providers first, as they were within `LIFETIME`."""
        begin = self._clock.seconds()
        if begin >= self._until:
            moment = Moment(self._now(), begin)
            if self._now.right:  # a clock that is wrong for a moment must delete nothing
                self._followers.expire(moment.when)
            everybody = self._collector.everybody(moment)
            self._judged = []  # else it would keep each former judgement until all are made
            self._judged = self._judgements.judge(everybody, moment.when)
            self._counts = Counter((each.role, each.judgement.status) for each in self._judged)
            lifetime = max(LIFETIME, min(LONGEST, EACH * len(self._judged)))
            self._until = begin + lifetime - EARLY
        return self._judged

    def participants(self) -> list[Judged]:
        """Return everybody, as `IParticipants` has it."""
        return self.judged()

    def refresh(self) -> None:
        """Judge everybody anew when somebody asks."""
        self._until = float("-inf")

    def health(self) -> dict[str, Any]:
        """Return how many have each status, and a sentence: what strangers may know."""
        found = self.by_status()
        counts = {
            f"{role}s": {str(status): found[role, status] for status in ORDER} for role in ROLES
        }
        needy = {role: each["error"] + each["offline"] for role, each in counts.items()}
        totals = {role: sum(each.values()) for role, each in counts.items()}
        who = " and ".join(
            f"{n} of {totals[role]} {role.removesuffix('s') if totals[role] == 1 else role}"
            for role, n in needy.items()
            if n
        )
        verb = "is" if sum(needy.values()) == 1 else "are"
        text = f"{who} {verb} in trouble: `mtnet signals status` says who, and what to do"
        return {"in_trouble": text if who else None, "participants": counts}

    def by_status(self) -> dict[tuple[str, ...], float]:
        """Return how many have each role and status."""
        self.judged()
        return {(role, status): self._counts[role, status] for role in ROLES for status in ORDER}

    def by_code(self) -> dict[tuple[str, ...], float]:
        """Return how many have each role and the code of a warning; one may have several."""
        counts: dict[tuple[str, ...], float] = {
            (role, code): 0 for role in ROLES for code, rule in RULES.items() if getattr(rule, role)
        }
        for each in self.judged():
            for code in {warning.code for warning in each.judgement.warnings}:
                counts[each.role, code] += 1
        return counts
