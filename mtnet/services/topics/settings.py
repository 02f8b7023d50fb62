"""The section `[topics]`."""

from mtnet.config.schema import Count, Positive, Section, Whole
from mtnet.durations import DAY


class TopicSettings(Section, frozen=True):
    """`[topics]`."""

    enabled: bool = False
    """Whether clients can use topics; while they are off, their verbs are unknown."""
    retained: Count = 10_000
    """Values that are kept on disk and in memory, each at most 6,000 bytes; more are refused."""
    max_values: Count = 1_000
    """Retained values of one topic: each client that joins is sent all of them, and one answer by
    HTTP has them, 6 MB at most."""
    keep: Positive = 30.0 * DAY
    """Seconds after which a retained value is removed that nobody has set again."""
    history: Whole = 1_000
    """Last messages of each topic that can be had again, from memory."""
    memory: Count = 67_108_864
    """Characters of data in the history of all topics; above it the topic that was silent for
    longest loses its oldest messages first."""
    max_topics: Count = 10_000
    """Topics at once; one that nobody has joined makes room, if it has no retained value."""
    max_joined: Count = 1_000
    """Topics and patterns that one session can have joined."""
