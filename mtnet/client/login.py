"""Who the client says it is; a password never leaves in clear."""

from base64 import b64encode
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import ISSLTransport

from mtnet.access.rights import is_loopback
from mtnet.errors import ClientError
from mtnet.net.endpoints import host_of


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
        if not self.name or any(each.isspace() or each == ":" for each in self.name):
            raise ClientError(f"{self.name!r} is no login: it has no space and no colon.")
        if not self.password or any(each in "\r\n\0" for each in self.password):
            raise ClientError("A password is one line, and not empty.")

    @property
    def basic(self) -> bytes:
        """What HTTP's `Authorization` says."""
        return b"Basic " + b64encode(f"{self.name}:{self.password}".encode())

    @property
    def line(self) -> bytes:
        """The command of the tick port, without its end."""
        return f"LOGIN: {self.name} {self.password}".encode()


def check_private(transport: Any) -> None:
    """
    Look whether a password may go over a connection: TLS, or nothing but this machine.

    Raises:
        ClientError: others could read it.
    """
    if ISSLTransport.providedBy(transport):
        return
    host = host_of(transport.getPeer())
    if host and not is_loopback(host):
        raise ClientError(
            f"A password is not sent in clear to {host}; secure:HOST:PORT is an endpoint with TLS."
        )
