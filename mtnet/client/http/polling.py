"""
Subscriptions by long polls.

Pure: answers in, frames out.
"""

from collections.abc import Iterator
from urllib.parse import quote, urlencode

from mtnet.client.http import answers
from mtnet.client.http.answers import CLOSING, HEARTBEAT, REFUSALS, News, Presence, Row
from mtnet.client.http.exchange import Reply
from mtnet.errors import ClientError
from mtnet.services.signals.values import PauseMode
from mtnet.services.signals.wire.answers import paused, resumed, snapshot, status, synced
from mtnet.services.signals.wire.requests import Subscribe
from mtnet.session.fields import join_list

CHANNELS = "/v1/channels"
"""The path that is asked at the start, and by a client that follows nothing."""
SPACING = 0.1
"""Seconds between two polls of which the first brought nothing at once: a server, or a proxy, that
does not wait must not be asked in a loop."""


class Polling:
    """
    Asks for the signals of a channel again and again, each time behind the last answer.

    Args:
        asked: what is followed, and what the follower has.
        name: of the program.
    """

    def __init__(self, asked: Subscribe, name: str) -> None:
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
        yield snapshot(self.channel, news.epoch, news.seq, count, diverged)
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
            yield synced(self.channel, news.epoch, news.seq, news.h, **news.limits)

    def _state(self, news: News) -> Iterator[bytes]:
        if news.publisher != self._publisher:
            self._publisher = news.publisher
            yield status(self.channel, news.publisher.up, news.publisher.since)
        if news.paused != self._paused:
            self._paused = news.paused
            yield (paused(self.channel, news.paused) if news.paused else resumed(self.channel))


class Polls:
    """
    Long polls of a session, one at a time: for the list of channels, then for the signals of one.

    Attributes:
        due: when the next is to be sent, unless an answer is missing; None = not by itself.
        refused: why the session is over; empty = it is not.
    """

    def __init__(self) -> None:
        self._name = ""
        self._wanted: Polling | None = None
        self._asked: Polling | None = None
        self._asked_at = 0.0
        self._welcomed = False
        self.due: float | None = None
        self.refused = ""

    def begin(self, name: str, when: float) -> None:
        """Ask for the channels; `name` is that of the program."""
        self._name, self.due = name, when

    def follow(self, asked: Subscribe, when: float) -> None:
        """Ask for the signals of a channel from now on."""
        self._wanted, self.due = Polling(asked, self._name), when

    def next(self, when: float) -> str:
        """Return the path to ask for now."""
        self._asked, self.due, self._asked_at = self._wanted, None, when
        return CHANNELS if self._wanted is None else self._wanted.target

    def answered(self, reply: Reply, when: float) -> Iterator[bytes]:
        """
        Yield the frames of an answer.

        Raises:
            ClientError: it cannot be read.
        """
        asked, self._asked = self._asked, None
        if asked is not self._wanted:
            self.due = when  # something else is followed meanwhile
        elif asked is None:
            yield from self._take_channels(reply, when)
        elif reply.status == 200:
            news = answers.read(reply, News)
            quick = when < self._asked_at + SPACING and not asked.differs(news)
            self.due = when + SPACING if quick else when
            yield from asked.answered(news)
        else:
            self._wanted, self.due = None, when + HEARTBEAT
            yield self._refusal(reply, asked.channel)

    def _take_channels(self, reply: Reply, when: float) -> Iterator[bytes]:
        self.due = when + HEARTBEAT
        if reply.status == 200:
            rows = answers.read(reply, list[Row])
        elif reply.status == 403 and answers.fault(reply).error == "denied":
            rows = []  # a session without rights is welcomed too
        else:
            yield self._refusal(reply)
            return
        first, self._welcomed = not self._welcomed, True
        yield answers.welcome(rows) if first else answers.heartbeat()

    def _refusal(self, reply: Reply, channel: str = "") -> bytes:
        why = answers.fault(reply)
        if why.error not in REFUSALS or not (channel or why.error in CLOSING):
            raise ClientError(f"the server refuses to answer: {why.text or why.error}")
        if why.error in CLOSING:
            self.refused, channel = f"the server refuses the login: {why.text}", ""
        return answers.refusal(why, channel)
