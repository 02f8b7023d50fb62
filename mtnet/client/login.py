"""The login of a client, and whether a connection of Twisted may carry its password."""

from typing import Any

from twisted.internet.interfaces import ISSLTransport

from mtnet.client.core.login import Login, check_private_peer
from mtnet.net.endpoints import host_of

__all__ = ["Login", "check_private", "clear_peer"]


def clear_peer(transport: Any) -> str:
    """Return the host that a connection goes to in clear text; empty = nobody else reads it."""
    return "" if ISSLTransport.providedBy(transport) else host_of(transport.getPeer()) or ""


def check_private(transport: Any) -> None:
    """
    Check that a password may be sent on a connection: TLS, or one within this machine.

    Raises:
        ClientError: others could read it.
    """
    check_private_peer(clear_peer(transport))
