"""Events of signals: sentences of what happens to channels, publishers and views."""

from typing import Any

from twisted.logger import Logger, LogLevel

from mtnet.interfaces import IEvents
from mtnet.services.signals.ownership.publishers import Publisher
from mtnet.services.signals.values import PauseMode

_PAUSES = {
    "close_only": ("channel_paused", "{channel} is close-only: {who} paused it."),
    "frozen": ("channel_frozen", "{channel} takes nothing, not even closings: {who} froze it."),
    None: ("channel_resumed", "{channel} takes everything again: {who} resumed it."),
}

_VIEWS = {
    "view_added": "The view {view} is new: {who} added it.",
    "view_edited": "The view {view} has other settings: {who} edited {settings}.",
    "view_removed": "The view {view} is gone: {who} removed it.",
    "view_monitored": "The view {view} computes and sends nothing: {who} set it to monitor.",
}

_LOG_LEVELS = {"info": LogLevel.info, "warning": LogLevel.warn, "error": LogLevel.error}


class SignalEvents:
    """
    Adapter to the event log.

    Attributes:
        sink: takes the events; None = they are lines of the log alone.
    """

    log = Logger()

    def __init__(self) -> None:
        self.sink: IEvents | None = None

    def provider(self, channel: str, up: bool, last: Publisher | None) -> None:
        """Record that a channel has its first publisher, or has lost its last."""
        who = _shown(last)
        if up:
            self._record("publisher_up", f"{channel} has a publisher: {who}.", channel, who=who)
        else:
            text = f"{channel} has no publisher: {who} was the last."
            # Programs that publish once come and go; the status warns of one that is missed.
            self._record("publisher_down", text, channel, who=who)

    def fenced(self, channel: str, before: Publisher, now: Publisher | None) -> None:
        """Record that a publisher lost a channel to a newer one."""
        who, by = _shown(before), _shown(now)
        text = f"{who} no longer sets {channel}: {by} took it over."
        self._record("publisher_fenced", text, channel, "warning", who=who, by=by)

    def paused(self, channel: str, mode: PauseMode | None, who: str) -> None:
        """Record that a person has paused a channel or a view, or resumed it with None."""
        kind, text = _PAUSES[mode]
        level = "info" if mode is None else "warning"
        self._record(kind, text.format(channel=channel, who=who), channel, level, who=who)

    def flattened(self, channel: str, closed: int, who: str) -> None:
        """Record that a person has closed all that a channel or a view held."""
        text = f"{channel} is flat and close-only: {who} closed {closed} positions and orders."
        self._record("channel_flattened", text, channel, "warning", who=who, closed=closed)

    def diverged(self, channel: str, sentence: str) -> None:
        """Record what a follower knows that the journal does not hold."""
        shown = f"The history of {channel} went back: a follower knows more than the journal."
        self._record("channel_diverged", f"{sentence}.", channel, "error", public=shown)

    def accepted(self, channel: str, new_epoch: bool, who: str) -> None:
        """Record that a person goes on with a channel as it is."""
        how = "a new epoch" if new_epoch else "its epoch"
        text = f"{channel} goes on as it is, with {how}: {who} accepted it."
        self._record("channel_accepted", text, channel, "warning", who=who)

    def forgotten(self, channel: str, follower: str, who: str) -> None:
        """Record that a person misses an offline follower no more."""
        text = f"{follower} is missed in {channel} no more: {who} forgot it."
        self._record("follower_forgotten", text, channel, who=who, follower=follower)

    def view_changed(self, kind: str, view: str, who: str, settings: str = "") -> None:
        """Record that a person has added, edited, removed or monitors a view."""
        text = _VIEWS[kind].format(view=view, who=who, settings=settings or "nothing")
        self._record(kind, text, view, who=who)

    def struck(self, view: str, why: str) -> None:
        """Record that a limit of a view keeps it from opening anything."""
        text = f"The view {view} opens nothing more: {why}."
        shown = f"The view {view} opens nothing more: a limit of its account was reached."
        self._record("view_limit", text, view, "warning", public=shown)

    def _record(
        self, kind: str, text: str, channel: str, level: str = "info", **facts: Any
    ) -> None:
        if self.sink is None:
            self.log.emit(_LOG_LEVELS[level], "{text}", text=text)
        else:
            self.sink.record(kind, text, level, channel=channel, **facts)


def _shown(publisher: Publisher | None) -> str:
    return (publisher and publisher.shown) or "a publisher of before the start"
