"""
Grammar of the conditions of alerts: `[SUBJECT] [> LIMIT]` behind the word of a condition.

Pure. Components read their own conditions with it, see `mtnet.interfaces.IConditionGrammar`.
"""

import operator
import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from mtnet.errors import ConfigError

SECONDS: Mapping[str, int] = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
"""The units of durations."""
OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_LIMIT = re.compile(
    r"(?P<operator>>=|<=|>|<)\s*(?P<number>[0-9]{1,12}(?:\.[0-9]{1,10})?)\s*(?P<unit>[A-Za-z]+|%)?",
    re.ASCII,
)


Grammar = Mapping[str, Callable[[str], Any]]
"""What reads the text behind each word, or raises `ConfigError`."""


class Condition(NamedTuple):
    """
    The part of a condition behind its word.

    Attributes:
        subject: whom or what it is about; empty = all.
        operator: `>`, `>=`, `<` or `<=`; empty = there is no limit.
        number: the limit; 0 = there is none.
        unit: of it, as it is written; empty = none.
    """

    subject: str = ""
    operator: str = ""
    number: Decimal = Decimal(0)
    unit: str = ""

    @property
    def milliseconds(self) -> int:
        """The limit, where it is a duration."""
        return int(self.number * SECONDS[self.unit] * 1000)

    def holds(self, value: Decimal | int) -> bool:
        """Return whether a value is beyond the limit."""
        return OPERATORS[self.operator](value, self.number)


def read_condition(
    word: str,
    text: str,
    units: Collection[str],
    example: str,
    operators: Collection[str] = (">",),
    optional: bool = False,
) -> Condition:
    """
    Read what stands behind the word of a condition.

    Args:
        units: those that the limit may have; an empty text = a number without one.
        example: a right condition, for the error.
        operators: those that it may have.
        optional: whether there may be no limit.

    Raises:
        ConfigError: it is something else.
    """
    begin = min((at for at in map(text.find, "<>") if at >= 0), default=len(text))
    subject, rest = text[:begin].strip(), text[begin:].strip()
    found = _LIMIT.fullmatch(rest)
    right = found is not None and found["operator"] in operators and (found["unit"] or "") in units
    if not (right or (optional and not rest)) or len(subject.split()) > 1:
        shown = " ".join(filter(None, (word, text)))
        raise ConfigError(f"Invalid condition '{shown}'. Example: {example}.")
    if found is None:
        return Condition(subject)
    number = Decimal(found["number"])
    return Condition(subject, found["operator"], number, found["unit"] or "")
