"""Who follows, who is offline, and what each has acknowledged."""

from decimal import Decimal

import msgspec
import pytest

from mtnet.services.signals.model import Entry
from mtnet.services.signals.reports.registry import TerminalKey
from mtnet.services.signals.status import copies
from mtnet.services.signals.status import followers as module
from mtnet.services.signals.status.acknowledgements import WINDOW
from mtnet.services.signals.status.facts import Copy, Key
from mtnet.services.signals.status.followers import NOBODY, Followers
from mtnet.services.signals.wire.requests import Ack

BOB = TerminalKey("bob", "desk")
KEEP = 7 * 86_400_000
NOON = 1_700_000_000_000


class Connection:
    client, heard, stalled, untaken, reported = "", None, None, None, None


class Feed:
    def __init__(self, position):
        self.position = position


@pytest.fixture
def followers():
    return Followers(KEEP)


def join(followers, key=BOB, channel="gold", when=NOON, position=100):
    follower = followers.join(channel, *key, "192.0.2.1:5000", Connection(), when)
    follower.feed = Feed(position)
    follower.begin("e", 0)
    return follower


def entry(volume, seq=1, symbol="EURUSD", ticket="", type="position"):
    return Entry("gold", symbol, Decimal(volume), NOON, ticket, type=type, seq=seq)


def ack(seq=1, status="filled", volume="1", reason=""):
    return Ack("gold", seq, status, None, None if volume is None else Decimal(volume), reason)


def acknowledge(follower, answer, volume, net=None, when=NOON, **fields):
    acked = entry(volume, answer.seq, **fields)
    follower.acknowledge(answer, acked, acked.volume if net is None else Decimal(net), when)


def rows(followers):
    return [(each.who, each.connection is not None) for each in followers]


def test_the_newest_of_several_connections_is_gone_on_from_in_whatever_order_they_go(followers):
    one, two, three = (join(followers) for _ in range(3))
    for number, each in enumerate((one, two, three), 1):
        acknowledge(each, ack(number), "1")
    followers.leave(three, NOON)
    assert join(followers).acked == 2
    followers.leave(one, NOON)
    assert join(followers).acked == 2
    assert {follower.connection is not None for follower in followers} == {True}


def test_a_follower_that_goes_is_known_as_offline_with_what_it_was_told(followers):
    follower = join(followers)
    followers.leave(follower, NOON + 1)
    assert rows(followers) == [("bob/desk", False)]
    assert (follower.sent, follower.since, follower.left) == (100, NOON + 1, False)


def test_one_that_says_bye_is_known_as_switched_off(followers):
    follower = join(followers)
    followers.leave(follower, NOON, left=True)
    assert [each.left for each in followers] == [True]


def test_one_that_unsubscribes_is_forgotten(followers):
    followers.forget(join(followers))
    assert rows(followers) == []


def test_one_without_login_and_name_is_shown_by_its_address_and_forgotten(followers):
    follower = join(followers, NOBODY)
    assert rows(followers) == [("192.0.2.1:5000", True)]
    followers.leave(follower, NOON)
    assert rows(followers) == []


def test_one_that_comes_back_is_the_same_with_its_troubles(followers):
    former = join(followers)
    acknowledge(former, ack(7, "failed", "0", "no money"), "1")
    followers.leave(former, NOON)
    follower = join(followers)
    assert rows(followers) == [("bob/desk", True)]
    assert (follower.acked, follower.failed) == (7, {"EURUSD": "no money"})


def test_a_new_connection_goes_on_from_one_that_is_not_gone_yet(followers):
    former = join(followers)
    acknowledge(former, ack(7, "failed", "0", "no money"), "1")
    follower = join(followers)
    assert rows(followers) == [("bob/desk", True)] * 2
    followers.leave(former, NOON)
    assert rows(followers) == [("bob/desk", True)]
    assert (follower.acked, follower.failed) == (7, {"EURUSD": "no money"})


def test_names_of_one_login_are_several_followers(followers):
    join(followers, TerminalKey("bob", "one"))
    followers.leave(join(followers, TerminalKey("bob", "two")), NOON)
    assert rows(followers) == [("bob/one", True), ("bob/two", False)]


def test_offline_ones_are_forgotten_after_the_documented_time(followers):
    followers.leave(join(followers), NOON)
    followers.expire(NOON + KEEP - 1)
    assert rows(followers) == [("bob/desk", False)]
    followers.expire(NOON + KEEP)
    assert rows(followers) == []


def test_too_many_offline_ones_cost_the_oldest(followers, monkeypatch):
    monkeypatch.setattr(module, "MAX_OFFLINE", 2)
    for number in range(3):
        followers.leave(join(followers, TerminalKey("bob", str(number))), NOON)
    assert [who for who, _ in rows(followers)] == ["bob/1", "bob/2"]


def test_a_login_that_draws_new_names_pushes_out_its_own(followers, monkeypatch):
    monkeypatch.setattr(module, "MAX_OFFLINE_OF_LOGIN", 2)
    followers.leave(join(followers), NOON)
    for number in range(5):
        followers.leave(join(followers, TerminalKey("eve", str(number))), NOON + 1)
    assert [who for who, _ in rows(followers)] == ["bob/desk", "eve/3", "eve/4"]


def test_of_all_the_one_that_is_offline_longest_makes_room(followers, monkeypatch):
    monkeypatch.setattr(module, "MAX_OFFLINE", 2)
    for when, login in enumerate(("carol", "bob", "eve")):
        followers.leave(join(followers, TerminalKey(login, "")), NOON + when)
    assert [who for who, _ in rows(followers)] == ["bob", "eve"]
    join(followers, TerminalKey("bob", ""))
    followers.leave(join(followers, TerminalKey("dora", "")), NOON + 9)
    assert [who for who, online in rows(followers) if not online] == ["eve", "dora"]


def test_a_restart_knows_them_as_offline(followers):
    acknowledge(join(followers), ack(7), "1")
    gone = join(followers, TerminalKey("carol", ""))
    followers.leave(gone, NOON, left=True)
    join(followers, NOBODY)
    after = Followers(KEEP)
    after.restore(followers.saved(), NOON + 5)
    shown = {each.who: (each.sent, each.acked, each.since, each.left) for each in after}
    assert shown == {"bob/desk": (100, 7, NOON + 5, False), "carol": (100, 0, NOON, True)}
    assert join(after).acked == 7
    assert rows(after) == [("bob/desk", True), ("carol", False)]


def test_a_restart_knows_what_each_holds_wrongly(followers, monkeypatch):
    changed = []
    followers.changed = lambda: changed.append(1)
    follower = join(followers)
    before = len(changed)
    acknowledge(follower, ack(1, volume="-1"), "1")
    assert len(changed) == before + 1, "it is stored soon"
    data = msgspec.json.encode(followers.saved())
    after = Followers(KEEP)
    after.restore(msgspec.json.decode(data, type=list[module.Saved]), NOON + 5)
    again = join(after)
    assert (again.held, again.copies) == (follower.held, follower.copies)
    assert again.copies[Key("EURUSD", "")].wanted == 1
    acknowledge(again, ack(1), "1")
    assert not again.copies


def test_a_subscription_says_up_to_where_it_has_all(followers):
    follower = join(followers)
    follower.begin("e", 40)
    assert follower.acked == 40
    follower.begin("e", 30)
    assert follower.acked == 40
    follower.begin("another", 3)
    assert follower.acked == 3


def test_whole_state_is_what_it_has_also_when_the_history_went_back(followers):
    follower = join(followers)
    follower.begin("e", 90)
    follower.begin_whole("e", 40, [])
    assert follower.acked == 40
    follower.begin_whole("another", 3, [])
    assert (follower.epoch, follower.acked) == ("another", 3)


def test_whole_state_ends_the_trouble_of_openings_that_it_does_not_hold(followers):
    follower = join(followers)
    for seq, volume in enumerate(("1", "1", "0"), 1):
        acknowledge(follower, ack(seq, "failed", "2"), volume, symbol=f"S{seq}")
    follower.begin_whole("e", 9, [Entry("main", "S1", Decimal(1), 0)])
    assert [*follower.copies] == [Key("S1", ""), Key("S3", "")], "a closing has still to be done"
    follower.begin_whole("another", 3, [Entry("main", "S1", Decimal(1), 0)])
    assert not follower.copies


def test_an_ack_of_what_it_was_not_sent_does_not_count(followers):
    follower = join(followers, position=10)
    follower.acknowledge(ack(2**62), None, None, NOON)
    assert follower.acked == 10


COPIES = {
    "filled as told": (ack(), "1", None, {}, None),
    "nothing said of the volume": (ack(volume=None), "1", None, {}, None),
    "the net position of several tickets": (ack(volume="3"), "1", "3", {"ticket": "7"}, None),
    "it multiplies": (ack(volume="0.5"), "1", None, {}, Copy(Decimal(1), Decimal("0.5"),
                                                            right=False)),
    "the other side": (ack(volume="-1"), "1", None, {}, Copy(Decimal(1), Decimal(-1), right=False,
                                                            same_side=False)),
    "open, and told flat": (ack(volume="1"), "0", None, {}, Copy(Decimal(0), Decimal(1),
                                                                right=False, same_side=False)),
    "failed": (ack(status="failed", volume=None, reason="closed market"), "1", None, {},
               Copy(Decimal(1), None, True, "closed market")),
    "failed in part": (ack(status="failed", volume="0.3"), "1", None, {},
                       Copy(Decimal(1), Decimal("0.3"), True, right=False)),
    "failed to close what is not there": (ack(status="failed", volume="0"), "0", None, {}, None),
    "failed to change its stops": (ack(status="failed"), "1", None, {},
                                   Copy(Decimal(1), Decimal(1), True)),
    "released": (ack(status="released", volume="0"), "1", None, {}, None),
    "an order waits": (ack(volume="0"), "1", "0", {"type": "buy_limit"}, None),
}  # fmt: skip


@pytest.mark.parametrize("situation", COPIES)
def test_an_ack_says_whether_a_copy_is_right(followers, situation):
    answer, wanted, net, fields, copy = COPIES[situation]
    follower = join(followers)
    acknowledge(follower, answer, wanted, net, **fields)
    assert [*(follower.copies or {}).values()] == ([] if copy is None else [copy])


def test_a_later_ack_of_the_same_position_mends_it(followers):
    follower = join(followers)
    acknowledge(follower, ack(1, "failed", "0"), "1")
    acknowledge(follower, ack(2), "1")
    assert follower.copies == {}


def test_refused_entries_are_counted_for_an_hour(followers):
    follower = join(followers)
    for seq in range(1, 7):
        acknowledge(follower, ack(seq, "failed", "0"), "1", when=NOON + seq)
    assert follower.refusals(NOON + 6) == 6
    assert follower.refusals(NOON + 1 + WINDOW) == 0


def test_what_is_not_right_is_bounded(followers, monkeypatch):
    monkeypatch.setattr(copies, "MAX_COPIES", 2)
    follower = join(followers)
    for seq in range(1, 4):
        acknowledge(follower, ack(seq, "failed", "0"), "1", symbol=f"S{seq}")
    assert [*follower.copies] == [Key("S2", ""), Key("S3", "")]


def test_what_it_holds_is_bounded_however_many_symbols_a_provider_names(followers, monkeypatch):
    monkeypatch.setattr(module, "MAX_HELD", 2)
    follower = join(followers)
    for seq, symbol in enumerate(("S1", "S2", "S1", "S3"), 1):
        acknowledge(follower, ack(seq), "1", symbol=symbol)
    assert [*follower.held] == ["S1", "S3"]
