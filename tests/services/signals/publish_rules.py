"""
What a channel takes from its publishers, said a second time: by what it held before and after.

`Rules` is told of each commit before it begins and of each draft in it, and compares what the
server makes of a draft with what it must, or may, make of it.
"""

from decimal import Decimal
from types import MappingProxyType
from typing import NamedTuple

from mtnet.services.signals.model import Entry, Taken, WholeState, entries_of

FLAT = Decimal(0)
NOTHING = MappingProxyType({})
OPERATOR = 0
REFUSED = {"denied", "field", "fenced", "closed"}


class Limits(NamedTuple):
    """How much a channel takes; `rails` as in the configuration, None = there are none."""

    symbols: int
    positions: int
    rails: object = None


class Change(NamedTuple):
    """
    What a draft does to its symbol.

    Attributes:
        effect: `nothing`, `terms`, `reduction`, `opening`, `reversal` or `other form`.
        start: lots that an opening adds to.
        stands: whether there is anything to reduce.
        closed: what the channel holds when only its closing is taken.
        after: what the channel holds when it is taken.
    """

    effect: str
    start: Decimal = FLAT
    stands: bool = False
    closed: object = NOTHING
    after: object = NOTHING


class Rules:
    """
    Those of one channel, and what they remember.

    Attributes:
        mode: how it is paused; None = it is not.
        owed: reductions that it refused while it was frozen, by (symbol, ticket): volume and time.
        said_twice: keys of which one reduction was refused twice at the same time: which of them
            is judged makes no difference.
        fences: who (login, name) may not take it by itself.
        holder: the publisher of dialect 2 that holds it.
        verdicts: what became of each id last.
        refused: by classic publisher, the symbols whose last frame was refused, and the code.
        frames: what was stored of classic publishers, in order: address, symbol and volume.
        present: the publishers of which something was stored, and that are there.
        masters: those who speak for classic publishers.
    """

    def __init__(self, limits):
        self.limits, self.mode = limits, None
        self.owed, self.fences, self.verdicts = {}, set(), {}
        self.said_twice = set()
        self.frames, self.masters = [], []
        self.restart()

    def restart(self, holder=None, when=0):
        """There is another daemon; what is on the disk stays, and who held the channel is gone."""
        self.holder = self.lapse = None
        self.fenced, self.refused, self.left = set(), {}, {}
        self.present, self.owners = set(), {}
        self._asked, self._next = {}, None
        if holder is not None:
            self.leave(holder, False, when)
            self._hold(holder)

    @property
    def kept(self):
        """What is on the disk."""
        return self.mode, dict(self.owed), set(self.fences)

    def put_back(self, kept):
        mode, owed, fences = kept
        self.mode, self.owed, self.fences = mode, dict(owed), set(fences)

    def leave(self, publisher, bye, when):
        """A publisher is gone."""
        self.left[publisher] = None if bye else when + publisher.who.lingers
        self.present.discard(publisher)
        self.owners = {key: each for key, each in self.owners.items() if each is not publisher}
        if publisher is self.holder:
            self._hold(publisher)

    def resume(self, publisher):
        """One comes back that held the channel when it was gone."""
        before = self.holder
        if before is not None and before in self.left and before.who == publisher.who:
            self._replace(publisher)

    def _hold(self, publisher):
        """It holds the channel; one that is gone without BYE does so for a while."""
        self.holder, self.lapse = publisher, self.left.get(publisher)
        if publisher in self.left and self.lapse is None:
            self.holder = None

    def begin(self, batch, when):
        """A commit is about to be judged, by what is known at this moment."""
        if self.lapse is not None and self.lapse <= when:
            self.holder = self.lapse = None
        self._asked = {id(pending.draft): pending for pending in batch}
        self._batch = batch
        self._at, self._gone = (self.mode, self.holder), set(self.left)
        self._owners = dict(self.owners)

    def start(self):
        """The disk begins with it, perhaps for another time."""
        self._next = _Commit(dict(self.owed), set(self.fences), self._at[1])

    def committed(self):
        """It is stored."""
        done, self._next = self._next, None
        self.owed, self.fences = done.owed, done.fences
        for publisher, symbol, code in done.heard:
            self.refused.setdefault(publisher, {}).pop(symbol, None)
            if code:
                self.refused[publisher][symbol] = code
            elif not publisher.gone:
                self.present.add(publisher)
                if publisher.number >= _count(self.owners.get(symbol)):
                    self.owners[symbol] = publisher
        for publisher in done.takes:
            self._replace(publisher)

    def _replace(self, publisher):
        before = self.holder
        self._hold(publisher)
        self.present.discard(before)
        if not publisher.gone:
            self.present.add(publisher)
        if before is not None and before is not publisher:
            self.fenced.add(before.number)

    def check(self, truth, draft, outcome):
        """Compare what became of a draft, and add what it stored to the truth."""
        if isinstance(draft, WholeState):
            self._check_whole(truth, draft, outcome)
            return
        pending, word = self._asked[id(draft)], word_of(draft, outcome)
        held = {key: entry.volume for key, entry in truth.held.items()}
        # A classic reduction that was refused is one of the net position still.
        classic = not (draft.id or draft.ticket) and bool(_number(pending) or draft.volume)
        change = change_of(draft, truth.held, classic)
        allowed = self._allowed(pending, truth, change)
        got = f"{word} for {draft} of {pending.publisher.number}, while {self._at} held {held}"
        assert word in allowed, f"{got}: it must be one of {allowed}"
        truth.add(entries_of(outcome))
        expected = {"taken": change.after, "closed": change.closed}.get(word, held)
        assert truth.state() == expected, got
        self._remember(pending, word, change)

    def _check_whole(self, truth, draft, outcome):
        """Compare what became of a whole state: closings first, then reductions, then the rest."""
        pending = self._asked[id(draft)]
        if self._is_fenced(pending):
            assert outcome.code == "fenced"
            return
        stored = {(entry.symbol, entry.ticket): entry for entry in outcome.entries}
        refused = {_key(part): why for part, why in outcome.refused}
        after = truth.copy()
        for part in differences(draft, truth.held):
            key, change = _key(part), change_of(part, after.held, False)
            why, allowed = refused.pop(key, None), self._allowed_to_change(part, after, change)
            word = (
                "taken" if why is None else "closed" if getattr(why, "closed", False) else why.code
            )
            assert word in allowed, f"{word} for {part} of {draft}: it must be one of {allowed}"
            after.add([stored.pop(key)] if word in ("taken", "closed") else [])
            expected = {"taken": change.after, "closed": change.closed}.get(word)
            assert expected is None or after.state() == expected
            if change.effect != "other form":
                self._remember_reduction(part, word, change)
        assert not stored
        assert not refused
        for part in draft.positions:
            if not any(part is each for each in differences(draft, truth.held)):
                self._next.owed.pop(_key(part), None)
        truth.add(outcome.entries)
        assert truth.held == after.held
        if outcome.seq and (outcome.entries or not outcome.refused):
            self._next.take(pending.publisher)

    def owing(self):
        """Return the classic publishers that are to be closed when pauses and rivals end."""
        return [
            publisher
            for publisher, found in self.refused.items()
            if not publisher.gone and set(found.values()) & {"denied", "fenced"}
        ]

    def refusals(self):
        """Return the symbols of which the classic publishers that are there were refused."""
        there = [found for publisher, found in self.refused.items() if not publisher.gone]
        return {symbol: code for found in there for symbol, code in found.items()}

    # What must be

    def _allowed(self, pending, truth, change):
        draft = pending.draft
        if not _number(pending):
            return self._allowed_to_operator(pending, change)
        if draft.id:
            known = truth.of_id(draft.id)
            if known is not None:
                return {"repeated" if _content(known) == _content(draft) else "id"}
            if self._is_fenced(pending):
                return {"fenced"}
        elif self._next.holder is not None or self._is_taken(pending):
            return {"fenced"}
        found = self._allowed_to_change(draft, truth, change)
        return found if draft.id else found | self._perhaps_taken(pending)

    def _allowed_to_change(self, draft, truth, change):
        if change.effect == "other form":
            return {"field"}
        if change.effect == "nothing":
            # Of a symbol that was flat for long it may be unknown that it is.
            return {"nothing"} if draft.volume else {"nothing", "taken", "denied"}
        if self._at[0] == "frozen":
            return {"denied"}
        if change.effect in ("opening", "reversal"):
            return self._allowed_opening(draft, truth, change)
        return {"taken"}

    def _allowed_to_operator(self, pending, change):
        if not pending.draft.symbol:
            return {"taken"}
        if not (self._is_owed(pending) and _reduces(change)):
            return {"denied"}
        return {"taken", "denied"} if _key(pending.draft) in self.said_twice else {"taken"}

    def _is_owed(self, pending):
        """Whether no later signal has come, and the channel is not frozen again."""
        owed = self._next.owed.get(_key(pending.draft))
        return owed == _said(pending.refused_reduction) and self._at[0] != "frozen"

    def _is_taken(self, pending):
        """Whether a newer classic publisher set the symbol."""
        return _count(self._owners.get(pending.draft.symbol)) > _number(pending)

    def _perhaps_taken(self, pending):
        """A symbol may be another's who said what was stored, or is kept for it for a while."""
        symbol, address = pending.draft.symbol, pending.publisher.address
        others = (each for each in self.masters if each.address != address)
        return {"fenced"} if any(symbol in each.claims for each in others) else set()

    def _is_fenced(self, pending):
        publisher, holder = pending.publisher, self._next.holder
        if publisher.number in self.fenced | self._next.replaced:
            return True
        if pending.take != "free":
            return False
        other = holder is not None and holder is not publisher and holder.who != publisher.who
        if publisher.who in self._next.fences:
            return True
        if other and (holder not in self._gone or holder.who.http):
            self._next.fences.add(publisher.who)
            return True
        return False

    def _allowed_opening(self, draft, truth, change):
        refused = "closed" if change.effect == "reversal" else None
        if self._at[0] == "close_only":
            return {refused or "denied"}
        if breaks(self.limits.rails, draft, change.start):
            return {refused or "field"}
        more = len(change.after) - len(truth.held)
        opened = {symbol for symbol, _ in truth.held}
        if more > 0 and len(truth.held) >= self.limits.positions:
            return {refused or "field"}
        if draft.symbol not in truth.known and len(opened) >= self.limits.symbols:
            return {refused or "field"}
        if draft.symbol not in opened and len(truth.known) >= self.limits.symbols:
            return {"taken", refused or "field"}  # as long as closed symbols are remembered
        return {"taken"}

    # What follows from it

    def _remember(self, pending, word, change):
        draft, publisher = pending.draft, pending.publisher
        self.verdicts[draft.id] = word
        if not _number(pending):
            if pending.refused_reduction and self._is_owed(pending):
                self._remember_judged(_key(draft), word, change)
            return
        judged = word not in ("repeated", "id", "fenced") and change.effect != "other form"
        if judged:
            self._remember_reduction(draft, word, change)
        if not draft.id:
            code = word if word in REFUSED else ""
            if code == "fenced" and self._next.holder is None:
                code = "owner"
            self._next.heard.append((publisher, draft.symbol, code))
            if not code:
                self._claim(publisher, draft.symbol)
            if word == "taken":
                self.frames.append((publisher.address, draft.symbol, draft.volume))
        elif word == "taken" and pending.take != "0":
            self._next.take(publisher)

    def _remember_judged(self, key, word, change):
        if word == "taken" or not _reduces(change) or key not in self.said_twice:
            del self._next.owed[key]

    def _remember_reduction(self, draft, word, change):
        key = _key(draft)
        before = self._next.owed.pop(key, None)
        refused = word == "denied" and self._at[0] == "frozen" and change.stands
        if refused and change.effect in ("reduction", "reversal"):
            volume = draft.volume if change.effect == "reduction" else FLAT
            now = self._next.owed[key] = volume, draft.when
            if before == now:
                self.said_twice.add(key)

    def _claim(self, publisher, symbol):
        if publisher.number > _count(self._owners.get(symbol)):
            self._owners[symbol] = publisher
        for each in self.masters:
            if each.address == publisher.address:
                each.claims.add(symbol)


class _Commit:
    """What becomes true with one commit."""

    def __init__(self, owed, fences, holder):
        self.owed, self.fences, self.holder = owed, fences, holder
        self.takes, self.replaced, self.heard = [], set(), []

    def take(self, publisher):
        before = self.holder
        if before is not None and before is not publisher:
            self.replaced.add(before.number)
            if before.who != publisher.who:
                self.fences.add(before.who)
        self.fences.discard(publisher.who)
        self.holder = publisher
        self.takes.append(publisher)


def differences(whole, held):
    """Return what a whole state changes; `held` is entries by (symbol, ticket)."""
    if whole.scope is not None:
        return []  # a sign of life
    wanted = {_key(part): part for part in whole.positions}
    closings = [
        Entry(whole.channel, symbol, FLAT, whole.when, ticket)
        for symbol, ticket in held
        if (symbol, ticket) not in wanted
    ]
    parts = [part for key, part in wanted.items() if key not in held or not _same(held[key], part)]
    reductions = [part for part in parts if _is_less(part, held.get(_key(part)))]
    return closings + reductions + [part for part in parts if part not in reductions]


def _same(entry, part):
    return _content(entry) == _content(part)


def _is_less(part, standing):
    before = FLAT if standing is None else standing.volume
    return abs(part.volume) < abs(before) or part.volume * before < 0


def change_of(draft, held, classic):
    """Measure a draft; `held` is entries by (symbol, ticket)."""
    if not draft.symbol:
        return Change("reduction", stands=bool(held))
    volumes = {key: entry.volume for key, entry in held.items()}
    rest = {key: volume for key, volume in volumes.items() if key[0] != draft.symbol}
    of_symbol = {key[1]: entry for key, entry in held.items() if key[0] == draft.symbol}
    by_ticket, key = any(of_symbol), (draft.symbol, draft.ticket)
    counted = [e.volume for e in of_symbol.values() if e.type == "position"]
    net = sum(counted, FLAT)
    set_to = {key: draft.volume} if draft.volume else {}
    if classic and draft.volume == net:
        # A flat symbol of which nothing is known may be stored as flat.
        return Change("nothing", net, after=volumes)
    if by_ticket and not draft.ticket:
        if draft.volume and not classic:
            return Change("other form")
        effect = _effect(net, draft.volume) if draft.volume else "reduction"
        return Change(effect, _start(effect, net), True, rest, {**rest, **set_to})
    if draft.ticket and "" in of_symbol:
        return Change("other form")
    standing = of_symbol.get(draft.ticket)
    before = FLAT if standing is None else standing.volume
    others = {k: v for k, v in volumes.items() if k != key}
    effect = _effect(before, draft.volume)
    if standing is not None and standing.type != draft.type and draft.volume:
        effect = "reversal"
    start = _start(effect, before)
    return Change(effect, start, standing is not None, others, {**others, **set_to})


def _effect(before, after):
    if not after:
        return "reduction"
    if before and before * after < 0:
        return "reversal"
    if before == after:
        return "terms"
    return "reduction" if abs(after) < abs(before) else "opening"


def _start(effect, before):
    return before if effect == "opening" else FLAT


def breaks(rails, draft, start):
    """Whether a guard rail refuses an opening from `start` lots."""
    if rails is None:
        return False
    return bool(
        (rails["symbols"] and draft.symbol not in rails["symbols"])
        or abs(draft.volume) > rails["max_volume"]
        or abs(draft.volume - start) > rails["max_change"]
    )


def word_of(draft, outcome):
    """Name what became of a draft; one without a symbol closes what there is, perhaps nothing."""
    if isinstance(outcome, Entry):
        return "taken"
    if not isinstance(outcome, Taken):
        return outcome.code
    if outcome.refused:
        return "closed"
    if outcome.entries or not draft.symbol:
        return "taken"
    return "repeated" if outcome.seq else "nothing"


def _key(draft):
    return draft.symbol, draft.ticket


def _reduces(change):
    return change.effect == "reduction" and change.stands


def _said(reduction):
    return reduction.volume, reduction.when


def _number(pending):
    return pending.publisher.number


def _count(publisher):
    return publisher.number if publisher is not None else 0


def _content(draft):
    return draft.symbol, draft.ticket, draft.volume, draft.type, draft.fields
