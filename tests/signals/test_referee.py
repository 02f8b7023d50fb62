"""Who may set what: fences and guard rails, draft by draft."""

from decimal import Decimal

import pytest

from mtnet.errors import WireError
from mtnet.settings import Rails
from mtnet.signals.entries import Draft
from mtnet.signals.referee import Referee


class Court:
    """A referee and the volumes that its verdicts lead to."""

    def __init__(self, rails=None, owners=None, paused=()):
        self.referee = Referee(rails or {}, owners or {}, frozenset(paused))
        self.drafts = []  # a referee knows those of its commit apart by their being there

    def judge(self, publisher, volume="1", before=None, channel="main", fenced=False, **draft):
        """Return the code of a refusal, or None."""
        draft = Draft(
            channel, draft.get("symbol", "GBPUSD"), Decimal(volume), 0, id=draft.get("id", "x")
        )
        self.drafts.append(draft)
        self.referee.enter(draft, publisher, fenced)
        try:
            self.referee(draft, None if before is None else Decimal(before))
        except WireError as error:
            return error.code
        return None


def test_the_first_publisher_takes_a_channel_and_the_next_takes_it_over():
    court = Court()
    assert [court.judge(number) for number in (1, 1, 2, 2)] == [None] * 4
    assert court.judge(1) == "fenced"
    assert court.judge(1, channel="gold") is None


def test_who_was_replaced_is_fenced_for_the_rest_of_the_commit():
    court = Court(owners={"main": 5})
    assert court.judge(5) is None
    assert court.judge(3) is None
    assert court.judge(5) == "fenced"
    assert court.judge(7) is None
    assert court.judge(3) == "fenced"
    assert court.judge(5) == "fenced"
    assert court.judge(7) is None


def test_who_was_fenced_before_takes_nothing_over():
    court = Court(owners={"main": 2})
    assert court.judge(1, fenced=True) == "fenced"
    assert court.judge(2) is None


def test_what_is_refused_takes_nothing_over():
    court = Court({"main": Rails(max_volume=Decimal(1))}, {"main": 1})
    assert court.judge(2, "2") == "field"
    assert court.judge(1) is None


def test_published_frames_are_refused_while_a_channel_has_an_owner():
    court = Court(owners={"main": 1})
    assert court.judge(2, id="") == "fenced"
    assert court.judge(2, id="", channel="gold") is None
    assert court.judge(3, channel="gold") is None
    assert court.judge(2, id="", channel="gold") == "fenced"


def test_published_frames_fence_nobody():
    court = Court()
    assert court.judge(1, id="") is None
    assert court.judge(2, id="") is None
    assert court.judge(1) is None


def test_in_a_paused_channel_nothing_is_set():
    court = Court(paused=["main"])
    assert court.judge(1) == "denied"
    assert court.judge(1, "0") == "denied"
    assert court.judge(1, channel="gold") is None


@pytest.mark.parametrize(
    ("rails", "volume", "before", "code"),
    [
        ({"max_volume": 2}, "2", None, None),
        ({"max_volume": 2}, "-2", None, None),
        ({"max_volume": 2}, "2.00001", None, "field"),
        ({"max_volume": 2}, "-2.01", "-5", "field"),
        ({"max_volume": 2}, "0", "50", None),
        ({"max_change": 1}, "1", None, None),
        ({"max_change": 1}, "1.01", None, "field"),
        ({"max_change": 1}, "3", "2", None),
        ({"max_change": 1}, "-0.6", "0.5", "field"),
        ({"max_change": 1}, "0", "50", None),
        ({"symbols": ("EURUSD",)}, "1", None, "field"),
        ({"symbols": ("EURUSD", "GBPUSD")}, "1", None, None),
        ({"symbols": ("EURUSD",)}, "0", "1", None),
    ],
)
@pytest.mark.parametrize("id", ["", "x"])
def test_guard_rails_stop_what_is_out_of_bounds_and_never_a_close(rails, volume, before, code, id):
    court = Court(
        {"main": Rails(**{k: v if k == "symbols" else Decimal(v) for k, v in rails.items()})}
    )
    assert court.judge(1, volume, before, id=id) == code
    assert court.judge(1, volume, before, id=id, channel="gold") is None


def test_a_refusal_says_what_would_have_been_right():
    rails = Rails(max_change=Decimal("0.5"))
    referee = Referee({"main": rails}, {}, frozenset())
    draft = Draft("main", "GBPUSD", Decimal("9.00"), 0, id="x")
    referee.enter(draft, 1, False)
    with pytest.raises(WireError, match=r"from 1.00 to 9.00, is more than the 0.5 of main"):
        referee(draft, Decimal("1.00"))
