"""Commands on accounts: their changes on disk and in the daemon, and their answers."""

import json
import sqlite3
import tempfile
from pathlib import Path

import pytest
from fakes.daemon import Watcher
from fakes.rights import PERMISSIONS, rights
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent

from mtnet.access.accounts.commands import AccountCommands, Arguments
from mtnet.access.accounts.login_history import Login, LoginHistory
from mtnet.access.accounts.model import Account, Accounts
from mtnet.access.accounts.store import AccountStore
from mtnet.access.rights import NOTHING
from mtnet.access.security_log import SecurityLog
from mtnet.clock import WallClock
from mtnet.daemon.control.client import BROKEN
from mtnet.daemon.control.protocol import ControlFactory
from mtnet.durations import DAY_MS
from mtnet.errors import AccountError, JournalError, WireError

PASSWORD = "correct horse"


class Harness:
    """A clerk of accounts in a folder: `office("add", name=…)` does a command."""

    def __init__(self, folder, hash=lambda text: succeed(f"hash of {len(text)}")):
        self.path = folder / "accounts.sqlite"
        self.records, self.now, self.broken = AccountStore(self.path, PERMISSIONS), 1_000, None
        self.ahead = 0
        wall = WallClock(lambda: self.now + self.ahead, lambda: self.now / 1000)
        self.accounts = Accounts()
        lines = SecurityLog(float)
        self.commands = AccountCommands(self.accounts, self.records, self.thread, wall, hash, lines)

    def thread(self, work, *values):
        if self.broken:
            return maybeDeferred(self.refuse)
        return maybeDeferred(work, *values)

    def refuse(self):
        raise self.broken

    def __call__(self, command, **arguments):
        return outcome(maybeDeferred(self.commands.commands()[f"account {command}"], arguments))


def outcome(deferred):
    results = []
    deferred.addBoth(results.append)
    if hasattr(results[0], "raiseException"):
        results[0].raiseException()
    return results[0]


@pytest.fixture
def harness(tmp_path):
    harness = Harness(tmp_path)
    harness("add", name="alice", grants=["follower"], password=PASSWORD)
    yield harness
    harness.records.close()


def test_a_new_account_is_answered_without_its_password_and_can_log_in_at_once(harness):
    shown = harness("add", name="bob", grants=["send:ticks"], password=PASSWORD)
    assert shown == {"name": "bob", "grants": ["send:ticks"], "disabled": False, "password": True}
    assert harness.accounts.get("bob").password == "hash of 13"
    assert AccountStore(harness.path, PERMISSIONS).directory() == harness.accounts.directory


def test_an_account_may_have_no_password(harness):
    assert not harness("add", name="bob")["password"]
    assert harness.accounts.get("bob").password == ""


@pytest.mark.parametrize("command", ["add", "passwd"])
def test_an_invalid_password_is_refused_before_it_is_hashed(tmp_path, command):
    harness = Harness(tmp_path, hash=lambda text: pytest.fail("it was hashed"))
    with pytest.raises(AccountError, match="8 or more"):
        harness(command, name="alice", password="short")
    assert harness.accounts.empty


def test_a_password_cannot_be_set_to_nothing(harness):
    with pytest.raises(AccountError):
        harness("passwd", name="alice")
    assert harness.accounts.get("alice").password


def test_every_change_counts_at_once_and_evicts_its_watchers(harness):
    shown = []
    for name, values in (
        ("grant", {"grants": ["read"]}),
        ("revoke", {"grants": ["read"]}),
        ("passwd", {"password": PASSWORD}),
        ("disable", {}),
        ("enable", {}),
        ("remove", {}),
    ):
        watcher = Watcher(lambda name=name: shown.append(name))
        harness.accounts.watch("alice", watcher)
        harness(name, name="alice", **values)
        harness.accounts.unwatch("alice", watcher)
    assert shown == ["revoke", "passwd", "disable", "remove"]
    assert harness.accounts.get("alice") is None


def test_the_secret_of_a_token_is_answered_once_and_valid_until_it_is_withdrawn(harness):
    made = harness("token", name="alice", label="t7", grants=["follow:signals/gold"], days=1.5)
    account, allowed = harness.accounts.token(made["secret"], harness.now)
    assert (account.name, allowed) == ("alice", rights("follow:signals/gold"))
    (shown,) = harness("show", name="alice")["tokens"]
    assert shown == {
        "id": made["id"],
        "label": "t7",
        "grants": ["follow:signals/gold"],
        "created": 1_000,
        "expires": 1_000 + DAY_MS * 3 // 2,
        "last": 1_000,
    }
    harness("untoken", name="alice", token=made["id"])
    assert harness.accounts.token(made["secret"], harness.now) is None


def test_a_token_with_an_empty_list_of_grants_has_no_rights(harness):
    made = harness("token", name="alice", grants=[])
    assert harness.accounts.token(made["secret"], 1)[1] == NOTHING


@pytest.mark.parametrize("days", [0, -1, 36_501, 1e300])
def test_a_token_lasts_more_than_0_days_and_at_most_a_century(harness, days):
    with pytest.raises(AccountError, match="36500"):
        harness("token", name="alice", days=days)


def test_an_account_is_shown_with_everything_but_secrets(harness):
    secret = harness("token", name="alice")["secret"]
    harness.accounts.logged_in("alice", "192.0.2.1", 2_000)
    harness.accounts.logged_in("alice", "192.0.2.2", 3_000)
    shown = harness("show", name="alice")
    assert shown["rights"] == ["fetch:templates", "follow:signals"]
    assert [each["network"] for each in shown["networks"]] == ["192.0.2.2", "192.0.2.1"]
    assert (shown["last"], shown["created"], shown["changed"]) == (3_000, 1_000, 1_000)
    assert secret not in json.dumps(shown)
    assert "hash of" not in json.dumps(shown)


def test_the_use_of_a_token_counts_as_the_last_login(harness):
    secret = harness("token", name="alice")["secret"]
    harness.accounts.logged_in("alice", "192.0.2.1", 2_000)
    harness.accounts.token(secret, 4_000)
    (shown,) = harness("list")
    assert (shown["name"], shown["tokens"], shown["last"]) == ("alice", 1, 4_000)


def test_an_unknown_account_is_not_shown(harness):
    with pytest.raises(AccountError, match="did you mean alice"):
        harness("show", name="alic")


@pytest.mark.parametrize(
    "arguments", [{"name": 5}, {"grants": "follow"}, {"days": "x"}, {"password": [PASSWORD]}]
)
def test_an_argument_of_another_type_is_refused_and_not_quoted(harness, arguments):
    with pytest.raises(WireError, match="Expected") as refused:
        harness("passwd", **arguments)
    assert PASSWORD not in str(refused.value)


# What goes on by itself


def test_logins_and_uses_are_stored_once(harness):
    harness.accounts.logged_in("alice", "home", 5)
    outcome(Deferred.fromCoroutine(harness.commands.flush()))
    assert harness.records.logins() == [Login("alice", "home", 5)]
    assert harness.accounts.used() == ([], {})


def test_logins_are_stored_later_after_an_error_of_the_disk(harness):
    harness.accounts.logged_in("alice", "home", 5)
    harness.broken = JournalError("The disk is full.")
    with capturedLogs() as logged:
        outcome(Deferred.fromCoroutine(harness.commands.flush()))
    assert [event["log_level"].name for event in logged] == ["warn"]
    harness.broken = None
    outcome(Deferred.fromCoroutine(harness.commands.flush()))
    assert harness.records.logins() == [Login("alice", "home", 5)]


def test_sessions_of_an_expired_token_are_evicted_with_the_next_flush(harness):
    shown = []
    harness("token", name="alice", days=1)
    harness.accounts.watch("alice", Watcher(lambda: shown.append(harness.now)))
    for harness.now in (DAY_MS, DAY_MS + 1_000, DAY_MS + 2_000):
        outcome(Deferred.fromCoroutine(harness.commands.flush()))
        harness("grant", name="alice", grants=["read"])
    assert shown == [DAY_MS + 1_000]


def test_a_clock_that_is_wrong_for_a_moment_ends_no_token_and_no_session(harness):
    shown = []
    secret = harness("token", name="alice", days=1)["secret"]
    harness.accounts.watch("alice", Watcher(lambda: shown.append(harness.now)))
    for harness.ahead in (30 * DAY_MS, 0):
        outcome(Deferred.fromCoroutine(harness.commands.flush()))
    assert shown == []
    assert harness.accounts.token(secret, harness.now)


def test_a_reload_is_logged_with_the_number_of_accounts(harness):
    with capturedLogs() as logged:
        outcome(Deferred.fromCoroutine(harness.commands.reload()))
    assert [event["log_format"] for event in logged] == ["The accounts were reloaded: {count}."]
    harness.broken = JournalError("The disk is gone.")
    with capturedLogs() as logged:
        outcome(Deferred.fromCoroutine(harness.commands.reload()))
    assert [event["log_level"].name for event in logged] == ["error"]


def test_a_grant_of_a_service_that_is_gone_is_logged_once(harness, warnings):
    with sqlite3.connect(harness.path) as db:
        db.execute("INSERT INTO granted VALUES ('alice', 'fly:moon')")
    db.close()
    harness.commands.load()
    outcome(Deferred.fromCoroutine(harness.commands.reload()))
    (line,) = warnings()
    assert formatEvent(line) == (
        "The account alice is granted fly:moon, which no installed service knows, and has no "
        "right by it. `mtnet account revoke alice fly:moon` removes it."
    )


def test_a_change_by_another_program_counts_after_a_reload(harness):
    other = AccountStore(harness.path, PERMISSIONS)
    other.disable("alice")
    other.close()
    assert not harness.accounts.empty
    outcome(Deferred.fromCoroutine(harness.commands.reload()))
    assert harness.accounts.empty


def test_the_accounts_stay_as_they_were_when_they_cannot_be_read(harness):
    harness.broken = JournalError("The disk failed.")
    with capturedLogs() as logged:
        outcome(Deferred.fromCoroutine(harness.commands.reload()))
    assert [event["log_level"].name for event in logged] == ["error"]
    assert harness.accounts.get("alice")


def test_a_rehash_counts_at_once_and_ends_no_session(harness):
    harness.accounts.watch("alice", Watcher(lambda: pytest.fail("alice is logged out")))
    outcome(Deferred.fromCoroutine(harness.commands.rehash("alice", "hash of 13", "better")))
    assert harness.accounts.get("alice").password == "better"


# Secrets


def test_no_log_line_and_no_repr_holds_a_password_or_a_token(harness):
    with capturedLogs() as logged:
        harness("passwd", name="alice", password=PASSWORD)
        secret = harness("token", name="alice")["secret"]
        with pytest.raises(AccountError):
            harness("add", name="alice", password=PASSWORD)
    assert logged
    for each in (PASSWORD, "hash of", secret):
        assert each not in repr(logged)
    assert PASSWORD not in repr(Arguments("alice", password=PASSWORD))


def test_a_command_that_fails_is_logged_by_its_name_and_not_by_its_password(tmp_path):
    harness = Harness(tmp_path, hash=lambda text: 1 / 0)
    transport = StringTransport()
    protocol = ControlFactory(harness.commands.commands()).buildProtocol(None)
    protocol.makeConnection(transport)
    request = {"command": "account passwd", "name": "alice", "password": PASSWORD}
    with capturedLogs() as logged:
        protocol.dataReceived(json.dumps(request).encode() + b"\n")
    assert json.loads(transport.value()) == {"ok": False, "error": BROKEN}
    (event,) = logged
    assert event["command"] == "account passwd"
    shown = {key: value for key, value in event.items() if key != "log_failure"}
    assert PASSWORD not in repr(shown) + event["log_failure"].getTraceback()


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "token", "untoken", "grant", "revoke", "disable", "remove"]),
        st.sampled_from(["alice", "bob"]),
    ),
    max_size=20,
)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_changing_one_account_after_the_other_is_the_same_as_reading_all_of_them(steps):
    with tempfile.TemporaryDirectory() as folder:
        store, accounts = AccountStore(Path(folder) / "accounts.sqlite", PERMISSIONS), Accounts()
        log, now = SecurityLog(lambda: 0.0), WallClock(lambda: 1_800_000_000_000, lambda: 0.0)
        made = AccountCommands(accounts, store, maybeDeferred, now, succeed, log).commands()
        issued = {"alice": [""], "bob": [""]}
        for name, who in steps:
            grants = [f"certificate:dns:{who}.example", "follow:signals"]
            asked = {"name": who, "grants": grants, "token": issued[who][-1]}
            if name == "token":
                asked["grants"] = None
            done = maybeDeferred(made[f"account {name}"], asked)
            if name == "token":
                done.addCallback(lambda made, who=who: issued[who].append(made["id"]))
            done.addErrback(lambda failure: failure.trap(AccountError))
        read = store.directory()
        assert accounts.directory.accounts == read.accounts
        assert accounts.directory.tokens == read.tokens
        assert accounts.directory.certificates == read.certificates
        assert accounts.directory.withdrawn == read.withdrawn
        shown = {name: set(found) for name, found in accounts.directory.digests.items()}
        assert shown == {name: set(found) for name, found in read.digests.items()}
        store.close()


def test_a_change_of_an_account_reads_no_other(tmp_path, monkeypatch):
    store, accounts = AccountStore(tmp_path / "accounts.sqlite", PERMISSIONS), Accounts()
    log, now = SecurityLog(lambda: 0.0), WallClock(lambda: 1_800_000_000_000, lambda: 0.0)
    made = AccountCommands(accounts, store, maybeDeferred, now, succeed, log).commands()
    for name in ("alice", "bob"):
        outcome(maybeDeferred(made["account add"], {"name": name}))
    read = []
    monkeypatch.setattr(store, "_account", lambda db, name: read.append(name) or _account(name))
    outcome(maybeDeferred(made["account disable"], {"name": "bob"}))
    assert set(read) == {"bob"}


def _account(name):
    return Account(name, (), NOTHING, False, 0, 0)


def test_networks_that_a_removed_account_alone_used_are_known_no_longer():
    history = LoginHistory()
    history.recall([Login("alice", "home", 1), Login("bob", "office", 1), Login("bob", "home", 2)])
    history.note(Login("bob", "office", 3))
    history.forget("bob")
    assert history.is_known_network("home", 4)
    assert history.is_known_network("home", 4, "alice")
    assert not history.is_known_network("home", 4, "bob")
    assert not history.is_known_network("office", 4)
    assert history.fresh() == []
