"""Conditions of all components, and what `when` of an alert names."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from twisted.logger import Logger

from mtnet.errors import ConfigError
from mtnet.services.alerts.settings import AlertRule

Check = Callable[[], Mapping[str, str]]
"""Returns a sentence by subject of what holds now."""


def check_rules(
    rules: Mapping[str, AlertRule], known: Mapping[str, list[Any]], names: Sequence[str]
) -> None:
    """
    Check what [alerts.NAME] refer to.

    Args:
        known: what reads the condition of each word, see `words`.
        names: those of [notify.NAME].

    Raises:
        ConfigError: there is no such condition, it cannot read its text, or there is no such name.
    """
    for name, rule in rules.items():
        unknown = [each for each in rule.to if each not in names]
        if unknown:
            raise ConfigError(
                f"alerts.{name}.to names {unknown[0]!r}, and [notify.NAME] has only "
                f"{', '.join(names) or 'none'}."
            )
        read_when(name, rule.when, known)


def words(grammars: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return what reads, or makes, the condition of each word; several components may have it."""
    found: dict[str, list[Any]] = {}
    for each in grammars:
        for word, read in each.items():
            found.setdefault(word, []).append(read)
    return found


def read_when(alert: str, when: str, known: Mapping[str, list[Callable[[str], Any]]]) -> list[Any]:
    """
    Return what reads the condition that `when` of an alert names, of each component that has it.

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
        return [read(text.strip()) for read in known[word]]
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
