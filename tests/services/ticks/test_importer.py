"""An import adds what is missing, and nothing else, however often it is done."""

import gzip
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtnet.errors import ClientError
from mtnet.interfaces import ITicks
from mtnet.services.ticks.bars.series import MAX_AHEAD
from mtnet.services.ticks.files import importer, mt5
from mtnet.services.ticks.files.importer import Importer, UnsortedError
from mtnet.services.ticks.storage.blocks import BLOCK
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.testing import EPOCH

EURUSD = b"EURUSD"
NOON = 1_549_281_600_000


def row(at, bid="1.1"):
    """A row of a file; `at` lies behind noon."""
    return NOON + at, f"{bid} - - - {NOON + at} 2".encode()


def bring(path, *ticks, symbol=EURUSD, received=EPOCH):
    """Import rows; return how many were new, and how many were there."""
    one = Importer(path, symbol, received)
    rows = [(line, *each) for line, each in enumerate(ticks, 2)]
    one.run(lambda: rows, lambda done: None, sort=True)
    return one.added, one.known


def stored(path, symbol=EURUSD):
    return [(each.time, each.rest) for each in TickReader(path).ticks(symbol)]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ticks.sqlite"


@pytest.fixture
def beside(env_with, tmp_path):
    """A daemon's collector, and the file that it writes."""
    return env_with().find(ITicks), tmp_path / "data" / "ticks.sqlite"


# Once each


def test_the_real_file_is_imported_once_and_exported_byte_for_byte(real_data, path):
    file = real_data / "EURUSD-2019-02-04.ticks.csv.gz"
    counted = []
    for expected in ((136_741, 0), (0, 136_741)):
        one = Importer(path, EURUSD, EPOCH)
        one.run(lambda file=file: mt5.rows(file), counted.append)
        assert (one.added, one.known) == expected
    assert sum(counted) == 2 * 136_741
    written = mt5.HEADER + b"".join(mt5.format_row(*each) for each in stored(path))
    assert written == gzip.decompress(file.read_bytes())


ROWS = st.lists(st.builds(row, st.integers(0, 6), st.sampled_from(["1.1", "1.2"])), max_size=25)
PIECES = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), min_size=1, max_size=5)


@settings(max_examples=40, deadline=None)
@given(file=ROWS, pieces=PIECES, chunk=st.integers(1, 5))
def test_pieces_that_overlap_leave_each_tick_as_often_as_the_piece_that_has_it_most(
    file, pieces, chunk
):
    file.sort(key=lambda each: each[0])
    expected = Counter()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(importer, "BLOCK", chunk)
        path = Path(folder) / "ticks.sqlite"
        for start, stop in pieces:
            piece = Counter(file[start:stop])
            new = (expected | piece) - expected
            assert bring(path, *file[start:stop]) == (new.total(), piece.total() - new.total())
            expected |= piece
        assert Counter(stored(path)) == expected


def test_a_tick_of_the_future_is_refused_and_those_before_it_stay(path, monkeypatch):
    monkeypatch.setattr(importer, "BLOCK", 2)
    allowed = (0, 1, MAX_AHEAD)
    with pytest.raises(
        ClientError, match=r"Line 5 lies in the future, at 2019\.02\.05 03:00:00\.001"
    ):
        bring(path, *map(row, (*allowed, MAX_AHEAD + 1)), received=NOON)
    assert stored(path) == [row(0), row(1)]
    assert bring(path, *map(row, allowed), received=NOON) == (1, 2)


def test_equal_ticks_of_a_file_stay_as_many_as_they_are(path):
    assert bring(path, row(0), row(0), row(1)) == (3, 0)
    assert bring(path, row(0), row(0), row(0), row(1)) == (1, 3)
    assert stored(path) == [row(0), row(0), row(0), row(1)]


def test_a_tick_that_differs_in_one_field_is_another_one(path):
    bring(path, row(0, "1.1"))
    assert bring(path, row(0, "1.10001")) == (1, 0)
    time, record = row(0, "1.1")
    assert bring(path, (time, record.removesuffix(b"2") + b"6")) == (1, 0)


def test_a_field_that_is_absent_is_the_same_whether_it_was_left_out_or_not(path):
    time, record = row(0)
    bring(path, (time, record.removesuffix(b" 2")))
    assert bring(path, (time, record.removesuffix(b"2") + b"-")) == (0, 1)


def test_an_export_laid_over_a_recording_of_the_same_ticks_adds_nothing(beside):
    collector, path = beside
    sent = (b"1.1 1.11 0 0", b"1.10000 1.11000 - -", b"1.10001 1.11000 0 0")
    records = [(EURUSD, b"%b %d 6" % (each, NOON + at)) for at, each in enumerate(sent)]
    collector.take(collector.source("desk"), records, EPOCH)
    collector.sync()
    written = (b"1.10000 1.11000", b"1.10000 1.11000", b"1.10001 1.11000")
    file = [(NOON + at, b"%b - - %d 6" % (each, NOON + at)) for at, each in enumerate(written)]
    assert bring(path, *file) == (0, 3)
    assert [rest for _, rest in stored(path)] == [rest for _, rest in records], "digits as sent"


def test_what_was_exported_is_there_already_although_it_had_neither_time_nor_flags(beside):
    collector, path = beside
    collector.take(collector.source("desk"), [(EURUSD, b"1.1 1.2"), (EURUSD, b"1.3")], EPOCH)
    collector.sync()
    exported = [mt5.format_row(*each) for each in stored(path)]
    file = path.with_name("export.csv")
    file.write_bytes(mt5.HEADER + b"".join(exported))
    one = Importer(path, EURUSD, EPOCH)
    one.run(lambda: mt5.rows(file), lambda done: None)
    assert (one.added, one.known) == (0, 2)


def test_the_ticks_of_another_symbol_do_not_count(path):
    bring(path, row(0))
    assert bring(path, row(0), symbol=b"GBPUSD") == (1, 0)


def test_equal_times_are_compared_as_one_however_many_they_are(path, monkeypatch):
    monkeypatch.setattr(importer, "BLOCK", 2)
    ticks = [row(0, f"1.{at}") for at in range(7)]
    assert bring(path, *ticks, row(1)) == (8, 0)
    assert bring(path, *reversed(ticks), row(1)) == (0, 8)


def test_more_ticks_of_one_time_than_a_block_holds_are_dealt_with_at_once(path):
    ticks = [row(1, f"1.{at}") for at in range(BLOCK + 4)]
    done = []
    for expected, file in (((BLOCK + 6, 0), ticks), ((0, BLOCK + 6), ticks[::-1])):
        one = Importer(path, EURUSD, EPOCH)
        rows = [(2, *row(0)), *((3, *each) for each in file), (9_999, *row(2))]
        one.run(lambda rows=rows: rows, done.append)
        assert (one.added, one.known) == expected
    assert done == [BLOCK + 5, 1] * 2
    assert stored(path) == [row(0), *ticks, row(2)]


# What goes wrong


@settings(max_examples=40, deadline=None)
@given(file=ROWS, chunk=st.integers(1, 5))
def test_rows_in_any_order_are_stored_as_if_they_had_been_sorted(file, chunk):
    expected = sorted(file, key=lambda each: each[0])
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(importer, "BLOCK", chunk)
        path = Path(folder) / "ticks.sqlite"
        assert bring(path, *file) == (len(file), 0)
        assert Counter(stored(path)) == Counter(file)
        assert [time for time, _ in stored(path)] == [time for time, _ in expected]
        assert bring(path, *file) == (0, len(file))


def test_the_first_row_that_goes_back_in_time_is_named(path):
    one = Importer(path, EURUSD, EPOCH)
    rows = [(2, *row(1)), (3, *row(2)), (4, *row(0)), (5, *row(3)), (6, *row(0))]
    refusing = Importer(path, EURUSD, EPOCH)
    with pytest.raises(UnsortedError, match=r"^Line 4 goes back in time, from .* to .*--sort"):
        refusing.run(lambda: rows, lambda done: None)
    assert (refusing.added, stored(path)) == (0, [])
    one.run(lambda: rows, lambda done: None, sort=True)
    assert (one.unsorted, one.added, one.known) == (4, 5, 0)
    assert stored(path) == [row(0), row(0), row(1), row(2), row(3)]


def test_an_import_that_was_broken_off_goes_on_where_it_was(path, monkeypatch):
    monkeypatch.setattr(importer, "BLOCK", 2)
    file = [row(at) for at in range(10)]

    def cut(done):
        raise KeyboardInterrupt

    one = Importer(path, EURUSD, EPOCH)
    with pytest.raises(KeyboardInterrupt):
        one.run(lambda: [(2, *each) for each in file], cut)
    there = len(stored(path))
    assert 0 < there < 10
    assert bring(path, *file) == (10 - there, there)
    assert stored(path) == file


# Beside a daemon


def test_what_a_daemon_took_is_there_already_whoever_sent_it(beside):
    collector, path = beside
    for at in range(4):
        collector.take(collector.source(f"desk-{at}"), [(EURUSD, row(at)[1])], EPOCH + at)
    collector.sync()
    assert bring(path, *(row(at) for at in range(6))) == (2, 4)
    assert [each.source for each in TickReader(path).ticks(EURUSD)] == [
        *(f"desk-{at}" for at in range(4)),
        *["(import)"] * 2,
    ]


def test_a_daemon_goes_on_storing_behind_an_import(beside):
    collector, path = beside
    bring(path, row(0))
    collector.take(collector.source("desk-1"), [(EURUSD, row(1)[1])], EPOCH)
    collector.sync()
    assert stored(path) == [row(0), row(1)]


def test_what_was_imported_counts_as_neither_taken_nor_lost(beside, env_with):
    collector, path = beside
    collector.take(collector.source("desk-1"), [(EURUSD, row(0)[1])], EPOCH)
    collector.sync()
    bring(path, *(row(at) for at in range(1, 6)))
    assert env_with().find(ITicks).lost == 0
    totals = TickReader(path).report()["totals"]
    assert totals == {"stored": 1, "lost": 0, "unstored": 0, "kernel drops": 0}


def test_a_daemon_that_stores_between_two_chunks_is_not_stored_again(beside, clock, monkeypatch):
    monkeypatch.setattr(importer, "BLOCK", 2)
    collector, path = beside

    def take(done):
        if not collector.health()["received"]:
            collector.take(collector.source("desk-1"), [(EURUSD, row(3)[1])], EPOCH)
            collector.sync()

    one = Importer(path, EURUSD, EPOCH)
    one.run(lambda: [(at + 2, *row(at)) for at in range(6)], take)
    assert (one.added, one.known) == (5, 1)
    assert stored(path) == [row(at) for at in range(6)]
    collector.take(collector.source("desk-1"), [(EURUSD, row(6)[1])], EPOCH)
    collector.sync()
    clock.advance(1)
    assert stored(path) == [row(at) for at in range(7)]
    assert TickReader(path).report()["totals"]["stored"] == 2


def test_an_import_is_no_news_for_those_who_subscribe(beside, env_with):
    collector, path = beside
    collector.take(collector.source("desk-1"), [(EURUSD, row(5)[1])], EPOCH)
    collector.sync()
    bring(path, row(0), row(9))
    bring(path, row(0), symbol=b"GBPUSD")
    later = env_with().find(ITicks)
    assert later.last_tick(EURUSD) == (row(5)[1], EPOCH)
    assert later.last_tick(b"GBPUSD") is None


def test_what_was_imported_stands_in_the_lists(path):
    bring(path, row(0), row(1), received=EPOCH)
    bring(path, row(0), row(1), received=EPOCH + 1)
    bring(path, row(2), received=EPOCH + 2)
    archive = TickReader(path)
    (listed,) = archive.symbols()
    assert (listed["ticks"], listed["first"], listed["last"]) == (3, NOON, NOON + 2)
    report = archive.report()
    (source,), (heard,) = report["sources"], report["symbols"]
    assert (source["source"], source["received"], source["stored"]) == ("(import)", 3, 3)
    assert (heard["stored"], heard["first"], heard["last"]) == (3, EPOCH, EPOCH + 2)


def test_a_tick_is_given_the_time_of_its_import(path):
    bring(path, row(0), received=EPOCH + 7)
    assert [each.received for each in TickReader(path).ticks(EURUSD)] == [EPOCH + 7]
