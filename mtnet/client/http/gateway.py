"""
A session over HTTP: the frames of a client become requests, and the answers become frames.

Pure. `when` is seconds of a clock that is never set. Long polls have a connection of their own, so
that no signal waits behind a poll.
"""

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import cast

from mtnet.client.core.address import Address
from mtnet.client.core.deadlines import earliest
from mtnet.client.core.login import Login
from mtnet.client.core.session import SILENCE_LIMIT
from mtnet.client.http import answers
from mtnet.client.http.answers import CLOSING, HEARTBEAT, REFUSALS, News, Row
from mtnet.client.http.exchange import Exchange, Reply
from mtnet.client.http.polling import Polling
from mtnet.client.http.posts import Posts, Publishing
from mtnet.errors import ClientError
from mtnet.services.signals import wire
from mtnet.session import messages
from mtnet.session.grammar import Message, parse, payloads

CHANNELS = "/v1/channels"
"""The path that is asked at the start, and by a client that follows nothing."""
SPACING = 0.1
"""Seconds between two polls of which the first brought nothing at once: a server, or a proxy, that
does not wait must not be asked in a loop."""


class Road(Enum):
    """The connections of a session: one for polls, one for POSTs."""

    POLL = "poll"
    POST = "post"


class Gateway:
    """
    Session state machine over two connections of HTTP.

    Args:
        publishing: of the program, over all its sessions.

    Attributes:
        ending: why the session is to be closed; empty = it is not.
    """

    def __init__(self, address: Address, publishing: Publishing) -> None:
        self._address, self._publishing = address, publishing
        self._exchanges: dict[Road, Exchange] = {}
        self._waiting: dict[Road, float] = {}
        self._login, self._name = b"", ""
        self._welcomed = False
        self._polling: Polling | None = None
        self._polled: Polling | None = None
        self._posts = Posts(publishing, "")
        self._poll_at: float | None = None
        self._poll_sent = 0.0
        self.ending = ""

    @property
    def idle(self) -> bool:
        """Whether nothing of the client waits, for its turn or for an answer."""
        return self._posts.idle

    @property
    def deadline(self) -> float | None:
        """When `expire` is due."""
        return earliest(*self._waiting.values(), self._poll_due, self._posts.deadline)

    def expire(self, when: float) -> None:
        """Do what is due; `data_to_send` has it."""
        if any(due <= when for due in self._waiting.values()):
            self.ending = self.ending or f"nothing was received for {SILENCE_LIMIT:g} s"
        self._posts.expire(when)

    # The client

    def send(self, frames: bytes, when: float) -> None:
        """Take requests of the client."""
        for payload in payloads(frames):
            message = parse(payload)
            handle = _REQUESTS.get(message.verb)
            if handle is not None:
                handle(self, message, when)

    def _hello(self, message: Message, when: float) -> None:
        asked = cast(messages.Hello, wire.read_request(message))
        self._login = Login(asked.login, asked.password).basic if asked.login else b""
        self._name = asked.name.replace("/", "-")[:100]
        self._posts = Posts(self._publishing, self._name)
        self._posts.begin(when)
        self._poll_at = when

    def _subscribe(self, message: Message, when: float) -> None:
        asked = cast(wire.Subscribe, wire.read_request(message))
        self._polling, self._poll_at = Polling(asked, self._name), when

    def _post(self, message: Message, when: float) -> None:
        self._posts.add(message)

    # Connections

    def wants(self, road: Road, when: float) -> bool:
        """Return whether there is a request to send, and a connection is needed for it."""
        if self.ending or road in self._waiting:
            return False
        if road is Road.POST:
            return self._posts.ready
        return self._poll_at is not None and self._poll_at <= when

    def opening(self, road: Road, when: float) -> None:
        """Note an attempt to connect."""
        self._waiting[road] = when + SILENCE_LIMIT

    def connected(self, road: Road) -> None:
        """Begin on a new connection."""
        self._waiting.pop(road, None)
        self._exchanges[road] = Exchange(self._address.authority)

    def closed(self, road: Road) -> bool:
        """Note the end of a connection, or of an attempt; return whether an answer is missing."""
        self._exchanges.pop(road, None)
        return self._waiting.pop(road, None) is not None

    def data_to_send(self, road: Road, when: float) -> bytes:
        """Return the next request of a connection; empty = nothing is to be sent now."""
        exchange = self._exchanges.get(road)
        if exchange is None or not exchange.idle or not self.wants(road, when):
            return b""
        self._waiting[road] = when + SILENCE_LIMIT
        prefix = self._address.path
        if road is Road.POST:
            post = self._posts.next()
            return exchange.ask("POST", prefix + post.target, self._login, post.body)
        self._polled, self._poll_at, self._poll_sent = self._polling, None, when
        target = CHANNELS if self._polling is None else self._polling.target
        return exchange.ask("GET", prefix + target, self._login)

    def is_finished(self, road: Road) -> bool:
        """Return whether the server takes no further request on a connection."""
        exchange = self._exchanges.get(road)
        return exchange is not None and exchange.finished

    def receive(self, road: Road, data: bytes, when: float) -> bytes:
        """
        Take bytes of the server; return the frames that they complete.

        Args:
            data: empty = the server has closed its half.
        """
        exchange = self._exchanges.get(road)
        if exchange is None or self.ending:
            return b""
        try:
            reply = exchange.receive(data)
            if reply is None:
                if road in self._waiting:
                    self._waiting[road] = when + SILENCE_LIMIT
                return b""
            del self._waiting[road]
            take = self._take_poll if road is Road.POLL else self._posts.answered
            return b"".join(take(reply, when))
        except ClientError as error:
            self.ending = str(error)
            return b""

    # Answers

    @property
    def _poll_due(self) -> float | None:
        return None if Road.POLL in self._waiting else self._poll_at

    def _take_poll(self, reply: Reply, when: float) -> Iterator[bytes]:
        polled, self._polled = self._polled, None
        if polled is not self._polling:
            self._poll_at = when  # something else is followed meanwhile
        elif polled is None:
            yield from self._take_channels(reply, when)
        elif reply.status == 200:
            news = answers.read(reply, News)
            quick = when < self._poll_sent + SPACING and not polled.differs(news)
            self._poll_at = when + SPACING if quick else when
            yield from polled.answered(news)
        else:
            self._polling, self._poll_at = None, when + HEARTBEAT
            yield self._refusal(reply, polled.channel)

    def _take_channels(self, reply: Reply, when: float) -> Iterator[bytes]:
        self._poll_at = when + HEARTBEAT
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
            self.ending, channel = f"the server refuses the login: {why.text}", ""
        return answers.refusal(why, channel)


_REQUESTS: Mapping[str, Callable[[Gateway, Message, float], None]] = {
    "HELLO": Gateway._hello,
    "SUBSCRIBE": Gateway._subscribe,
    **dict.fromkeys(("PUBLISH", "ACK", "REPORT", "SPEC"), Gateway._post),
}
