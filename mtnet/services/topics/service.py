"""The service: who has joined what, and what is sent to them."""

from collections.abc import Callable, Iterable
from secrets import token_hex

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.callbacks import Observers
from mtnet.errors import JournalError
from mtnet.net.output.fanout import TopicFanout
from mtnet.services.topics import wire
from mtnet.services.topics.book import Topic, TopicBook
from mtnet.services.topics.membership import Membership, MembershipIndex
from mtnet.services.topics.settings import TopicSettings
from mtnet.services.topics.store import Change
from mtnet.services.topics.wire import Join, Joined, Post, Send, Sent
from mtnet.storage.group_commit import GroupCommit

Observer = Callable[[], object]


class TopicService:
    """
    Publish-subscribe broker: messages from clients to all who have joined their topic.

    Args:
        now: milliseconds since the Unix epoch, UTC.

    Attributes:
        settings: `[topics]`.
        epoch: names the numbers of messages; another one at each start.
        sent: messages that were taken.
    """

    log = Logger()

    def __init__(
        self,
        settings: TopicSettings,
        writer: GroupCommit[Change, None],
        clock: IReactorTime,
        now: Callable[[], int],
    ) -> None:
        self.settings, self._writer, self._now = settings, writer, now
        self.epoch, self.sent = token_hex(8), 0
        self.book, self.fanout = TopicBook(settings), TopicFanout(clock)
        self.index = MembershipIndex()
        self._observers = Observers[str]()

    def close(self) -> "Deferred[None]":
        """Send nothing more, and store what was taken."""
        self.fanout.close()
        return self._writer.close()

    def join(self, membership: Membership, asked: Join) -> Joined:
        """
        Add a membership, and send everybody who watches that its member has come.

        The caller sends the answer, and calls `begin`.
        """
        for topic in self.book.find(asked.topic):
            membership.behind[topic] = topic.seq
        self._announce(self.index.add(membership), membership.member, True)
        members = len(self.index.members(asked.topic))
        if wire.is_pattern(asked.topic):
            return Joined(asked.topic, self.epoch, members, 0)
        found = self.book.topics.get(asked.topic)
        seq = self.book.seq(asked.topic)
        oldest = seq + 1 if found is None else found.oldest
        return Joined(asked.topic, self.epoch, members, seq, oldest)

    def begin(self, membership: Membership, asked: Join) -> None:
        """Send the retained values, what the client misses, and then what comes."""
        values: list[Post] = []
        for topic in membership.behind:
            known = self.known(topic, asked.epoch, asked.after)
            values += self.values(topic, known)
            if known is not None:
                membership.behind[topic] = max(known, topic.oldest - 1)
        membership.start(values, self.fanout)

    def leave(self, membership: Membership) -> None:
        """End a membership."""
        membership.stop(self.fanout)
        self._announce(self.index.discard(membership), membership.member, False)

    def known(self, topic: Topic, epoch: str | None, after: int | None) -> int | None:
        """Return the last message that a client knows, 0 = none; None = it asks for none."""
        if after is None:
            return None
        return after if epoch in (None, self.epoch) and after <= topic.seq else 0

    def values(self, topic: Topic, known: int | None) -> list[Post]:
        """Return the retained values, without those that the client knows or gets by `after`."""
        return [
            each
            for each in topic.values.values()
            if known is None or not each.seq or known < each.seq < topic.oldest
        ]

    def send(self, asked: Send, sender: str) -> "Deferred[Sent]":
        """
        Send a message to the members.

        Returns:
            A Deferred with the answer; a retained value is on disk then. It fails with
            `JournalError` when it is not, though the members were sent it.

        Raises:
            WireError: it is refused, and nobody is sent it.
        """
        wire.message(self.book.number(asked, sender, self._now()))
        self.book.check(asked, lambda name: any(True for _ in self.index.of(name)))
        is_new = asked.topic not in self.book.topics
        post = self.book.add(asked, sender, self._now())
        if is_new:
            self._attach_all(post.topic)
        receivers = self._deliver(post)
        self.sent += 1
        answer = Sent(post.topic, asked.id, post.seq, receivers)
        if not asked.retain:
            return succeed(answer)
        done = self._writer.put(((post.topic, post.key), post if post.data else None))
        return done.addCallback(lambda _: answer)

    def observe(self, topic: str, member: str, observer: Observer) -> Callable[[], None]:
        """Call `observer()` for each message of a topic to a member; return what undoes it."""

        def observed(post: Post) -> None:
            if post.is_for(member):
                observer()

        return self._observers.add(topic, observed)

    def expire(self) -> None:
        """Remove the values that are older than `topics.keep`."""
        for post in self.book.expire(self._now() - int(self.settings.keep * 1_000)):
            self._writer.put(((post.topic, post.key), None)).addErrback(self._kept)

    def usage(self) -> dict[str, object]:
        """Return how much there is, for `mtnet status`."""
        return {
            "topics": len(self.book.topics),
            "memberships": self.index.count,
            "retained": self.book.retained,
            "messages": self.sent,
        }

    def rows(self) -> list[dict[str, object]]:
        """Return one row of JSON values for each topic, sorted by name."""
        return [
            {
                "topic": name,
                "members": len(self.index.members(name)),
                "seq": topic.seq,
                "history": len(topic.history),
                "retained": len(topic.values),
            }
            for name, topic in sorted(self.book.topics.items())
        ]

    def _attach_all(self, topic: str) -> None:
        for each in self.index.of(topic):
            each.attach(topic, self.fanout)

    def _deliver(self, post: Post) -> int:
        frame = wire.message(post)
        if post.to:
            found = self.index.named(post.topic, post.to)
            receivers = len(found)
            self.fanout.send_to(post.topic, found, frame)
        else:
            receivers = self.index.receivers(post.topic)
            self.fanout.send(post.topic, frame, post.seq)
        self._observers.call(post.topic, post)
        return receivers

    def _announce(
        self, watchers: Iterable[tuple[str, Membership]], member: str, present: bool
    ) -> None:
        for topic, watcher in watchers:
            watcher.queue.send(wire.member(topic, member, present))

    def _kept(self, failure: Failure) -> None:
        failure.trap(JournalError)
        self.log.warn("A retained value is not removed: {why}", why=failure.getErrorMessage())
