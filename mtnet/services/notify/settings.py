"""The section `[notify]`."""

from typing import Annotated

from msgspec import Meta, field

from mtnet.config.schema import Count, NamedTables, Positive, Section
from mtnet.durations import DAY

Urls = Annotated[tuple[str, ...], Meta(min_length=1)]


class Target(Section, frozen=True):
    """`[notify.NAME]`: people who get messages together."""

    urls: Urls
    """Addresses in the form of apprise, such as `ntfy://ntfy.sh/my-topic`; each is a receiver."""


class NotifySettings(NamedTables, frozen=True):
    """`[notify]`."""

    tables: dict[str, Target] = field(default_factory=dict)
    title: str = "mtnet"
    """The title of every message; one name for each machine helps who has several."""
    rate: Count = 20
    """Messages to one name in a minute; more are counted, and the next message says how many."""
    sender_rate: Count = 5
    """Messages of one login in a minute, or of one network without a login, by NOTIFY: a program
    in a loop must not drown alerts."""
    retry: Positive = 5.0
    """Seconds after a receiver took nothing; each further attempt waits twice as long."""
    max_retry: Positive = 600.0
    """Most seconds between two attempts."""
    max_waiting: Count = 10_000
    """Messages that wait for one receiver: eight hours at full rate. More are counted."""
    keep: Positive = 7 * DAY
    """Age in seconds at which a message that no receiver took is given up, and counted."""
    overdue: Positive = 300.0
    """Age in seconds of a waiting message at which the health has a warning."""
