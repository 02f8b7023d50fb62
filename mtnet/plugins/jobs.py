"""Jobs: calculations for other clients."""

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IAlwaysNamed, IRestore, IServicePlugin
from mtnet.services.jobs.settings import JobSettings

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IServicePlugin, IAlwaysNamed, IRestore)
class Jobs:
    """The plugin of calculations that clients share among each other."""

    name = "jobs"
    description = "calculations that clients offer, and other clients carry out"
    settings = JobSettings
    shared = False
    permissions = ("publish", "send", "read")
    roles: ClassVar = {
        "submitter": ("publish:jobs", "read:jobs"),
        "worker": ("send:jobs",),
    }
    connections: ClassVar[dict[str, int]] = {}
    listens: ClassVar[dict[str, str | None]] = {"stream": None}
    command = "mtnet.cli.jobs.command"
    files = None

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.jobs.component import build

        return build(env)

    def prepare(self, folder: Path) -> None:
        """Begin a new epoch of the results."""
        from mtnet.services.jobs.component import FILE
        from mtnet.services.jobs.store import renew

        if (folder / FILE).exists():
            renew(folder / FILE)


jobs = Jobs()
