"""Access control as a whole: its files, its limits, and what the owner does while it runs."""

import json

import pytest
from fakes.rights import PERMISSIONS
from twisted.internet.defer import fail, maybeDeferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mtnet.access.accounts.authenticator import Threads
from mtnet.access.accounts.cred import BearerToken, Password
from mtnet.access.accounts.passwords import hasher, needs_rehash
from mtnet.access.accounts.store import AccountStore
from mtnet.access.bans.policy import Offence
from mtnet.access.bans.store import BanStore
from mtnet.access.control import AccessControl
from mtnet.access.security_log import Origin
from mtnet.clock import WallClock
from mtnet.config.loader import load
from mtnet.daemon.control.protocol import ControlFactory
from mtnet.errors import ConfigError, JournalError

PASSWORD, HOST, WALL = "correct horse", "192.0.2.7", 1_700_000_000_000
WEAK = (
    hasher()
    .from_parameters(type(hasher())(time_cost=1, memory_cost=64, parallelism=1)._parameters)
    .hash(PASSWORD)
)


class Connection:
    trusted = known = False
    number = 0

    def __init__(self, host=HOST):
        self.host, self.evicted = host, 0

    def evict(self):
        self.evicted += 1


class Harness:
    """One start of a daemon's access control on a folder; `disk` can be made to fail."""

    def __init__(self, folder, clock, *sets):
        self.clock, self.error = clock, None
        self.now = WallClock(lambda: WALL + int(clock.seconds() * 1000), clock.seconds)
        self.store = AccountStore(folder / "accounts.sqlite", PERMISSIONS)
        self.bans = BanStore(folder / "bans.sqlite")
        settings = load(sets=sets, environ={}).access
        threads = Threads(maybeDeferred, maybeDeferred, self.disk)
        self.access = AccessControl(
            settings, self.store, self.bans, threads, clock, self.now, PERMISSIONS
        )
        self.access.load()

    def disk(self, work, *arguments):
        return maybeDeferred(work, *arguments) if self.error is None else fail(self.error)

    def log_in(self, password=PASSWORD, host=HOST):
        found = []
        shown = BearerToken(password) if password.startswith("mtnet_") else None
        self.access.authenticator.authenticate(
            shown or Password("alice", password), Origin(host)
        ).addCallbacks(
            lambda identity: found.append(identity.name),
            lambda failure: found.append(failure.value.code),
        )
        return found[0]

    def ask(self, command, **arguments):
        transport = StringTransport()
        control = ControlFactory(self.access.commands()).buildProtocol(None)
        control.makeConnection(transport)
        control.dataReceived(json.dumps({"command": command, **arguments}).encode() + b"\n")
        return json.loads(transport.value())

    def close(self):
        self.store.close()
        self.bans.close()


@pytest.fixture
def start(tmp_path):
    started = []

    def start(*sets, clock=None):
        if started:
            started[-1].close()
        started.append(Harness(tmp_path, clock or Clock(), *sets))
        return started[-1]

    AccountStore(tmp_path / "accounts.sqlite", PERMISSIONS).add("alice", ["follower"], WEAK, 1)
    yield start
    started[-1].close()


def test_accounts_logins_and_bans_outlast_a_restart(start):
    first = start()
    assert first.log_in() == "alice"
    for _ in range(5):
        first.log_in("guess", "198.51.100.1")
    first.access.flush()
    second = start()
    assert second.log_in() == "alice"
    assert second.access.accounts.is_known_network(HOST, second.now(), "alice")
    assert second.access.bans.ban_left("198.51.100.1", 0.0) > 0
    assert second.log_in("guess", "198.51.100.1") == "banned"


def test_a_weak_hash_is_stored_anew_when_its_password_is_shown(start):
    harness = start()
    assert harness.log_in() == "alice"
    hashed = harness.store.directory().accounts["alice"].password
    assert hashed != WEAK
    assert not needs_rehash(hashed)
    assert harness.log_in() == "alice"


def test_a_weak_hash_stays_when_the_disk_fails_and_the_login_succeeds(start, log):
    harness = start()
    harness.error = JournalError("The disk is full.")
    assert harness.log_in() == "alice"
    assert [str(event["error"]) for event in log if "error" in event] == ["The disk is full."]
    harness.error = None
    assert harness.store.directory().accounts["alice"].password == WEAK


def test_a_flush_that_fails_loses_nothing(start, log):
    harness = start()
    harness.log_in()
    harness.access.bans.punish("198.51.100.1", Offence.ERROR, 0.0)
    harness.error = JournalError("The disk is full.")
    harness.access.flush()
    assert [event["log_format"] for event in log if "stored later" in event["log_format"]] == [
        "{error} The last logins are stored later.",
        "{error} The bans are stored later.",
    ]
    harness.error = None
    harness.access.flush()
    assert [login.name for login in harness.store.logins()] == ["alice"]
    assert [key.network for key, _ in harness.bans.load()] == ["198.51.100.1"]


def test_a_change_of_the_file_is_there_after_a_reload(start):
    harness = start()
    assert harness.log_in() == "alice"
    harness.store.disable("alice")
    assert harness.log_in() == "alice"
    harness.access.reload()
    assert harness.log_in(host="198.51.100.9") == "login"


def test_commands_of_accounts_and_bans_are_offered_together(start):
    harness = start()
    made = harness.ask("account token", name="alice", days=1)["result"]
    assert harness.log_in(made["secret"]) == "alice"
    harness.ask("bans add", network=HOST, seconds=60)
    assert harness.log_in(made["secret"]) == "banned"
    assert harness.ask("bans lift", what=HOST) == {"ok": True, "result": True}
    assert harness.log_in(made["secret"]) == "alice"
    assert harness.ask("account remove", name="alice") == {"ok": True, "result": None}
    assert harness.log_in(made["secret"]) == "login"


def test_a_token_expires_with_the_next_flush(start):
    harness = start(clock=Clock())
    secret = harness.ask("account token", name="alice", days=1)["result"]["secret"]
    session = Connection()
    session.gain = lambda former, rights: None
    harness.access.accounts.watch("alice", session)
    harness.clock.advance(86_400)
    harness.access.flush()
    assert session.evicted == 1
    assert harness.log_in(secret) == "login"
    assert harness.access.bans.offences["login"] == 0, "a token that was valid is no guess"


def test_a_manual_ban_evicts_the_connections_from_there_on_every_service(start):
    harness = start()
    inside = [Connection(HOST), Connection("192.0.2.200")]
    outside, owner = Connection("198.51.100.1"), Connection(HOST)
    owner.trusted = True
    for service, each in zip(
        ("signals", "web", "web", "web"), (*inside, outside, owner), strict=True
    ):
        assert harness.access.limiter(service).admit(each)
    harness.ask("bans add", network="192.0.2.0/24", seconds=None)
    assert [each.evicted for each in (*inside, outside, owner)] == [1, 1, 0, 0]


def test_a_ban_that_was_earned_evicts_nobody(start):
    harness, held = start(), Connection(HOST)
    harness.access.limiter("web").admit(held)
    harness.access.bans.punish(HOST, Offence.ERROR, 0.0)
    harness.access.evict_banned(0.0)
    assert held.evicted == 0


def test_the_listeners_of_a_service_share_its_limits(start):
    access = start("access.connections.web.total=2").access
    assert access.limiter("web") is access.limiter("web")
    assert access.limiter("web") is not access.limiter("any")
    admitted = [access.limiter("web").admit(Connection(f"192.0.2.{n}")) for n in range(3)]
    assert admitted == [True, True, False]


def test_the_report_has_the_logins_and_the_connections_of_each_service(start):
    harness = start()
    harness.log_in()
    harness.log_in("guess")
    harness.access.limiter("web").admit(Connection())
    assert harness.access.report() == {
        "logins": {"right": 1, "wrong": 1, "barred": 0, "refused": 0, "waiting": 0},
        "web": {"connections": 1, "strangers": 0},
    }


@pytest.mark.parametrize("setting", ["access.anonymous=fly", "access.networks.home=follow"])
def test_an_invalid_right_or_network_is_refused_at_the_start(start, setting):
    start()
    with pytest.raises(ConfigError, match=r"access\.(anonymous|networks)"):
        start(setting)


@pytest.mark.parametrize("name", ["accounts.sqlite", "bans.sqlite"])
def test_a_damaged_file_is_refused_at_the_start_with_its_name(start, tmp_path, name):
    start().access.flush()
    start().close()
    for leftover in tmp_path.glob(f"{name}*"):
        leftover.unlink()
    (tmp_path / name).write_bytes(b"nonsense" * 100)
    with pytest.raises(JournalError, match=name.replace(".", r"\.")):
        start()


def test_the_login_of_a_ban_is_logged_only_when_there_is_such_an_account(start, log):
    harness = start()
    for name in ("alice", "hunter2"):
        for _ in range(3):
            harness.access.bans.punish(f"198.51.100.{len(name)}", Offence.LOGIN, 0.0, name)
    begun = [event for event in log if event.get("line", "").startswith("ban begins")]
    assert [event["login"] for event in begun] == ["alice", "-", "-", "-"]
