"""Signals: net positions from publishers to followers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IServicePlugin, ISettingsCheck
from mtnet.services.signals.settings import SignalSettings

if TYPE_CHECKING:
    from mtnet.daemon.environment import Environment
    from mtnet.services.signals.component import SignalsComponent


@implementer(IPlugin, IServicePlugin, ISettingsCheck)
class Signals:
    """The plugin of signals."""

    name = "signals"
    description = "positions of providers, sent to followers"
    settings = SignalSettings
    shared = False
    permissions = ("follow", "publish")
    roles: ClassVar = {
        "provider": ("publish:signals", "follow:signals"),
        "follower": ("follow:signals",),
    }
    connections: ClassVar = {"total": 10_000, "unauthenticated": 500}
    listens: ClassVar = {"stream": "tcp:8081:interface=127.0.0.1"}
    command = "mtnet.cli.signals"

    def check(self, section: Any, endpoints: Sequence[str], reactor: Any) -> None:
        """Check what types cannot."""
        from mtnet.services.signals.preflight import check

        check(section, endpoints, reactor)

    def build(self, env: "Environment") -> "SignalsComponent":
        """Build the service."""
        from mtnet.services.signals.component import SignalsComponent

        return SignalsComponent(env)


signals = Signals()
