"""The verbs of topics in a session: JOIN, LEAVE, MEMBERS and SEND."""

from mtnet.errors import PolicyError, WireError
from mtnet.services.topics import wire
from mtnet.services.topics.membership import Membership
from mtnet.services.topics.service import TopicService
from mtnet.services.topics.wire import Join, Leave, Members, Send, covers
from mtnet.session import messages
from mtnet.session.handler import LateAnswers, SessionHandler, SessionVerbs, demand
from mtnet.session.session import Session

SERVICE = "topics"
FOLLOW, PUBLISH = "follow", "publish"
NOT_STORED = "The members were sent the message, but the disk does not take it at present"


class TopicClient(SessionHandler):
    """The verbs of topics in one session."""

    __slots__ = ("_answers", "_joined", "_session", "_topics")

    def __init__(self, session: Session, topics: TopicService) -> None:
        self._session, self._topics = session, topics
        self._joined: dict[str, Membership] = {}
        self._answers = LateAnswers(session, NOT_STORED)

    def busy(self) -> bool:
        return bool(self._answers.waiting or self._joined)

    def join(self, asked: Join) -> None:
        """JOIN: send the retained values, what the client misses, and what comes."""
        demand(self._session, FOLLOW, SERVICE, asked.topic)
        self._check_overlap(asked.topic)
        self._leave(asked.topic)
        session = self._session
        membership = Membership(asked, self._member, session.queue, self._too_late)
        self._joined[asked.topic] = membership
        session.send(wire.joined(self._topics.join(membership, asked)))
        self._topics.begin(membership, asked)

    def leave(self, asked: Leave) -> None:
        """LEAVE: send nothing more of a topic or a pattern."""
        self._leave(asked.topic)
        self._session.send(wire.left(asked.topic))
        self._session.check_finished()

    def members(self, asked: Members) -> None:
        """MEMBERS: name those who are sent the messages of a topic."""
        demand(self._session, FOLLOW, SERVICE, asked.topic)
        found = self._topics.index.members(asked.topic)
        frames = [wire.member(asked.topic, each) for each in found]
        self._session.send(wire.member_count(asked.topic, len(found)) + b"".join(frames))

    def send(self, asked: Send) -> None:
        """SEND: send a message, and answer once a retained value is on disk."""
        demand(self._session, PUBLISH, SERVICE, asked.topic)
        wire.check_size(asked.data, escaped=self._session.queue.encoder is None)
        done = self._topics.send(asked, self._member).addCallback(wire.sent)
        self._answers.expect(done, "SEND", asked.id)

    @property
    def _member(self) -> str:
        return self._session.login or self._session.address

    def _check_overlap(self, name: str) -> None:
        """
        Check that no message would be sent twice.

        Raises:
            WireError: `field`.
            PolicyError: `denied`; the client has joined too much.
        """
        for other in self._joined:
            if other != name and (covers(other, name) or covers(name, other)):
                text = f"In JOIN topic is apart from {other}, which is joined: LEAVE that, or not"
                raise WireError("field", text, name.encode())
        most = self._topics.settings.max_joined
        if name not in self._joined and len(self._joined) >= most:
            text = f"A session joins {most} names, as topics.max_joined allows"
            raise PolicyError("denied", text)

    def _leave(self, name: str) -> None:
        membership = self._joined.pop(name, None)
        if membership is not None:
            self._topics.leave(membership)

    def end(self) -> None:
        """End what goes on."""
        for name in list(self._joined):
            self._leave(name)

    def _too_late(self) -> None:
        text = "Messages are gone that were not read yet; reconnect, and JOIN again"
        self._session.close_with(messages.error("slow", text), "slow")


def topic_verbs(topics: TopicService) -> SessionVerbs:
    """Return the verbs of topics."""
    return SessionVerbs(
        SERVICE,
        (FOLLOW, PUBLISH),
        wire.REQUESTS,
        {
            "JOIN": TopicClient.join,
            "LEAVE": TopicClient.leave,
            "MEMBERS": TopicClient.members,
            "SEND": TopicClient.send,
        },
        lambda session: TopicClient(session, topics),
    )
