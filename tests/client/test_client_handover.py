"""Changes are handed to a program one by one, and come again until it has handled them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.client.core.events import State, Synced
from mtnet.client.core.handover import Handover, Kept, decode, encode
from mtnet.client.core.replica import ChannelCopy
from mtnet.client.state import load, save
from mtnet.errors import ClientError
from mtnet.services.signals.wire.answers import Entry, Signal

EPOCH = "00000000000000aa"


def signal(seq, symbol="A", volume="1"):
    return Signal("main", seq, symbol, Decimal(volume), 1, h=f"{seq:08x}")


def state(seq, **lots):
    shown = [Entry("main", seq, symbol, Decimal(volume), 1) for symbol, volume in lots.items()]
    return State(shown, EPOCH, seq, f"{seq:08x}")


def started(*events, **lots):
    positions = [Entry("main", 1, symbol, Decimal(volume), 1) for symbol, volume in lots.items()]
    handover = Handover(ChannelCopy(EPOCH, 1, "00000001", positions))
    for event in events:
        handover.add(event, EPOCH)
    return handover


def take_all(handover):
    taken = []
    while (entry := handover.next()) is not None:
        taken.append(f"{entry.symbol} {entry.volume}")
        handover.handled()
    return taken


def test_an_entry_is_handed_out_until_it_is_handled():
    handover = started(signal(2), signal(3, "B"))
    assert handover.next() is handover.next()
    assert (handover.copy.seq, dict(handover.copy.positions)) == (1, {})
    handover.handled()
    assert (handover.copy.seq, handover.copy.h, handover.next().symbol) == (2, "00000002", "B")


def test_a_state_is_handed_out_as_what_differs_closes_first():
    handover = started(state(9, B="2", C="1", D="3"), A="1", B="1", C="1")
    assert take_all(handover) == ["A 0", "B 2", "D 3"]
    assert (handover.copy.seq, handover.next()) == (9, None)


def test_a_state_that_differs_in_nothing_is_handled_by_itself():
    handover = started(state(9, A="1"), A="1")
    assert handover.next() is None
    assert (handover.copy.seq, handover.copy.h, handover.changed) == (9, "00000009", True)


def test_a_program_that_ends_within_a_state_begins_it_again():
    handover = started(state(9, B="2", C="1"), A="1")
    handover.next()
    handover.handled()
    assert (handover.copy.seq, dict(handover.copy.positions)) == (1, {})
    again = Handover(handover.copy)
    again.add(state(9, B="2", C="1"), EPOCH)
    assert take_all(again) == ["B 2", "C 1"]


def died_at(handover):
    """Return the next run of a program that has died on its next entry."""
    handover.next()
    assert handover.changed, "it is kept before the program sees it"
    return Handover(handover.copy, handover.begun)


@pytest.mark.parametrize(
    ("before", "volume", "now", "told"),
    [
        ({}, "1", {}, ["A 0"]),
        ({"A": "1"}, "2", {"A": "1"}, ["A 1"]),
        ({"A": "1"}, "0", {"A": "1"}, ["A 1"]),
        ({}, "1", {"A": "1", "B": "1"}, ["A 1", "B 1"]),
    ],
)
def test_a_state_names_an_entry_on_which_the_program_died(before, volume, now, told):
    handover = died_at(started(signal(2, "A", volume), **before))
    handover.add(state(9, **now), EPOCH)
    assert take_all(handover) == told
    assert handover.begun == ()


def test_a_state_on_which_a_program_died_twice_names_both_entries():
    handover = died_at(started(signal(2), signal(3, "B")))
    handover.add(state(9, B="1"), EPOCH)
    again = died_at(handover)
    again.add(state(10), EPOCH)
    assert take_all(again) == ["A 0"]
    handover.handled()
    again = died_at(handover)
    again.add(state(10), EPOCH)
    assert take_all(again) == ["B 0"]


def test_a_replay_of_the_first_history_undoes_what_was_begun_of_another():
    again = died_at(started(state(9, B="2")))
    again.add(Synced(EPOCH, 1, "00000001"), EPOCH)
    assert take_all(again) == ["B 0"]


def test_where_nothing_is_known_what_was_begun_stays_until_a_state_comes():
    handover = died_at(started(signal(2)))
    handover.add(Synced("00000000000000bb", 0, "00000000"), "00000000000000bb")
    assert take_all(handover) == []
    assert handover.changed
    handover.add(Synced("00000000000000bb", 4, "00000004"), "00000000000000bb")
    assert take_all(handover) == []
    handover.add(state(9), EPOCH)
    assert take_all(handover) == ["A 0"]


def test_entries_that_a_filter_left_out_count_as_handled():
    handover = started(Synced(EPOCH, 7, "00000007"))
    assert handover.next() is None
    assert (handover.copy.seq, handover.copy.h) == (7, "00000007")


EVENTS = st.lists(
    st.tuples(st.booleans(), st.sampled_from("ABC"), st.integers(0, 2)), min_size=1, max_size=12
)


@given(EVENTS, st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12)), max_size=12))
def test_a_program_that_dies_anywhere_ends_with_the_truth(events, deaths):
    """Each of its runs sees more of the channel, and a state where entries were pruned."""
    truth, log, states = {}, [], []
    for number, (whole, symbol, volume) in enumerate(events):
        truth = {**truth, symbol: volume}
        truth = {key: lots for key, lots in truth.items() if lots}
        seq = number + 2
        states.append(state(seq, **{key: str(lots) for key, lots in truth.items()}))
        log.append(states[-1] if whole else signal(seq, symbol, str(volume)))
    kept, held, last = Kept("main", EPOCH, 1, "00000001", ()), {}, 0
    for survives, more in [*deaths, (1_000, len(log))]:
        copy = ChannelCopy(kept.epoch, kept.seq, kept.h, kept.positions)
        handover = Handover(copy, kept.begun)
        pruned, last = last if survives % 2 else 0, min(last + more, len(log))
        missed = [event for event in log[:last] if event.seq > kept.seq]
        if pruned and missed and missed[0].seq < pruned + 2:
            missed = [states[pruned - 1], *log[pruned:last]]
        for event in missed:
            handover.add(event, EPOCH)
        while True:
            entry = handover.next()
            positions = tuple(copy.positions.values())
            if handover.changed:
                written = Kept("main", EPOCH, copy.seq, copy.h, positions, handover.begun)
                kept, handover.changed = decode(encode(written), ""), False
            if entry is None:
                break
            held = {**held, entry.symbol: int(entry.volume)}
            if not survives:
                break  # it has acted, and died before it came back
            survives -= 1
            handover.handled()
    assert {key: lots for key, lots in held.items() if lots} == truth
    assert {each.symbol: int(each.volume) for each in kept.positions} == truth
    assert kept.seq == log[-1].seq


# The file


def test_a_state_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "gold.state"
    assert load(path) is None
    position = Entry("main", 7, "EURUSD.£", Decimal("0.10"), 1, "t1", fields=(("sl", "1.20"),))
    begun = Entry("main", 8, "EURUSD.£", Decimal("0"), 2, "t1")
    kept = Kept("main:EURUSD.£", EPOCH, 7, "0000beef", (position,), (begun,))
    save(path, kept)
    assert load(path) == kept
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", '{"seq": 1}', "\0" * 100, '{"seq": "x"}'])
def test_a_file_that_holds_something_else_is_named_and_left_alone(tmp_path, text):
    path = tmp_path / "gold.state"
    path.write_text(text)
    with pytest.raises(ClientError, match=r"gold\.state holds no state of a follower"):
        load(path)
    assert path.read_text() == text


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path):
    with pytest.raises(ClientError, match="cannot be read"):
        load(tmp_path)
    with pytest.raises(ClientError, match="cannot be written"):
        save(tmp_path / "none" / "state", Kept("main", None, 0, "", ()))
