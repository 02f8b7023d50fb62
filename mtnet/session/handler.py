"""Base of the handlers of verbs in a session: one to whom nothing but its verbs matters."""

from collections.abc import Mapping

from zope.interface import implementer

from mtnet.interfaces import ISessionHandler


@implementer(ISessionHandler)
class SessionHandler:
    """Null object: tells the client nothing, holds nothing, owes nothing; subclasses override."""

    __slots__ = ()

    def welcomed(self) -> Mapping[str, str]:
        """Begin; see `ISessionHandler`."""
        return {}

    def heartbeat(self) -> Mapping[str, str]:
        """Return fields of PING."""
        return {}

    def rights_gained(self) -> None:
        """The peer may do more than before."""

    def busy(self) -> bool:
        """Return whether something is owed."""
        return False

    def leaving(self) -> None:
        """The client said BYE."""

    def closed(self, bye: bool) -> None:
        """Release everything."""
