"""`mtnet jobs work`: each task is a process."""

import os
import subprocess
from argparse import Namespace
from collections.abc import Callable, Sequence
from threading import Thread
from typing import Any

from mtnet.cli import remote
from mtnet.client.core.events import Lost
from mtnet.client.core.tasks.jobs import FATAL, Withdrawn, Work, WorkCore
from mtnet.errors import ClientError
from mtnet.services.jobs.wire import MAX_REASON, Task

MOST_OUTPUT = 65_536
"""Bytes of stdout after which a command is ended: a result has 6,000 at most."""
MOST_ERRORS = 4 * MAX_REASON
"""Bytes of the end of stderr that are kept for the reason."""
READ_SIZE = 65_536
"""Bytes of one read: what a pipe holds."""


def work(arguments: Namespace) -> None:
    """
    Carry out tasks until Ctrl-C, or until the time is over.

    Raises:
        ClientError: the server refuses.
    """
    watch = remote.StreamReporter(arguments.server)
    core = WorkCore(Work(arguments.queue, arguments.slots), arguments.account)
    processes = Processes(arguments.command, core)

    def lost(event: Lost) -> None:
        processes.kill_all()
        watch.lost(event.reason)

    handle = remote.reported(
        watch,
        {
            Lost: lost,
            Task: processes.start,
            Withdrawn: lambda event: processes.kill(event.id),
        },
        FATAL,
    )
    remote.stream(arguments, core, watch, handle, begin=processes.begin)


class Processes:
    """The running commands."""

    def __init__(self, command: Sequence[str], core: WorkCore) -> None:
        self._command, self._core = command, core
        self._running: dict[str, CommandProcess] = {}
        self._runner: Any = None

    def begin(self, runner: Any) -> Callable[[], None]:
        """Let the commands be watched by `runner`, and their results be sent; return the end."""
        self._runner = runner
        return self.kill_all

    def start(self, task: Task) -> None:
        """Begin with a task; if it was under way already, anew."""
        self.kill(task.id)
        environment = {**os.environ, "MTNET_QUEUE": task.queue, "MTNET_JOB": task.id}
        try:
            with remote.uninterrupted():  # else a command could go on that nobody knows
                process = CommandProcess(self._command, task.data, environment)
                self._running[task.id] = process
        except OSError as error:
            self._core.fail(task.id, f"{self._command[0]} does not start: {error}")
            self._runner.send()
        else:
            process.begin(self._runner, lambda: self._ended(task.id, process))

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
        del self._running[id]
        reason = process.reason
        if reason is None:
            try:
                self._core.result(id, process.result)
            except ClientError as error:
                reason = str(error)
        if reason is not None:
            self._core.fail(id, reason)
        self._runner.send()


class CommandProcess:
    """
    One command: data comes from its stdin, the result goes to its stdout.

    Raises:
        OSError: it does not start.
    """

    def __init__(self, command: Sequence[str], data: str, environment: dict[str, str]) -> None:
        from tempfile import TemporaryFile

        self._exit, end = os.pipe()
        try:
            # A pipe would have to be written to while the command reads.
            with TemporaryFile() as stdin:
                stdin.write(data.encode())
                stdin.seek(0)
                self._process: Any = subprocess.Popen(
                    command,
                    bufsize=0,
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=environment,
                )
        except BaseException:
            os.close(self._exit)
            os.close(end)
            raise
        Thread(target=_wait, args=(self._process, end), daemon=True).start()
        self._output, self._errors = bytearray(), bytearray()
        self._overflow = False
        self._watched: set[int] = set()
        self._runner: Any = None
        self._ended: Callable[[], object] | None = None

    def begin(self, runner: Any, ended: Callable[[], object]) -> None:
        """Read what it writes; `ended` is called when it has ended, unless it is killed before."""
        self._runner, self._ended = runner, ended
        for descriptor, ready in (
            (self._process.stdout.fileno(), self._read_output),
            (self._process.stderr.fileno(), self._read_errors),
            (self._exit, self._exited),
        ):
            self._watched.add(descriptor)
            runner.watch(descriptor, ready)

    @property
    def result(self) -> str:
        """Its stdout without the last line end."""
        return self._output.decode("utf-8", "replace").rstrip("\r\n")

    @property
    def reason(self) -> str | None:
        """Why it has failed; None = it has not."""
        if self._overflow:
            return f"The command wrote more than {MOST_OUTPUT} bytes"
        code = self._process.returncode
        if code == 0:
            return None
        status = f"signal {-code}" if code < 0 else f"exit status {code}"
        text = self._errors.decode("utf-8", "replace").strip()
        room = MAX_REASON - len(status) - 2
        return f"{status}: {text[-room:]}" if text else status

    def kill(self) -> None:
        """End it at once, and say nothing."""
        self._ended = None
        self._process.kill()
        self._close()
        self._process.wait()

    def _read_output(self) -> None:
        descriptor = self._process.stdout.fileno()
        data = os.read(descriptor, READ_SIZE)
        self._output += data
        if len(self._output) > MOST_OUTPUT:
            self._overflow = True
            self._process.kill()
            self._close()
        elif not data:
            self._let_go(descriptor)

    def _read_errors(self) -> None:
        descriptor = self._process.stderr.fileno()
        data = os.read(descriptor, READ_SIZE)
        self._errors = (self._errors + data)[-MOST_ERRORS:]
        if not data:
            self._let_go(descriptor)

    def _exited(self) -> None:
        self._let_go(self._exit)

    def _let_go(self, descriptor: int) -> None:
        self._watched.remove(descriptor)
        self._runner.unwatch(descriptor)
        if not self._watched:
            self._close()

    def _close(self) -> None:
        """Let go of everything, and say that it has ended."""
        for descriptor in self._watched:
            self._runner.unwatch(descriptor)
        self._watched.clear()
        self._process.stdout.close()
        self._process.stderr.close()
        os.close(self._exit)
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()


def _wait(process: "subprocess.Popen[bytes]", end: int) -> None:
    """Close a pipe when a command has ended: it is watched with what the command writes."""
    process.wait()
    os.close(end)
