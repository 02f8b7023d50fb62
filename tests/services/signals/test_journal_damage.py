"""
Every byte of the journal, wrong or missing: what is given back is the truth, or nothing is.

`MTNET_TEST_EXHAUSTIVE=1` tries every byte with every pattern, in ten minutes; without it each
seventh byte of the two long files gets one of them.
"""

import os
import sqlite3
from contextlib import closing, suppress
from decimal import Decimal

import pytest

from mtnet.errors import JournalError
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.model import Entry, Taken

EXHAUSTIVE = bool(os.environ.get("MTNET_TEST_EXHAUSTIVE"))
STEP = 1 if EXHAUSTIVE else 7
PATTERNS = (0x01, 0x80, 0x04, 0xFF, 0x20)
NAMES = ("signals.sqlite", "signals.sqlite-wal", "signals.heads")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damage")


def draft(number, symbol, volume, channel="main", **others):
    return Entry(channel, symbol, Decimal(volume), number, id=f"id-{number}", **others)


FIRST = [
    draft(1, "EURUSD", "0.5", fields=(("price", "1.1"),)),
    draft(2, "GBPUSD", "1", ticket="7"),
    draft(3, "GBPUSD", "2", ticket="8"),
    draft(4, "XAUUSD", "-1", channel="gold"),
]
LATER = [
    draft(5, "GBPUSD", "0", ticket="7"),
    draft(6, "EURUSD", "0"),
    draft(7, "USDJPY", "3"),
    draft(8, "XAUUSD", "-2", channel="gold"),
]
RETAIN = 3


def journal_in(folder):
    return Journal(folder / "signals.sqlite", RETAIN, ids=100, slice=1)


def start(folder, page=512):
    """Make a journal of small pages, so that there are few bytes to try and many pages."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        (folder / name).unlink(missing_ok=True)
    with closing(sqlite3.connect(folder / "signals.sqlite")) as connection:
        connection.execute(f"PRAGMA page_size = {page}")
        connection.execute("VACUUM")
    journal = journal_in(folder)
    journal.load()
    return journal


def files_of(folder):
    paths = [folder / name for name in NAMES]
    return [path.read_bytes() if path.exists() else b"" for path in paths]


def put(folder, files):
    for name, data in zip((*NAMES, "signals.sqlite-shm"), (*files, b""), strict=True):
        if data:
            (folder / name).write_bytes(data)
        else:
            (folder / name).unlink(missing_ok=True)


def got(journal):
    """Return what a journal says of each channel, without those that it refuses."""
    loaded = journal.load()
    found = {}
    for name, state in loaded.states.items():
        with suppress(JournalError):
            entries = journal.read(name, state.oldest - 1, 100)
            found[name] = state, entries
    return found


@pytest.fixture(scope="module")
def stored(folder):
    """The three files while they are in use, with a log, and after a clean stop; the truth."""
    journal = start(folder / "made")
    journal.commit(FIRST)
    journal.database.checkpoint()
    for each in LATER:
        journal.commit([each])
    journal.expire(7)
    truth = told_of(folder, files_of(folder / "made"))
    used = files_of(folder / "made")
    journal.close()
    stopped = files_of(folder / "made")
    assert used[1]
    assert not stopped[1]
    assert [entry.seq for entry in truth["main"][1]] == [4, 5, 6]
    return used, stopped, truth


def journal_in_copy(folder, files):
    (folder / "copy").mkdir(exist_ok=True)
    put(folder / "copy", files)
    return journal_in(folder / "copy")


def told_of(folder, files):
    with closing(journal_in_copy(folder, files)) as journal:
        return got(journal)


def check(folder, files, truth, what):
    """Open damaged files: what is not refused must be the truth, now and after a commit."""
    journal = journal_in_copy(folder, files)
    try:
        found = got(journal)
        for name, each in found.items():
            assert each == truth[name], f"{what}: {name} is silently different"
        check_ids(journal, found, what)
        check_commit(folder, journal, found, truth, what)
    except JournalError:
        pass
    finally:
        journal.close()


def check_ids(journal, found, what):
    known = [each for each in FIRST + LATER if each.channel in found]
    with suppress(JournalError):
        outcomes = journal.commit(known)
        wrong = [each for each in outcomes if isinstance(each, Entry)]
        # A page of ids that cannot be found by their key shows in the complete check alone.
        assert not wrong or findings(journal), f"{what}: {wrong} was stored again"
        seqs = {"main": 0, "gold": 0}
        for each, outcome in zip(known, outcomes, strict=True):
            seqs[each.channel] += 1
            assert (
                not isinstance(outcome, Taken)
                or not outcome.seq
                or outcome.seq == seqs[each.channel]
            ), what
        if wrong:
            raise JournalError("It is known to be damaged.")
        return
    raise JournalError("It is refused.")


def check_commit(folder, journal, found, truth, what):
    journal.commit([draft(9, "NEW", "1", channel=name) for name in found])
    refused = set(journal.damaged)  # found by this
    journal.close()
    with closing(journal_in(folder / "copy")) as again:
        for name, (state, entries) in got(again).items():
            if name in refused:
                assert (state, entries) == truth[name], what
                continue
            assert state.seq == truth[name][0].seq + 1, what
            assert state.positions[:-1] == truth[name][0].positions, what
            assert entries[:-1] == truth[name][1][-len(entries) + 1 :], what


def findings(journal):
    return [each for progress in journal.verify(deep=True) for each in progress.findings]


def flipped(data, at, pattern):
    return data[:at] + bytes([data[at] ^ pattern]) + data[at + 1 :]


@pytest.mark.parametrize("stop", [False, True], ids=["in use", "after a stop"])
@pytest.mark.parametrize("which", [0, 1, 2], ids=["file", "log", "heads"])
def test_a_flipped_byte_anywhere_is_harmless_or_found(folder, stored, which, stop):
    files, truth = list(stored[stop]), stored[2]
    whole = files[which]
    for at in range(0, len(whole), 1 if which == 2 else STEP):
        patterns = PATTERNS if EXHAUSTIVE else PATTERNS[at % len(PATTERNS) :][:1]
        for pattern in patterns:
            files[which] = flipped(whole, at, pattern)
            check(folder, files, truth, f"{NAMES[which]}, byte {at} ^ {pattern:#x}")


@pytest.mark.parametrize("stop", [False, True], ids=["in use", "after a stop"])
@pytest.mark.parametrize("which", [0, 1, 2], ids=["file", "log", "heads"])
def test_a_cut_file_is_refused_or_whole_enough(folder, stored, which, stop):
    files, truth = list(stored[stop]), stored[2]
    whole = files[which]
    for length in {*range(0, len(whole), STEP), *range(0, len(whole), 512)}:
        files[which] = whole[:length]
        check(folder, files, truth, f"{NAMES[which]} cut to {length}")


def test_each_moment_is_whole_with_heads_that_lag_and_is_refused_with_heads_that_lead(folder):
    journal = start(folder / "moments")
    journal.commit(FIRST)
    journal.database.checkpoint()
    moments = []
    for each in LATER:
        journal.commit([each])
        files = files_of(folder / "moments")
        moments.append((files, told_of(folder, files), each.channel))
    journal.close()
    for now, (files, truth, _) in enumerate(moments):
        for noted, (others, _, _) in enumerate(moments):
            found = told_of(folder, [*files[:2], others[2]])
            ahead = {channel for _, _, channel in moments[now + 1 : noted + 1]}
            assert found == {name: each for name, each in truth.items() if name not in ahead}


def test_what_was_acknowledged_is_there_or_missed_wherever_the_log_ends(folder):
    """A disk that lied about its log shows some prefix of it; no commit in there is cut."""
    journal = start(folder / "lied")
    journal.commit(FIRST)
    journal.database.checkpoint()
    ends = {0: [4, 1]}
    for each in LATER:
        journal.commit([each])
        seqs = [journal.positions(name).seq for name in ("main", "gold")]
        ends[len(files_of(folder / "lied")[1])] = seqs
    file, log, checkpoints = files_of(folder / "lied")
    journal.close()
    assert len(ends) == len(LATER) + 1
    for length in range(0, len(log) + 1, STEP * 3):
        found = told_of(folder, [file, log[:length], checkpoints])
        last = ends[max(end for end in ends if end <= length)]
        pairs = zip(("main", "gold"), last, seqs, strict=True)
        whole = {name for name, seq, end in pairs if seq == end}
        assert found.keys() == whole, length
        assert all(state.seq == seqs[name == "gold"] for name, (state, _) in found.items())
