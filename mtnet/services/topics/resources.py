"""Topics by HTTP: a message by POST, and messages by long poll."""

from functools import partial
from typing import Annotated

from msgspec import Meta, Struct, field
from twisted.internet.defer import Deferred

from mtnet.net.http.long_poll import MAX_WAIT
from mtnet.net.http.route import HttpRequest, Route, refuse_disk
from mtnet.services.topics import wire
from mtnet.services.topics.service import TopicService
from mtnet.services.topics.verbs import NOT_STORED
from mtnet.services.topics.wire import MAX_NAME, Post, Send, Sent

MAX_MESSAGES = 500
"""Messages of one answer: 3 MB of data at most."""

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._/-]{1,64}$", examples=["desk/eurusd"])]
Key = Annotated[str, Meta(max_length=MAX_NAME)]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class TopicPath(Struct):
    """The topic in the path."""

    topic: Name


class TopicQuery(Struct):
    """
    Asks for messages.

    Attributes:
        epoch: of `after`; another one than the present asks for all that there are.
        after: the number behind which they are; absent = the retained values.
        wait: seconds to wait for the first one.
    """

    topic: Name
    epoch: str | None = None
    after: Number | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_MESSAGES)] = MAX_MESSAGES
    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT)] = 0


class NewMessage(Struct):
    """A message to send; the fields are those of SEND."""

    data: Annotated[str, Meta(examples=["EURUSD above 1.10"])]
    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = ""
    key: Key = ""
    retain: bool = False
    to: str = ""

    def meant(self, topic: str) -> Send:
        """Return the SEND that it stands for."""
        return Send(topic, self.data, self.id, self.key, self.retain, self.to)


class SentMessage(Struct):
    """
    The answer to a message.

    Attributes:
        receivers: members of sessions to whom it goes.
    """

    seq: int
    receivers: int
    id: str = ""


class TopicMessage(Struct, omit_defaults=True):
    """A message; `seq` 0 = a retained value of an earlier epoch."""

    seq: int
    sender: str = field(name="from")
    data: str
    time: int
    key: str = ""


class TopicMessages(Struct):
    """
    Messages, oldest first.

    Attributes:
        seq: up to where this answer is complete; the number to ask with next.
        last: of the last message of the topic.
        oldest: of the first one that can still be had.
    """

    epoch: str
    seq: int
    last: int
    oldest: int
    messages: list[TopicMessage]


class TopicResources:
    """Takes messages, and tells them."""

    def __init__(self, topics: TopicService) -> None:
        self._topics = topics

    def post(
        self, request: HttpRequest, asked: TopicPath, body: NewMessage
    ) -> "Deferred[SentMessage]":
        """Send a message."""
        given = body.meant(asked.topic)
        wire.check_addressee(given)
        wire.check_size(given.data, escaped=False)
        done = self._topics.send(given, _member(request))
        return done.addCallbacks(_answer, refuse_disk, errbackArgs=(NOT_STORED,))

    def get(
        self, request: HttpRequest, asked: TopicQuery
    ) -> "TopicMessages | Deferred[TopicMessages]":
        """Return messages, at once or with the first that comes."""
        member = _member(request)
        answer = partial(self._answer, asked, member)
        found = answer()
        is_news = found.messages or found.seq < found.last or asked.epoch not in (None, found.epoch)
        if asked.after is None or not asked.wait or is_news:
            return found
        subscribe = partial(self._topics.observe, asked.topic, member)
        return request.wait(asked.wait, answer, subscribe)

    def _answer(self, asked: TopicQuery, member: str) -> TopicMessages:
        epoch, topic = self._topics.epoch, self._topics.book.topics.get(asked.topic)
        if topic is None:
            seq = self._topics.book.seq(asked.topic)
            return TopicMessages(epoch, seq, seq, seq + 1, [])
        known = self._topics.known(topic, asked.epoch, asked.after)
        if known is None:
            rows = [_row(each) for each in topic.values.values()]
            return TopicMessages(epoch, topic.seq, topic.seq, topic.oldest, rows)
        page = topic.after(known, asked.limit)
        seq = page[-1].seq if page else topic.seq
        rows = [_row(each) for each in page if each.is_for(member)]
        return TopicMessages(epoch, seq, topic.seq, topic.oldest, rows)


def _member(request: HttpRequest) -> str:
    return request.peer.host if request.identity is None else request.identity.name


def _row(post: Post) -> TopicMessage:
    return TopicMessage(
        seq=post.seq, sender=post.sender, data=post.data, time=post.time, key=post.key
    )


def _answer(sent: Sent) -> SentMessage:
    return SentMessage(sent.seq, sent.receivers, sent.id)


def topic_routes(topics: TopicService) -> list[Route]:
    """Return the routes of topics."""
    resources = TopicResources(topics)
    return [
        Route(
            method="GET",
            path="/v1/topics/{topic}",
            handler=resources.get,
            summary="The retained values of a topic, or its messages behind a number.",
            params=TopicQuery,
            right="follow:topics/{topic}",
            answers={200: TopicMessages},
        ),
        Route(
            method="POST",
            path="/v1/topics/{topic}",
            handler=resources.post,
            summary="Send a message; a retained value is on disk when this is answered.",
            params=TopicPath,
            body=NewMessage,
            right="publish:topics/{topic}",
            answers={200: SentMessage},
        ),
    ]
