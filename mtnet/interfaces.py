"""
The interfaces that plugins and services provide, for those who extend mtnet.

They import nothing of it: what they are handed is named in their docstrings.
"""

from collections.abc import Mapping
from typing import Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from zope.interface import Attribute, Interface


class IStreamPlugin(Interface):
    """
    A stream service that the daemon can host: one file in `mtnet/plugins/`.

    The module holds one instance that provides this and `twisted.plugin.IPlugin`.
    """

    name: str = Attribute("One word of `[a-z][a-z0-9_]*`: the NAME of `--listen NAME=ENDPOINT`.")
    description: str = Attribute("One line for the table that the daemon prints at its start.")
    defaultEndpoint: str | None = Attribute(
        "The server endpoint it is heard on when nothing is configured; None = off."
    )
    rights: tuple[str, ...] = Attribute(
        "The verbs that the service asks for, of `mtnet.access.rights.VERBS`, for the table."
    )

    def buildFactory(env: Any) -> IProtocolFactory:
        """
        Build the one factory that serves every endpoint of this service.

        `env` is the `mtnet.daemon.environment.Environment`. Called once, before anything listens.
        It must not block.

        Raises:
            mtnet.errors.ConfigError: the service cannot work as it is configured.
        """


class IDatagramPlugin(Interface):
    """
    A datagram service that the daemon can host; a stream plugin may have the same name.

    The module holds one instance that provides this and `twisted.plugin.IPlugin`.
    """

    name: str = Attribute("As of `IStreamPlugin`.")
    description: str = Attribute("As of `IStreamPlugin`.")
    defaultEndpoint: str | None = Attribute("Such as `udp:8082:interface=127.0.0.1`; None = off.")
    rights: tuple[str, ...] = Attribute("As of `IStreamPlugin`.")

    def buildProtocol(env: Any, listener: Any) -> DatagramProtocol:
        """
        Build what hears the datagrams of one `mtnet.net.endpoints.Listener`.

        `env` is the `mtnet.daemon.environment.Environment`. One that provides `IBurstProtocol` is
        handed many at once. It must not block.
        """


class IBurstProtocol(Interface):
    """A datagram protocol that gains from being handed many datagrams at once."""

    def datagramsReceived(burst: "list[tuple[bytes, tuple[Any, ...]]]") -> None:
        """Take (datagram, address of its sender) pairs, in order of arrival; never none."""


class IListenerAware(Interface):
    """What a factory also provides when its connections depend on where they came in."""

    def at(listener: Any) -> IProtocolFactory:
        """
        Return a factory for the connections of a `mtnet.net.endpoints.Listener`; all else stays
        shared.
        """


class ISessionVerbs(Interface):
    """The verbs that a service adds to the session dialect."""

    verbs: Mapping[str, Any] = Attribute(
        "Verb → (read, handle): `read` makes the request of a `mtnet.session.grammar.Message`, or "
        "raises `WireError`; `handle` takes what `attach` returned, and the request."
    )

    def attach(session: Any) -> "ISessionHandler":
        """
        Return what handles the verbs of this service in one `mtnet.session.session.Session`.

        Called when the session opens, before HELLO is read.
        """


class ISessionHandler(Interface):
    """The verbs of one service in one session."""

    def permitted() -> bool:
        """Return whether the peer may use any of the verbs, with the rights that it has now."""

    def welcomed() -> Mapping[str, str]:
        """
        Begin, or begin anew: HELLO succeeded, perhaps under another login than before.

        Returns:
            Fields of WELCOME.
        """

    def heartbeat() -> Mapping[str, str]:
        """Return fields of the server's PING."""

    def rights_gained() -> None:
        """The peer may do more than before."""

    def busy() -> bool:
        """Return whether something is owed to a client that has closed its sending side."""

    def leaving() -> None:
        """The client said BYE: end what would go on; answers to its requests still follow."""

    def closed(bye: bool) -> None:
        """Release everything; `bye` = the client said so before."""


class IStatus(Interface):
    """A part of the daemon that reports about itself, in plain JSON values."""

    def health() -> Mapping[str, object]:
        """
        Return what a stranger may know, for `/healthz`; the key `healthy` is False when
        somebody must act.
        """

    def status() -> Mapping[str, object]:
        """Return that and what only the owner may know, for `mtnet status`."""
