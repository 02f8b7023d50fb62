"""Series of ticks, packed into blocks, and kept on disk."""

import os
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import JournalError
from mtnet.services.ticks.model import GAPS, WINDOW, Batch, Source
from mtnet.services.ticks.storage import store as store_module
from mtnet.services.ticks.storage.blocks import BLOCK, Reception, Series, unpack
from mtnet.services.ticks.storage.commits import Commit, snapshot
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.storage.tally import Tally

TIMED = b"1.1 - - - 1549238400994"


def series(*ticks):
    """Return a series of (record, when, source)."""
    records, marks = [tick[0] for tick in ticks], [tick[1:] for tick in ticks]
    return Series(b"EURUSD", None, records, marks)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ticks.sqlite"


@pytest.fixture
def tally(tmp_path):
    return Tally(tmp_path / "ticks.taken")


def commit(ticks=1, sources=(), symbol=b"EURUSD", when=17):
    blocks = list(Series(symbol, None, [b"1.1"] * ticks, [(when, 3)] * ticks).pack())
    heard = {(3, symbol): Reception(ticks, when, when)}
    newest = {symbol: (b"1.1", when)}
    frozen = [snapshot(source) for source in sources]
    return Commit(blocks, heard, newest, frozen, {"stored": ticks})


# Series


@given(
    st.lists(
        st.tuples(st.sampled_from([b"1.1", TIMED]), st.integers(0, 3), st.integers(3, 5)),
        min_size=1,
        max_size=50,
    )
)
def test_a_block_gives_back_what_was_packed_in_order(ticks):
    (block,) = series(*ticks).pack()
    runs, records = unpack(block.data)
    assert records == [tick[0] for tick in ticks]
    assert runs == block.runs
    marks = [(when, source) for when, source, count in runs for _ in range(count)]
    assert marks == [tick[1:] for tick in ticks]
    times = [tick[1] if tick[0] == b"1.1" else 1549238400994 for tick in ticks]
    # The span may be wider than the times, never narrower.
    assert block.first <= min(times)
    assert block.last >= max(times)
    assert block.ticks == len(ticks)


def test_the_span_of_ticks_that_all_have_a_time_is_that_of_their_times():
    (block,) = series((b"1 - - - 200000000000", 5, 3), (b"1 - - - 100000000000 6", 6, 3)).pack()
    assert (block.first, block.last) == (100000000000, 200000000000)


def test_many_ticks_are_packed_into_several_blocks():
    blocks = list(series(*[(b"%d" % n, 1, 3) for n in range(2 * BLOCK + 1)]).pack())
    assert [block.ticks for block in blocks] == [BLOCK, BLOCK, 1]
    assert unpack(blocks[2].data)[1] == [b"%d" % (2 * BLOCK)]


def test_a_series_knows_its_newest_tick_before_and_behind_the_packing():
    many = series((b"1", 5, 3), (b"2", 6, 3))
    assert many.latest() == (b"2", 6)
    list(many.pack())
    assert many.latest() == (b"2", 6)
    assert many.records == []


def test_silence_is_the_longest_time_between_two_ticks():
    heard = Reception(1, 10, 10)
    for when in (12, 30, 31, 20):
        heard.add(2, when)
    assert heard == Reception(9, 10, 31, 18)


# The store


def test_what_was_committed_is_there_when_the_file_is_opened_again(path, tally):
    source = Source("desk", 3)
    source.count_received(5, 17)
    for number in (1, 5, 3):
        source.classify(Batch(number, b"A 1\n").seen(), 17)
    Store(path).load(tally, 10)
    Store(path).commit(commit(5, [source]))
    tally.set(5)
    kept = Store(path).load(tally, 10)
    (found,) = kept.sources
    assert (found.name, found.number, found.received, found.highest) == ("desk", 3, 5, 5)
    assert (found.missing, found.disorder, list(found.gaps)) == (2, 1, list(source.gaps))
    assert found.known(3) == Batch(3, b"A 1\n").seen()
    assert found.known(2) is None
    assert (kept.next, kept.lost) == (4, 0)
    assert kept.newest == {b"EURUSD": (b"1.1", 17)}
    assert (kept.others.number, kept.others.name) == (2, "(others)")


def test_the_counters_of_a_source_are_replaced_and_those_of_its_symbols_added(path, tally):
    store, source = Store(path), Source("desk", 3)
    for when in (10, 50):
        source.count_received(2, when)
        store.commit(commit(2, [source], when=when))
    rows = sqlite3.connect(path).execute
    assert rows("SELECT received FROM source WHERE id = 3").fetchall() == [(4,)]
    heard = rows("SELECT ticks, first, last, longest FROM heard").fetchall()
    assert heard == [(4, 10, 50, 40)]
    assert rows("SELECT ticks FROM symbol").fetchall() == [(4,)]


def test_more_rows_than_one_statement_takes_are_stored(path, tally):
    sources = [Source(f"s{n}", n) for n in range(3, 700)]
    for source in sources:
        source.count_received(1, source.number)
    Store(path).commit(commit(1, sources))
    kept = Store(path).load(tally, 1_000)
    assert {source.name for source in kept.sources} == {source.name for source in sources}


def test_the_sources_that_were_heard_last_are_loaded(path, tally):
    sources = [Source(f"s{n}", n) for n in range(3, 9)]
    for source in sources:
        source.count_received(1, 100 - source.number)
    Store(path).commit(commit(1, sources))
    kept = Store(path).load(tally, 2)
    assert [source.name for source in kept.sources] == ["s3", "s4"]
    assert kept.next == 9


def test_a_commit_is_stored_whole_or_not_at_all(path, tally, monkeypatch):
    store = Store(path)
    store.load(tally, 10)

    def fail(connection, totals):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store_module, "add_totals", fail)
        with pytest.raises(JournalError, match="full"):
            store.commit(commit(3))
    count = sqlite3.connect(path).execute("SELECT count(*) FROM block").fetchone()
    assert count == (0,)
    store.commit(commit(3))
    assert sqlite3.connect(path).execute("SELECT sum(ticks) FROM block").fetchone() == (3,)


def test_a_writer_beside_us_only_delays(path, tally):
    store, other = Store(path), sqlite3.connect(path, isolation_level=None)
    store.prepare()
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO symbol (name) VALUES ('GBPUSD')")
    other.execute("COMMIT")
    store.commit(commit(1, symbol=b"GBPUSD"))
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO symbol (name) VALUES ('XAUUSD')")
    other.execute("COMMIT")
    store.commit(commit(1, symbol=b"XAUUSD"))
    rows = other.execute("SELECT name, ticks FROM symbol ORDER BY name").fetchall()
    assert rows == [("GBPUSD", 1), ("XAUUSD", 1)]


def test_ticks_that_were_taken_and_not_stored_are_lost_once(path, tally):
    store = Store(path)
    assert store.load(tally, 10).lost == 0
    store.commit(commit(5))
    tally.set(8)
    store.close()
    assert Store(path).load(tally, 10).lost == 3
    assert Store(path).load(tally, 10).lost == 0
    assert tally.value == 8


def test_a_tally_behind_the_store_means_nothing(path, tally):
    Store(path).commit(commit(5))
    assert Store(path).load(tally, 10).lost == 0
    assert tally.value == 5


def test_a_tally_outlives_the_process(tmp_path):
    Tally(tmp_path / "taken").set(2**40)
    assert Tally(tmp_path / "taken").value == 2**40


def test_a_burst_is_noted_once_behind_it(tmp_path):
    tally = Tally(tmp_path / "taken")
    with tally.burst():
        for count in (1, 2):
            tally.set(count)
            assert Tally(tmp_path / "taken").value == 0
    assert Tally(tmp_path / "taken").value == tally.value == 2


def test_a_tally_whose_file_is_cut_while_it_is_used_goes_on(tmp_path):
    file = tmp_path / "taken"
    tally = Tally(file)
    tally.set(7)
    os.truncate(file, 0)
    tally.set(8)  # mapped memory would end the process here
    assert Tally(file).value == 8


@pytest.mark.parametrize("change", ["removed", "replaced"])
def test_a_tally_whose_file_is_gone_is_written_anew(tmp_path, change):
    file = tmp_path / "taken"
    tally = Tally(file)
    tally.set(7)
    assert not tally.repair()
    file.unlink()
    if change == "replaced":
        file.write_bytes(bytes(8))
    tally.set(8)
    assert tally.repair()
    assert (Tally(file).value, tally.value, tally.repair()) == (8, 8, False)


def test_a_tally_writes_nothing_into_another_folder_at_the_place_of_its_own(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    tally = Tally(folder / "taken")
    tally.set(7)
    folder.rename(tmp_path / "away")
    assert not tally.repair()
    folder.mkdir()
    Tally(folder / "taken").set(3)
    tally.set(8)
    assert not tally.repair()
    assert Tally(folder / "taken").value == 3
    assert Tally(tmp_path / "away" / "taken").value == 8


def test_a_tally_that_cannot_be_written_says_why_and_counts_on(tmp_path):
    tally = Tally(tmp_path / "no folder" / "taken")
    tally.set(7)
    assert tally.value == 7
    assert "No such file" in tally.trouble
    assert not tally.repair()
    (tmp_path / "no folder").mkdir()
    assert tally.repair()
    assert (tally.trouble, tally.value) == (None, 7)


@pytest.mark.parametrize("found", [None, b"", b"cut"])
def test_a_tally_that_was_lost_is_that_of_the_store_and_said_to_be(path, tmp_path, found):
    Store(path).commit(commit(5))
    file = tmp_path / "ticks.taken"
    if found is not None:
        file.write_bytes(found)
    kept = Store(path).load(Tally(file), 10)
    assert (kept.lost, kept.unknown) == (0, True)
    again = Store(path).load(Tally(file), 10)
    assert (again.lost, again.unknown, Tally(file).value) == (0, False, 5)


def test_a_new_store_misses_no_tally(path, tally):
    assert not Store(path).load(tally, 10).unknown


def test_symbols_that_an_older_mtnet_spelt_otherwise_are_called_as_now(path, tally):
    store = Store(path)
    for name in (b"%5BNQ100%5D", b"UK%20100", b"A%40B", b"A@B", b"50%"):
        store.commit(commit(symbol=name))
    assert store.load(tally, 10).newest.keys() == {
        b"[NQ100]", b"UK%20100", b"A@B", b"50%"
    }  # fmt: skip
    assert store.load(tally, 10).newest[b"[NQ100]"] == (b"1.1", 17)


def test_two_spellings_that_an_older_mtnet_took_for_two_symbols_become_one(path, tally):
    store = Store(path)
    store.load(tally, 9)
    for symbol, when in ((b"BTC%3AUSDT", 17), (b"BTC%3aUSDT", 19), (b"BTC:USDT", 18)):
        store.commit(commit(2, symbol=symbol, when=when))
    store.close()
    kept = Store(path).load(tally, 9)
    assert kept.newest == {b"BTC:USDT": (b"1.1", 19)}
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT name, ticks FROM symbol").fetchall() == [("BTC:USDT", 6)]
        assert db.execute("SELECT ticks, first, last FROM heard").fetchall() == [(6, 17, 19)]
    assert [tick.received for tick in TickReader(path).ticks(b"BTC:USDT")] == [
        17,
        17,
        18,
        18,
        19,
        19,
    ]


def test_numbers_of_an_older_run_are_forgotten(path, tally):
    store, source = Store(path), Source("desk", 3)
    for number in (1, 2, 3):
        source.classify(Batch(number, b"A 1\n").seen(), 0)
    store.commit(commit(1, [source]))
    source.classify(Batch(1, b"B 2\n").seen(), 0)
    store.commit(commit(1, [source]))
    (found,) = store.load(tally, 10).sources
    assert found.known(1) == Batch(1, b"B 2\n").seen()
    assert found.known(2) is None
    assert sqlite3.connect(path).execute("SELECT count(*) FROM seen").fetchone() == (1,)


def test_numbers_that_fell_out_of_the_window_are_pruned(path, tally):
    store, source = Store(path), Source("desk", 3)
    for number in (1, 2, WINDOW + 50):
        source.classify(Batch(number, b"A 1\n").seen(), 0)
        store.commit(commit(1, [source]))
    assert sqlite3.connect(path).execute("SELECT count(*) FROM seen").fetchone() == (1,)


def test_of_too_many_gaps_the_newest_are_kept(path, tally):
    store, source = Store(path), Source("desk", 3)
    for number in range(0, 2 * (GAPS + 3), 2):
        source.classify(Batch(number).seen(), 0)
        if number % 500 == 0:
            store.commit(commit(1, [source]))
    store.commit(commit(1, [source]))
    rows = sqlite3.connect(path).execute("SELECT count(*), min(first) FROM gap").fetchone()
    assert rows == (GAPS, source.gaps[0].first)


def test_a_file_of_a_newer_mtnet_is_refused(path, tally):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="schema 99 of a newer mtnet"):
        Store(path).load(tally, 10)


def test_a_damaged_file_is_refused(path, tally):
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(JournalError, match="cannot be read or written"):
        Store(path).load(tally, 10)


def test_a_folder_that_is_gone_has_no_free_bytes_to_tell(tmp_path):
    with pytest.raises(JournalError, match="cannot be asked"):
        Store(tmp_path / "gone" / "ticks.sqlite").free()
