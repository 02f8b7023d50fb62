"""
Ownership: who holds each channel, who owns each symbol, and frames to judge again.

A publisher of dialect 2 holds a channel as a whole. Each classic publisher owns the symbols that
it set, and the newest takes a symbol over: two masters that both live would otherwise move every
follower's position back and forth. No Twisted, no clock: `when` is monotonic seconds.
"""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from mtnet.callbacks import noop
from mtnet.errors import WireError
from mtnet.services.signals.ownership.presence import Presence
from mtnet.services.signals.ownership.publishers import (
    BEFORE,
    UNIDENTIFIED,
    Producer,
    Publisher,
    PublisherId,
    Refusal,
    SymbolKey,
)

KEPT = 60.0
"""Seconds for which the symbols of a classic publisher are reserved for its address after it was
closed to make it resend its state: classic programs reconnect within that."""
REFUSED = 1_000
"""Symbols of a classic publisher whose refused frames are kept; it sends its whole state
again anyway when the reason of one of them ends."""


class Ownership:
    """
    Args:
        now: milliseconds since the Unix epoch, UTC.

    Attributes:
        presence: who is there.
        holders: by channel, the publisher of dialect 2 that holds it; it may be gone for a while.
        live: how many publishers there are.
        held: by channel, who holds it; another mapping whenever that changes.
        fenced: called with a channel, the publisher that has lost it, and who took it.
        may_retry: whether a reason of a refusal may have ended since `pop_retryable`.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self.fenced: Callable[[str, Publisher, Publisher], object] = noop
        self._last = self.live = 0
        self.holders: dict[str, Publisher] = {}
        self.held: Mapping[str, PublisherId] = {}
        self.presence = Presence(now)
        self._lingering: dict[str, float] = {}
        self._owners: dict[SymbolKey, Publisher] = {}
        self._kept: dict[SymbolKey, tuple[str, float]] = {}
        self._with_refusals: dict[Publisher, None] = {}
        self.may_retry = False

    def join(
        self,
        name: str,
        producer: Producer | None = None,
        refuse: Callable[[WireError], object] = noop,
        fence: Callable[[str], object] = noop,
        close: Callable[[str], object] = noop,
        who: PublisherId = UNIDENTIFIED,
        address: str = "",
    ) -> Publisher:
        """
        Return a new publisher, newer than all before it.

        Args:
            producer: what is paused while the disk is behind; None = it waits for its answer.
            refuse: called with the reason when a classic frame is not stored.
            fence: called with the channel that a newer publisher has taken over.
            close: called with the reason when the connection is to be closed.
            who: login and name, of dialect 2 or by HTTP.
            address: where it comes from.
        """
        self._last += 1
        self.live += 1
        return Publisher(name, self._last, producer, refuse, fence, close, who, address)

    def restore(self, held: Mapping[str, PublisherId], when: float) -> None:
        """Restore the holders from before a restart, as publishers gone without BYE."""
        for channel, who in held.items():
            former = Publisher("a publisher of before the start", BEFORE, who=who)
            former.gone, former.lingers = True, when + who.lingers
            self._hold(channel, former)
            self.presence.restore(channel, former)
        self.held = held

    def leave(self, publisher: Publisher, when: float, bye: bool) -> None:
        """
        Remove a publisher that is gone; its positions stay.

        Args:
            bye: whether it sent BYE; else its channels are reserved for a while.
        """
        if publisher.gone:
            return
        publisher.gone = True
        publisher.lingers = 0.0 if bye else when + publisher.who.lingers
        self.live -= 1
        self._with_refusals.pop(publisher, None)
        for channel in [name for name, each in self.holders.items() if each is publisher]:
            self._hold(channel, publisher)
        for key in [key for key, owner in self._owners.items() if owner is publisher]:
            del self._owners[key]
            if publisher.ending:
                self._kept[key] = publisher.address, when + KEPT
        for channel, attendance in self.presence.channels.items():
            attendance.fenced.pop(publisher, None)
            self.presence.part(channel, publisher)

    # Rights

    def is_taken(self, publisher: Publisher, key: SymbolKey, when: float) -> bool:
        """Return whether a symbol belongs to a newer classic publisher, or is reserved for one."""
        owner, kept = self._owners.get(key), self._kept.get(key)
        if owner is not None and owner.ending:
            return owner.address != publisher.address
        if owner is not None:
            return owner.number > publisher.number
        return kept is not None and kept[1] > when and kept[0] != publisher.address

    # What was stored

    def claim(self, publisher: Publisher, key: SymbolKey) -> None:
        """Note the owner of a symbol: its classic frame is stored, or repeats what is stored."""
        known = self._owners.get(key) is publisher and key not in self._kept
        if (
            known
            and not publisher.refused
            and publisher in self.presence.channels[key.channel].present
        ):
            return
        publisher.refused.pop(key, None)
        kept, owner = self._kept.pop(key, None), self._owners.get(key)
        self.may_retry = self.may_retry or kept is not None or owner is not publisher
        if not publisher.gone and (owner is None or owner.number <= publisher.number):
            self._owners[key] = publisher
        self.presence.join(key.channel, publisher)

    def take(self, publisher: Publisher, channel: str) -> None:
        """
        A publisher of dialect 2 takes a channel; the one before is fenced, even by one who is
        gone by now: the disk's delay decides nothing.
        """
        before = self.holders.get(channel)
        if before is publisher and publisher in self.presence.channels[channel].present:
            return
        self._hold(channel, publisher)
        self.presence.join(channel, publisher)
        if before is not None and before is not publisher:
            before.fenced.add(channel)
            self.presence.part(channel, before)
            if not before.gone:
                self.presence.channels[channel].fenced[before] = None
            if before.number != BEFORE and not (before.gone and before.who == publisher.who):
                self.fenced(channel, before, publisher)
            before.fence(channel)

    def resume(self, publisher: Publisher, channel: str) -> None:
        """Let a publisher go on that held a channel before it was gone, or the daemon stopped."""
        holder = self.holders.get(channel)
        if holder is not None and holder.gone and holder.who == publisher.who:
            self.take(publisher, channel)

    def _hold(self, channel: str, publisher: Publisher) -> None:
        self.holders[channel] = publisher
        self._lingering.pop(channel, None)
        if publisher.lingers:
            self._lingering[channel] = publisher.lingers
        elif publisher.gone:
            del self.holders[channel]
            self.may_retry = True
        self._update_held(channel)

    def _update_held(self, channel: str) -> None:
        holder = self.holders.get(channel)
        who = None if holder is None else holder.who
        if self.held.get(channel) != who:
            held = {name: each for name, each in self.held.items() if name != channel}
            self.held = held if who is None else {**held, channel: who}

    # What was refused

    def note_refused(
        self, publisher: Publisher, key: SymbolKey, volume: Decimal | None, until: str
    ) -> None:
        """
        Keep a classic frame that was refused for a temporary reason.

        Args:
            volume: None = a later frame of the symbol has come already.
        """
        room = len(publisher.refused) < REFUSED or key in publisher.refused
        if until and room and not publisher.gone:
            publisher.refused[key] = Refusal(volume, until)
            self._with_refusals[publisher] = None
            self.may_retry = True

    def note_newer_frame(self, publisher: Publisher, key: SymbolKey) -> None:
        """Note a newer frame of a symbol: the refused one is not judged again."""
        former = publisher.refused.get(key)
        if former is not None:
            publisher.refused[key] = former._replace(volume=None)

    def pop_retryable(
        self, paused: Mapping[str, str], when: float
    ) -> Iterator[tuple[Publisher, dict[SymbolKey, Decimal]]]:
        """
        Yield publishers whose reason of refusal has ended, once, with the frames to judge again.

        Args:
            paused: the mode of each channel that is paused.
        """
        self.may_retry = False
        for publisher in list(self._with_refusals):
            ended = {
                key: each.volume
                for key, each in publisher.refused.items()
                if not self._reason_holds(each.until, publisher, key, paused, when)
            }
            if ended:
                del self._with_refusals[publisher]
                publisher.refused, publisher.ending = {}, True
                yield publisher, {k: v for k, v in ended.items() if v is not None}

    def _reason_holds(
        self,
        until: str,
        publisher: Publisher,
        key: SymbolKey,
        paused: Mapping[str, str],
        when: float,
    ) -> bool:
        mode = paused.get(key.channel)
        if until == "holder":
            return key.channel in self.holders
        if until == "owner":
            return self.is_taken(publisher, key, when)
        return mode == until or (mode is not None and until == "close_only")

    # Time

    def expire(self, when: float) -> None:
        """Release the reservations of publishers that did not reconnect in time."""
        for channel in [name for name, until in self._lingering.items() if until <= when]:
            del self._lingering[channel], self.holders[channel]
            self._update_held(channel)
        for key in [key for key, (_, until) in self._kept.items() if until <= when]:
            del self._kept[key]

    def next_expiry(self) -> float | None:
        """Return the time of the next expiry; None = there are no reservations."""
        times = [*self._lingering.values(), *(until for _, until in self._kept.values())]
        return min(times, default=None)
