"""Who publishes in which channel, and what followers learn of it."""

import pytest
from twisted.internet.testing import StringTransport

from mtnet.signals.providers import Providers, Publisher


class Office:
    """Providers whose news is noted; the clock counts the calls."""

    def __init__(self):
        self.told, self.ticks, self.numbers = [], 0, 0
        self.providers = Providers(self.now, lambda *news: self.told.append(news))

    def now(self):
        self.ticks += 1
        return self.ticks

    def join(self, name="a master"):
        self.numbers += 1
        fenced = []
        publisher = Publisher(
            name, self.numbers, StringTransport(), lambda error: None, fenced.append
        )
        publisher.notes = fenced
        return publisher

    def turns(self):
        told, self.told = [(channel, up) for channel, up, _ in self.told], []
        return told


@pytest.fixture
def office():
    return Office()


def test_a_channel_without_publisher_is_down_since_the_start(office):
    assert office.providers.status("main") == (False, 1)
    assert office.providers.owner("main") is None


def test_the_first_publisher_and_the_last_leave_are_news_and_nothing_between(office):
    first, second = office.join(), office.join()
    office.providers.joined("main", first)
    office.providers.joined("main", second)
    office.providers.joined("main", first)
    assert office.told == [("main", True, 2)]
    assert office.providers.status("main") == (True, 2)
    office.turns()
    office.providers.leave(first)
    assert office.turns() == []
    office.providers.leave(second)
    assert office.turns() == [("main", False)]
    assert office.providers.status("main") == (False, 3)


def test_the_newest_owner_fences_the_one_before_without_any_news(office):
    old, new = office.join(), office.join()
    office.providers.own("main", old)
    office.turns()
    office.providers.own("main", new)
    assert old.notes == ["main"]
    assert old.fenced == {"main"}
    assert office.providers.owners() == {"main": new.number}
    assert office.providers.names("main") == ["a master"]
    assert office.turns() == []


def test_whoever_owns_a_channel_already_fences_nobody(office):
    owner = office.join()
    office.providers.own("main", owner)
    office.providers.own("main", owner)
    assert owner.notes == []
    assert not owner.fenced


def test_a_fenced_one_that_leaves_takes_nothing_along(office):
    old, new = office.join(), office.join()
    office.providers.own("main", old)
    office.providers.own("main", new)
    office.turns()
    office.providers.leave(old)
    assert office.providers.owner("main") is new
    assert office.turns() == []


def test_an_owner_that_leaves_frees_every_channel_of_its_own(office):
    owner, other = office.join(), office.join()
    for channel in ("main", "gold"):
        office.providers.own(channel, owner)
    office.providers.own("oil", other)
    office.turns()
    office.providers.leave(owner)
    assert office.turns() == [("main", False), ("gold", False)]
    assert office.providers.owners() == {"oil": other.number}


def test_an_owner_that_leaves_a_published_master_behind_leaves_the_channel_up(office):
    master, owner = office.join(), office.join()
    office.providers.joined("main", master)
    office.providers.own("main", owner)
    office.providers.leave(owner)
    assert office.turns() == [("main", True)]
    assert office.providers.owner("main") is None


def test_one_who_is_gone_is_never_there_but_fences_the_owner_all_the_same(office):
    owner, gone = office.join(), office.join()
    office.providers.own("main", owner)
    office.turns()
    office.providers.leave(gone)
    office.providers.joined("main", gone)
    office.providers.own("main", gone)
    assert owner.notes == ["main"]
    assert office.providers.owner("main") is None
    assert office.turns() == [("main", False)]
    assert office.providers.status("main")[0] is False


def test_leaving_twice_is_harmless(office):
    publisher = office.join()
    office.providers.own("main", publisher)
    office.providers.leave(publisher)
    office.providers.leave(publisher)
    assert office.turns() == [("main", True), ("main", False)]
