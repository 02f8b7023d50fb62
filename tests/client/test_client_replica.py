"""The replica of a channel, without a network."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.client.core.replica import Caught, ChannelCopy, Filter, Replica, SnapshotCopy
from mtnet.errors import ClientError
from mtnet.services.signals.wire.answers import Entry, Signal, Snapshot, SnapshotPosition, Synced

EPOCH, OTHER = "00000000000000aa", "00000000000000bb"


def signal(seq, volume="1", symbol="A", prev=None):
    return Signal("main", seq, symbol, Decimal(volume), 0, prev=prev, h=f"{seq:08x}")


def position(seq, symbol="A", volume="1"):
    return SnapshotPosition("main", seq, symbol, Decimal(volume), 0)


def replica(symbols=None, epoch=EPOCH, seq=0, kept_for="main"):
    made = Replica(Filter("main", symbols), ChannelCopy(epoch, seq, "beef"), kept_for)
    made.claim()
    return made


def take_snapshot(replica, *positions, epoch=EPOCH, seq=1, count=None, diverged=False):
    count = len(positions) if count is None else count
    snapshot = SnapshotCopy(Snapshot("main", epoch, seq, count, diverged))
    for each in positions:
        snapshot.add(each)
    return replica.replace(snapshot.finish(Synced("main", epoch, seq, "cafe")), diverged)


def volumes(replica):
    return {each.symbol: str(each.volume) for each in replica.copy.positions.values()}


def test_signals_are_applied_in_order_and_repetitions_are_not():
    made = replica()
    assert [made.apply(signal(seq)) for seq in (1, 2, 1, 2, 3)] == [True, True, False, False, True]
    assert (made.copy.seq, made.copy.h) == (3, "00000003")
    assert made.apply(signal(4, "0"))
    assert volumes(made) == {}


@pytest.mark.parametrize("late", [signal(2), signal(3), signal(2, prev=1)])
def test_a_gap_is_an_error_and_changes_nothing(late):
    made = replica()
    with pytest.raises(ClientError, match=f"entry {late.seq} came behind 0"):
        made.apply(late)
    assert made.copy.seq == 0


def test_a_filtered_replica_follows_prev():
    made = replica(["A"], seq=3)
    assert made.apply(signal(9, prev=3))
    assert made.copy.seq == 9


def test_nothing_is_applied_before_an_epoch_is_known():
    with pytest.raises(ClientError):
        replica(epoch=None).apply(signal(1))


def test_the_first_snapshot_becomes_the_copy():
    made = replica(epoch=None, kept_for="")
    assert take_snapshot(made, position(1, "A"), position(2, "B", "-2"), seq=2) is Caught.REPLACED
    assert volumes(made) == {"A": "1", "B": "-2"}
    assert (made.copy.epoch, made.copy.seq, made.copy.h) == (EPOCH, 2, "cafe")
    assert made.kept_for == "main"


@pytest.mark.parametrize("count", [0, 2])
def test_a_snapshot_of_another_number_of_positions_is_an_error(count):
    made = replica(epoch=None)
    with pytest.raises(ClientError, match=f"a snapshot of {count} had 1"):
        take_snapshot(made, position(1), count=count)
    assert volumes(made) == {}


@pytest.mark.parametrize(
    "snapshot",
    [
        {"epoch": OTHER, "seq": 9},
        {"epoch": EPOCH, "seq": 4},
        {"epoch": EPOCH, "seq": 9, "diverged": True},
    ],
)
def test_another_history_waits_until_it_is_accepted(snapshot):
    made = replica(seq=5)
    made.copy.positions["A", ""] = Entry("main", 5, "A", Decimal(7), 0)
    assert take_snapshot(made, position(1, "B"), **snapshot) is Caught.NEW_HISTORY
    assert volumes(made) == {"A": "7"}
    assert made.continues_waiting()
    assert not made.apply(signal(snapshot["seq"] + 1, "3", "B"))
    assert volumes(made) == {"A": "7"}
    made.claim()
    assert take_snapshot(made, position(1, "B", "4"), **snapshot) is Caught.HELD
    made.accept()
    assert made.waiting is None
    assert volumes(made) == {"B": "4"}


def test_an_empty_history_closes_nothing():
    made = replica(seq=5)
    made.copy.positions["A", ""] = Entry("main", 5, "A", Decimal(7), 0)
    take_snapshot(made, epoch=OTHER, seq=0)
    made.accept()
    assert volumes(made) == {"A": "7"}


def test_a_replay_ends_at_the_last_entry_or_is_an_error():
    made = replica(seq=5)
    assert made.finish(Synced("main", EPOCH, 5, "cafe")) is Caught.REPLAYED
    for synced in (Synced("main", EPOCH, 6), Synced("main", EPOCH, 4), Synced("main", OTHER, 5)):
        with pytest.raises(ClientError, match="was to be the last"):
            made.finish(synced)
    assert replica(["A"], seq=5, kept_for="main:A").finish(Synced("main", EPOCH, 8)) is (
        Caught.REPLAYED
    )


def test_a_wider_filter_than_before_needs_a_snapshot():
    made = replica(["A", "B"], seq=5, kept_for="main:A")
    assert made.finish(Synced("main", EPOCH, 5)) is Caught.INCOMPLETE


@given(st.lists(st.sampled_from(["A", "B", "C,", "%"]), unique=True, min_size=1))
def test_a_filter_reads_back_what_it_was_kept_for(symbols):
    filter = Filter("main", symbols)
    again = Filter.read(str(filter))
    assert (again.channel, again.symbols) == ("main", filter.symbols)
    assert Filter("main", None).covers(again)
    assert again.covers(filter)
    assert not Filter("gold", symbols).covers(filter)


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(-2, 2)), max_size=20), st.data())
def test_a_replica_is_the_fold_of_its_signals_wherever_the_snapshot_is_taken(changes, data):
    at = data.draw(st.integers(0, len(changes)))
    book = {}
    made = replica(epoch=None, kept_for="")
    for seq, (symbol, volume) in enumerate(changes, 1):
        if volume:
            book[symbol] = str(volume)
        else:
            book.pop(symbol, None)
        if seq > at and at:
            made.apply(signal(seq, volume, symbol))
        elif seq == at:
            held = [position(seq, each, lots) for each, lots in book.items()]
            take_snapshot(made, *held, seq=seq)
    if at:
        assert volumes(made) == book
