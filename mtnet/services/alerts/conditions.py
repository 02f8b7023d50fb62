"""Conditions of all components, and what `when` of an alert names."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.logger import Logger

from mtnet.errors import ConfigError

Check = Callable[[], Mapping[str, str]]
"""Returns a sentence by subject of what holds now."""


def words(providers: Iterable[Any]) -> dict[str, list[Callable[[str], Check]]]:
    """Return what makes the check of each word; several components may have one word."""
    found: dict[str, list[Callable[[str], Check]]] = {}
    for each in providers:
        for word, make in each.conditions().items():
            found.setdefault(word, []).append(make)
    return found


def read_when(
    alert: str, when: str, known: Mapping[str, list[Callable[[str], Check]]]
) -> "GuardedCheck":
    """
    Return the check that `when` of an alert names.

    Raises:
        ConfigError: there is no such condition, or it cannot read its text.
    """
    word, _, text = when.strip().partition(" ")
    if word not in known:
        raise ConfigError(
            f"alerts.{alert}.when names the condition {word!r}; there are "
            f"{', '.join(sorted(known))}. Example: disk_low < 5GiB."
        )
    try:
        return GuardedCheck(alert, [make(text.strip()) for make in known[word]])
    except ConfigError as error:
        raise ConfigError(f"alerts.{alert}.when: {error}") from error


class GuardedCheck:
    """
    Exception guard: a check that fails leaves the others alone, and is logged once.

    Args:
        checks: those of the components that have the condition.
    """

    log = Logger()

    def __init__(self, alert: str, checks: Iterable[Check]) -> None:
        self._alert, self._checks, self._failing = alert, list(checks), False

    def __call__(self) -> Mapping[str, str] | None:
        """Return what holds; None = that cannot be said now."""
        found: dict[str, str] = {}
        try:
            for each in self._checks:
                found.update(each())
        except Exception:
            if not self._failing:
                self.log.failure("The condition of alerts.{alert} failed.", alert=self._alert)
            self._failing = True
            return None
        self._failing = False
        return found
