"""
Server of the control socket `DATA/control`: commands of the owner to the running daemon.

One JSON object a line each way: `{"command": "status"}` is answered by
`{"ok": true, "result": …}` or by `{"ok": false, "error": "sentence"}`, in the order asked. Each
command is also handed `who`: the user that asks, as `uid:1000`.
"""

import os
import socket
import struct
from collections import deque
from collections.abc import Callable, Mapping

import msgspec
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from zope.interface import implementer

from mtnet.daemon.control.client import BROKEN
from mtnet.errors import MtnetError, WireError
from mtnet.net.transport import Transport
from mtnet.values import Json

Command = Callable[[Mapping[str, Json]], Json]
"""Takes the arguments of a request; returns a JSON value or a Deferred with one."""

MAX_REQUEST = 65_536
"""Bytes of a request's line; a longer one ends the connection."""


@implementer(IPushProducer)
class ControlProtocol(LineOnlyReceiver):
    """
    One connection to the control socket; its requests are answered one after the other.

    No more is read while one is being answered, or while answers wait to be
    read: only the requests of one read, and little more than one answer, are kept.
    """

    log = Logger()
    transport: Transport  # type: ignore[assignment]
    delimiter = b"\n"
    MAX_LENGTH = MAX_REQUEST

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = commands
        self._requests: deque[bytes] = deque()
        self._busy = self._full = False

    def connectionMade(self) -> None:
        self._who = user_of(self.transport)
        self.transport.registerProducer(self, True)

    def lineReceived(self, line: bytes) -> None:
        self._requests.append(line)
        self._go_on()

    def pauseProducing(self) -> None:
        """Answer nothing more for now; called by the transport, whose buffer is full."""
        self._full = True

    def resumeProducing(self) -> None:
        """Go on with the answers; called by the transport."""
        self._full = False
        self._go_on()

    def stopProducing(self) -> None:
        """Forget what was asked; called by the transport, which is closed."""
        self._requests.clear()

    def lineLengthExceeded(self, line: bytes) -> None:
        self.log.warn("control: a request of more than {most} bytes is cut off.", most=MAX_REQUEST)
        self.transport.loseConnection()

    def _go_on(self) -> None:
        if not self._busy:
            self._busy = True
            self.transport.pauseProducing()
            Deferred.fromCoroutine(self._reply())

    async def _reply(self) -> None:
        while self._requests and not self._full:
            self.sendLine(await self._answer(self._requests.popleft()))
        self._busy = False
        if not self._requests and self.connected:
            self.transport.resumeProducing()

    async def _answer(self, line: bytes) -> bytes:
        try:
            arguments = _parse(line)
            return await self._obey(arguments.pop("command", None), arguments)
        except MtnetError as error:
            return _refusal(str(error))

    async def _obey(self, name: Json, arguments: Mapping[str, Json]) -> bytes:
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None:
            known = ", ".join(sorted(self._commands))
            raise WireError("command", f"The request names none of the commands {known}.")
        try:
            result = await maybeDeferred(command, {**arguments, "who": self._who})
            return msgspec.json.encode({"ok": True, "result": result})
        except MtnetError:
            raise
        except Exception:
            # Never the arguments: one of them may be a password.
            self.log.failure("The control request {command!r} failed.", command=name)
            return _refusal(BROKEN)


class ControlFactory(Factory):
    """
    Builds the connections to the control socket.

    Args:
        commands: what can be asked, by name. What a command raises becomes its answer: the
            sentence of a `MtnetError`; anything else is logged and answered by `BROKEN`.
    """

    noisy = False

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = commands

    def buildProtocol(self, addr: object) -> ControlProtocol:
        protocol = ControlProtocol(self._commands)
        protocol.factory = self
        return protocol


def user_of(transport: object) -> str:
    """
    Return the user at the other end of a Unix socket, as `uid:1000`.

    Where the system does not say, it is the user of this process: nobody else but root can connect.
    """
    handle, option = getattr(transport, "getHandle", None), getattr(socket, "SO_PEERCRED", None)
    if handle is not None and option is not None:
        (_, uid, _) = struct.unpack("3i", handle().getsockopt(socket.SOL_SOCKET, option, 12))
    else:
        uid = os.getuid()
    return f"uid:{uid}"


def _parse(line: bytes) -> dict[str, Json]:
    try:
        return msgspec.json.decode(line, type=dict[str, Json])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise WireError(
            "request", 'A request is one line such as {"command": "status"}, and this is none.'
        ) from error


def _refusal(sentence: str) -> bytes:
    return msgspec.json.encode({"ok": False, "error": sentence})
