"""Who publishes in which channel, now."""

from collections.abc import Callable
from typing import Protocol

from mtnet.errors import WireError


class Producer(Protocol):
    """What is paused while the disk is behind."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class Publisher:
    """
    One connection that sets positions.

    Attributes:
        name: who it is, for the log.
        number: rises with each publisher; the newest takes over.
        producer: what is paused while the disk is behind.
        refuse: is told what became of a published frame that is not stored.
        fence: is told the channel in which a newer publisher has taken over.
        last: the count of the last draft taken from it.
        fenced: channels that a newer publisher of dialect 2 took from it.
    """

    def __init__(
        self,
        name: str,
        number: int,
        producer: Producer,
        refuse: Callable[[WireError], object],
        fence: Callable[[str], object],
    ) -> None:
        self.name, self.number, self.producer = name, number, producer
        self.refuse, self.fence = refuse, fence
        self.last = 0
        self.fenced: set[str] = set()
        self.gone = False


class Providers:
    """
    Args:
        now: milliseconds since the Unix epoch, UTC.
        tell: is told (channel, up, since) whenever a channel gets its first publisher or loses
            its last one.
    """

    def __init__(self, now: Callable[[], int], tell: Callable[[str, bool, int], object]) -> None:
        self._now, self._tell = now, tell
        self._owners: dict[str, Publisher] = {}
        self._live: dict[str, dict[Publisher, None]] = {}
        self._since: dict[str, int] = {}
        self._began = now()

    def owner(self, channel: str) -> Publisher | None:
        """Return the publisher of dialect 2 that a channel has, if it has one."""
        return self._owners.get(channel)

    def owners(self) -> dict[str, int]:
        """Return the numbers of those publishers, by channel."""
        return {channel: publisher.number for channel, publisher in self._owners.items()}

    def status(self, channel: str) -> tuple[bool, int]:
        """Say whether a channel has a publisher, and since when, in milliseconds."""
        return bool(self._live.get(channel)), self._since.get(channel, self._began)

    def names(self, channel: str) -> list[str]:
        """Name the publishers of a channel."""
        return [publisher.name for publisher in self._live.get(channel, ())]

    def joined(self, channel: str, publisher: Publisher) -> None:
        """Take note of one who sets positions in a channel."""
        live = self._live.setdefault(channel, {})
        if publisher.gone or publisher in live:
            return
        live[publisher] = None
        if len(live) == 1:
            self._turn(channel, True)

    def own(self, channel: str, publisher: Publisher) -> None:
        """
        Make one who speaks dialect 2 the publisher of a channel; the one before is fenced, even
        by one who is gone by now: the disk's delay decides nothing.
        """
        before = self._owners.pop(channel, None)
        if not publisher.gone:
            self._owners[channel] = publisher
            self.joined(channel, publisher)
        if before is not None and before is not publisher:
            before.fenced.add(channel)
            self._part(channel, before)
            before.fence(channel)

    def leave(self, publisher: Publisher) -> None:
        """Forget one that is gone."""
        publisher.gone = True
        for channel in [name for name, owner in self._owners.items() if owner is publisher]:
            del self._owners[channel]
        for channel in self._live:
            self._part(channel, publisher)

    def _part(self, channel: str, publisher: Publisher) -> None:
        live = self._live[channel]
        if publisher in live:
            del live[publisher]
            if not live:
                self._turn(channel, False)

    def _turn(self, channel: str, up: bool) -> None:
        self._since[channel] = self._now()
        self._tell(channel, up, self._since[channel])
