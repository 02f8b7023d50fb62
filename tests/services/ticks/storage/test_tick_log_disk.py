"""The log on the disk: what a kill, damage, and a disk that fails or is full, leave of it."""

import os
import sqlite3
from contextlib import closing

import pytest
from hot_stores import EURUSD, GBPUSD, NOON, again, commit_of, got, in_blocks, segment, tick
from old_tick_store import drop_spans

from mtnet.errors import JournalError
from mtnet.services.ticks.model import Seen, Source
from mtnet.services.ticks.storage import log, log_records
from mtnet.services.ticks.storage.commits import Commit
from mtnet.services.ticks.storage.hot import HotStore, copy_store
from mtnet.services.ticks.storage.log_records import PAGE, noted_in, scan
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.storage.schema import NO_LOG, SCHEMA
from mtnet.services.ticks.storage.tally import Tally


@pytest.fixture
def store(hot_store):
    return hot_store


# After a start


def test_the_state_after_a_start_is_that_of_the_log_too(store):
    desk = Source("desk", 3)
    desk.count_received(2, NOON)
    desk.remember(Seen(7, 2, -1))
    store.commit(commit_of({EURUSD: [tick(1), tick(2)]}, desk))
    desk.count_received(1, NOON + 5)
    store.commit(commit_of({EURUSD: [tick(3)]}, desk, NOON + 5))
    other, state = again(store)
    (found,) = state.sources
    assert (found.name, found.received, found.known(7)) == ("desk", 3, Seen(7, 2, -1))
    assert (state.newest, state.next, state.lost) == ({EURUSD: (tick(3), NOON + 5)}, 4, 0)
    other.merge()
    other, state = again(other)
    assert (state.newest, state.next, state.lost) == ({EURUSD: (tick(3), NOON + 5)}, 4, 0)
    other.close()


def test_a_file_of_an_mtnet_without_a_log_gets_one(store):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    store.merge()
    drop_spans(store.path, NO_LOG)
    assert got(store.path) == [tick(1)]
    newer, _ = again(store)
    newer.commit(commit_of({EURUSD: [tick(2)]}))
    assert got(store.path) == [tick(1), tick(2)]
    with closing(sqlite3.connect(store.path)) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (SCHEMA,)
    newer.close()


def test_a_log_that_ends_anywhere_gives_its_whole_records_and_says_so(store):
    ends = []
    for at in range(4):
        store.commit(commit_of({EURUSD: [tick(2 * at), tick(2 * at + 1)], GBPUSD: [b"%d" % at]}))
        ends.append(segment(store).stat().st_size)
    store.close()
    whole = segment(store).read_bytes()
    for size in range(len(whole)):
        segment(store).write_bytes(whole[:size])
        other = HotStore(store.path)
        state = other.load(Tally(store.path.parent / f"taken-{size}"), 10)
        complete = sum(end <= size for end in ends)
        assert got(store.path) == [tick(at) for at in range(2 * complete)]
        assert bool(state.notes) == (size not in (0, *ends))
        assert len(state.newest) == 2 * bool(complete)
        other.close()


def test_a_log_that_was_cut_goes_on_in_a_new_segment(store):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    store.commit(commit_of({EURUSD: [tick(2)]}))
    store.close()
    with open(segment(store), "r+b") as file:
        file.truncate(segment(store).stat().st_size - 1)
    other, _ = again(store)
    other.commit(commit_of({EURUSD: [tick(3)]}))
    assert got(store.path) == [tick(1), tick(3)]
    other.merge()
    assert got(store.path) == [tick(1), tick(3)]
    other.close()


@pytest.mark.parametrize("with_tally", [True, False])
def test_damage_in_the_middle_is_kept_counted_and_told(store, monkeypatch, with_tally):
    monkeypatch.setattr(log_records, "CHUNK", 2)
    for at in range(6):
        store.commit(commit_of({EURUSD: [tick(at)]}))
    store.close()
    tally = store.path.parent / "ticks.taken"
    if with_tally:
        Tally(tally).set(6)
    else:
        tally.unlink()
    data = bytearray(segment(store).read_bytes())
    place = scan(bytes(data)).records[2]
    data[place.begin + 3] ^= 0xFF
    segment(store).write_bytes(data)
    other, state = again(store)
    left = [tick(at) for at in (0, 1, 4, 5)]
    assert got(store.path) == left
    assert "with 2 ticks cannot be read" in state.notes[0]
    assert TickReader(store.path).symbols()[0]["ticks"] == 4
    assert state.lost == 2 * with_tally
    other.merge()
    assert got(store.path) == left
    assert TickReader(store.path).report()["totals"]["lost"] == 2
    assert segment(store, "1.damaged").read_bytes() == data
    other.close()


def test_any_damaged_byte_costs_no_more_than_its_chunk(store, monkeypatch):
    monkeypatch.setattr(log_records, "CHUNK", 1)
    for at in range(3):
        store.commit(commit_of({EURUSD: [tick(at)]}))
    store.close()
    whole = segment(store).read_bytes()
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 0x55
        segment(store).write_bytes(data)
        found = got(store.path)
        assert len(found) == 2
        assert set(found) < {tick(0), tick(1), tick(2)}


def test_zeros_in_the_middle_are_damage(store):
    for at in range(3):
        store.commit(commit_of({EURUSD: [tick(at)]}))
    store.close()
    first, second, _ = scan(segment(store).read_bytes()).records
    data = bytearray(segment(store).read_bytes())
    data[first.end : second.end] = bytes(second.end - first.end)
    segment(store).write_bytes(data)
    other, state = again(store)
    assert got(store.path) == [tick(0)]
    assert "with 2 ticks cannot be read" in state.notes[0]
    other.close()


# The disk


def test_a_record_that_does_not_fit_begins_a_page_and_forces_the_one_before(store, monkeypatch):
    forced, at = [], 0
    monkeypatch.setattr(log, "_flush", lambda file: forced.append(os.fstat(file).st_size))
    while len(forced) < 2:
        store.commit(commit_of({EURUSD: [tick(at)]}))
        at += 1
    assert [size // PAGE for size in forced] == [0, 1], "the next page is not begun"
    begins = {place.begin // PAGE for place in scan(segment(store).read_bytes()).records}
    assert begins == {0, 1, 2}
    store.sync_late()
    store.sync_late()
    assert len(forced) == 3
    assert got(store.path) == [tick(each) for each in range(at)]


def test_a_segment_is_forced_with_its_inode_before_the_kernel_writes_that(store, monkeypatch):
    forced, seconds = [], 100.0
    monkeypatch.setattr(log, "monotonic", lambda: seconds)
    monkeypatch.setattr(log, "_flush", lambda file: forced.append("data"))
    monkeypatch.setattr(log, "_flush_all", lambda file: forced.append("all"))
    for at, pause in enumerate((0, 6, 6, 6, 6, 31, 15)):
        seconds += pause
        store.commit(commit_of({EURUSD: [tick(at)]}, forced=True))
    assert forced == ["data", "data", "data", "all", "data", "data", "all"]


def test_a_segment_has_blocks_before_it_has_records(store, monkeypatch):
    monkeypatch.setattr(log, "ROOM", PAGE)
    sizes = set()
    for at in range(400):
        store.commit(commit_of({EURUSD: [tick(at)]}))
        sizes.add(segment(store).stat().st_size)
    assert 2 <= len(sizes) <= 4
    other, state = again(store)
    assert (got(store.path), state.notes) == ([tick(at) for at in range(400)], [])
    other.close()


def test_the_number_of_taken_ticks_is_in_the_page_that_is_written(store, tmp_path):
    tally = store._log.tally
    for at in range(300):
        tally.set(at + 1)
        store.commit(commit_of({EURUSD: [tick(at)]}))
        tally.set(at + 2)
        assert noted_in(segment(store).read_bytes()) == at + 2
    assert Tally(tmp_path / "ticks.taken").value == 1, "it is written where the segment begins"
    pages = {place.begin // PAGE for place in scan(segment(store).read_bytes()).records}
    assert len(pages) > 1
    killed = HotStore(store.path)
    assert killed.load(Tally(tmp_path / "ticks.taken"), 10).lost == 1
    assert got(store.path) == [tick(at) for at in range(300)]
    killed.close()


def test_a_merge_without_a_daemon_keeps_the_number_of_taken_ticks(store, tmp_path):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    store._log.tally.set(3)
    command = HotStore(store.path)
    command.prepare()
    command.merge()
    command.close()
    killed = HotStore(store.path)
    assert killed.load(Tally(tmp_path / "ticks.taken"), 10).lost == 2
    killed.close()


def test_the_number_of_taken_ticks_is_in_its_own_file_while_there_is_no_segment(store, tmp_path):
    tally = store._log.tally
    store.commit(commit_of({EURUSD: [tick(1)]}))
    tally.set(2)
    store.merge()
    assert Tally(tmp_path / "ticks.taken").value == 2
    tally.set(3)
    assert Tally(tmp_path / "ticks.taken").value == 3


@pytest.mark.parametrize("size", [PAGE - 12, PAGE, 3 * PAGE - 5, 3 * PAGE + 1])
def test_a_record_of_any_size_has_the_number_behind_it(tmp_path, size):
    found = log.TickLog(tmp_path / "log")
    found.tally = Tally(tmp_path / "ticks.taken")
    for at in range(3):
        found.append(b"\1" * size, False)
        found.tally.set(at + 7)
    data = (tmp_path / "log" / "1").read_bytes()
    assert (noted_in(data), data.count(b"\1" * size)) == (9, 3)
    found.close()


@pytest.mark.parametrize("room", range(1, 20))
def test_a_page_may_have_any_room_left(store, monkeypatch, room):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    size = segment(store).stat().st_size + room
    monkeypatch.setattr(log_records, "PAGE", size)
    monkeypatch.setattr(log, "PAGE", size)
    store.commit(commit_of({EURUSD: [tick(2)]}))
    assert segment(store).stat().st_size > size
    assert got(store.path) == [tick(1), tick(2)]


def test_a_forced_commit_is_forced(store, monkeypatch):
    forced = []
    monkeypatch.setattr(log, "_flush", forced.append)
    store.commit(commit_of({EURUSD: [tick(1)]}))
    assert forced == []
    store.commit(commit_of({EURUSD: [tick(2)]}, forced=True))
    assert len(forced) == 1
    store.commit(commit_of({EURUSD: [tick(3)]}))
    store.commit(Commit(forced=True))
    assert len(forced) == 2


def test_a_disk_that_is_full_takes_nothing_and_all_of_it_later(store, monkeypatch):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    really = os.pwrite
    commit = commit_of({EURUSD: [tick(2)]})
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", lambda file, data, at: really(file, data[:10], at))
        with pytest.raises(JournalError, match="No space left"):
            store.commit(commit)
    assert got(store.path) == [tick(1)]
    store.commit(commit)
    store.commit(commit_of({EURUSD: [tick(3)]}))
    assert got(store.path) == [tick(1), tick(2), tick(3)]
    assert scan(segment(store).read_bytes()).damaged == 0


def test_what_a_disk_may_not_have_is_merged_before_a_sync_says_that_it_has(store, monkeypatch):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    commit = commit_of({EURUSD: [tick(2)]}, forced=True)

    def fails(file):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(log, "_flush", fails)
        with pytest.raises(JournalError, match="does not reach the disk"):
            store.commit(commit)
    assert got(store.path) == [tick(1)]
    store.commit(commit)
    assert in_blocks(store.path) == 1
    assert got(store.path) == [tick(1), tick(2)]


def test_a_disk_that_fails_does_not_keep_a_store_from_closing(store, monkeypatch):
    def fails(file):
        raise OSError(5, "Input/output error")

    store.commit(commit_of({EURUSD: [tick(1)]}))
    monkeypatch.setattr(log, "_flush", fails)
    store.close()
    assert got(store.path) == [tick(1)]


def test_a_log_whose_folder_is_gone_takes_nothing(store):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    segment(store).unlink()
    with pytest.raises(JournalError, match="is gone"):
        store.commit(commit_of({EURUSD: [tick(2)]}))


def test_a_merge_that_fails_is_made_again(store, failing):
    for at in range(3):
        store.commit(commit_of({EURUSD: [tick(at)]}))
    for step in ("before", "behind"):
        store.commit(commit_of({GBPUSD: [b"1"]}))
        failing(step)
        with pytest.raises(JournalError):
            store.merge()
        store.commit(commit_of({GBPUSD: [b"1"]}))
        store.merge()
        assert got(store.path) == [tick(at) for at in range(3)]
    assert got(store.path, GBPUSD) == [b"1"] * 4


def test_a_copy_has_the_log_too(store, tmp_path):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    store.merge()
    store.commit(commit_of({EURUSD: [tick(2)]}))
    (tmp_path / "copy").mkdir()
    copy_store(store.path, tmp_path / "copy" / "ticks.sqlite")
    assert os.listdir(tmp_path / "copy") == ["ticks.sqlite"]
    assert got(tmp_path / "copy" / "ticks.sqlite") == [tick(1), tick(2)]
    assert got(store.path) == [tick(1), tick(2)]
