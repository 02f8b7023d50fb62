"""
A session over HTTP: the frames of a client become requests, and the answers become frames.

Pure. `when` is seconds of a clock that is never set. Long polls have a connection of their own, so
that no signal waits behind a poll.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import cast

from mtnet.client.core.address import Address
from mtnet.client.core.driver import earliest
from mtnet.client.core.login import basic_authorization
from mtnet.client.core.session import SILENCE_LIMIT
from mtnet.client.http.exchange import Exchange
from mtnet.client.http.polling import Polls
from mtnet.client.http.posts import Posts
from mtnet.errors import ClientError
from mtnet.services.signals.wire import requests
from mtnet.session import messages
from mtnet.session.grammar import Message, parse, payloads


class Road(Enum):
    """The connections of a session: one for polls, one for POSTs."""

    POLL = "poll"
    POST = "post"


class Gateway:
    """
    Session state machine over two connections of HTTP.

    Args:
        posts: of this session.

    Attributes:
        ending: why the session is to be closed; empty = it is not.
    """

    def __init__(self, address: Address, posts: Posts) -> None:
        self._address, self._posts, self._polls = address, posts, Polls()
        self._exchanges: dict[Road, Exchange] = {}
        self._waiting: dict[Road, float] = {}
        self._authorization = b""
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
        asked = cast(messages.Hello, requests.read_request(message))
        if asked.login:
            self._authorization = basic_authorization(asked.login, asked.password)
        name = asked.name.replace("/", "-")[:100]
        self._posts.begin(name, when)
        self._polls.begin(name, when)

    def _subscribe(self, message: Message, when: float) -> None:
        asked = cast(requests.Subscribe, requests.read_request(message))
        self._polls.follow(asked, when)

    def _post(self, message: Message, when: float) -> None:
        self._posts.add(message)

    # Connections

    def wants(self, road: Road, when: float) -> bool:
        """Return whether there is a request to send, and a connection is needed for it."""
        if self.ending or road in self._waiting:
            return False
        if road is Road.POST:
            return self._posts.ready
        return self._polls.due is not None and self._polls.due <= when

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
            return exchange.ask("POST", prefix + post.target, self._authorization, post.body)
        return exchange.ask("GET", prefix + self._polls.next(when), self._authorization)

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
            waiting = self._polls if road is Road.POLL else self._posts
            frames = b"".join(waiting.answered(reply, when))
            self.ending = self._polls.refused
            return frames
        except ClientError as error:
            self.ending = str(error)
            return b""

    @property
    def _poll_due(self) -> float | None:
        return None if Road.POLL in self._waiting else self._polls.due


_REQUESTS: Mapping[str, Callable[[Gateway, Message, float], None]] = {
    "HELLO": Gateway._hello,
    "SUBSCRIBE": Gateway._subscribe,
    **dict.fromkeys(("PUBLISH", "ACK", "REPORT", "SPEC"), Gateway._post),
}
