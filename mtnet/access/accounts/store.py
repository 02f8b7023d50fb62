"""
The accounts on disk.

Blocking, for one thread at a time. A change is on the platter when it returns; one that fails
changes nothing. Every time is in milliseconds since the Unix epoch.
"""

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from mtnet.access.accounts.login_history import MOST, Login
from mtnet.access.accounts.model import (
    CERTIFICATE,
    WITHDRAWN,
    Account,
    Directory,
    Token,
    check_label,
    check_name,
    digest,
    new_secret,
    parse_grant,
)
from mtnet.access.rights import NOTHING, Permissions, Rights
from mtnet.errors import AccountError, ConfigError
from mtnet.storage.sqlite import Database

SCHEMA = 3
TABLES = f"""
CREATE TABLE IF NOT EXISTS account (
    name TEXT PRIMARY KEY, disabled INTEGER NOT NULL, created INTEGER NOT NULL,
    changed INTEGER NOT NULL, password TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS granted (
    account TEXT NOT NULL, what TEXT NOT NULL, PRIMARY KEY (account, what)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS certified ON granted (what) WHERE what GLOB '{CERTIFICATE}*';
CREATE TABLE IF NOT EXISTS token (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, label TEXT NOT NULL, digest BLOB NOT NULL UNIQUE,
    grants TEXT, created INTEGER NOT NULL, expires INTEGER, last INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS login (
    account TEXT NOT NULL, network TEXT NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (account, network)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_age ON login (last);
CREATE TABLE IF NOT EXISTS withdrawn (
    number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, account TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS token_of ON token (account);
CREATE INDEX IF NOT EXISTS withdrawn_of ON withdrawn (account)
"""

_NOTE_LOGIN = """
INSERT INTO login SELECT ?1, ?2, ?3 WHERE EXISTS (SELECT 1 FROM account WHERE name = ?1)
ON CONFLICT DO UPDATE SET last = excluded.last
"""
_NOTE_USE = "UPDATE token SET last = ?2 WHERE id = ?1"
_WITHDRAW = "INSERT OR IGNORE INTO withdrawn (digest, account) SELECT digest, account FROM token "
_FORGET_WITHDRAWN = """
DELETE FROM withdrawn WHERE number <= (SELECT max(number) FROM withdrawn) - ?
"""
_FORGET = f"""
DELETE FROM login WHERE (account, network) IN
    (SELECT account, network FROM login ORDER BY last DESC LIMIT -1 OFFSET {MOST})
"""
# A session of the old password must end, even if the clock was set back.
_SET_PASSWORD = """
UPDATE account SET password = ?2, changed = max(changed + 1, ?3) WHERE name = ?1
"""

T = TypeVar("T")


class Grants:
    """
    Grants of accounts and tokens: as they are stored, and as rights.

    Attributes:
        unknown: accounts, each with a grant that it had when it was read, and that no installed
            service knows: it gives no right.
    """

    def __init__(self, permissions: Permissions) -> None:
        self._permissions = permissions
        self.unknown: set[tuple[str, str]] = set()

    def parse(self, grants: Iterable[str]) -> list[str]:
        """Return grants as they are stored; raises `AccountError`."""
        return sorted({parse_grant(text, self._permissions) for text in grants})

    def as_stored(self, text: str) -> str:
        """Return a grant as it is stored, also one that is not known any more."""
        try:
            return parse_grant(text, self._permissions)
        except AccountError:
            return text

    def rights(self, name: str, grants: Iterable[str]) -> Rights:
        """Return the rights that an account has by its grants."""
        rights = NOTHING
        for grant in grants:
            if not grant.startswith(CERTIFICATE):
                rights |= self._rights_of(name, grant)
        return rights

    def token(self, id: str, account: str, label: str, secret: bytes, *rest: Any) -> Token:
        """Return a token of a row of its table."""
        grants, created, expires, _ = rest
        held = None if grants is None else tuple(grants.split())
        limit = None if held is None else self.rights(account, held)
        return Token(id, account, label, secret, held, limit, created, expires)

    def within(self, account: Account, grants: list[str]) -> str:
        """Return the grants of a token as they are stored; raises `AccountError`."""
        for grant in grants:
            if grant.startswith(CERTIFICATE):
                raise AccountError(f"A token can have roles and rights, not {grant}.")
            if not account.rights >= self._permissions.rights([grant]):
                name, shown = account.name, ", ".join(account.rights) or "nothing"
                raise AccountError(
                    f"A token of {name} cannot have {grant}, which {name} itself does not have; "
                    f"it has: {shown}."
                )
        return " ".join(grants)

    def _rights_of(self, name: str, grant: str) -> Rights:
        try:
            return self._permissions.rights([grant])
        except ConfigError:
            self.unknown.add((name, grant))
            return NOTHING


class AccountStore:
    """
    The file of accounts.

    Every method raises `JournalError` when the disk fails, and every change `AccountError` when
    it is refused.

    Args:
        path: the file; it is made at the first call.
        permissions: parses rights.

    Attributes:
        grants: what accounts and tokens are granted, as rights.
    """

    def __init__(self, path: Path, permissions: Permissions) -> None:
        self.grants = Grants(permissions)
        # An older file lacks only tables and indexes.
        self._database = Database(path, SCHEMA, TABLES, lambda connection, version: None)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()

    # Reading

    def load(self) -> tuple[Directory, list[Login]]:
        """Return all accounts, and their last login from each network, oldest first."""
        return self.directory(), self.logins()

    def directory(self) -> Directory:
        """Return all accounts."""
        return self._database.read(self._directory)

    def only(self, name: str) -> Directory:
        """Return one account alone, if it is there."""
        return self._database.read(lambda db: self._only(db, name))

    def logins(self) -> list[Login]:
        """Return the last login of each account from each network, oldest first."""
        rows = "SELECT account, network, last FROM login ORDER BY last"
        return self._database.read(lambda db: [Login(*row) for row in db.execute(rows)])

    def uses(self) -> dict[str, int]:
        """Return when each token was last used, by its id."""
        rows = "SELECT id, last FROM token WHERE last IS NOT NULL"
        return self._database.read(lambda db: dict(db.execute(rows).fetchall()))

    # Accounts

    def add(self, name: str, grants: Iterable[str], password: str, when: int) -> None:
        """
        Create an account.

        Args:
            password: a PHC string; empty = none.
        """
        row, parsed = (check_name(name), 0, when, when, password), self.grants.parse(grants)

        def work(db: sqlite3.Connection) -> None:
            if _exists(db, name):
                raise AccountError(
                    f"The account {name} exists already; `mtnet account show {name}` shows it."
                )
            db.execute("INSERT INTO account VALUES (?, ?, ?, ?, ?)", row)
            _grant(db, name, parsed)

        self._database.transaction(work)

    def set_password(self, name: str, password: str, when: int) -> None:
        """Set or remove the password of an account; sessions of the old one end."""
        self._change(name, lambda db: db.execute(_SET_PASSWORD, (name, password, when)))

    def rehash(self, name: str, old: str, new: str) -> None:
        """Store another hash of the same password, unless it was changed meanwhile."""
        sql = "UPDATE account SET password = ? WHERE name = ? AND password = ? AND ? <> ''"
        self._database.transaction(lambda db: db.execute(sql, (new, name, old, old)))

    def grant(self, name: str, grants: Iterable[str]) -> None:
        """Add grants to an account."""
        parsed = self.grants.parse(grants)
        self._change(name, lambda db: _grant(db, name, parsed))

    def revoke(self, name: str, grants: Iterable[str]) -> None:
        """Remove grants, as they were written; also those of services that are gone."""
        written = sorted({self.grants.as_stored(text) for text in grants})
        self._change(name, lambda db: _revoke(db, name, written))

    def disable(self, name: str) -> None:
        """Refuse every login of an account until it is enabled."""
        self._set_disabled(name, True)

    def enable(self, name: str) -> None:
        """Accept logins of a disabled account again."""
        self._set_disabled(name, False)

    def remove(self, name: str) -> None:
        """Remove an account, its tokens and its logins."""
        self._change(name, lambda db: _remove(db, name))

    # Tokens

    def issue(
        self,
        account: str,
        label: str,
        grants: Iterable[str] | None,
        expires: int | None,
        when: int,
    ) -> tuple[str, str]:
        """
        Create a token.

        Args:
            grants: roles and rights, at most those of the account; None = those of the account.

        Returns:
            Its id, and its secret, which is not stored.
        """
        check_label(label)
        _check_expiry(expires, when)
        parsed, secret = None if grants is None else self.grants.parse(grants), new_secret()

        def work(db: sqlite3.Connection) -> str:
            chosen = (
                None if parsed is None else self.grants.within(self._account(db, account), parsed)
            )
            row = (_new_id(db), account, label, digest(secret), chosen, when, expires, None)
            db.execute("INSERT INTO token VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            return str(row[0])

        return self._change(account, work), secret

    def withdraw(self, account: str, token: str) -> None:
        """Withdraw a token of the account, by its id."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(_WITHDRAW + "WHERE id = ? AND account = ?", (token, account))
            db.execute(_FORGET_WITHDRAWN, (WITHDRAWN,))
            if not db.execute(
                "DELETE FROM token WHERE id = ? AND account = ?", (token, account)
            ).rowcount:
                raise AccountError(
                    f"{account} has no token {token!r}; `mtnet account show {account}` lists "
                    "its tokens."
                )

        self._change(account, work)

    # Logins

    def note(self, logins: Iterable[Login], uses: Mapping[str, int]) -> None:
        """Store logins and uses of tokens, except of accounts and tokens that are gone."""

        def work(db: sqlite3.Connection) -> None:
            db.executemany(_NOTE_LOGIN, logins)
            db.executemany(_NOTE_USE, uses.items())
            db.execute(_FORGET)

        self._database.transaction(work)

    # Records

    def _account(self, db: sqlite3.Connection, name: str) -> Account:
        sql = "SELECT disabled, created, changed, password FROM account WHERE name = ?"
        disabled, *rest = db.execute(sql, (name,)).fetchone()
        grants = _grants(db, name)
        return Account(name, grants, self.grants.rights(name, grants), bool(disabled), *rest)

    def _directory(self, db: sqlite3.Connection) -> Directory:
        accounts = [self._account(db, name) for name in _column(db, "SELECT name FROM account")]
        rows = db.execute("SELECT * FROM token ORDER BY created, id")
        tokens = [self.grants.token(*row) for row in rows]
        withdrawn = db.execute("SELECT digest, account FROM withdrawn ORDER BY number")
        return Directory.of(accounts, tokens, withdrawn)

    def _only(self, db: sqlite3.Connection, name: str) -> Directory:
        accounts = [self._account(db, name)] if _exists(db, name) else []
        rows = db.execute("SELECT * FROM token WHERE account = ? ORDER BY created, id", (name,))
        tokens = [self.grants.token(*row) for row in rows]
        sql = "SELECT digest, account FROM withdrawn WHERE account = ? ORDER BY number"
        return Directory.of(accounts, tokens, db.execute(sql, (name,)))

    # Changing

    def _set_disabled(self, name: str, disabled: bool) -> None:
        sql = "UPDATE account SET disabled = ? WHERE name = ?"
        self._change(name, lambda db: db.execute(sql, (disabled, name)))

    def _change(self, name: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """Change an account that exists."""

        def checked(db: sqlite3.Connection) -> T:
            if not _exists(db, name):
                raise AccountError(unknown(name, _column(db, "SELECT name FROM account")))
            return work(db)

        return self._database.transaction(checked)


def unknown(name: str, names: Iterable[str]) -> str:
    """Return the error for an account that does not exist."""
    for near in get_close_matches(name, names, 1):
        return f"There is no account {name!r}; did you mean {near}?"
    return f"There is no account {name!r}; `mtnet account list` lists them."


# Reading


def _column(db: sqlite3.Connection, sql: str, *values: str) -> list[str]:
    return [row[0] for row in db.execute(sql, values)]


def _exists(db: sqlite3.Connection, name: str) -> bool:
    return bool(_column(db, "SELECT name FROM account WHERE name = ?", name))


def _grants(db: sqlite3.Connection, name: str) -> tuple[str, ...]:
    return tuple(_column(db, "SELECT what FROM granted WHERE account = ? ORDER BY what", name))


# Changing


def _grant(db: sqlite3.Connection, name: str, grants: Iterable[str]) -> None:
    for grant in grants:
        _check_owner(db, name, grant)
        db.execute("INSERT INTO granted VALUES (?, ?) ON CONFLICT DO NOTHING", (name, grant))


def _check_owner(db: sqlite3.Connection, name: str, grant: str) -> None:
    sql = "SELECT account FROM granted WHERE what = ? AND account <> ?"
    if grant.startswith(CERTIFICATE):
        for owner in _column(db, sql, grant, name):
            raise AccountError(
                f"{grant} belongs to {owner}, and a certificate names one account only; "
                f"`mtnet account revoke {owner} {grant}` frees it."
            )


def _revoke(db: sqlite3.Connection, name: str, grants: Iterable[str]) -> None:
    held = _grants(db, name)
    for grant in grants:
        if grant not in held:
            shown = ", ".join(held) or "nothing"
            raise AccountError(f"{name} does not have the grant {grant}; it has {shown}.")
        db.execute("DELETE FROM granted WHERE account = ? AND what = ?", (name, grant))


def _remove(db: sqlite3.Connection, name: str) -> None:
    db.execute(_WITHDRAW + "WHERE account = ?", (name,))
    db.execute(_FORGET_WITHDRAWN, (WITHDRAWN,))
    for table in ("granted", "token", "login"):
        db.execute(f"DELETE FROM {table} WHERE account = ?", (name,))
    db.execute("DELETE FROM account WHERE name = ?", (name,))


# Issuing


def _new_id(db: sqlite3.Connection) -> str:
    while True:
        id = secrets.token_hex(4)
        if not _column(db, "SELECT id FROM token WHERE id = ?", id):
            return id


def _check_expiry(expires: int | None, when: int) -> None:
    if expires is not None and expires <= when:
        raise AccountError("A token cannot expire in the past; choose a later time.")
