"""
The login of a client; its password is never sent in clear text.

Pure.
"""

from base64 import b64encode
from dataclasses import dataclass, field
from unicodedata import category

from mtnet.access.addresses import is_loopback
from mtnet.errors import ClientError
from mtnet.services.ticks.wire import MAX_RECORD


@dataclass(frozen=True)
class Login:
    """
    A name and its password.

    Raises:
        ClientError: the name cannot be one, or the password cannot be sent.
    """

    name: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        if not self.name or any(_is_unprintable(each) or each in " :" for each in self.name):
            raise ClientError(
                f"Invalid login {self.name!r}: expected a name without spaces and colons."
            )
        if not self.password or any(map(_is_unprintable, self.password)):
            raise ClientError("A password is one line of characters, and not empty.")
        if len(self.line) > MAX_RECORD:
            raise ClientError(f"A login and its password have at most {MAX_RECORD} bytes.")

    @property
    def basic(self) -> bytes:
        """The value of HTTP's `Authorization`."""
        return basic_authorization(self.name, self.password)

    @property
    def line(self) -> bytes:
        """The command of the tick port, without its end."""
        return f"LOGIN: {self.name} {self.password}".encode()


def basic_authorization(name: str, password: str) -> bytes:
    """Return the value of HTTP's `Authorization` for a login."""
    return b"Basic " + b64encode(f"{name}:{password}".encode())


def check_private_peer(host: str) -> None:
    """
    Check that a password may be sent in clear to a host: it is this machine.

    Args:
        host: the peer's address; empty = a connection that has none, as a Unix socket.

    Raises:
        ClientError: others could read it.
    """
    if host and not is_loopback(host):
        raise ClientError(
            f"A password is not sent in clear to {host}; secure:HOST:PORT is an endpoint with TLS."
        )


def _is_unprintable(character: str) -> bool:
    """Return whether a character would end the line, is invisible, or is a surrogate."""
    return category(character) in ("Cc", "Cs", "Zl", "Zp")
