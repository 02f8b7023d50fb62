"""Steps of the signals machine: copies of the data folder put back, and clocks that jump."""

import shutil
from decimal import Decimal

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from mtnet.clock import WallClock
from mtnet.errors import WireError
from mtnet.services.signals.status.report import Status
from mtnet.testing import EPOCH

DAY = 86_400_000
"""Milliseconds."""
SELDOM = st.sampled_from([True, False, False])


class Rollbacks:
    """
    Attributes:
        copied: what a copy of the data folder holds; None = there is none.
        went_back: whether a copy was put back, or a new epoch drawn.
        claims: what followers said that they know.
        accepted: those of them that a person may have accepted.
    """

    def remember_nothing(self):
        self.copied, self.went_back = None, False
        self.claims, self.accepted = set(), set()

    @rule(now=SELDOM)
    def copy_the_data_folder(self, now):
        if now:
            shutil.rmtree(self.folder / "copy", ignore_errors=True)
            shutil.copytree(self.folder / "data", self.folder / "copy")
            self.copied = list(self.truth.entries), self.rules.kept, list(self.modes)

    @precondition(lambda self: self.copied)
    @rule(share=st.floats(0, 1), at_once=st.booleans(), now=SELDOM)
    def put_the_copy_back(self, share, at_once, now):
        if not now:
            return
        self.die(share, 0)
        shutil.rmtree(self.folder / "data")
        shutil.copytree(self.folder / "copy", self.folder / "data")
        entries, kept, modes = self.copied
        self.truth.begin(entries)
        self.rules.put_back(kept)
        self.modes, self.went_back = list(modes), True
        self.begin()
        if at_once:
            self.everybody_comes_back()

    @rule(new_epoch=st.booleans(), now=SELDOM)
    def accept_the_history(self, new_epoch, now):
        if not now:
            return
        self.accepted |= self.claims
        self.went_back = self.went_back or new_epoch
        self.fail(None)
        self.settle(3)
        red = bool(Status(self.server.signals).health()["diverged"])
        answers = []
        self.operate("accept", new_epoch=new_epoch).addCallback(answers.append)
        self.server.disk.work()
        (answer,) = answers
        if red or new_epoch:
            assert answer == len(self.truth.held)
        else:
            assert isinstance(answer, WireError)
        assert not Status(self.server.signals).health()["diverged"]

    @rule(who=st.integers(0, 1))
    def a_follower_accepts_the_history(self, who):
        self.followers[who].accept()

    def claimed(self, claim):
        """A follower was told that its history is another one: whoever looks is told so, too."""
        if claim not in self.accepted:
            assert not Status(self.server.signals).health()["healthy"]


class ClockJumps:
    """
    Attributes:
        skew: milliseconds by which the clock of the machine is ahead.
        last_run: when a daemon ran last, by a clock that was right; 0 = there was none.
        begun: the last entry when the daemon began.
        known_at_start: the symbols of which it knew then that they changed within days.
    """

    skew = last_run = 0

    def wall_clock(self):
        """Return the wall clock of a daemon, which knows from its data folder when one ran last."""
        seconds = self.clock.seconds
        now = WallClock(lambda: EPOCH + self.skew + int(seconds() * 1000), seconds)
        now.compare_run(self.last_run)
        return now

    @rule(days=st.sampled_from([0, 0, -400, -2, 2, 400]))
    def clock_jumps(self, days):
        self.skew = days * DAY
        self.server.env.now.look()

    def note_start(self):
        """
        Note which symbols a daemon must remember that begins with what is on the disk.

        A clock that was wrong is right again by what was stored before, unless that is of a clock
        that was ahead; of each position the disk has the last entry alone.
        """
        now = EPOCH + int(self.clock.seconds() * 1000)
        held = {symbol for symbol, _ in self.truth.held}
        flat = {e.symbol: e for e in self.truth.entries if e.symbol not in held}
        self.begun, self.known_at_start, newest = len(self.truth.entries), held, 0
        rows, latest = [*self.truth.held.values(), *flat.values()], min(now, self.server.env.now())
        for row in sorted(rows, key=lambda row: row.seq):
            newest = max(newest, row.when if row.when <= latest else 0)
            if newest >= now - 6 * DAY:
                self.known_at_start.add(row.symbol)

    def remembered(self):
        """Name the symbols whose net position is known to have changed within the last days."""
        volumes, nets, changed = {}, {}, set(self.known_at_start)
        for entry in self.truth.entries:
            counted = entry.volume if entry.type == "position" else Decimal(0)
            volumes.setdefault(entry.symbol, {})[entry.ticket] = counted
            net = sum(volumes[entry.symbol].values())
            if nets.get(entry.symbol) != net:
                nets[entry.symbol] = net
                # This daemon knows the age of what it stored itself.
                changed |= {entry.symbol} if entry.seq > self.begun else set()
        return changed

    def note_run(self):
        """The data folder knows when a daemon ran last, by a clock that was right."""
        if self.server.env.now.right:
            self.last_run = self.server.env.now()
