"""What is on disk is given out whole, in order, and beside whoever writes."""

import sqlite3
import tempfile
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from old_tick_store import drop_spans
from twisted.internet.task import Clock

from mtnet.errors import ClientError, JournalError
from mtnet.interfaces import ITicks
from mtnet.services.ticks.model import Batch, Source
from mtnet.services.ticks.storage import reader as archive
from mtnet.services.ticks.storage import rows
from mtnet.services.ticks.storage.blocks import Series
from mtnet.services.ticks.storage.commits import Commit, snapshot
from mtnet.services.ticks.storage.reader import LAST_NUMBER, TickReader
from mtnet.services.ticks.storage.schema import NO_SPANS
from mtnet.services.ticks.storage.store import Store
from mtnet.testing import EPOCH, make_environment

EURUSD = b"EURUSD"
NOON = 1_549_281_600_000


def tick(time=None, bid=b"1.1"):
    """What follows the symbol; `time` lies behind noon."""
    return bid if time is None else b"%b - - - %d" % (bid, NOON + time)


@pytest.fixture
def store(tmp_path):
    """A store of its own, with a sender called desk."""
    made = Store(tmp_path / "ticks.sqlite")
    made.commit(Commit(sources=[snapshot(Source("desk", 3))]))
    yield made
    made.close()


def put(store, *ticks, received=NOON, symbol=EURUSD):
    """Store ticks as one block."""
    series = Series(symbol, None, list(ticks), [(received, 3)] * len(ticks))
    store.commit(Commit(blocks=list(series.pack())))


def got(store, start=None, stop=None):
    found = TickReader(store.path).ticks(EURUSD, start, stop)
    return [each.rest for each in found]


def damage(store, number):
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("UPDATE small_block SET data = x'00' WHERE id = ?", (number,))
        connection.commit()


# The order


TIMES = st.one_of(st.none(), st.integers(0, 20))
BLOCKS = st.lists(
    st.tuples(st.integers(0, 20), st.lists(TIMES, min_size=1, max_size=6)), max_size=12
)
EDGES = st.one_of(st.none(), st.integers(-1, 22))


@settings(max_examples=60, deadline=None)
@given(blocks=BLOCKS, start=EDGES, stop=EDGES, page=st.integers(1, 4))
def test_ticks_come_in_the_order_of_their_times_and_equal_ones_in_that_of_arrival(
    blocks, start, stop, page
):
    model = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "PAGE", page)
        patch.setattr(rows, "FULL", 3)
        store = Store(Path(folder) / "ticks.sqlite")
        store.prepare()
        for received, times in blocks:
            records = [tick(time, b"%d" % (len(model) + at)) for at, time in enumerate(times)]
            put(store, *records, received=NOON + received)
            orders = [received if time is None else time for time in times]
            model += zip(orders, records, strict=True)
        low, high = -1 if start is None else start, 99 if stop is None else stop
        expected = [
            rest for time, rest in sorted(model, key=lambda row: row[0]) if low <= time < high
        ]
        edges = [None if edge is None else NOON + edge for edge in (start, stop)]
        assert got(store, *edges) == expected
        store.close()


FAR = 9_999_999
TAKEN = st.lists(
    st.tuples(
        st.sampled_from(["desk-1", "desk-2"]),
        st.lists(st.one_of(TIMES, st.just(FAR)), min_size=1, max_size=3),
    ),
    max_size=40,
)


@settings(max_examples=40, deadline=None)
@given(taken=TAKEN, page=st.integers(1, 4))
def test_many_small_blocks_of_several_senders_keep_that_order_around_a_far_off_time(taken, page):
    model = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "PAGE", page)
        clock = Clock()
        collector = make_environment(Path(folder), clock).find(ITicks)
        for at, (name, times) in enumerate(taken):
            records = [tick(time, b"%d.%d" % (at, place)) for place, time in enumerate(times)]
            collector.take(
                collector.source(name), [(EURUSD, each) for each in records], EPOCH + at % 3
            )
            collector.sync()
            clock.advance(1)
            orders = [EPOCH + at % 3 if time is None else NOON + time for time in times]
            model += zip(orders, records, [name] * len(times), strict=True)
        found = TickReader(Path(folder) / "ticks.sqlite").ticks(EURUSD)
        assert [(each.time, each.rest, each.source) for each in found] == sorted(
            model, key=lambda row: row[0]
        )
        collector.close()


def test_more_blocks_than_are_read_at_once_are_told_all_and_in_order(store):
    for at in reversed(range(2 * archive.PAGE + 1)):
        put(store, tick(at), tick(at + 3))
    found = [each.time - NOON for each in TickReader(store.path).ticks(EURUSD)]
    every = range(2 * archive.PAGE + 1)
    assert found == sorted([*every, *(at + 3 for at in every)])


def test_a_tick_is_told_with_who_sent_it_and_when(env_with, tmp_path):
    collector = env_with().find(ITicks)
    collector.take(collector.source("desk-1"), [(EURUSD, tick(5))], EPOCH)
    collector.take(collector.source("192.0.2.7"), [(EURUSD, tick())], EPOCH + 1)
    collector.sync()
    found = list(TickReader(tmp_path / "data" / "ticks.sqlite").ticks(EURUSD))
    assert found == [
        (NOON + 5, tick(5), EPOCH, "desk-1", None),
        (EPOCH + 1, tick(), EPOCH + 1, "192.0.2.7", None),
    ]


def test_a_symbol_that_never_came_has_no_ticks(store):
    put(store, tick(), symbol=b"GBPUSD")
    assert got(store) == []


# What is read, and when


def test_one_far_off_tick_does_not_hold_up_those_that_are_sure(store):
    put(store, tick(0), tick(9_999_999))
    for at in (1, 2, 3):
        put(store, tick(at))
    damage(store, 4)
    found = islice(TickReader(store.path).ticks(EURUSD), 2)
    assert [each.rest for each in found] == [tick(0), tick(1)]


@pytest.mark.parametrize(("start", "stop"), [(10, 20), (None, 20), (10, None)])
def test_blocks_outside_the_times_that_are_asked_for_are_not_opened(store, start, stop):
    put(store, tick(9))
    put(store, tick(10), tick(19))
    put(store, tick(20))
    for number, outside in ((1, start is not None), (3, stop is not None)):
        if outside:
            damage(store, number)
    edges = [None if edge is None else NOON + edge for edge in (start, stop)]
    assert {tick(10), tick(19)} <= set(got(store, *edges))


def test_what_is_stored_while_somebody_reads_is_left_for_the_next_reader(store, monkeypatch):
    monkeypatch.setattr(archive, "PAGE", 1)
    put(store, tick(0))
    put(store, tick(2))
    reading = TickReader(store.path).ticks(EURUSD)
    seen = [next(reading).rest]
    put(store, tick(1))
    put(store, tick(3))
    assert seen + [each.rest for each in reading] == [tick(0), tick(2)]
    assert got(store) == [tick(0), tick(1), tick(2), tick(3)]


def test_what_a_daemon_takes_while_somebody_reads_is_left_for_the_next_reader(
    env_with, tmp_path, clock, monkeypatch
):
    monkeypatch.setattr(archive, "PAGE", 1)
    collector = env_with().find(ITicks)

    def take(name, at):
        collector.take(collector.source(name), [(EURUSD, tick(at))], EPOCH)
        collector.sync()
        clock.advance(1)

    for at in (0, 2, 4):
        take("desk-1", at)
    reader = TickReader(tmp_path / "data" / "ticks.sqlite")
    reading = reader.ticks(EURUSD)
    seen = [next(reading)]
    for at in (1, 3, 5):
        take("desk-2", at)
    seen += reading
    assert [(each.time - NOON, each.source) for each in seen] == [
        (at, "desk-1") for at in (0, 2, 4)
    ]
    assert [each.time - NOON for each in reader.ticks(EURUSD)] == list(range(6))


def test_somebody_who_reads_slowly_does_not_let_the_log_grow(store, monkeypatch):
    monkeypatch.setattr(archive, "PAGE", 1)
    for at in range(3):
        put(store, tick(at))
    reading = TickReader(store.path).ticks(EURUSD)
    next(reading)
    with closing(sqlite3.connect(store.path)) as connection:
        (busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert not busy
    assert Path(f"{store.path}-wal").stat().st_size == 0
    assert len(list(reading)) == 2


def test_an_hour_is_looked_for_no_earlier_than_the_longest_block_could_reach_it(store, monkeypatch):
    monkeypatch.setattr(rows, "FULL", 1)
    for at in range(0, 100, 10):
        put(store, tick(at), tick(at + 9))
    put(store, tick(5), tick(35))
    begun = []

    def ask_for(connection, asked):
        begun.append((asked["first"], asked["id"]))
        return page(connection, asked)

    page = archive.read_page
    monkeypatch.setattr(archive, "read_page", ask_for)
    assert got(store, NOON + 90, NOON + 100) == [tick(90), tick(99)]
    assert got(store, NOON + 34, NOON + 40) == [tick(35), tick(39)]
    assert begun == [(NOON + 90 - 30 - 1, LAST_NUMBER), (NOON + 34 - 30 - 1, LAST_NUMBER)]
    drop_spans(store.path, NO_SPANS)
    assert got(store, NOON + 34, NOON + 40) == [tick(35), tick(39)]
    store.close()
    store.prepare()
    with closing(sqlite3.connect(store.path)) as connection:
        assert connection.execute("SELECT longest FROM span").fetchall() == [(30,)]


# What is wrong with the file


def test_a_damaged_block_is_named_with_its_file(store):
    put(store, tick(0))
    put(store, tick(1))
    damage(store, 2)
    with pytest.raises(JournalError) as raised:
        got(store)
    assert f"Block 2 of {store.path}" in str(raised.value)


def test_a_store_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(ClientError, match="no ticks in"):
        TickReader(tmp_path / "ticks.sqlite")
    assert not list(tmp_path.iterdir())


def test_a_store_of_a_newer_mtnet_is_not_read(store):
    with closing(sqlite3.connect(store.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="schema 99"):
        TickReader(store.path)


def test_a_file_that_is_no_database_is_told_in_a_sentence(tmp_path):
    file = tmp_path / "ticks.sqlite"
    file.write_bytes(b"no database" * 1_000)
    with pytest.raises(JournalError, match="cannot be read"):
        TickReader(file)


def test_a_reader_changes_nothing(store):
    put(store, tick(0))
    store.close()
    before = store.path.read_bytes()
    got(store)
    TickReader(store.path).report()
    assert store.path.read_bytes() == before


# Lists


def test_each_symbol_is_listed_with_its_ticks_and_their_times(env_with, tmp_path):
    collector = env_with().find(ITicks)
    for name in ("desk-1", "desk-2"):
        records = [(EURUSD, tick(5)), (EURUSD, tick(3)), (b"XAUUSD", tick())]
        collector.take(collector.source(name), records, EPOCH)
    collector.sync()
    eurusd, xauusd = TickReader(tmp_path / "data" / "ticks.sqlite").symbols()
    assert (eurusd["symbol"], xauusd["symbol"]) == ("EURUSD", "XAUUSD")
    assert (eurusd["ticks"], xauusd["ticks"]) == (4, 2)
    assert (eurusd["first"], eurusd["last"]) == (NOON + 3, NOON + 5)
    assert (xauusd["first"], xauusd["last"]) == (EPOCH, EPOCH)


@pytest.fixture
def reported(env_with, tmp_path):
    """The report on two senders, one of which numbers its datagrams and lost three of them."""
    collector = env_with().find(ITicks)
    desk, plain = collector.source("desk-1"), collector.source("192.0.2.7")
    for number, when in ((1, 0), (5, 2_000), (3, 2_500)):
        desk.classify(Batch(number, b"EURUSD 1.%d\n" % number).seen(), EPOCH + when)
        collector.take(desk, [(EURUSD, tick())], EPOCH + when)
    collector.count_refused(desk, 2, EPOCH + 2_600)
    collector.count_repeated(desk, [(EURUSD, tick())] * 4, EPOCH + 2_700)
    collector.count_dropped(desk, 8, EPOCH + 2_800)
    collector.take(plain, [(EURUSD, tick()), (b"XAUUSD", tick())], EPOCH)
    collector.sync()
    return TickReader(tmp_path / "data" / "ticks.sqlite").report()


def test_the_report_says_what_became_of_each_record_of_a_source(reported):
    desk, plain = reported["sources"]
    assert (desk["source"], plain["source"]) == ("desk-1", "192.0.2.7")
    counts = ("received", "stored", "dropped", "refused", "repeated", "missing")
    assert [desk[name] for name in counts] == [17, 3, 8, 2, 4, 2]
    assert [plain[name] for name in counts] == [2, 2, 0, 0, 0, 0]
    assert (desk["first"], desk["last"], desk["silence"]) == (EPOCH, EPOCH + 2_800, 2_000)


def test_the_report_names_the_gaps_and_how_much_of_them_came_late(reported):
    (gap,) = reported["gaps"]
    assert (gap["source"], gap["first"], gap["last"]) == ("desk-1", 2, 4)
    assert (gap["found"], gap["late"], gap["missing"]) == (EPOCH + 2_000, 1, 2)


def test_the_report_says_what_came_of_each_symbol_from_each_source(reported):
    found = {(row["source"], row["symbol"]): row for row in reported["symbols"]}
    assert {pair: row["stored"] for pair, row in found.items()} == {
        ("desk-1", "EURUSD"): 3,
        ("192.0.2.7", "EURUSD"): 1,
        ("192.0.2.7", "XAUUSD"): 1,
    }
    heard = found["desk-1", "EURUSD"]
    assert (heard["first"], heard["last"], heard["silence"]) == (EPOCH, EPOCH + 2_500, 2_000)


def test_the_totals_say_what_a_kill_has_cost(env_with, tmp_path):
    collector = env_with().find(ITicks)
    collector.take(collector.source("desk-1"), [(EURUSD, tick())], EPOCH)
    collector.sync()
    collector.take(collector.source("desk-1"), [(EURUSD, tick()), (EURUSD, tick())], EPOCH)
    env_with()
    totals = TickReader(tmp_path / "data" / "ticks.sqlite").report()["totals"]
    assert totals == {"stored": 1, "lost": 2, "unstored": 0, "kernel drops": 0}
