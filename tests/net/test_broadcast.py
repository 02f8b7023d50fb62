"""A group is told the same, each in its order, and nobody waits for another."""

import gc
import socket
import weakref
from contextlib import suppress

import pytest
from fakes.tcp import ROOM, TcpTransport
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtnet.net.output import broadcast as groups
from mtnet.net.output.broadcast import Broadcast, BroadcastGroup, send_each
from mtnet.net.output.queue import SendQueue
from mtnet.net.timer_wheel import TimerWheel


class Closer:
    """Closes its queue, behind a last message, when too much is queued."""

    def overflowed(self):
        self.queue.close(b"<<ERROR>>")


class Harness:
    """
    A group of those who are called by a letter.

    Attributes:
        wires, queues: of everybody who was ever in it.
    """

    def __init__(self, clock, names="", most=1_000_000):
        self.clock, self.group, self._most, self._count = clock, BroadcastGroup(), most, 0
        self.transports, self.queues = {}, {}
        for name in names:
            self.come(name)

    def come(self, name, wheel=None):
        transport = self.transports[name] = TcpTransport(self.clock)
        self.queues[name] = SendQueue(transport, self.clock, self._most, None, wheel=wheel)
        transport.turn()
        self.group.add(name, self.queues[name])

    def broadcast(self, data):
        self._count += 1
        return Broadcast(self.group, data, self._count)

    def say(self, data):
        """Tell everybody at once."""
        broadcast = self.broadcast(data)
        broadcast.send(broadcast.left, self.clock.seconds())

    def heard(self):
        return {name: transport.handle.taken for name, transport in self.transports.items()}

    def open(self, name):
        """Let a socket take everything that waits."""
        self.transports[name].handle.room = 10**9
        while self.transports[name].writing:
            self.transports[name].turn()


@pytest.fixture
def harness(clock):
    halls = []

    def build(*arguments):
        halls.append(Harness(clock, *arguments))
        return halls[-1]

    yield build
    for each in halls:
        for transport in each.transports.values():
            transport.handle.close()


def test_a_slow_member_delays_nobody_and_misses_nothing(harness):
    here = harness("abc")
    here.transports["b"].handle.room = 2
    here.say(b"news")
    here.say(b" and more")
    assert here.heard() == {"a": b"news and more", "b": b"ne", "c": b"news and more"}
    here.open("b")
    here.say(b"!")
    assert set(here.heard().values()) == {b"news and more!"}


@pytest.mark.parametrize("error", [BlockingIOError(), ConnectionResetError(), BrokenPipeError()])
def test_a_socket_that_is_full_or_broken_is_left_to_its_transport(harness, error):
    here = harness("abc")
    here.transports["b"].handle.error = error
    here.say(b"news")
    assert here.transports["b"].value() == b"news"
    assert here.transports["b"].handle.calls == 2, "not asked again until it has taken something"
    here.say(b" and more")
    assert here.transports["b"].handle.calls == 2
    assert here.heard()["c"] == b"news and more"


def test_an_idle_crowd_costs_one_call_for_each(harness):
    here = harness("abc")
    for _ in range(5):
        here.say(b"news")
    assert [transport.handle.calls for transport in here.transports.values()] == [5, 5, 5]


def test_what_one_was_told_by_itself_comes_in_its_place(harness):
    here = harness("ab")
    here.say(b"1")
    here.transports["a"].handle.room = 0
    here.queues["a"].write(b"2")
    here.say(b"3")
    here.open("a")
    here.say(b"4")
    assert here.heard() == {"a": b"1234", "b": b"134"}


def test_what_was_posted_to_a_slow_page_does_not_cut_a_broadcast_in_two(harness, clock):
    here = harness()
    here.come("a", TimerWheel(clock, 1.0))
    here.queues["a"].post(b"<<posted>>")
    here.transports["a"].handle.room = 3
    here.say(b"<<news>>")
    here.open("a")
    clock.advance(2)
    here.open("a")
    assert here.heard() == {"a": b"<<news>><<posted>>"}


def test_a_slice_leaves_the_rest_for_later(harness):
    here = harness("abc")
    broadcast = here.broadcast(b"news")
    assert (broadcast.send(2, 0.0), broadcast.left) == (2, 1)
    assert here.heard() == {"a": b"news", "b": b"news", "c": b""}
    assert (broadcast.send(2, 0.0), broadcast.left) == (1, 0)
    assert here.heard()["c"] == b"news"


def test_between_two_slices_anybody_may_come_go_or_fall_behind(harness):
    here = harness("abcd")
    broadcast = here.broadcast(b"news")
    broadcast.send(1, 0.0)
    here.group.discard("b")
    here.come("e")
    here.transports["c"].handle.room = 0
    here.queues["c"].write(b"first ")
    broadcast.send(9, 0.0)
    here.open("c")
    assert here.heard() == {"a": b"news", "b": b"", "c": b"first news", "d": b"news", "e": b""}


def test_a_member_that_rejoins_between_two_slices_gets_only_later_broadcasts(harness):
    here = harness("ab")
    broadcast = here.broadcast(b"1")
    here.group.discard("b")
    here.group.add("b again", here.queues["b"])
    broadcast.send(9, 0.0)
    here.say(b"2")
    assert here.heard() == {"a": b"12", "b": b"2"}


def test_it_knows_what_was_told_to_everybody_and_when(harness, clock):
    here = harness("ab")
    here.say(b"1")
    clock.advance(5)
    broadcast = here.broadcast(b"2")
    broadcast.send(1, 5.0)
    assert (here.group.sequence, here.queues["a"].last_write) == (1, 0.0)
    broadcast.send(1, 5.0)
    assert (here.group.sequence, here.queues["a"].last_write) == (2, 5.0)


def test_one_connection_may_be_in_several_crowds(clock, harness):
    here, there = harness("a"), BroadcastGroup()
    there.add("x", here.queues["a"])
    here.transports["a"].handle.room = 1
    here.say(b"12")
    Broadcast(there, b"3", 1).send(1, 7.0)
    assert here.queues["a"].last_write == 7.0
    here.open("a")
    there.discard("x")
    Broadcast(there, b"4", 2).send(1, 8.0)
    here.say(b"5")
    assert here.heard() == {"a": b"1235"}


def test_a_member_that_left_does_not_rejoin_when_its_socket_is_writable(harness):
    here = harness("ab")
    here.group.discard("a")
    here.transports["a"].handle.room = 0
    here.queues["a"].write(b"mine")
    here.open("a")
    here.say(b"news")
    assert here.heard() == {"a": b"mine", "b": b"news"}


def test_a_closed_member_gets_nothing_more(harness):
    here = harness("ab")
    here.queues["a"].close(b"bye")
    here.say(b"news")
    here.open("a")
    assert here.heard() == {"a": b"bye", "b": b"news"}


def test_membership_can_be_queried(harness):
    here = harness("ab")
    here.group.discard("a")
    here.group.discard("a")
    assert (list(here.group), len(here.group), "b" in here.group, "a" in here.group) == (
        ["b"], 1, True, False,
    )  # fmt: skip


def test_a_queue_that_is_two_members_leaves_as_one_and_stays_as_the_other(harness):
    here = harness("a")
    here.group.add("again", here.queues["a"])
    here.group.discard("a")
    here.transports["a"].handle.room = 0
    plan = here.group.plan()
    here.queues["a"].write(b"waits ")
    assert here.group.plan() is not plan, "its buffer is known to be in use"
    here.broadcast(b"news").send(1, 0.0)
    here.open("a")
    assert here.heard() == {"a": b"waits news"}


def test_a_member_that_overflows_gets_nothing_after_a_dropped_message(clock):
    """Also when the socket takes all that waits before the overflow is dealt with."""
    transport, group = TcpTransport(clock), BroadcastGroup()
    closer = Closer()
    queue = closer.queue = SendQueue(transport, clock, 100_000, closer)
    transport.turn()
    group.add("a", queue)
    transport.handle.room, number = 0, 0
    for number in range(300):
        Broadcast(group, b"<<%04d%s>>" % (number, b"x" * 1_000), number).send(1, 0.0)
    waiting = queue.when_empty()
    waiting.addErrback(lambda failure: None)
    transport.handle.room = 10**9
    transport.turn()
    Broadcast(group, b"<<later>>", number + 1).send(1, 0.0)
    assert not waiting.called, "what is written now is dropped"
    clock.advance(0)
    while transport.writing:
        transport.turn()
    *frames, last = transport.handle.taken.split(b"<<")[1:]
    assert last == b"ERROR>>"
    assert [int(frame[:4]) for frame in frames] == list(range(len(frames)))
    waiting.cancel()
    transport.handle.close()


class Watched(SendQueue):
    __slots__ = "__weakref__"


def test_a_member_that_left_is_not_referenced(clock):
    transport, group = TcpTransport(clock), BroadcastGroup()
    queue = Watched(transport, clock, 100, transport.abortConnection)
    transport.turn()
    group.add("a", queue)
    group.discard("a")
    transport.producer.stopProducing()
    transport.producer = None
    queue.close()
    gone = weakref.ref(queue)
    gc.disable()
    try:
        del queue
        assert gone() is None
    finally:
        gc.enable()
        transport.handle.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.sampled_from("abc"), st.integers(1, 300)),
            st.tuples(st.just("broadcast"), st.just(""), st.integers(1, 300)),
            st.tuples(st.just("slice"), st.just(""), st.integers(1, 3)),
            st.tuples(st.just("room"), st.sampled_from("abc"), st.integers(0, 400)),
            st.tuples(st.just("turn"), st.sampled_from("abc"), st.just(0)),
            st.tuples(st.just("leave"), st.sampled_from("abc"), st.just(0)),
            st.tuples(st.just("come"), st.sampled_from("abc"), st.just(0)),
        ),
        max_size=60,
    )
)
def test_every_byte_leaves_once_and_in_order_whatever_the_sockets_take(clock, steps):
    here, said, count = Harness(clock, "abc"), {}, 0
    broadcasts = []  # with those who shall hear it and have not
    try:
        for what, name, number in steps:
            if what in ("write", "broadcast"):
                count += 1
                frame = (b"%d," % count) * number
            if what == "write":
                said[name] = said.get(name, b"") + frame
                here.queues[name].write(frame)
            elif what == "broadcast":
                broadcasts.append((here.broadcast(frame), frame, list(here.group.plan().keys)))
            elif what == "slice" and broadcasts:
                broadcast, frame, names = broadcasts[0]
                for each in names[: broadcast.send(number, 0.0)]:
                    if each in here.group:
                        said[each[0]] = said.get(each[0], b"") + frame
                del names[:number]
                if not broadcast.left:
                    broadcasts.pop(0)
            elif what == "room":
                here.transports[name].handle.room = number
            elif what == "turn":
                here.transports[name].turn()
            elif what == "leave":
                for each in [each for each in here.group if each[0] == name]:
                    here.group.discard(each)
            elif what == "come" and not any(each[0] == name for each in here.group):
                here.group.add(f"{name}{count}", here.queues[name])
        for name in "abc":
            here.open(name)
            assert here.heard()[name] == said.get(name, b"")
    finally:
        for transport in here.transports.values():
            transport.handle.close()


def test_a_backlog_that_overflows_ends_in_a_whole_frame(harness, clock):
    here = harness("a", 100)
    here.transports["a"].handle.room = ROOM
    for number in range(5_000):
        here.say(b"<<%04d>>" % number)
    here.open("a")
    frames = here.heard()["a"]
    assert frames.startswith(b"<<0000>><<0001>>")
    assert len(frames) % 8 == 0


@pytest.fixture(params=["compiled", "interpreted"])
def send(request):
    """Each of the two loops that tell sockets."""
    if request.param == "interpreted":
        return send_each
    if groups.send_to is send_each:
        pytest.skip("The compiled loop was not built here: there was no C compiler.")
    return groups.send_to


@pytest.fixture
def pairs():
    made = [socket.socketpair() for _ in range(5)]
    for ours, _ in made:
        ours.setblocking(False)
    yield made
    for ours, theirs in made:
        ours.close()
        theirs.close()


def test_real_sockets_are_told_the_same_and_those_who_take_less_are_named(send, pairs):
    (_, gone), (full, _), (closed, _) = pairs[1], pairs[2], pairs[3]
    gone.close()
    with suppress(BlockingIOError):
        while True:
            full.send(b"x" * 1_000)
    closed.close()
    assert send([ours for ours, _ in pairs], b"news") == [(1, 0), (2, 0), (3, 0)]
    assert [pairs[at][1].recv(100) for at in (0, 4)] == [b"news", b"news"]


def test_a_socket_that_takes_a_part_says_how_much(send, pairs):
    ours, theirs = pairs[0]
    data = b"x" * 10_000_000
    [(place, sent)] = send([ours], data)
    assert (place, 0 < sent < len(data)) == (0, True)
    theirs.setblocking(False)
    assert len(theirs.recv(len(data))) <= sent


def test_nobody_is_told_anything(send):
    assert send([], b"news") == []


def test_what_is_no_socket_is_refused_before_anybody_is_told(pairs):
    if groups.send_to is send_each:
        pytest.skip("The compiled loop was not built here: there was no C compiler.")
    with pytest.raises(AttributeError):
        groups.send_to([pairs[0][0], object()], b"news")
    with pytest.raises(TypeError):
        groups.send_to((pairs[0][0],), b"news")
    with pytest.raises(TypeError):
        groups.send_to([pairs[0][0]], "news")
    pairs[0][1].setblocking(False)
    with pytest.raises(BlockingIOError):
        pairs[0][1].recv(1)


def test_a_shout_reaches_sockets_of_every_kind_slice_by_slice(harness, pairs):
    here = harness("ab")
    for name, (ours, _) in zip("cde", pairs, strict=False):
        here.come(name)
        here.queues[name].output.writer = ours
        here.group.writer_changed()
    here.transports["b"].handle.room = 0
    here.queues["b"].write(b"first ")
    broadcast = here.broadcast(b"news")
    while broadcast.left:
        broadcast.send(2, 0.0)
    here.open("b")
    assert here.heard() == {"a": b"news", "b": b"first news", "c": b"", "d": b"", "e": b""}
    assert [theirs.recv(100) for _, theirs in pairs[:3]] == [b"news"] * 3
