"""
One topic, or the topics of a pattern: messages over lost connections, and messages to send.

Pure.
"""

from collections.abc import Iterator

from msgspec import Struct

from mtnet.client.core.events import Connected
from mtnet.client.core.login import Login
from mtnet.client.core.tasks.task import SessionEvent, Task, TaskCore, checked
from mtnet.services.topics.wire import ANSWERS, Joined, Member, Post, Sent, is_pattern, request


class Missed(Struct, frozen=True):
    """Messages that the server does not have any more; or it has started, and numbers anew."""

    text: str


TopicNews = Post | Member | Sent | Missed
TopicEvent = TopicNews | SessionEvent


class Listening:
    """
    JOIN, and after a lost connection what was missed.

    Args:
        after: the last message that is known; None = none is asked for that was sent before.
        presence: whether members that come and go are events.

    Raises:
        ClientError: there is no such topic.
    """

    def __init__(self, topic: str, after: int | None = None, presence: bool = False) -> None:
        self._topic, self._after, self._presence = topic, after, presence
        self._epoch: str | None = None
        self.request()

    def request(self) -> bytes:
        """Return JOIN."""
        return checked(
            request,
            "JOIN",
            topic=self._topic,
            after=self._after,
            epoch=None if self._after is None else self._epoch,
            presence=int(self._presence) or None,
        )

    def take(self, answer: object) -> Iterator[TopicEvent]:
        """Yield messages, members and what is missing."""
        if isinstance(answer, Joined):
            yield Connected()
            yield from self._joined(answer)
        elif isinstance(answer, Post):
            if not answer.retained and not is_pattern(self._topic):
                self._after = answer.seq
            yield answer
        elif isinstance(answer, Member):
            yield answer

    def _joined(self, answer: Joined) -> Iterator[TopicEvent]:
        if self._epoch not in (None, answer.epoch):
            yield Missed("The server has started anew: messages may be missing.")
        elif self._after is not None and self._after + 1 < answer.oldest:
            lost = answer.oldest - self._after - 1
            yield Missed(f"{lost} messages are missing: the server does not have them any more.")
        self._epoch = answer.epoch
        if self._after is None and not is_pattern(self._topic):
            self._after = answer.seq


class Sending:
    """
    SEND of one message.

    Raises:
        ClientError: it cannot be sent.
    """

    def __init__(
        self, topic: str, data: str, key: str = "", retain: bool = False, to: str = ""
    ) -> None:
        self._frame = checked(
            request,
            "SEND",
            topic=topic,
            data=data,
            key=key or None,
            retain=int(retain) or None,
            to=to or None,
        )

    def request(self) -> bytes:
        """Return SEND."""
        return self._frame

    def take(self, answer: object) -> Iterator[TopicEvent]:
        """Yield the answer."""
        if isinstance(answer, Sent):
            yield answer


class TopicCore(TaskCore[TopicNews]):
    """
    Client state machine of topics.

    Args:
        login: sent only over TLS or within this machine.
    """

    def __init__(self, task: Task[TopicNews], login: Login | None) -> None:
        super().__init__("topics", ANSWERS, task, login)
