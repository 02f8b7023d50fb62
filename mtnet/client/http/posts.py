"""
POSTs of a client: signals, acknowledgements, reports and specifications, one request at a time.

Pure: requests of a session in, bodies out; answers in, frames out.
"""

from collections import deque
from collections.abc import Iterator
from secrets import token_hex
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from mtnet.client.http import answers
from mtnet.client.http.exchange import Reply
from mtnet.session.grammar import Message

MAX_SIGNALS = 100
"""Signals, or acknowledgements, in one request: the server takes no more."""
SIGN_OF_LIFE = 10.0
"""Seconds after which a publisher says that it is there; followers see it as gone after 30."""
TAKES = {"1": {"take": True}, "0": {"beside": True}}
"""The keys of a request for `take` of a PUBLISH; `free` is what the server does without them."""


class Post(Struct, frozen=True):
    """
    A request.

    Attributes:
        target: its path.
        channel: of its signals; empty = it holds none.
        keys: of its body, besides `items`.
        list: the key of `items`; empty = it has none.
        items: signals or acknowledgements.
    """

    target: str
    channel: str = ""
    keys: dict[str, Any] = {}
    list: str = ""
    items: tuple[dict[str, str], ...] = ()

    @property
    def body(self) -> bytes:
        """The JSON of the request."""
        more = {self.list: self.items} if self.list else {}
        return msgspec.json.encode({**self.keys, **more})

    def joins(self, other: "Post") -> bool:
        """Return whether the items of another request may stand in this one, behind its own."""
        same = (self.target, self.keys, self.list) == (other.target, other.keys, other.list)
        return same and bool(self.list) and len(self.items) + len(other.items) <= MAX_SIGNALS


class Publishing:
    """
    A program as a publisher, over all its sessions.

    Attributes:
        publisher: names it among those of its login, from its start on.
        due: when the next sign of life is due, for each channel that took its signals.
    """

    def __init__(self) -> None:
        self.publisher = f"mtnet-{token_hex(8)}"
        self.due: dict[str, float] = {}


class Posts:
    """
    Queue of the requests of a session.

    Args:
        publishing: of the program, over all its sessions.
    """

    def __init__(self, publishing: Publishing) -> None:
        self._publishing, self._name = publishing, ""
        self._queue: deque[Post] = deque()
        self._asked: Post | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing waits, for its turn or for an answer."""
        return self._asked is None and not self._queue

    @property
    def deadline(self) -> float | None:
        """When the next sign of life is due."""
        return min(self._publishing.due.values(), default=None)

    def begin(self, name: str, when: float) -> None:
        """Let a publisher that comes again say so at once; `name` is that of the program."""
        self._name = name
        self._publishing.due.update(dict.fromkeys(self._publishing.due, when))

    def add(self, message: Message) -> None:
        """Take a request of the session."""
        post = self._post(message)
        if self._queue and self._queue[-1].joins(post):
            last = self._queue.pop()
            post = msgspec.structs.replace(last, items=last.items + post.items)
        self._queue.append(post)

    def expire(self, when: float) -> None:
        """Let a publisher say that it is there."""
        for channel, due in list(self._publishing.due.items()):
            if due <= when:
                self._publishing.due[channel] = when + SIGN_OF_LIFE
                self._queue.append(self._signals(channel, ""))

    @property
    def ready(self) -> bool:
        """Whether a request can be sent: one waits, and no answer is missing."""
        return self._asked is None and bool(self._queue)

    def next(self) -> Post:
        """Return the request to send now."""
        self._asked = asked = self._queue.popleft()
        return asked

    def answered(self, reply: Reply, when: float) -> Iterator[bytes]:
        """
        Yield the frames of the answer to the present request.

        Raises:
            ClientError: it cannot be read.
        """
        asked, self._asked = self._asked, None
        if asked is None or not asked.channel:
            if reply.status >= 300:
                # Without a channel, so that no subscription counts as refused.
                yield answers.refusal(answers.fault(reply))
        elif not asked.items:
            if reply.status >= 300:
                yield answers.refusal(answers.fault(reply), asked.channel)
        else:
            if "beside" not in asked.keys and reply.status == 200:
                self._publishing.due[asked.channel] = when + SIGN_OF_LIFE
            ids = [each["id"] for each in asked.items]
            yield from answers.results(reply, asked.channel, ids)

    def _post(self, message: Message) -> Post:
        fields = dict(message.fields)
        name = {"name": self._name}
        if message.verb == "PUBLISH":
            channel, take = fields.pop("channel", "main"), fields.pop("take", "1")
            return self._signals(channel, take, fields)
        if message.verb == "ACK":
            target = f"/v1/channels/{quote(fields.pop('channel'), safe='')}/acks"
            return Post(target, "", name, "acks", (fields,))
        if message.verb == "REPORT":
            more: dict[str, Any] = dict(fields)
            if "trading" in more:
                more["trading"] = more["trading"] == "1"
            return Post("/v1/report", "", {**name, **more})
        return Post("/v1/spec", "", {**name, **fields})

    def _signals(self, channel: str, take: str, *signals: dict[str, str]) -> Post:
        target = f"/v1/channels/{quote(channel, safe='')}/signals"
        keys = {"publisher": self._publishing.publisher, **TAKES.get(take, {})}
        if self._name:
            keys["name"] = self._name
        return Post(target, channel, keys, "signals", signals)
