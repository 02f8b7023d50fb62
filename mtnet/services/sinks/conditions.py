"""Conditions of alerts about sinks."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import TypeAlias

from zope.interface import implementer

from mtnet.conditions import SECONDS, Condition, Grammar, read_condition
from mtnet.interfaces import IAlertConditions
from mtnet.services.sinks.sink import Sink

GRAMMAR: Grammar = {
    "sink_down": partial(
        read_condition,
        "sink_down",
        units=SECONDS,
        example="sink_down, or sink_down warehouse > 10min",
        optional=True,
    ),
    "sink_drops": partial(
        read_condition,
        "sink_drops",
        units=("",),
        example="sink_drops, or sink_drops warehouse > 1000",
        optional=True,
    ),
}
"""The conditions of sinks."""

Check: TypeAlias = Callable[[], Mapping[str, str]]
"""Returns what holds now: a sentence by subject."""


@implementer(IAlertConditions)
class SinkConditions:
    """The conditions by their words."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks

    def conditions(self) -> dict[str, Callable[[str], Check]]:
        """Return the words, see `IAlertConditions`."""
        return {
            "sink_down": lambda text: partial(self._down, GRAMMAR["sink_down"](text)),
            "sink_drops": lambda text: partial(self._drops, GRAMMAR["sink_drops"](text)),
        }

    def _down(self, wanted: Condition) -> dict[str, str]:
        least = wanted.milliseconds / 1_000 if wanted.operator else -1.0
        return {
            each.name: each.down()
            for each in self._named(wanted)
            if each.failing is not None and each.failing > least
        }

    def _drops(self, wanted: Condition) -> dict[str, str]:
        limit = wanted.number if wanted.operator else Decimal(0)
        return {each.name: each.drops() for each in self._named(wanted) if each.losing > limit}

    def _named(self, wanted: Condition) -> list[Sink]:
        return [each for each in self._sinks if wanted.subject in ("", each.name)]
