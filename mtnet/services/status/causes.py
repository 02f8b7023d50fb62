"""Edge detectors: when a cause of trouble begins and ends, and when somebody is in trouble."""

import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime

from mtnet.interfaces import IEvents, IParticipants
from mtnet.values import Json

_NUMBER = re.compile(r"\d+")
_KINDS = {"trouble": "error", "warnings": "warning"}
"""Keys of the report with lists of sentences, and the levels of their events."""
IN_TROUBLE = frozenset({"error", "offline"})
"""Statuses of participants who are in trouble: somebody must act."""
BRIEF = 5.0
"""Seconds of trouble that are no event yet: a connection that breaks comes back meanwhile, and
after a start of the daemon everybody comes back."""
NAMED = 3
"""Names in one event, and participants of a channel that have an event each at one look: of a
thousand that lose their network there is one event."""
WINDOW = 60.0
"""Seconds in which the events about one channel are counted."""
MOST = 4
"""Events of beginnings, and as many of ends, about the followers of one channel in a `WINDOW`: what
comes then waits, and shares an event. Hundreds that come and go one by one would push everything
else out of the newest events, which the page shows, and fill the log."""


class CauseDetector:
    """
    Compares the causes of trouble with those at the look before.

    A cause is the same while its sentence is, whatever numbers stand in it: how long a disk has not
    answered makes no new one each second.

    Args:
        causes: returns them, as `IHealth`.
    """

    def __init__(self, causes: Callable[[], Mapping[str, Sequence[str]]], events: IEvents) -> None:
        self._causes, self._events = causes, events
        self._known: dict[tuple[str, str], str] = {}

    def look(self) -> None:
        """Record what has begun, and what has ended, since the last look."""
        report = self._causes()
        found = {
            (kind, _NUMBER.sub("#", sentence)): sentence
            for kind in _KINDS
            for sentence in report[kind]
        }
        known, self._known = self._known, found
        for key in found.keys() - known.keys():
            self._record(key[0], "begins", found[key], _KINDS[key[0]])
        for key in known.keys() - found.keys():
            component, _, sentence = known[key].partition(": ")
            word = key[0].removesuffix("s")
            self._record(key[0], "ends", f"The {word} of {component} is over: {sentence}", "info")

    def _record(self, kind: str, what: str, text: str, level: str) -> None:
        self._events.record(f"{kind.removesuffix('s')}_{what}", text, level)


class Trouble(Struct, frozen=True):
    """
    Somebody in trouble that an event has named.

    Attributes:
        code: of the most urgent warning at that time.
    """

    role: str
    channel: str
    who: str
    code: str


Key = tuple[str, ...]
"""A service, and the name of a participant in it."""


class ParticipantDetector:
    """
    Records by name who gets into trouble, and who gets out of it.

    Args:
        offers: returns those who know participants, by service.
    """

    def __init__(
        self,
        offers: Callable[[], Mapping[str, IParticipants]],
        events: IEvents,
        clock: IReactorTime,
    ) -> None:
        self._offers, self._events, self._clock = offers, events, clock
        self._since: dict[Key, float] = {}
        self._recorded: dict[Key, Trouble] = {}
        self._times: dict[Key, list[float]] = {}

    def look(self) -> None:
        """Record who has been in trouble for long enough since the last look, or is no longer."""
        now, offers = self._clock.seconds(), self._offers()
        found = {name: each.participants() for name, each in offers.items()}
        troubled = {
            (service, *each.name): each
            for service, everybody in found.items()
            for each in everybody
            if each.status in IN_TROUBLE
        }
        self._since = {key: self._since.get(key, now) for key in troubled}
        over = {key: each for key, each in self._recorded.items() if key not in troubled}
        if over:
            present = {(service, *each.name) for service, all in found.items() for each in all}
            self._end(over, present)
        begun = [
            key
            for key, since in self._since.items()
            if key not in self._recorded and now - since >= BRIEF
        ]
        self._begin({key: troubled[key].row() for key in begun})

    def _begin(self, rows: Mapping[Key, Mapping[str, Any]]) -> None:
        troubles = {key: _trouble(row) for key, row in rows.items()}
        for group in _groups(troubles):
            room = self._room("begins", group)
            if not room:
                continue
            self._recorded.update(group)
            if len(group) > min(NAMED, room):
                self._record_many("begins", "are in trouble", group)
                continue
            for key, each in group.items():
                warning = rows[key]["warnings"][0]
                public = {"public": warning["public"]} if warning.get("public") else {}
                self._record_one("begins", warning["text"], each, **public)

    def _end(self, troubles: Mapping[Key, Trouble], present: Container[Key]) -> None:
        for group in _groups(troubles):
            room = self._room("ends", group)
            if not room:
                continue
            for key in group:
                del self._recorded[key]
            if len(group) > min(NAMED, room):
                self._record_many("ends", "are in trouble no longer", group)
                continue
            for key, each in group.items():
                state = "is in trouble" if key in present else "takes part"
                words = each.code.replace("_", " ")
                text = f'{each.who} {state} no longer: "{words}" has ended.'
                self._record_one("ends", text, each)

    def _room(self, what: str, group: Mapping[Key, Trouble]) -> int:
        """Return how many events may be recorded now of a channel in which a group takes part."""
        first, now = next(iter(group.values())), self._clock.seconds()
        key = what, first.role, first.channel
        times = self._times[key] = [t for t in self._times.get(key, ()) if now - t < WINDOW]
        return MOST - len(times)

    def _record_one(self, what: str, text: str, each: Trouble, **public: Json) -> None:
        self._record(what, text, each, who=each.who, code=each.code, **public)

    def _record_many(self, what: str, state: str, group: Mapping[Key, Trouble]) -> None:
        first = next(iter(group.values()))
        where = f" of {first.channel}" if first.channel else ""
        names = ", ".join(each.who for each in islice(group.values(), NAMED))
        more = f" and {len(group) - NAMED} more" if len(group) > NAMED else ""
        text = f"{len(group)} {first.role}s{where} {state}: {names}{more}."
        self._record(what, text, first, count=len(group))

    def _record(self, what: str, text: str, each: Trouble, **facts: Json) -> None:
        self._times[what, each.role, each.channel].append(self._clock.seconds())
        # The daemon itself is well: nobody must act on it.
        level = "warning" if what == "begins" else "info"
        facts = {"role": each.role, "channel": each.channel, **facts}
        self._events.record(f"participant_trouble_{what}", text, level, **facts)


def _trouble(row: Mapping[str, Any]) -> Trouble:
    code = row["warnings"][0]["code"]
    return Trouble(row["role"], row.get("channel", ""), row["who"], code)


def _groups(troubles: Mapping[Key, Trouble]) -> Iterable[dict[Key, Trouble]]:
    """Return those of one role in one channel together."""
    groups = defaultdict[Key, dict[Key, Trouble]](dict)
    for key, each in troubles.items():
        groups[each.role, each.channel][key] = each
    return groups.values()
