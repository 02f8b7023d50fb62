"""What the benchmarks of signals share: a daemon on fixed ports, and peers that speak to it."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from mtnet.errors import WireError
from mtnet.services.signals.wire.answers import Answer, Heartbeat, Welcome, read_answer
from mtnet.session import messages
from mtnet.session.grammar import (
    MAX_FRAME,
    FrameDecoder,
    parse,
)
from tests.live.live_daemon import RealDaemon

HOST = "127.0.0.1"
AGAIN = 0.01
"""Seconds between two attempts to connect."""


def free_port() -> int:
    """Return a port of loopback that nobody uses."""
    with socket.socket() as found:
        found.bind((HOST, 0))
        return int(found.getsockname()[1])


class SignalsDaemon(RealDaemon):
    """
    A real daemon that serves signals alone, on the same port whenever it is started.

    Args:
        settings: `signals.pace=0` and the like.
        prefix: what runs it, as `taskset -c 0`.
        tree: another checkout that is run, with the Python of its `.venv`; None = this one.

    Attributes:
        more: further endpoints, as `signals=secure:8443`.
    """

    def __init__(
        self,
        folder: Path,
        *settings: str,
        prefix: tuple[str, ...] = (),
        tree: Path | None = None,
    ) -> None:
        super().__init__(folder)
        self.number, self.settings, self.prefix = free_port(), settings, prefix
        self.python = sys.executable if tree is None else str(tree / ".venv" / "bin" / "python")
        self.more: list[str] = []

    def command(self, *options: str, foreground: bool = True) -> list[str]:
        """Return what is run."""
        names = {each.partition("=")[0] for each in self.more}
        off = [name for name in ("templates", "ticks", "web") if name not in names]
        listens = [f"--listen={name}=off" for name in off]
        listens.append(f"--listen=signals=tcp:{self.number}:interface={HOST}")
        listens += [f"--listen={each}" for each in self.more]
        sets = [f"--set={each}" for each in ("reserve=0", *self.settings)]
        program = "from twisted.scripts.twistd import run; run()"
        twistd = [self.python, "-c", program, "-n", "--pidfile=", "mtnet"]
        return [*self.prefix, *twistd, "--data", str(self.data), *sets, *listens, *options]

    def begin(self) -> None:
        """Start, and do not wait until it answers."""
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.command(),
                cwd=self.folder,
                env=self.environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def memory(self) -> int:
        """Return the bytes of its memory that lie in RAM."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def exceptions(self) -> list[str]:
        """Return the tracebacks in its log, from the first one on."""
        said = self.logged()
        return said[said.index("Traceback") :][:3000].splitlines() if "Traceback" in said else []


class Peer(asyncio.Protocol):
    """
    Somebody who stays connected: it dials again whenever it is cut off.

    Args:
        opening: what it says first; a speaker of dialect 2 says HELLO.
    """

    opening = b""

    def __init__(self, port: int) -> None:
        self.port = port
        self.transport: asyncio.Transport | None = None
        self.decoder = FrameDecoder(MAX_FRAME, 2 * MAX_FRAME)
        self._dialling: asyncio.Task[None] | None = None
        self._over = False

    def dial(self) -> None:
        """Connect, as soon as somebody listens."""
        self._dialling = asyncio.create_task(self._dial())

    def stop(self) -> None:
        """Hang up, and stay away."""
        self._over = True
        if self._dialling is not None:
            self._dialling.cancel()
        if self.transport is not None:
            self.transport.abort()

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                await loop.create_connection(lambda: self, HOST, self.port)
                return
            except OSError:
                await asyncio.sleep(AGAIN)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin anew."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.decoder = FrameDecoder(MAX_FRAME, 2 * MAX_FRAME)
        self.began()
        if self.opening:
            transport.write(self.opening)

    def connection_lost(self, _: Exception | None) -> None:
        """Come back."""
        self.transport = None
        if not self._over:
            self.dial()

    def data_received(self, data: bytes) -> None:
        """Take whole frames."""
        for payload in self.decoder.feed(data):
            self.frame(payload)

    def began(self) -> None:
        """There is a new connection."""

    def frame(self, payload: bytes) -> None:
        """Take one frame."""

    def say(self, frame: bytes) -> None:
        """Send a frame, if there is somebody to hear it."""
        if self.transport is not None:
            self.transport.write(frame)


class Speaker(Peer):
    """Somebody who speaks dialect 2."""

    opening = messages.hello(name="bench")
    known = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin anew."""
        self.known = False
        super().connection_made(transport)

    def frame(self, payload: bytes) -> None:
        """Answer heartbeats; hand on the rest."""
        try:
            said = read_answer(parse(payload))
        except WireError as error:
            # Where a machine is busy, HELLO comes too late, and classic frames before WELCOME.
            if self.known:
                self.unreadable(payload, error)
            return
        self.known = self.known or isinstance(said, Welcome)
        if isinstance(said, Heartbeat):
            self.say(messages.pong())
        elif isinstance(said, Welcome):
            self.welcomed(said)
        else:
            self.heard(said)

    def welcomed(self, said: Welcome) -> None:
        """The server knows this one now."""

    def heard(self, said: Answer) -> None:
        """Take what the server says."""

    def unreadable(self, payload: bytes, error: WireError) -> None:
        """Take what no server says."""
        raise AssertionError(f"The server said {payload!r}: {error}")


async def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until `condition()` is true; return whether it is."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.002)
    return True
