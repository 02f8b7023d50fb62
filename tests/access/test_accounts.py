"""Accounts, tokens, certificates, and the eviction of their sessions."""

from dataclasses import replace

import pytest
from fakes.daemon import Watcher
from fakes.rights import PERMISSIONS, rights, rights_of

from mtnet.access.accounts.login_history import Login, LoginHistory
from mtnet.access.accounts.model import (
    Account,
    Accounts,
    Directory,
    Token,
    check_name,
    digest,
    fold,
    is_token,
    new_secret,
    parse_grant,
)
from mtnet.access.accounts.passwords import check_password, hash_password, hasher
from mtnet.access.rights import NOTHING
from mtnet.durations import DAY_MS
from mtnet.errors import AccountError

HOME, CAFE = "192.0.2.1", "192.0.2.2"
SECRET = new_secret()


def account(name="alice", *grants, disabled=False, created=1, changed=1, password="$argon2id$x"):
    grants = grants or ("follower",)
    return Account(name, grants, rights_of(grants), disabled, created, changed, password)


def token(secret=SECRET, account="alice", grants=None, expires=None):
    limit = None if grants is None else rights(*grants)
    known = digest(secret)
    return Token(known[:4].hex(), account, "terminal", known, grants, limit, 1, expires)


def directory(*accounts, tokens=()):
    return Directory.of(accounts or [account()], tokens)


# What they are


@pytest.mark.parametrize("name", ["a", "7", "Alice.Smith_2@example-x", "a" * 64])
def test_a_name_has_up_to_64_characters_that_every_protocol_can_send(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", ".a", "@", "a b", "ä", "a" * 65, "a\n", "a/b", "a:b"])
def test_an_invalid_name_is_refused_with_an_example(name):
    with pytest.raises(AccountError, match="1 to 64"):
        check_name(name)


@pytest.mark.parametrize(
    "text", ["provider", "admin", "follow", "follow:signals/gold", "certificate:uri:urn:x:1"]
)
def test_a_grant_is_a_role_a_right_or_a_certificate(text):
    assert parse_grant(text, PERMISSIONS) == text


@pytest.mark.parametrize(
    "text", ["", "boss", "follow:ticks", "certificate:", "certificate:ip:192.0.2.1",
             "certificate:dns:", "certificate:dns:a b", "certificate:dns:" + "a" * 256]
)  # fmt: skip
def test_an_invalid_grant_is_refused_with_an_example(text):
    with pytest.raises(AccountError, match=r"Example|expected follow:signals"):
        parse_grant(text, PERMISSIONS)


def test_the_case_of_host_names_in_certificates_is_ignored():
    assert (
        parse_grant("certificate:dns:Alice.Example", PERMISSIONS) == "certificate:dns:alice.example"
    )
    assert fold("email:Alice@Example.com") == "email:Alice@example.com"
    assert fold("uri:urn:Alice@Example") == "uri:urn:Alice@Example"


def test_an_account_has_the_rights_of_its_roles_and_none_of_its_certificates():
    one = account("alice", "follower", "send:ticks/EUR*", "certificate:dns:alice.example")
    assert one.rights == rights("follower", "send:ticks/EUR*")
    assert one.certificates == ["dns:alice.example"]


def test_no_repr_shows_a_password_or_a_secret():
    evicted = repr([account(), token(), directory(tokens=[token()])])
    assert "argon2" not in evicted
    assert SECRET not in evicted
    assert repr(digest(SECRET)) not in evicted


def test_a_new_secret_is_a_token_of_256_random_bits():
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(is_token(each) and len(each) == 49 for each in made)


@pytest.mark.parametrize("text", ["", "mtnet_", "mtnet_" + "a" * 42, "mtnet_" + "a" * 44,
                                  "mtnet_" + "a" * 43 + "\n",
                                  pytest.param("x" + SECRET, id="xSECRET")])  # fmt: skip
def test_another_text_is_not_a_token(text):
    assert not is_token(text)


# Tokens


def test_a_token_stands_for_its_account():
    accounts = Accounts(directory(tokens=[token()]))
    assert accounts.token(SECRET, 5) == (account(), account().rights)


@pytest.mark.parametrize("secret", ["", pytest.param(new_secret(), id="another"), "\udcff",
                                    pytest.param(digest(SECRET).hex(), id="hash")])  # fmt: skip
def test_an_unknown_token_is_not_valid(secret):
    assert Accounts(directory(tokens=[token()])).token(secret, 5) is None


def test_a_token_is_valid_until_it_expires():
    accounts = Accounts(directory(tokens=[token(expires=10)]))
    assert accounts.token(SECRET, 9)
    assert accounts.token(SECRET, 10) is None


def test_a_token_of_a_disabled_or_missing_account_is_not_valid():
    assert Accounts(directory(account(disabled=True), tokens=[token()])).token(SECRET, 5) is None
    assert Accounts(directory(account("bob"), tokens=[token()])).token(SECRET, 5) is None


def test_a_token_has_the_rights_that_its_account_has_too():
    found = Accounts(directory(tokens=[token(grants=("follow:signals/gold", "publish"))]))
    assert found.token(SECRET, 5)[1] == rights("follow:signals/gold")
    assert Accounts(directory(tokens=[token(grants=())])).token(SECRET, 5)[1] == NOTHING


# Certificates


def test_a_certificate_logs_in_the_first_enabled_account_that_it_names():
    bob = account("bob", "certificate:dns:bob.example", disabled=True)
    accounts = Accounts(directory(account("alice", "certificate:dns:alice.example"), bob))
    assert accounts.certified(["dns:bob.example", "dns:ALICE.example"]).name == "alice"
    assert accounts.certified(["dns:bob.example"]) is None
    assert accounts.certified(["email:alice.example", "nonsense", ""]) is None
    assert accounts.certified([]) is None


def test_there_are_no_accounts_until_one_can_log_in():
    accounts = Accounts()
    assert accounts.empty
    accounts.replace(directory(account(disabled=True)))
    assert accounts.empty
    accounts.replace(directory())
    assert not accounts.empty


# Watchers


@pytest.fixture
def evicted():
    return []


@pytest.fixture
def accounts(evicted):
    accounts = Accounts(directory(account(), account("bob"), tokens=[token()]))
    accounts.watch("alice", Watcher(lambda: evicted.append("alice")))
    accounts.watch("bob", Watcher(lambda: evicted.append("bob")))
    return accounts


@pytest.mark.parametrize(
    "changed",
    [
        {"changed": 2},
        {"created": 2},
        {"disabled": True},
        {"grants": ("fetch",), "rights": rights("fetch")},
        {
            "grants": ("follow:signals/gold", "fetch"),
            "rights": rights("follow:signals/gold", "fetch"),
        },
    ],
)
def test_sessions_of_an_account_that_loses_something_are_evicted(accounts, evicted, changed):
    accounts.replace(directory(replace(account(), **changed), account("bob"), tokens=[token()]))
    assert evicted == ["alice"]


def test_sessions_of_a_removed_account_or_token_are_evicted(accounts, evicted):
    accounts.replace(directory(account(), account("bob")))
    assert evicted == ["alice"]
    accounts.replace(directory())
    assert evicted == ["alice", "bob"]


@pytest.mark.parametrize("grants", [("follower",), ("provider",), ("follow", "fetch", "read")])
def test_sessions_of_an_account_that_keeps_or_gains_rights_stay(accounts, evicted, grants):
    more = token(new_secret())
    one = replace(account(), grants=grants, password="$argon2id$the-same-in-another-form")
    accounts.replace(directory(one, account("bob"), tokens=[token(), more]))
    assert evicted == []


def test_an_expired_token_evicts_the_sessions_of_its_account_once(accounts, evicted):
    accounts.replace(directory(account(), account("bob"), tokens=[token(expires=10)]))
    accounts.expire(9)
    assert evicted == []
    for when in (10, 11):
        accounts.expire(when)
    assert evicted == ["alice"]


def test_a_token_that_expired_by_a_wrong_clock_is_valid_again_when_it_is_right():
    accounts = Accounts(directory(account(), tokens=[token(SECRET, expires=10)]))
    accounts.expire(99)
    assert accounts.token(SECRET, 99) is None
    assert accounts.token(SECRET, 9) is not None


@pytest.mark.parametrize(
    ("account_of_it", "options", "why"),
    [
        ({}, {"expires": 5}, "expired"),
        ({"disabled": True}, {}, "disabled"),
        ({}, {}, "account"),
    ],
)
def test_a_token_that_is_no_longer_valid_is_recognized(account_of_it, options, why):
    accounts = Accounts(directory(account(**account_of_it), tokens=[token(SECRET, **options)]))
    assert accounts.outdated(SECRET, 5) == ("alice", why)


def test_a_withdrawn_token_is_recognized_and_an_invented_one_is_not():
    withdrawn = [(digest(SECRET), "alice")]
    accounts = Accounts(Directory.of([account()], [], withdrawn))
    assert accounts.outdated(SECRET, 5) == ("alice", "withdrawn")
    assert accounts.outdated(new_secret(), 5) is None


def test_a_watcher_can_be_removed_twice_and_is_not_evicted_then(evicted):
    accounts = Accounts(directory())
    watchers = [Watcher(lambda: evicted.append("one")) for _ in range(2)]
    for each in watchers:
        accounts.watch("alice", each)
    accounts.unwatch("alice", watchers[0])
    accounts.unwatch("alice", watchers[0])
    accounts.replace(Directory())
    assert evicted == ["one"]


def test_watchers_can_be_added_and_removed_during_an_eviction(evicted):
    accounts = Accounts(directory())

    def lost():
        evicted.append(accounts.get("alice"))
        for each in watchers:
            accounts.unwatch("alice", each)
        accounts.watch("alice", Watcher(lambda: evicted.append("late")))

    watchers = [Watcher(lost) for _ in range(3)]
    for each in watchers:
        accounts.watch("alice", each)
    accounts.replace(Directory())
    assert evicted == [None], "the directory is the new one when the first is evicted"


# LoginHistory


def test_a_network_is_known_for_thirty_days_after_a_login():
    accounts = Accounts(directory())
    accounts.logged_in("alice", HOME, 0)
    assert accounts.is_known_network(HOME, 30 * DAY_MS - 1)
    assert accounts.is_known_network(HOME, 30 * DAY_MS - 1, "alice")
    assert not accounts.is_known_network(HOME, 30 * DAY_MS)
    assert not accounts.is_known_network(HOME, 1, "bob")
    assert not accounts.is_known_network(CAFE, 1)


def test_stored_logins_make_networks_known_and_are_not_stored_again():
    accounts = Accounts(directory(), known=10, logins=[Login("alice", HOME, 5)])
    assert accounts.is_known_network(HOME, 14, "alice")
    assert not accounts.is_known_network(HOME, 15, "alice")
    assert accounts.used() == ([], {})


def test_logins_and_uses_are_handed_out_once():
    accounts = Accounts(directory(tokens=[token()]))
    for when in (1, 2):
        accounts.token(SECRET, when)
        accounts.logged_in("alice", HOME, when)
    assert accounts.used() == ([Login("alice", HOME, 2)], {token().id: 2})
    assert accounts.used() == ([], {})


def test_logins_that_could_not_be_stored_are_handed_out_again_unless_newer_ones_exist():
    accounts = Accounts(directory(tokens=[token()]))
    for network in (HOME, CAFE):
        accounts.logged_in("alice", network, 1)
    accounts.token(SECRET, 1)
    done = accounts.used()
    accounts.logged_in("alice", HOME, 2)
    accounts.token(SECRET, 2)
    accounts.put_back(*done)
    logins, uses = accounts.used()
    assert sorted(logins) == [Login("alice", HOME, 2), Login("alice", CAFE, 1)]
    assert uses == {token().id: 2}


def test_the_logins_of_a_removed_account_are_forgotten():
    accounts = Accounts(directory(account(), account("bob")))
    accounts.logged_in("alice", HOME, 1)
    accounts.logged_in("alice", CAFE, 1)
    accounts.logged_in("bob", CAFE, 1)
    accounts.replace(directory(account("bob")))
    assert not accounts.is_known_network(HOME, 2)
    assert not accounts.is_known_network(CAFE, 2, "alice")
    assert accounts.is_known_network(CAFE, 2)
    assert accounts.used()[0] == [Login("bob", CAFE, 1)]


def test_the_login_history_is_bounded_and_so_are_its_unstored_logins():
    logins = LoginHistory(most=4)
    for when, network in enumerate("abc"):
        logins.note(Login("alice", network, when))
    assert not logins.is_known_network("a", 3, "alice")
    assert logins.is_known_network("b", 3, "alice")
    assert logins.is_known_network("c", 3)
    assert [login.network for login in logins.fresh()] == ["b", "c"]
    logins.put_back([Login("alice", "a", 0), Login("alice", "b", 1)])
    assert [login.network for login in logins.fresh()] == ["b"]


# Passwords


@pytest.mark.parametrize(
    "text", ["12345678", "ä" * 64, "correct horse battery staple", "passw📈rd"]
)
def test_a_password_has_8_characters_and_at_most_128_bytes(text):
    check_password(text)


@pytest.mark.parametrize("text", ["", "1234567", "a" * 129, "ä" * 65, "12345678\n", "1234\x00567",
                                  "\udcff" * 8, "mtnet_rest",
                                  pytest.param(SECRET, id="SECRET")])  # fmt: skip
def test_an_invalid_password_is_refused_and_not_quoted(text):
    with pytest.raises(AccountError) as refused:
        check_password(text)
    assert not text or text not in str(refused.value)


def test_a_hash_proves_its_password_and_differs_each_time():
    one, other = hash_password("correct horse"), hash_password("correct horse")
    assert one != other
    assert hasher().verify(one, "correct horse")
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
