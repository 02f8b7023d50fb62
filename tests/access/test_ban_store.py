"""Penalties survive a restart, whatever happens to the clock."""

from math import inf

import pytest
from fakes.work import instructions

from mtnet.access.bans.policy import Bans, Offence
from mtnet.access.bans.store import BanStore
from mtnet.config.schema import Bans as Weights
from mtnet.errors import JournalError

DAY, YEAR = 86_400.0, 31_536_000.0
WALL = 1_700_000_000.0
HOST = "192.0.2.7"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bans.sqlite"


@pytest.fixture
def bans():
    """A guesser with 14,400 s and 5 bad logins of another, and two bans by hand."""
    bans = Bans(Weights())
    for _ in range(20):
        bans.punish(HOST, Offence.LOGIN, 50.0, "admin")
    for _ in range(7):
        bans.punish("2001:db8::1", Offence.ERROR, 50.0)
    bans.add("203.0.113.0/24", None, 50.0)
    bans.add("198.51.100.0/24", DAY, 50.0)
    return bans


def store(path, bans, when=50.0, wall=WALL):
    changes = bans.changes(when, wall)
    records = BanStore(path)
    records.store(changes)
    records.close()
    bans.mark_stored(changes)
    return changes


def load(path, when, wall):
    records, bans = BanStore(path), Bans(Weights())
    bans.load(records.load(), when, wall)
    records.close()
    return bans


def rows(bans, when):
    return sorted(bans.rows(when), key=str)


def test_a_missing_file_holds_no_penalties(path):
    assert BanStore(path).load() == []


def test_penalties_continue_after_a_restart(path, bans):
    store(path, bans)
    later = load(path, 7.0, WALL + 100)
    assert later.ban_left(HOST, 7.0) == 14_300
    assert later.login_ban_left("admin", HOST, 7.0, known=True) == 14_300
    assert later.ban_left("2001:db8::2", 7.0) == 500
    assert later.ban_left("203.0.113.1", 7.0) == inf
    assert later.ban_left("198.51.100.1", 7.0) == DAY - 100
    assert rows(later, 7.0) == rows(bans, 150.0)


def test_bad_logins_are_remembered_over_a_restart(path, bans):
    store(path, bans)
    later = load(path, 0.0, WALL + 20_000)
    assert later.ban_left(HOST, 0.0) == 0
    later.punish(HOST, Offence.LOGIN, 0.0, "admin")
    assert later.ban_left(HOST, 0.0) == 14_400


def test_forgotten_penalties_are_not_loaded_and_leave_the_file(path, bans):
    store(path, bans)
    later = load(path, 0.0, WALL + 3 * DAY)
    store(path, later, 0.0, WALL + 3 * DAY)
    assert [key.network for key, _ in BanStore(path).load()] == ["203.0.113.0/24"]


@pytest.mark.parametrize("back", [-YEAR, -1e12])
def test_a_clock_set_back_prolongs_nothing_beyond_its_cap(path, bans, back):
    store(path, bans)
    later = load(path, 0.0, WALL + back)
    assert later.ban_left(HOST, 0.0) == 14_400
    assert later.ban_left("2001:db8::1", 0.0) == 600
    assert later.ban_left("198.51.100.1", 0.0) == DAY
    # What was put right is stored right: the next restart does not begin anew.
    store(path, later, 0.0, WALL + back)
    assert load(path, 0.0, WALL + back + 400).ban_left("2001:db8::1", 0.0) == 200


@pytest.mark.parametrize("forward", [YEAR, 1e12])
def test_a_clock_set_forward_ends_penalties_without_an_error(path, bans, forward):
    store(path, bans)
    later = load(path, 0.0, WALL + forward)
    assert later.ban_left(HOST, 0.0) == later.ban_left("198.51.100.1", 0.0) == 0
    assert later.ban_left("203.0.113.1", 0.0) == inf


@pytest.mark.parametrize("jump", [YEAR, -YEAR])
def test_a_clock_that_jumps_while_it_runs_changes_no_ban(path, bans, jump):
    store(path, bans)
    store(path, bans, 60.0, WALL + 10 + jump)
    store(path, bans, 70.0, WALL + 20)
    assert load(path, 0.0, WALL + 50).ban_left("198.51.100.1", 0.0) == DAY - 50


def test_a_ban_that_was_over_by_a_wrong_clock_returns_when_it_is_right(path, bans):
    store(path, bans)
    later = load(path, 0.0, WALL + YEAR)
    for when, wall in ((10.0, WALL + YEAR + 10), (20.0, WALL + 20)):
        changes = later.changes(when, wall, steady=False)
        records = BanStore(path)
        records.store(changes)
        records.close()
        later.mark_stored(changes)
    assert later.ban_left("198.51.100.1", 20.0) == DAY - 20
    assert load(path, 0.0, WALL + 50).ban_left("198.51.100.1", 0.0) == DAY - 50


def test_only_changes_are_stored_again(path, bans):
    store(path, bans)
    assert not bans.changes(60.0, WALL + 10)
    bans.punish("192.0.2.8", Offence.FRAME, 60.0)
    bans.pardon("admin", HOST)
    bans.lift("203.0.113.0/24")
    changes = store(path, bans, 60.0, WALL + 10)
    assert [key.network for key in changes.put] == ["192.0.2.8"]
    assert sorted(changes.gone) == [(HOST, "admin", False), ("203.0.113.0/24", "", True)]
    assert rows(load(path, 0.0, WALL + 10), 0.0) == rows(bans, 60.0)


def test_a_change_stays_one_until_it_is_stored(path, bans):
    first = bans.changes(50.0, WALL)
    assert bans.changes(50.0, WALL) == first
    assert len(store(path, bans).put) == len(first.put)
    assert not bans.changes(50.0, WALL)


def test_loaded_penalties_are_not_stored_again(path, bans):
    store(path, bans)
    assert not load(path, 0.0, WALL).changes(0.0, WALL)


def test_a_damaged_file_is_refused_in_a_sentence(path):
    path.write_bytes(b"no database" * 100)
    with pytest.raises(JournalError, match="cannot be read or written"):
        BanStore(path).load()


@pytest.mark.parametrize("number", [10, 3_000])
def test_lifting_one_ban_and_storing_it_does_not_cost_more_among_many(bans, number):
    for each in range(number):
        bans.punish(f"10.{each >> 8}.{each & 255}.1", Offence.ERROR, 50.0)
        bans.add(f"172.16.{each >> 8}.{each & 255}", None, 50.0)
    bans.mark_stored(bans.changes(50.0, WALL))

    def lift():
        assert bans.lift("203.0.113.0/24")
        assert bans.lift(HOST)
        bans.mark_stored(bans.changes(50.0, WALL))

    assert instructions(lift) < 6_000


def test_penalties_that_come_and_go_while_the_disk_fails_take_no_memory():
    bans = Bans(Weights(max_penalties=10))
    for each in range(1_000):
        bans.punish(f"10.0.{each >> 8}.{each & 255}", Offence.ERROR, 50.0)
    changes = bans.changes(50.0, WALL)
    assert len(changes.put) == len(bans) == 10
    assert changes.gone == []
