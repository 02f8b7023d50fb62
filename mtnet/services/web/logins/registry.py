"""
Session registry: who has logged in by the page.

A session ends with its account, its password or its token, with its time, and when somebody ends
it. Its secret is not kept, only a digest. Every time is in milliseconds since the Unix epoch, UTC.
"""

import secrets
from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Protocol

from msgspec import Struct

from mtnet.access.accounts.identity import Identity
from mtnet.access.accounts.model import Accounts

OF_ONE = 100
"""Sessions of one account: a script that logs in at each start and never out costs others none."""


class Session(Struct, frozen=True, kw_only=True):
    """
    A login.

    Attributes:
        digest: SHA-256 of the secret.
        created: of the account, as `changed`: another account of the name is not this one.
        changed: when the password was set that was shown; a new one ends the session.
        token: the digest of the token that was shown instead; empty = the password was.
        since: when it began.
        host: the address that it began at.
        agent: the program, as it names itself.
    """

    digest: bytes
    account: str
    created: int
    changed: int
    token: bytes
    since: int
    host: str
    agent: str

    @property
    def id(self) -> str:
        """Eight hexadecimal digits, for people."""
        return self.digest[:4].hex()


class Watcher(Protocol):
    """Something that goes on by a session: a WebSocket, or a request that waits."""

    def evict(self) -> None:
        """End: the session is over."""


class Sessions:
    """
    The sessions in memory.

    Args:
        now: wall time.
        most: sessions of all accounts together; the oldest one makes room.
        lasts: milliseconds after which a session ends.
    """

    def __init__(self, accounts: Accounts, now: Callable[[], int], most: int, lasts: int) -> None:
        self._accounts, self._now, self._most, self.lasts = accounts, now, most, lasts
        self._sessions: dict[bytes, Session] = {}
        self._watchers: dict[bytes, set[Watcher]] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def load(self, sessions: Iterable[Session]) -> None:
        """Take stored sessions, oldest first, and of too many the newest."""
        self._sessions.update({each.digest: each for each in [*sessions][-self._most :]})

    def begin(
        self, account: str, token: bytes, host: str, agent: str
    ) -> tuple[str, Session, list[Session]]:
        """
        Begin a session of an account that has just logged in.

        Args:
            token: the digest of the token that was shown; empty = the password was.

        Returns:
            The secret, the session, and those that are over.
        """
        found = self._accounts.directory.accounts[account]
        own = self.of(account)
        valid = [each for each in own if self.identity(each) is not None]
        kept = valid[-(OF_ONE - 1) :]
        over = [each for each in own if each not in kept]
        if not over and len(self._sessions) >= self._most:
            over.append(next(iter(self._sessions.values())))
        secret = secrets.token_urlsafe(32)
        session = Session(
            digest=digest(secret),
            account=account,
            created=found.created,
            changed=found.changed,
            token=token,
            since=self._now(),
            host=host,
            agent=agent,
        )
        self.end(over)
        self._sessions[session.digest] = session
        return secret, session, over

    def find(self, secrets: Iterable[str]) -> Session | None:
        """Return the one valid session among some secrets."""
        found = {self._sessions.get(digest(secret)) for secret in secrets}
        valid = [each for each in found if each is not None and self.identity(each) is not None]
        return valid[0] if len(valid) == 1 else None

    def identity(self, session: Session) -> Identity | None:
        """Return the account of a session, with the rights that it has now; None = it is over."""
        account, now = self._accounts.get(session.account), self._now()
        if account is None or account.disabled or account.created != session.created:
            return None
        if now >= session.since + self.lasts:
            return None
        if not session.token:
            same = account.changed == session.changed
            return Identity(account.name, account.rights) if same else None
        token = self._accounts.directory.tokens.get(session.token)
        if token is None or not token.is_valid(now):
            return None
        return Identity(account.name, token.rights(account))

    def of(self, account: str = "") -> list[Session]:
        """Return the sessions of an account, or of all, oldest first."""
        every = self._sessions.values()
        return [each for each in every if each.account == account] if account else [*every]

    def end(self, sessions: Iterable[Session]) -> None:
        """End sessions, and what goes on by them."""
        for each in sessions:
            self._sessions.pop(each.digest, None)
            for watcher in self._watchers.pop(each.digest, set()):
                watcher.evict()

    def expire(self) -> None:
        """End the sessions whose time is over and by which something still goes on."""
        watched = [self._sessions[each] for each in self._watchers if each in self._sessions]
        self.end(each for each in watched if self.identity(each) is None)

    def watch(self, session: Session, watcher: Watcher) -> None:
        """Evict `watcher` when a session ends."""
        self._watchers.setdefault(session.digest, set()).add(watcher)

    def unwatch(self, session: Session, watcher: Watcher) -> None:
        """Stop notifying a watcher, if it is one."""
        watchers = self._watchers.get(session.digest, set())
        watchers.discard(watcher)
        if not watchers:
            self._watchers.pop(session.digest, None)


def digest(secret: str) -> bytes:
    """Return the stored form of a secret. Nobody guesses 256 bits, so a fast hash will do."""
    return sha256(secret.encode("utf-8", "replace")).digest()
