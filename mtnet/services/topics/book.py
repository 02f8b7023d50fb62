"""
The topics: their last messages, and their retained values.

Pure: methods take the time.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import islice

from mtnet.errors import PolicyError
from mtnet.services.topics.settings import TopicSettings
from mtnet.services.topics.wire import Post, Send, covers


class Topic:
    """
    One topic.

    Attributes:
        seq: of its last message; never lower in this epoch than a number that was given.
        history: its last messages, without a hole between their numbers.
        values: the retained ones, by key.
        size: characters of data in the history.
    """

    def __init__(self, name: str, seq: int) -> None:
        self.name, self.seq, self.size = name, seq, 0
        self.history: deque[Post] = deque()
        self.values: dict[str, Post] = {}

    @property
    def oldest(self) -> int:
        """The number of the first message that is still there."""
        return self.history[0].seq if self.history else self.seq + 1

    def after(self, seq: int, limit: int) -> list[Post]:
        """Return at most so many messages behind a number, oldest first."""
        start = max(0, seq + 1 - self.oldest)
        return list(islice(self.history, start, start + limit))

    def add(self, post: Post) -> None:
        """Add a message, whose number is the next one."""
        self.seq = post.seq
        self.history.append(post)
        self.size += len(post.data)

    def forget_oldest(self) -> int:
        """Drop the oldest message; return the characters of its data."""
        size = len(self.history.popleft().data)
        self.size -= size
        return size


class TopicBook:
    """
    All topics.

    Attributes:
        topics: by name, the one that was silent for longest first.
        retained: how many values there are.
    """

    def __init__(self, settings: TopicSettings) -> None:
        self._settings = settings
        self.topics: OrderedDict[str, Topic] = OrderedDict()
        self.retained = 0
        self._size = self._floor = 0

    def load(self, values: Iterable[Post]) -> None:
        """Take the values of earlier epochs."""
        for post in values:
            topic = self.topics.setdefault(post.topic, Topic(post.topic, 0))
            topic.values[post.key] = post
            self.retained += 1

    def seq(self, name: str) -> int:
        """Return the number of the last message of a topic, or one that it has surpassed."""
        topic = self.topics.get(name)
        return self._floor if topic is None else topic.seq

    def find(self, name: str) -> list[Topic]:
        """Return the topics of a name: one, or those of a pattern."""
        if name in self.topics:
            return [self.topics[name]]
        return [each for each in self.topics.values() if covers(name, each.name)]

    def check(self, asked: Send, in_use: Callable[[str], bool]) -> None:
        """
        Make room for a message.

        Args:
            in_use: returns whether anybody has joined a topic.

        Raises:
            PolicyError: `denied`; there are too many topics or retained values.
        """
        topic = self.topics.get(asked.topic)
        is_new = topic is None or asked.key not in topic.values
        if asked.retain and asked.data and is_new:
            self._check_room(0 if topic is None else len(topic.values))
        if topic is None and len(self.topics) >= self._settings.max_topics:
            self._make_room(in_use)

    def add(self, asked: Send, sender: str, when: int) -> Post:
        """Number a message, and keep it; `check` was called."""
        topic = self.topics.get(asked.topic)
        if topic is None:
            topic = self.topics[asked.topic] = Topic(asked.topic, self._floor)
        post = self.number(asked, sender, when)
        topic.add(post)
        self._size += len(post.data)
        self.topics.move_to_end(topic.name)
        if asked.retain:
            self._retain(topic, post)
        self._trim(topic)
        return post

    def number(self, asked: Send, sender: str, when: int) -> Post:
        """Return the message that a SEND would make now."""
        seq = self.seq(asked.topic) + 1
        return Post(asked.topic, seq, sender, asked.data, when, asked.key, asked.to)

    def expire(self, before: int) -> list[Post]:
        """Remove and return the values that were set before a time."""
        old = [
            post
            for topic in self.topics.values()
            for post in topic.values.values()
            if post.time < before
        ]
        for post in old:
            del self.topics[post.topic].values[post.key]
        self.retained -= len(old)
        return old

    def _check_room(self, values: int) -> None:
        """Check that one more value is retained, of a topic that has so many."""
        if self.retained >= self._settings.retained:
            most = f"{self._settings.retained} values are retained, as topics.retained allows"
        elif values >= self._settings.max_values:
            most = f"The topic retains {values} values, as topics.max_values allows"
        else:
            return
        raise PolicyError("denied", f"{most}: remove one by SEND with empty data and retain=1")

    def _retain(self, topic: Topic, post: Post) -> None:
        before = topic.values.pop(post.key, None)
        if post.data:
            topic.values[post.key] = post
        self.retained += bool(post.data) - (before is not None)

    def _trim(self, topic: Topic) -> None:
        while len(topic.history) > self._settings.history:
            self._size -= topic.forget_oldest()
        while self._size > self._settings.memory:
            silent = next(each for each in self.topics.values() if each.history)
            self._size -= silent.forget_oldest()

    def _make_room(self, in_use: Callable[[str], bool]) -> None:
        for topic in self.topics.values():
            if not topic.values and not in_use(topic.name):
                del self.topics[topic.name]
                self._size -= topic.size
                self._floor = max(self._floor, topic.seq)
                return
        most = f"There are {self._settings.max_topics} topics, as topics.max_topics allows"
        raise PolicyError("denied", f"{most}, and each is in use")
