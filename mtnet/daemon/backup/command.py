"""The control command `backup`: a backup of the running daemon, made off the reactor."""

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mtnet.daemon.backup.create import create
from mtnet.daemon.components import Components
from mtnet.daemon.datadir import DataFolder
from mtnet.errors import WireError
from mtnet.interfaces import IBackup
from mtnet.storage.worker import InThread

ACCESS = "access"
"""The name of the part that belongs to no component: accounts and bans."""


class BackupCommand:
    """
    Makes one backup at a time.

    Args:
        flush: stores what is not on the disk yet of accounts and bans.
        now: milliseconds since the Unix epoch, UTC.
        make_thread: called at the first backup; returns what runs a blocking function off the
            reactor. A thread of its own: a backup of all ticks takes minutes, and the thread of a
            component has signals to store.
    """

    log = Logger()

    def __init__(
        self,
        folder: DataFolder,
        components: Components,
        flush: Callable[[], "Deferred[None]"],
        now: Callable[[], int],
        make_thread: Callable[[], InThread],
    ) -> None:
        self._folder, self._components = folder, components
        self._flush, self._now, self._make_thread = flush, now, make_thread
        self._busy = False

    @cached_property
    def _in_thread(self) -> InThread:
        return self._make_thread()

    def commands(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """
        Return the commands of the control socket.

        `backup` answers once the backup has its name and is on the platter.
        """
        return {"backup": lambda asked: Deferred.fromCoroutine(self._run(asked.get("folder")))}

    async def _run(self, folder: Any) -> dict[str, Any]:
        if not isinstance(folder, str) or not Path(folder).is_absolute():
            raise WireError("folder", "Name a folder. Example: /var/backups/mtnet/monday")
        if self._busy:
            raise WireError("busy", "A backup is being made; wait until it is finished")
        self._busy = True
        try:
            return await self._create(Path(folder))
        finally:
            self._busy = False

    async def _create(self, target: Path) -> dict[str, Any]:
        await self._flush()
        parts = {ACCESS: self._folder, **self._components.find_all(IBackup)}
        made: dict[str, Any] = await self._in_thread(
            create, target, self._folder.path, parts, self._now()
        )
        self.log.info("The data folder is backed up to {target!r}.", target=str(target))
        return made
