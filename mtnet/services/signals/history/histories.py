"""Keeps what followers claim of the history of channels, and what a person accepts of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import JournalError, WireError
from mtnet.services.signals.book import Channel
from mtnet.services.signals.events import SignalEvents
from mtnet.services.signals.history.divergence import Claim, Divergences
from mtnet.services.signals.wire.requests import Subscribe
from mtnet.storage.files import replace_file


class Histories:
    """
    Args:
        path: the file that keeps the claims.
        now: milliseconds since the Unix epoch, UTC.
        in_thread: runs a blocking function off the reactor, in order.
        events: records what followers claim.
    """

    log = Logger()

    def __init__(
        self,
        path: Path,
        now: Callable[[], int],
        in_thread: Callable[..., "Deferred[Any]"],
        events: SignalEvents,
    ) -> None:
        self._path, self._now, self._in_thread, self._events = path, now, in_thread, events
        self._divergences = Divergences()

    def open(self) -> None:
        """
        Read what was claimed; blocking.

        Raises:
            JournalError: the file cannot be read.
        """
        try:
            if self._path.exists():
                self._divergences.load(self._path.read_bytes())
        except (OSError, JournalError) as error:
            raise JournalError(
                f"{self._path} does not name the histories that went back: {error}."
            ) from error
        for sentence in self.sentences():
            self.log.error("{sentence}.", sentence=sentence)

    def sentences(self, public: bool = False) -> list[str]:
        """Say what a person must decide; `public` leaves out who said so."""
        return self._divergences.sentences(public)

    def is_open(self, name: str) -> bool:
        """Say whether a person must decide about the history of a channel."""
        return bool(self._divergences.open(name))

    def has_diverged(self, channel: Channel) -> bool:
        """Say whether a follower that is trusted ever knew more than this epoch holds."""
        return self._divergences.has_diverged(channel.name, channel.epoch)

    def claim(self, channel: Channel, asked: Subscribe, who: str) -> None:
        """Take note, once, of what a follower knows that the journal does not hold."""
        claim = Claim(asked.after or 0, asked.h or "", who, self._now(), channel.seq)
        if self._divergences.add(channel.name, channel.epoch, claim):
            self._events.diverged(channel.name, self._divergences.sentence(channel.name))
            self._store().addErrback(self._unstored)

    async def accept(self, channel: str, *views: str) -> None:
        """
        Accept the journal as correct: the claims so far raise no alarm any more.

        Args:
            views: of the channel; they are accepted with it, or not at all.

        Raises:
            WireError: `channel`; there are no claims.
            JournalError: the disk does not keep it.
        """
        opened = {name: self._divergences.open(name) for name in (channel, *views)}
        claims = {name: found for name, found in opened.items() if found}
        if not claims:
            raise WireError("channel", f"Nothing is wrong with {channel}")
        for name in claims:
            self._divergences.accept(name)
        try:
            await self._store()
        except JournalError:
            for name, each in claims.items():
                self._divergences.reopen(name, each)
            raise

    def forget(self, channel: str) -> None:
        """End the claims on a channel, which has a new epoch."""
        self._divergences.forget(channel)
        self._store().addErrback(self._unstored)

    def _store(self) -> "Deferred[Any]":
        return self._in_thread(replace_file, self._path, self._divergences.dump())

    def _unstored(self, failure: Failure) -> None:
        failure.trap(JournalError)
        self.log.error("{why} It is known until the stop.", why=failure.getErrorMessage())
