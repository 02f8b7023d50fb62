"""
Accounts, their tokens and certificates, and the watchers of their sessions.

Every time is in milliseconds since the Unix epoch.
"""

import re
import secrets
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Protocol

from mtnet.access.accounts.identity import Identity
from mtnet.access.accounts.login_history import KNOWN, Login, LoginHistory
from mtnet.access.rights import Permissions, Rights
from mtnet.callbacks import noop
from mtnet.errors import AccountError, ConfigError

PREFIX = "mtnet_"
"""Tokens begin with it, so that people and secret scanners recognize them."""
WITHDRAWN = 10_000
"""Withdrawn tokens that are remembered: a program that still sends one is not guessing."""
LABEL = 64
"""Characters of a token's longest label."""
CERTIFICATE = "certificate:"
"""Grants that name a client certificate begin with it."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_SECRET = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)
_SUBJECT = re.compile(r"(dns|email|uri):([!-~]{1,255})", re.ASCII)


class Watcher(Protocol, Hashable):
    """Observer: a session that has logged in to an account."""

    def evict(self) -> None:
        """End the session: its credentials or some of its rights are no longer valid."""

    def gain(self, former: Rights, rights: Rights) -> None:
        """Take additional rights of the account."""


@dataclass(frozen=True)
class Account:
    """
    One account.

    Attributes:
        grants: roles, rights, and `certificate:KIND:VALUE`.
        rights: the rights among its grants.
        disabled: whether every login is refused.
        changed: when its password was last set or removed.
        password: an argon2 PHC string; empty = it cannot log in by password.
    """

    name: str
    grants: tuple[str, ...]
    rights: Rights
    disabled: bool
    created: int
    changed: int
    password: str = field(default="", repr=False)

    @cached_property
    def identity(self) -> Identity:
        """The identity with all of its rights; one object for all who log in."""
        return Identity(self.name, self.rights)

    @property
    def certificates(self) -> list[str]:
        """Its subject alternative names, such as `dns:alice.example`."""
        return [g.removeprefix(CERTIFICATE) for g in self.grants if g.startswith(CERTIFICATE)]

    def keeps_sessions_of(self, former: "Account") -> bool:
        """Return whether sessions of the account as it was may stay."""
        same = (self.created, self.changed) == (former.created, former.changed)
        kept = self.grants == former.grants or self.rights >= former.rights
        return same and kept and not self.disabled


@dataclass(frozen=True)
class Token:
    """
    A secret for a program, in place of the account's password.

    Attributes:
        id: eight hexadecimal digits, for people.
        digest: SHA-256 of the secret, which is not stored.
        grants: roles and rights; None = those of the account. It never has more than these.
        limit: the rights of its grants, or None.
        expires: when it stops being valid, or None.
    """

    id: str
    account: str
    label: str
    digest: bytes = field(repr=False)
    grants: tuple[str, ...] | None
    limit: Rights | None
    created: int
    expires: int | None

    def rights(self, account: Account) -> Rights:
        """Return the rights of a session: those that the token and the account both have."""
        return account.rights if self.limit is None else account.rights & self.limit

    def is_valid(self, when: int) -> bool:
        """Return whether it has not expired."""
        return self.expires is None or when < self.expires


@dataclass(frozen=True)
class Directory:
    """
    All accounts, or one of them, with indexes.

    Attributes:
        accounts: by name.
        tokens: by digest.
        certificates: names of accounts by subject alternative name.
        withdrawn: names of accounts by the digests of the last withdrawn tokens, oldest first.
        digests: of the tokens of each account.
    """

    accounts: dict[str, Account] = field(default_factory=dict)
    tokens: dict[bytes, Token] = field(default_factory=dict, repr=False)
    certificates: dict[str, str] = field(default_factory=dict)
    withdrawn: dict[bytes, str] = field(default_factory=dict, repr=False)
    digests: dict[str, list[bytes]] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(
        accounts: Iterable[Account],
        tokens: Iterable[Token],
        withdrawn: Iterable[tuple[bytes, str]] = (),
    ) -> "Directory":
        """Build the indexes."""
        found = Directory(withdrawn=dict(withdrawn))
        for account in accounts:
            found.accounts[account.name] = account
            found.certificates.update(dict.fromkeys(account.certificates, account.name))
        for token in tokens:
            found.tokens[token.digest] = token
            found.digests.setdefault(token.account, []).append(token.digest)
        return found

    @property
    def newest(self) -> int:
        """When an account, a token or a password was last made; 0 = never."""
        times = [account.changed for account in self.accounts.values()]
        return max([*times, *(token.created for token in self.tokens.values())], default=0)

    def only(self, name: str) -> "Directory":
        """Return one account alone, if it is there."""
        account = self.accounts.get(name)
        tokens = (self.tokens[digest] for digest in self.digests.get(name, ()))
        return Directory.of([] if account is None else [account], tokens)

    def put(self, name: str, only: "Directory") -> None:
        """Replace one account, at a cost that does not depend on how many there are."""
        former = self.only(name)
        for digest in former.tokens:
            del self.tokens[digest]
        for subject in former.certificates:
            del self.certificates[subject]
        self.accounts.pop(name, None)
        self.digests.pop(name, None)
        self.accounts.update(only.accounts)
        self.tokens.update(only.tokens)
        self.certificates.update(only.certificates)
        self.withdrawn.update(only.withdrawn)
        self.digests.update(only.digests)
        while len(self.withdrawn) > WITHDRAWN:
            del self.withdrawn[next(iter(self.withdrawn))]

    def revoked_since(self, former: "Directory") -> set[str]:
        """Return the names of accounts that have lost credentials or rights since `former`."""
        gone = {t.account for digest, t in former.tokens.items() if digest not in self.tokens}
        return gone | {
            name
            for name, account in former.accounts.items()
            if name not in self.accounts or not self.accounts[name].keeps_sessions_of(account)
        }


class Accounts:
    """
    The accounts in the running daemon; observable.

    Args:
        known: milliseconds for which a login makes a network known.
        logins: stored logins, oldest first.

    Attributes:
        on_new_network: called with the name and the network of a login from a network that the
            account had not used.
    """

    def __init__(
        self, directory: Directory | None = None, known: int = KNOWN, logins: Iterable[Login] = ()
    ) -> None:
        self.directory = directory or Directory()
        self._logins = LoginHistory(known)
        self._logins.recall(logins)
        self.on_new_network: Callable[[str, str], object] = noop
        self._used: dict[str, int] = {}
        self._expired: set[bytes] = set()
        self._watchers: dict[str, dict[Watcher, None]] = {}

    def load(self, directory: Directory, logins: Iterable[Login]) -> None:
        """Take the stored accounts, and their logins, oldest first."""
        self.directory = directory
        self._logins.recall(logins)

    @property
    def empty(self) -> bool:
        """Whether nobody can log in."""
        return all(account.disabled for account in self.directory.accounts.values())

    # Lookups

    def get(self, name: str) -> Account | None:
        """Return an account; it may be disabled."""
        return self.directory.accounts.get(name)

    def token(self, secret: str, when: int) -> tuple[Account, Rights] | None:
        """Return the account and the rights of a token; None = it is not valid."""
        found = self.directory.tokens.get(digest(secret))
        account = self._enabled(found.account) if found and found.is_valid(when) else None
        if found is None or account is None:
            return None
        self._used[found.id] = when
        return account, found.rights(account)

    def outdated(self, secret: str, when: int) -> tuple[str, str] | None:
        """
        Return the account of a token that is not valid, and why; None = it never was a token.

        Such a token is no guess: nobody finds one that was valid once.
        """
        digested = digest(secret)
        found = self.directory.tokens.get(digested)
        if found is None:
            owner = self.directory.withdrawn.get(digested)
            return None if owner is None else (owner, "withdrawn")
        if not found.is_valid(when):
            return found.account, "expired"
        return found.account, "account" if self._enabled(found.account) else "disabled"

    def certified(self, names: Iterable[str]) -> Account | None:
        """Return the account of a client certificate with names such as `dns:alice.example`."""
        found = (self.directory.certificates.get(fold(name), "") for name in names)
        return next(filter(None, map(self._enabled, found)), None)

    def _enabled(self, name: str) -> Account | None:
        account = self.get(name)
        return None if account is None or account.disabled else account

    # Changes

    def change(self, name: str, only: Directory) -> None:
        """Take one account as it is now; notify its watchers."""
        former = self.directory.only(name)
        self.directory.put(name, only)
        if not only.accounts:
            self._logins.forget(name)
        if only.revoked_since(former):
            self._evict([name])
        else:
            self._notify_gain(name, former.accounts.get(name), only.accounts.get(name))

    def replace(self, directory: Directory) -> None:
        """Take all accounts anew; notify the watchers of those that have changed."""
        former, self.directory = self.directory, directory
        self._logins.keep(directory.accounts)
        gone = directory.revoked_since(former)
        self._evict(gone)
        for name in self._watchers.keys() - gone:
            self._notify_gain(name, former.accounts.get(name), directory.accounts.get(name))

    def _notify_gain(self, name: str, before: Account | None, after: Account | None) -> None:
        if before is None or after is None or before.rights == after.rights:
            return
        for watcher in list(self._watchers.get(name, ())):
            watcher.gain(before.rights, after.rights)

    def expire(self, when: int) -> None:
        """
        Evict the watchers of accounts of which a token has expired since the last call.

        The token stays, and is valid again if the clock was wrong.
        """
        tokens = self.directory.tokens
        expired = {digest for digest, token in tokens.items() if not token.is_valid(when)}
        fresh, self._expired = expired - self._expired, expired
        self._evict({tokens[digest].account for digest in fresh})

    def _evict(self, names: Iterable[str]) -> None:
        for name in names:
            watchers = self._watchers.get(name, {})
            for watcher in list(watchers):
                if watcher in watchers:  # evicting one may have removed another
                    watcher.evict()

    def watch(self, name: str, watcher: Watcher) -> None:
        """
        Evict `watcher` when the account loses a right, a token or its password, or is disabled
        or removed. Look the account up again before: it may already be gone.
        """
        self._watchers.setdefault(name, {})[watcher] = None

    def unwatch(self, name: str, watcher: Watcher) -> None:
        """Stop notifying a watcher, if it is one."""
        watchers = self._watchers.get(name, {})
        watchers.pop(watcher, None)
        if not watchers:
            self._watchers.pop(name, None)

    # Logins

    def logged_in(self, name: str, network: str, when: int) -> None:
        """Record a login."""
        known = self.is_known_network(network, when, name)
        self._logins.note(Login(name, network, when))
        if not known:
            self.on_new_network(name, network)

    def is_known_network(self, network: str, when: int, name: str = "") -> bool:
        """Return whether the account, or any if no name is given, has logged in from there."""
        return self._logins.is_known_network(network, when, name)

    def used(self) -> tuple[list[Login], dict[str, int]]:
        """Return, once, the logins to store, and the last use of tokens by their id."""
        used, self._used = self._used, {}
        return self._logins.fresh(), used

    def put_back(self, logins: Iterable[Login], uses: Mapping[str, int]) -> None:
        """Take back what could not be stored, for the next time."""
        self._logins.put_back(logins)
        self._used = {**uses, **self._used}


# Secrets, names and grants


def new_secret() -> str:
    """Return the text of a new token: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def is_token(text: str) -> bool:
    """Return whether a text has the form of a token; a password never has."""
    return _SECRET.fullmatch(text) is not None


def digest(secret: str) -> bytes:
    """Return the stored form of a token. Nobody guesses 256 bits, so a fast hash will do."""
    return sha256(secret.encode("utf-8", "replace")).digest()


def check_name(name: str) -> str:
    """
    Return the name of an account.

    Raises:
        AccountError: it is invalid.
    """
    if not _NAME.fullmatch(name):
        raise AccountError(
            f"Invalid account name {name[:64]!r}: expected 1 to 64 of A-Z a-z 0-9 . _ @ -, "
            "beginning with a letter or digit. Example: alice@fx.example"
        )
    return name


def check_label(label: str) -> str:
    """
    Return the label of a token.

    Raises:
        AccountError: it is invalid.
    """
    if len(label) > LABEL or not label.isprintable():
        raise AccountError(
            f"Invalid label {label[:LABEL]!r}: expected up to {LABEL} printable characters. "
            "Example: terminal 7"
        )
    return label


def parse_grant(text: str, permissions: Permissions) -> str:
    """
    Return a grant as it is stored: a role, a right, or a certificate.

    Raises:
        AccountError: it is invalid.
    """
    if not text.startswith(CERTIFICATE):
        return _check_right(text, permissions)
    subject = text.removeprefix(CERTIFICATE)
    if not _SUBJECT.fullmatch(subject):
        raise AccountError(
            f"Invalid certificate {text!r}: expected {CERTIFICATE}KIND:VALUE, where KIND is dns, "
            "email or uri, and VALUE up to 255 characters without a space. Example: "
            f"{CERTIFICATE}dns:alice.example"
        )
    return CERTIFICATE + fold(subject)


def fold(subject: str) -> str:
    """Return a subject alternative name for comparison: the case of host names is ignored."""
    kind, _, value = subject.partition(":")
    if kind == "dns":
        return subject.lower()
    user, at, host = value.rpartition("@")
    return f"{kind}:{user}{at}{host.lower()}" if kind == "email" else subject


def _check_right(text: str, permissions: Permissions) -> str:
    try:
        return permissions.check(text)
    except ConfigError as error:
        raise AccountError(
            f"{error} A grant can also be a role ({', '.join(permissions.roles)}) or "
            f"{CERTIFICATE}dns:NAME."
        ) from error
