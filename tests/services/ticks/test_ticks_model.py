"""Whether all that a source sent has come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.services.ticks.model import (
    GAPS,
    MOST,
    MOST_RECORDS,
    WINDOW,
    Batch,
    Seen,
    Source,
    Verdict,
)

NEXT, LATE, REPEAT, RESTART = Verdict.NEXT, Verdict.LATE, Verdict.REPEAT, Verdict.RESTART


def batch(number, content=b"A 1\n"):
    return Batch(number, content).seen()


@pytest.fixture
def source():
    """A source that has sent 2,000 batches; the window lies behind its beginning."""
    source = Source("desk", 3)
    for number in range(1, 2_001):
        assert source.classify(batch(number), number) is NEXT
    return source


def test_the_first_number_is_no_gap():
    source = Source("desk")
    assert source.classify(batch(700), 0) is NEXT
    assert source.missing == 0


def test_a_jump_is_a_gap_of_what_was_jumped_over(source):
    assert source.classify(batch(2_004), 77) is NEXT
    assert source.missing == 3
    (gap,) = source.gaps
    assert (gap.first, gap.last, gap.found) == (2_001, 2_003, 77)


def test_what_comes_late_fills_its_gap(source):
    source.classify(batch(2_004), 77)
    assert source.classify(batch(2_002), 78) is LATE
    assert (source.missing, source.disorder, source.gaps[0].late) == (2, 1, 1)
    assert source.highest == 2_004


def test_the_same_bytes_under_the_same_number_are_a_repeat(source):
    assert source.classify(batch(1_990), 0) is REPEAT
    assert (source.repeats, source.highest, source.restarts) == (1, 2_000, 0)


def test_a_late_batch_that_comes_twice_is_a_repeat(source):
    source.classify(batch(2_004), 0)
    assert source.classify(batch(2_002), 0) is LATE
    assert source.classify(batch(2_002), 0) is REPEAT
    assert source.missing == 2


def test_other_bytes_under_a_number_of_the_window_are_a_new_run(source):
    assert source.classify(batch(1_990, b"B 2\n"), 0) is RESTART
    assert (source.restarts, source.highest, source.missing) == (1, 1_990, 0)
    assert source.classify(batch(1_991), 0) is NEXT


def test_number_1_is_a_new_run(source):
    assert source.classify(batch(1, b"B 2\n"), 0) is RESTART
    assert source.classify(batch(2), 0) is NEXT


def test_number_1_behind_number_0_is_the_next():
    source = Source("desk")
    assert [source.classify(batch(number), 0) for number in (0, 1, 2)] == [NEXT, NEXT, NEXT]


@pytest.mark.parametrize(
    ("below", "verdict"),
    [(0, REPEAT), (1_023, REPEAT), (WINDOW, REPEAT), (WINDOW + 1, RESTART), (1_500, RESTART)],
)
def test_a_number_is_remembered_as_far_back_as_it_may_be_late(source, below, verdict):
    assert source.classify(batch(2_000 - below), 0) is verdict


@pytest.mark.parametrize(("below", "verdict"), [(1, LATE), (WINDOW, LATE), (WINDOW + 1, RESTART)])
def test_a_number_that_never_came_is_late_within_the_window(below, verdict):
    source = Source("desk")
    source.classify(batch(5_000), 0)
    assert source.classify(batch(5_000 - below), 0) is verdict


def test_a_gap_of_an_older_run_is_not_filled_by_a_newer_one(source):
    source.classify(batch(2_010), 0)
    source.classify(batch(1, b"B 2\n"), 0)
    source.classify(batch(2_020), 0)
    assert source.classify(batch(2_005), 0) is LATE
    assert [gap.late for gap in source.gaps] == [0, 1]


def test_the_newest_gaps_are_kept_and_all_are_counted():
    source = Source("desk")
    for number in range(0, 3 * (GAPS + 5), 3):
        source.classify(batch(number), number)
    assert len(source.gaps) == GAPS
    assert source.missing == 2 * (GAPS + 4)
    assert len(source.take_changed()) == GAPS
    assert source.take_changed() == []


@given(st.lists(st.tuples(st.integers(0, 60), st.sampled_from([b"A 1\n", b"B 2\n"])), max_size=80))
def test_every_batch_is_judged_as_a_set_of_all_seen_would(batches):
    source, seen, highest = Source("desk"), {}, None
    for number, content in batches:
        if seen.get(number) == content:
            expected = REPEAT
        elif highest is None or number > highest:
            expected = NEXT
        elif number in seen or number == 1:
            expected, seen = RESTART, {}
        else:
            expected = LATE
        if expected in (NEXT, RESTART):
            highest = number
        seen[number] = content
        assert source.classify(batch(number, content), 0) is expected
        assert source.highest == highest


@given(st.sets(st.integers(2, 900), min_size=1).flatmap(lambda few: st.permutations(sorted(few))))
def test_missing_is_what_never_came_since_the_first(numbers):
    source = Source("desk")
    for number in numbers:
        source.classify(batch(number), 0)
    first, highest = numbers[0], max(numbers)
    came = {number for number in numbers if number > first}
    assert source.missing == highest - first - len(came)
    assert source.restarts == 0


# Batches


@given(st.lists(st.sampled_from([b"A 1\n", b"B 2\n", b"junk\n"])), st.integers(0, 10))
def test_a_batch_is_the_same_at_once_and_record_by_record(lines, at):
    whole, grown = Batch(7, b"".join(lines)), Batch(7)
    grown.add(b"".join(lines[:at]))
    for line in lines[at:]:
        grown.add(line)
    assert whole.seen() == grown.seen()
    assert whole.records == len(lines)


def test_a_batch_that_grows_is_remembered_as_far_as_it_came():
    source = Source("desk")
    source.classify(batch(7, b""), 0)
    source.remember(batch(7, b"A 1\n"))
    source.remember(batch(7, b"A 1\nB 2\n"))
    assert source.known(7) == batch(7, b"A 1\nB 2\n")
    assert source.take_fresh() == [batch(7, b"A 1\nB 2\n")]
    assert source.take_fresh() == []


def test_what_is_restored_is_a_repeat_when_it_comes_again(source):
    fresh = source.take_fresh()
    other = Source("desk", highest=2_000)
    other.restore(fresh)
    assert other.classify(batch(1_999), 0) is REPEAT
    assert other.classify(batch(2_001), 0) is NEXT
    assert other.take_fresh() == [batch(2_001)]


def test_a_number_that_was_never_sent_is_not_known():
    assert Source("desk").known(0) is None
    source = Source("desk")
    source.classify(batch(5), 0)
    assert source.known(4) is None
    assert source.known(5) == Seen(5, 1, batch(5).digest)


# Time


def test_the_longest_silence_is_between_two_records():
    source = Source("desk")
    for when in (10, 10, 25, 20, 30):
        source.count_received(2, when)
    assert (source.first, source.last, source.longest, source.received) == (10, 30, 15, 10)


def test_what_is_missing_is_counted_up_to_what_a_database_takes():
    source = Source("desk")
    for content in (b"A 1\n", b"B 2\n"):
        source.classify(batch(1, content), 0)
        source.classify(batch(2**63 - 1, content), 0)
    assert source.missing == MOST


def test_of_a_batch_that_is_too_long_to_be_remembered_its_beginning_is():
    source = Source("desk")
    source.classify(Seen(1, MOST_RECORDS, 7), 0)
    source.remember(Seen(1, MOST_RECORDS + 1, 8))
    assert source.known(1) == Seen(1, MOST_RECORDS, 7)
    assert source.take_fresh() == [Seen(1, MOST_RECORDS, 7)]
