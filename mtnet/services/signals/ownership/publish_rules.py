"""
Publish rules: the rights of publishers and the limits of channels, gathered for each commit.

No Twisted, no clock: `when` is monotonic seconds.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal

from mtnet.services.signals.book import Book, Channel
from mtnet.services.signals.journal.group_commit import Pending
from mtnet.services.signals.model import Entry, WholeState
from mtnet.services.signals.ownership.policy import (
    OPERATOR,
    Claim,
    Holder,
    PublishPolicy,
    Room,
)
from mtnet.services.signals.ownership.policy_store import PolicyStore
from mtnet.services.signals.ownership.publishers import Ownership, Publisher, SymbolKey
from mtnet.services.signals.settings import SignalSettings
from mtnet.services.signals.views.views import Views

FULL = 60.0
"""Seconds for which a full channel is reported after a symbol was refused, and after which
room is looked for again."""
OWNER = Publisher("the operator", OPERATOR)
"""The publisher of flattening, and of reductions that a frozen channel refused before."""


class PublishRules:
    """
    Factory of publish policies: what is known of publishers and channels, by value.

    Args:
        book: what is stored.
        unrepeated: returns the moment before which what went flat is repeated no more.

    Attributes:
        ownership: who holds channels and symbols.
        store: pauses, fences and refused reductions.
        views: the channels that are derived from others.
    """

    def __init__(
        self,
        settings: SignalSettings,
        book: Book,
        ownership: Ownership,
        store: PolicyStore,
        unrepeated: Callable[[], int],
        views: Views,
    ) -> None:
        self._settings, self.ownership, self.store = settings, ownership, store
        self._book, self._unrepeated = book, unrepeated
        self._full: dict[str, float] = {}
        self.views = views

    @property
    def max_symbols(self) -> int:
        """Symbols that a channel has room for."""
        return self._settings.max_symbols

    def policy(self, batch: Sequence[Pending], when: float) -> PublishPolicy:
        """Return the policy of a commit: it knows who publishes where at this moment."""
        drafts: list[Entry] = []
        claims: dict[int, Claim] = {}
        holders: dict[str, Holder] = {}
        rooms: dict[str, Room] = {}
        ownership = self.ownership
        for pending in batch:
            draft, publisher, known = pending.draft, pending.publisher, False
            name = draft.channel
            channel = self._book.get(name)
            if name not in rooms:
                rooms[name] = Room()
                if channel is not None:
                    symbols, spare = len(channel.net), frozenset[str]()
                    if symbols + len(batch) > self._settings.max_symbols:
                        spare = self._spare(channel, batch, when)
                    rooms[name] = Room(symbols, channel.keys, spare)
                holder = ownership.holders.get(name)
                if holder is not None:
                    gone = holder.gone and not holder.who.http
                    holders[name] = Holder(holder.number, holder.who, gone)
            if channel is not None:
                known = draft.symbol in channel.net
                if isinstance(draft, WholeState) and not rooms[name].spare:
                    rooms[name].spare = self._spare(channel, batch, when)
            drafts.append(draft)
            claims[id(draft)] = Claim(
                publisher.number,
                publisher.who,
                pending.take,
                pending.refused_reduction,
                not draft.id and ownership.is_taken(publisher, SymbolKey(name, draft.symbol), when),
                name in publisher.fenced,
                known,
                publisher.gone,
            )
        policy = PublishPolicy(drafts, self._settings, claims, holders, rooms, self.store)
        if self.views.known:
            policy.terms = self.views.terms(each for draft in drafts for each in _parts(draft))
        return policy

    def _spare(self, channel: Channel, batch: Sequence[Pending], when: float) -> frozenset[str]:
        """Name the symbols that are flat for longer than they are repeated, if there is need."""
        own = [each.draft for each in batch if each.draft.channel == channel.name]
        drafts = [each for draft in own for each in _parts(draft)]
        fresh = {draft.symbol for draft in drafts if draft.volume} - channel.net.keys()
        over = len(channel.net) + len(fresh) - self._settings.max_symbols
        if not fresh or over <= 0 or self._full.get(channel.name, 0.0) > when:
            return frozenset()
        return channel.flat(self._unrepeated())

    def says_nothing_new(
        self, publisher: Publisher, key: SymbolKey, volume: Decimal, when: float
    ) -> bool:
        """Return whether a classic frame repeats what is stored, so that no commit is needed."""
        channel = self._book.get(key.channel)
        position = None if channel is None else channel.net.get(key.symbol)
        return (
            position is not None
            and position.volume == volume
            and key.channel not in self.store.paused
            and key.channel not in self.ownership.holders
            and not self.ownership.is_taken(publisher, key, when)
        )

    def note_full(self, channels: Iterable[str], when: float) -> None:
        """Note which channels had no room in a commit."""
        self._full.update(dict.fromkeys(channels, when + FULL))

    def full(self, when: float) -> list[str]:
        """Name the channels that had no room within the last minute."""
        return sorted(name for name, until in self._full.items() if until > when)


def _parts(draft: Entry) -> Sequence[Entry]:
    """Return a draft and, of a whole state, the positions that it may set."""
    return (draft, *draft.positions) if isinstance(draft, WholeState) else (draft,)
