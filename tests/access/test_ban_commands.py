"""Commands on bans while the daemon runs, and their persistence."""

import json

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mtnet.access.bans.commands import LISTED, BanCommands
from mtnet.access.bans.policy import Bans, Offence
from mtnet.access.bans.store import BanStore
from mtnet.access.security_log import SecurityLog
from mtnet.clock import WallClock
from mtnet.config.schema import Bans as Weights
from mtnet.daemon.control.protocol import ControlFactory
from mtnet.errors import JournalError

WALL = 1_700_000_000_000
HOST = "192.0.2.7"


class Harness:
    """A daemon with bans, whose thread can be held up and whose disk can fail."""

    def __init__(self, path):
        self.clock, self.bans, self.error = Clock(), Bans(Weights()), None
        self.records, self.stored = BanStore(path), 0
        self.waiting = None
        self.looks = []
        now = WallClock(self.now, self.clock.seconds)
        self.commands = BanCommands(
            self.bans,
            self.records,
            self.in_thread,
            self.clock,
            now,
            self.looks.append,
            SecurityLog(self.clock.seconds),
        )
        self.commands.load()
        self.transport = StringTransport()
        self.control = ControlFactory(self.commands.commands()).buildProtocol(None)
        self.control.makeConnection(self.transport)

    def now(self):
        return WALL + int(self.clock.seconds() * 1000)

    def in_thread(self, work, *arguments):
        if self.error is not None:
            return maybeDeferred(self.fail)
        self.stored += 1
        done = maybeDeferred(work, *arguments)
        return done if self.waiting is None else self.waiting.addCallback(lambda _: done)

    def fail(self):
        raise self.error

    def ask(self, command, **asked):
        self.transport.clear()
        self.control.dataReceived(json.dumps({"command": command, **asked}).encode() + b"\n")
        return json.loads(self.transport.value() or "null")

    def flush(self):
        return Deferred.fromCoroutine(self.commands.flush())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bans.sqlite"


@pytest.fixture
def harness(path):
    return Harness(path)


def test_penalties_are_listed_with_the_number_of_offences(harness):
    for _ in range(3):
        harness.bans.punish(HOST, Offence.LOGIN, 0.0)
    answer = harness.ask("bans list")["result"]
    assert answer["offences"] == {"login": 3, "frame": 0, "deadline": 0, "error": 0}
    assert (answer["more"], [row["seconds"] for row in answer["rows"]]) == (0, [35])


def test_a_long_list_is_cut_and_says_so(harness):
    for number in range(LISTED + 5):
        harness.bans.punish(f"10.0.{number // 256}.{number % 256}", Offence.FRAME, 0.0)
    answer = harness.ask("bans list")["result"]
    assert (len(answer["rows"]), answer["more"]) == (LISTED, 5)


def test_a_ban_holds_at_once_and_after_a_restart(harness, path):
    assert harness.ask("bans add", network=HOST, seconds=60) == {"ok": True, "result": None}
    assert harness.bans.ban_left(HOST, 0.0) == 60
    assert Harness(path).bans.ban_left(HOST, 0.0) == 60


def test_a_ban_without_seconds_is_permanent(harness):
    harness.ask("bans add", network="192.0.2.0/24", seconds=None)
    assert harness.ask("bans list")["result"]["rows"][0]["seconds"] is None


def test_a_lifted_ban_is_gone_after_a_restart_too(harness, path):
    harness.ask("bans add", network=HOST)
    assert harness.ask("bans lift", what=HOST)["result"] is True
    assert harness.ask("bans lift", what=HOST)["result"] is False
    assert not Harness(path).bans.rows(0.0)


def test_a_command_is_answered_when_its_change_is_stored(harness):
    harness.waiting = Deferred()
    assert harness.ask("bans add", network=HOST) is None
    harness.waiting.callback(None)
    assert json.loads(harness.transport.value())["ok"]


@pytest.mark.parametrize(
    ("command", "asked", "sentence"),
    [
        ("bans add", {}, "Invalid network None"),
        ("bans add", {"network": "here"}, "Invalid address or network 'here'"),
        ("bans add", {"network": HOST, "seconds": "60"}, "Invalid seconds '60'"),
        ("bans add", {"network": HOST, "seconds": True}, "Invalid seconds True"),
        ("bans add", {"network": HOST, "seconds": -1}, "above 0"),
        ("bans lift", {"what": 7}, "Invalid what 7"),
    ],
)
def test_an_invalid_command_is_refused_in_a_sentence(harness, command, asked, sentence):
    answer = harness.ask(command, **asked)
    assert not answer["ok"]
    assert sentence in answer["error"]


def test_a_flush_stores_changes_and_nothing_else(harness, path):
    for _ in range(3):
        harness.bans.punish(HOST, Offence.LOGIN, 0.0, "admin")
    harness.flush()
    harness.flush()
    assert harness.stored == 1
    assert Harness(path).bans.login_ban_left("admin", HOST, 0.0, known=True) == 35


def test_changes_that_a_full_disk_refused_are_stored_with_the_next_flush(harness, path):
    harness.error = JournalError("The disk is full.")
    assert harness.ask("bans add", network=HOST, seconds=60)["error"] == "The disk is full."
    assert harness.bans.ban_left(HOST, 0.0) == 60
    harness.error = None
    harness.flush()
    assert Harness(path).bans.ban_left(HOST, 0.0) == 60


def test_changes_during_a_flush_are_stored_with_the_next(harness, path):
    harness.bans.punish(HOST, Offence.ERROR, 0.0)
    harness.waiting = Deferred()
    harness.flush()
    harness.bans.punish(HOST, Offence.ERROR, 0.0)
    harness.waiting.callback(None)
    harness.waiting = None
    harness.flush()
    assert Harness(path).bans.ban_left(HOST, 0.0) == 180


def test_a_manual_ban_is_applied_to_connections_that_exist(harness):
    harness.clock.advance(7)
    harness.ask("bans add", network="192.0.2.0/24", seconds=60)
    assert harness.looks == [7]
