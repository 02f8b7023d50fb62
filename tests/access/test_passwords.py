"""Passwords, their hashes, and the cache of verified ones."""

import pytest
from argon2 import PasswordHasher

from mtnet.access.accounts.passwords import (
    DUMMY_HASH,
    LONGEST,
    SHORTEST,
    PasswordCache,
    check_password,
    hash_password,
    hasher,
    matches,
    needs_rehash,
)
from mtnet.errors import AccountError


@pytest.mark.parametrize("password", ["correct horse", "12345678", "пароль с пробелом", "🐴" * 32])
def test_a_password_is_any_plain_text_of_a_length(password):
    check_password(password)


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("1234567", f"has 7 characters; it must have {SHORTEST}"),
        ("", "has 0 characters"),
        ("with\ttab and more", "control character"),
        ("with\nline feed", "control character"),
        ("half a \ud83d surrogate", "control character"),
        ("x" * (LONGEST + 1), f"longer than {LONGEST} bytes"),
        ("я" * (LONGEST // 2 + 1), f"longer than {LONGEST} bytes"),
        ("mtnet_password", "begins with mtnet_"),
    ],
)
def test_a_refused_password_is_not_quoted(password, why):
    with pytest.raises(AccountError, match=why) as raised:
        check_password(password)
    assert not password or password not in str(raised.value)


def test_a_hash_fits_its_password_alone():
    hashed = hash_password("correct horse")
    assert matches(hashed, "correct horse")
    assert not matches(hashed, "correct horsf")
    assert not matches(hashed, "")
    assert hash_password("correct horse") != hashed, "each has a salt of its own"


@pytest.mark.parametrize("hashed", ["", "$argon2id$", "$2b$12$abc", "nonsense"])
def test_a_damaged_hash_fits_no_password(hashed):
    assert not matches(hashed, "correct horse")


def test_bytes_that_are_not_text_are_compared_as_they_are():
    hashed = hasher().hash(b"\xff\xfe caf\xe9 and more")
    assert matches(hashed, b"\xff\xfe caf\xe9 and more".decode("utf-8", "surrogateescape"))
    assert not matches(hashed, "\ufffd\ufffd caf\ufffd and more")


def test_an_overlong_password_is_not_hashed_itself(monkeypatch):
    tried = []

    class Verifier:
        def verify(self, hashed, password):
            tried.append((hashed, password))
            return True

    monkeypatch.setattr("mtnet.access.accounts.passwords.hasher", Verifier)
    matches("$argon2id$x", "x" * LONGEST)
    matches("$argon2id$x", "x" * (LONGEST + 1))
    assert tried == [("$argon2id$x", b"x" * LONGEST), (DUMMY_HASH, b"")]


def test_only_weaker_hashes_are_replaced():
    weak = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
    assert needs_rehash(weak.hash("correct horse"))
    assert not needs_rehash(hash_password("correct horse"))
    assert not needs_rehash(DUMMY_HASH)


# The cache


def test_the_cache_knows_a_password_with_its_login_and_hash_alone():
    cache = PasswordCache(10.0)
    cache.add("alice", "secret", "hash", 0.0)
    assert cache.holds("alice", "secret", "hash", 9.9)
    assert not cache.holds("alice", "secret2", "hash", 9.9)
    assert not cache.holds("bob", "secret", "hash", 9.9)
    assert not cache.holds("alice", "secret", "another hash", 9.9)
    assert not cache.holds("alice\0secret", "", "hash", 9.9)


def test_an_entry_of_the_cache_expires_and_can_be_renewed():
    cache = PasswordCache(10.0)
    cache.add("alice", "secret", "hash", 0.0)
    assert not cache.holds("alice", "secret", "hash", 10.0)
    cache.add("alice", "secret", "hash", 20.0)
    assert cache.holds("alice", "secret", "hash", 29.0)


def test_the_cache_is_bounded_and_drops_the_oldest_first():
    cache = PasswordCache(10.0, capacity=2)
    for name in ("alice", "bob", "carol"):
        cache.add(name, "secret", "hash", 0.0)
    held = [name for name in ("alice", "bob", "carol") if cache.holds(name, "secret", "hash", 1.0)]
    assert held == ["bob", "carol"]


def test_the_cache_holds_no_password():
    cache = PasswordCache(10.0)
    cache.add("alice", "correct horse", "hash", 0.0)
    assert b"correct horse" not in b"".join(cache._until)
    other = PasswordCache(10.0)
    other.add("alice", "correct horse", "hash", 0.0)
    assert cache._until.keys() != other._until.keys(), "each process has a key of its own"
