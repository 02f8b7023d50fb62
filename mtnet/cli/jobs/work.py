"""`mtnet jobs work`: each task is a process."""

import os
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from mtnet.callbacks import noop
from mtnet.cli import reactor, remote
from mtnet.client.connection import Runner
from mtnet.client.core.events import Connected, LeftOut, Lost, Notice, Refused
from mtnet.client.core.tasks.jobs import FATAL, Withdrawn, Work, WorkCore, WorkEvent
from mtnet.errors import ClientError
from mtnet.services.jobs.wire import MAX_REASON, Task

MOST_OUTPUT = 65_536
"""Bytes of stdout after which a command is ended: a result has 6,000 at most."""
MOST_ERRORS = 4 * MAX_REASON
"""Bytes of the end of stderr that are kept for the reason."""

T = TypeVar("T")


def work(arguments: Namespace) -> None:
    """
    Carry out tasks until Ctrl-C, or until the time is over; the reactor runs their processes.

    Raises:
        ClientError: the server refuses.
    """
    reactor.run(_work, arguments)


async def _work(server: IStreamClientEndpoint, clock: Any, arguments: Namespace) -> None:
    ended: Deferred[None] = Deferred()
    watch = remote.StreamReporter(arguments.server, lambda: reactor.fire(ended))
    core = WorkCore(Work(arguments.queue, arguments.slots), arguments.account)
    processes = Processes(clock, arguments.command, core, lambda: runner.run())

    def refused(event: Refused) -> None:
        tell = watch.fail if event.code in FATAL else watch.note
        tell(f"{event.text} ({event.code}).")

    def lost(event: Lost) -> None:
        processes.kill_all()
        watch.lost(event.reason)

    handlers: dict[type, Callable[[Any], object]] = {
        Connected: lambda _: watch.connected(),
        Lost: lost,
        Refused: refused,
        Task: processes.start,
        Withdrawn: lambda event: processes.kill(event.id),
        Notice: lambda notice: watch.note(notice.text),
        LeftOut: lambda event: watch.note(str(event)),
    }

    def handle(event: WorkEvent) -> None:
        handlers.get(type(event), noop)(event)

    def leave(result: T) -> T:
        processes.kill_all()
        runner.run(core.stop())
        return result

    runner: Runner[WorkEvent] = Runner(server, core, clock, handle)
    ended.addBoth(leave)
    seconds = arguments.seconds
    expire = partial(watch.expire, seconds)
    await reactor.run_until(runner.service, ended, clock, seconds, expire)
    watch.check()


class Processes:
    """
    The running commands.

    Args:
        send: sends what waits.
    """

    def __init__(
        self, reactor: Any, command: Sequence[str], core: WorkCore, send: Callable[[], object]
    ) -> None:
        self._reactor, self._command, self._core, self._send = reactor, command, core, send
        self._running: dict[str, CommandProcess] = {}

    def start(self, task: Task) -> None:
        """Begin with a task."""
        process = CommandProcess(task.data, lambda: self._ended(task.id, process))
        self._running[task.id] = process
        environment = {**os.environ, "MTNET_QUEUE": task.queue, "MTNET_JOB": task.id}
        try:
            self._reactor.spawnProcess(process, self._command[0], self._command, environment)
        except OSError as error:
            process.fail(f"{self._command[0]} does not start: {error}")

    def kill(self, id: str) -> None:
        """End a command whose result would not count."""
        process = self._running.pop(id, None)
        if process is not None:
            process.kill()

    def kill_all(self) -> None:
        """End every command."""
        for id in list(self._running):
            self.kill(id)

    def _ended(self, id: str, process: "CommandProcess") -> None:
        if self._running.get(id) is not process:
            return
        del self._running[id]
        reason = process.reason
        if reason is None:
            try:
                self._core.result(id, process.result)
            except ClientError as error:
                reason = str(error)
        if reason is not None:
            self._core.fail(id, reason)
        self._send()


class CommandProcess(ProcessProtocol):
    """
    One command: data goes to its stdin, the result comes from its stdout.

    Args:
        ended: called when it has ended.

    Attributes:
        reason: why it has failed; None = it has not.
    """

    transport: Any

    def __init__(self, data: str, ended: Callable[[], object]) -> None:
        self._data, self._ended_call = data, ended
        self._output, self._errors = bytearray(), bytearray()
        self.reason: str | None = None

    @property
    def result(self) -> str:
        """Its stdout without the last line end."""
        return self._output.decode("utf-8", "replace").rstrip("\r\n")

    def connectionMade(self) -> None:
        self.transport.write(self._data.encode())
        self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        self._output += data
        if len(self._output) > MOST_OUTPUT and self.reason is None:
            self.reason = f"The command wrote more than {MOST_OUTPUT} bytes"
            self.kill()

    def errReceived(self, data: bytes) -> None:
        self._errors = (self._errors + data)[-MOST_ERRORS:]

    def processEnded(self, reason: Failure) -> None:
        end: Any = reason.value
        code, signal = end.exitCode, end.signal
        if self.reason is None and code != 0:
            status = f"signal {signal}" if code is None else f"exit status {code}"
            text = self._errors.decode("utf-8", "replace").strip()
            room = MAX_REASON - len(status) - 2
            self.reason = f"{status}: {text[-room:]}" if text else status
        self._ended_call()

    def fail(self, reason: str) -> None:
        """Note that it did not start."""
        self.reason = reason
        self._ended_call()

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessExitedAlready):
            self.transport.signalProcess("KILL")
