"""
The classic programs, modelled after their code, against the real port.

The follower polls once a second, reads at most 512 bytes, cuts what it read at the first
NUL, acts on the last whole frame alone, and stalls for 3 s while it trades. The master
writes into an array that never shrinks and sends all of it. Both speak the code page of
their machine.
"""

import random
import re

import pytest

from mtnet.interfaces import ISignals
from mtnet.net.endpoints import Listener
from mtnet.testing import connect

SYMBOLS = [f"SYM{n:02}" for n in range(19)] + ["EURUSD.£"]
ANSI = "cp1252"
FRAME = re.compile(rb"<<([^<>|]+)\|(-?[0-9.]+)>>")
STEP = 0.25


class Master:
    """The classic publisher."""

    def __init__(self, factory, clock, chance):
        self.factory, self.clock, self.chance = factory, clock, chance
        self.array, self.positions = bytearray(), {}
        self.terminal = connect(factory, clock)

    def set(self, symbol, cents):
        self.positions[symbol] = cents
        self.send(symbol)

    def send(self, symbol):
        text = f"<<{symbol}|{self.positions[symbol] / 100:.2f}>>".encode(ANSI) + b"\0"
        self.array[: len(text)] = text
        data = bytes(self.array)
        while data:
            size = self.chance.choice([1, 3, 10, 64])
            self.terminal.send(data[:size])
            data = data[size:]

    def reconnect(self):
        self.terminal.hang_up()
        self.terminal = connect(self.factory, self.clock)
        for symbol in self.positions:
            self.send(symbol)


class Follower:
    """The classic follower, with what it holds and when it first saw what."""

    def __init__(self, factory, clock, chance):
        self.factory, self.clock, self.chance = factory, clock, chance
        self.held, self.seen, self.busy_until = {}, {}, 0.0
        self.dial()

    def dial(self):
        self.terminal, self.wire, self.socket, self.text = (
            connect(self.factory, self.clock),
            b"",
            b"",
            b"",
        )

    def cut(self):
        self.terminal.hang_up()
        self.dial()

    def step(self, poll):
        self.wire += self.terminal.received()
        # The network hands over any part of what is under way.
        arrived = self.chance.choice([0, 5, len(self.wire), len(self.wire), len(self.wire)])
        self.socket, self.wire = self.socket + self.wire[:arrived], self.wire[arrived:]
        if poll and self.clock.seconds() >= self.busy_until:
            self.poll()

    def poll(self):
        read, self.socket = self.socket[:512], self.socket[512:]
        self.text += read.partition(b"\0")[0]
        frames = list(FRAME.finditer(self.text))
        if not frames:
            return
        self.text = self.text[frames[-1].end() :]
        symbol, cents = frames[-1][1].decode(ANSI), round(float(frames[-1][2]) * 100)
        self.seen.setdefault((symbol, cents), self.clock.seconds())
        if self.held.get(symbol, 0) != cents:
            self.held[symbol] = cents
            self.busy_until = self.clock.seconds() + 3.0


class World:
    """A server, a master and a follower in simulated time."""

    def __init__(self, env_with, clock, seed):
        self.clock, self.chance = clock, random.Random(seed)
        self.env = env_with()
        self.factory = self.env.factory("signals", Listener("signals", "tcp:8081"))
        self.master = Master(self.factory, clock, self.chance)
        self.follower = Follower(self.factory, clock, self.chance)

    def run(self, seconds):
        for _ in range(round(seconds / STEP)):
            self.clock.advance(STEP)
            self.follower.step(poll=self.clock.seconds() % 1.0 == 0)

    def wrong(self):
        positions = self.master.positions
        return {s: (self.follower.held.get(s, 0), v) for s, v in positions.items()
                if self.follower.held.get(s, 0) != v}  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_10_000_changes_with_splits_and_cuts_no_final_position_is_wrong(
    env_with, clock, seed
):
    world = World(env_with, clock, seed)
    for change in range(10_000):
        world.master.set(
            world.chance.choice(SYMBOLS), world.chance.choice([0, 0, 10, 25, -50, -1025])
        )
        if change % 5 == 0:
            world.run(STEP * world.chance.choice([1, 2, 8]))
        if world.chance.random() < 0.002:
            world.follower.cut()
        if world.chance.random() < 0.001:
            world.master.reconnect()
    world.run(180)
    assert world.wrong() == {}
    assert len(world.master.positions) == len(SYMBOLS)


def test_a_close_is_seen_within_5_seconds_beside_30_remembered_flat_symbols(env_with, clock):
    world = World(env_with, clock, 4)
    for n in range(30):
        world.master.set(f"FLAT{n:02}", 10)
        world.master.set(f"FLAT{n:02}", 0)
    for symbol in SYMBOLS:
        world.master.set(symbol, 100)
    world.follower.cut()
    world.run(150)
    delays = []
    for symbol in SYMBOLS:
        world.run(world.chance.choice([7, 11.5, 23.25]))
        since = clock.seconds()
        world.master.set(symbol, 0)
        world.run(6)
        delays.append(world.follower.seen[symbol, 0] - since)
    assert max(delays) <= 5.0
    assert world.wrong() == {}


@pytest.mark.parametrize("every", [2, 4, 6, 12])
def test_a_new_follower_beside_a_busy_provider_soon_holds_what_he_holds(env_with, clock, every):
    world = World(env_with, clock, 8)
    for symbol in SYMBOLS:
        world.master.set(symbol, 100)
    for n in range(30):
        world.master.set(f"OLD{n:02}", 10)
        world.master.set(f"OLD{n:02}", 0)
    world.run(20 * 60)
    world.follower.held.clear()
    world.follower.cut()
    since = clock.seconds()
    while clock.seconds() - since < 6 * 60:
        world.master.set(world.chance.choice(SYMBOLS[:4]), world.chance.choice([25, 50, -75]))
        world.run(every)
    held = set(world.wrong()) - set(SYMBOLS[:4])
    assert held == set()
    world.run(60)
    assert world.wrong() == {}


def test_a_follower_that_was_away_learns_of_the_closes_that_it_missed(env_with, clock):
    world = World(env_with, clock, 5)
    for symbol in SYMBOLS:
        world.master.set(symbol, 100)
    world.run(150)
    assert world.wrong() == {}
    world.follower.terminal.hang_up()
    for symbol in SYMBOLS[:10]:
        world.master.set(symbol, 0)
    clock.advance(3 * 86_400)
    world.follower.dial()
    world.run(150)
    assert world.wrong() == {}


def test_a_hand_trade_on_a_closed_symbol_is_left_alone_after_15_minutes(env_with, clock):
    world = World(env_with, clock, 6)
    world.master.set("SYM00", 10)
    world.master.set("SYM00", 0)
    world.run(20 * 60)
    world.follower.held["SYM00"] = 77
    world.run(30 * 60)
    assert world.follower.held["SYM00"] == 77


def test_of_a_classic_master_nothing_is_lost(env_with, clock):
    world, got = World(env_with, clock, 7), []

    class Tape:
        def changed(self, change):
            got.append((change.symbol, round(change.volume * 100)))

    world.env.find(ISignals).fanout.subscribe("main", Tape())
    sent, state = [], {}
    for _ in range(5_000):
        symbol = world.chance.choice(["EURUSD", "XAUUSD.long-suffix", "A"])
        cents = world.chance.choice([0, 1, -1025, 12345678])
        world.master.set(symbol, cents)
        if state.get(symbol) != cents:
            sent.append((symbol, cents))
        state[symbol] = cents
    assert got == sent
