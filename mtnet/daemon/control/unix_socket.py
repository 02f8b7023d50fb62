"""The Unix socket `DATA/control`: bound, and bound later when the disk was full."""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorUNIX
from twisted.logger import Logger

from mtnet.daemon.control.protocol import Command, ControlFactory
from mtnet.daemon.datadir import DataFolder
from mtnet.daemon.ports import reason
from mtnet.errors import StartError
from mtnet.storage.sqlite import has_free_space


class ControlSocket:
    """
    Raises:
        StartError: it cannot be made, though the disk has room.
    """

    log = Logger()

    def __init__(self, folder: DataFolder, commands: Mapping[str, Command], reactor: Any) -> None:
        self._folder, self._commands, self._reactor = folder, commands, reactor
        self._port = self._bind()

    def _bind(self) -> IListeningPort | None:
        if not IReactorUNIX.providedBy(self._reactor):
            return None  # Windows
        self._folder.clear_control()
        path = str(self._folder.control)
        try:
            # Twisted binds first and closes it to others afterwards.
            before = os.umask(0o177)
            try:
                port: IListeningPort = self._reactor.listenUNIX(
                    path, ControlFactory(self._commands), mode=0o600
                )
            finally:
                os.umask(before)
            return port
        except (CannotListenError, OSError) as error:
            if not has_free_space(self._folder.path):
                return None
            raise StartError(
                f"The control socket {path} cannot be made ({reason(error)}); a shorter path "
                "for --data may help."
            ) from error

    def retry(self) -> None:
        """Bind it now, if the disk was full before and is not any more."""
        if self._port is None and self._folder.health()["healthy"]:
            self._port = self._bind()
            if self._port is not None:
                self.log.info("The control socket is made, now that the disk has room.")

    async def stop_listening(self) -> None:
        """Take no more requests."""
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)

    def remove(self) -> None:
        """Remove the file of the socket."""
        with suppress(OSError):
            self._folder.clear_control()
