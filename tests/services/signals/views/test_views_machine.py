"""Views as a state machine: whatever happens, in whatever order, each is what its ledger says."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from decimal import Decimal
from fractions import Fraction
from functools import partial
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from mtnet.errors import WireError
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.maintenance import verify
from mtnet.services.signals.model import Entry, entries_of
from mtnet.services.signals.ownership.transitions import CommitPolicy
from mtnet.services.signals.views import changes
from mtnet.services.signals.views.ledger import Target
from mtnet.services.signals.views.settings import ViewSettings
from mtnet.services.signals.views.transform import MIRRORED, Terms
from mtnet.services.signals.wire import answers

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "200"))
"""Stories of a run; `MTNET_TEST_RUNS` sets more."""
RETAIN = 15
SOURCES, VIEWS = ("gold", "silver"), ("a", "b", "c")
NETTING, BY_TICKET = ("EURUSD", "XAUUSD"), ("GBPUSD", "US30")
LOTS = st.sampled_from(["0", "0.01", "0.03", "0.07", "0.5", "1", "3.33", "10"])
SIGNED = st.builds(lambda lots, sign: sign * Decimal(lots), LOTS, st.sampled_from([1, -1]))
MODES = st.sampled_from(["on", "on", "close_only", "frozen", "monitor"])
SETTINGS = st.fixed_dictionaries(
    {
        "sources": st.sampled_from([("gold",), ("silver",), ("gold", "silver")]),
        "value": st.sampled_from(["0.1", "0.37", "1", "2.5"]).map(Decimal),
        "size": st.sampled_from(["multiplier", "multiplier", "fixed", "equity"]),
        "step": st.sampled_from([None, Decimal("0.01"), Decimal("0.1")]),
        "max": st.sampled_from([None, Decimal("0.3")]),
        "max_total": st.sampled_from([None, Decimal(2)]),
        "reverse": st.booleans(),
        "late_join": st.sampled_from(["skip", "open"]),
        "side": st.sampled_from(["", "", "buy"]),
        "force": st.booleans(),
        "mapped": st.booleans(),
    }
)
STOPS = st.dictionaries(st.sampled_from(["sl", "tp"]), st.sampled_from(["1.1", "1900"]))
TYPES = st.sampled_from(["position", "position", "buy_limit", "sell_stop"])


def chosen(drawn):
    """Return settings as a person may have chosen them."""
    options = dict(drawn)
    if options.pop("force"):
        options |= {"force_min": True, "min": options["step"] or Decimal("0.02")}
        options["max"] = None
    if options.pop("mapped"):
        options |= {"map": {"XAUUSD": "GOLD"}, "suffix": ".r"}
    if options["size"] == "equity":
        options |= {"follower": "bob", "provider": "alice"}
    return ViewSettings(**options)


class Killed(BaseException):
    """The process ends here."""


class Views(RuleBasedStateMachine):
    """Two sources, up to three views, and what their followers were sent."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="views-"))
        self.path, self.when, self.ids = self.folder / "signals.sqlite", 1_795_000_000_000, 0
        self.journal = self.opened()
        for name in SOURCES:
            self.journal.create(name)
        self.sent = {name: [] for name in VIEWS}
        self.terms = Terms(self.when)

    def teardown(self):
        self.journal.close()
        try:
            assert not [each for step in verify(self.path) for each in step.findings]
        finally:
            shutil.rmtree(self.folder)

    def opened(self):
        journal = Journal(self.path, RETAIN, slice=1)
        loaded = journal.load()
        assert not loaded.damaged
        return journal

    @initialize(drawn=SETTINGS)
    def begin(self, drawn):
        self.add("a", drawn)

    @property
    def names(self):
        return self.journal.look_at_views(lambda derivation: sorted(derivation.views))

    def view(self, name):
        return self.journal.look_at_views(lambda derivation: derivation.views[name].view)

    def change(self, name, function, **options):
        """Change a view as people do; return what that stored, or the refusal."""
        try:
            entries = self.journal.change_views(partial(function, name=name, **options))
        except WireError as error:
            return error
        self.note(entries)
        return entries

    def note(self, entries):
        for entry in entries:
            self.sent[entry.channel].append(entry)

    # What happens

    @rule(
        source=st.sampled_from(SOURCES),
        symbol=st.sampled_from(NETTING),
        volume=SIGNED,
        stops=STOPS,
    )
    def publish_net(self, source, symbol, volume, stops):
        self.commit([self.draft(source, symbol, "", volume, "position", stops)])

    @rule(
        source=st.sampled_from(SOURCES),
        symbol=st.sampled_from(BY_TICKET),
        ticket=st.sampled_from(["1", "2"]),
        volume=SIGNED,
        type=TYPES,
        stops=STOPS,
    )
    def publish_ticket(self, source, symbol, ticket, volume, type, stops):
        if type != "position" and volume:
            volume = abs(volume) if type.startswith("buy") else -abs(volume)
        self.commit([self.draft(source, symbol, ticket, volume, type, stops)])

    @rule(each=st.lists(st.tuples(st.sampled_from(SOURCES), SIGNED), min_size=2, max_size=4))
    def publish_burst(self, each):
        self.commit(
            [self.draft(source, "EURUSD", "", lots, "position", {}) for source, lots in each]
        )

    @rule(source=st.sampled_from(SOURCES), factor=st.sampled_from(["0.1", "0.5", "0.9", "2"]))
    def resize_all(self, source, factor):
        for each in self.standing(source):
            lots = (each.volume * Decimal(factor)).quantize(Decimal("0.00001"))
            if lots:
                fields = dict(each.fields)
                self.commit([self.draft(source, each.symbol, each.ticket, lots, each.type, fields)])

    @rule(
        name=st.sampled_from(VIEWS),
        value=st.sampled_from(["0.2", "0.9", "4"]).map(Decimal),
        ratio=st.sampled_from([Fraction(1, 2), Fraction(5)]),
        factor=st.sampled_from(["0.5", "2", "3"]),
    )
    def resize_behind_an_edit(self, name, value, ratio, factor):
        """What was decided stays so, though settings and money are others now."""
        if self.copies_something(name):
            self.terms = replace(self.terms, ratio=ratio, closed="")
            fresh = replace(self.view(name).settings, value=value)
            entries = self.change(name, changes.edit, settings=fresh, terms=self.now)
            assert entries == [], "an edit traded"
            for source in fresh.sources:
                self.resize_all(source, factor)

    def copies_something(self, name):
        """Let the sources of a view open what it may copy; return whether it copies anything."""
        if name not in self.names:
            return False
        if not self.held(name):
            for source in self.view(name).settings.sources:
                for lots in ("0", "1"):
                    draft = self.draft(source, "EURUSD", "", Decimal(lots), "position", {})
                    self.commit([draft])
        return bool(self.held(name))

    @rule(source=st.sampled_from(SOURCES))
    def flatten_source(self, source):
        self.commit([Entry(source, "", Decimal(0), self.when)])

    def draft(self, source, symbol, ticket, volume, type, stops):
        self.ids, self.when = self.ids + 1, self.when + 1_000
        fields = tuple(sorted(stops.items())) if volume else ()
        kind = type if volume else "position"
        return Entry(source, symbol, volume, self.when, ticket, f"i-{self.ids}", kind, fields)

    def commit(self, drafts):
        policy = CommitPolicy()
        policy.terms = {name: replace(self.terms, when=self.when) for name in self.names}
        before = {name: self.seen(name) for name in self.names}
        outcomes = self.journal.commit(drafts, policy)
        self.note(self.journal.derived)
        if len(drafts) == 1 and isinstance(outcomes[0], Entry):
            for name, (mode, rows, shown) in before.items():
                self.judge(name, mode, rows, shown, entries_of(outcomes[0])[0])

    def seen(self, name):
        view = self.view(name)
        return view.mode, dict(view.rows), dict(view.shown)

    def judge(self, name, mode, rows, shown, entry):
        """Compare a view before and behind an entry of one of its sources."""
        view = self.view(name)
        key = view.numbers.get(entry.channel), entry.symbol, entry.ticket
        row, after = rows.get(key), view.rows.get(key)
        if row is None and after is not None and after.size is not None:
            assert after.size.k == self.ratio(view.settings, entry), "its ratio was not the chosen"
        if row is None or mode in ("frozen", "monitor"):
            return
        lots = shown[row.target].volume if row.copied and row.target in shown else Decimal(0)
        each = view.shown.get(row.target)
        now = each.volume if row.copied and each is not None else Decimal(0)
        same = (entry.volume > 0) == (row.volume > 0) and entry.type == row.source_type
        if not entry.volume:
            assert not (row.copied and each is not None), "a closing was filtered"
        elif same and abs(entry.volume) > abs(row.volume):
            assert after.size == row.size, "an increase changed what its opening had decided"
        elif same:
            assert abs(now) <= abs(lots), "it grew while its provider reduced"
        elif not same and entry.type == row.source_type and now * lots > 0:
            said = [each for each in self.journal.derived if each.channel == name]
            closed = [(each.symbol, each.ticket) for each in said if not each.volume]
            assert row.target in closed, "a reversal left its old side"

    def ratio(self, chosen, entry):
        """Return the lots of a view for one of its source, as settings and REPORTs say."""
        value = Fraction(chosen.value)
        if chosen.size == "fixed":
            return value / abs(Fraction(entry.volume))
        return min(value * (self.terms.ratio if chosen.size == "equity" else 1), 10)

    @rule(name=st.sampled_from(VIEWS), drawn=SETTINGS)
    def add(self, name, drawn):
        if name in self.names or self.held(name):
            return
        settings = chosen(drawn)
        self.change(name, changes.add, settings=settings, terms=self.now)
        rows = self.view(name).rows.values()
        if settings.late_join == "skip":
            assert not self.held(name), "it took what was open before"
        elif not (self.terms.closed or settings.side or settings.max or settings.max_total):
            assert settings.size == "equity" or all(row.copied for row in rows), "it skipped one"

    @rule(name=st.sampled_from(VIEWS), drawn=SETTINGS, apply=st.booleans())
    def edit(self, name, drawn, apply):
        if name not in self.names:
            return
        fresh = chosen(drawn)
        joins = set(fresh.sources) - set(self.view(name).numbers)
        entries = self.change(name, changes.edit, settings=fresh, terms=self.now, apply=apply)
        assert isinstance(entries, WireError) or apply or joins or not entries

    @rule(name=st.sampled_from(VIEWS), mode=MODES)
    def set_mode(self, name, mode):
        if name in self.names:
            self.change(name, changes.set_mode, mode=mode, when=self.when)

    @rule(name=st.sampled_from(VIEWS))
    def flatten(self, name):
        if name in self.names:
            self.change(name, changes.flatten, why="a person closed it", when=self.when)
            assert not self.held(name)

    @rule(name=st.sampled_from(VIEWS), left=LOTS, late=st.booleans())
    def release(self, name, left, late):
        if not self.copies_something(name):
            return
        for entry in self.sent[name][-6:] if late else self.standing(name):
            target = Target(entry.symbol, entry.ticket)
            before = self.held(name).get(target, Decimal(0))
            release = partial(changes.release, seq=entry.seq, target=target, why="")
            rows = [row for row in self.view(name).rows.values() if row.target == target]
            self.change(name, release, left=Decimal(left), when=self.when)
            now = abs(self.held(name).get(target, Decimal(0)))
            if self.view(name).mode in ("frozen", "monitor"):
                continue
            assert now <= abs(before)
            if not late:
                least = max((row.size.min for row in rows if row.size), default=0)
                assert now <= max(Decimal(left), least if Decimal(left) else 0), "it is not gone"

    @rule(ratio=st.sampled_from([None, Fraction(1, 3), Fraction(7, 2)]), closed=st.booleans())
    def report(self, ratio, closed):
        self.terms = Terms(self.when, "no REPORT counts" if closed else "", ratio, Decimal(1_000))

    @property
    def now(self):
        return replace(self.terms, when=self.when)

    @precondition(lambda self: len(self.names) > 1)
    @rule(name=st.sampled_from(VIEWS))
    def remove(self, name):
        if name in self.names:
            self.change(name, changes.remove, leftovers="flatten", when=self.when)
            assert not self.held(name)

    @rule(source=st.sampled_from(SOURCES))
    def begin_epoch(self, source):
        before = {name: self.held(name) for name in self.names}
        accepted = self.journal.begin_epoch(source, self.when)
        self.note(accepted.entries)
        for name, state in accepted.views.items():
            assert shown(state.positions) == before[name]

    @rule(kind=st.sampled_from(["stop", "kill", "kill within", "kill behind"]))
    def restart(self, kind):
        if kind == "stop":
            self.journal.close()
        elif kind == "kill within":
            with suppress(Killed):
                self.journal.change_views(self.die)
        elif kind == "kill behind":
            self.journal.checkpoints.note = self.die
            with suppress(Killed):
                self.journal.begin_epoch("gold", self.when)
        before = self.tables()
        self.journal.database.close()
        self.journal = self.opened()
        self.names  # noqa: B018
        if kind != "kill behind":
            assert self.tables() == before
        for name in self.names:  # closings of an epoch of which nobody was told
            self.note(self.missed(name))

    def die(self, *_):
        raise Killed

    def tables(self):
        found = []
        with closing(sqlite3.connect(self.path)) as connection:
            for table in ("view", "ledger", "position", "entry", "alias"):
                found += connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall()
        return found

    def missed(self, name):
        last = self.sent[name][-1].seq if self.sent[name] else 0
        state = self.journal.positions(name)
        first = max(last, state.oldest - 1)
        return self.journal.read(name, first, RETAIN * 9) if state.seq > last else []

    # What always holds

    def standing(self, name):
        return [each for each in self.journal.positions(name).positions if each.volume]

    def held(self, name):
        with suppress(WireError):
            return shown(self.journal.positions(name).positions)
        return {}

    @invariant()
    def a_view_is_what_its_ledger_says(self):
        for name in self.names:
            view, held = self.view(name), self.held(name)
            assert held == {target: each.volume for target, each in view.shown.items()}
            if view.mode in ("frozen", "monitor"):
                continue
            wanted = {
                row.target: transformed(row) for row in view.rows.values() if transformed(row)
            }
            assert held == wanted

    @invariant()
    def a_ledger_is_about_what_its_sources_hold(self):
        for name in self.names:
            for source, number in self.view(name).numbers.items():
                held = {
                    (each.symbol, each.ticket): (each.volume, each.type)
                    for each in self.standing(source)
                }
                rows = {
                    (key.symbol, key.ticket): (row.volume, row.source_type)
                    for key, row in self.view(name).rows.items()
                    if key.source == number
                }
                assert rows == held

    @invariant()
    def what_was_sent_is_what_is_read_again(self):
        for name, sent in self.sent.items():
            assert [each.seq for each in sent] == list(range(1, len(sent) + 1))
            kept = sent[-RETAIN:]
            with suppress(WireError):
                oldest = self.journal.positions(name).oldest
                kept = [each for each in kept if each.seq >= oldest]
                again = self.journal.read(name, oldest - 1, RETAIN * 9) if kept else []
                assert [answers.signal(each) for each in again][-len(kept) :] == [
                    answers.signal(each) for each in kept
                ]

    @invariant()
    def a_follower_that_applies_every_entry_holds_the_view(self):
        for name, sent in self.sent.items():
            held = {}
            for entry in sent:
                held[Target(entry.symbol, entry.ticket)] = entry.volume
            assert {target: lots for target, lots in held.items() if lots} == self.held(name)


def shown(positions):
    return {Target(each.symbol, each.ticket): each.volume for each in positions if each.volume}


def transformed(row):
    """T of one row: sign × (k × c, rounded toward zero to the step), or `min`, or 0."""
    if row.size is None or not row.copied:
        return 0
    size = row.size
    assert row.copied <= abs(Fraction(row.volume))
    assert row.type == (MIRRORED[row.source_type] if row.reverse else row.source_type)
    exact = row.copied * size.k
    lots = exact - exact % Fraction(size.step)
    if lots < Fraction(size.min):
        lots = Fraction(size.min) if size.force_min else 0
    return lots if (row.volume > 0) != row.reverse else -lots


def test_whatever_happens_a_view_is_what_its_ledger_says():
    run_state_machine_as_test(
        Views,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
