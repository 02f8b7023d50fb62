"""A sink: every tick that was kept arrives, in order, whatever becomes of the server."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from fakes.threads import ManualThread
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from sink_fakes import FakeTarget, volumes
from twisted.internet.task import Clock
from twisted.logger import formatEvent

from mtnet.services.sinks.commands import SinkCommands
from mtnet.services.sinks.component import SinkStatus
from mtnet.services.sinks.conditions import SinkConditions
from mtnet.services.sinks.metrics import SinkMetrics
from mtnet.services.sinks.queue import TickQueue
from mtnet.services.sinks.settings import SinksSettings
from mtnet.services.sinks.sink import Sink
from mtnet.services.sinks.store import QueueStore
from mtnet.services.sinks.target import TargetError
from mtnet.services.sinks.writer import BatchWriter

SETTINGS = SinksSettings(batch=5)


class World:
    """A sink that can be killed and started again, and its server."""

    def __init__(self, folder, limit=10_000_000):
        self.folder, self.limit, self.clock = folder, limit, Clock()
        self.target, self.sent = FakeTarget(), 0
        self.start()

    def start(self):
        self.disk, self.network = ManualThread(held=False), ManualThread()
        self.store = QueueStore(self.folder / "queue.sqlite", self.limit)
        self.queue = TickQueue(["*"], self.store, self.disk)
        self.queue.open()
        writer = BatchWriter(self.target, self.network, 5, 30.0, self.clock.seconds)
        self.sink = Sink("warehouse", SETTINGS, self.queue, writer, self.clock)
        self.sink.start()

    def kill(self):
        self.sink.stop()
        self.network.calls.clear()
        self.store.close()

    def take(self, count=1):
        for _ in range(count):
            self.queue.taken([(b"EURUSD", b"1.1 1.2 - %d" % self.sent)], 5, ["desk"])
            self.sent += 1
        self.queue.flush()

    def work(self):
        """Let the server answer all that it is asked."""
        for _ in range(50):
            self.network.work()

    def rows(self):
        return [self.target.rows[key] for key in sorted(self.target.rows)]


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def texts(log):
    """Return the sentences of the log."""
    return [formatEvent(event) for event in log]


def test_ticks_are_sent_as_they_come_and_leave_the_queue(world):
    world.take(3)
    world.take(4)
    world.work()
    assert volumes(world.rows()) == list(range(7))
    assert (world.sink.writer.counts.sent, world.queue.waiting.ticks) == (7, 0)


def test_what_came_while_the_server_was_slow_is_sent_together(world):
    world.take()
    for _ in range(4):
        world.take()
    world.work()
    assert volumes(world.rows()) == list(range(5))
    assert world.target.writes == 2


def test_a_server_that_is_down_is_tried_after_growing_delays(world, log):
    world.target.down = True
    world.take(2)
    world.work()
    for delay, writes in [(0.9, 1), (0.1, 2), (1.9, 2), (0.1, 3), (4, 4)]:
        world.clock.advance(delay)
        world.work()
        assert world.target.writes == writes
    for _ in range(20):
        world.clock.advance(60)
        world.work()
    assert world.target.writes == 24
    world.target.down = False
    world.clock.advance(60)
    world.work()
    assert (volumes(world.rows()), world.sink.failures) == ([0, 1], 0)
    assert texts(log) == [
        "The sink warehouse took no ticks, which are sent again later: it is down",
        "The sink warehouse takes ticks again.",
    ]


def test_an_answer_that_was_lost_makes_the_same_ticks_be_sent_again(world):
    world.target.deaf = True
    world.take(3)
    world.work()
    world.target.deaf = False
    world.take(1)
    world.clock.advance(60)
    world.work()
    assert volumes(world.rows()) == [0, 1, 2, 3]
    assert world.target.repeated == 3


def test_a_kill_loses_nothing_that_was_kept(world):
    world.target.down = True
    world.take(3)
    world.work()
    world.kill()
    world.target.down = False
    world.start()
    world.work()
    assert volumes(world.rows()) == [0, 1, 2]


def test_a_server_that_takes_nothing_for_long_is_a_warning_and_no_trouble(world):
    component = SinkStatus([world.sink])
    world.target.down = True
    world.take(3)
    for _ in range(20):
        world.work()
        assert component.health() == {"healthy": True, "trouble": None, "warning": None}
        world.clock.advance(15)
    world.work()
    assert component.health()["warning"] == (
        "The sink warehouse takes nothing, and 3 ticks wait: it is down"
    )


def test_a_server_that_is_slow_gets_as_few_ticks_at_once_as_it_takes_in_time(world):
    world.target.largest = 1
    world.take(5)
    for _ in range(10):
        world.work()
        world.clock.advance(60)
    assert volumes(world.rows()) == list(range(5))
    assert world.target.repeated == 0
    assert world.queue.waiting.ticks == 0


def test_writes_grow_again_when_a_server_is_fast(world):
    world.target.largest = 1
    world.take(5)
    for _ in range(10):
        world.work()
        world.clock.advance(60)
    world.target.largest, before = 0, world.target.writes
    for _ in range(20):
        world.take(5)
        world.work()
    assert volumes(world.rows()) == list(range(105))
    assert world.target.writes - before < 25


def test_what_was_written_before_a_failure_is_not_written_again(world):
    world.target.largest = 2
    world.take(5)
    world.work()
    world.target.largest = 0
    world.clock.advance(60)
    world.work()
    assert volumes(world.rows()) == list(range(5))
    assert world.target.repeated == 0


def test_ticks_that_a_server_refuses_are_counted_and_told_once(world, log):
    world.target.refuses = 1
    world.take(2)
    world.work()
    world.take(2)
    world.work()
    assert (world.sink.writer.counts.sent, world.sink.writer.counts.refused) == (2, 2)
    assert texts(log) == ["The sink warehouse takes 1 ticks never: too old"]
    assert SinkStatus([world.sink]).health()["warning"] == (
        "The sink warehouse lost 2 ticks of late, as its queue was full, the disk failed, or its "
        "server refused them (too old); the store of ticks has them."
    )


def test_ticks_that_found_no_room_are_a_warning_for_an_hour(tmp_path):
    world = World(tmp_path, limit=1)
    component = SinkStatus([world.sink])
    world.target.down = True
    world.take(3)
    assert "lost 3 ticks of late" in component.health()["warning"]
    world.clock.advance(3_599)
    assert "lost 3 ticks of late" in component.health()["warning"]
    world.target.down = False
    world.clock.advance(1)
    world.work()
    assert component.health()["warning"] is None
    world.kill()
    world.start()
    assert world.sink.dropped == 3
    assert SinkStatus([world.sink]).health()["warning"] is None


def holding(world, word, text=""):
    """Return what a condition of alerts says now."""
    return SinkConditions([world.sink]).conditions()[word](text)()


def test_a_sink_that_is_down_is_a_condition_of_alerts(world):
    assert holding(world, "sink_down") == {}
    world.target.down = True
    world.take(3)
    world.work()
    sentence = "The sink warehouse takes nothing, and 3 ticks wait: it is down"
    assert holding(world, "sink_down") == {"warehouse": sentence}
    assert holding(world, "sink_down", "other") == {}
    assert holding(world, "sink_down", "warehouse > 5min") == {}
    world.clock.advance(301)
    assert holding(world, "sink_down", "warehouse > 5min") == {"warehouse": sentence}


def test_a_sink_that_loses_ticks_is_a_condition_of_alerts(tmp_path):
    world = World(tmp_path, limit=1)
    assert holding(world, "sink_drops") == {}
    world.take(3)
    assert "lost 3 ticks" in holding(world, "sink_drops")["warehouse"]
    assert holding(world, "sink_drops", "warehouse > 3") == {}


def test_metrics_tell_each_sink(world):
    world.take(3)
    world.work()
    world.target.down = True
    world.take(2)
    world.work()
    read = {each.name: each.read() for each in SinkMetrics([world.sink]).metrics()}
    assert read["mtnet_sinks_sent_total"] == {("warehouse",): 3}
    assert read["mtnet_sinks_waiting"] == {("warehouse",): 2}
    assert read["mtnet_sinks_failures"] == {("warehouse",): 1}
    assert read["mtnet_sinks_waiting_bytes"][("warehouse",)] > 0


def test_a_program_error_of_a_target_is_treated_as_a_failure(world, log, monkeypatch):
    monkeypatch.setattr(world.target, "write", lambda origin, batch: 1 / 0)
    world.take()
    world.work()
    assert (world.sink.failures, world.queue.waiting.ticks) == (1, 1)
    assert any("The sink warehouse failed" in each for each in texts(log))


def test_a_sink_that_stopped_sends_no_more(world):
    world.sink.stop()
    world.take()
    assert world.network.calls == []
    assert world.queue.waiting.ticks == 1


def test_the_command_tries_the_server(world):
    commands = SinkCommands([world.sink])
    answers = []
    commands.test({"name": "warehouse"}).addCallback(answers.append)
    world.work()
    world.target.down = True
    commands.test({"name": "warehouse"}).addCallback(answers.append)
    world.work()
    assert [each["taken"] for each in answers] == [True, False]
    assert answers[1]["reason"] == "it is down"
    with pytest.raises(Exception, match=r"There is no \[sinks\.x\]; there is warehouse\."):
        commands.test({"name": "x"})


class SinkMachine(RuleBasedStateMachine):
    """Ticks, kills, and a server that is down, deaf or slow."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name))

    def teardown(self):
        self.world.target.down = self.world.target.deaf = False
        for _ in range(10):
            self.world.clock.advance(60)
            self.world.work()
        assert volumes(self.world.rows()) == list(range(self.world.sent))
        assert self.world.queue.waiting[:2] == (0, 0)
        self.world.store.close()
        self.folder.cleanup()

    @rule(count=st.integers(1, 12))
    def take(self, count):
        self.world.take(count)

    @rule(down=st.booleans(), deaf=st.booleans())
    def change_server(self, down, deaf):
        self.world.target.down, self.world.target.deaf = down, deaf

    @rule()
    def answer(self):
        if self.world.network.calls:
            self.world.network.step()

    @rule(seconds=st.sampled_from([0.5, 2.0, 70.0]))
    def wait(self, seconds):
        self.world.clock.advance(seconds)

    @rule()
    def kill(self):
        self.world.kill()
        self.world.start()

    @rule()
    def kill_behind_the_server(self):
        """End the daemon when the server has the ticks, and the queue has them still."""
        if self.world.network.calls:
            _, write, arguments = self.world.network.calls[0]
            with suppress(TargetError):
                write(*arguments)
        self.kill()

    @invariant()
    def rows_have_no_hole(self):
        found = volumes(self.world.rows())
        assert found == list(range(len(found)))


SinkMachine.TestCase.settings = settings(
    max_examples=int(os.environ.get("MTNET_TEST_RUNS", "0")) or 30, deadline=None
)
TestSinks = SinkMachine.TestCase
