"""What the numbers of a source say, held against a model that never forgets."""

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mtnet.services.ticks.model import GAPS, WINDOW, Batch, Source, Verdict

NEXT, LATE, REPEAT, RESTART = Verdict.NEXT, Verdict.LATE, Verdict.REPEAT, Verdict.RESTART
ONE, OTHER = b"EURUSD 1.1\n", b"EURUSD 1.2\n"
HIGH = 5_000


def batch(number, text=ONE):
    return Batch(number, text).seen()


def source_with(*numbers):
    """Return a source that has sent batches of these numbers."""
    source = Source("desk", 3)
    for number in numbers:
        source.classify(batch(number), number)
    return source


def counts(source):
    return source.repeats, source.restarts, source.disorder, source.missing


# The window


@pytest.mark.parametrize("below", [1, 2, 1_022, 1_023, 1_024])
def test_a_lower_number_that_never_came_is_late_up_to_1024_below(below):
    source = source_with(HIGH)
    assert source.classify(batch(HIGH - below), 0) is LATE
    assert (counts(source), source.highest) == ((0, 0, 1, 0), HIGH)


@pytest.mark.parametrize("below", [1_025, 1_026, 2_049, 2_050, HIGH - 2, HIGH - 1, HIGH])
def test_a_number_more_than_1024_below_that_never_came_is_a_new_run(below):
    source = source_with(HIGH)
    assert source.classify(batch(HIGH - below), 0) is RESTART
    assert (counts(source), source.highest) == ((0, 1, 0, 0), HIGH - below)


@pytest.mark.parametrize("below", [0, 1, 1_023, 1_024])
@pytest.mark.parametrize(("text", "verdict"), [(ONE, REPEAT), (OTHER, RESTART), (b"", RESTART)])
def test_a_number_that_came_is_a_repeat_with_the_same_bytes_only(below, text, verdict):
    source = source_with(*range(HIGH - 1_100, HIGH + 1))
    assert source.classify(batch(HIGH - below, text), 0) is verdict
    assert source.highest == (HIGH if verdict is REPEAT else HIGH - below)


@pytest.mark.parametrize("number", [2, 3, HIGH - WINDOW - 1])
def test_a_number_from_before_a_jump_over_the_window_is_a_new_run_with_any_bytes(number):
    source = source_with(2, 3, HIGH - WINDOW - 1, HIGH)
    assert source.known(number) is None
    assert source.classify(batch(number), 0) is RESTART
    assert source.highest == number


def test_number_1_is_a_new_run_although_it_lies_within_the_window():
    source = source_with(700, 701)
    assert source.classify(batch(1), 0) is RESTART
    assert source.classify(batch(2), 0) is NEXT
    assert counts(source) == (0, 1, 0, 0)


def test_number_1_with_the_same_bytes_is_a_repeat_within_the_window():
    source = source_with(1, 2, 3)
    assert source.classify(batch(1), 0) is REPEAT
    assert (counts(source), source.highest) == ((1, 0, 0, 0), 3)


def test_number_1_with_the_same_bytes_is_a_new_run_behind_a_jump_over_the_window():
    source = source_with(1, HIGH)
    assert source.classify(batch(1), 0) is RESTART
    assert source.classify(batch(2), 0) is NEXT


def test_the_highest_number_that_there_can_be_is_counted():
    source = source_with(1, 2**63 - 1)
    assert source.missing == 2**63 - 3
    assert source.classify(batch(2**63 - 1), 0) is REPEAT
    assert source.classify(batch(2**63 - 2), 0) is LATE
    assert source.missing == 2**63 - 4


# Runs


def test_numbers_of_the_run_before_are_no_repeats():
    source = source_with(*range(1, 21))
    assert source.classify(batch(10, OTHER), 0) is RESTART
    assert source.classify(batch(9), 0) is LATE
    assert source.classify(batch(15), 0) is NEXT
    assert counts(source) == (0, 1, 1, 4)


def test_what_an_older_run_missed_stays_missing():
    source = source_with(1, 5)
    assert source.classify(batch(1, OTHER), 0) is RESTART
    assert source.classify(batch(8, OTHER), 0) is NEXT
    assert source.classify(batch(3, OTHER), 0) is LATE
    assert source.missing == 3 + 6 - 1
    assert [(gap.run, gap.first, gap.last, gap.late) for gap in source.gaps] == [
        (0, 2, 4, 0),
        (1, 2, 7, 1),
    ]


def test_a_late_batch_of_a_new_run_fills_no_gap_of_an_older_one():
    source = source_with(1, 5)
    assert source.classify(batch(5, OTHER), 0) is RESTART
    assert source.classify(batch(3, OTHER), 0) is LATE
    assert (source.missing, source.gaps[0].late) == (3, 0)


def test_of_two_runs_between_two_looks_the_newer_is_remembered():
    source = source_with(1, 2, 3)
    source.classify(batch(1, OTHER), 0)
    source.classify(batch(2, OTHER), 0)
    assert source.take_fresh() == [batch(1, OTHER), batch(2, OTHER)]


# Gaps


@given(st.integers(1, 8).flatmap(lambda size: st.permutations(range(11, 11 + size))))
def test_a_gap_is_filled_by_its_late_batches_in_whatever_order(late):
    last = 10 + len(late)
    source = source_with(10, last + 1)
    (gap,) = source.gaps
    assert (gap.first, gap.last, gap.late) == (11, last, 0)
    for filled, number in enumerate(late, 1):
        assert source.classify(batch(number), 99) is LATE
        assert (gap.late, source.missing) == (filled, len(late) - filled)
    assert source.disorder == len(late)
    assert source.classify(batch(last + 2), 99) is NEXT
    assert list(source.gaps) == [gap]


def test_each_late_batch_fills_the_gap_that_it_lies_in():
    source = source_with(1, 5, 10)
    for number in (6, 9, 2):
        assert source.classify(batch(number), 0) is LATE
    assert [(gap.first, gap.last, gap.late) for gap in source.gaps] == [(2, 4, 1), (6, 9, 2)]
    assert source.missing == 4


def test_a_batch_from_before_the_first_is_late_and_fills_no_gap():
    source = source_with(100, 103)
    assert source.classify(batch(99), 0) is LATE
    assert (source.missing, source.gaps[0].late) == (2, 0)


def test_a_repeat_of_a_late_batch_fills_its_gap_no_further():
    source = source_with(1, 5)
    assert [source.classify(batch(3), 0) for _ in range(3)] == [LATE, REPEAT, REPEAT]
    assert (source.missing, source.gaps[0].late) == (2, 1)


def test_a_gap_is_told_once_for_each_time_that_it_changed():
    source = source_with(1, 5)
    (gap,) = source.take_changed()
    assert source.take_changed() == []
    source.classify(batch(2), 0)
    source.classify(batch(3), 0)
    assert source.take_changed() == [gap]
    assert gap.late == 2


def test_of_the_changed_gaps_the_newest_are_told():
    source = source_with(*range(0, 2 * (GAPS + 3), 2))
    assert [gap.first for gap in source.take_changed()] == [gap.first for gap in source.gaps]


# What is remembered


@pytest.mark.parametrize("number", [HIGH, HIGH - 1, HIGH - WINDOW])
def test_a_batch_that_grows_behind_the_window_displaces_no_newer_one(number):
    old = HIGH - WINDOW - 1
    source = source_with(*range(old, HIGH + 1))
    source.remember(batch(old, ONE + OTHER))
    assert source.classify(batch(number), 0) is REPEAT


@pytest.mark.parametrize(("text", "verdict"), [(ONE, REPEAT), (OTHER, RESTART)])
def test_what_is_restored_is_compared_by_its_bytes(text, verdict):
    source = Source("desk", highest=20)
    source.restore(source_with(10, 20).take_fresh())
    assert source.classify(batch(10, text), 0) is verdict


def test_what_is_restored_is_not_new():
    source = Source("desk", highest=20)
    source.restore([batch(20)])
    assert source.take_fresh() == []
    assert source.classify(batch(19), 0) is LATE


def test_nothing_is_known_of_a_source_that_is_restored_without_batches():
    source = Source("desk", highest=20)
    source.restore([])
    assert source.known(20) is None
    assert source.classify(batch(20), 0) is LATE


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        (ONE + OTHER, REPEAT),
        (OTHER + ONE, RESTART),
        (ONE, RESTART),
        (ONE + OTHER + ONE, RESTART),
        (ONE + OTHER.replace(b"\n", b" \n"), RESTART),
    ],
)
def test_a_batch_of_a_stream_and_a_datagram_of_the_same_records_are_one(text, verdict):
    grown = Batch(7)
    source = source_with(6)
    source.classify(grown.seen(), 0)
    for record in (ONE, OTHER):
        grown.add(record)
        source.remember(grown.seen())
    assert source.classify(batch(7, text), 0) is verdict


# Time


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 1_000)), min_size=1))
def test_records_are_counted_and_silence_is_measured_from_the_latest_so_far(heard):
    source, silences, latest = Source("desk"), [0], heard[0][1]
    for records, when in heard:
        source.count_received(records, when)
        silences.append(when - latest)
        latest = max(latest, when)
    assert source.received == sum(records for records, _ in heard)
    assert (source.first, source.last, source.longest) == (heard[0][1], latest, max(silences))


# The model

STEPS = st.one_of(
    st.integers(1, 4),
    st.integers(-6, 0),
    st.sampled_from([-2_050, -1_026, -1_025, -1_024, -1_023, 1_023, 1_024, 1_025, 1_026, 2_050]),
)
KEPT = [each.name for each in fields(Source) if each.name not in ("fresh", "changed")]


class Judging(RuleBasedStateMachine):
    """A source, beside a dict of everything that its run has sent."""

    def __init__(self):
        super().__init__()
        self.source, self.stored = Source("desk", 3), []
        self.seen, self.first, self.highest = {}, None, None
        self.counted = {NEXT: 0, LATE: 0, REPEAT: 0, RESTART: 0}
        self.missing = 0

    def expect(self, number, text):
        """Do what the contract says, and return the verdict."""
        if self.highest is None or number > self.highest:
            if self.highest is None:
                self.first = number
            else:
                self.missing += number - self.highest - 1
            self.highest, self.seen[number] = number, text
            return NEXT
        near = number >= self.highest - 1_024
        if near and self.seen.get(number) == text:
            return REPEAT
        if not near or number in self.seen or number == 1:
            self.first = self.highest = number
            self.seen = {number: text}
            return RESTART
        self.missing -= number > self.first
        self.seen[number] = text
        return LATE

    def classify(self, number, text):
        expected = self.expect(number, text)
        self.counted[expected] += 1
        if expected is RESTART:
            self.stored = []
        assert self.source.classify(batch(number, text), 0) is expected

    @rule(step=STEPS, text=st.sampled_from([ONE, OTHER]))
    def send(self, step, text):
        self.classify(max(0, (self.highest or 0) + step), text)

    @rule(number=st.sampled_from([0, 1, 2, 3_000]), text=st.sampled_from([ONE, OTHER]))
    def send_number(self, number, text):
        self.classify(number, text)

    @rule(data=st.data())
    def send_again(self, data):
        if self.seen:
            number = data.draw(st.sampled_from(list(self.seen)))
            self.classify(number, self.seen[number])

    @rule()
    def begin_anew(self):
        """The daemon starts again with what is on disk."""
        self.stored += self.source.take_fresh()
        public = {name: getattr(self.source, name) for name in KEPT if not name.startswith("_")}
        self.source = Source(**public)
        self.source.restore(self.stored)

    @invariant()
    def all_is_counted(self):
        counted = self.counted[REPEAT], self.counted[RESTART], self.counted[LATE], self.missing
        assert counts(self.source) == counted
        assert self.source.highest == self.highest
        assert self.missing == sum(g.last - g.first + 1 - g.late for g in self.source.gaps)


class TestJudging(Judging.TestCase):
    settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
