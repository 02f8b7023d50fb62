"""Pauses: what a person stops a channel or a view from taking, and flattening."""

from typing import Any

from twisted.internet.defer import Deferred

from mtnet.errors import WireError
from mtnet.services.signals.journal.group_commit import Pending
from mtnet.services.signals.model import FLAT, Entry
from mtnet.services.signals.ownership.policy import OWNER
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.values import PauseMode
from mtnet.services.signals.wire import answers


class Pauses:
    """
    Trading halts: the modes of channels and of views, which people set.

    A channel takes only what reduces positions (`close_only`), nothing (`frozen`), or everything
    (None). A view has its mode in its settings; for people both are the same.
    """

    def __init__(self, signals: SignalService) -> None:
        self._signals = signals

    def pause(self, channel: str, mode: PauseMode | None) -> "Deferred[Any]":
        """
        Take only what reduces positions, or nothing at all, or everything again with None.

        Fires once it is known after a restart, too; it counts from now on, whatever the disk does.

        Raises, or fails with:
            WireError: `channel` (there is none of this name) or `server` (it is damaged).
            JournalError: the disk does not keep it.
        """
        signals = self._signals
        signals.channel(channel)
        if channel in signals.views.known:
            return Deferred.fromCoroutine(self._pause_view(channel, mode))
        if signals.rules.pause_mode(channel) != mode:
            signals.rules.store.pause(channel, mode)
            self._announce(channel, mode)
            signals.retries.judge()
        return signals.worker.save_policy()

    async def _pause_view(self, name: str, mode: PauseMode | None) -> None:
        await self._signals.views.set_mode(name, mode or "on")
        self._announce(name, mode)

    async def flatten(self, channel: str) -> int:
        """
        Close every position, remove every order, and take only what reduces positions from then
        on; return how many were closed.

        Raises:
            WireError: `channel`, or `server` when the disk failed.
            JournalError: it is flat, but would not be paused after a restart.
        """
        if channel in self._signals.views.known:
            return await self._flatten_view(channel)
        kept = self.pause(channel, "close_only")
        done: Deferred[int] = Deferred()
        self._signals.commits.add(_flattening(channel, self._signals.now(), done))
        try:
            closed = await done
        except WireError:
            await kept
            raise
        await kept
        return closed

    async def _flatten_view(self, name: str) -> int:
        closed = await self._signals.views.flatten(name, "a person closed the view")
        self._announce(name, "close_only")
        self._signals.channels.announce(name, answers.flattened(name))
        return closed

    def _announce(self, name: str, mode: PauseMode | None) -> None:
        frame = answers.resumed(name) if mode is None else answers.paused(name, mode)
        self._signals.channels.announce(name, frame)


def _flattening(channel: str, when: int, done: "Deferred[int]") -> Pending:
    """Return the draft that closes every position of a channel, and removes every order."""
    return Pending(Entry(channel, "", FLAT, when), OWNER, done=done)
