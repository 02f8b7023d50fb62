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
from mtnet.services.signals.wire import Entry, Signal

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


def test_entries_that_a_filter_left_out_count_as_handled():
    handover = started(Synced(EPOCH, 7, "00000007"))
    assert handover.next() is None
    assert (handover.copy.seq, handover.copy.h) == (7, "00000007")


EVENTS = st.lists(
    st.tuples(st.booleans(), st.sampled_from("ABC"), st.integers(0, 2)), min_size=1, max_size=12
)


@given(EVENTS, st.lists(st.integers(0, 5), max_size=12))
def test_a_program_that_dies_anywhere_ends_with_the_truth(events, deaths):
    truth, log = {}, []
    for number, (whole, symbol, volume) in enumerate(events):
        truth = {**truth, symbol: volume}
        truth = {key: lots for key, lots in truth.items() if lots}
        seq = number + 2
        shown = state(seq, **{key: str(lots) for key, lots in truth.items()})
        log.append(shown if whole else signal(seq, symbol, str(volume)))
    kept, held = Kept("main", EPOCH, 1, "00000001", ()), {}
    for survives in [*deaths, 1_000]:
        copy = ChannelCopy(kept.epoch, kept.seq, kept.h, kept.positions)
        handover = Handover(copy)
        for event in log:
            if event.seq > kept.seq:
                handover.add(event, EPOCH)
        while (entry := handover.next()) is not None:
            held = {**held, entry.symbol: int(entry.volume)}
            if not survives:
                break  # it has acted, and died before it came back
            survives -= 1
            handover.handled()
        kept = decode(
            encode(Kept("main", EPOCH, copy.seq, copy.h, tuple(copy.positions.values()))), ""
        )
    assert {key: lots for key, lots in held.items() if lots} == truth
    assert {each.symbol: int(each.volume) for each in kept.positions} == truth
    assert kept.seq == log[-1].seq


# The file


def test_a_state_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "gold.state"
    assert load(path) is None
    position = Entry("main", 7, "EURUSD.£", Decimal("0.10"), 1, "t1", fields=(("sl", "1.20"),))
    kept = Kept("main:EURUSD.£", EPOCH, 7, "0000beef", (position,))
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
