"""
Who is there: the credentials of every protocol, and one portal for all of them.

`twisted.cred` keeps protocols apart from the ways to prove who one is: whatever speaks through
Twisted can ask the portal that ours ask.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import ICredentials, IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface, implementer

from mtnet.access.accounts.model import Account, Accounts, is_token
from mtnet.access.accounts.passwords import DUMMY_HASH, PasswordCache, is_outdated, matches
from mtnet.access.rights import Rights
from mtnet.callbacks import noop


class ISecret(ICredentials):
    """The secret of a token."""

    secret: str = Attribute("As it was given out.")


class ICertified(ICredentials):
    """A client certificate that TLS has verified."""

    names: Sequence[str] = Attribute("Its alternative names: `dns:…`, `email:…`, `uri:…`.")


class IIdentity(Interface):
    """Somebody who has logged in."""

    name: str = Attribute("Of the account.")
    rights: Rights = Attribute("What the account, or the token that was shown, may do.")


@implementer(ISecret)
class Secret:
    """The secret of a token."""

    def __init__(self, secret: str) -> None:
        self.secret = secret


@implementer(ICertified)
class Certified:
    """The names in a client certificate."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names


@implementer(IIdentity)
class Identity(NamedTuple):
    """Somebody who has logged in, and what they may do."""

    name: str
    rights: Rights


@implementer(ICredentialsChecker)
class Checker:
    """
    Finds the account behind credentials.

    A login that nobody has costs what a wrong password costs: a hash.

    Args:
        in_thread: runs a hash off the reactor.
        seconds: monotonic.
        now: milliseconds since the Unix epoch.
        improve: is told an account's name, the hash that its password had, and a better one.
    """

    credentialInterfaces = (IUsernamePassword, ISecret, ICertified)

    def __init__(
        self,
        accounts: Accounts,
        recent: PasswordCache,
        in_thread: Callable[..., "Deferred[Any]"],
        seconds: Callable[[], float],
        now: Callable[[], int],
        rehash: Callable[[str, str, str], object],
    ) -> None:
        self._accounts, self._recent, self._in_thread = accounts, recent, in_thread
        self._seconds, self._now, self._rehash = seconds, now, rehash

    def name_of(self, credentials: ICredentials) -> str:
        """Return the login that credentials name; empty = they name none that there is."""
        if IUsernamePassword.providedBy(credentials):
            return _pair(credentials)[0]
        if ISecret.providedBy(credentials):
            found = self._by_token("", ISecret(credentials).secret)
            return "" if found is None else found.name
        return ""

    def needs_hashing(self, credentials: ICredentials) -> bool:
        """Say whether a hash is needed to check credentials."""
        if not IUsernamePassword.providedBy(credentials):
            return False
        name, password = _pair(credentials)
        return not is_token(password) and not self._is_recent(name, password)

    def requestAvatarId(  # type: ignore[override]
        self, credentials: ICredentials
    ) -> "Deferred[Identity]":
        """
        Return who shows these credentials; called by the portal, which passes it on as it is.

        Fails with:
            UnauthorizedLogin: nobody does.
        """
        return Deferred.fromCoroutine(self._find(credentials))

    def recognize(self, credentials: ICredentials) -> Identity | None:
        """Return who shows credentials; None = nobody, or a hash is needed to say."""
        if ICertified.providedBy(credentials):
            account = self._accounts.certified(credentials.names)
            return Identity(account.name, account.rights) if account else None
        if ISecret.providedBy(credentials):
            return self._by_token("", credentials.secret)
        name, password = _pair(credentials)
        if is_token(password):
            return self._by_token(name, password)
        return self._identity(name) if self._is_recent(name, password) else None

    def outdated(self, credentials: ICredentials) -> tuple[str, str] | None:
        """Say, as `Accounts.outdated`, whether what was shown was a token once."""
        if ISecret.providedBy(credentials):
            return self._accounts.outdated(credentials.secret, self._now())
        if not IUsernamePassword.providedBy(credentials):
            return None
        return self._accounts.outdated(_pair(credentials)[1], self._now())

    async def _find(self, credentials: ICredentials) -> Identity:
        found = self.recognize(credentials)
        if found is None and self.needs_hashing(credentials):
            found = await self._by_password(*_pair(credentials))
        if found is None:
            raise UnauthorizedLogin
        return found

    def _by_token(self, name: str, secret: str) -> Identity | None:
        found = self._accounts.token(secret, self._now())
        if found is None or name not in ("", found[0].name):
            return None
        return Identity(found[0].name, found[1])

    async def _by_password(self, name: str, password: str) -> Identity | None:
        account = self._usable(name)
        hashed = account.password if account else DUMMY_HASH
        if not await self._in_thread(matches, hashed, password) or account is None:
            return None
        self._recent.add(name, password, hashed, self._seconds())
        account = self._usable(name)
        if account and account.password != hashed:  # changed, or hashed anew, meanwhile
            return await self._by_password(name, password)
        if account and is_outdated(hashed):
            self._rehash(name, password, hashed)
        return self._identity(name)

    def _identity(self, name: str) -> Identity | None:
        account = self._usable(name)
        return Identity(account.name, account.rights) if account else None

    def _is_recent(self, name: str, password: str) -> bool:
        account = self._usable(name)
        return account is not None and self._recent.holds(
            name, password, account.password, self._seconds()
        )

    def _usable(self, name: str) -> Account | None:
        account = self._accounts.get(name)
        return account if account and account.password and not account.disabled else None


@implementer(IRealm)
class Realm:
    """Hands out identities, which are all that a protocol needs of an account."""

    def requestAvatar(  # type: ignore[override]
        self, avatarId: Identity, mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], Identity, Callable[[], None]]:
        """
        Return an identity; called by the portal.

        Raises:
            NotImplementedError: the protocol asks for something else.
        """
        if IIdentity not in interfaces:
            raise NotImplementedError("There are identities here, of mtnet.access.accounts.cred.")
        return IIdentity, avatarId, noop


def portal(checker: Checker) -> Portal:
    """Return the portal of all protocols."""
    return Portal(Realm(), [checker])


def _pair(credentials: Any) -> tuple[str, str]:
    # A name is stored and shown, and one that is no text is nobody's.
    name = _text(credentials.username, "replace")
    return name, _text(credentials.password, "surrogateescape")


def _text(value: str | bytes, errors: str) -> str:
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return data.decode("utf-8", errors)
