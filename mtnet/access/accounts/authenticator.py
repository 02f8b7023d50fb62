"""
Authenticator: checks the credentials of every protocol.

A login with an unknown name takes as long as one with a wrong password, and both get the same
answer.
"""

from collections import Counter, deque
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mtnet.access.accounts.cred import BearerToken, Certificate, Credentials, Password
from mtnet.access.accounts.identity import Identity
from mtnet.access.accounts.model import Account, Accounts, is_token
from mtnet.access.accounts.passwords import DUMMY_HASH, PasswordCache, matches, needs_rehash
from mtnet.access.addresses import network_of
from mtnet.access.bans.policy import Bans, Offence
from mtnet.access.security_log import Origin, SecurityLog
from mtnet.config.schema import Access as Settings
from mtnet.errors import WireError
from mtnet.storage.worker import InThread

NONE = "There are no accounts here; nothing needs a login"
LOGGED = ("login", "banned", "server")
"""Codes of refused logins, which the security log has already."""
WRONG = "The login or its password is wrong"
"""One sentence for everything that can be wrong: a guesser must not learn what it was."""

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]


class Threads(NamedTuple):
    """
    The threads of access control.

    Attributes:
        unknown: hashes passwords for networks from which nobody has logged in.
        known: hashes passwords for the others, and new passwords.
        files: reads and writes the files.
    """

    unknown: InThread
    known: InThread
    files: InThread


class SerialQueue:
    """
    Bounded serial queue for expensive work that unauthenticated peers can trigger.

    Args:
        capacity: pieces of work that may wait.

    Attributes:
        refused: how many pieces found the queue full.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._waiting: deque[tuple[Work[Any], Deferred[Any]]] = deque()
        self._busy = False
        self.refused = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, work: "Work[T]") -> "Deferred[T]":
        """
        Run `work` after all work before it. Cancelled before that, it never runs.

        Raises:
            WireError: `server`; the queue is full.
        """
        if len(self._waiting) >= self._capacity:
            self.refused += 1
            raise WireError("server", "Too many logins are waiting; try again in a while")
        done: Deferred[T] = Deferred(lambda _: self._remove(entry))
        entry = (work, done)
        self._waiting.append(entry)
        self._next()
        return done

    def _remove(self, entry: "tuple[Work[Any], Deferred[Any]]") -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)

    def _next(self) -> None:
        if self._waiting and not self._busy:
            work, done = self._waiting.popleft()
            self._busy = True
            Deferred.fromCoroutine(work()).addBoth(self._finish, done)

    def _finish(self, result: object, done: "Deferred[Any]") -> None:
        self._busy = False
        if not done.called:  # it was cancelled meanwhile
            done.callback(result)
        self._next()


class Hasher:
    """A thread that hashes passwords, behind a queue."""

    def __init__(self, in_thread: InThread, capacity: int) -> None:
        self.in_thread, self.queue = in_thread, SerialQueue(capacity)


class _Attempt(NamedTuple):
    """
    One login.

    Attributes:
        name: the login that was named, or that the token belongs to; empty = neither.
        trusted: bans do not apply.
    """

    name: str
    credentials: Credentials
    origin: Origin
    trusted: bool


class Authenticator:
    """
    Checks credentials, slows down guessing, and logs each result once.

    Args:
        now: milliseconds since the Unix epoch.
        rehash: called with the name, the password and the hash of an account whose hash is
            weaker than today's.

    Attributes:
        unknown: for networks from which nobody has logged in.
        known: for the others, which do not wait behind a crowd of strangers.
        counts: logins by their result.
    """

    def __init__(
        self,
        settings: Settings,
        accounts: Accounts,
        bans: Bans,
        threads: Threads,
        clock: IReactorTime,
        now: Callable[[], int],
        log: SecurityLog,
        rehash: Callable[[str, str, str], object],
    ) -> None:
        self._accounts, self._bans, self._log = accounts, bans, log
        self._seconds, self._now, self._rehash = clock.seconds, now, rehash
        self._cache = PasswordCache(settings.password_cache)
        self.unknown = Hasher(threads.unknown, settings.max_pending_logins)
        self.known = Hasher(threads.known, settings.max_pending_logins)
        self.counts: Counter[str] = Counter()

    def authenticate(
        self, credentials: Credentials, origin: Origin, trusted: bool = False
    ) -> "Deferred[Identity]":
        """
        Return the identity that credentials prove; it is there at once unless a hash is needed.

        Args:
            trusted: the peer is this machine's owner; bans do not apply.

        Fails with:
            WireError: `login` (the credentials are wrong), `banned` (too many wrong ones came
                from there), `server` (too many logins are waiting).
        """
        return Deferred.fromCoroutine(self._authenticate(credentials, origin, trusted))

    def report(self) -> dict[str, int]:
        """Return the figures for `mtnet status`."""
        ends = {name: self.counts[name] for name in ("right", "wrong", "barred")}
        queues = self.unknown.queue, self.known.queue
        refused, waiting = sum(each.refused for each in queues), sum(map(len, queues))
        return {**ends, "refused": refused, "waiting": waiting}

    async def _authenticate(
        self, credentials: Credentials, origin: Origin, trusted: bool
    ) -> Identity:
        if isinstance(credentials, Certificate):
            return self._certified(credentials, origin)
        if self._accounts.empty:
            self._log.refused(origin, "no-accounts")
            raise WireError("login", NONE)
        attempt = _Attempt(self._name_of(credentials), credentials, origin, trusted)
        self._check_bans(attempt)
        if not isinstance(credentials, Password) or not self._needs_hashing(credentials):
            return self._finish(attempt, self._recognize(credentials))
        return await self._queue(attempt, credentials)

    def _certified(self, shown: Certificate, origin: Origin) -> Identity:
        account = self._accounts.certified(shown.names)
        if account is None:
            raise WireError("login", WRONG)
        return self._let_in(account.identity, origin)

    # Without a hash

    def _name_of(self, credentials: Password | BearerToken) -> str:
        if isinstance(credentials, Password):
            return credentials.name
        found = self._by_token("", credentials.secret)
        return "" if found is None else found.name

    def _needs_hashing(self, shown: Password) -> bool:
        return not is_token(shown.password) and not self._is_cached(shown)

    def _recognize(self, credentials: Password | BearerToken) -> Identity | None:
        if isinstance(credentials, BearerToken):
            return self._by_token("", credentials.secret)
        if is_token(credentials.password):
            return self._by_token(credentials.name, credentials.password)
        return self._identity(credentials.name) if self._is_cached(credentials) else None

    def _by_token(self, name: str, secret: str) -> Identity | None:
        found = self._accounts.token(secret, self._now())
        if found is None or name not in ("", found[0].name):
            return None
        return Identity(found[0].name, found[1])

    def _is_cached(self, shown: Password) -> bool:
        account = self._usable(shown.name)
        return account is not None and self._cache.holds(
            shown.name, shown.password, account.password, self._seconds()
        )

    # With a hash

    async def _queue(self, attempt: _Attempt, shown: Password) -> Identity:
        network = network_of(attempt.origin.host)
        known = attempt.trusted or self._accounts.is_known_network(network, self._now())
        hasher = self.known if known else self.unknown
        try:
            turn = hasher.queue.add(lambda: self._hash(hasher, attempt, shown))
        except WireError:
            self._log.refused(attempt.origin, "busy", self._shown(attempt.name))
            raise
        return await turn

    async def _hash(self, hasher: Hasher, attempt: _Attempt, shown: Password) -> Identity:
        # Those before it in the queue may have been the same guesser.
        self._check_bans(attempt)
        found = self._recognize(shown) or await self._by_password(hasher, shown)
        return self._finish(attempt, found)

    async def _by_password(self, hasher: Hasher, shown: Password) -> Identity | None:
        account = self._usable(shown.name)
        hashed = account.password if account else DUMMY_HASH
        if not await hasher.in_thread(matches, hashed, shown.password) or account is None:
            return None
        self._cache.add(shown.name, shown.password, hashed, self._seconds())
        account = self._usable(shown.name)
        if account and account.password != hashed:  # it was changed or rehashed meanwhile
            return await self._by_password(hasher, shown)
        if account and needs_rehash(hashed):
            self._rehash(shown.name, shown.password, hashed)
        return self._identity(shown.name)

    def _identity(self, name: str) -> Identity | None:
        account = self._usable(name)
        return account.identity if account else None

    def _usable(self, name: str) -> Account | None:
        account = self._accounts.get(name)
        return account if account and account.password and not account.disabled else None

    # The result

    def _check_bans(self, attempt: _Attempt) -> None:
        if attempt.trusted:
            return
        name, host = attempt.name, attempt.origin.host
        known = bool(name) and self._accounts.is_known_network(network_of(host), self._now(), name)
        left = self._bans.login_ban_left(name, host, self._seconds(), known)
        if left > 0:
            self.counts["barred"] += 1
            self._log.refused(attempt.origin, "banned", self._shown(name))
            raise WireError("banned", f"Too many logins were wrong; come back in {left:.0f} s")

    def _finish(self, attempt: _Attempt, identity: Identity | None) -> Identity:
        if identity is None:
            raise self._wrong(attempt)
        self._bans.pardon(identity.name, attempt.origin.host)
        return self._let_in(identity, attempt.origin)

    def _wrong(self, attempt: _Attempt) -> WireError:
        """Count a wrong login; return the error, which is the same for all."""
        self.counts["wrong"] += 1
        outdated = self._outdated(attempt.credentials)
        if outdated is not None:  # a guesser does not find a token that was valid once
            self._log.refused(attempt.origin, *reversed(outdated))
        else:
            self._log.refused(attempt.origin, "wrong", self._shown(attempt.name))
            if not attempt.trusted:
                host, when = attempt.origin.host, self._seconds()
                self._bans.punish(host, Offence.LOGIN, when, attempt.name)
        return WireError("login", WRONG)

    def _outdated(self, credentials: Credentials) -> tuple[str, str] | None:
        secret = credentials.secret if isinstance(credentials, BearerToken) else ""
        if isinstance(credentials, Password):
            secret = credentials.password
        return self._accounts.outdated(secret, self._now())

    def _shown(self, name: str) -> str:
        """Return a login that an account has; any other may be somebody's password."""
        return name if self._accounts.get(name) else ""

    def _let_in(self, identity: Identity, origin: Origin) -> Identity:
        self.counts["right"] += 1
        self._log.accepted(origin, identity.name)
        self._accounts.logged_in(identity.name, network_of(origin.host), self._now())
        return identity
