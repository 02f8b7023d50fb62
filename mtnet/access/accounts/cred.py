"""Credentials of all protocols, and the adapter for protocols of Twisted's own."""

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.accounts.identity import Identity
from mtnet.errors import WireError


@dataclass(frozen=True)
class Password:
    """A login and its password, or a token in place of the password."""

    name: str
    password: str = field(repr=False)

    @classmethod
    def decode(cls, name: str | bytes, password: str | bytes) -> "Password":
        """Return credentials that can be stored and compared, however they were sent."""
        return cls(_text(name, "replace"), _text(password, "surrogateescape"))


@dataclass(frozen=True)
class BearerToken:
    """A token without a login."""

    secret: str = field(repr=False)


@dataclass(frozen=True)
class Certificate:
    """The alternative names in a client certificate that TLS has verified, such as `dns:…`."""

    names: tuple[str, ...]


Credentials = Password | BearerToken | Certificate


@implementer(ICredentialsChecker)
class CredChecker:
    """
    Adapter: lets a protocol log in through its own `twisted.cred` portal, as FTP and ESMTP do.

    Args:
        authenticate: `Peer.login` of the connection; its identity is the avatar id.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, authenticate: "Callable[[Credentials], Deferred[Identity]]") -> None:
        self._authenticate = authenticate

    def requestAvatarId(  # type: ignore[override]
        self, credentials: IUsernamePassword
    ) -> "Deferred[Identity]":
        shown = Password.decode(credentials.username, credentials.password)
        return self._authenticate(shown).addErrback(_unauthorized)


def _unauthorized(failure: Failure) -> Failure:
    failure.trap(WireError)
    return Failure(UnauthorizedLogin(str(failure.value)))


def _text(value: str | bytes, errors: str) -> str:
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return data.decode("utf-8", errors)
