"""Mutes: alerts of which nobody is told for some time."""

from collections.abc import Callable, Collection, Iterable

from twisted.internet.defer import Deferred

from mtnet.errors import ConfigError
from mtnet.services.alerts.store import AlertStore
from mtnet.storage.worker import InThread

MAX_MUTE = 366 * 86_400
"""Seconds of a mute: a longer one is meant for ever, which has no end."""


class Mutes:
    """
    The mutes, in memory and on disk.

    Args:
        alerts: names of [alerts.NAME].
        until: as of `Loaded`.
        in_thread: runs a blocking function of the store off the reactor, in order.
        now: milliseconds since the Unix epoch, UTC.
    """

    def __init__(
        self,
        alerts: Collection[str],
        until: dict[str, int | None],
        store: AlertStore,
        in_thread: InThread,
        now: Callable[[], int],
    ) -> None:
        self._alerts, self._until = alerts, until
        self._store, self._in_thread, self._now = store, in_thread, now

    def current(self) -> dict[str, int | None]:
        """Return the alerts of which nobody is told now, and until when; None = until `remove`."""
        now = self._now()
        return {a: until for a, until in self._until.items() if until is None or until > now}

    def add(self, alert: str, seconds: float | None) -> "Deferred[None]":
        """Tell nobody of an alert for some seconds, at most `MAX_MUTE`; None = until `remove`."""
        check_name(alert, self._alerts)
        if seconds is not None and not 0 < seconds <= MAX_MUTE:  # nan is neither
            raise ConfigError(
                f"Invalid seconds {seconds:g}: expected more than 0, and at most {MAX_MUTE} (a "
                "year). Example: 3600"
            )
        until = None if seconds is None else self._now() + int(seconds * 1000)
        done = self._in_thread(self._store.mute, alert, until)
        return done.addCallback(lambda _: self._until.update({alert: until}))

    def remove(self, alert: str) -> "Deferred[None]":
        """Tell people of an alert again, first of what still holds."""
        check_name(alert, self._alerts)
        done = self._in_thread(self._store.unmute, alert)
        return done.addCallback(self._removed, alert)

    def _removed(self, _: object, alert: str) -> None:
        self._until.pop(alert, None)


def check_name(alert: str, known: Iterable[str]) -> None:
    """
    Check that there is an alert.

    Raises:
        ConfigError: there is none of this name.
    """
    if alert not in known:
        raise ConfigError(f"There is no [alerts.{alert}]; there is {', '.join(known) or 'none'}.")
