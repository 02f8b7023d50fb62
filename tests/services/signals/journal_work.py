"""
The programs that the tests of lost writes trace: what is written, and what is noted of it.

A note says what the program was told by then: the entries that are stored, and the drafts that
are not.
"""

import json
import os
import random
import sys
import traceback
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

from lost_writes import note, spend
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mtnet.clock import WallClock
from mtnet.errors import JournalError, WireError
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.upkeep import Upkeep
from mtnet.services.signals.model import Entry
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.settings import SignalSettings
from mtnet.services.signals.status.report import Status

NAME = "signals.sqlite"
CHANNELS = ("gold", "main")
RETAIN, IDS, SLICE = 6, 14, 3
WRAP = 8
"""Pages of the write-ahead log after which it is copied, so that it is soon begun anew."""
TRIES = 12
HEALED, FAILED, BROKEN = range(3)
"""How a case ended: the work was done, went wrong, or its disk failed for good."""


class Broken(Exception):
    """The disk does not heal."""


def journal_in(folder):
    return Journal(folder / NAME, RETAIN, ids=IDS, slice=SLICE)


def batches(count):
    """Return the drafts of some commits, in two channels, always the same."""
    chance, numbers = random.Random(1), iter(range(1, 1000))
    return [
        [_draft(chance, next(numbers)) for _ in range(chance.randint(1, 5))] for _ in range(count)
    ]


def _draft(chance, number):
    symbol = chance.choice(["EURUSD", "GBPUSD", "XAUUSD", "USDJPY"])
    return Entry(
        chance.choice(["main", "main", "gold"]),
        symbol,
        chance.choice([Decimal(0), Decimal("0.5"), Decimal("-1.25")]),
        number,
        chance.choice("78") if symbol == "XAUUSD" else "",
        f"id-{number}",
        fields=(("comment", "x" * chance.choice([3, 40, 700])),),
    )


def known_of(journal):
    """Return the last entry of each channel."""
    known = {}
    for name in CHANNELS:
        with suppress(WireError):
            known[name] = journal.positions(name).seq
    return known


class Work:
    """A journal in use, with a note after each call that returned."""

    def __init__(self, folder, notes):
        self.journal, self.notes = journal_in(folder), notes

    def note(self, stored=None, refused=()):
        note(self.notes, stored=stored or {}, refused=refused)

    def run(self, count):
        self.load()
        self.journal.create("main")
        for number, batch in enumerate(batches(count), 1):
            outcomes = self.journal.commit(batch)
            self.note({draft.id: each.seq for draft, each in zip(batch, outcomes, strict=True)})
            if number % 4 == 0:
                self.journal.expire(number * 2)
            if number % 7 == 6:
                self.journal.database.checkpoint()
            if number % 9 == 8:
                self.journal.close()
                self.load()
            if number % 11 == 0:
                self.journal.recover(known_of(self.journal))
        self.journal.close()

    def load(self):
        self.journal.load()
        self.journal.database.read(
            lambda c: c.execute(f"PRAGMA wal_autocheckpoint = {WRAP}").fetchall()
        )


class Struggle(Work):
    """The same on a disk that fails now and then."""

    def again(self, call, *arguments):
        for _ in range(TRIES):
            try:
                return call(*arguments)
            except JournalError as error:
                last = error
        raise Broken from last

    def run(self, count):
        self.again(self.journal.load)
        self.known = known_of(self.journal)
        for number, batch in enumerate(batches(count)):
            self.commit(batch)
            if number % 2:
                self.attempt(self.journal.expire, number * 2)
            if number == count // 2:
                self.attempt(self.journal.database.checkpoint)
        self.journal.close()
        self.again(self.journal.load)
        assert known_of(self.journal) == self.known

    def commit(self, batch):
        for _ in range(TRIES):
            self.note()  # what was refused is asked for again
            try:
                outcomes = self.journal.commit(batch)
            except JournalError:
                self.refuses_everything(batch)
                self.settle(batch)
                continue
            self.learn(each for each in outcomes if isinstance(each, Entry))
            self.note({draft.id: each.seq for draft, each in zip(batch, outcomes, strict=True)})
            return
        raise Broken

    def attempt(self, call, *arguments):
        try:
            call(*arguments)
        except JournalError:
            self.settle([])

    def refuses_everything(self, batch):
        """Until it is known what came of a call, nothing is taken or given."""
        for call in (
            lambda: self.journal.commit(batch),
            lambda: self.journal.find(batch),
            lambda: self.journal.positions("main"),
            lambda: self.journal.read("main", 0, 1),
        ):
            try:
                call()
            except JournalError:
                continue
            raise AssertionError("an unsettled journal gave or took something")

    def settle(self, batch):
        landed = self.again(self.journal.recover, self.known)
        assert not self.journal.damaged, self.journal.damaged
        outcomes = self.again(self.journal.find, batch)
        stored = {d.id: each.seq for d, each in zip(batch, outcomes, strict=True) if each}
        assert stored == {entry.id: entry.seq for entry in landed}, "recover and find disagree"
        assert len(stored) in (0, len(batch)), "a part of a commit is stored"
        self.learn(landed)
        self.note(stored, [] if stored else [draft.id for draft in batch])

    def learn(self, entries):
        for entry in entries:
            expected = self.known.get(entry.channel, 0) + 1
            assert entry.seq == expected, "entries are lost, or were answered twice"
            self.known[entry.channel] = entry.seq


class Harness(Struggle):
    """A desk whose thread is no thread, and a publisher that tries again what was refused."""

    def __init__(self, folder, notes):
        super().__init__(folder, notes)
        self.clock, self.calls, self.taken = Clock(), [], set()
        self.signals = SignalService(
            SignalSettings(),
            self.journal,
            self.clock,
            WallClock(lambda: 10**12, self.clock.seconds),
            self.thread,
        )

    def thread(self, function, *arguments):
        done = Deferred()
        self.calls.append((done, function, arguments))
        return done

    def turn(self):
        while self.calls:
            done, function, arguments = self.calls.pop(0)
            try:
                result = function(*arguments)
            except JournalError as error:
                done.errback(error)
            else:
                done.callback(result)

    def run(self, count):
        self.again(self.signals.open)
        self.publisher = self.signals.join("a publisher", StringTransport())
        for batch in batches(count):
            self.publish(batch)
            if Status(self.signals).health()["healthy"]:
                Upkeep(self.signals, self.clock).expire()
                self.turn()
        Deferred.fromCoroutine(self.signals.close())
        self.turn()

    def publish(self, drafts):
        for _ in range(TRIES):
            self.note()  # what was refused is asked for again
            drafts = self.got(drafts, self.answers(drafts))
            if not drafts:
                return
            self.wait()
        raise Broken

    def answers(self, drafts):
        answers = {}
        for draft in drafts:
            done = self.signals.publish(self.publisher, draft)
            done.addBoth(lambda answer, id=draft.id: answers.__setitem__(id, answer))
        self.turn()
        for _ in range(TRIES):
            if len(answers) == len(drafts):
                return answers
            self.wait()
        raise Broken  # nobody is told anything, as nothing is known

    def wait(self):
        self.clock.advance(60)
        self.turn()

    def got(self, drafts, answers):
        """Return what is to be tried again."""
        stored = {id: answer for id, answer in answers.items() if isinstance(answer, int)}
        failed = [draft for draft in drafts if draft.id not in stored]
        for draft in failed:
            assert answers[draft.id].value.code == "server", answers[draft.id]
        assert not any(self.again(self.journal.find, failed)), "refused, and stored"
        seqs = {(draft.channel, stored[draft.id]) for draft in drafts if draft.id in stored}
        assert len(seqs) == len(stored), "two have one number"
        assert not seqs & self.taken, "two have one number"
        self.taken |= seqs
        self.note(stored, [draft.id for draft in failed])
        return failed


KINDS = {"work": Work, "struggle": Struggle, "office": Harness}


def run_case(case):
    """Return how it ended."""
    folder = Path(case["folder"])
    folder.mkdir(exist_ok=True)
    notes = os.open(os.devnull, os.O_WRONLY)
    try:
        work = KINDS[case["kind"]](folder, notes)
        spend(case["call"], case["spend"])
        work.run(case["count"])
    except Broken:
        return BROKEN
    except BaseException:
        traceback.print_exc()
        return FAILED
    return HEALED


def run_cases(cases):
    """Run each case in a process of its own, and write down how it ended."""
    # What is imported late is so imported before the first fork.
    run_case({**cases[0], "folder": cases[0]["folder"] + ".first", "spend": 0})
    for case in cases:
        child = os.fork()
        if not child:
            os._exit(run_case(case))
        _, status = os.waitpid(child, 0)
        case.update(pid=child, ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    plan = Path(sys.argv[1])
    cases = json.loads(plan.read_text())
    run_cases(cases)
    plan.write_text(json.dumps(cases))
