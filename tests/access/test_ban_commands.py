"""The owner sees and changes bans while the daemon runs, and they last."""

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
from mtnet.daemon.control import ControlFactory
from mtnet.errors import JournalError

WALL = 1_700_000_000_000
HOST = "192.0.2.7"


class Office:
    """A daemon with bans, whose thread can be held up and whose disk can fail."""

    def __init__(self, path):
        self.clock, self.bans, self.error = Clock(), Bans(Weights()), None
        self.records, self.stored = BanStore(path), 0
        self.waiting = None
        self.looks = []
        now = WallClock(self.now, self.clock.seconds)
        self.warden = BanCommands(
            self.bans,
            self.records,
            self.in_thread,
            self.clock,
            now,
            self.looks.append,
            SecurityLog(self.clock.seconds),
        )
        self.warden.load()
        self.transport = StringTransport()
        self.control = ControlFactory(self.warden.commands()).buildProtocol(None)
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
        return Deferred.fromCoroutine(self.warden.flush())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "bans.sqlite"


@pytest.fixture
def office(path):
    return Office(path)


def test_who_has_penalties_is_listed_with_how_often_what_happened(office):
    for _ in range(3):
        office.bans.punish(HOST, Offence.LOGIN, 0.0)
    answer = office.ask("bans list")["result"]
    assert answer["offences"] == {"login": 3, "frame": 0, "deadline": 0, "error": 0}
    assert (answer["more"], [row["seconds"] for row in answer["rows"]]) == (0, [35])


def test_a_long_list_is_cut_and_says_so(office):
    for number in range(LISTED + 5):
        office.bans.punish(f"10.0.{number // 256}.{number % 256}", Offence.FRAME, 0.0)
    answer = office.ask("bans list")["result"]
    assert (len(answer["rows"]), answer["more"]) == (LISTED, 5)


def test_a_ban_holds_at_once_and_after_a_restart(office, path):
    assert office.ask("bans add", network=HOST, seconds=60) == {"ok": True, "result": None}
    assert office.bans.ban_left(HOST, 0.0) == 60
    assert Office(path).bans.ban_left(HOST, 0.0) == 60


def test_a_ban_without_seconds_is_for_ever(office):
    office.ask("bans add", network="192.0.2.0/24", seconds=None)
    assert office.ask("bans list")["result"]["rows"][0]["seconds"] is None


def test_a_ban_is_lifted_for_good(office, path):
    office.ask("bans add", network=HOST)
    assert office.ask("bans lift", what=HOST)["result"] is True
    assert office.ask("bans lift", what=HOST)["result"] is False
    assert not Office(path).bans.rows(0.0)


def test_a_change_by_hand_is_answered_when_it_is_stored(office):
    office.waiting = Deferred()
    assert office.ask("bans add", network=HOST) is None
    office.waiting.callback(None)
    assert json.loads(office.transport.value())["ok"]


@pytest.mark.parametrize(
    ("command", "asked", "sentence"),
    [
        ("bans add", {}, "Name a network"),
        ("bans add", {"network": "here"}, "'here' is no address nor network"),
        ("bans add", {"network": HOST, "seconds": "60"}, "'60' is no number of seconds"),
        ("bans add", {"network": HOST, "seconds": True}, "True is no number of seconds"),
        ("bans add", {"network": HOST, "seconds": -1}, "above 0"),
        ("bans lift", {"what": 7}, "Name a what"),
    ],
)
def test_what_is_no_order_is_refused_in_a_sentence(office, command, asked, sentence):
    answer = office.ask(command, **asked)
    assert not answer["ok"]
    assert sentence in answer["error"]


def test_a_flush_stores_what_changed_and_nothing_where_nothing_did(office, path):
    for _ in range(3):
        office.bans.punish(HOST, Offence.LOGIN, 0.0, "admin")
    office.flush()
    office.flush()
    assert office.stored == 1
    assert Office(path).bans.login_ban_left("admin", HOST, 0.0, known=True) == 35


def test_what_a_full_disk_refused_is_stored_with_the_next_flush(office, path):
    office.error = JournalError("The disk is full.")
    assert office.ask("bans add", network=HOST, seconds=60)["error"] == "The disk is full."
    assert office.bans.ban_left(HOST, 0.0) == 60
    office.error = None
    office.flush()
    assert Office(path).bans.ban_left(HOST, 0.0) == 60


def test_what_changes_while_it_is_stored_is_stored_next(office, path):
    office.bans.punish(HOST, Offence.ERROR, 0.0)
    office.waiting = Deferred()
    office.flush()
    office.bans.punish(HOST, Offence.ERROR, 0.0)
    office.waiting.callback(None)
    office.waiting = None
    office.flush()
    assert Office(path).bans.ban_left(HOST, 0.0) == 180


def test_who_is_here_already_is_looked_at_when_somebody_is_banned(office):
    office.clock.advance(7)
    office.ask("bans add", network="192.0.2.0/24", seconds=60)
    assert office.looks == [7]
