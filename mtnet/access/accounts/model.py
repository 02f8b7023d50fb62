"""
Who is known here, by what they are recognized, and what they may do.

Every time is in milliseconds since the Unix epoch.
"""

import re
import secrets
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Protocol

from mtnet.access.accounts.login_history import KNOWN, Login, LoginHistory
from mtnet.access.rights import ROLES, Rights, check_grant
from mtnet.errors import AccountError, ConfigError

PREFIX = "mtnet_"
"""What tokens begin with, so that people, and programs that look for leaks, recognize one."""
LABEL = 64
"""Characters of a token's longest label."""
CERTIFICATE = "certificate:"
"""What the grants begin with that name a client certificate."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", re.ASCII)
_SECRET = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}", re.ASCII)
_SUBJECT = re.compile(r"(dns|email|uri):([!-~]{1,255})", re.ASCII)


class Watcher(Protocol, Hashable):
    """Who is there by an account."""

    def evict(self) -> None:
        """Learn that what the account was let in with counts no more; never fails."""

    def gain(self, former: Rights, rights: Rights) -> None:
        """Learn that the account may do more than before; never fails."""


@dataclass(frozen=True)
class Account:
    """
    Attributes:
        grants: roles, rights, and `certificate:KIND:VALUE`.
        disabled: whether it can log in by nothing at present.
        changed: when its password was last set, or taken from it.
        password: an argon2 PHC string; empty = it cannot log in by password.
    """

    name: str
    grants: tuple[str, ...]
    disabled: bool
    created: int
    changed: int
    password: str = field(default="", repr=False)

    @cached_property
    def rights(self) -> Rights:
        """What it may do."""
        return Rights(each for each in self.grants if not each.startswith(CERTIFICATE))

    @property
    def certificates(self) -> list[str]:
        """The subject alternative names that are its own, such as `dns:alice.example`."""
        return [g.removeprefix(CERTIFICATE) for g in self.grants if g.startswith(CERTIFICATE)]

    def outlives(self, former: "Account") -> bool:
        """Say whether who was let in as `former` may stay."""
        same = (self.created, self.changed) == (former.created, former.changed)
        kept = self.grants == former.grants or self.rights >= former.rights
        return same and kept and not self.disabled


@dataclass(frozen=True)
class Token:
    """
    A secret for a program, in place of the account's password.

    Attributes:
        id: eight hexadecimal digits, by which people name it.
        digest: SHA-256 of the secret, which itself is stored nowhere.
        grants: roles and rights; None = all that the account may do. It never may do more.
        expires: from when on it counts no more, or None.
    """

    id: str
    account: str
    label: str
    digest: bytes = field(repr=False)
    grants: tuple[str, ...] | None
    created: int
    expires: int | None

    @cached_property
    def limit(self) -> Rights | None:
        """What it may do at most, or None."""
        return None if self.grants is None else Rights(self.grants)

    def rights(self, account: Account) -> Rights:
        """Return what whoever shows it may do: what both it and the account allow."""
        return account.rights if self.limit is None else account.rights & self.limit

    def lives(self, when: int) -> bool:
        """Say whether it counts."""
        return self.expires is None or when < self.expires


@dataclass(frozen=True)
class Directory:
    """
    All accounts at one moment.

    Attributes:
        accounts: by name.
        tokens: by digest.
        certificates: the name of an account by subject alternative name.
        withdrawn: whose each token was that was withdrawn, by digest; the last ones.
    """

    accounts: Mapping[str, Account] = field(default_factory=dict)
    tokens: Mapping[bytes, Token] = field(default_factory=dict, repr=False)
    certificates: Mapping[str, str] = field(default_factory=dict)
    withdrawn: Mapping[bytes, str] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(
        accounts: Iterable[Account],
        tokens: Iterable[Token],
        withdrawn: Iterable[tuple[bytes, str]] = (),
    ) -> "Directory":
        """Join what is stored."""
        by_name = {account.name: account for account in accounts}
        return Directory(
            by_name,
            {token.digest: token for token in tokens},
            {each: account.name for account in by_name.values() for each in account.certificates},
            dict(withdrawn),
        )

    @property
    def newest(self) -> int:
        """When the last account or token was made, or the last password set; 0 = never."""
        times = [account.changed for account in self.accounts.values()]
        return max([*times, *(token.created for token in self.tokens.values())], default=0)

    def disowned(self, former: "Directory") -> set[str]:
        """Name the accounts of `former` of which something that let them in counts no more."""
        gone = {t.account for digest, t in former.tokens.items() if digest not in self.tokens}
        return gone | {
            name
            for name, account in former.accounts.items()
            if name not in self.accounts or not self.accounts[name].outlives(account)
        }


class Accounts:
    """
    Recognizes people, and tells who let them in when they count no more.

    Args:
        known: milliseconds for which a login makes a network known.
        logins: that are stored, oldest first.
    """

    def __init__(
        self, directory: Directory | None = None, known: int = KNOWN, logins: Iterable[Login] = ()
    ) -> None:
        self.directory = directory or Directory()
        self._logins = LoginHistory(known)
        self._logins.recall(logins)
        self._used: dict[str, int] = {}
        self._expired: set[bytes] = set()
        self._watchers: dict[str, dict[Watcher, None]] = {}

    def load(self, directory: Directory, logins: Iterable[Login]) -> None:
        """Take the stored accounts and logins, oldest first, before anybody watches."""
        self.directory = directory
        self._logins.recall(logins)

    @property
    def empty(self) -> bool:
        """Whether nobody can log in."""
        return all(account.disabled for account in self.directory.accounts.values())

    # Who it is

    def get(self, name: str) -> Account | None:
        """Return an account; it may be disabled."""
        return self.directory.accounts.get(name)

    def token(self, secret: str, when: int) -> tuple[Account, Rights] | None:
        """Return whose token it is and what it allows; None = it counts for nothing."""
        found = self.directory.tokens.get(digest(secret))
        account = self._enabled(found.account) if found and found.lives(when) else None
        if found is None or account is None:
            return None
        self._used[found.id] = when
        return account, found.rights(account)

    def outdated(self, secret: str, when: int) -> tuple[str, str] | None:
        """
        Say of what counts for nothing whether it was a token once, which nobody guesses.

        Returns:
            Whose it was, and why it counts no more; None = it never was one.
        """
        digested = digest(secret)
        found = self.directory.tokens.get(digested)
        if found is None:
            owner = self.directory.withdrawn.get(digested)
            return None if owner is None else (owner, "withdrawn")
        if not found.lives(when):
            return found.account, "expired"
        return found.account, "account" if self._enabled(found.account) else "disabled"

    def certified(self, names: Iterable[str]) -> Account | None:
        """Return whose client certificate has these names, such as `dns:alice.example`."""
        found = (self.directory.certificates.get(fold(name), "") for name in names)
        return next(filter(None, map(self._enabled, found)), None)

    def _enabled(self, name: str) -> Account | None:
        account = self.get(name)
        return None if account is None or account.disabled else account

    # Who changes

    def replace(self, directory: Directory) -> None:
        """Go by another directory, and tell the watchers of those who lost something by it."""
        former, self.directory = self.directory, directory
        self._logins.keep(directory.accounts)
        gone = directory.disowned(former)
        self._evict(gone)
        for name in self._watchers.keys() - gone:
            self._tell_gain(name, former.accounts.get(name), directory.accounts.get(name))

    def _tell_gain(self, name: str, before: Account | None, after: Account | None) -> None:
        if before is None or after is None or before.rights == after.rights:
            return
        for watcher in list(self._watchers.get(name, ())):
            watcher.gain(before.rights, after.rights)

    def expire(self, when: int) -> None:
        """
        Tell the watchers of those of whom a token has expired since the last call.

        The token stays, and counts again when the clock was wrong.
        """
        tokens = self.directory.tokens
        expired = {digest for digest, token in tokens.items() if not token.lives(when)}
        fresh, self._expired = expired - self._expired, expired
        self._evict({tokens[digest].account for digest in fresh})

    def _evict(self, names: Iterable[str]) -> None:
        for name in names:
            watchers = self._watchers.get(name, {})
            for watcher in list(watchers):
                if watcher in watchers:  # one may have ended another
                    watcher.evict()

    def watch(self, name: str, watcher: Watcher) -> None:
        """
        Tell `watcher` each time that the account loses a right, its password or a token changes
        or ends, or it is disabled or gone. Look the account up again before: it may be gone
        already.
        """
        self._watchers.setdefault(name, {})[watcher] = None

    def unwatch(self, name: str, watcher: Watcher) -> None:
        """Tell it no more; harmless when that was so."""
        watchers = self._watchers.get(name, {})
        watchers.pop(watcher, None)
        if not watchers:
            self._watchers.pop(name, None)

    # What was done

    def logged_in(self, name: str, network: str, when: int) -> None:
        """Remember a login."""
        self._logins.note(Login(name, network, when))

    def is_known_network(self, network: str, when: int, name: str = "") -> bool:
        """Say whether the account, or any without a name, logged in from there lately."""
        return self._logins.is_known_network(network, when, name)

    def used(self) -> tuple[list[Login], dict[str, int]]:
        """Return, once, what is to be stored: logins, and the last use of tokens by their id."""
        used, self._used = self._used, {}
        return self._logins.fresh(), used

    def put_back(self, logins: Iterable[Login], uses: Mapping[str, int]) -> None:
        """Return it again next time, as it could not be stored."""
        self._logins.put_back(logins)
        self._used = {**uses, **self._used}


# Secrets, names and grants


def new_secret() -> str:
    """Return the text of a new token: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def is_token(text: str) -> bool:
    """Say whether a text has the form of a token; a password never has."""
    return _SECRET.fullmatch(text) is not None


def digest(secret: str) -> bytes:
    """Return what is stored of a token. Nobody guesses 256 bits, so it need not be slow."""
    return sha256(secret.encode("utf-8", "replace")).digest()


def check_name(name: str) -> str:
    """
    Return the name of an account.

    Raises:
        AccountError: it can be none.
    """
    if not _NAME.fullmatch(name):
        raise AccountError(
            f"{name[:64]!r} can be no account: 1 to 64 of A-Z a-z 0-9 . _ @ -, a letter or digit "
            "first, would be one."
        )
    return name


def check_label(label: str) -> str:
    """
    Return the label of a token.

    Raises:
        AccountError: it can be none.
    """
    if len(label) > LABEL or not label.isprintable():
        raise AccountError(
            f"{label[:LABEL]!r} can be no label: up to {LABEL} characters that can be printed "
            "would be."
        )
    return label


def parse_grant(text: str) -> str:
    """
    Return a grant as it is stored: a role, a right, or a certificate.

    Raises:
        AccountError: it is none.
    """
    if not text.startswith(CERTIFICATE):
        return _parse_right(text)
    subject = text.removeprefix(CERTIFICATE)
    if not _SUBJECT.fullmatch(subject):
        raise AccountError(
            f"{text!r} names no certificate: {CERTIFICATE}dns:alice.example would, and so would "
            "email: or uri: and up to 255 characters without a space."
        )
    return CERTIFICATE + fold(subject)


def fold(subject: str) -> str:
    """Return a subject alternative name as it is compared: hosts know no upper case."""
    kind, _, value = subject.partition(":")
    if kind == "dns":
        return subject.lower()
    user, at, host = value.rpartition("@")
    return f"{kind}:{user}{at}{host.lower()}" if kind == "email" else subject


def _parse_right(text: str) -> str:
    try:
        return check_grant(text)
    except ConfigError as error:
        raise AccountError(
            f"{error} Or grant a role ({', '.join(ROLES)}) or a {CERTIFICATE}dns:NAME."
        ) from error
