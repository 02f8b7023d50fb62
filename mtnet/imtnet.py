"""Every interface of mtnet, for those who extend it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from mtnet.hub import Hub
    from mtnet.net.backlog import Backlog
    from mtnet.net.endpoints import Listener
    from mtnet.signals.audience import Batch
    from mtnet.signals.book import Change


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

    def buildFactory(hub: "Hub") -> IProtocolFactory:
        """
        Build the one factory that serves every endpoint of this service.

        Called once, before anything listens. It must not block.

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

    def buildProtocol(hub: "Hub", listener: "Listener") -> DatagramProtocol:
        """
        Build what hears the datagrams of one listener.

        One that provides `IBurstProtocol` is handed many at once. It must not block.
        """


class IBurstProtocol(Interface):
    """A datagram protocol that gains from being handed many datagrams at once."""

    def datagramsReceived(burst: "list[tuple[bytes, tuple[Any, ...]]]") -> None:
        """Take (datagram, address of its sender) pairs, in order of arrival; never none."""


class IListenerAware(Interface):
    """What a factory also provides when its connections depend on where they came in."""

    def at(listener: "Listener") -> IProtocolFactory:
        """Return a factory for the connections of `listener`; all else stays shared."""


class ISubscriber(Interface):
    """Somebody who is told each change of a channel's net positions once it is on disk."""

    def changed(change: "Change") -> None:
        """Take one change; must neither block nor raise."""


class ITail(Interface):
    """Somebody who is told every entry of a channel once it is on disk."""

    shared: "Backlog | None" = Attribute(
        "Where frames go as they are, without `committed` being called; None = nowhere."
    )

    def committed(batch: "Batch") -> None:
        """Take the entries of one commit, in their order; must neither block nor raise."""

    def announced(frame: bytes) -> None:
        """Send what is said of the channel besides: who publishes there, and how it is paused."""


class IStatus(Interface):
    """A part of the daemon that reports about itself, in plain JSON values."""

    def health() -> Mapping[str, object]:
        """
        Return what a stranger may know, for `/healthz`; the key `healthy` is False when
        somebody must act.
        """

    def status() -> Mapping[str, object]:
        """Return that and what only the owner may know, for `mtnet status`."""
