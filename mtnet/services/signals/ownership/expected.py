"""
Registry of the provider that each channel is expected to have, who is missed once it is gone.

Pure. A provider with a login or a name is expected from its first signal on, another one once it
has stayed: a program that publishes once, and is gone, is missed by nobody.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from mtnet.callbacks import noop

STAYS = 60_000
"""Milliseconds after which somebody without login and name counts as a provider. A program that
publishes once is gone within a second, by HTTP within half of this."""


class Expected(NamedTuple):
    """
    The provider that a channel is expected to have.

    Attributes:
        who: login and name, else the address.
        left: whether it said BYE when it went.
    """

    who: str
    left: bool = False


class ExpectedProviders:
    """
    Attributes:
        changes: how often what is saved has changed.
        changed: called then.
    """

    def __init__(self) -> None:
        self._by_channel: dict[str, Expected] = {}
        self.changes = 0
        self.changed: Callable[[], object] = noop

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_channel)

    def of(self, channel: str) -> Expected | None:
        """Return who is expected in a channel; None = nobody is."""
        return self._by_channel.get(channel)

    def note(self, channel: str, who: str, left: bool = False) -> None:
        """Expect a provider in a channel, in place of any other one."""
        expected = Expected(who, left)
        if self._by_channel.get(channel) != expected:
            self._by_channel[channel] = expected
            self.note_change()

    def restore(self, saved: Mapping[str, Expected]) -> None:
        """Expect those of the last run, but where another one is known to hold the channel."""
        self._by_channel = {**saved, **self._by_channel}

    def saved(self, present: Mapping[str, str]) -> dict[str, Expected]:
        """
        Return what a file keeps.

        Args:
            present: who is there, by channel; after a kill they are missed.
        """
        return {**self._by_channel, **{name: Expected(who) for name, who in present.items()}}

    def forget(self, who: str, channels: Iterable[str]) -> list[tuple[str, str]]:
        """
        Expect a provider no more; return from which channels it went, and who it was.

        Args:
            who: a login, for all of its names, or login and name.
            channels: those in which it may be forgotten.
        """
        found = [
            (name, expected.who)
            for name in channels
            if (expected := self.of(name)) and who in (expected.who, expected.who.split("/")[0])
        ]
        for name, _ in found:
            del self._by_channel[name]
        if found:
            self.note_change()
        return found

    def note_change(self) -> None:
        """Note that what `saved` returns is something else now."""
        self.changes += 1
        self.changed()
