"""Any: every stream service on one port, by the first bytes of each connection."""

from typing import TYPE_CHECKING, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IServicePlugin

if TYPE_CHECKING:
    from mtnet.daemon.environment import Environment
    from mtnet.net.shared_port import SharedPort


@implementer(IPlugin, IServicePlugin)
class Any:
    """The plugin of the shared port."""

    name = "any"
    description = "signals, templates, ticks and web on one port"
    settings = None
    shared = True
    permissions: tuple[str, ...] = ()
    roles: ClassVar[dict[str, tuple[str, ...]]] = {}
    connections: ClassVar = {"total": 10_000, "known_network": 500, "unauthenticated": 500}
    listens: ClassVar[dict[str, str | None]] = {"stream": None}
    command = None

    def build(self, env: "Environment") -> "SharedPort":
        """Build the service."""
        from mtnet.net.shared_port import SharedPort

        return SharedPort(env)


any_port = Any()
