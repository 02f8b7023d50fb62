"""Signals: net positions from publishers to followers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IConditionGrammar, IRestore, IServicePlugin, ISettingsCheck
from mtnet.services.signals.settings import SignalSettings

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment

JOURNAL, CHECKPOINTS = "signals.sqlite", "signals.heads"


@implementer(IPlugin, IServicePlugin, ISettingsCheck, IConditionGrammar, IRestore)
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
    command = "mtnet.cli.signals.channels"
    files = (JOURNAL, CHECKPOINTS)

    def check(self, section: Any, endpoints: Sequence[str], reactor: Any) -> None:
        """Check what types cannot."""
        from mtnet.services.signals.preflight import check

        check(section, endpoints, reactor)

    def grammar(self) -> Mapping[str, Any]:
        """Return the conditions about channels, followers and accounts."""
        from mtnet.services.signals.status.conditions import GRAMMAR

        return GRAMMAR

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.signals.component import build

        return build(env)

    def prepare(self, folder: Path) -> None:
        """Verify the journal of a backup, and begin a new epoch of every channel."""
        from mtnet.services.signals.journal.maintenance import renew

        if (folder / JOURNAL).exists():
            renew(folder / JOURNAL)


signals = Signals()
