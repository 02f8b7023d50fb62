"""Accounts on disk: changes, refusals, and removed accounts of which nothing is left."""

import sqlite3
import stat
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fakes.rights import PERMISSIONS, rights, rights_of
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mtnet.access.accounts import store as module
from mtnet.access.accounts.login_history import Login
from mtnet.access.accounts.model import Account, Accounts, digest, is_token
from mtnet.access.accounts.store import AccountStore
from mtnet.access.rights import NOTHING, Permissions
from mtnet.errors import AccountError, JournalError

PHC = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$aGFzaA"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "accounts.sqlite"


@pytest.fixture
def records(path):
    records = AccountStore(path, PERMISSIONS)
    yield records
    records.close()


@pytest.fixture
def alice(records):
    records.add("alice", ["follower"], PHC, 1)
    return records


def account(records, name="alice"):
    return records.directory().accounts[name]


def test_a_new_file_is_empty_and_readable_by_its_owner_only(records, path):
    directory, logins = records.load()
    assert (directory.accounts, directory.tokens, directory.certificates, logins) == (
        {},
        {},
        {},
        [],
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_stored_accounts_are_there_after_a_restart(alice, path):
    alice.grant("alice", ["certificate:dns:Alice.example", "send:ticks/EUR*"])
    alice.close()
    again = AccountStore(path, PERMISSIONS).directory()
    grants = ("certificate:dns:alice.example", "follower", "send:ticks/EUR*")
    assert again.accounts == {
        "alice": Account("alice", grants, rights_of(grants), False, 1, 1, PHC)
    }
    assert again.certificates == {"dns:alice.example": "alice"}


def test_an_account_is_disabled_and_enabled(alice):
    alice.disable("alice")
    assert account(alice).disabled
    alice.enable("alice")
    assert not account(alice).disabled


def test_a_new_password_ends_sessions_even_if_the_clock_was_set_back(alice):
    alice.set_password("alice", PHC + "2", 9)
    assert (account(alice).password, account(alice).changed) == (PHC + "2", 9)
    alice.set_password("alice", PHC + "3", 5)
    assert account(alice).changed == 10


def test_a_rehash_ends_no_session(alice):
    former = account(alice)
    alice.rehash("alice", PHC, PHC + "2")
    assert account(alice).password == PHC + "2"
    assert account(alice).keeps_sessions_of(former)


def test_a_rehash_of_a_password_that_was_changed_meanwhile_is_not_stored(alice):
    alice.set_password("alice", "", 9)
    alice.rehash("alice", PHC, PHC + "2")
    alice.rehash("alice", "", PHC + "2")
    alice.rehash("nobody", PHC, PHC + "2")
    assert account(alice).password == ""


# What is refused


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda r: r.add("alice", [], "", 2), "The account alice exists already"),
        (lambda r: r.add("a b", [], "", 2), "Invalid account name 'a b'"),
        (lambda r: r.add("bob", ["boss"], "", 2), "Invalid right 'boss'"),
        (lambda r: r.disable("alcie"), "did you mean alice"),
        (lambda r: r.remove("zz"), "`mtnet account list`"),
        (lambda r: r.set_password("zz", PHC, 2), "no account 'zz'"),
        (lambda r: r.grant("alice", ["follow", "boss"]), "Invalid right 'boss'"),
        (lambda r: r.revoke("alice", ["follower", "reader"]), "it has follower"),
        (lambda r: r.issue("zz", "", None, None, 2), "no account 'zz'"),
        (lambda r: r.issue("alice", "", ["publish"], None, 2), "alice itself does not have"),
        (
            lambda r: r.issue("alice", "", ["certificate:dns:a"], None, 2),
            "roles and rights, not certificate:dns:a",
        ),
        (lambda r: r.issue("alice", "", None, 2, 2), "later time"),
        (lambda r: r.issue("alice", "x" * 65, None, None, 2), "up to 64"),
        (lambda r: r.issue("alice", "a\nb", None, None, 2), "printable"),
        (lambda r: r.withdraw("alice", "00000000"), "account show alice"),
    ],
)
def test_a_refused_change_says_why_and_changes_nothing(alice, change, sentence):
    former = alice.load()
    with pytest.raises(AccountError) as refused:
        change(alice)
    assert sentence in str(refused.value)
    assert alice.load() == former


def test_a_certificate_names_one_account_only(alice):
    alice.add("bob", ["certificate:dns:bob.example"], "", 1)
    with pytest.raises(AccountError, match=r"belongs to bob.*account revoke bob"):
        alice.grant("alice", ["follow", "certificate:dns:BOB.example"])
    assert account(alice).grants == ("follower",)
    alice.revoke("bob", ["certificate:dns:bob.example"])
    alice.grant("alice", ["certificate:dns:bob.example"])
    alice.grant("alice", ["certificate:dns:bob.example"])
    assert alice.directory().certificates == {"dns:bob.example": "alice"}


# Tokens


def test_a_token_is_stored_as_a_digest_only(alice, path):
    id, secret = alice.issue("alice", "terminal 7", None, 99, 2)
    assert is_token(secret)
    (token,) = alice.directory().tokens.values()
    assert (token.id, token.label, token.digest) == (id, "terminal 7", digest(secret))
    assert (token.grants, token.created, token.expires) == (None, 2, 99)
    alice.close()
    assert secret.encode() not in b"".join(each.read_bytes() for each in path.parent.iterdir())


def test_a_token_has_at_most_the_rights_of_its_account(alice):
    alice.issue("alice", "", ["follow:signals/gold", "follower"], None, 2)
    alice.issue("alice", "", [], None, 3)
    first, second = alice.directory().tokens.values()
    assert first.rights(account(alice)) == rights("follower") | rights("follow:signals/gold")
    assert second.rights(account(alice)) == NOTHING


def test_a_token_is_withdrawn_by_its_own_account_only(alice):
    alice.add("bob", [], "", 1)
    id, _ = alice.issue("alice", "", None, None, 2)
    with pytest.raises(AccountError, match="bob has no token"):
        alice.withdraw("bob", id)
    alice.withdraw("alice", id)
    assert alice.directory().tokens == {}


def test_no_two_tokens_have_one_id(alice, monkeypatch):
    ids = iter(["00000001", "00000001", "00000002"])
    monkeypatch.setattr(module.secrets, "token_hex", lambda size: next(ids))
    assert [alice.issue("alice", "", None, None, 2)[0] for _ in range(2)] == [
        "00000001",
        "00000002",
    ]


# What was done


def test_logins_and_uses_are_stored_the_last_of_each(alice):
    id, _ = alice.issue("alice", "", None, None, 2)
    alice.note([Login("alice", "home", 5), Login("alice", "cafe", 4)], {id: 7})
    alice.note([Login("alice", "home", 3)], {id: 6})
    assert alice.logins() == [Login("alice", "home", 3), Login("alice", "cafe", 4)]
    assert alice.uses() == {id: 6}  # the clock was set back meanwhile


def test_logins_of_a_removed_account_are_not_stored(alice):
    alice.note([Login("bob", "home", 5)], {"00000000": 7})
    assert (alice.logins(), alice.uses()) == ([], {})


def test_the_oldest_logins_are_forgotten_on_disk_too(alice, monkeypatch):
    monkeypatch.setattr(module, "_FORGET", module._FORGET.replace(str(module.MOST), "2"))
    alice.note([Login("alice", network, when) for when, network in enumerate("abc")], {})
    assert [login.network for login in alice.logins()] == ["b", "c"]


def test_nothing_of_a_removed_account_is_kept(alice, path):
    alice.grant("alice", ["certificate:dns:alice.example"])
    id, _ = alice.issue("alice", "", None, None, 2)
    alice.note([Login("alice", "home", 5)], {id: 7})
    alice.remove("alice")
    with sqlite3.connect(path) as db:
        for table in ("account", "granted", "token", "login"):
            assert db.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
    db.close()
    alice.add("alice", ["certificate:dns:alice.example"], "", 9)


OLD_TABLES = """
CREATE TABLE account (
    name TEXT PRIMARY KEY, disabled INTEGER NOT NULL, created INTEGER NOT NULL,
    changed INTEGER NOT NULL, password TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE granted (
    account TEXT NOT NULL, what TEXT NOT NULL, PRIMARY KEY (account, what)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX certified ON granted (what) WHERE what GLOB 'certificate:*';
CREATE TABLE token (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, label TEXT NOT NULL, digest BLOB NOT NULL UNIQUE,
    grants TEXT, created INTEGER NOT NULL, expires INTEGER, last INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE login (
    account TEXT NOT NULL, network TEXT NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (account, network)
) STRICT, WITHOUT ROWID;
CREATE INDEX by_age ON login (last);
INSERT INTO account VALUES ('alice', 0, 1, 1, '');
PRAGMA user_version = 1;
"""


def test_an_older_file_opens_and_remembers_withdrawn_tokens(path):
    db = sqlite3.connect(path)
    db.executescript(OLD_TABLES)
    db.close()
    records = AccountStore(path, PERMISSIONS)
    id, secret = records.issue("alice", "", None, None, 2)
    records.withdraw("alice", id)
    assert records.directory().withdrawn == {digest(secret): "alice"}
    records.close()
    assert AccountStore(path, PERMISSIONS).directory().withdrawn == {digest(secret): "alice"}


def test_the_tokens_of_a_removed_account_are_remembered_as_withdrawn(alice):
    secrets = [alice.issue("alice", "", None, None, 2)[1] for _ in range(3)]
    for token in sorted(alice.directory().tokens.values(), key=lambda token: token.id)[:1]:
        alice.withdraw("alice", token.id)
    alice.remove("alice")
    assert alice.directory().withdrawn == {digest(secret): "alice" for secret in secrets}


def test_no_more_withdrawn_tokens_are_kept_than_fit(alice, monkeypatch):
    monkeypatch.setattr(module, "WITHDRAWN", 2)
    secrets = []
    for _ in range(3):
        id, secret = alice.issue("alice", "", None, None, 2)
        alice.withdraw("alice", id)
        secrets.append(secret)
    assert list(alice.directory().withdrawn) == [digest(secret) for secret in secrets[1:]]


# Disks


def test_a_damaged_file_is_refused_with_its_name(path):
    path.write_bytes(b"nonsense" * 100)
    with pytest.raises(JournalError, match=r"accounts\.sqlite"):
        AccountStore(path, PERMISSIONS).load()


def test_a_grant_that_no_service_knows_gives_no_right(alice, path):
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO granted VALUES ('alice', 'fly:moon')")
    db.close()
    assert account(alice).rights == rights_of(["follower"])
    assert alice.grants.unknown == {("alice", "fly:moon")}


def test_a_grant_of_a_service_that_is_gone_can_be_revoked(path):
    jobs = Permissions({"jobs": ("run",)}, {"operator": ("run:jobs/a*",)})
    before = AccountStore(path, jobs)
    before.add("alice", ["run:jobs", "operator"], PHC, 1)
    assert account(before).rights >= jobs.rights(["operator"])
    before.close()
    after = AccountStore(path, PERMISSIONS)
    assert account(after).rights == NOTHING
    after.revoke("alice", ["run:jobs", "operator"])
    assert account(after).grants == ()
    with pytest.raises(AccountError, match="Invalid right 'run:jobs'"):
        after.grant("alice", ["run:jobs"])


def test_a_token_of_a_service_that_is_gone_has_no_right_though_its_account_has_all(path):
    before = AccountStore(path, Permissions({"jobs": ("run",)}, {}))
    before.add("alice", ["admin"], PHC, 1)
    before.issue("alice", "", ["run"], None, 2)
    before.close()
    (token,) = AccountStore(path, PERMISSIONS).directory().tokens.values()
    assert token.limit == NOTHING


# Against a model

GRANTS = [
    *PERMISSIONS.roles,
    "send:ticks/EUR*",
    "certificate:dns:a.example",
    "certificate:email:a@b.example",
]
names = st.sampled_from(["alice", "bob", "carol"])
grants = st.lists(st.sampled_from(GRANTS), max_size=3)


class Changes(RuleBasedStateMachine):
    """Any changes in any order: what is on disk is what a dictionary would hold."""

    def __init__(self):
        super().__init__()
        self.folder = TemporaryDirectory()
        self.records = AccountStore(Path(self.folder.name) / "accounts.sqlite", PERMISSIONS)
        self.model, self.tokens, self.now = {}, {}, 0
        self.accounts = Accounts()

    def does(self, allowed, change, *values):
        """Do a change, which is refused if the model says so; say whether it was done."""
        self.now += 1
        if allowed:
            return change(*values) or True
        with pytest.raises(AccountError):
            change(*values)
        return None

    def free(self, name, wanted):
        taken = {g for other, held in self.model.items() if other != name for g in held["grants"]}
        return not any(g in taken for g in wanted if g.startswith("certificate:"))

    @rule(name=names, grants=grants)
    def add(self, name, grants):
        allowed = name not in self.model and self.free(name, grants)
        if self.does(allowed, self.records.add, name, grants, PHC, self.now):
            self.model[name] = {"grants": set(grants), "disabled": False}

    @rule(name=names, grants=grants)
    def grant(self, name, grants):
        allowed = name in self.model and self.free(name, grants)
        if self.does(allowed, self.records.grant, name, grants):
            self.model[name]["grants"] |= set(grants)

    @rule(name=names, grants=grants)
    def revoke(self, name, grants):
        allowed = name in self.model and self.model[name]["grants"] >= set(grants)
        if self.does(allowed, self.records.revoke, name, grants):
            self.model[name]["grants"] -= set(grants)

    @rule(name=names, disabled=st.booleans())
    def switch(self, name, disabled):
        change = self.records.disable if disabled else self.records.enable
        if self.does(name in self.model, change, name):
            self.model[name]["disabled"] = disabled

    @rule(name=names)
    def remove(self, name):
        if self.does(name in self.model, self.records.remove, name):
            del self.model[name]
            self.tokens = {s: owner for s, owner in self.tokens.items() if owner != name}

    @rule(name=names)
    def issue(self, name):
        made = self.does(name in self.model, self.records.issue, name, "", None, None, self.now)
        if made:
            self.tokens[made[1]] = name

    @invariant()
    def what_is_stored_is_what_counts(self):
        self.accounts.replace(self.records.directory())
        found = self.accounts.directory.accounts
        assert {name: set(each.grants) for name, each in found.items()} == {
            name: held["grants"] for name, held in self.model.items()
        }
        for secret, owner in self.tokens.items():
            counts = self.accounts.token(secret, self.now)
            assert (counts is not None) == (not self.model[owner]["disabled"])
        assert len(self.accounts.directory.tokens) == len(self.tokens)

    def teardown(self):
        self.records.close()
        self.folder.cleanup()


Changes.TestCase.settings = settings(max_examples=30, stateful_step_count=20, deadline=None)
TestChanges = Changes.TestCase
