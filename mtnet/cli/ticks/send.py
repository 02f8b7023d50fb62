"""`mtnet ticks send`: sends the lines of a file, or of standard input, to a server."""

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname
from typing import Any

from mtnet.callbacks import noop
from mtnet.cli import remote
from mtnet.cli.output import print_result
from mtnet.client.core.events import Connected, Lost, Refused
from mtnet.client.core.prices.sending import SendCore, SendEvent, Stored
from mtnet.errors import ClientError

CHUNK_SIZE = 65_536
"""Bytes of one read."""
MAX_IN_FLIGHT = 20_000
"""Ticks that may be unconfirmed while more are read."""


def send_ticks(arguments: Namespace) -> None:
    """
    Send every line, and print the counts.

    Raises:
        ClientError: the file cannot be read; a line is not a tick; the server refused ticks.
    """
    source = arguments.source or gethostname().partition(".")[0][:32]
    core = SendCore(source, time.time(), arguments.account)
    watch = remote.StreamReporter(arguments.server)
    with _opened(arguments.file) as descriptor:
        reader = Reader(descriptor, core, watch, arguments.file or "Standard input")
        remote.converse(
            arguments,
            core,
            _handler(core, watch, reader),
            lambda: watch.over or (reader.has_ended and not core.waiting),
            None,
            framing=remote.tick_framing,
            begin=reader.begin,
        )
    watch.check()
    refused = core.refused + reader.lines.bad
    counts = {"sent": core.sent, "stored": core.stored, "refused": refused}
    print_result(arguments, counts, f"{core.stored} ticks stored.")
    if refused:
        lines_were = "line was" if refused == 1 else "lines were"
        raise ClientError(f"{refused} {lines_were} not stored.")


def _handler(
    core: SendCore, watch: remote.StreamReporter, reader: "Reader"
) -> Callable[[SendEvent], None]:
    def lost(event: Lost) -> None:
        # A server of another kind stores nothing; before anything is sent, no answer is due.
        watch.answered = watch.answered or core.stored > 0 or not core.sent
        watch.lost(event.reason)

    return remote.dispatch(
        {
            Connected: lambda _: watch.reconnected(),
            Lost: lost,
            Refused: lambda refused: watch.refused(f"{refused.code} {refused.text}"),
            Stored: lambda _: reader.go_on(),
        }
    )


@contextmanager
def _opened(file: Path | None) -> Iterator[int]:
    """
    Open the input, without waiting for the other end of a named pipe.

    Raises:
        ClientError: it cannot be read.
    """
    if file is None:
        if sys.stdin is None:
            raise ClientError("Standard input is closed; name a FILE.")
        yield sys.stdin.fileno()
        return
    try:
        descriptor = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise _unreadable(file, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _unreadable(file: object, error: OSError) -> ClientError:
    return ClientError(f"{file} cannot be read: {error.strerror}.")


class Lines:
    """
    A line splitter in front of a tick sender.

    Args:
        send: takes a line; `ClientError` = it is not a tick.

    Attributes:
        bad: lines that are not ticks.
    """

    def __init__(self, send: Callable[[bytes], object]) -> None:
        self._send = send
        self._rest = b""
        self._number = self.bad = 0

    def feed(self, data: bytes) -> None:
        """Split more bytes, and send the whole lines."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)

    def end(self) -> None:
        """Send the line behind the last separator."""
        self._line(self._rest)
        self._rest = b""

    def _line(self, line: bytes) -> None:
        self._number += 1
        line = line.rstrip(b"\r")
        if not line:
            return
        try:
            self._send(line)
        except ClientError as error:
            self.bad += 1
            print(f"mtnet: Line {self._number}: {error}", file=sys.stderr, flush=True)


class Reader:
    """
    Reads the input while the server keeps up.

    Args:
        name: of the input, for sentences.

    Attributes:
        lines: what it was split into.
        has_ended: whether all of it was read.
    """

    def __init__(
        self, descriptor: int, core: SendCore, watch: remote.StreamReporter, name: object
    ) -> None:
        self._descriptor, self._core = descriptor, core
        self._watch, self._name = watch, name
        self.lines = Lines(lambda line: core.send_record(line, self._runner.now()))
        self._runner: Any = None
        self._is_reading = self.has_ended = False

    def begin(self, runner: Any) -> Callable[[], None]:
        """Read, as soon as `runner` runs; return the end, at which there is nothing to do."""
        self._runner = runner
        self.go_on()
        return noop

    def go_on(self) -> None:
        """Read as long as there is something to read, and not too much is unconfirmed."""
        wanted = not self.has_ended and self._core.waiting < MAX_IN_FLIGHT
        if wanted != self._is_reading:
            self._is_reading = wanted
            if wanted:
                self._runner.watch(self._descriptor, self._read)
            else:
                self._runner.unwatch(self._descriptor)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, CHUNK_SIZE)
        except BlockingIOError:
            return
        except OSError as error:
            self._watch.end(_unreadable(self._name, error))
            return
        if data:
            self.lines.feed(data)
        else:
            self.lines.end()
            self._core.flush()
            self.has_ended = True
        self.go_on()
        self._runner.send()
