"""Presence: whether a channel or a view has a publisher, and since when."""

from mtnet.services.signals import wire
from mtnet.services.signals.events import SignalEvents
from mtnet.services.signals.fanout import Fanout
from mtnet.services.signals.ownership.policy import PublishRules


class Presence:
    """Sends followers a STATUS whenever a channel gets its first publisher, or loses its last."""

    def __init__(self, rules: PublishRules, fanout: Fanout, events: SignalEvents) -> None:
        self._ownership, self._views, self._fanout = rules.ownership, rules.views, fanout
        self._events = events

    def send(self) -> None:
        """Send presence changes to followers, after the entries that led to them."""
        ownership = self._ownership
        if ownership.presence_deferred:
            return
        changes, ownership.presence_changes = ownership.presence_changes, []
        for channel, up, since in changes:
            self._events.provider(channel, up, ownership.attendance(channel).last)
            self._fanout.announce(channel, wire.status(channel, up, since))
            for name in self._views.of(channel):
                self._fanout.announce(name, wire.status(name, *self.of(name)))

    def of(self, channel: str) -> tuple[bool, int]:
        """
        Say whether a channel has a publisher, and since when, in milliseconds; a view has one when
        all its sources have.
        """
        status, view = self._ownership.status, self._views.known.get(channel)
        if view is None:
            return status(channel)
        found = [status(source) for source in view.settings.sources]
        up = all(each for each, _ in found)
        return up, max(since for each, since in found if each == up)
