"""What survives a crash: entries in order, the state, and the ids that were taken."""

import gc
import sqlite3
import subprocess
import sys
import tracemalloc
from contextlib import closing
from decimal import Decimal

import pytest
from msgspec.structs import replace

from mtnet.errors import JournalError, PrunedError, WireError
from mtnet.services.signals.journal import checkpoints as disk
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.model import Entry, Loaded, Taken
from mtnet.services.signals.ownership.transitions import CommitPolicy, transition
from mtnet.storage import sqlite

RETAIN = 1_000


@pytest.fixture
def opened(path):
    """Open journals on the same files, one after the other."""
    journals = []

    def make(retain=RETAIN, load=True, **others):
        for each in journals:
            each.close()
        journals.append(Journal(path, retain, **others))
        if load:
            journals[-1].load()
        return journals[-1]

    yield make
    for each in journals:
        each.close()


@pytest.fixture
def journal(opened):
    return opened()


def draft(symbol="GBPUSD", volume="0.25", when=1, channel="main", **others):
    return Entry(channel, symbol, Decimal(volume), when, **others)


def codes(outcomes):
    return [each.code if isinstance(each, WireError) else type(each) for each in outcomes]


def stands(journal, channel="main"):
    state = journal.positions(channel)
    return [(each.symbol, each.ticket, str(each.volume), each.seq) for each in state.positions]


# Entries


def test_entries_count_from_one_in_each_channel_and_say_what_stood_before(journal):
    outcomes = journal.commit(
        [draft(), draft(volume="-1"), draft(channel="gold"), draft("EURUSD", "0")]
    )
    assert [(each.channel, each.seq, each.previous) for each in outcomes] == [
        ("main", 1, None),
        ("main", 2, Decimal("0.25")),
        ("gold", 1, None),
        ("main", 3, None),
    ]
    assert journal.commit([draft("EURUSD", "1")])[0].previous == 0


def test_what_was_committed_is_loaded_by_the_next_process_exactly(opened):
    fields = (("comment", 'a "b" | ü'), ("sl", "1.2"))
    drafts = [
        draft(id="a", fields=fields, type="buy_limit", volume="0.50"),
        draft("EURUSD", "0.00001", ticket="7"),
        draft("XAUUSD", "0", channel="gold"),
    ]
    stored = opened().commit(drafts)
    journal = opened(load=False)
    loaded = journal.load()
    assert not loaded.damaged
    assert loaded.states["main"].positions == stored[:2]
    assert loaded.states["gold"].positions == stored[2:]
    assert journal.read("main", 0, 9) == stored[:2]
    assert [(stored[0].seq, stored[1].seq, stored[2].seq)] == [(1, 2, 1)]
    assert stored[0].fields == fields


def test_an_epoch_is_drawn_once_for_each_channel(opened):
    journal = opened()
    journal.create("main")
    journal.create("main")
    journal.commit([draft(channel="gold")])
    epochs = [journal.positions(name).epoch for name in ("main", "gold")]
    assert len(set(epochs)) == 2
    assert all(len(epoch) == 16 and int(epoch, 16) >= 0 for epoch in epochs)
    states = opened(load=False).load().states
    assert [states[name].epoch for name in ("main", "gold")] == epochs
    assert (states["main"].seq, states["main"].oldest, states["main"].positions) == (0, 1, [])


def test_a_channel_is_made_by_its_first_accepted_draft_and_by_no_other(journal):
    class No(CommitPolicy):
        def judge(self, draft, held):
            raise WireError("denied", "No")

    assert codes(journal.commit([draft()], No())) == ["denied"]
    with pytest.raises(WireError, match="There is no channel main"):
        journal.positions("main")
    with pytest.raises(WireError, match="There is no channel main"):
        journal.read("main", 0, 1)
    assert codes(journal.commit([draft(channel="ä" * 17), draft()])) == ["channel", Entry]


def test_entries_are_read_in_slices_from_any_point(journal):
    stored = journal.commit([draft(volume=str(n)) for n in range(1, 8)])
    assert journal.read("main", 2, 3) == stored[2:5]
    assert journal.read("main", 5, 100) == stored[5:]
    assert journal.read("main", 7, 100) == journal.read("main", 99, 1) == []


# Judging


def test_a_repeated_id_is_answered_with_its_entry_and_not_applied_twice(opened):
    first = draft(id="a", fields=(("sl", "1"), ("tp", "2")), volume="0.50")
    again = draft(id="a", fields=(("tp", "2"), ("sl", "1")), volume="0.5", when=99)
    assert opened().commit([first, again])[1:] == [Taken(seq=1)]
    journal = opened()
    journal.commit([draft(volume="3")])
    assert journal.commit([again]) == [Taken(seq=1)]
    assert stands(journal) == [("GBPUSD", "", "3", 2)]


@pytest.mark.parametrize(
    "other",
    [
        {"volume": Decimal("0.51")},
        {"symbol": "EURUSD"},
        {"ticket": "8"},
        {"type": "sell_limit"},
        {"fields": (("sl", "1.21"),)},
        {"fields": ()},
    ],
    ids=str,
)
def test_an_id_with_other_content_is_refused_and_stores_nothing(opened, other):
    first = draft(id="a", ticket="7", volume="0.5", fields=(("sl", "1.2"),))
    opened().commit([first])
    journal = opened()
    assert codes(journal.commit([replace(first, **other)])) == ["id"]
    assert journal.positions("main").seq == 1
    assert codes(journal.commit([replace(first, channel="gold")])) == [Entry]


def test_an_id_with_the_same_numbers_in_other_digits_is_repeated(opened):
    first = draft(id="a", ticket="7", volume="0.5", fields=(("sl", "1.2"),))
    again = draft(id="a", ticket="7", volume="0.50", fields=(("sl", "1.20"),))
    assert [each.seq for each in opened().commit([first, again])] == [1, 1]
    assert [each.seq for each in opened().commit([again])] == [1]


def test_a_classic_frame_that_changes_nothing_is_no_entry(journal):
    journal.commit([draft(id="a", fields=(("sl", "1"),))])
    assert codes(journal.commit([draft(), draft(volume="0.250"), draft(volume="0.26")])) == [
        Taken,
        Taken,
        Entry,
    ]
    assert codes(journal.commit([draft(id="b", volume="0.26")])) == [Entry]
    assert codes(journal.commit([draft(volume="0"), draft(volume="0.00")])) == [Entry, Taken]


def test_a_symbol_is_netting_or_by_ticket_until_it_is_flat(journal):
    assert codes(journal.commit([draft(), draft(ticket="7")])) == [Entry, "field"]
    assert codes(journal.commit([draft(volume="0"), draft(ticket="7")])) == [Entry, Entry]
    assert codes(journal.commit([draft(id="a"), draft(id="b", volume="9")])) == ["field", "field"]
    assert codes(journal.commit([draft(ticket="7", volume="0"), draft()])) == [Entry, Entry]


def test_the_last_ticket_leaves_one_flat_row_until_it_expires(journal):
    journal.commit([draft(ticket="7"), draft(ticket="8", volume="1"), draft("EURUSD", "0", when=5)])
    journal.commit([draft(ticket="8", volume="0", when=6, id="b", fields=(("price", "1"),))])
    assert stands(journal) == [("GBPUSD", "7", "0.25", 1), ("EURUSD", "", "0", 3)]
    journal.commit([draft(ticket="7", volume="0", when=7, id="c", fields=(("price", "1"),))])
    assert stands(journal) == [("EURUSD", "", "0", 3), ("GBPUSD", "", "0", 5)]
    flat = journal.positions("main").positions[1]
    assert (flat.when, flat.id, flat.fields, flat.previous) == (7, "", (), Decimal("0.25"))
    assert journal.expire(7) == [("main", "EURUSD")]
    assert journal.expire(7) == []
    assert stands(journal) == [("GBPUSD", "", "0", 5)]


def test_the_judge_sees_the_drafts_before_and_its_refusal_is_the_outcome(journal):
    seen = []

    class NotTwo(CommitPolicy):
        def judge(self, draft, held):
            change = transition(draft, held, classic=True)
            seen.append((str(draft.volume), str(change.before), change.effect))
            if draft.volume == 2:
                raise WireError("denied", "Not two")
            return super().judge(draft, held)

    outcomes = journal.commit([draft(volume=v) for v in ("1", "2", "3", "3")], NotTwo())
    assert codes(outcomes) == [Entry, "denied", Entry, Taken]
    assert seen == [
        ("1", "0", "opening"),
        ("2", "1", "opening"),
        ("3", "1", "opening"),
        ("3", "3", "nothing"),
    ]


def test_text_that_no_file_can_hold_is_refused_and_the_others_are_stored(journal):
    bad = [
        draft("\ud800"),
        draft("EURUSD", fields=(("comment", "\udfff"),)),
        draft(id="\ud800"),
        draft(channel="\ud800"),
    ]
    outcomes = journal.commit([draft(), *bad, draft("EURUSD")])
    assert codes(outcomes) == [Entry, "field", "field", "field", "field", Entry]
    assert [each.seq for each in journal.read("main", 0, 9)] == [1, 2]


# Retention


def test_old_entries_go_in_slices_and_the_state_and_the_ids_stay(opened):
    journal = opened(5, slice=3)
    journal.commit([draft("EURUSD", id="first")])
    for n in range(30):
        journal.commit([draft(volume=str(n + 1), id=f"id-{n}")])
        state = journal.positions("main")
        assert 5 <= state.seq - state.oldest + 1 <= 8 or state.oldest == 1
        assert [each.seq for each in journal.read("main", state.oldest - 1, 99)][-1] == n + 2
    with pytest.raises(PrunedError, match="entries after 1 were asked for, and the oldest"):
        journal.read("main", 1, 5)
    assert stands(opened()) == [("EURUSD", "", "0.25", 1), ("GBPUSD", "", "30", 31)]
    assert opened().commit([draft("EURUSD", id="first")]) == [Taken(seq=1)]


def test_a_shorter_retention_is_reached_by_and_by(opened):
    opened().commit([draft(volume=str(n + 1)) for n in range(100)])
    journal = opened(10, slice=20)
    oldest = []
    for n in range(6):
        journal.commit([draft(volume=f"0.{n + 1}")])
        oldest.append(journal.positions("main").oldest)
    assert oldest == [22, 43, 64, 85, 85, 85]


def test_ids_are_kept_as_long_as_their_entries_and_as_many_besides_as_asked(opened):
    journal = opened(3, ids=10, slice=1)
    for n in range(40):
        journal.commit([draft(volume=str(n + 1), id=f"id-{n}"), draft("EURUSD", str(n + 1))])
    kept = journal.commit([draft(volume=str(n + 1), id=f"id-{n}") for n in range(30, 40)])
    assert [each.seq for each in kept] == list(range(61, 81, 2))
    assert codes(journal.commit([draft(volume="30", id="id-29")])) == [Entry]
    other = opened(1_000, ids=1, slice=1)
    other.commit([draft(volume=str(n + 1), id=f"new-{n}") for n in range(20)])
    assert codes(other.commit([draft(volume="1", id="new-0")])) == [Taken]


# The disk


def test_a_commit_is_forced_onto_the_platter(journal):
    journal.commit([draft()])
    with closing(sqlite3.connect(journal.path)):
        settings = journal.database.read(
            lambda c: [
                c.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("synchronous", "journal_mode", "fullfsync")
            ]
        )
    assert settings == [2, "wal", 1]


def test_a_commit_survives_a_kill_before_the_heads_are_noted(path):
    program = (
        "import os, sys; from pathlib import Path; from decimal import Decimal\n"
        "from mtnet.services.signals.journal.journal import Journal\n"
        "from mtnet.services.signals.model import Entry\n"
        "journal = Journal(Path(sys.argv[1]), 9)\n"
        "journal.load()\n"
        "journal.commit([Entry('main', 'GBPUSD', Decimal('0.25'), 1)])\n"
        "journal.checkpoints.write = lambda heads: os.kill(os.getpid(), 9)\n"
        "journal.commit([Entry('main', 'GBPUSD', Decimal('0.5'), 1)])\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == -9
    journal = Journal(path, 9)
    state = journal.load().states["main"]
    assert [(each.seq, str(each.volume)) for each in state.positions] == [(2, "0.5")]
    ((_, checkpoint),) = disk.parse(path.with_suffix(".heads").read_bytes()).values()
    assert checkpoint.seq == 2
    journal.close()


def test_a_kill_while_a_channel_is_made_leaves_no_channel_and_no_damage(path):
    program = (
        "import os, sys; from pathlib import Path\n"
        "from mtnet.services.signals.journal import journal as module\n"
        "journal = module.Journal(Path(sys.argv[1]), 9)\n"
        "journal.load()\n"
        "module.Transaction.flush = lambda *_: os.kill(os.getpid(), 9)\n"
        "journal.create('main')\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False).returncode == -9
    journal = Journal(path, 9)
    assert journal.load() == Loaded({}, {})
    assert codes(journal.commit([draft()])) == [Entry]
    journal.close()


def test_the_files_are_for_their_owner_alone(journal, path):
    journal.commit([draft()])
    for each in (path, path.with_suffix(".heads")):
        assert each.stat().st_mode & 0o777 == 0o600


def test_after_an_error_nothing_is_taken_until_it_is_known_what_came_of_it(journal):
    journal.commit([draft()])

    class Broken(CommitPolicy):
        def judge(self, draft, held):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        journal.commit([draft(volume="7")], Broken())
    for call in (journal.commit, lambda _: journal.read("main", 0, 1)):
        with pytest.raises(JournalError, match="until it is known"):
            call([draft(volume="7")])
    assert journal.recover({"main": 1}) == []
    assert codes(journal.commit([draft(volume="7")])) == [Entry]


def test_what_landed_although_the_commit_failed_is_told_to_the_caller(journal, monkeypatch):
    journal.commit([draft()])
    real = journal.database.transaction

    def fails_at_the_end(work):
        real(work)
        raise JournalError("The sync failed.")

    monkeypatch.setattr(journal.database, "transaction", fails_at_the_end)
    with pytest.raises(JournalError, match="sync failed"):
        journal.commit([draft(volume="2"), draft(volume="1", channel="gold")])
    monkeypatch.undo()
    landed = journal.recover({"main": 1})
    assert [(each.channel, each.seq, each.volume) for each in landed] == [
        ("gold", 1, 1),
        ("main", 2, 2),
    ]
    assert codes(journal.commit([draft(volume="3")])) == [Entry]


def test_what_landed_is_not_believed_while_it_cannot_be_forced_onto_the_platter(
    journal, path, monkeypatch
):
    journal.commit([draft()])
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM entry").fetchall()
        journal.commit([draft(volume="2")])
        monkeypatch.setattr("mtnet.storage.sqlite.BUSY_TIMEOUT", 0.05)
        with pytest.raises(JournalError, match="shows 1 entries that may not be on the disk"):
            journal.recover({"main": 1})
        with pytest.raises(JournalError, match="until it is known"):
            journal.commit([draft(volume="3")])
        assert journal.recover({"main": 2}) == []
        reader.execute("COMMIT")
    assert [each.seq for each in journal.recover({"main": 1})] == [2]


def test_heads_that_are_not_taken_are_reported_and_noted_with_the_next_commit(
    journal, path, monkeypatch
):
    journal.commit([draft()])
    with monkeypatch.context() as patch:
        patch.setattr(
            "mtnet.services.signals.journal.checkpoints._seal",
            lambda checkpoint: (_ for _ in ()).throw(OSError("full")),
        )
        assert codes(journal.commit([draft(volume="2")])) == [Entry]
        assert "does not take the checkpoints: full" in journal.trouble
    journal.commit([draft(channel="gold")])
    assert not journal.trouble
    checkpoints = disk.parse(path.with_suffix(".heads").read_bytes())
    assert {name: checkpoint.seq for name, (_, checkpoint) in checkpoints.items()} == {
        "main": 2,
        "gold": 1,
    }


LIMITED = """
import resource, signal, sys
from decimal import Decimal
from pathlib import Path
from mtnet.errors import JournalError
from mtnet.services.signals.model import Entry
from mtnet.services.signals.journal.journal import Journal

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(Path(sys.argv[1]), 1_000)
journal.load()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), hard))
known, n = {}, 0
try:
    while n < 2_000:
        n += 1
        known["main"] = journal.commit([Entry("main", "GBPUSD", Decimal(n), n, id=str(n))])[0].seq
except JournalError:
    pass
for _ in range(3):
    assert journal.recover(known) == []
    try:
        journal.commit([Entry("main", "EURUSD", Decimal(k), k) for k in range(1, 3_000)])
        raise SystemExit("no limit")
    except JournalError:
        pass
assert journal.recover(known) == []
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
assert journal.commit([Entry("main", "GBPUSD", Decimal(n), n, id=str(n))])[0].seq == n
assert journal.commit([Entry("main", "GBPUSD", Decimal(1), 1, id="1")])[0].seq == 1
assert not [each for step in journal.verify(deep=True) for each in step.findings]
print(n)
"""


@pytest.mark.parametrize("limit", [60_000, 100_000, 101_000, 250_000])
def test_a_full_disk_stores_nothing_and_the_next_commit_works_when_there_is_room(path, limit):
    command = [sys.executable, "-c", LIMITED, str(path), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    journal = Journal(path, RETAIN)
    assert journal.load().states["main"].seq == int(done.stdout)
    journal.close()


# Schemas


def test_a_file_of_an_older_schema_is_refused_and_left_as_it_is(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE positions (symbol TEXT); PRAGMA user_version = 1;")
    for _ in range(2):
        with pytest.raises(JournalError, match="schema 1 of an mtnet that was never released"):
            Journal(path, 9).load()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("positions",)]


def test_the_file_of_a_newer_mtnet_is_refused_and_left_as_it_is(path, opened):
    opened().commit([draft()])
    opened(load=False)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="schema 99 of a newer mtnet"):
        opened()


def test_a_file_that_is_no_database_is_refused_with_a_sentence(path):
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(JournalError, match="not a database"):
        Journal(path, 9).load()


def test_a_commit_of_more_entries_than_are_kept_can_be_looked_at_whole(tmp_path):
    journal = Journal(tmp_path / "signals.sqlite", 5, slice=1)
    journal.load()
    journal.commit([draft(volume=str(number)) for number in range(1, 4)])
    journal.commit([draft(volume=str(number)) for number in range(4, 41)])
    assert [entry.seq for entry in journal.recover({"main": 3})] == list(range(4, 41))
    journal.commit([draft(volume=str(number)) for number in range(41, 81)])
    assert journal.load().states["main"].oldest > 35
    journal.close()


def test_a_disk_without_a_write_ahead_log_is_refused(path, monkeypatch):
    # SQLite says nothing when it falls back to a journal that a power loss may bring back.
    monkeypatch.setattr(sqlite, "_SETTINGS", ("journal_mode=DELETE", "synchronous=FULL"))
    with pytest.raises(JournalError, match="no write-ahead log"):
        Journal(path, 10).load()


def test_a_commit_goes_on_with_what_the_last_one_left_and_does_not_read_it_again(
    journal, monkeypatch
):
    journal.commit([draft(), draft("EURUSD")])
    monkeypatch.setattr("mtnet.services.signals.journal.transaction.prove", None)
    (entry,) = journal.commit([draft(volume="0.5")])
    assert (entry.seq, str(entry.previous)) == (3, "0.25")


def test_symbols_that_are_refused_leave_nothing_in_memory(journal):
    class Full(CommitPolicy):
        def judge(self, draft, held):
            raise WireError("field", "There is no room")

    journal.commit([draft()])
    journal.commit([draft("A")], Full())
    tracemalloc.start()
    for number in range(10):
        journal.commit([draft(f"S{number}-{each}") for each in range(200)], Full())
    journal.commit([draft("A")], Full())
    gc.collect()
    found = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert found < 100_000


def test_a_commit_does_not_go_on_with_what_a_failed_one_was_about_to_leave(journal):
    class Broken(CommitPolicy):
        def judge(self, draft, held):
            if draft.symbol == "EURUSD":
                raise RuntimeError
            return super().judge(draft, held)

    journal.commit([draft()])
    with pytest.raises(RuntimeError):
        journal.commit([draft(volume="0.5"), draft("EURUSD")], Broken())
    journal.recover({"main": 1})
    (entry,) = journal.commit([draft(volume="1")])
    assert (entry.seq, str(entry.previous)) == (2, "0.25")
    assert stands(journal) == [("GBPUSD", "", "1", 2)]


def test_a_commit_reads_anew_what_somebody_else_has_written(path, journal):
    journal.commit([draft()])
    with closing(Journal(path, RETAIN)) as other:
        other.load()
        other.commit([draft(volume="0.5")])
    (entry,) = journal.commit([draft(volume="1")])
    assert (entry.seq, str(entry.previous)) == (3, "0.5")
