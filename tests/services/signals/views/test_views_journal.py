"""Views in the journal: in one commit with their sources, whatever happens between."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from mtnet.errors import JournalError, WireError
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.maintenance import backup, renew, verify
from mtnet.services.signals.model import Entry, Taken
from mtnet.services.signals.views import changes
from mtnet.services.signals.views.ledger import Target
from mtnet.services.signals.views.settings import ViewSettings
from mtnet.services.signals.views.transform import Terms

WHEN = 1_795_000_000_000
HALF = ViewSettings(sources=("gold",), value=Decimal("0.5"))


def draft(volume, symbol="XAUUSD", channel="gold", id=""):
    return Entry(channel, symbol, Decimal(volume), WHEN, id=id)


def open_journal(path):
    journal = Journal(path, 1000)
    journal.load()
    return journal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "signals.sqlite"


@pytest.fixture
def journal(path):
    journal = open_journal(path)
    for name in ("gold", "silver"):
        journal.create(name)
    yield journal
    journal.close()


def add(journal, name="half", chosen=HALF):
    return journal.change_views(partial(changes.add, name=name, settings=chosen, terms=Terms(WHEN)))


def held(journal, name):
    return {
        (each.symbol, each.ticket): str(each.volume)
        for each in journal.positions(name).positions
        if each.volume
    }


def test_a_signal_and_its_copy_are_one_commit(journal):
    add(journal)
    (stored,) = journal.commit([draft("1", id="a-1")])
    epoch = journal.positions("gold").epoch
    assert [(each.channel, each.seq, each.id, each.volume) for each in journal.derived] == [
        ("half", 1, f"{epoch}-{stored.seq}-1", Decimal("0.5"))
    ]
    assert held(journal, "half") == {("XAUUSD", ""): "0.5"}


def test_a_restart_goes_on_where_the_ledger_stood(journal, path):
    add(journal, chosen=ViewSettings(sources=("gold",), max=Decimal("0.3")))
    journal.commit([draft("1")])
    journal.close()
    again = open_journal(path)
    again.commit([draft("0.2")])
    assert held(again, "half") == {("XAUUSD", ""): "0.2"}
    again.commit([draft("1")])
    assert held(again, "half") == {("XAUUSD", ""): "0.3"}
    again.close()


def test_a_name_that_is_a_channel_with_positions_becomes_no_view(journal):
    journal.commit([draft("1", channel="half")])
    with pytest.raises(WireError, match="half is a channel that holds positions"):
        add(journal)


def test_a_view_of_a_view_is_refused_and_nothing_opens(journal):
    add(journal)
    with pytest.raises(WireError, match="half is a view"):
        add(journal, "quarter", ViewSettings(sources=("half",)))
    with pytest.raises(WireError, match="no channel nowhere"):
        add(journal, "other", ViewSettings(sources=("nowhere",)))


def test_removal_is_refused_while_anything_is_copied(journal):
    add(journal)
    journal.commit([draft("1")])
    with pytest.raises(WireError, match="copies something"):
        journal.change_views(partial(changes.remove, name="half", leftovers="refuse", when=WHEN))
    journal.change_views(partial(changes.remove, name="half", leftovers="flatten", when=WHEN))
    assert held(journal, "half") == {}
    journal.commit([draft("2")])
    assert journal.derived == []


def set_mode(journal, mode):
    journal.change_views(partial(changes.set_mode, name="half", mode=mode, when=WHEN))


def test_a_stop_loss_that_was_removed_during_a_freeze_is_no_damage(journal):
    add(journal)
    journal.commit([replace(draft("1", id="a-1"), fields=(("sl", "1900"),))])
    set_mode(journal, "frozen")
    journal.commit([draft("1", id="a-2")])
    set_mode(journal, "on")
    assert not journal.damaged
    assert [each.fields for each in journal.positions("half").positions] == [()]


def test_what_was_closed_is_in_no_ledger_behind_a_restart(journal, path):
    add(journal)
    for lots in ("1", "0"):
        journal.commit([draft(lots)])
    again = open_journal(path)
    assert again.look_at_views(lambda derivation: derivation.views["half"].view.rows) == {}
    assert not again.damaged
    again.close()


def test_a_source_that_comes_back_has_another_number(journal, path):
    both = ViewSettings(sources=("gold", "silver"))
    add(journal, chosen=both)
    for sources in (HALF, both):
        again = open_journal(path)
        edit = partial(changes.edit, name="half", settings=sources, terms=Terms(WHEN))
        again.change_views(edit)
        view = again.look_at_views(lambda derivation: derivation.views["half"].view)
        again.close()
    assert view.numbers == {"gold": 1, "silver": 3}


def test_a_new_day_takes_back_no_limit_that_has_struck(journal, path):
    add(journal)
    for why in ("`daily_loss` was reached", ""):
        strike = partial(changes.strike, bases=None, then="flatten", when=WHEN)
        journal.change_views(partial(strike, name="half", why=why))
    again = open_journal(path)
    view = again.look_at_views(lambda derivation: derivation.views["half"].view)
    assert (view.struck, view.mode) == ("`daily_loss` was reached", "close_only")
    again.close()


def test_no_source_comes_while_a_copy_below_the_smallest_lot_may_grow(journal):
    add(journal, chosen=ViewSettings(sources=("gold",), min=Decimal("0.5"), step=Decimal("0.1")))
    journal.commit([draft("0.4")])
    assert held(journal, "half") == {}
    both = ViewSettings(sources=("gold", "silver"))
    with pytest.raises(WireError, match="copies something"):
        journal.change_views(partial(changes.edit, name="half", settings=both, terms=Terms(WHEN)))


def test_a_signal_that_waited_while_its_channel_became_a_view_is_refused(journal):
    add(journal)
    (outcome,) = journal.commit([draft("1", channel="half", id="a-1")])
    assert isinstance(outcome, WireError)
    journal.commit([draft("1")])
    assert held(journal, "half") == {("XAUUSD", ""): "0.5"}


def test_a_view_that_is_found_damaged_later_costs_its_source_no_commit(journal, path):
    add(journal)
    journal.commit([draft("1"), draft("1", "EURUSD")])
    damage(path, "UPDATE position SET body = zeroblob(9) WHERE channel = 'half'")
    with pytest.raises(JournalError):
        journal.positions("half")
    assert "half" in journal.damaged
    (stored,) = journal.commit([draft("3", id="a-1")])
    assert stored.volume == 3


def test_a_view_is_not_accepted_before_its_source(journal, path):
    add(journal)
    journal.commit([draft("1")])
    journal.close()
    damage(path, "DELETE FROM ledger")
    damage(path, "UPDATE position SET body = zeroblob(9) WHERE channel = 'gold'")
    again = open_journal(path)
    again.commit([draft("1", channel="silver")])
    assert set(again.damaged) == {"gold", "half"}
    with pytest.raises(JournalError, match="gold"):
        again.accept("half", WHEN)
    again.accept("gold", WHEN)
    again.accept("half", WHEN)
    again.commit([draft("0"), draft("2")])
    assert held(again, "half") == {("XAUUSD", ""): "1"}
    again.close()


def test_a_damaged_ledger_leaves_the_view_out_and_its_source_goes_on(journal, path):
    add(journal)
    add(journal, "whole", ViewSettings(sources=("gold",)))
    journal.commit([draft("1")])
    journal.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM ledger WHERE view = 'half'")
    again = open_journal(path)
    (stored,) = again.commit([draft("3")])
    assert stored.seq == 2
    assert "rows of its ledger are missing" in again.damaged["half"]
    assert held(again, "whole") == {("XAUUSD", ""): "3"}
    with pytest.raises(JournalError, match="ledger"):
        again.positions("half")
    again.close()


def damage(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_an_accepted_view_goes_on_as_the_part_that_it_was(journal, path):
    add(journal)
    journal.commit([draft("1"), draft("2", "EURUSD")])
    journal.close()
    damage(path, "DELETE FROM ledger")
    again = open_journal(path)
    again.commit([draft("0", "EURUSD")])
    assert "half" in again.damaged
    again.accept("half", WHEN)
    assert held(again, "half") == {("XAUUSD", ""): "0.5"}
    again.commit([draft("0.5")])
    assert held(again, "half") == {("XAUUSD", ""): "0.25"}
    assert not again.damaged
    again.close()


def test_an_accepted_view_without_settings_is_closed_and_ends(journal, path):
    add(journal)
    journal.commit([draft("1")])
    journal.close()
    damage(path, "UPDATE view SET body = CAST(replace(body, 'gold', 'cold') AS BLOB)")
    again = open_journal(path)
    again.commit([draft("3")])
    again.accept("half", WHEN)
    assert held(again, "half") == {}
    again.commit([draft("4")])
    assert again.derived == []
    again.close()


def corrupt(path, table, page=None):
    """Overwrite a page of a table, its root for None, as a bad disk would."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        statement = "SELECT rootpage FROM sqlite_schema WHERE name = ?"
        (root,) = connection.execute(statement, (table,)).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)


@pytest.mark.parametrize("table", ["view", "ledger"])
def test_a_page_that_is_damaged_costs_the_views_and_not_their_source(journal, path, table):
    add(journal)
    add(journal, "whole", ViewSettings(sources=("gold",)))
    journal.commit([draft("1")])
    journal.close()
    corrupt(path, table)
    again = open_journal(path)
    (stored,) = again.commit([draft("3", id="a-1")])
    assert stored.seq == 2
    assert set(again.damaged) == {"half", "whole"}
    with pytest.raises(JournalError, match="malformed"):
        again.positions("half")
    with pytest.raises(JournalError):
        again.accept("half", WHEN)
    assert again.commit([draft("4", id="a-2")])[0].seq == 3
    again.close()


def test_a_page_that_is_damaged_while_the_daemon_runs_costs_the_view_alone(journal, path):
    add(journal)
    journal.commit([draft("1")])
    journal.close()
    again = open_journal(path)
    again.look_at_views(lambda derivation: None)
    again.close()
    corrupt(path, "ledger")
    assert again.commit([draft("3")])[0].seq == 2
    assert set(again.damaged) == {"half"}
    again.close()


def test_a_view_that_is_missing_is_no_ordinary_channel(journal, path):
    add(journal)
    journal.commit([draft("1")])
    journal.close()
    damage(path, "DELETE FROM view")
    again = open_journal(path)
    (stored, refused) = again.commit([draft("3"), draft("3", channel="half")])
    assert stored.seq == 2
    assert "its row in the table `view` is missing" in str(refused)
    assert again.accept("half", WHEN).entries == []
    assert held(again, "half") == {}
    assert again.commit([draft("3", channel="half")])[0].volume == 3
    again.close()


def test_a_source_is_accepted_with_its_views_or_not_at_all(journal, path, monkeypatch):
    add(journal)
    journal.commit([draft("1"), draft("2", "EURUSD")])
    journal.close()
    damage(
        path,
        "UPDATE position SET body = zeroblob(9) WHERE (channel, symbol) = ('gold', 'XAUUSD')",
    )
    again = open_journal(path)
    before = again.positions("half")
    with monkeypatch.context() as killed:
        killed.setattr(changes, "renew", fail)
        with pytest.raises(Failing):
            again.accept("gold", WHEN)
    again.close()
    again = open_journal(path)
    assert set(again.damaged) == {"gold"}
    assert again.positions("half") == before
    accepted = again.accept("gold", WHEN)
    assert accepted.views["half"].epoch not in ("", before.epoch)
    assert [each.volume for each in accepted.views["half"].positions] == [Decimal("0.5"), 1]
    assert [(each.symbol, each.volume) for each in accepted.entries] == [("XAUUSD", 0)]
    again.close()


def test_a_kill_before_the_checkpoints_are_noted_damages_neither(journal, path, monkeypatch):
    add(journal)
    journal.commit([draft("1")])
    with monkeypatch.context() as killed:
        killed.setattr(journal.checkpoints, "note", lambda checkpoints: None)
        accepted = journal.begin_epoch("gold", WHEN)
    again = open_journal(path)
    assert not again.damaged
    assert again.positions("gold").epoch == accepted.state.epoch
    assert again.positions("half").epoch == accepted.views["half"].epoch
    again.close()


def test_the_complete_check_looks_at_ledgers(journal, path):
    add(journal)
    journal.commit([draft("1")])
    journal.close()
    assert not [each for step in verify(path) for each in step.findings]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE ledger SET body = CAST(replace(body, '1/2', '1/3') AS BLOB)")
    assert [each for step in verify(path) for each in step.findings]


def test_a_backup_takes_the_ledger_along(journal, path, tmp_path):
    add(journal, chosen=ViewSettings(sources=("gold",), max=Decimal("0.3")))
    journal.commit([draft("1")])
    backup(path, tmp_path / "copy")
    renew(tmp_path / "copy")
    restored = open_journal(tmp_path / "copy")
    restored.commit([draft("0.2")])
    assert held(restored, "half") == {("XAUUSD", ""): "0.2"}
    restored.close()


def test_a_journal_without_views_opens_and_gets_them(journal, path):
    journal.commit([draft("1")])
    journal.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript("DROP TABLE view; DROP TABLE ledger; PRAGMA user_version = 2")
    again = open_journal(path)
    add(again, chosen=ViewSettings(sources=("gold",), late_join="open"))
    assert held(again, "half") == {("XAUUSD", ""): "1"}
    again.close()


LOTS = st.sampled_from(["0", "0.01", "0.07", "0.5", "1", "3.33", "-0.01", "-0.2", "-2.5"])
SIGNAL = st.tuples(st.sampled_from(["gold", "silver"]), st.sampled_from(["A", "B"]), LOTS)
STEPS = st.one_of(
    st.tuples(st.just("commit"), st.lists(SIGNAL, min_size=1, max_size=3)),
    st.tuples(st.just("mode"), st.sampled_from(["on", "close_only", "frozen"])),
    st.tuples(st.just("flatten")),
    st.tuples(st.just("release"), st.sampled_from(["0", "0.01"])),
    st.tuples(st.just("edit"), st.sampled_from(["0.37", "2"]), st.booleans()),
    st.tuples(st.just("restart")),
    st.tuples(st.just("fail")),
)


class Failing(Exception):
    """A disk that fails at the end of a transaction."""


@given(st.lists(STEPS, max_size=25))
@settings(max_examples=60, deadline=None)
def test_a_view_is_what_its_ledger_says_after_every_commit(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("views") / "signals.sqlite"
    journal = open_journal(path)
    for name in ("gold", "silver"):
        journal.create(name)
    chosen = {"sources": ("gold", "silver"), "value": Decimal("0.37"), "step": Decimal("0.01")}
    add(journal, "both", ViewSettings(**chosen))
    add(journal)
    for kind, *rest in steps:
        if kind == "commit":
            journal.commit([draft(lots, symbol, channel) for channel, symbol, lots in rest[0]])
        elif kind == "fail":
            with pytest.raises(Failing):
                journal.change_views(fail)
            journal.recover({})
        elif kind == "restart":
            journal.close()
            journal = open_journal(path)
        elif kind == "release":
            for each in journal.positions("both").positions:
                target, left = Target(each.symbol, each.ticket), Decimal(rest[0])
                change(journal, changes.release, seq=each.seq, target=target, left=left, why="")
        elif kind == "mode":
            change(journal, changes.set_mode, mode=rest[0])
        elif kind == "flatten":
            change(journal, changes.flatten, why="a person closed it")
        else:
            fresh = ViewSettings(**{**chosen, "value": Decimal(rest[0])})
            apply = rest[1] and mode(journal) == "on"
            edit = partial(changes.edit, name="both", settings=fresh, apply=apply)
            journal.change_views(partial(edit, terms=Terms(WHEN)))
        assert not journal.damaged
        journal.change_views(agree)
    journal.close()
    assert not [each for step in verify(path) for each in step.findings]


def change(journal, function, **options):
    journal.change_views(partial(function, name="both", when=WHEN, **options))


def mode(journal):
    return journal.change_views(lambda space: space.view("both").mode)


def fail(space, *_):
    for stored in space.derivation.views.values():
        stored.view.flatten("a change that is not stored")
    raise Failing


def agree(space):
    for name, stored in space.derivation.views.items():
        view, state = stored.view, space.state(name)
        entries = state.positions if state else ()
        shown = {(each.symbol, each.ticket): each.volume for each in entries if each.volume}
        assert shown == {tuple(key): each.volume for key, each in view.shown.items()}
        if view.mode not in ("frozen", "monitor"):
            wanted = {tuple(row.target): row.shown for row in view.rows.values() if row.shown}
            assert shown == wanted


def test_ids_of_a_view_are_in_its_entries_alone_and_those_of_publishers_are_kept(journal, path):
    """A channel was published in, is a view for a while, and is published in again."""
    journal.commit([draft("1", channel="half", id="h-1"), draft("0", channel="half", id="h-2")])
    add(journal)
    journal.commit([draft("1", id="a-1")])
    remove = partial(changes.remove, name="half", leftovers="flatten", when=WHEN)
    journal.change_views(remove)
    journal.commit([draft("2", channel="half", id="h-3")])
    epoch, ids = journal.positions("gold").epoch, [each.id for each in journal.read("half", 0, 99)]
    assert ids == ["h-1", "h-2", f"{epoch}-1-1", "", "h-3"]
    (repeated,) = journal.commit([draft("1", channel="half", id="h-1")])
    assert repeated == Taken(seq=1)
    assert known_ids(path) == ["h-1", "h-2", "h-3"]
    assert not [each for step in verify(path) for each in step.findings]


def known_ids(path):
    with closing(sqlite3.connect(path)) as connection:
        statement = "SELECT id FROM known WHERE channel = 'half' ORDER BY seq"
        return [id for (id,) in connection.execute(statement)]
