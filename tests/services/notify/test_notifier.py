"""Messages to people: none is lost, none floods, and what waits is sent later."""

import pytest
from fakes.threads import ManualThread
from twisted.internet.task import Clock

from mtnet.clock import WallClock
from mtnet.errors import JournalError, WireError
from mtnet.services.notify.notifier import STOP_TIMEOUT, Delivery, Notifier
from mtnet.services.notify.queue import RetryQueue
from mtnet.services.notify.settings import NotifySettings
from mtnet.services.notify.store import MessageStore
from mtnet.testing import EPOCH

HOUR = 3_600


class FakeReceiver:
    """A receiver that can be down, and that refuses what it does not like."""

    def __init__(self, target, id):
        self.target, self.id, self.label = target, id, "fake://…"
        self.down, self.disliked, self.got, self.tried = False, "", [], 0

    def deliver(self, title, text):
        self.tried += 1
        if self.down or (self.disliked and self.disliked in text):
            return "it is down"
        self.got.append(text)
        return None


class World:
    """A notifier that can be killed and started again, and its receivers."""

    def __init__(self, folder, **settings):
        self.clock, self.folder, self.settings = Clock(), folder, settings
        self.disk, self.network = ManualThread(held=False), ManualThread(held=False)
        self.ops, self.team = FakeReceiver("ops", "1"), FakeReceiver("team", "2")
        self.start()

    def start(self):
        store = MessageStore(self.folder / "notify.sqlite")
        now = WallClock(lambda: EPOCH + int(self.clock.seconds() * 1000), self.clock.seconds)
        settings = NotifySettings(**self.settings)
        deliveries = [
            Delivery(each, RetryQueue(settings), self.network, self.clock)
            for each in (self.ops, self.team)
        ]
        self.notifier = Notifier(settings, deliveries, store, self.disk, self.clock, now)
        self.notifier.load()
        self.notifier.start()

    def kill(self):
        """End as by kill -9: nothing more is stored."""
        self.notifier._loop.stop()
        self.disk.calls.clear()
        self.network.calls.clear()

    def send(self, *texts, **options):
        for text in texts:
            self.notifier.notify(text, **options)

    def advance(self, seconds, step=1.0):
        for _ in range(int(seconds / step)):
            self.clock.advance(step)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_message_goes_to_each_name_it_is_for(world):
    world.send("for ops", to=["ops"])
    world.send("for all")
    assert (world.ops.got, world.team.got) == (["for ops", "for all"], ["for all"])
    with pytest.raises(WireError, match=r"here ops, team, not: 'nobody'"):
        world.notifier.notify("for nobody", to=["ops", "nobody"])
    assert world.ops.got == ["for ops", "for all"]


def test_what_a_receiver_did_not_take_for_an_hour_arrives_in_order_with_its_age(world):
    world.ops.down = True
    for number in range(12):
        world.send(f"message {number}", to=["ops"])
        world.advance(HOUR / 12, 5)
    tried = world.ops.tried
    assert tried < 30, "the delays grow"
    world.ops.down = False
    world.advance(700)
    arrived = [text.splitlines()[0] for text in world.ops.got]
    assert sorted(arrived) == sorted(f"message {number}" for number in range(12))
    assert arrived[1:] == sorted(arrived[1:], key=lambda text: int(text.split()[1]))
    assert "(written 6" in "".join(world.ops.got)
    assert world.ops.tried == tried + 12


def test_a_message_that_is_never_taken_does_not_hold_up_the_others(world):
    world.ops.disliked = "poison"
    world.send("poison", "one", "two", to=["ops"])
    world.advance(60)
    world.send("three", to=["ops"])
    world.advance(60)
    assert world.ops.got == ["one", "two", "three"]
    assert world.notifier.status()["receivers"][0]["waiting"] == 1


@pytest.mark.parametrize("step", range(8))
def test_no_kill_loses_a_message(world, step):
    """The daemon is killed after each step of its threads; a message may come twice, never not."""
    world.disk.held = world.network.held = True
    stored = []
    for text in ("one", "two"):
        done = world.notifier.notify(text, to=["ops"])
        done.addCallback(lambda _, text=text: stored.append(text))
        done.addErrback(lambda failure: None)
    for _ in range(step):
        for thread in (world.disk, world.network):
            if thread.calls:
                thread.step()
        world.clock.advance(1)
    world.kill()
    world.disk.held = world.network.held = False
    world.start()
    world.advance(10)
    assert set(stored) <= set(world.ops.got)
    assert all(world.ops.got.count(text) <= 2 for text in stored)
    world.kill()
    got = list(world.ops.got)
    world.start()
    world.advance(100)
    assert world.ops.got == got, "what was taken and removed does not come again"


def test_a_slow_receiver_gets_nothing_again_after_a_restart(world):
    """The message of one is removed from the disk while another one still takes it."""
    world.network.held = True
    world.send("one")
    for _ in ("ops", "team"):
        world.network.step()
        world.advance(1)
    world.kill()
    world.network.held = False
    world.start()
    world.advance(100)
    assert (world.ops.got, world.team.got) == (["one"], ["one"])


def test_a_stop_waits_for_a_message_on_its_way_which_does_not_come_again(world):
    world.network.held = True
    world.send("one", to=["ops"])
    stopped = world.notifier.stop()
    assert not stopped.called
    world.network.work()
    assert stopped.called
    world.network.held = False
    world.start()
    world.advance(10)
    assert world.ops.got == ["one"]


def test_a_stop_does_not_wait_for_a_receiver_that_hangs(world):
    world.network.held = True
    world.send("one", to=["ops"])
    stopped = world.notifier.stop()
    world.clock.advance(STOP_TIMEOUT)
    assert stopped.called
    world.network.work()
    world.network.held = False
    world.start()
    world.advance(10)
    assert world.ops.got == ["one", "one"], "a message comes twice rather than never"


def test_twenty_a_minute_are_sent_and_the_next_one_counts_the_rest(world):
    world.send(*(f"message {number}" for number in range(50)), to=["ops"])
    world.advance(59)
    assert len(world.ops.got) == 20
    world.advance(2)
    assert world.ops.got[20:] == [
        "30 messages were left out before this one: too many came at once, or none was taken."
    ]
    world.send("later", to=["ops"])
    assert world.ops.got[21:] == ["later"]
    assert world.team.got == []


def test_no_minute_has_more_than_twenty_after_a_receiver_was_down(world):
    world.ops.down = True
    for _ in range(5):
        world.send(*map(str, range(20)), to=["ops"])
        world.advance(60)
    world.ops.down = False
    minutes, before = [], 0
    for _ in range(12):
        world.advance(60)
        minutes.append(len(world.ops.got) - before)
        before = len(world.ops.got)
    assert max(minutes) <= 20
    assert before == 100


def test_what_was_left_out_is_counted_over_a_restart(world):
    world.send(*map(str, range(25)), to=["ops"])
    world.advance(1)
    world.kill()
    world.start()
    world.advance(2)
    assert world.ops.got[20].startswith("5 messages were left out")


def test_a_key_is_sent_once(world):
    world.send("first", key="alert/1/begins")
    world.send("again", key="alert/1/begins")
    world.advance(1)
    world.kill()
    world.start()
    world.send("again", key="alert/1/begins")
    assert (world.ops.got, world.team.got) == (["first"], ["first"])


def test_a_full_disk_keeps_nobody_from_knowing_but_success_is_not_said(world):
    world.disk.held = world.disk.full = True
    outcomes = []
    for text, key in (("The disk is full.", "disk/1"), ("by an EA", "")):
        world.notifier.notify(text, ["ops"], key).addBoth(outcomes.append)
    world.disk.work()
    assert world.ops.got == ["The disk is full."]
    assert [outcome.check(JournalError) for outcome in outcomes] == [JournalError, JournalError]


def test_a_disk_that_hangs_keeps_nobody_from_knowing_and_nothing_comes_twice(world):
    world.disk.held = True
    world.send("The disk hangs.", to=["ops"], key="disk/1")
    world.advance(4)
    assert world.ops.got == []
    world.advance(2)
    assert world.ops.got == ["The disk hangs."]
    world.disk.held = False
    world.disk.work()
    world.advance(10)
    world.kill()
    world.start()
    world.advance(10)
    assert world.ops.got == ["The disk hangs."]


def test_a_message_that_nobody_takes_is_given_up_and_counted(world):
    world.advance(2 * 86_400, 600)  # the clock has to be right for a day
    world.ops.down = True
    world.send("lost", to=["ops"])
    world.advance(8 * 86_400, 600)
    assert world.notifier.status()["receivers"][0]["waiting"] <= 1, "the note that counts it"
    world.ops.down = False
    world.advance(1_200)
    assert world.ops.got[0].startswith("1 message was left out")
    assert not any("lost" in text for text in world.ops.got)


def test_a_queue_that_does_not_drain_is_a_warning(world):
    world.ops.down = True
    world.send("one", to=["ops"])
    assert world.notifier.health()["warning"] is None
    world.advance(400)
    assert world.notifier.health()["warning"] == "ops (fake://…) takes nothing (1 waiting)."
    assert world.notifier.health()["healthy"]
    world.ops.down = False
    world.advance(700)
    assert world.notifier.health()["warning"] is None


def test_a_receiver_that_is_configured_no_more_is_forgotten(world):
    world.ops.down = True
    world.send("one", to=["ops"])
    world.kill()
    world.ops.id = "other"
    world.ops.down = False
    world.start()
    world.advance(5)
    assert world.ops.got == []
    assert MessageStore(world.folder / "notify.sqlite").load()[0] == []
