"""REPORT and SPEC in sessions: who is remembered, who is shown only, and who is refused."""

from decimal import Decimal

import pytest
from fakes.daemon import PASSWORD, FakeDaemon

from mtnet.interfaces import IBackup, IReports, IStatus
from mtnet.services.signals.reports import wire
from mtnet.services.signals.reports.wire import Report, Spec
from mtnet.session import messages
from mtnet.testing import EPOCH

REPORT = Report(trading=False, balance=Decimal("10000.00"), build=5120)
SPEC = Spec("EURUSD", min=Decimal("0.01"))


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock)


def hello(login="alice", name="desk"):
    return messages.hello(login=login, password=PASSWORD, name=name)


def greet(daemon, data, **addresses):
    terminal = daemon.dial("signals", **addresses)
    assert daemon.say(terminal, data).startswith(b"<<WELCOME")
    return terminal


def status(daemon):
    return IStatus(daemon.env.components.services["signals"]).status()


def test_a_terminal_with_a_login_is_remembered_and_gets_no_answer(daemon):
    terminal = greet(daemon, hello())
    assert daemon.say(terminal, wire.report(REPORT) + wire.spec(SPEC)) == b""
    terminal.hang_up()
    reports = daemon.env.find(IReports)
    (last,) = reports.last_two("alice", "desk")
    assert (last.report, last.time) == (REPORT, EPOCH)
    assert reports.spec("alice", "desk", "EURUSD").spec == SPEC
    (row,) = status(daemon)["terminals"].values()
    assert (row["login"], row["name"], row["time"]) == ("alice", "desk", EPOCH)
    assert row["report"] == {"trading": False, "balance": "10000.00", "build": 5120}


def test_a_terminal_without_a_login_is_shown_and_feeds_nothing(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, "access.trust_loopback=true")
    terminal = greet(daemon, messages.hello(name="desk"), peer="127.0.0.1")
    assert daemon.say(terminal, wire.report(REPORT) + wire.spec(SPEC)) == b""
    assert status(daemon)["sessions"][0]["report"]["build"] == 5120
    assert status(daemon)["terminals"] == {}
    assert list(daemon.env.find(IReports)) == []


def test_a_new_login_in_a_session_shows_nothing_of_the_former_one(daemon):
    terminal = greet(daemon, hello())
    daemon.say(terminal, wire.report(REPORT))
    daemon.say(terminal, hello("bob"))
    assert status(daemon)["sessions"][0]["report"] == {}
    daemon.say(terminal, wire.report(Report(trading=True)))
    reports = daemon.env.find(IReports)
    assert reports.last_two("alice", "desk")[0].report == REPORT
    assert reports.last_two("bob", "desk")[0].report == Report(trading=True)


def test_who_may_do_nothing_in_signals_may_not_report(tmp_path, clock):
    grants = {"eve": ("read:ticks", "follow:signals/gold"), "bob": ("follow",)}
    daemon = FakeDaemon(tmp_path / "data", clock, grants=grants)
    terminal = greet(daemon, hello("eve"))
    assert daemon.say(terminal, wire.report(REPORT)) == b""
    session = terminal.protocol._session
    session.peer.rights = daemon.env.access.permissions.rights(["read:ticks"])
    assert b"ERROR|code=denied" in daemon.say(terminal, wire.report(REPORT))
    assert b"ERROR|code=denied" in daemon.say(terminal, wire.spec(SPEC))


def test_a_name_with_a_slash_cannot_report_and_does_everything_else(daemon):
    terminal = greet(daemon, hello(name="a/b"))
    answer = daemon.say(terminal, wire.report(REPORT) + wire.spec(SPEC) + messages.ping("x"))
    assert answer.count(b"ERROR|code=field") == 2
    assert b"a name without /" in answer
    assert b"PONG|t=x" in answer


def test_a_field_that_cannot_be_read_is_named_and_nothing_is_kept(daemon):
    terminal = greet(daemon, hello())
    answer = daemon.say(terminal, b"<<REPORT|balance=much|trading=1>>")
    assert b"ERROR|code=field" in answer
    assert b"balance is money" in answer
    assert list(daemon.env.find(IReports)) == []


def test_what_was_told_is_there_after_a_restart(daemon, tmp_path, clock):
    terminal = greet(daemon, hello())
    daemon.say(terminal, wire.report(REPORT) + wire.spec(SPEC))
    daemon.env.components.services["signals"].stop()
    reports = FakeDaemon(tmp_path / "data", clock).env.find(IReports)
    assert reports.last_two("alice", "desk")[0].report == REPORT
    assert reports.spec("alice", "desk", "EURUSD").spec == SPEC


def test_a_backup_has_what_was_told(daemon, tmp_path, clock):
    terminal = greet(daemon, hello())
    daemon.say(terminal, wire.report(REPORT))
    clock.advance(60)
    (tmp_path / "copy").mkdir()
    IBackup(daemon.env.components.services["signals"]).backup(tmp_path / "copy")
    assert b"10000.00" in (tmp_path / "copy" / "signals.reports").read_bytes()
