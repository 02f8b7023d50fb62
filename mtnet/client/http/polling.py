"""
A subscription by long polls.

Pure: answers in, frames out.
"""

from collections.abc import Iterator
from urllib.parse import quote, urlencode

from mtnet.client.http import answers
from mtnet.client.http.answers import HEARTBEAT, News, Presence
from mtnet.errors import ClientError
from mtnet.services.signals import wire
from mtnet.services.signals.values import PauseMode
from mtnet.session.fields import join_list


class Polling:
    """
    Asks for the signals of a channel again and again, each time behind the last answer.

    Args:
        asked: what is followed, and what the follower has.
        name: of the program.
    """

    def __init__(self, asked: wire.Subscribe, name: str) -> None:
        self.channel = asked.channel
        self._symbols, self._name = asked.symbols, name
        self._epoch, self._after, self._h = asked.epoch, asked.after, asked.h
        self._sent = asked.after or 0
        self._synced: dict[str, str] | None = None
        self._publisher: Presence | None = None
        self._paused: PauseMode | None = None

    @property
    def target(self) -> str:
        """The path of the next request."""
        fields = {
            "epoch": self._epoch,
            "after": self._after,
            "h": self._h,
            "symbols": None if self._symbols is None else join_list(sorted(self._symbols)),
            "wait": f"{HEARTBEAT:g}",
            "name": self._name or None,
        }
        query = urlencode({key: text for key, text in fields.items() if text is not None})
        return f"/v1/channels/{quote(self.channel, safe='')}/signals?{query}"

    def differs(self, news: News) -> bool:
        """Return whether an answer holds anything new."""
        known = news.snapshot is None and not news.signals and news.seq == self._after
        return not known or (news.publisher, news.paused) != (self._publisher, self._paused)

    def answered(self, news: News) -> Iterator[bytes]:
        """
        Yield the frames of an answer.

        Raises:
            ClientError: it does not follow the one before.
        """
        if news.snapshot is not None:
            yield from self._snapshot(news, news.snapshot)
        else:
            yield from self._replay(news)
        self._epoch, self._after, self._h = news.epoch, news.seq, news.h or None
        yield from self._state(news)
        yield answers.heartbeat()

    def _snapshot(self, news: News, positions: tuple[answers.Fields, ...]) -> Iterator[bytes]:
        count, diverged = len(positions), news.diverged
        yield wire.snapshot(self.channel, news.epoch, news.seq, count, diverged)
        for each in positions:
            yield answers.position("POSITION", self.channel, each)
        self._sent, self._synced = news.seq, None
        yield from self._end(news)

    def _replay(self, news: News) -> Iterator[bytes]:
        if news.epoch != self._epoch or news.seq < (self._after or 0):
            raise ClientError("the server's answer belongs to another history than was asked for")
        for each in news.signals:
            # Without a filter the follower itself sees whether one is missing.
            before = {} if self._symbols is None else {"prev": self._sent}
            yield answers.position("SIGNAL", self.channel, each, **before)
            self._sent = answers.seq_of(each)
        if news.seq >= news.last:
            yield from self._end(news)

    def _end(self, news: News) -> Iterator[bytes]:
        """Say once that nothing is missing any more, and again when the limits of a view change."""
        if news.limits != self._synced:
            self._synced, self._sent = news.limits, news.seq
            yield wire.synced(self.channel, news.epoch, news.seq, news.h, **news.limits)

    def _state(self, news: News) -> Iterator[bytes]:
        if news.publisher != self._publisher:
            self._publisher = news.publisher
            yield wire.status(self.channel, news.publisher.up, news.publisher.since)
        if news.paused != self._paused:
            self._paused = news.paused
            yield (
                wire.paused(self.channel, news.paused)
                if news.paused
                else wire.resumed(self.channel)
            )
