"""The batches of a connection: each of their ticks is stored once, however often it is sent."""

from dataclasses import replace
from types import SimpleNamespace
from zlib import decompress

import pytest
from fakes.threads import ManualThread
from tick_server import merged_rows

from mtnet.access.rights import EVERYTHING
from mtnet.interfaces import ISignals, ITicks
from mtnet.services.ticks import wire
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.ingest import StreamIngest, record_reader
from mtnet.services.ticks.storage.blocks import unpack
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.storage.tally import Tally

ANYBODY = SimpleNamespace(rights=EVERYTHING)


class Server:
    """A env, and the connections to it."""

    def __init__(self, env):
        self.env, self.collector = env, env.find(ITicks)
        self.errors = []

    def dial(self):
        reader = record_reader(self.env.of("ticks"))
        return StreamIngest(reader, self.env.now, "127.0.0.1", self.errors.append, ANYBODY)

    def send(self, number, *ticks, stream=None):
        """Send a batch, or the beginning of one, record by record; return the connection."""
        stream = stream or self.dial()
        stream.begin(wire.Header("desk", number, b""))
        for tick in ticks:
            stream.take(b"EURUSD %d\n" % tick)
        return stream

    def flush(self):
        self.env.clock.advance(self.env.of("ticks").section.flush)

    def count(self, *names):
        return [self.collector.health()[name] for name in names]

    @property
    def desk(self):
        return self.collector.source("desk")

    def stored(self):
        """Return the bids on disk in the order of arrival, once all that was taken is there."""
        self.flush()
        return on_disk(self.env)


def on_disk(env):
    rows = merged_rows(env.config.data, "SELECT data FROM block ORDER BY id")
    return [int(rest) for (data,) in rows for rest in unpack(decompress(data))[1]]


@pytest.fixture
def serve(env_with):
    """Start a server in the test's own data folder: `serve("ticks.queue=10")`."""
    return lambda *sets: Server(env_with("reserve=0", *sets))


def test_what_a_header_precedes_is_of_its_source_and_all_else_of_the_address(serve):
    server = serve()
    stream = server.dial()
    stream.take(b"EURUSD 1\nEURUSD 2\n")
    server.send(1, 3, stream=stream)
    assert server.collector.source("127.0.0.1").received == 2
    assert server.desk.received == 1
    assert server.stored() == [1, 2, 3]


def test_kept_counts_what_is_stored_and_not_what_was_refused(serve):
    server = serve("ticks.max_symbols=1")
    stream = server.dial()
    stream.take(b"EURUSD 1\nEURUSD x\nGBPUSD 2\nEURUSD 3\n")
    assert stream.kept == 2
    assert server.stored() == [1, 3]
    assert [error.code for error in server.errors] == ["tick", "symbol"]


def test_kept_does_not_count_what_was_dropped(serve):
    server = serve("ticks.queue=2")
    stream = server.dial()
    stream.take(b"EURUSD 1\nEURUSD 2\n")
    stream.take(b"EURUSD 3\n")
    assert stream.kept == 2
    assert server.count("dropped") == [1]


# Repetitions


@pytest.mark.parametrize("where", ["the same connection", "another one", "the next daemon"])
def test_a_batch_that_is_sent_again_is_counted_and_not_stored(serve, where):
    server = serve()
    first = server.send(7, 1, 2, 3)
    if where == "the next daemon":
        server.collector.close()
        server = serve()
    stream = server.send(7, 1, 2, 3, stream=first if where == "the same connection" else None)
    assert server.stored() == [1, 2, 3]
    assert server.count("repeated") == [3]
    assert server.desk.repeats == 1
    assert stream.kept == (6 if where == "the same connection" else 3)


@pytest.mark.parametrize("arrived", range(5))
def test_a_batch_that_was_cut_is_completed_by_its_repetition(serve, arrived):
    server = serve()
    ticks = range(1, 5)
    server.send(7, *ticks[:arrived]).cut()
    stream = server.send(7, *ticks)
    assert server.stored() == [1, 2, 3, 4]
    assert stream.kept == 4
    assert server.count("repeated") == [arrived]
    server.send(7, *ticks)
    assert server.stored() == [1, 2, 3, 4]


@pytest.mark.parametrize("second", range(5))
@pytest.mark.parametrize("first", range(5))
def test_a_repetition_that_is_cut_too_is_completed_by_the_next(serve, first, second):
    server = serve()
    ticks = range(1, 5)
    server.send(7, *ticks[:first]).cut()
    server.send(7, *ticks[:second]).cut()
    stream = server.send(7, *ticks)
    assert server.stored() == [1, 2, 3, 4]
    assert stream.kept == 4


def test_what_is_held_at_a_cut_is_counted_as_refused(serve):
    server = serve()
    server.send(7, 1, 2, 3)
    server.send(7, 1, 2).cut()
    assert server.count("received", "refused", "repeated") == [5, 2, 0]


def test_a_batch_that_grew_is_stored_from_where_it_grew(serve):
    server = serve()
    server.send(7, 1, 2)
    server.send(7, 1, 2, 3, 4)
    assert server.stored() == [1, 2, 3, 4]
    assert server.desk.restarts == 0


def test_the_separators_of_a_batch_make_no_other_batch_of_it(serve):
    server = serve()
    server.send(7, 1, 2)
    stream = server.send(7)
    stream.take(b"EURUSD 1\nEURUSD 2\n")
    assert server.stored() == [1, 2]


def test_a_batch_of_other_bytes_under_a_known_number_is_a_restart_and_is_stored(serve):
    server = serve()
    server.send(7, 1, 2)
    stream = server.send(7, 1, 3)
    assert stream.kept == 2
    assert server.stored() == [1, 2, 1, 3]
    assert (server.desk.restarts, server.desk.highest) == (1, 7)


def test_a_shorter_batch_under_a_known_number_is_a_restart_and_is_stored(serve):
    server = serve()
    server.send(7, 1, 2, 3)
    server.send(7, 4).settle()
    assert server.stored() == [1, 2, 3, 4]
    assert server.desk.restarts == 1


def test_the_next_header_ends_a_batch_that_was_held(serve):
    server = serve()
    server.send(7, 1, 2, 3)
    stream = server.send(7, 4)
    server.send(8, 5, stream=stream)
    assert server.stored() == [1, 2, 3, 4, 5]


def test_numbers_that_were_jumped_over_are_missing_until_they_come_late(serve):
    server = serve()
    stream = server.send(1, 1)
    server.send(4, 4, stream=stream)
    assert server.desk.missing == 2
    server.send(3, 3, stream=stream)
    assert (server.desk.missing, server.desk.disorder) == (1, 1)
    assert server.stored() == [1, 4, 3]


def test_a_number_that_was_only_announced_has_room_for_its_records(serve):
    server = serve()
    server.send(7)
    server.send(7, 1, 2)
    assert server.stored() == [1, 2]
    assert server.desk.restarts == 0


def test_records_that_cannot_be_read_are_part_of_a_batch(serve):
    server = serve()
    for _ in range(2):
        stream = server.send(7, 1)
        stream.take(b"EURUSD x\n")
        stream.take(b"EURUSD 2\n")
    assert server.stored() == [1, 2]
    assert server.count("stored", "repeated", "refused") == [2, 2, 2]


def test_numbers_mean_nothing_where_many_senders_are_counted_as_one(serve):
    server = serve("ticks.max_sources=1")
    server.collector.source("another")
    server.send(7, 1)
    stream = server.send(7, 1)
    server.send(3, 2, stream=stream)
    assert server.stored() == [1, 1, 2]
    assert (server.desk.missing, server.desk.disorder, server.desk.highest) == (0, 0, None)


def test_a_repetition_is_no_promise_for_symbols_that_were_refused(serve):
    server = serve("ticks.max_symbols=1")
    server.send(1, 1)
    kept = []
    for _ in range(2):
        stream = server.send(7, 2)
        stream.take(b"GBPUSD 3\n")
        kept.append(stream.kept)
    assert server.stored() == [1, 2]
    assert kept == [1, 1]


# Drops


def test_behind_a_hole_nothing_more_of_a_batch_is_taken_and_all_of_it_may_come_again(serve):
    server = serve("ticks.queue=2")
    stream = server.send(7, 1, 2, 3)
    server.flush()
    stream.take(b"EURUSD 4\n")
    assert server.stored() == [1, 2]
    assert stream.kept == 2
    assert server.count("dropped") == [2]
    again = server.send(7, 1, 2, 3, 4)
    assert server.stored() == [1, 2, 3, 4]
    assert again.kept == 4


def test_the_batch_behind_one_with_a_hole_is_taken(serve):
    server = serve("ticks.queue=2")
    stream = server.send(7, 1, 2, 3)
    server.flush()
    server.send(8, 4, stream=stream)
    assert server.stored() == [1, 2, 4]


def test_a_batch_that_was_dropped_from_its_first_record_on_may_come_again(serve):
    server = serve("ticks.queue=1")
    server.send(6, 1)
    server.send(7, 2)
    server.flush()
    server.send(7, 2)
    assert server.stored() == [1, 2]


def test_a_restarted_batch_that_was_dropped_may_come_again(serve):
    server = serve("ticks.queue=2")
    server.send(7, 1, 2)
    server.flush()
    server.send(9, 3, 4)
    lost = server.send(7, 5, 6)
    assert lost.kept == 0
    server.flush()
    stream = server.send(7, 5, 6)
    assert server.stored() == [1, 2, 3, 4, 5, 6]
    assert stream.kept == 2


# Kills


@pytest.fixture
def slow(serve, tmp_path, clock):
    """A server whose disk works when the test says so."""
    server = serve()
    folder, settings = tmp_path / "data", server.env.of("ticks").section
    server.disk, server.store = ManualThread(), Store(folder / "ticks.sqlite")
    tally = Tally(folder / "ticks.taken")
    collector = Collector(settings, 0, server.store, tally, clock, server.disk)
    collector.open()
    server.collector, server.env = (
        collector,
        replace(server.env, find={ITicks: collector, ISignals: server.env.find(ISignals)}.get),
    )
    return server


def test_a_batch_of_which_a_part_was_stored_before_a_kill_is_completed(serve, slow):
    stream = slow.send(7, 1)
    slow.flush()
    slow.disk.step()
    stream.take(b"EURUSD 2\n")
    slow.store.close()
    server = serve()
    assert server.send(7, 1, 2, 3).kept == 3
    assert server.stored() == [1, 2, 3]


def test_what_is_remembered_of_a_batch_is_never_ahead_of_what_is_on_disk(serve, slow):
    stream = slow.send(7, 1)
    slow.disk.full = True
    slow.flush()
    slow.disk.step()
    stream.take(b"EURUSD 2\n")
    slow.disk.full = False
    slow.env.clock.advance(slow.env.of("ticks").section.retry)
    stream.take(b"EURUSD 3\n")  # while the first is written
    while slow.disk.calls:
        slow.disk.step()
    assert on_disk(slow.env) == [1, 2]
    slow.store.close()  # and killed
    server = serve()
    assert server.send(7, 1, 2, 3).kept == 3
    assert server.stored() == [1, 2, 3]
