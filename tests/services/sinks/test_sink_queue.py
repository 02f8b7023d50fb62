"""The queue of a sink: in order, within its limit, over a kill."""

import os

import pytest
from fakes.threads import ManualThread
from sink_fakes import ticks
from zope.interface.verify import verifyObject

from mtnet.errors import JournalError
from mtnet.interfaces import ITickObserver
from mtnet.services.sinks.model import Row, Taken, row
from mtnet.services.sinks.queue import TickQueue
from mtnet.services.sinks.store import QueueStore, Waiting


@pytest.fixture
def store(tmp_path):
    store = QueueStore(tmp_path / "queue.sqlite", 1_000_000)
    store.open()
    return store


def reopened(store):
    store.close()
    other = QueueStore(store._path, store._limit)
    other.open()
    return other


def test_a_tick_is_a_row_with_the_digits_that_were_sent():
    whole = Taken(b"UK%20100", b"7001.50 7002 - 0.25 1796000000123 6", 1_796_000_000_999, "desk")
    assert row(7, whole) == Row(
        7,
        "UK 100",
        "desk",
        1_796_000_000_999,
        1_796_000_000_123,
        "7001.50",
        "7002",
        None,
        "0.25",
        6,
    )


def test_what_was_not_sent_is_not_there():
    assert row(1, Taken(b"EURUSD", b"1.1", 5, "desk")) == Row(
        1, "EURUSD", "desk", 5, None, "1.1", None, None, None, None
    )


def test_ticks_come_back_in_order_and_with_rising_numbers(store):
    for first in (0, 3, 6):
        store.add(ticks(3, first))
    batch = store.next(5)
    assert (batch.first, batch.last, list(batch.ticks)) == (1, 6, ticks(6))
    assert store.remove(batch.last).ticks == 3
    assert store.next(100) == (7, ticks(3, 6))


def test_a_kill_leaves_what_was_stored_and_the_name_of_the_queue(store):
    store.add(ticks(3))
    other = reopened(store)
    assert other.origin == store.origin != ""
    assert other.next(10).ticks == ticks(3)
    assert other.add(ticks(1)) == Waiting(4, other._waiting.bytes, 0)


def test_a_number_is_never_used_again_when_the_queue_was_empty(store):
    store.add(ticks(3))
    store.remove(3)
    other = reopened(store)
    assert other.next(10) is None
    other.add(ticks(1, 3))
    assert other.next(10).first == 4


def test_a_queue_that_is_full_drops_the_oldest_and_counts_them(tmp_path):
    store = QueueStore(tmp_path / "queue.sqlite", 4_000)
    store.open()
    noise = [Taken(b"EURUSD", os.urandom(500).hex().encode(), 5, "desk") for _ in range(2)]
    for _ in range(10):
        waiting = store.add(noise)
        assert waiting.bytes <= 4_000
    assert waiting.ticks + waiting.dropped == 20
    assert waiting.dropped > 0
    assert store.next(1).first == waiting.dropped + 1
    assert reopened(store).open() == waiting


def test_a_batch_does_not_reach_over_dropped_ticks(store):
    for first in (0, 1, 2):
        store.add(ticks(1, first))
    store._database.transaction(lambda c: c.execute("DELETE FROM batch WHERE first = 2"))
    assert store.next(10) == (1, ticks(1))


def test_damage_is_told_with_the_way_out(store):
    store.add(ticks(1))
    store._database.transaction(lambda c: c.execute("UPDATE batch SET data = x'00'"))
    with pytest.raises(JournalError, match=r"queue\.sqlite: the ticks from number 1 are damaged"):
        store.next(10)


# Taking ticks


def taken(queue, *symbols):
    queue.taken([(each, b"1.1 1.2") for each in symbols], 5, ["desk"] * len(symbols))


def test_a_queue_takes_the_symbols_that_its_patterns_name(store):
    queue = TickQueue(["EUR*", "UK 100"], store, ManualThread(held=False))
    verifyObject(ITickObserver, queue)
    taken(queue, b"EURUSD", b"GBPUSD", b"UK%20100", b"eurusd")
    queue.flush()
    assert [each.symbol for each in store.next(10).ticks] == [b"EURUSD", b"UK%20100"]


def test_a_flush_is_over_when_the_ticks_are_on_disk(store):
    thread, done, woken = ManualThread(), [], []
    queue = TickQueue(["*"], store, thread)
    queue.added = lambda: woken.append(queue.waiting.ticks)
    taken(queue, b"EURUSD")
    queue.flush().addCallback(done.append)
    assert (done, woken) == ([], [])
    thread.work()
    assert (done, woken) == ([None], [1])


def test_nothing_is_stored_when_nothing_came(store):
    thread = ManualThread()
    queue = TickQueue(["*"], store, thread)
    assert queue.flush().called
    assert thread.calls == []


def test_ticks_that_the_disk_does_not_take_are_counted_and_do_not_fail_the_flush(store, log):
    thread, done = ManualThread(), []
    thread.full = True
    queue = TickQueue(["*"], store, thread)
    taken(queue, b"EURUSD", b"GBPUSD")
    queue.flush().addBoth(done.append)
    thread.work()
    assert (done, queue.unstored) == ([None], 2)
