"""The journal does what thirty lines of dictionaries do, whenever it is opened anew."""

from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mtnet.errors import WireError
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.model import Entry, Taken

RETAIN, IDS, SLICE = 4, 3, 2
CLOSINGS = 6
"""Entries of one commit beyond its drafts, since some close several tickets; a commit keeps its
own."""

ASKED = ("channel", "symbol", "volume", "when", "ticket", "id", "type", "fields")
"""What an entry has of the publisher; the journal adds the rest."""


class Model:
    """One channel: what stands by symbol and ticket, what was taken, and the log."""

    def __init__(self):
        self.stands: dict[str, dict[str, Entry]] = {}
        self.seqs: dict[tuple[str, str], int] = {}
        self.ids: dict[str, tuple[int, tuple]] = {}
        self.log: list[tuple] = []

    def take(self, draft):
        held = self.stands.get(draft.symbol, {})
        content = draft.symbol, draft.ticket, draft.volume, draft.fields
        if draft.id in self.ids:
            seq, before = self.ids[draft.id]
            return Taken(seq=seq) if before == content else "id"
        open_ones = [ticket for ticket, each in held.items() if each.volume]
        classic = not draft.id and not draft.ticket
        over_tickets = any(ticket and not draft.ticket for ticket in open_ones)
        if over_tickets:
            if classic and draft.volume == sum(each.volume for each in held.values()):
                return Taken()
            if draft.volume and not classic:
                return "field"
            for ticket in sorted(open_ones, key=lambda ticket: self.seqs[draft.symbol, ticket]):
                self.store(Entry(draft.channel, draft.symbol, Decimal(0), draft.when, ticket))
        elif draft.ticket and "" in open_ones:
            return "field"
        before = self.stands.get(draft.symbol, {}).get(draft.ticket)
        if classic and not over_tickets and before is not None and self.same(before, draft):
            return Taken()
        previous = self.store(draft)
        if draft.id:
            self.ids[draft.id] = len(self.log), content
        return len(self.log), previous

    def store(self, draft):
        held = self.stands.get(draft.symbol, {})
        before = held.get(draft.ticket)
        previous = before.volume if before else Decimal(0) if held else None
        self.log.append((draft, previous))
        self.apply(draft, held)
        return previous

    @staticmethod
    def same(before, draft):
        if before.volume != draft.volume:
            return False
        return not draft.volume or not draft.fields or before.fields == draft.fields

    def apply(self, draft, held):
        kept = {t: e for t, e in held.items() if e.volume and t != draft.ticket}
        if draft.volume:
            kept[draft.ticket] = draft
        elif not kept:
            kept[""] = draft
        self.stands[draft.symbol] = kept
        self.seqs[draft.symbol, draft.ticket if draft.volume else ""] = len(self.log)

    def expire(self, before):
        gone = {
            symbol
            for symbol, held in self.stands.items()
            if any(not each.volume and each.when < before for each in held.values())
        }
        for symbol in gone:
            del self.stands[symbol]
        return gone


drafts = st.builds(
    Entry,
    st.sampled_from(["main", "main", "gold"]),
    st.sampled_from(["EURUSD", "GBPUSD"]),
    st.sampled_from([Decimal("0"), Decimal("0"), Decimal("1"), Decimal("1.0"), Decimal("-2.5")]),
    st.integers(0, 9),
    st.sampled_from(["", "", "7", "8"]),
    st.sampled_from(["", "", "", *"abcdefghijkl"]),
    fields=st.sampled_from([(), (), (("sl", "1"), ("tp", "2"))]),
)


class JournalMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.folder = TemporaryDirectory()
        self.models: dict[str, Model] = {}
        self.open()

    def open(self):
        path = Path(self.folder.name) / "signals.sqlite"
        self.journal = Journal(path, RETAIN, ids=IDS, slice=SLICE)
        assert not self.journal.load().damaged

    def teardown(self):
        found = [each for step in self.journal.verify(deep=True) for each in step.findings]
        assert not found, found
        self.journal.close()
        self.folder.cleanup()

    @rule(batch=st.lists(drafts, min_size=1, max_size=6))
    def commit(self, batch):
        for draft, outcome in zip(batch, self.journal.commit(batch), strict=True):
            model = self.models.setdefault(draft.channel, Model())
            expected = model.take(draft)
            if isinstance(outcome, Taken) and outcome.entries:
                *closings, outcome = outcome.entries
                assert all(each.ticket and not each.volume and not each.id for each in closings)
            if isinstance(outcome, Entry):
                outcome = outcome.seq, outcome.previous
            elif isinstance(outcome, WireError):
                outcome = outcome.code
            assert outcome == expected, draft
        self.forget_ids()

    def forget_ids(self):
        """Which of the oldest ids are gone is the journal's business, within its promise."""
        for name, model in self.models.items():
            if not model.log:
                continue
            rows = self.journal.database.read(
                lambda c, name=name: c.execute(
                    "SELECT id, seq FROM known WHERE channel = ?", (name,)
                ).fetchall()
            )
            oldest = self.journal.positions(name).oldest
            newest = sorted(model.ids.items(), key=lambda each: -each[1][0])
            kept = {id for id, (seq, _) in newest if seq >= oldest} | {id for id, _ in newest[:IDS]}
            assert kept <= dict(rows).keys() <= model.ids.keys()
            model.ids = {id: model.ids[id] for id, _ in rows}

    @rule(before=st.integers(0, 9))
    def expire(self, before):
        gone = {(name, each) for name, m in self.models.items() for each in m.expire(before)}
        assert set(self.journal.expire(before)) == gone

    @rule()
    def stop_and_start(self):
        self.journal.close()
        self.open()

    @rule()
    def recover(self):
        known = {name: len(model.log) for name, model in self.models.items()}
        assert self.journal.recover(known) == []

    @invariant()
    def everything_is_as_the_model_says(self):
        for name, model in self.models.items():
            if not model.log:
                continue
            state = self.journal.positions(name)
            assert state.seq == len(model.log)
            kept = state.seq - state.oldest + 1
            assert RETAIN <= kept <= RETAIN + SLICE + CLOSINGS or state.oldest == 1
            entries = self.journal.read(name, state.oldest - 1, 1_000)
            assert [each.seq for each in entries] == list(range(state.oldest, state.seq + 1))
            for each, (draft, previous) in zip(entries, model.log[state.oldest - 1 :], strict=True):
                assert {f: getattr(each, f) for f in ASKED} == {f: getattr(draft, f) for f in ASKED}
                assert each.previous == previous
            expected = sorted(
                (model.seqs[symbol, ticket], symbol, ticket, each.volume, each.when)
                for symbol, held in model.stands.items()
                for ticket, each in held.items()
            )
            assert expected == [
                (each.seq, each.symbol, each.ticket, each.volume, each.when)
                for each in state.positions
            ]


JournalMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
test_the_journal_is_its_model = JournalMachine.TestCase
