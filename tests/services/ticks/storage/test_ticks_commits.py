"""Commits of ticks, held against what was in memory, and against disks that refuse."""

import random
import tempfile
from pathlib import Path

import pytest
from committing import COUNTS, ONE, OTHER, TABLES, ask, batch, change, commit_of, everything
from hypothesis import given, settings
from hypothesis import strategies as st
from refused_symbols import refuse_symbol

from mtnet.errors import JournalError
from mtnet.services.ticks.model import GAPS, WINDOW, Source, Verdict
from mtnet.services.ticks.storage.commits import Commit, snapshot
from mtnet.services.ticks.storage.schema import IMPORTED, OTHERS, ROWS
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.storage.tally import Tally
from mtnet.storage.sqlite import Database

# What is loaded


def test_an_empty_store_knows_two_sources_that_nobody_can_send_as(path, load):
    kept = load()
    assert (kept.sources, kept.newest, kept.next, kept.lost) == ([], {}, OTHERS + 1, 0)
    assert (kept.others.number, kept.others.received, kept.others.highest) == (OTHERS, 0, None)
    assert path.stat().st_mode & 0o777 == 0o600


STEPS = st.lists(
    st.tuples(
        st.one_of(st.integers(-4, 5), st.sampled_from([-1_025, -1_024, -1_023, 1_024, 1_100])),
        st.sampled_from([ONE, OTHER]),
        st.booleans(),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_a_source_is_loaded_as_it_was_after_whatever_came_in_however_many_commits(steps):
    source, number = Source("desk", 3), 0
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "ticks.sqlite")
        for when, (step, text, stored) in enumerate(steps):
            number = max(0, (source.highest or 0) + step)
            source.count_received(1, when)
            source.classify(batch(number, text), when)
            if stored:
                store.commit(Commit(sources=[snapshot(source)]))
        store.commit(Commit(sources=[snapshot(source)]))
        store.close()
        again = Store(Path(folder) / "ticks.sqlite")
        (found,) = again.load(Tally(Path(folder) / "taken"), 10).sources
        again.close()
    assert [getattr(found, name) for name in COUNTS] == [getattr(source, name) for name in COUNTS]
    assert list(found.gaps) == list(source.gaps)
    window = range(max(0, source.highest - WINDOW), source.highest + 1)
    assert [found.known(each) for each in window] == [source.known(each) for each in window]
    assert (found.take_fresh(), found.take_changed()) == ([], [])


def test_a_source_that_was_loaded_goes_on_where_it_was(store, load):
    source = Source("desk", 3)
    for number in (1, 2, 6):
        source.classify(batch(number), 9)
    store.commit(Commit(sources=[snapshot(source)]))
    (found,) = load().sources
    verdicts = [found.classify(batch(number), 10) for number in (2, 4, 4, 7)]
    assert verdicts == [Verdict.REPEAT, Verdict.LATE, Verdict.REPEAT, Verdict.NEXT]
    store.commit(Commit(sources=[snapshot(found)]))
    (again,) = load().sources
    (gap,) = again.gaps
    assert (gap.first, gap.last, gap.found, gap.run, gap.late) == (3, 5, 9, 0, 1)
    assert (again.missing, again.disorder, again.repeats, again.highest) == (2, 1, 2, 7)


def test_those_who_are_counted_as_one_are_loaded_with_their_counts(store, load):
    others = Source("(others)", OTHERS)
    others.count_received(7, 50)
    others.refused = 2
    store.commit(Commit(sources=[snapshot(others)]))
    kept = load()
    assert (kept.others.received, kept.others.refused, kept.others.last) == (7, 2, 50)
    assert (kept.sources, kept.next) == ([], OTHERS + 1)


def test_the_next_number_is_free_although_older_sources_are_not_loaded(store, load):
    sources = [Source(f"s{number}", number) for number in (3, 4, 9)]
    for source in sources:
        source.count_received(1, 100 - source.number)
    store.commit(Commit(sources=[snapshot(source) for source in sources]))
    kept = load(1)
    assert ([source.name for source in kept.sources], kept.next) == (["s3"], 10)


def test_a_source_that_never_numbered_its_batches_is_loaded_so(store, load):
    source = Source("192.0.2.7", 3)
    source.count_received(5, 50)
    store.commit(Commit(sources=[snapshot(source)]))
    (found,) = load().sources
    assert (found.highest, found.received, len(found.gaps)) == (None, 5, 0)


def test_the_newest_tick_of_each_symbol_is_that_of_the_last_commit_that_names_one(store, load):
    store.commit(commit_of(b"EURUSD", b"1.1", b"1.2", when=20))
    store.commit(commit_of(b"GBPUSD", b"1.3 - - - 1549238400994 6", when=21))
    imported = commit_of(b"EURUSD", b"0.9", when=22)
    imported.newest.clear()
    store.commit(imported)
    store.commit(commit_of(b"GBPUSD", b"1.4", when=19))
    assert load().newest == {b"EURUSD": (b"1.2", 20), b"GBPUSD": (b"1.4", 19)}


def test_a_symbol_that_was_only_imported_has_no_newest_tick(store, load):
    imported = commit_of(b"UK%20100", b"7500.1", source=IMPORTED)
    imported.newest.clear()
    store.commit(imported)
    assert load().newest == {b"UK%20100": None}


def test_the_totals_of_commits_add_up(store, path):
    for _ in range(3):
        store.commit(commit_of(b"EURUSD", b"1.1", b"1.2"))
    assert ask(path, "SELECT value FROM total WHERE name = 'stored'") == [(6,)]
    assert ask(path, "SELECT name, ticks FROM symbol") == [("EURUSD", 6)]
    assert ask(path, "SELECT sum(ticks), count(*) FROM block") == [(6, 3)]


def test_silence_between_two_commits_is_silence(store, path):
    for when in (10, 75, 60):
        store.commit(commit_of(b"EURUSD", b"1.1", when=when))
    assert ask(path, "SELECT first, last, longest FROM heard") == [(10, 75, 65)]


# Many rows


@pytest.mark.parametrize("count", [ROWS - 1, ROWS, ROWS + 1, 2 * ROWS + 1])
def test_a_commit_of_as_many_rows_as_a_statement_takes_and_more_is_stored(store, path, load, count):
    whole, source = Commit(), Source("desk", 3)
    for at in range(count):
        part = commit_of(b"S%d" % at, b"%d.5" % at, when=at)
        whole.blocks += part.blocks
        whole.heard |= part.heard
        whole.newest |= part.newest
        source.classify(batch(2 * at), at)
    whole.sources = [snapshot(source)]
    whole.totals = {"stored": whole.ticks}
    store.commit(whole)
    kept = load()
    assert kept.newest == {b"S%d" % at: (b"%d.5" % at, at) for at in range(count)}
    assert len(kept.sources[0].gaps) == count - 1
    assert ask(path, "SELECT count(*) FROM block") == [(count,)]
    joined = "SELECT count(*) FROM heard JOIN symbol ON id = symbol WHERE name = 'S' || first"
    assert ask(path, joined) == [(count,)]


def test_blocks_are_numbered_in_the_order_in_which_they_were_handed_over(store, path):
    symbols = [b"S%d" % (at * 7 % 600) for at in range(600)]
    whole = Commit()
    for symbol in symbols:
        whole.blocks += commit_of(symbol, b"1").blocks
    store.commit(whole)
    stored = ask(path, "SELECT name FROM block JOIN symbol s ON s.id = symbol ORDER BY block.id")
    assert [name.encode() for (name,) in stored] == symbols


# Pruning


@pytest.mark.parametrize("commits", [1, 7])
def test_of_thousands_of_batches_the_last_1024_below_the_highest_are_loaded(store, load, commits):
    source = Source("desk", 3)
    for number in range(1, 3_501):
        source.classify(batch(number), 0)
        if number % (3_500 // commits) == 0:
            store.commit(Commit(sources=[snapshot(source)]))
    (found,) = load().sources
    assert found.known(3_500 - WINDOW - 1) is None
    window = range(3_500 - WINDOW, 3_501)
    assert [found.known(number) for number in window] == [batch(number) for number in window]


def test_the_newest_batches_are_loaded_although_more_than_1024_came_late_behind_them(store, load):
    source = Source("desk", 3)
    for number in (2_000, *range(976, 2_000), 2_001):
        source.classify(batch(number), 0)
    store.commit(Commit(sources=[snapshot(source)]))
    (found,) = load().sources
    assert found.classify(batch(2_000), 0) is Verdict.REPEAT


def test_a_batch_that_grew_behind_the_window_displaces_no_newer_one_when_it_is_loaded(store, load):
    source = Source("desk", 3)
    for number in range(1, WINDOW + 3):
        source.classify(batch(number), 0)
    store.commit(Commit(sources=[snapshot(source)]))
    source.remember(batch(1, ONE + OTHER))
    store.commit(Commit(sources=[snapshot(source)]))
    (found,) = load().sources
    assert found.classify(batch(WINDOW + 2), 0) is Verdict.REPEAT


def test_what_is_remembered_does_not_grow_with_the_commits(store, path):
    source = Source("desk", 3)
    for number in range(1, 60):
        source.classify(batch(100 * number), 0)
        store.commit(Commit(sources=[snapshot(source)]))
    ((count, lowest),) = ask(path, "SELECT count(*), min(highest) FROM seen")
    assert count <= 12
    assert lowest >= 100 * 59 - WINDOW - 1


def test_pruning_one_source_leaves_the_others(store, load):
    quiet, busy = Source("quiet", 3), Source("busy", 4)
    quiet.classify(batch(1), 0)
    quiet.classify(batch(4), 0)
    store.commit(Commit(sources=[snapshot(quiet)]))
    for number in range(10_000, 10_000 + 2 * (GAPS + 2), 2):
        busy.classify(batch(number), 0)
    store.commit(Commit(sources=[snapshot(busy)]))
    busy.classify(batch(1), 0)
    store.commit(Commit(sources=[snapshot(busy)]))
    found = {source.name: source for source in load().sources}
    assert found["quiet"].known(4) == batch(4)
    assert list(found["quiet"].gaps) == list(quiet.gaps)
    assert found["busy"].known(10_000) is None
    assert list(found["busy"].gaps) == list(busy.gaps)


def test_of_the_gaps_of_two_runs_the_newest_are_kept_and_all_are_counted(store, path, load):
    source = Source("desk", 3)
    for number in range(1, 2 * GAPS, 2):
        source.classify(batch(number), 0)
    store.commit(Commit(sources=[snapshot(source)]))
    for number in (1, 5, 9, 13):
        source.classify(batch(number, OTHER), 0)
    store.commit(Commit(sources=[snapshot(source)]))
    (found,) = load().sources
    assert list(found.gaps) == list(source.gaps)
    assert [(gap.run, gap.first) for gap in found.gaps][-3:] == [(1, 2), (1, 6), (1, 10)]
    assert found.missing == GAPS - 1 + 9
    assert ask(path, "SELECT count(*) FROM gap") == [(GAPS,)]


# All or nothing


@pytest.mark.parametrize("table", TABLES)
def test_a_commit_that_fails_at_any_table_stores_nothing_and_is_taken_later(
    store, path, full, table
):
    store.commit(commit_of(b"EURUSD", b"1.0", when=10))
    before = everything(path)
    # Not of the rows: the file is to blame, and takes them later.
    change(path, f"ALTER TABLE {table} RENAME TO gone")
    with pytest.raises(JournalError, match="no such table") as caught:
        store.commit(full)
    assert str(path) in str(caught.value)
    change(path, f"ALTER TABLE gone RENAME TO {table}")
    assert everything(path) == before
    store.commit(full)
    assert full.refusals == []
    assert ask(path, "SELECT name, ticks, record FROM symbol") == [("EURUSD", 3, "1.2")]
    assert ask(path, "SELECT count(*) FROM gap") == ask(path, "SELECT count(*) FROM seen") == [(1,)]
    assert ask(path, "SELECT sum(ticks) FROM block") == [(3,)]


# Rows that no disk would take


@pytest.mark.parametrize("others", [0, 1, 2, 3, 40])
def test_rows_of_one_symbol_that_are_refused_stop_no_other(store, path, others):
    store.prepare()
    refuse_symbol(path, "POISON")
    whole = commit_of(b"POISON", b"1", b"2", b"3", source=4)
    for at in range(others):
        part = commit_of(b"S%d" % at, b"1.1", when=at)
        whole.blocks[at // 2 : at // 2] = part.blocks
        whole.heard |= part.heard
        whole.newest |= part.newest
    whole.totals = {"stored": whole.ticks}
    store.commit(whole)
    (refusal,) = whole.refusals
    assert (refusal.what, refusal.ticks) == ("ticks of POISON", {4: 3})
    assert "not this one" in refusal.reason
    names = ask(path, "SELECT name FROM symbol JOIN block ON symbol = symbol.id ORDER BY name")
    assert names == sorted((f"S{at}",) for at in range(others))
    assert ask(path, "SELECT count(*) FROM symbol WHERE name = 'POISON'") == [(0,)]
    totals = dict(ask(path, "SELECT * FROM total"))
    assert totals == {"stored": others, "unstored": 3, "unstored 4": 3}


@pytest.mark.parametrize(
    "rows",
    [{"missing": 2**63}, {"highest": -(2**63) - 1}, {"received": object()}, {"received": "many"}],
    ids=["too large", "too small", "no number at all", "text"],
)
def test_counters_that_no_database_takes_stop_no_tick_and_no_other_sender(store, path, load, rows):
    poisoned, healthy = Source("poison", 4, **rows), Source("desk", 3)
    healthy.count_received(2, 17)
    whole = commit_of(b"EURUSD", b"1.1")
    whole.sources = [snapshot(poisoned), snapshot(healthy)]
    store.commit(whole)
    assert [refusal.what for refusal in whole.refusals] == ["counters of poison"]
    assert [source.name for source in load().sources] == ["desk"]
    assert ask(path, "SELECT sum(ticks) FROM block") == [(1,)]


def test_an_error_that_nobody_knows_is_of_the_rows_too(store, path, load):
    poisoned, healthy = Source("poison", 4), Source("desk", 3)
    for source in (poisoned, healthy):
        source.classify(batch(1), 17)
    poisoned.fresh[1] = poisoned.fresh[1]._replace(records=2**32)  # struct.error
    whole = Commit(sources=[snapshot(poisoned), snapshot(healthy)])
    store.commit(whole)
    assert [refusal.what for refusal in whole.refusals] == ["counters of poison"]
    assert [source.name for source in load().sources] == ["desk"]


def test_a_disk_that_refuses_is_not_taken_for_rows_that_are_bad(store, path, full, monkeypatch):
    store.prepare()

    def full_disk(data, level):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("mtnet.services.ticks.storage.rows.compress", full_disk)
        with pytest.raises(JournalError, match="No space"):
            store.commit(full)
    store.commit(full)
    assert full.refusals == []
    assert ask(path, "SELECT sum(ticks) FROM block") == [(2,)]


def test_an_import_that_is_refused_is_refused_whole(store, path):
    store.prepare()
    refuse_symbol(path, "POISON")
    with pytest.raises(JournalError, match="not this one"):
        store.commit_after(lambda: commit_of(b"POISON", b"1"))
    assert ask(path, "SELECT count(*) FROM symbol") == [(0,)]


# What came of a commit that failed


@pytest.mark.parametrize("steps", [["before"], ["behind"], ["before", "before", "behind"]])
def test_a_commit_that_failed_is_stored_once_whether_it_landed_or_not(store, path, failing, steps):
    store.prepare()
    whole = commit_of(b"EURUSD", b"1.1", b"1.2")
    whole.token = 7
    failing(*steps)
    for _ in steps:
        with pytest.raises(JournalError):
            store.commit(whole)
    store.commit(whole)
    following = commit_of(b"EURUSD", b"1.3")
    following.token = 8
    store.commit(following)
    assert ask(path, "SELECT sum(ticks) FROM block") == [(3,)]
    totals = dict(ask(path, "SELECT * FROM total"))
    assert totals == {"stored": 3, "commit": 8}


def test_what_landed_with_rows_left_out_is_told_with_them(store, path, failing):
    store.prepare()
    refuse_symbol(path, "POISON")
    whole = commit_of(b"POISON", b"1", source=4)
    whole.blocks += commit_of(b"EURUSD", b"1.1").blocks
    whole.token = 7
    failing(None, "behind")  # the first attempt is that of the whole
    with pytest.raises(JournalError):
        store.commit(whole)
    store.commit(whole)
    assert [refusal.what for refusal in whole.refusals] == ["ticks of POISON"]
    assert ask(path, "SELECT sum(ticks) FROM block") == [(1,)]


def test_what_may_not_be_on_the_platter_is_not_taken_for_stored(store, path, failing, monkeypatch):
    store.prepare()
    whole = commit_of(b"EURUSD", b"1.1")
    whole.token = 7
    failing("behind")
    with pytest.raises(JournalError):
        store.commit(whole)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "checkpoint", lambda database: False)
        with pytest.raises(JournalError, match="may not be on the disk"):
            store.commit(whole)
    store.commit(whole)
    assert ask(path, "SELECT sum(ticks) FROM block") == [(1,)]


def test_an_import_between_a_failure_and_the_next_attempt_hides_nothing(store, path, failing):
    store.prepare()
    whole = commit_of(b"EURUSD", b"1.1")
    whole.token = 7
    failing("behind")
    with pytest.raises(JournalError):
        store.commit(whole)
    beside = Store(path)
    beside.commit_after(lambda: commit_of(b"GBPUSD", b"1.3"))
    beside.close()
    store.commit(whole)
    assert ask(path, "SELECT sum(ticks) FROM block") == [(2,)]


def test_symbols_of_a_commit_that_failed_are_numbered_anew(store, path):
    store.prepare()
    change(path, "ALTER TABLE total RENAME TO gone")
    both = commit_of(b"EURUSD", b"1.1")
    both.blocks += commit_of(b"GBPUSD", b"1.3").blocks
    with pytest.raises(JournalError, match="no such table"):
        store.commit(both)
    change(path, "ALTER TABLE gone RENAME TO total")
    store.commit(commit_of(b"GBPUSD", b"1.3"))
    store.commit(commit_of(b"EURUSD", b"1.1"))
    joined = "SELECT s.name, b.ticks FROM block b JOIN symbol s ON s.id = b.symbol ORDER BY b.id"
    assert ask(path, joined) == [("GBPUSD", 1), ("EURUSD", 1)]


def test_a_file_that_may_not_grow_refuses_with_a_sentence_and_keeps_what_it_has(
    path, full, connects
):
    first, chance = Store(path), random.Random(1)
    first.commit(commit_of(b"EURUSD", b"1.0", when=10))
    first.close()
    before = everything(path)
    full.blocks += commit_of(b"GBPUSD", chance.randbytes(500_000).hex().encode()).blocks
    connects(lambda connection: connection.execute("PRAGMA max_page_count = 40"))
    store = Store(path)
    with pytest.raises(JournalError, match="full"):
        store.commit(full)
    store.close()
    assert everything(path) == before


def test_a_file_that_may_only_be_read_refuses_with_a_sentence(path, full, connects):
    first = Store(path)
    first.commit(commit_of(b"EURUSD", b"1.0", when=10))
    first.close()
    before = everything(path)
    connects(lambda connection: connection.execute("PRAGMA query_only = ON"))
    store = Store(path)
    with pytest.raises(JournalError, match="readonly") as caught:
        store.commit(full)
    store.close()
    assert str(path) in str(caught.value)
    assert everything(path) == before


def test_a_folder_in_the_place_of_the_file_is_refused_with_a_sentence(path, store, tally):
    path.mkdir()
    with pytest.raises(JournalError, match="cannot be read or written"):
        store.load(tally, 10)


def test_a_look_that_finds_nothing_to_store_stores_nothing(store, path, full):
    store.prepare()
    before = everything(path)

    def look():
        raise JournalError("It cannot be read.")

    with pytest.raises(JournalError, match=r"^It cannot be read\.$"):
        store.commit_after(look)
    assert everything(path) == before
    store.commit(full)
    assert ask(path, "SELECT sum(ticks) FROM block") == [(2,)]


def test_a_store_that_was_closed_opens_again_by_itself(store, path):
    for _ in range(3):
        store.commit(commit_of(b"EURUSD", b"1.1"))
        store.close()
    store.close()
    assert ask(path, "SELECT sum(ticks) FROM block") == [(3,)]
