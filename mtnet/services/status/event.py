"""Events: the record of one, and which of them somebody asks for."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from mtnet.values import Json

LEVELS = ("info", "warning", "error")
"""Rising: nobody has to look, somebody should look, somebody must act."""
MAX_TEXT = 500
"""Characters of a sentence, or of a fact: a name that a client gives itself can be long."""


class Event(Struct, frozen=True):
    """
    Something that happened once.

    Attributes:
        number: rises from event to event, over restarts too.
        time: milliseconds since the Unix epoch, UTC.
        kind: words joined by `_`.
        level: one of `LEVELS`.
        text: a sentence of one line.
        facts: for programs.
    """

    number: int
    time: int
    kind: str
    level: str
    text: str
    facts: dict[str, Json]

    def row(self) -> dict[str, Any]:
        """Return it as one JSON object; a fact never hides a key of the event itself."""
        return {
            **self.facts,
            "number": self.number,
            "time": self.time,
            "kind": self.kind,
            "level": self.level,
            "text": self.text,
        }


def plain(text: str) -> str:
    """Return a text as one line of bounded length; what cannot be printed is escaped."""
    shown = text[:MAX_TEXT]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in shown)
    return shown if len(text) <= MAX_TEXT else f"{shown}…"


def plain_facts(facts: Mapping[str, Json]) -> dict[str, Json]:
    """Return facts whose texts are `plain`."""
    return {key: plain(each) if isinstance(each, str) else each for key, each in facts.items()}


def matches(row: Mapping[str, Any], kinds: Iterable[str], level: str) -> bool:
    """
    Return whether an event is asked for.

    Args:
        kinds: words that a kind begins with, such as `channel` or `login_refused`; none = all.
        level: the lowest.
    """
    wanted = tuple(kinds)
    important = LEVELS.index(row["level"]) >= LEVELS.index(level)
    return important and (not wanted or row["kind"].startswith(wanted))
