"""The authenticator: who logs in, who is slowed down, and that errors tell a guesser nothing."""

import msgspec
import pytest
from fakes.daemon import HASH, PASSWORD, TOKEN, FakeDaemon, account
from fakes.rights import rights
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mtnet.access.accounts.cred import BearerToken, Certificate, CredChecker, Password
from mtnet.access.accounts.identity import Identity
from mtnet.access.accounts.passwords import DUMMY_HASH, hasher, matches, needs_rehash
from mtnet.access.bans.policy import Offence
from mtnet.access.bans.store import BanStore
from mtnet.access.security_log import Origin
from mtnet.errors import WireError

HOST, OTHER = "198.51.100.7", "198.51.100.8"
UNKNOWN_TOKEN = "mtnet_" + "x" * 43
ALICE = Password("alice", PASSWORD)


class Harness:
    """The authenticator of a fake daemon, and the hashes that it took."""

    def __init__(self, daemon, monkeypatch):
        self.daemon, self.access = daemon, daemon.env.access
        self.bans, self.authenticator = self.access.bans, self.access.authenticator
        self.hashes = []
        monkeypatch.setattr("mtnet.access.accounts.authenticator.matches", self._match)

    def _match(self, hashed, password):
        self.hashes.append(hashed)
        return hashed == HASH and password == PASSWORD

    def authenticate(self, credentials, host=HOST, trusted=False):
        return self.authenticator.authenticate(credentials, Origin(host), trusted)

    def results(self, credentials, host=HOST, trusted=False):
        """Return a list that gets the name of the account, or the code of the error."""
        results = []
        self.authenticate(credentials, host, trusted).addCallbacks(
            lambda identity: results.append(identity.name),
            lambda failure: results.append(failure.value.code),
        )
        return results

    def try_in(self, credentials, host=HOST, trusted=False):
        (result,) = self.results(credentials, host, trusted)
        return result

    def log_in(self, name, password=PASSWORD, host=HOST, trusted=False):
        return self.try_in(Password(name, password), host, trusted)

    def hold_hashes(self, monkeypatch):
        """Return a list of Deferreds, one for each hash that is being made."""
        held = []

        def later(*_):
            held.append(Deferred())
            return held[-1]

        monkeypatch.setattr(self.daemon.hasher, "in_thread", later)
        return held


@pytest.fixture
def harness(tmp_path, clock, monkeypatch):
    return Harness(FakeDaemon(tmp_path / "data", clock), monkeypatch)


@pytest.fixture
def uncached(tmp_path, clock, monkeypatch):
    return Harness(FakeDaemon(tmp_path / "data", clock, "access.password_cache=0"), monkeypatch)


# Passwords


def test_a_right_password_gives_the_rights_of_the_account(harness):
    found = []
    harness.authenticate(ALICE).addCallback(found.append)
    assert found == [Identity("alice", rights("provider"))]
    assert harness.authenticator.counts["right"] == 1


@pytest.mark.parametrize(
    ("name", "password"),
    [("alice", "wrong horse"), ("nobody", PASSWORD), ("", PASSWORD), ("alice", ""),
     ("ALICE", PASSWORD), ("alice\udcff", PASSWORD), ("alice", "\udcff" * 9)],
)  # fmt: skip
def test_every_wrong_login_gets_the_same_answer_and_costs_one_hash(harness, name, password):
    shown = Password.decode(
        name.encode("utf-8", "surrogateescape"), password.encode("utf-8", "surrogateescape")
    )
    errors = []
    harness.authenticate(shown).addErrback(lambda failure: errors.append(failure.value))
    assert [(error.code, str(error)) for error in errors] == [
        ("login", "The login or its password is wrong")
    ]
    assert len(harness.hashes) == 1
    assert harness.bans.offences["login"] == 1


def test_an_unknown_login_takes_as_long_as_a_known_one():
    parameters = HASH.split("$")[1:4]
    assert DUMMY_HASH.split("$")[1:4] == parameters
    assert [len(part) for part in DUMMY_HASH.split("$")] == [len(part) for part in HASH.split("$")]
    assert not matches(DUMMY_HASH, PASSWORD)
    assert matches(HASH, PASSWORD)
    assert not matches(HASH, PASSWORD * 20)
    assert not needs_rehash(DUMMY_HASH)


def test_a_disabled_account_is_the_same_as_an_unknown_one(harness):
    harness.daemon.change("alice", grants=["provider"], disabled=True, password=HASH)
    assert harness.log_in("alice") == "login"
    assert harness.hashes == [DUMMY_HASH]


def test_no_password_fits_an_account_without_one(harness):
    harness.daemon.change("alice", grants=["provider"])
    assert harness.log_in("alice", "") == "login"
    assert harness.hashes == [DUMMY_HASH]


def test_a_verified_password_is_cached(harness, clock):
    for _ in range(3):
        assert harness.log_in("alice") == "alice"
    assert len(harness.hashes) == 1
    clock.advance(301)
    assert harness.log_in("alice") == "alice"
    assert len(harness.hashes) == 2


def test_without_a_cache_each_login_takes_a_hash(uncached):
    assert [uncached.log_in("alice") for _ in range(3)] == ["alice"] * 3
    assert len(uncached.hashes) == 3


def test_a_wrong_password_is_not_served_from_the_cache(harness):
    assert harness.log_in("alice") == "alice"
    assert harness.log_in("alice", "wrong horse") == "login"
    assert harness.log_in("carol") == "carol"
    assert len(harness.hashes) == 3


@pytest.mark.parametrize(("password", "found"), [(PASSWORD, ["alice"]), ("another one", ["login"])])
def test_a_hash_that_changes_while_it_is_checked_is_checked_again(
    harness, monkeypatch, password, found
):
    held = []

    def later(_, *what):
        held.append((Deferred(), what))
        return held[-1][0]

    def finish():
        done, (hashed, tried) = held.pop()
        done.callback(matches(hashed, tried))

    monkeypatch.setattr(harness.daemon.hasher, "in_thread", later)
    results = harness.results(ALICE)
    harness.daemon.change("alice", grants=["provider"], password=hasher().hash(password))
    finish()
    assert results == []
    finish()
    assert results == found


def test_an_account_that_is_disabled_while_the_hash_is_made_cannot_log_in(harness, monkeypatch):
    held = harness.hold_hashes(monkeypatch)
    results = harness.results(ALICE)
    harness.daemon.change("alice", grants=["provider"], disabled=True, password=HASH)
    held.pop().callback(True)
    assert results == ["login"]


def test_a_changed_password_leaves_the_cache(harness):
    harness.log_in("alice")
    harness.daemon.change("alice", grants=["provider"], password=hasher().hash("another one"))
    assert harness.log_in("alice") == "login"


def test_a_weak_hash_is_replaced(tmp_path, clock, monkeypatch):
    daemon, replaced = FakeDaemon(tmp_path / "data", clock), []
    monkeypatch.setattr(daemon.env.access.authenticator, "_rehash", lambda *w: replaced.append(w))
    weak = (
        hasher()
        .from_parameters(type(hasher())(time_cost=1, memory_cost=64, parallelism=1)._parameters)
        .hash(PASSWORD)
    )
    daemon.change("alice", grants=["provider"], password=weak)
    daemon.env.access.authenticator.authenticate(ALICE, Origin(HOST))
    assert replaced == [("alice", PASSWORD, weak)]


def test_nobody_can_log_in_where_there_are_no_accounts(tmp_path, clock, monkeypatch):
    harness = Harness(FakeDaemon(tmp_path / "data", clock, grants={}), monkeypatch)
    errors = []
    harness.authenticate(ALICE).addErrback(lambda failure: errors.append(str(failure.value)))
    assert errors == ["There are no accounts here; nothing needs a login"]
    assert (harness.hashes, harness.bans.offences["login"]) == ([], 0)


# Tokens and certificates


def test_a_token_stands_for_its_account_with_fewer_rights(harness):
    found = []
    harness.authenticate(BearerToken(TOKEN)).addCallback(found.append)
    assert found == [Identity("bob", rights("follow:signals/gold"))]
    assert harness.log_in("bob", TOKEN) == "bob"
    assert harness.log_in("alice", TOKEN) == "login"
    assert harness.hashes == []


@pytest.mark.parametrize("shown", [BearerToken(UNKNOWN_TOKEN), Password("bob", UNKNOWN_TOKEN)])
def test_an_unknown_token_counts_as_a_guess(harness, shown):
    assert harness.try_in(shown) == "login"
    assert harness.bans.offences["login"] == 1


def test_a_certificate_logs_in_the_account_that_it_names(harness):
    found = []
    shown = Certificate(("dns:other.example", "dns:carol.example"))
    harness.authenticate(shown).addCallback(found.append)
    assert found == [Identity("carol", rights("follower"))]
    assert harness.daemon.accounts.is_known_network(HOST, harness.daemon.env.now(), "carol")


def test_an_unknown_certificate_is_neither_counted_nor_punished(harness):
    assert harness.try_in(Certificate(("dns:other.example",))) == "login"
    assert harness.bans.offences["login"] == 0
    assert not any(harness.authenticator.counts.values())


# At once, or later


@pytest.mark.parametrize(
    ("shown", "result"),
    [
        (Password("bob", TOKEN), "bob"),
        (BearerToken(TOKEN), "bob"),
        (Password("bob", UNKNOWN_TOKEN), "login"),
        (BearerToken("no token"), "login"),
    ],
)
def test_credentials_that_need_no_hash_are_decided_at_once(harness, monkeypatch, shown, result):
    harness.hold_hashes(monkeypatch)
    assert harness.results(shown) == [result]


def test_a_password_is_decided_when_its_hash_is_there(harness, monkeypatch):
    held = harness.hold_hashes(monkeypatch)
    results = harness.results(ALICE)
    assert results == []
    held.pop().callback(True)
    assert results == ["alice"]
    assert harness.results(ALICE) == ["alice"], "the second time it is cached"


def test_a_login_that_is_cancelled_leaves_the_queue(harness, monkeypatch):
    held = harness.hold_hashes(monkeypatch)
    harness.results(ALICE)
    waiting = harness.authenticate(Password("alice", "guess"))
    waiting.addErrback(lambda failure: None)
    assert harness.authenticator.report()["waiting"] == 1
    waiting.cancel()
    assert harness.authenticator.report()["waiting"] == 0
    held.pop().callback(True)
    assert held == []


def test_a_full_queue_refuses_logins_and_does_not_punish(harness, monkeypatch):
    harness.hold_hashes(monkeypatch)
    results = [harness.results(ALICE, f"203.0.113.{number}") for number in range(34)]
    assert results == [[]] * 33 + [["server"]]
    assert harness.authenticator.report()["refused"] == 1
    assert harness.bans.offences["login"] == 0


def test_known_networks_do_not_wait_behind_unknown_ones(harness, clock, monkeypatch):
    harness.log_in("alice", host=OTHER)
    clock.advance(301)  # until the password is hashed again
    harness.hold_hashes(monkeypatch)
    for number in range(40):
        harness.results(Password("alice", "guess"), f"203.0.113.{number}")
    assert harness.log_in("alice", host=OTHER) == "alice"
    assert harness.authenticator.report()["waiting"] == 32


# Bans


def test_a_guesser_is_banned_and_the_error_says_for_how_long(harness, clock):
    answers = [harness.log_in("alice", f"guess {n}") for n in range(5)]
    assert answers == ["login", "login", "banned", "banned", "banned"]
    assert len(harness.hashes) == 2
    errors = []
    harness.authenticate(ALICE).addErrback(lambda failure: errors.append(str(failure.value)))
    assert errors == ["Too many logins were wrong; come back in 15 s"]
    clock.advance(16)
    assert harness.log_in("alice") == "alice"


def test_a_name_that_is_not_text_can_be_listed_and_stored(harness, tmp_path):
    assert harness.try_in(Password.decode(b"\xff\xfe", b"\xff")) == "login"
    rows = harness.bans.rows(0.0)
    assert {row["login"] for row in rows} == {"", "\ufffd\ufffd"}
    msgspec.json.encode(rows)
    BanStore(tmp_path / "bans.sqlite").store(harness.bans.changes(0.0, 0.0))


def test_a_guesser_cannot_lock_the_owner_of_an_account_out(harness):
    for number in range(50):
        harness.log_in("alice", "guess", host=f"203.0.113.{number}")
    assert harness.log_in("alice", host=OTHER) == "alice"


def test_a_login_that_was_used_from_a_network_is_not_banned_for_others_there(harness):
    harness.log_in("alice")
    for _ in range(5):
        harness.log_in("bob", "guess")
    assert harness.log_in("bob") == "banned"
    assert harness.log_in("carol") == "banned"
    assert harness.log_in("alice") == "alice"


def test_a_token_that_was_used_from_a_network_is_not_banned_for_others_there(harness):
    assert harness.try_in(BearerToken(TOKEN)) == "bob"
    for _ in range(5):
        harness.log_in("alice", "guess")
    assert harness.try_in(BearerToken(TOKEN)) == "bob"
    assert harness.try_in(BearerToken(UNKNOWN_TOKEN)) == "banned"


def test_a_banned_token_is_refused_at_once(harness):
    assert harness.try_in(Password("bob", TOKEN)) == "bob"
    harness.bans.add(HOST, 60.0, harness.daemon.clock.seconds())
    assert harness.results(Password("bob", TOKEN)) == ["banned"]
    assert harness.authenticator.counts["barred"] == 1


def test_during_a_ban_a_right_password_looks_like_a_wrong_one(harness):
    harness.log_in("alice")
    for _ in range(5):
        harness.log_in("alice", "guess")
    assert harness.log_in("alice") == "banned"


def test_a_ban_applies_to_logins_that_were_already_in_the_queue(harness, monkeypatch):
    held, results = harness.hold_hashes(monkeypatch), []
    for number in range(10):
        harness.authenticate(Password("alice", f"guess {number}")).addErrback(
            lambda failure: results.append(failure.value.code)
        )
    while held:
        held.pop().callback(False)
    assert results == ["login"] * 2 + ["banned"] * 8


def test_the_owner_of_the_machine_is_never_banned(harness):
    assert [harness.log_in("alice", "guess", trusted=True) for _ in range(9)] == ["login"] * 9
    assert harness.log_in("alice", trusted=True) == "alice"
    assert harness.bans.offences["login"] == 0


def test_a_login_makes_its_network_known(harness):
    is_known = harness.daemon.accounts.is_known_network
    assert not is_known(HOST, harness.daemon.env.now())
    harness.log_in("alice")
    assert is_known(HOST, harness.daemon.env.now())
    assert harness.daemon.accounts.used()[0][0][:2] == ("alice", HOST)


def test_penalties_for_other_offences_stop_logins_too(harness):
    harness.bans.punish(HOST, Offence.ERROR, 0.0)
    assert harness.log_in("alice") == "banned"


def test_a_good_login_forgives_the_bad_ones_of_its_name_but_not_of_its_network(harness, clock):
    harness.log_in("alice", "guess")
    harness.log_in("alice")
    assert [row["login"] for row in harness.bans.rows(clock.seconds())] == [""]


# Secrets


@pytest.mark.parametrize("shown", [ALICE, BearerToken(PASSWORD)])
def test_credentials_do_not_show_their_secret(shown):
    assert PASSWORD not in repr(shown)


def test_accounts_do_not_show_their_hash(harness):
    shown = repr(account("alice", ["provider"], password=HASH)) + repr(harness.access)
    assert HASH not in shown


# The adapter for twisted.cred


def test_a_protocol_of_twisted_logs_in_through_the_same_authenticator(harness):
    checker, found = CredChecker(harness.authenticate), []
    verifyObject(ICredentialsChecker, checker)
    shown = UsernamePassword(b"alice", PASSWORD.encode())
    checker.requestAvatarId(shown).addCallback(found.append)
    assert found == [Identity("alice", rights("provider"))]


def test_the_adapter_fails_as_twisted_expects(harness):
    checker, failures = CredChecker(harness.authenticate), []
    shown = UsernamePassword("alice", "wrong horse")  # FTP has text where ESMTP has bytes
    checker.requestAvatarId(shown).addErrback(failures.append)
    assert failures[0].check(UnauthorizedLogin)
    assert harness.bans.offences["login"] == 1


def test_the_adapter_passes_other_errors_on(harness):
    failures = []
    broken = CredChecker(lambda shown: Deferred())
    login = broken.requestAvatarId(UsernamePassword(b"alice", b"secret"))
    login.addErrback(failures.append)
    login.cancel()
    assert not failures[0].check(UnauthorizedLogin, WireError)
