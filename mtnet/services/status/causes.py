"""Edge detector: when a cause of trouble begins and ends, from the health report."""

import re
from collections.abc import Callable, Mapping, Sequence

from mtnet.interfaces import IEvents

_NUMBER = re.compile(r"\d+")
_KINDS = {"trouble": "error", "warnings": "warning"}
"""Keys of the report with lists of sentences, and the levels of their events."""


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
            self._record(key[0], "ends", f"It is over: {known[key]}", "info")

    def _record(self, kind: str, what: str, text: str, level: str) -> None:
        word = kind.removesuffix("s")
        self._events.record(f"{word}_{what}", text, level)
