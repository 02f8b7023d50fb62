"""
Power losses and failing disks: what was answered is there, whatever else is not.

`strace` records, and makes fail, the system calls of the very program that a daemon is, with
Python's own SQLite, rather than those of a stand-in for its file system; where it is missing,
these tests are skipped. `MTNET_TEST_EXHAUSTIVE=1` tries longer work, more failures and more
power losses, which takes long.
"""

import json
import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import NamedTuple

import pytest
from journal_work import FAILED, HEALED, IDS, NAME, batches, journal_in
from lost_writes import Choice, Disk, missing, replay, trace

from mtnet.errors import JournalError
from mtnet.services.signals.model import Entry, State, Taken

EXHAUSTIVE = bool(os.environ.get("MTNET_TEST_EXHAUSTIVE"))
WORK = Path(__file__).with_name("journal_work.py")
LOG = f"{NAME}-wal"

LONG, SHORT = (40, 6) if EXHAUSTIVE else (14, 4)
"""Commits of the work on an honest disk, and on one that fails."""
CASES = 20 if EXHAUSTIVE else 1
KINDS = ("struggle", "office")
CALLS = {"fdatasync": 3, "fsync": 1, "pwrite64": 1, "write": 1, "ftruncate": 1}
"""The calls that fail, and how many times `CASES` of each do, in work of each kind."""
FAILURES = [("EIO", 1), ("EIO", 2), ("ENOSPC", 4), ("EIO", 0)]
"""How a call fails, and how often in a row; 0 = from then on."""
HONEST, FAILING = (1.0, 0.5) if EXHAUSTIVE else (0.08, 0.02)
"""The share of the moments at which the power is lost."""
TORN, PREFIXES = (10, 10) if EXHAUSTIVE else (1, 1)
NONE: Mapping = MappingProxyType({})
MISSING = missing()

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def folder():
    # Thousands of journals are opened here, and none of them has to survive anything.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=memory) as name:
        yield Path(name).resolve()


def run(folder, cases, *options):
    """Run cases under `strace`; each gets a folder."""
    for number, case in enumerate(cases):
        case["folder"] = str(folder / f"{number}")
    plan = folder / "plan"
    plan.write_text(json.dumps(cases))
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    trace(folder / "trace", [sys.executable, str(WORK), str(plan)], *options, env=paths)
    cases = json.loads(plan.read_text())
    for case in cases:
        case["trace"] = folder / f"trace.{case['pid']}"
        assert case["ended"] != FAILED, f"{case} went wrong; the traceback is on stderr"
    return cases


def plain(kind, count):
    """Plan some work on a disk that does not fail."""
    return {"kind": kind, "count": count, "call": "fsync", "spend": 0}


class Received:
    """
    What the program was told by a moment of its work.

    Attributes:
        trouble: whether a call failed, and it was not yet told how that went on.
    """

    def __init__(self):
        self.stored, self.refused, self.trouble = {}, set(), False

    def learn(self, moment):
        self.trouble |= moment.failed
        if moment.note is not None:
            self.stored.update(moment.note["stored"])
            self.refused = set(moment.note["refused"])
            if moment.note["stored"] or moment.note["refused"]:
                self.trouble = False


class Found(NamedTuple):
    """What a journal says after a power loss."""

    refusal: str
    states: Mapping[str, State] = NONE
    seqs: Mapping[str, int] = NONE

    def last(self, channel):
        return self.states[channel].seq if channel in self.states else 0


def found_in(folder, drafts):
    with closing(journal_in(folder)) as journal:
        try:
            loaded = journal.load()
            if loaded.damaged:
                return Found("; ".join(loaded.damaged.values()))
            outcomes = zip(drafts, journal.find(drafts), strict=True)
            seqs = {
                draft.id: each.seq
                for draft, each in outcomes
                if isinstance(each, Taken) and each.seq
            }
            goes_on(journal, loaded.states)
        except JournalError as error:
            return Found(str(error))
    return Found("", loaded.states, seqs)


def goes_on(journal, states):
    findings = [each for step in journal.verify(deep=True) for each in step.findings]
    assert not findings, findings
    new = [Entry(name, "NEW", Decimal(1), 1, id="new") for name in states]
    assert [each.seq for each in journal.commit(new)] == [each.seq + 1 for each in states.values()]


class Losses:
    """
    Power losses during some work; those that leave the same files are one.

    Attributes:
        refusals: of journals, by sentence.
    """

    def __init__(self, folder, kind, count):
        self._folder, self._found = folder / "disk", {}
        self._batches = batches(count)
        self._drafts = [draft for batch in self._batches for draft in batch]
        # The commits of a desk are no batches.
        self._whole = kind != "office"
        self.refusals = set()

    def check(self, disk, case, share, torn, prefixes):
        """Lose the power at a share of the moments of a case, and at its end."""
        chance, got = random.Random(0), Received()
        for number, moment in enumerate(replay(disk, case["trace"])):
            got.learn(moment)
            if chance.random() < share:
                for files in disk.images(chance, torn, prefixes):
                    self.compare(files, got, got.trouble, f"{case}, moment {number}")
        for files in disk.images(chance, torn, prefixes):
            self.compare(files, got, got.trouble, f"{case}, at its end")

    def compare(self, files, got, may_be_refused, where):
        """Compare what a journal says with what the program was told."""
        found = self._look(files)
        if found.refusal:
            assert may_be_refused, f"{where}: {found.refusal}"
            self.refusals.add(found.refusal)
            return
        for draft in self._drafts:
            if draft.id in got.stored:
                is_there(draft, got.stored[draft.id], found, where)
        wrong = got.refused & found.seqs.keys()
        assert not wrong, f"{where}: {wrong} were refused and are stored"
        for name, state in found.states.items():
            drafts = [draft for draft in self._drafts if draft.channel == name]
            is_a_state_that_was(state, drafts, {**got.stored, **found.seqs}, where)
        if self._whole:
            last_commit_is_whole(self._batches, found, where)

    def _look(self, files):
        key = b"".join(name.encode() + sha256(data).digest() for name, data in files.items())
        if key not in self._found:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder.mkdir()
            for name, data in files.items():
                (self._folder / name).write_bytes(data)
            self._found[key] = found_in(self._folder, self._drafts)
        return self._found[key]


def is_there(draft, seq, found, where):
    last = found.last(draft.channel)
    assert seq <= last, f"{where}: {draft.id}, entry {seq}, is lost"
    forgotten = draft.id not in found.seqs and seq <= last - IDS
    assert forgotten or found.seqs.get(draft.id) == seq, f"{where}: {draft.id} is no entry {seq}"


def is_a_state_that_was(state, drafts, seqs, where):
    """The positions are those after all drafts that have a number, and no number is missing."""
    taken = sorted((draft for draft in drafts if draft.id in seqs), key=lambda d: seqs[d.id])
    assert [seqs[draft.id] for draft in taken] == list(range(1, state.seq + 1)), where
    got, expected = volumes_of(state.positions), volumes_of(taken)
    assert got == expected, f"{where}: this is no state that ever was"


def volumes_of(positions):
    volumes = {(each.symbol, each.ticket): each.volume for each in positions}
    return {key: volume for key, volume in volumes.items() if volume}


def last_commit_is_whole(batches, found, where):
    stored = [[draft.id in found.seqs for draft in batch] for batch in batches]
    last = next((each for each in reversed(stored) if any(each)), [])
    assert all(last), f"{where}: a part of a commit is stored"


# A disk that keeps its word


def test_an_honest_disk_that_loses_what_was_not_forced_always_starts(folder):
    (case,) = run(folder, [plain("work", LONG)])
    losses = Losses(folder, "work", LONG)
    losses.check(Disk(case["folder"]), case, HONEST, TORN, PREFIXES)


def test_so_does_a_file_of_many_small_pages(folder):
    home = folder / "0"
    home.mkdir()
    with closing(sqlite3.connect(home / NAME)) as connection:
        connection.execute("PRAGMA page_size = 512")
        connection.execute("VACUUM")
    disk = Disk(home, {NAME: (home / NAME).read_bytes()})
    (case,) = run(folder, [plain("work", LONG)])
    Losses(folder, "work", LONG).check(disk, case, HONEST / 2, TORN, PREFIXES)


# A disk that does not


def test_a_disk_that_lost_what_it_called_forced_is_found_out_by_the_heads(folder):
    (case,) = run(folder, [plain("work", LONG)])
    disk, got, losses = Disk(case["folder"]), Received(), Losses(folder, "work", LONG)
    older = b""
    for moment in replay(disk, case["trace"]):
        got.learn(moment)
        if moment.note is not None:
            files = disk.image(Choice())
            losses.compare({**files, LOG: older}, got, True, f"{case}, after {got.stored}")
            older = files[LOG]
    assert any("it was at entry" in each for each in losses.refusals), losses.refusals


@pytest.fixture(scope="module")
def traces(tmp_path_factory):
    """The system calls of each kind of work on a disk that does not fail."""
    cases = run(tmp_path_factory.mktemp("plain"), [plain(kind, SHORT) for kind in KINDS])
    return {case["kind"]: case["trace"].read_text() for case in cases}


def failing(traces, error, times):
    """Plan work of which each case meets another call that fails; return the options, too."""
    chance, cases, options = random.Random(times), [], []
    for call, share in CALLS.items():
        counts = {kind: traces[kind].count(f"\n{call}(") for kind in KINDS}
        first = max(counts.values()) + 20  # which the process that forks the others does not reach
        when = f"{first}..{first + times - 1}" if times else f"{first}+"
        options += ["-e", f"inject={call}:error={error}:when={when}"]
        cases += [
            {"kind": kind, "count": SHORT, "call": call, "spend": first - number - 1}
            for kind, count in counts.items()
            for number in chance.sample(range(count), min(share * CASES, count))
        ]
    return cases, options


@pytest.mark.parametrize(("error", "times"), FAILURES)
def test_whichever_call_fails_nothing_that_was_answered_is_lost(folder, traces, error, times):
    """
    The work itself checks that it is told of the failure, what is stored, and what is not.

    After that the power is lost. What the kernel could not write it believes written: until
    somebody was told how it went on, the disk may hold less than is needed to start, and that
    must be said.
    """
    cases, options = failing(traces, error, times)
    losses = {kind: Losses(folder, kind, SHORT) for kind in KINDS}
    for case in run(folder, cases, *options):
        assert "(INJECTED)" in case["trace"].read_text(), case
        assert case["ended"] == HEALED or not times, f"{case} did not heal"
        losses[case["kind"]].check(Disk(case["folder"]), case, FAILING, torn=1, prefixes=0)
