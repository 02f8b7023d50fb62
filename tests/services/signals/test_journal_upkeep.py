"""Loss and damage are found and named; what people then do about it."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from decimal import Decimal

import pytest
from journal_damages import draft, findings, numbered, reopened, shell
from msgspec.structs import replace

from mtnet.errors import DamageError, JournalError, WireError
from mtnet.services.signals.journal import checkpoints as disk
from mtnet.services.signals.journal.hash_chain import (
    GENESIS,
    Checkpoint,
    Row,
    add,
    checkpoint_of,
    encode,
    id_item,
    link,
)
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.recovery import CHECKED
from mtnet.services.signals.journal.transaction import read_row, write_row
from mtnet.services.signals.journal.verify import SLICE, TAIL, Chain
from mtnet.services.signals.model import Entry, Taken

WHEN = 1_795_000_000_000

# Found when the journal is opened


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("DELETE FROM entry WHERE (channel, seq) = ('main', 3)", "entry 3: it is missing"),
        ("DELETE FROM entry WHERE (channel, seq) = ('main', 4)", "entry 4: it is missing"),
        ("UPDATE entry SET seq = 9 WHERE (channel, seq) = ('main', 4)", "entry 4: it is missing"),
        (
            "UPDATE entry SET body = CAST(replace(body, '\"3\"', '\"8\"') AS BLOB) "
            "WHERE (channel, seq) = ('main', 3)",
            "entry 3: it was changed",
        ),
        ("DELETE FROM position WHERE symbol = 'GBPUSD'", "positions are missing"),
        (
            "UPDATE position SET body = CAST(replace(body, '\"4\"', '\"8\"') AS BLOB) "
            "WHERE symbol = 'GBPUSD'",
            "the position of 'GBPUSD', ticket '', was changed",
        ),
        ("UPDATE position SET symbol = 'X' WHERE symbol = 'GBPUSD'", "which is about another"),
        ("UPDATE position SET ticket = '7' WHERE symbol = 'GBPUSD'", "which is about another"),
        (
            "UPDATE channel SET body = CAST(replace(body, '\"seq\":4', '\"seq\":3') AS BLOB) "
            "WHERE name = 'main'",
            "its row in the table `channel` was changed",
        ),
        ("UPDATE channel SET name = 'man' WHERE name = 'main'", "channel main: it is lost"),
        ("DELETE FROM channel WHERE name = 'main'", "channel main: it is lost; it was at entry 4"),
    ],
)
def test_a_channel_that_was_changed_is_refused_and_the_others_run(journal, path, change, sentence):
    journal.commit([*numbered(1, 4), draft("XAUUSD", channel="gold")])
    journal.close()
    shell(path, change)
    loaded = journal.load()
    assert sentence in loaded.damaged["main"]
    assert str(path) in loaded.damaged["main"]
    assert "Restore a backup" in loaded.damaged["main"]
    assert "main" not in loaded.states
    for refused in (journal.create, journal.positions, lambda name: journal.read(name, 0, 1)):
        with pytest.raises(JournalError, match="channel main"):
            refused("main")
    outcomes = journal.commit([draft(), draft("XAUUSD", "1", channel="gold")])
    assert isinstance(outcomes[0], WireError)
    assert outcomes[0].code == "server"
    assert isinstance(outcomes[1], Entry)
    assert journal.expire(99) == []


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TRIGGER t AFTER INSERT ON entry BEGIN DELETE FROM entry; END",
        "CREATE TABLE more (x)",
        "DROP INDEX known_by_seq",
    ],
)
def test_a_journal_with_other_tables_is_refused_whole(journal, path, change):
    journal.commit(numbered(1, 4))
    journal.close()
    shell(path, change)
    with pytest.raises(JournalError, match="are not those of a journal of signals"):
        journal.load()
    assert "are not those of a journal" in findings(path)[0]


@pytest.mark.parametrize(
    "tables", [("entry", "known"), ("channel", "entry"), ("position", "known")]
)
def test_tables_whose_pages_were_exchanged_are_refused(journal, path, tables):
    journal.commit(numbered(1, 4))
    journal.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        roots = dict(connection.execute("SELECT name, rootpage FROM sqlite_schema"))
        connection.execute("PRAGMA writable_schema = ON")
        for name, other in (tables, tables[::-1]):
            connection.execute(
                "UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", (roots[other], name)
            )
    assert "a row is not of its table" in journal.load().damaged["main"]


def test_an_older_copy_of_the_journal_is_found_by_its_heads(journal, path, tmp_path):
    journal.commit(numbered(1, 3))
    journal.close()
    shutil.copy(path, tmp_path / "old")
    journal.commit(numbered(4, 5))
    journal.close()
    shutil.copy(tmp_path / "old", path)
    assert (
        "its end is lost: it was at entry 5, revision 2, and is at entry 3"
        in (journal.load().damaged["main"])
    )


def test_what_expired_does_not_come_back_with_a_lost_log(journal, path, tmp_path):
    journal.commit([draft(volume="0"), draft("EURUSD")])
    journal.close()
    shutil.copy(path, tmp_path / "old")
    journal.expire(99)
    journal.close()
    shutil.copy(tmp_path / "old", path)
    assert "its end is lost" in journal.load().damaged["main"]


def test_heads_that_lag_are_mended(journal, path):
    checkpoints = path.with_suffix(".heads")
    journal.commit(numbered(1, 3))
    journal.close()
    old = checkpoints.read_bytes()
    journal.commit(numbered(4, 5))
    journal.close()
    new = checkpoints.read_bytes()
    checkpoints.write_bytes(old)
    assert not journal.load().damaged
    assert checkpoints.read_bytes() == new


def test_a_head_that_was_torn_as_it_was_written_leaves_the_one_before(journal, path):
    checkpoints = path.with_suffix(".heads")
    journal.commit(numbered(1, 3))
    journal.commit(numbered(4, 5))
    journal.close()
    new = checkpoints.read_bytes()
    for start in (0, disk.SECTOR):
        for length in range(disk.SECTOR):
            torn = bytearray(new)
            torn[start : start + length] = bytes(length)
            checkpoints.write_bytes(torn)
            assert len(disk.parse(torn)) == 1
    checkpoints.write_bytes(bytes(disk.SECTOR) + new[disk.SECTOR :])
    assert not journal.load().damaged
    assert disk.parse(checkpoints.read_bytes()) == disk.parse(new)


def test_all_that_the_heads_do_not_know_of_is_checked(journal, path):
    checkpoints = path.with_suffix(".heads")
    journal.commit(numbered(1, 3))
    journal.close()
    old = checkpoints.read_bytes()
    journal.commit(numbered(4, TAIL + 50))
    journal.close()
    shell(path, "DELETE FROM entry WHERE seq = 5")
    assert not journal.load().damaged
    journal.close()
    checkpoints.write_bytes(old)
    assert "channel main, entry 5: it is missing" in journal.load().damaged["main"]


def test_a_chain_that_was_forged_since_the_heads_is_found(journal, path, tmp_path):
    journal.commit(numbered(1, 3))
    journal.close()
    shutil.copy(path, tmp_path / "fork")
    shutil.copy(path.with_suffix(".heads"), tmp_path / "fork.heads")
    journal.commit(numbered(4, 4))
    journal.close()
    other = Journal(tmp_path / "fork", 99)
    other.load()
    other.commit([draft(volume="7"), draft(volume="8")])
    other.commit([draft(volume="9")])
    other.close()
    shutil.copy(tmp_path / "fork", path)
    assert "entry 4: it is not the one that was stored" in journal.load().damaged["main"]


def test_another_commit_of_the_same_number_is_found(journal, path, tmp_path):
    journal.commit(numbered(1, 3))
    journal.close()
    shutil.copy(path, tmp_path / "fork.sqlite")
    shutil.copy(path.with_suffix(".heads"), tmp_path / "fork.heads")
    journal.commit(numbered(4, 4))
    journal.close()
    other = Journal(tmp_path / "fork.sqlite", 99)
    other.load()
    other.expire(1)
    other.commit([draft("EURUSD", "0")])
    other.close()
    shutil.copy(tmp_path / "fork.sqlite", path)
    assert "it is not what the checkpoint file says" in journal.load().damaged["main"]


def test_an_entry_of_another_epoch_does_not_belong_to_the_chain():
    entry = Entry("main", "GBPUSD", Decimal(1), 1, seq=1)
    row = Row("main", "a" * 16, seq=1)
    bodies = {epoch: encode(epoch * 16, entry) for epoch in "ab"}
    hashes = {epoch: link(GENESIS, body) for epoch, body in bodies.items()}
    found = Chain(row, 0, GENESIS).follow(1, bodies["a"], hashes["a"])
    assert found == replace(entry, h=hashes["a"].hex()[:8])
    with pytest.raises(DamageError, match="it says that it is entry 1 of epoch bbbb"):
        Chain(row, 0, GENESIS).follow(1, bodies["b"], hashes["b"])
    older = replace(row, since=1)
    found = Chain(older, 0, GENESIS).follow(1, bodies["b"], hashes["b"])
    assert found == replace(entry, h=hashes["b"].hex()[:8])
    with pytest.raises(DamageError, match="entry 1 of epoch aaaa"):
        Chain(older, 0, GENESIS).follow(1, bodies["a"], hashes["a"])


def test_a_last_entry_that_fits_and_is_another_is_found(journal, path):
    stored = journal.commit(numbered(1, 3))
    state = journal.positions("main")
    with closing(sqlite3.connect(path)) as connection, connection:
        (before,) = connection.execute("SELECT hash FROM entry WHERE seq = 2").fetchone()
        body = encode(state.epoch, replace(stored[2], volume=Decimal(9)))
        connection.execute(
            "UPDATE entry SET body = ?, hash = ? WHERE seq = 3", (body, link(before, body))
        )
    assert len(journal.read("main", 0, 2)) == 2
    with pytest.raises(JournalError, match="entry 3: it is not the one that was stored last"):
        journal.read("main", 0, 3)
    assert "main" in journal.damaged


@pytest.mark.parametrize("left", [b"", b"nonsense" * 100, None])
def test_a_journal_without_its_heads_is_refused_until_it_is_accepted(journal, path, left):
    checkpoints = path.with_suffix(".heads")
    journal.commit(numbered(1, 3))
    before = journal.positions("main")
    journal.close()
    checkpoints.unlink()
    if left is not None:
        checkpoints.write_bytes(left)
    assert "the checkpoint file does not name it" in journal.load().damaged["main"]
    state = journal.accept("main", WHEN).state
    assert (state.positions, state.seq, state.oldest) == (before.positions, 3, 4)
    assert state.epoch != before.epoch
    assert journal.commit(numbered(3, 4))[0] == Taken(seq=3)
    assert reopened(journal).states["main"].seq == 4
    assert findings(path) == []


def test_an_empty_journal_beside_heads_is_refused_whole(journal, path):
    journal.commit(numbered(1, 3))
    journal.close()
    path.unlink()
    with pytest.raises(
        JournalError, match=r"is empty or .* knows the channels main: the journal is lost"
    ):
        journal.load()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT * FROM sqlite_schema").fetchall() == []
    path.with_suffix(".heads").unlink()
    assert journal.load().damaged == {}


def test_heads_of_another_journal_are_found(journal, path, tmp_path):
    journal.commit(numbered(1, 3))
    journal.close()
    other = Journal(tmp_path / "other.sqlite", 9)
    other.load()
    other.commit(numbered(1, 3))
    other.close()
    shutil.copy(tmp_path / "other.heads", path.with_suffix(".heads"))
    assert "one of the two files is not of this journal" in journal.load().damaged["main"]


def test_a_lost_channel_can_begin_anew_where_it_was(journal, path):
    journal.commit([*numbered(1, 3), draft(channel="gold")])
    journal.close()
    shell(path, "DELETE FROM channel WHERE name = 'main'", "DELETE FROM position")
    assert set(journal.load().damaged) == {"gold", "main"}
    state = journal.accept("main", WHEN).state
    assert (state.seq, state.oldest, state.positions) == (3, 4, [])
    assert journal.commit([draft(volume="5")])[0].seq == 4
    assert set(reopened(journal).damaged) == {"gold"}
    with pytest.raises(WireError, match="There is no channel silver"):
        journal.accept("silver", WHEN)
    assert journal.commit([draft(volume="6")])[0].seq == 5


def test_accepting_drops_the_positions_that_cannot_be_proved(journal, path):
    journal.commit([draft(), draft("EURUSD"), draft("XAUUSD")])
    journal.close()
    shell(path, "UPDATE position SET body = x'01' WHERE symbol = 'EURUSD'")
    assert journal.load().damaged
    assert [each.symbol for each in journal.accept("main", WHEN).state.positions] == [
        "GBPUSD",
        "XAUUSD",
    ]
    assert not reopened(journal).damaged
    assert findings(path) == []


# Found while it runs


def test_an_old_entry_that_rots_is_found_when_it_is_read_and_by_the_check(journal, path):
    journal.commit(numbered(1, TAIL + 50))
    journal.close()
    shell(
        path, "UPDATE entry SET body = CAST(replace(body, '\"7\"', '\"8\"') AS BLOB) WHERE seq = 7"
    )
    assert not journal.load().damaged
    assert len(journal.read("main", 50, 100)) == 100
    with pytest.raises(JournalError, match="channel main, entry 7: it was changed"):
        journal.read("main", 0, 100)
    assert journal.commit(numbered(TAIL + 51, TAIL + 51))[0].code == "server"
    found = [each for step in journal.verify() for each in step.findings]
    assert found == [
        f"{path}, channel main, entry 7: it was changed, or does not follow the one before it."
    ]


def test_an_entry_that_is_missing_in_the_middle_is_named(journal, path):
    journal.commit(numbered(1, TAIL + 50))
    journal.close()
    shell(path, "DELETE FROM entry WHERE seq = 9")
    assert not journal.load().damaged
    for after in (0, 8, 9):
        with pytest.raises(JournalError, match="entry 9: it is missing"):
            journal.read("main", after, 20)
    assert len(findings(path)) == 1


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM known WHERE id = 'id-3'",
        "UPDATE known SET id = 'id-x' WHERE id = 'id-3'",
        "UPDATE known SET seq = 99 WHERE id = 'id-3'",
        "UPDATE known SET proof = zeroblob(32) WHERE id = 'id-3'",
        "INSERT INTO known VALUES ('main', 'more', 77, zeroblob(32))",
    ],
)
def test_the_check_finds_an_id_that_is_not_what_it_was(journal, path, change):
    journal.commit(numbered(1, 5))
    assert findings(path) == []
    shell(path, change)
    assert findings(path) == [f"{path}, channel main: ids are changed, missing or too many."]


def test_the_check_finds_an_id_that_was_never_noted(journal, path):
    journal.commit(numbered(1, 5))
    journal.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        (found,) = connection.execute("SELECT id, seq, proof FROM known WHERE seq = 3").fetchall()
        connection.execute("DELETE FROM known WHERE seq = 3")
        row = read_row(connection, "main")
        row = replace(row, ids=add(row.ids, -id_item(*found)), known=row.known - 1)
        write_row(connection, row)
    path.with_suffix(".heads").write_bytes(disk.dump([checkpoint_of(row)]))
    assert not journal.load().damaged
    assert findings(path) == [f"{path}, channel main: the ids are not those of the entries."]


def test_a_publisher_is_not_blamed_for_an_id_that_rotted(journal, path):
    journal.commit(numbered(1, 5))
    shell(path, "UPDATE known SET seq = 4 WHERE id = 'id-4'", "DELETE FROM known WHERE id = 'id-4'")
    shell(path, "UPDATE known SET seq = 4 WHERE id = 'id-3'")
    for _ in range(2):
        (refused,) = journal.commit(numbered(3, 3))
        assert refused.code == "server"
        assert "the id 'id-3' does not name entry 4" in str(refused)
        assert "does not name entry 4" in journal.damaged["main"]
        assert journal.recover({"main": 5}) == []


def test_the_rows_of_no_channel_are_found(journal, path):
    journal.commit(numbered(1, 2))
    shell(path, "INSERT INTO entry VALUES ('lost', 1, x'01', x'01')")
    assert findings(path) == [f"{path}, channel lost: it has no row in the table `channel`."]


def test_the_check_goes_in_slices_while_commits_go_on(journal, path):
    journal.commit(numbered(1, 2 * SLICE))
    check = journal.verify(deep=True)
    steps = [next(check)]
    journal.commit([draft("EURUSD"), draft(channel="gold")])
    journal.expire(1)
    steps += list(check)
    assert [step.done for step in steps] == [*range(CHECKED, 8_001, CHECKED), 8_000]
    assert {step.total for step in steps} == {8_000}
    assert not [each for step in steps for each in step.findings]


def test_a_check_ends_with_an_error_when_the_journal_is_opened_anew(journal):
    journal.commit(numbered(1, 2 * SLICE))
    check = journal.verify()
    next(check)
    journal.recover({"main": 2 * SLICE})
    with pytest.raises(JournalError, match="broken off"):
        list(check)


def test_a_check_that_is_not_read_to_its_end_leaves_nothing_open(journal):
    journal.commit(numbered(1, 2 * SLICE))
    check = journal.verify()
    next(check)
    check.close()
    assert journal.database.checkpoint()


def test_another_process_checks_what_is_in_use_and_what_lies_still(journal, path):
    journal.commit(numbered(1, 5))
    assert findings(path) == []
    assert findings(path, channel="main") == []
    assert findings(path, channel="gold") == [
        f"{path}, channel gold: it has no row in the table `channel`."
    ]
    journal.close()
    assert findings(path) == []
    with pytest.raises(JournalError, match="cannot be opened"):
        findings(path.with_name("none"))
    path.write_bytes(path.read_bytes()[:5000])
    assert "cannot be read" in findings(path)[0]


# Heads


def test_heads_are_written_in_turn_and_a_torn_one_leaves_the_other():
    checkpoints = [Checkpoint(f"c{n}", "0" * 16, n, 7, GENESIS, GENESIS) for n in range(20)]
    data = disk.dump(checkpoints)
    assert {name: checkpoint for name, (_, checkpoint) in disk.parse(data).items()} == {
        checkpoint.channel: checkpoint for checkpoint in checkpoints
    }
    assert [place for place, _ in disk.parse(data).values()] == list(range(20))


def test_a_new_channel_never_takes_the_place_of_a_torn_head(tmp_path):
    path = tmp_path / "signals.heads"
    checkpoints = disk.Checkpoints(path)
    for name in ("a", "b", "c", "d"):
        checkpoints.begin(name, "0" * 16)
    checkpoints.close()
    data = bytearray(path.read_bytes())
    data[disk._offset(3, 0) + 5] ^= 1
    path.write_bytes(bytes(data))
    assert set(checkpoints.read()) == {"a", "b", "c"}
    checkpoints.begin("e", "1" * 16)
    checkpoints.close()
    assert {name: place for name, (place, _) in disk.parse(path.read_bytes()).items()} == {
        "a": 0, "b": 1, "c": 2, "e": 4,
    }  # fmt: skip


def test_heads_that_cannot_be_read_are_an_error_of_the_journal(tmp_path):
    (tmp_path / "signals.heads").mkdir()
    with pytest.raises(JournalError, match="heads cannot be read"):
        Journal(tmp_path / "signals.sqlite", 9).load()


def test_damage_names_its_channel():
    assert DamageError("main", "x").channel == "main"


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("Only root can mount the small file system that this test fills.")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("This machine does not let root mount a tmpfs.")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_on_a_full_disk_what_is_stored_is_known_and_goes_on_when_there_is_room(small_disk):
    journal = Journal(small_disk / "signals.sqlite", 10_000)
    journal.load()
    with (small_disk / "junk").open("wb", buffering=0) as junk:
        junk.write(bytes(200 * 1024))
    known: dict[str, int] = {}

    def fill():
        for n in range(1, 5_000):
            known["main"] = journal.commit(numbered(n, n))[0].seq

    with pytest.raises(JournalError, match="full"):
        fill()
    n = known["main"] + 1
    assert journal.recover(known) == []
    (small_disk / "junk").unlink()
    assert journal.commit(numbered(n, n))[0].seq == n
    assert reopened(journal).states["main"].seq == n
    assert findings(small_disk / "signals.sqlite") == []
    journal.close()
