"""Who is let in, who is slowed down, and that nobody else can tell why."""

import msgspec
import pytest
from fakes.daemon import HASH, PASSWORD, TOKEN, FakeDaemon, account
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mtnet.access.accounts.cred import Identity, IIdentity, Secret
from mtnet.access.accounts.passwords import DUMMY_HASH, HASHER, is_outdated, matches
from mtnet.access.bans.policy import Offence
from mtnet.access.bans.store import BanStore
from mtnet.access.rights import Rights
from mtnet.errors import WireError

HOST, OTHER = "198.51.100.7", "198.51.100.8"


class Harness:
    """The entrance of a house, and how many hashes it took."""

    def __init__(self, daemon, monkeypatch):
        self.daemon, self.access = daemon, daemon.env.access
        self.bans, self.authenticator = self.access.bans, self.access.authenticator
        self.hashes = []
        monkeypatch.setattr("mtnet.access.accounts.cred.matches", self._match)

    def _match(self, hashed, password):
        self.hashes.append(hashed)
        return hashed == HASH and password == PASSWORD

    def try_in(self, credentials, host=HOST, trusted=False):
        """Return who it is, or the code of what it is refused with."""
        found = []
        Deferred.fromCoroutine(self.authenticator.attempt(credentials, host, trusted)).addBoth(
            found.append
        )
        (result,) = found
        if isinstance(result, Identity):
            return result.name
        assert result.check(WireError), result
        return result.value.code

    def log_in(self, name, password=PASSWORD, host=HOST, trusted=False):
        return self.try_in(UsernamePassword(name.encode(), password.encode()), host, trusted)


@pytest.fixture
def limiter(tmp_path, clock, monkeypatch):
    return Harness(FakeDaemon(tmp_path / "data", clock), monkeypatch)


def test_a_right_password_lets_in_and_its_rights_are_the_account_s(limiter):
    assert limiter.log_in("alice") == "alice"
    assert limiter.authenticator.counts["right"] == 1


@pytest.mark.parametrize(
    ("name", "password"),
    [("alice", "wrong horse"), ("nobody", PASSWORD), ("", PASSWORD), ("alice", ""),
     ("ALICE", PASSWORD), ("alice\udcff", PASSWORD), ("alice", "\udcff" * 9)],
)  # fmt: skip
def test_whatever_is_wrong_is_said_in_the_same_words_and_costs_one_hash(limiter, name, password):
    said = UsernamePassword(
        name.encode("utf-8", "surrogateescape"), password.encode("utf-8", "surrogateescape")
    )
    assert limiter.try_in(said) == "login"
    assert len(limiter.hashes) == 1
    assert limiter.bans.offences["login"] == 1


def test_a_login_that_nobody_has_costs_what_a_password_costs():
    parameters = HASH.split("$")[1:4]
    assert DUMMY_HASH.split("$")[1:4] == parameters
    assert [len(part) for part in DUMMY_HASH.split("$")] == [len(part) for part in HASH.split("$")]
    assert not matches(DUMMY_HASH, PASSWORD)
    assert matches(HASH, PASSWORD)
    assert not matches(HASH, PASSWORD * 20)
    assert not is_outdated(DUMMY_HASH)


def test_a_disabled_account_is_as_unknown_as_none(limiter):
    limiter.daemon.change("alice", grants=["provider"], disabled=True, password=HASH)
    assert limiter.log_in("alice") == "login"
    assert limiter.hashes == [DUMMY_HASH]


def test_an_account_without_a_password_has_none_that_fits(limiter):
    limiter.daemon.change("alice", grants=["provider"])
    assert limiter.log_in("alice", "") == "login"
    assert limiter.hashes == [DUMMY_HASH]


def test_a_password_that_was_right_is_known_for_a_while(limiter, clock):
    for _ in range(3):
        assert limiter.log_in("alice") == "alice"
    assert len(limiter.hashes) == 1
    clock.advance(301)
    assert limiter.log_in("alice") == "alice"
    assert len(limiter.hashes) == 2


def test_who_shall_hash_each_time_can_log_in(tmp_path, clock, monkeypatch):
    limiter = Harness(FakeDaemon(tmp_path / "data", clock, "access.password_cache=0"), monkeypatch)
    assert [limiter.log_in("alice") for _ in range(3)] == ["alice"] * 3
    assert len(limiter.hashes) == 3


@pytest.mark.parametrize(("password", "found"), [(PASSWORD, ["alice"]), ("another one", ["login"])])
def test_a_hash_that_is_another_behind_the_first_is_looked_at_too(
    limiter, monkeypatch, password, found
):
    held, results = [], []

    def later(_, *what):
        held.append((Deferred(), what))
        return held[-1][0]

    def end():
        done, (hashed, tried) = held.pop()
        done.callback(matches(hashed, tried))

    monkeypatch.setattr(limiter.daemon.checker, "_in_thread", later)
    said = UsernamePassword(b"alice", PASSWORD.encode())
    Deferred.fromCoroutine(limiter.authenticator.attempt(said, HOST, False)).addCallbacks(
        lambda identity: results.append(identity.name),
        lambda failure: results.append(failure.value.code),
    )
    limiter.daemon.change("alice", grants=["provider"], password=HASHER.hash(password))
    end()
    assert results == []
    end()
    assert results == found


def test_who_is_disabled_while_the_hash_is_made_is_not_let_in(limiter, monkeypatch):
    held = Deferred()
    monkeypatch.setattr(limiter.daemon.checker, "_in_thread", lambda *_: held)
    said, results = UsernamePassword(b"alice", PASSWORD.encode()), []
    Deferred.fromCoroutine(limiter.authenticator.attempt(said, HOST, False)).addErrback(
        lambda failure: results.append(failure.value.code)
    )
    limiter.daemon.change("alice", grants=["provider"], disabled=True, password=HASH)
    held.callback(True)
    assert results == ["login"]


def test_a_password_that_was_changed_is_known_no_longer(limiter):
    limiter.log_in("alice")
    limiter.daemon.change("alice", grants=["provider"], password=HASHER.hash("another one"))
    assert limiter.log_in("alice") == "login"


def test_a_token_stands_for_its_account_with_less_rights(limiter):
    assert limiter.try_in(Secret(TOKEN)) == "bob"
    assert limiter.log_in("bob", TOKEN) == "bob"
    assert limiter.log_in("alice", TOKEN) == "login"
    assert limiter.hashes == []


def test_a_token_that_is_none_counts_as_a_guess(limiter):
    assert limiter.try_in(Secret("mtnet_" + "x" * 43)) == "login"
    assert limiter.bans.offences["login"] == 1


def test_at_once_is_told_what_takes_no_hash_and_nothing_else(limiter):
    def recognize(name, password):
        found = limiter.authenticator.recognize(UsernamePassword(name, password), HOST, False)
        return found and found.name

    assert recognize(b"alice", PASSWORD.encode()) is None
    assert recognize(b"alice", b"wrong horse") is None
    assert not any(limiter.authenticator.counts.values())
    assert recognize(b"bob", TOKEN.encode()) == "bob"
    assert limiter.log_in("alice") == "alice"
    assert recognize(b"alice", PASSWORD.encode()) == "alice"
    assert recognize(b"alice", b"wrong horse") is None
    assert recognize(b"carol", PASSWORD.encode()) is None
    assert (len(limiter.hashes), limiter.authenticator.counts["right"]) == (1, 3)
    assert limiter.bans.offences["login"] == 0


def test_at_once_is_refused_what_would_be_refused_later(limiter):
    said = UsernamePassword(b"bob", b"mtnet_" + b"x" * 43)
    with pytest.raises(WireError, match="wrong") as refused:
        limiter.authenticator.recognize(said, HOST, False)
    assert (refused.value.code, limiter.bans.offences["login"]) == ("login", 1)
    said = UsernamePassword(b"bob", TOKEN.encode())
    assert limiter.authenticator.recognize(said, HOST, False).name == "bob"
    limiter.bans.add(HOST, 60.0, limiter.daemon.clock.seconds())
    with pytest.raises(WireError) as barred:
        limiter.authenticator.recognize(said, HOST, False)
    assert (barred.value.code, limiter.authenticator.counts["barred"]) == ("banned", 1)


def test_a_certificate_lets_in_whom_it_names(limiter):
    found = limiter.authenticator.certified(["dns:other.example", "dns:carol.example"], HOST)
    assert found == Identity("carol", Rights(["follower"]))
    assert limiter.daemon.accounts.is_known_network(HOST, limiter.daemon.env.now(), "carol")
    assert limiter.authenticator.certified(["dns:other.example"], HOST) is None
    assert limiter.bans.offences["login"] == 0
    assert verifyObject(IIdentity, found)


def test_protocols_of_twisted_ask_the_same_portal(limiter):
    found = []
    portal = limiter.authenticator.portal
    portal.login(UsernamePassword(b"alice", PASSWORD.encode()), None, IIdentity).addCallback(
        found.append
    )
    assert found[0][1].name == "alice"
    portal.login(UsernamePassword(b"alice", b"wrong"), None, IIdentity).addErrback(
        lambda failure: found.append(failure.check(UnauthorizedLogin))
    )
    assert found[1] is UnauthorizedLogin


# Bans


def test_who_guesses_is_kept_out_and_told_for_how_long(limiter, clock):
    answers = [limiter.log_in("alice", f"guess {n}") for n in range(5)]
    assert answers == ["login", "login", "banned", "banned", "banned"]
    assert len(limiter.hashes) == 2
    clock.advance(16)
    assert limiter.log_in("alice") == "alice"


def test_a_name_that_is_no_text_can_be_listed_and_stored(limiter, tmp_path):
    assert limiter.try_in(UsernamePassword(b"\xff\xfe", b"\xff")) == "login"
    rows = limiter.bans.rows(0.0)
    assert {row["login"] for row in rows} == {"", "\ufffd\ufffd"}
    msgspec.json.encode(rows)
    BanStore(tmp_path / "bans.sqlite").store(limiter.bans.changes(0.0, 0.0))


def test_a_guesser_keeps_nobody_out_elsewhere(limiter):
    for number in range(50):
        limiter.log_in("alice", "guess", host=f"203.0.113.{number}")
    assert limiter.log_in("alice", host=OTHER) == "alice"


def test_who_was_here_before_is_not_kept_out_by_others_at_the_same_address(limiter):
    limiter.log_in("alice")
    for _ in range(5):
        limiter.log_in("bob", "guess")
    assert limiter.log_in("bob") == "banned"
    assert limiter.log_in("carol") == "banned"
    assert limiter.log_in("alice") == "alice"


def test_a_token_does_not_suffer_for_others_at_the_same_address(limiter):
    assert limiter.try_in(Secret(TOKEN)) == "bob"
    for _ in range(5):
        limiter.log_in("alice", "guess")
    assert limiter.try_in(Secret(TOKEN)) == "bob"
    assert limiter.try_in(Secret("mtnet_" + "x" * 43)) == "banned"


def test_a_right_password_within_a_ban_is_not_told_from_a_wrong_one(limiter):
    limiter.log_in("alice")
    for _ in range(5):
        limiter.log_in("alice", "guess")
    assert limiter.log_in("alice") == "banned"


def test_a_ban_holds_for_those_who_waited_in_the_line_meanwhile(limiter, clock, monkeypatch):
    held = []

    def later(*_):
        held.append(Deferred())
        return held[-1]

    monkeypatch.setattr(limiter.daemon.checker, "_in_thread", later)
    results = []
    for number in range(10):
        said = UsernamePassword(b"alice", b"guess %d" % number)
        Deferred.fromCoroutine(limiter.authenticator.attempt(said, HOST, False)).addErrback(
            lambda failure: results.append(failure.value.code)
        )
    while held:
        held.pop().callback(False)
    assert results == ["login"] * 2 + ["banned"] * 8


def test_whom_we_know_does_not_wait_for_a_crowd_of_strangers(limiter, clock, monkeypatch):
    limiter.log_in("alice", host=OTHER)
    clock.advance(301)  # until the password is hashed anew
    strangers = limiter.daemon.checker
    monkeypatch.setattr(strangers, "_in_thread", lambda *_: Deferred())
    for number in range(40):
        said = UsernamePassword(b"alice", b"guess")
        Deferred.fromCoroutine(
            limiter.authenticator.attempt(said, f"203.0.113.{number}", False)
        ).addErrback(lambda failure: None)
    assert limiter.log_in("alice", host=OTHER) == "alice"
    assert limiter.authenticator.report()["waiting"] == 32


def test_the_owner_of_the_machine_is_never_kept_out(limiter):
    assert [limiter.log_in("alice", "guess", trusted=True) for _ in range(9)] == ["login"] * 9
    assert limiter.log_in("alice", trusted=True) == "alice"
    assert limiter.bans.offences["login"] == 0


def test_a_login_makes_its_network_known(limiter, clock):
    gate_knows = limiter.daemon.accounts.is_known_network
    assert not gate_knows(HOST, limiter.daemon.env.now())
    limiter.log_in("alice")
    assert gate_knows(HOST, limiter.daemon.env.now())
    assert limiter.daemon.accounts.used()[0][0][:2] == ("alice", HOST)


def test_an_old_hash_is_made_anew(tmp_path, clock, monkeypatch):
    daemon, improved = FakeDaemon(tmp_path / "data", clock), []
    monkeypatch.setattr(
        daemon.checker,
        "_rehash",
        lambda *what: improved.append(what),
    )
    cheap = HASHER.from_parameters(
        type(HASHER)(time_cost=1, memory_cost=64, parallelism=1)._parameters
    ).hash(PASSWORD)
    daemon.change("alice", grants=["provider"], password=cheap)
    said = UsernamePassword(b"alice", PASSWORD.encode())
    Deferred.fromCoroutine(daemon.env.access.authenticator.attempt(said, HOST, False))
    assert improved == [("alice", PASSWORD, cheap)]


def test_penalties_of_other_kinds_keep_logins_out_too(limiter):
    limiter.bans.punish(HOST, Offence.ERROR, 0.0)
    assert limiter.log_in("alice") == "banned"


def test_nothing_shows_a_password(limiter):
    shown = repr(account("alice", ["provider"], password=HASH)) + repr(limiter.access)
    assert HASH not in shown


def test_a_password_is_right_even_where_none_is_remembered(tmp_path, clock, monkeypatch):
    limiter = Harness(FakeDaemon(tmp_path / "data", clock, "access.password_cache=0"), monkeypatch)
    assert [limiter.log_in("alice"), limiter.log_in("alice")] == ["alice", "alice"]
    assert len(limiter.hashes) == 2
