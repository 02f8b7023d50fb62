"""
State machine of incidents: each begins once and ends once, whatever comes and goes.

Pure: methods take `when`, in seconds of one monotonic clock, and `now`, in milliseconds since the
Unix epoch, UTC.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct

MAX_INCIDENTS = 1_000
"""Incidents of one alert at once; nobody reads more, and each is a row on disk."""


class Key(NamedTuple):
    """An alert, and whom or what an incident of it is about."""

    alert: str
    subject: str


class Incident(Struct):
    """
    Something that people are told of.

    Attributes:
        text: a sentence of what holds, or held last.
        since: when it began, milliseconds since the Unix epoch.
        ended: when it ended; 0 = it goes on.
        sent: people were told that it began.
    """

    alert: str
    subject: str
    text: str
    since: int
    ended: int = 0
    sent: bool = False

    @property
    def key(self) -> Key:
        """The alert and the subject."""
        return Key(self.alert, self.subject)


class Terms(NamedTuple):
    """
    The terms of one alert.

    Attributes:
        hold: seconds for which its condition must hold before an incident begins.
        ends: people are told of the end.
    """

    hold: float = 0.0
    ends: bool = True


class Incidents:
    """
    State machine of all incidents.

    Args:
        terms: by the name of the alert.
        settle: seconds for which a condition must not hold before its incident ends.
        stored: the incidents of the last run; those of alerts that are gone are dropped.
    """

    def __init__(
        self, terms: Mapping[str, Terms], settle: float, stored: Iterable[Incident] = ()
    ) -> None:
        self._terms, self._settle = terms, settle
        self._all: dict[Key, Incident] = {}
        self._counts = Counter[str]()
        for each in stored:
            if each.alert in terms:
                self._add(each)
        self._held: dict[Key, float] = {}
        self._quiet: dict[Key, float] = {}

    def __iter__(self) -> Iterator[Incident]:
        return iter(self._all.values())

    def judge(self, alert: str, found: Mapping[str, str], when: float, now: int) -> list[Incident]:
        """
        Compare what holds with what held before.

        Args:
            found: a sentence by subject; an empty one = whether it holds is not known yet, which
                begins nothing and ends nothing.

        Returns:
            The incidents that began or ended now.
        """
        known = {Key(alert, subject): text for subject, text in found.items()}
        holds = {key: text for key, text in known.items() if text}
        begun = [each for key, text in holds.items() if (each := self._holds(key, text, when, now))]
        for key in [key for key in self._held if key.alert == alert and key not in holds]:
            del self._held[key]
        gone = [each for key, each in self._all.items() if key.alert == alert and key not in known]
        return begun + [each for each in gone if self._ends(each, when, now)]

    def due(self, muted: Container[str]) -> list[Incident]:
        """
        Return the incidents of which people are to be told: of a beginning, or of an end.

        Args:
            muted: alerts of which nobody is told.
        """
        return [
            each
            for each in self
            if each.alert not in muted
            and (each.sent and self._terms[each.alert].ends if each.ended else not each.sent)
        ]

    def done(self, muted: Container[str]) -> list[Incident]:
        """Drop and return the incidents that ended without anybody to tell."""
        due = {id(each) for each in self.due(muted)}
        over = [each for each in self if each.ended and id(each) not in due]
        for each in over:
            self.drop(each)
        return over

    def drop(self, incident: Incident) -> None:
        """Forget an incident that is over."""
        if self._all.pop(incident.key, None) is not None:
            self._counts[incident.alert] -= 1
        self._quiet.pop(incident.key, None)

    def _add(self, incident: Incident) -> None:
        self._all[incident.key] = incident
        self._counts[incident.alert] += 1

    def _holds(self, key: Key, text: str, when: float, now: int) -> Incident | None:
        known = self._all.get(key)
        first = self._held.setdefault(key, when)
        if known is not None:
            if not known.ended:
                known.text = text
                self._quiet.pop(key, None)
            return None
        full = self._counts[key.alert] >= MAX_INCIDENTS
        if when - first < self._terms[key.alert].hold or full:
            return None
        incident = Incident(*key, text, now)
        self._add(incident)
        return incident

    def _ends(self, incident: Incident, when: float, now: int) -> bool:
        if incident.ended or when - self._quiet.setdefault(incident.key, when) < self._settle:
            return False
        incident.ended = now
        return True
