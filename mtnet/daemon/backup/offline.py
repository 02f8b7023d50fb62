"""The backup of a data folder on which no daemon runs."""

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock

from mtnet import clock
from mtnet.access.accounts.authenticator import Threads
from mtnet.access.accounts.store import AccountStore
from mtnet.access.bans.store import BanStore
from mtnet.access.control import AccessControl
from mtnet.access.throttle import LogThrottle
from mtnet.clock import WallClock
from mtnet.config.schema import Config
from mtnet.daemon.backup.command import BackupCommand
from mtnet.daemon.components import Components
from mtnet.daemon.datadir import DataFolder
from mtnet.daemon.environment import Environment
from mtnet.daemon.registry import installed, permissions
from mtnet.storage.worker import InlineWorker


def offline_backup(config: Config, folder: DataFolder) -> BackupCommand:
    """
    Return the command `backup` of a locked folder; it blocks.

    The components are built, as for a start, and not started.

    Raises:
        ConfigError: a component cannot work as configured.
        JournalError: a file cannot be read.
    """
    now, known, plugins = WallClock(clock.system_time, clock.monotonic), permissions(), installed()
    access = AccessControl(
        config.access,
        AccountStore(folder.accounts, known),
        BanStore(folder.bans),
        Threads(maybeDeferred, maybeDeferred, maybeDeferred),
        Clock(),
        now,
        known,
    )
    env = Environment.root(config, Clock(), now, access, LogThrottle())
    components = Components(plugins, env, lambda _: InlineWorker())
    return BackupCommand(folder, components, access.flush, now, InlineWorker)
