"""Steps of the story: an account that is counted, histories that go back, clocks that jump."""

import shutil
from decimal import Decimal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from mtnet.client import Holdings, Position
from mtnet.interfaces import ISignals
from mtnet.services.signals.status.report import Status
from mtnet.testing import EPOCH

DAY = 86_400_000
"""Milliseconds."""
LOTS = st.integers(-3, 3)
SELDOM = st.sampled_from([True, False, False])


class Account:
    """
    What an account holds; a program that has just started knows nothing of it.

    Attributes:
        held: lots by symbol.
        loaded: whether that is known.
        were: every (symbol, lots) that there ever was.
    """

    def __init__(self):
        self.held, self.loaded, self.were = {}, False, set()

    def set(self, symbol, volume):
        self.held.pop(symbol, None)
        if volume:
            self.held[symbol] = Decimal(volume)
        self.were.add((symbol, Decimal(volume)))

    def count(self):
        if not self.loaded:
            return None
        held = [Position(symbol, volume) for symbol, volume in self.held.items()]
        return Holdings(held, "1@Broker", flat=not held)


class Accounts:
    """
    Attributes:
        account: what the publisher `counted` keeps its channel equal to.
        silent: whether some trades are found by counting alone.
    """

    def open_account(self, silent, **options):
        self.account, self.silent = Account(), silent
        self.counted = self.harness.publisher(positions=self.account.count, **options)
        self.providers.append(self.counted)

    @rule(symbol=st.sampled_from("ABC"), volume=LOTS, told=st.booleans())
    def trade(self, symbol, volume, told):
        """The account trades; its program tells of it, or finds out by counting."""
        if self.counted is None:
            return
        self.account.set(symbol, volume)
        told = told or not self.silent
        if told and not self.counted.publisher.stopped:
            self.publish_by(self.counted, symbol, volume)

    @rule(loaded=st.booleans())
    def load(self, loaded):
        if self.counted is not None:
            self.account.loaded = loaded

    def check_account(self):
        """The channel shows what the account holds, as long as the account's publisher has it."""
        # Whoever did not publish since it was taken does not know that it is another's.
        holder = self.harness.env.find(ISignals).rules.ownership.holders.get("main")
        taken = holder is not None and holder.who.name in ("rival", "other")
        if self.counted is not None and not self.counted.publisher.stopped and not taken:
            held = {(symbol, ""): volume for symbol, volume in self.account.held.items()}
            assert self.harness.held() == held

    def count_account(self):
        """Let the program have loaded, and find what it did not tell by a new connection."""
        if self.counted is not None:
            self.account.loaded = True
            if self.silent and self.counted.line.connections:
                self.counted.line.connection.cut()


class Histories:
    """
    Attributes:
        copied: a copy of the data folder; None = there is none.
        went_back: whether a copy was put back, or a new epoch drawn.
    """

    copied, went_back, copies = None, False, 0

    @rule(now=SELDOM)
    def copy_the_data_folder(self, now):
        if now:
            self.copied = self._copy(self.harness.folder)

    @precondition(lambda self: self.copied)
    @rule(now=SELDOM)
    def put_the_copy_back(self, now):
        if now:
            self._put_back(self.copied)

    @rule(symbol=st.sampled_from("ABC"), volume=LOTS, now=SELDOM)
    def put_a_copy_back_behind_what_was_told(self, symbol, volume, now):
        if now:
            copy = self._copy(self.harness.folder)
            self.publish(symbol, volume, 0)
            self.harness.pass_time(3)
            self._put_back(copy)
            self.harness.pass_time(3)

    def _put_back(self, copy):
        self.went_back = True
        self.start(self._copy(copy))
        last = self.harness.env.find(ISignals).channel("main").seq
        for each in self.providers:
            each.answers = {id: seq for id, seq in each.answers.items() if seq <= last}

    def _copy(self, folder):
        self.copies += 1
        return shutil.copytree(folder, folder.parent / f"copy{self.copies}")

    @rule(new_epoch=st.booleans(), now=SELDOM)
    def accept_on_the_server(self, new_epoch, now):
        if now:
            self.disk.heal()
            self.went_back = self.went_back or new_epoch
            self.harness.operate("accept", new_epoch=new_epoch)
            assert not Status(self.harness.env.find(ISignals)).health()["diverged"]

    @rule(number=st.integers(0, 2))
    def accept_at_a_follower(self, number):
        self.followers[number].accept()

    @invariant()
    def nobody_trades_on_another_history(self):
        for each in getattr(self, "followers", ()):
            assert not each.went_back
            if each.follower.held:
                assert each.waiting == each.handed_out

    def check_held(self, follower):
        """A follower waits only where its history is another one, and then health is red."""
        signals, known = self.harness.env.find(ISignals), follower.follower
        channel = signals.channel("main")
        assert self.went_back
        if known.epoch == channel.epoch:
            assert (
                known.seq > channel.seq
                or signals.worker.journal.hash_at("main", known.seq) != known.h
            )
            assert signals.histories.has_diverged(channel)


class ClockJumps:
    def let_clocks_jump(self):
        self.patch = pytest.MonkeyPatch()

    @rule(days=st.sampled_from([0, 0, -400, -2, 2, 400]))
    def clock_jumps(self, days):
        self.patch.setattr("mtnet.testing.EPOCH", EPOCH + days * DAY)
        self.harness.env.now.look()
