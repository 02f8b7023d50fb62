"""
Membership: one JOIN of a session, and the index of all.

A member is sent the retained values, then the messages that it asked for by `after` and those that
come meanwhile, as it reads them; then it is in the broadcast.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from mtnet.net.output.fanout import TopicFanout
from mtnet.net.output.queue import SendQueue
from mtnet.services.topics import wire
from mtnet.services.topics.book import Topic
from mtnet.services.topics.wire import Post, covering, covers, is_pattern

PAGE = 8
"""Messages that are written at once before the member must have read: at most 64 kB."""


class Membership:
    """
    One JOIN of a session; another JOIN of the same name is another one.

    Args:
        too_late: called when the member reads so slowly that messages are gone.

    Attributes:
        name: of the topic, or a pattern.
        member: the login of the client; without one, its address.
        presence: whether it is told which members come and go.
        behind: topics in whose broadcast it is not yet, with the last message that it was sent.
    """

    log = Logger()

    def __init__(
        self, asked: wire.Join, member: str, queue: SendQueue, too_late: Callable[[], None]
    ) -> None:
        self.name, self.member, self.presence = asked.topic, member, asked.presence
        self.queue, self._too_late = queue, too_late
        self.behind: dict[Topic, int] = {}
        self._attached: dict[str, None] = {}
        self._running: Deferred[bool] | None = None

    def start(self, values: Iterable[Post], fanout: TopicFanout) -> None:
        """Send retained values, and what it is behind; then be in the broadcast."""
        running: Deferred[Any] = Deferred.fromCoroutine(self._catch_up(values, fanout))
        self._running = running
        running.addCallbacks(self._caught_up, lambda failure: failure.trap(CancelledError))
        running.addErrback(lambda failure: self.log.failure("A member is not caught up.", failure))

    def attach(self, topic: str, fanout: TopicFanout) -> None:
        """Be in the broadcast of a topic."""
        self._attached[topic] = None
        fanout.attach(topic, self)

    def stop(self, fanout: TopicFanout) -> None:
        """Send nothing more."""
        if self._running is not None:
            self._running.cancel()
        self.behind.clear()
        for topic in self._attached:
            fanout.detach(topic, self)

    async def _catch_up(self, values: Iterable[Post], fanout: TopicFanout) -> bool:
        """Return whether the member has read so fast that nothing was gone."""
        for page in _pages(values):
            await self.queue.when_empty()
            self.queue.send(b"".join(wire.message(each, retained=True) for each in page))
        while self.behind:
            topic, seq = next(iter(self.behind.items()))
            if seq + 1 < topic.oldest:
                return False
            page = topic.after(seq, PAGE)
            if page:
                await self._send(page)
                self.behind[topic] = page[-1].seq
            else:
                del self.behind[topic]
                self.attach(topic.name, fanout)
        return True

    def _caught_up(self, in_time: bool) -> None:
        if not in_time:
            self._too_late()

    async def _send(self, page: "list[Post]") -> None:
        await self.queue.when_empty()
        own = [post for post in page if post.is_for(self.member)]
        if own:
            self.queue.send(b"".join(map(wire.message, own)))


class MembershipIndex:
    """All memberships, by name."""

    def __init__(self) -> None:
        self._joined: dict[str, dict[Membership, None]] = {}
        self._present: dict[str, Counter[str]] = {}
        self._watching: dict[str, dict[Membership, None]] = {}
        self.count = 0

    def add(self, membership: Membership) -> list[tuple[str, Membership]]:
        """Add one; return the topics to which its member has come, each with a watcher."""
        watchers = self._concerned(membership)
        name = membership.name
        self._joined.setdefault(name, {})[membership] = None
        self._present.setdefault(name, Counter())[membership.member] += 1
        if membership.presence:
            self._watching.setdefault(name, {})[membership] = None
        self.count += 1
        return watchers

    def discard(self, membership: Membership) -> list[tuple[str, Membership]]:
        """Remove one; return the topics that its member has left, each with a watcher."""
        name, member = membership.name, membership.member
        del self._joined[name][membership]
        self._present[name][member] -= 1
        if not self._present[name][member]:
            del self._present[name][member]
        if membership.presence:
            del self._watching[name][membership]
        for index in (self._joined, self._present, self._watching):
            if not index.get(name, True):
                del index[name]
        self.count -= 1
        return self._concerned(membership)

    def of(self, name: str) -> Iterator[Membership]:
        """Yield those who are sent everything of a topic or a pattern."""
        for each in covering(name):
            yield from self._joined.get(each, ())

    def receivers(self, topic: str) -> int:
        """Return how many these are."""
        return sum(len(self._joined.get(each, ())) for each in covering(topic))

    def members(self, name: str) -> list[str]:
        """Return their names, each once."""
        found: dict[str, None] = {}
        for each in covering(name):
            found.update(dict.fromkeys(self._present.get(each, ())))
        return list(found)

    def named(self, topic: str, member: str) -> list[Membership]:
        """Return those of one member."""
        if not self._is_present(topic, member):
            return []
        return [each for each in self.of(topic) if each.member == member]

    def _is_present(self, name: str, member: str) -> bool:
        return any(member in self._present.get(each, ()) for each in covering(name))

    def _concerned(self, membership: Membership) -> list[tuple[str, Membership]]:
        """Return who watches a topic in which the member of this one is not present."""
        name, member = membership.name, membership.member
        watched = [name] if name in self._watching else []
        if is_pattern(name):
            watched = [each for each in self._watching if covers(name, each)]
        return [
            (topic, watcher)
            for topic in watched
            if not self._is_present(topic, member)
            for watcher in self._watching[topic]
        ]


def _pages(posts: Iterable[Post]) -> Iterator[list[Post]]:
    rest = iter(posts)
    while page := list(islice(rest, PAGE)):
        yield page
