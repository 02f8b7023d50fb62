"""`mtnet signals` for the owner: channels, followers, pauses, and the journal."""

import json
import sqlite3
from contextlib import closing
from decimal import Decimal

import pytest
from fakes.daemon import FakeDaemon
from twisted.internet.defer import Deferred

from mtnet.cli.signals.channels import DONE
from mtnet.daemon.datadir import DataFolder
from mtnet.interfaces import IReports, ISignals, IStatus
from mtnet.services.signals.commands import SignalCommands
from mtnet.services.signals.reports import wire
from mtnet.services.signals.reports.registry import TerminalKey
from mtnet.services.signals.reports.wire import Report, Spec
from mtnet.session import messages
from mtnet.testing import EPOCH

PUBLISH = b"<<GBPUSD|0.25>>\0<<EURUSD|-1>>\0"


@pytest.fixture
def daemon(command_line, clock):
    """A running daemon, which answers on the control socket of the data folder."""
    sets = ("access.trust_loopback=true", "signals.pace=0")
    daemon = FakeDaemon(command_line.folder, clock, *sets)
    signals = daemon.env.find(ISignals)
    component = IStatus(daemon.env.components.services["signals"])
    status = {"status": lambda _: {"healthy": True, "signals": component.status()}}
    command_line.attach({**status, **SignalCommands(signals).commands()})
    return daemon


@pytest.fixture
def publisher(daemon):
    publisher = daemon.dial("signals")
    publisher.send(PUBLISH)
    return publisher


def follow(daemon, clock):
    follower = daemon.dial("signals", peer="127.9.9.8")
    clock.advance(1.0)
    return follower


# Channels and followers


def test_channels_are_a_table_of_their_positions(command_line, publisher):
    status, out, error = command_line.on_folder("signals", "channels")
    head, row = out.splitlines()
    assert (status, error) == (0, "")
    assert head.split()[0] == "CHANNEL"
    assert row.startswith("main ")
    assert "GBPUSD 0.25 EURUSD -1" in row


def test_programs_get_the_channels_as_the_daemon_reports_them(command_line, publisher, daemon):
    status, out, _ = command_line.on_folder("signals", "channels", "--json")
    assert status == 0
    found = json.loads(out)["main"]
    assert found["positions"] == {"GBPUSD": "0.25", "EURUSD": "-1"}
    assert found["since"] >= EPOCH


def test_the_status_is_a_table_of_everybody(command_line, publisher, daemon, clock):
    follow(daemon, clock)
    status, out, _ = command_line.on_folder("signals", "status")
    head, provider, follower = out.splitlines()
    assert status == 0
    assert head.split() == ["STATUS", "ROLE", "WHO", "CHANNEL", "BEHIND", "LAST", "ACK",
                            "HELD/WANTED", "WARNING"]  # fmt: skip
    assert provider.split() == ["ok", "provider", "127.9.9.9:50000", "main"]
    assert follower.split()[:5] == ["unknown", "follower", "127.9.9.8:50000", "main", "0"]
    assert "has acknowledged nothing" in follower


def test_nobody_is_said_so(command_line, daemon):
    status, out, _ = command_line.on_folder("signals", "status")
    assert (status, out) == (0, "Nobody follows, and nobody publishes.\n")


def test_a_follower_in_trouble_has_a_sentence_and_the_exit_status_says_so(
    command_line, publisher, daemon, clock
):
    follower = daemon.dial("signals")
    follower.send(b"<<HELLO|v=2|name=desk-1>><<SUBSCRIBE|channel=main>>")
    follower.send(b"<<ACK|channel=main|seq=1|status=failed|volume=0.1|reason=no money>>")
    status, out, _ = command_line.on_folder("signals", "status")
    (row,) = [line for line in out.splitlines() if line.startswith("error")]
    assert status == 3
    assert row.split()[:4] == ["error", "follower", "desk-1", "main"]
    assert "GBPUSD 0.1/0.25" in row
    assert "desk-1 holds 0.1 of GBPUSD, it should hold 0.25 (no money)" in row
    assert "desk-1 could not carry out GBPUSD 0.25 (no money)" in out
    assert command_line.on_folder("signals", "status", "--json").status == 3


def test_who_went_is_in_the_table_and_in_the_status_of_all(command_line, publisher, daemon, clock):
    follower = daemon.dial("signals")
    follower.send(b"<<HELLO|v=2|name=desk-1>><<SUBSCRIBE|channel=main>>")
    follower.hang_up()
    status, out, _ = command_line.on_folder("signals", "status")
    assert status == 3
    assert any(line.startswith("offline  follower  desk-1") for line in out.splitlines())
    found = json.loads(command_line.on_folder("status", "--json").out)["signals"]
    assert found["participants"][-1]["who"] == "desk-1"


def test_a_notice_is_sent_to_every_session_and_counted(command_line, daemon):
    sessions = [daemon.dial("signals", peer="127.0.0.1") for _ in range(2)]
    for session in sessions:
        daemon.say(session, messages.hello())
    classic = daemon.dial("signals", peer="127.0.0.1")
    status, out, _ = command_line.on_folder("signals", "notice", "  Restart at 22:00 | UTC ")
    assert (status, out) == (0, "Sent to 2 sessions.\n")
    for session in sessions:
        assert session.received() == b"<<NOTICE|text=Restart at 22:00 %7C UTC>>\r\n"
    assert classic.received() == b""


@pytest.mark.parametrize("text", ["", "  ", "x" * 501])
def test_a_notice_has_a_text_that_is_not_too_long(command_line, daemon, text):
    status, _, error = command_line.on_folder("signals", "notice", text)
    assert status == 1
    assert "A notice is a sentence of 1 to 500 characters" in error


def test_the_status_shows_what_terminals_tell_about_themselves(command_line, daemon):
    alice = TerminalKey("alice", "desk")
    told = {"balance": Decimal("10000.00"), "currency": "USD", "build": 5120, "account": "77"}
    daemon.env.find(IReports).report(alice, Report(trading=False, **told), EPOCH)
    stranger = daemon.dial("signals", peer="127.0.0.1")
    stranger.send(messages.hello(name="laptop") + wire.report(Report(trading=True, build=5000)))
    out = command_line.on_folder("signals", "status").out
    (row,) = [line for line in out.splitlines() if line.startswith("alice/desk ")]
    assert row.split()[3:] == ["no", "10000.00", "USD", "77", "5120"]
    (row,) = [line for line in out.splitlines() if line.startswith("laptop (no login)")]
    assert row.split()[3:] == ["connected", "yes", "5000"]


def test_programs_get_what_terminals_tell(command_line, daemon):
    alice = TerminalKey("alice", "desk")
    daemon.env.find(IReports).describe(alice, Spec("EURUSD", digits=5), EPOCH)
    found = json.loads(command_line.on_folder("signals", "status", "--json").out)
    (row,) = found["terminals"].values()
    assert row["specs"] == {"EURUSD": {"symbol": "EURUSD", "digits": 5}}
    assert "alice" not in command_line.on_folder("signals", "status").out


def test_the_status_names_a_paused_channel(command_line, publisher):
    command_line.on_folder("signals", "freeze", "main")
    out = command_line.on_folder("signals", "status").out
    assert out.startswith("main is frozen: it takes nothing.")


# Pauses


@pytest.mark.parametrize("command", ["pause", "freeze", "resume", "flatten"])
def test_a_command_is_passed_to_the_daemon_and_its_effect_is_printed(
    command_line, publisher, command
):
    status, out, error = command_line.on_folder("signals", command, "main")
    assert command_line.asked == [{"command": f"signals {command}", "channel": "main"}]
    assert (status, error) == (0, "")
    count = ": 2 positions and orders" if command == "flatten" else ""
    assert out == f"main {DONE[command]}{count}.\n"


def test_who_is_not_offline_is_not_forgotten(command_line, publisher):
    status, out, error = command_line.on_folder(
        "signals", "forget", "bob/desk", "--channel", "main"
    )
    asked = {"command": "signals forget", "follower": "bob/desk", "channel": "main"}
    assert command_line.asked == [asked]
    assert (status, out) == (1, "")
    assert error.startswith("mtnet: Nobody called bob/desk is offline in main; ")


def test_a_flattened_channel_holds_nothing(command_line, publisher, daemon):
    command_line.on_folder("signals", "flatten", "main")
    positions = daemon.env.find(ISignals).positions("main")
    assert not [each for each in positions.values() if each.volume]


@pytest.mark.parametrize("command", ["pause", "freeze", "resume", "flatten", "accept"])
def test_a_channel_that_does_not_exist_is_refused(command_line, publisher, command):
    status, out, error = command_line.on_folder("signals", command, "silver")
    assert (status, out) == (1, "")
    assert error.startswith("mtnet: ")
    assert "silver" in error


@pytest.mark.parametrize("words", [("channels",), ("status",), ("pause", "main")])
def test_without_a_daemon_there_is_nobody_to_ask(command_line, words):
    status, out, error = command_line.on_folder("signals", *words)
    assert (status, out) == (1, "")
    assert "No daemon answers" in error


# The journal


@pytest.fixture
def journal(command_line, clock):
    """A data folder whose daemon has ended."""
    sets = ("access.trust_loopback=true", "signals.pace=0")
    daemon = FakeDaemon(command_line.folder, clock, *sets)
    daemon.dial("signals").send(PUBLISH)
    Deferred.fromCoroutine(daemon.env.find(ISignals).close())


def test_an_export_has_a_row_for_every_entry(command_line, journal):
    status, out, _ = command_line.on_folder("signals", "export", "main")
    head, *rows = out.splitlines()
    assert status == 0
    assert head.split(",")[:4] == ["channel", "seq", "time", "symbol"]
    assert [row.split(",")[3] for row in rows] == ["GBPUSD", "EURUSD"]


def test_an_export_as_json_lines_has_an_object_for_every_entry(command_line, journal):
    out = command_line.on_folder("signals", "export", "--format", "jsonl").out
    rows = [json.loads(line) for line in out.splitlines()]
    assert [(row["symbol"], row["volume"]) for row in rows] == [
        ("GBPUSD", "0.25"),
        ("EURUSD", "-1"),
    ]


def test_an_export_of_a_channel_that_does_not_exist_is_refused(command_line, journal):
    status, _, error = command_line.on_folder("signals", "export", "silver")
    assert status == 1
    assert "silver" in error


def test_a_sound_journal_is_verified_with_its_number_of_rows(command_line, journal):
    status, out, _ = command_line.on_folder("signals", "verify")
    assert status == 0
    assert "signals.sqlite" in out


def test_a_damaged_journal_is_named_row_by_row_with_exit_1(command_line, journal):
    with closing(sqlite3.connect(command_line.folder / "signals.sqlite")) as database, database:
        database.execute("UPDATE entry SET hash = x'00' WHERE seq = 1")
    status, out, error = command_line.on_folder("signals", "verify")
    assert (status, error) == (1, "")
    assert "main" in out


@pytest.mark.parametrize("words", [("verify",), ("export",)])
def test_a_folder_without_a_journal_is_one_sentence(command_line, words):
    status, _, error = command_line.on_folder("signals", *words)
    assert status == 1
    assert error.startswith("mtnet: ")
    assert error.count("\n") == 1


def test_a_channel_that_is_sound_needs_no_acceptance(command_line, journal):
    status, out, error = command_line.on_folder("signals", "accept", "main")
    assert (status, out) == (1, "")
    assert "main" in error


# Backups


def test_a_backup_is_restored_into_another_folder(command_line, journal, tmp_path):
    file = tmp_path / "signals.backup"
    status, out, _ = command_line.on_folder("signals", "backup", file)
    assert (status, out) == (0, f"{file}: {file.stat().st_size} bytes.\n")
    other = tmp_path / "other"
    status, out, _ = command_line("restore", file, "--data", other)
    assert status == 0
    assert out == f"{other} is restored from {file}; every channel has a new epoch.\n"
    exported = command_line("signals", "export", "--data", other).out
    assert [row.split(",")[3] for row in exported.splitlines()[1:]] == ["GBPUSD", "EURUSD"]


def test_a_backup_never_replaces_a_file(command_line, journal, tmp_path):
    file = tmp_path / "signals.backup"
    file.write_text("precious")
    status, out, error = command_line.on_folder("signals", "backup", file)
    assert (status, out) == (1, "")
    assert str(file) in error
    assert file.read_text() == "precious"


def test_a_journal_is_replaced_by_force_alone_and_kept(command_line, journal, tmp_path):
    file = tmp_path / "signals.backup"
    command_line.on_folder("signals", "backup", file)
    before = (command_line.folder / "signals.sqlite").read_bytes()
    (command_line.folder / "signals.sqlite-wal").write_bytes(b"log")
    (command_line.folder / "signals.policy").write_bytes(b"{}")
    status, out, error = command_line.on_folder("restore", file)
    assert (status, out) == (1, "")
    assert "nothing is restored" in error
    status, out, _ = command_line.on_folder("restore", file, "--force")
    assert status == 0
    (kept,) = command_line.folder.glob("replaced-*")
    assert out.endswith(f"Replaced files are kept in {kept}.\n")
    names = {"signals.sqlite", "signals.sqlite-wal", "signals.sqlite-shm", "signals.heads"}
    assert {each.name for each in kept.iterdir()} == names
    assert (kept / "signals.sqlite").read_bytes() == before
    left = {each.name for each in command_line.folder.iterdir()}
    assert left >= {"signals.sqlite", "signals.heads", "signals.policy"}
    assert "signals.sqlite-wal" not in left


def test_a_folder_that_a_daemon_holds_is_not_restored(command_line, journal, tmp_path):
    file = tmp_path / "signals.backup"
    command_line.on_folder("signals", "backup", file)
    held = DataFolder(str(command_line.folder))
    status, _, error = command_line.on_folder("restore", file, "--force")
    held.release()
    assert status == 1
    assert error.startswith("mtnet: ")


def test_a_file_that_is_no_backup_is_refused(command_line, tmp_path):
    file = tmp_path / "signals.backup"
    file.write_text("hello")
    status, _, error = command_line.on_folder("restore", file)
    assert status == 1
    assert error.startswith("mtnet: ")
    assert not (command_line.folder / "signals.sqlite").exists()
