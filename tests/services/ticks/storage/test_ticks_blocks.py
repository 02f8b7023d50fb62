"""Ticks of one symbol, packed into blocks and read back."""

from itertools import groupby, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.services.ticks.storage.blocks import BLOCK, Reception, Series, unpack

EARLY, LATER = 1_549_238_400_994, 1_549_238_400_995
"""Two times of a terminal."""


def timed(time, flags=b""):
    return b"1.1 1.2 - 5 %d%b" % (time, flags)


def series(*ticks, newest=None):
    """Return a series of ticks, each a record, when it came and the number of its source."""
    return Series(b"EURUSD", newest, [tick[0] for tick in ticks], [tick[1:] for tick in ticks])


def only_block(*ticks):
    (block,) = series(*ticks).pack()
    return block


# Runs


def test_ticks_that_came_at_once_from_one_source_share_a_run():
    block = only_block((b"1", 5, 3), (b"2", 5, 3), (b"3", 5, 3))
    assert block.runs == [(5, 3, 3)]


@pytest.mark.parametrize("mark", [(6, 3), (5, 4), (6, 4)])
def test_another_time_or_another_source_begins_a_run(mark):
    block = only_block((b"1", 5, 3), (b"2", *mark), (b"3", *mark))
    assert block.runs == [(5, 3, 1), (*mark, 2)]


def test_a_mark_that_comes_again_behind_another_begins_a_run_of_its_own():
    block = only_block((b"1", 5, 3), (b"2", 5, 4), (b"3", 5, 3))
    assert block.runs == [(5, 3, 1), (5, 4, 1), (5, 3, 1)]
    assert unpack(block.data) == (block.runs, [b"1", b"2", b"3"])


def test_a_run_is_cut_where_a_block_ends():
    first, second = series(*[(b"1", 5, 3)] * (BLOCK + 2)).pack()
    assert (first.runs, second.runs) == ([(5, 3, BLOCK)], [(5, 3, 2)])


@pytest.mark.parametrize("mark", [(0, 1), (2**63 - 1, 2**32 - 1), (-1, 3)])
def test_a_run_keeps_every_time_and_every_number_of_a_source(mark):
    assert unpack(only_block((b"1", *mark)).data) == ([(*mark, 1)], [b"1"])


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"1", b"- 1.2", timed(EARLY), timed(LATER, b" 6"), b"1 - - - - 6"]),
            st.integers(0, 2),
            st.integers(3, 4),
        ),
        min_size=1,
        max_size=40,
    )
)
def test_blocks_hold_the_ticks_in_order_with_as_few_runs_as_there_can_be(ticks):
    block = only_block(*ticks)
    runs, records = unpack(block.data)
    assert records == [tick[0] for tick in ticks]
    assert runs == [(*mark, len(list(same))) for mark, same in groupby(t[1:] for t in ticks)]
    assert (block.symbol, block.ticks, block.runs) == (b"EURUSD", len(ticks), runs)


# Times


def test_without_a_time_a_tick_lies_where_it_came():
    block = only_block((b"1", 9, 3), (b"1 - - - -", 5, 3), (b"1 - - - - 6", 7, 3))
    assert (block.first, block.last) == (5, 9)


def test_with_a_time_a_tick_lies_there_and_not_where_it_came():
    block = only_block((timed(LATER), 5, 3), (timed(EARLY, b" 6"), EARLY * 2, 3))
    assert (block.first, block.last) == (EARLY, LATER)


@pytest.mark.parametrize("turn", [1, -1])
def test_of_ticks_with_and_without_a_time_a_block_spans_both(turn):
    block = only_block(*[(timed(EARLY), 17, 3), (b"1", 17, 3)][::turn])
    assert (block.first, block.last) == (17, EARLY)


@pytest.mark.parametrize(
    "record", [b"1 2 3 123456789012", b"123456789012", b"1 123456789012 3 4 - 1234567890"]
)
def test_no_other_field_passes_as_a_time(record):
    block = only_block((record, 17, 3))
    assert (block.first, block.last) == (17, 17)


def test_each_block_spans_its_own_ticks_only():
    ticks = [(timed(EARLY), 5, 3)] * BLOCK + [(timed(LATER), 5, 3)]
    blocks = list(series(*ticks).pack())
    assert [(block.first, block.last) for block in blocks] == [(EARLY, EARLY), (LATER, LATER)]


# Packing


@pytest.mark.parametrize(
    ("ticks", "sizes"),
    [(0, []), (1, [1]), (BLOCK - 1, [BLOCK - 1]), (BLOCK, [BLOCK]), (BLOCK + 1, [BLOCK, 1])],
)
def test_a_block_has_so_many_ticks_and_no_more(ticks, sizes):
    blocks = list(series(*[(b"1", 5, 3)] * ticks).pack())
    assert [block.ticks for block in blocks] == sizes


def test_what_was_packed_is_not_packed_again():
    many = series((b"1", 5, 3))
    assert len(list(many.pack())) == 1
    assert list(many.pack()) == []


def test_what_comes_while_blocks_are_packed_waits_for_the_next_time():
    many = series(*[(b"1", 5, 3)] * (BLOCK + 1))
    packing = many.pack()
    first = list(islice(packing, 1))
    many.records.append(b"2")
    many.marks.append((6, 3))
    assert [block.ticks for block in first + list(packing)] == [BLOCK, 1]
    (rest,) = many.pack()
    assert unpack(rest.data) == ([(6, 3, 1)], [b"2"])


# The newest tick


def test_where_nothing_ever_came_nothing_is_the_newest():
    assert series().latest() is None


def test_the_newest_tick_is_the_last_that_came_and_not_that_of_the_highest_time():
    assert series((timed(LATER), 9, 3), (timed(EARLY), 5, 3)).latest() == (timed(EARLY), 5)


def test_the_newest_tick_of_an_earlier_block_counts_until_another_comes():
    many = series(newest=(b"1", 5))
    assert many.latest() == (b"1", 5)
    assert list(many.pack()) == []
    assert many.latest() == (b"1", 5)
    many.records.append(b"2")
    many.marks.append((6, 3))
    assert many.latest() == (b"2", 6)
    list(many.pack())
    assert many.newest == (b"2", 6)


# What was heard


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(0, 100)), min_size=1))
def test_silence_is_measured_from_the_latest_time_so_far(calls):
    (ticks, when), *later = calls
    heard, silences, latest = Reception(ticks, when, when), [0], when
    for more, at in later:
        heard.add(more, at)
        silences.append(at - latest)
        latest = max(latest, at)
    assert heard == Reception(sum(call[0] for call in calls), when, latest, max(silences))
