"""
Presence: who sets each channel now, who did last, and who is missed.

Pure. Times are milliseconds since the Unix epoch, UTC.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from mtnet.services.signals.ownership.expected import STAYS, ExpectedProviders
from mtnet.services.signals.ownership.publishers import Publisher


class Attendance:
    """
    The publishers of one channel.

    Attributes:
        present: those that set it now, each with when it came, in milliseconds.
        fenced: those that are there, and from which a newer one took it.
        last: the one that came last; it may be gone.
        since: milliseconds since the Unix epoch at which the first came, or the last went.
    """

    __slots__ = ("fenced", "last", "present", "since")

    def __init__(self, since: int) -> None:
        self.present: dict[Publisher, int] = {}
        self.fenced: dict[Publisher, None] = {}
        self.last: Publisher | None = None
        self.since = since


class PresenceChange(NamedTuple):
    """A channel has its first publisher, or has lost its last; `since` is milliseconds."""

    channel: str
    up: bool
    since: int


class Presence:
    """
    The publishers that are there.

    Args:
        now: milliseconds since the Unix epoch, UTC.

    Attributes:
        channels: who has set each channel since the start.
        expected: the provider that each channel is expected to have.
        changes: those that followers are not sent yet; the sender empties it.
        deferred: changes are sent later, after the entries that led to them.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now, self._began = now, now()
        self.channels: dict[str, Attendance] = {}
        self.expected = ExpectedProviders()
        self.changes: list[PresenceChange] = []
        self.deferred = False

    def status(self, channel: str) -> tuple[bool, int]:
        """Return whether a channel has a publisher, and since when, in milliseconds."""
        found = self.of(channel)
        return bool(found.present), found.since

    def names(self, channel: str) -> list[str]:
        """Name the publishers of a channel."""
        return [publisher.shown for publisher in self.of(channel).present]

    def newest(self) -> dict[str, str]:
        """Return who came last of those who set a channel now, by channel."""
        return {
            channel: next(reversed(found.present)).shown
            for channel, found in self.channels.items()
            if found.present
        }

    def sets(self, who: str, channel: str = "") -> bool:
        """Return whether somebody of that login and name sets a channel now; empty = any."""
        return any(
            who == each.shown
            for name, found in self.channels.items()
            for each in found.present
            if channel in ("", name)
        )

    def forget_missed(self, who: str, channel: str = "") -> list[dict[str, Any]]:
        """
        Expect a provider no more that is gone; return rows of `channel`, `who` and `since`.

        Args:
            who: a login, for all of its names, or login and name: `alice/desk`.
            channel: empty = every channel.
        """
        absent = [name for name in self.expected if not self.status(name)[0]]
        found = self.expected.forget(who, [name for name in absent if channel in ("", name)])
        return [
            {"channel": name, "who": shown, "since": self.status(name)[1]} for name, shown in found
        ]

    def restore(self, channel: str, former: Publisher) -> None:
        """Note who held a channel before the start: it counts as the last, and is expected."""
        self.channels.setdefault(channel, Attendance(self._began)).last = former
        if former.who.known:
            self.expected.note(channel, former.shown)

    def of(self, channel: str) -> Attendance:
        """Return the publishers of a channel."""
        return self.channels.get(channel) or Attendance(self._began)

    def join(self, channel: str, publisher: Publisher) -> None:
        """A publisher sets a channel."""
        found = self.channels.setdefault(channel, Attendance(self._began))
        if publisher in found.present:
            return
        if publisher.who.known:
            self.expected.note(channel, publisher.shown, publisher.left)
        if publisher.gone:
            return
        found.fenced.pop(publisher, None)
        found.present[publisher] = self._now()
        found.last = publisher
        if len(found.present) == 1:
            self._note_presence(channel, True)

    def part(self, channel: str, publisher: Publisher) -> None:
        """A publisher sets a channel no more."""
        found = self.channels.get(channel)
        came = None if found is None else found.present.pop(publisher, None)
        if found is None or came is None:
            return
        if publisher.gone and (publisher.who.known or self._now() - came >= STAYS):
            self.expected.note(channel, publisher.shown, publisher.left)
        if not found.present:
            self._note_presence(channel, False)

    def _note_presence(self, channel: str, up: bool) -> None:
        self.expected.note_change()
        since = self.channels[channel].since = self._now()
        self.changes.append(PresenceChange(channel, up, since))
