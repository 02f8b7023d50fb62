"""`mtnet ticks send`: sends the lines of a file, or of standard input, to a server."""

import os
import stat
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from socket import gethostname
from typing import BinaryIO

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from mtnet.cli import reactor, remote
from mtnet.cli.output import print_result
from mtnet.client.tick_sender import TickSender
from mtnet.errors import ClientError

CHUNK_SIZE = 65_536
"""Bytes of one read."""
MAX_IN_FLIGHT = 20_000
"""Ticks that may be unconfirmed while more are read."""


def send_ticks(arguments: Namespace) -> None:
    """
    Send every line, and print the counts; the reactor reads pipes.

    Raises:
        ClientError: the file cannot be read; a line is not a tick; the server refused ticks.
    """
    reactor.run(_send_ticks, arguments)


async def _send_ticks(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    ended: Deferred[None] = Deferred()
    watch = remote.StreamReporter(arguments.server, lambda: reactor.fire(ended))
    sender = TickSender(
        server,
        arguments.source or gethostname().partition(".")[0][:32],
        clock,
        on_connected=watch.reconnected,
        on_lost=lambda reason: _lost(watch, sender, reason),
        on_error=watch.refused,
        login=arguments.account,
    )
    connected = sender.whenConnected(failAfterFailures=1)
    sender.startService()
    await connected
    # A ClientService cannot be stopped from its own callback.
    await deferLater(clock, 0)
    lines = Lines(sender)
    working = Deferred.fromCoroutine(_send(arguments.file, sender, lines))
    working.addCallbacks(lambda _: watch.end(), lambda failure: watch.end(failure.value))
    try:
        await ended
    finally:
        working.cancel()
        await sender.stopService()
    watch.check()
    refused = sender.refused + lines.bad
    counts = {"sent": sender.sent, "stored": sender.stored, "refused": refused}
    print_result(arguments, counts, f"{sender.stored} ticks stored.")
    if refused:
        lines_were = "line was" if refused == 1 else "lines were"
        raise ClientError(f"{refused} {lines_were} not stored.")


def _lost(watch: remote.StreamReporter, sender: TickSender, reason: str) -> None:
    # A server of another kind stores nothing; before anything is sent, no answer is due.
    watch.answered = watch.answered or sender.stored > 0 or not sender.sent
    watch.lost(reason)


async def _send(file: Path | None, sender: TickSender, lines: "Lines") -> None:
    try:
        with _opened(file) as opened:
            if stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
                await _send_chunks(opened, sender, lines)
            else:
                # A thread that reads a terminal or a pipe would survive Ctrl-C.
                reader = PipeReader(lines)
                StandardIO(reader, *([] if file is None else [opened.fileno()]))
                await reader.ended
    except OSError as error:
        raise ClientError(
            f"{file or 'Standard input'} cannot be read: {error.strerror}."
        ) from error
    lines.end()
    await sender.synced()


async def _send_chunks(file: BinaryIO, sender: TickSender, lines: "Lines") -> None:
    for chunk in _chunks(file):
        lines.feed(chunk)
        if lines.is_full:
            await sender.synced()


def _opened(file: Path | None) -> BinaryIO:
    """Open the input, without waiting for the other end of a named pipe."""
    if file is not None:
        return open(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    if sys.stdin is None:
        raise ClientError("Standard input is closed; name a FILE.")
    return sys.stdin.buffer


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_SIZE):
        yield chunk


class Lines:
    """
    A line splitter in front of a tick sender.

    Attributes:
        bad: lines that are not ticks.
    """

    def __init__(self, sender: TickSender) -> None:
        self._sender = sender
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

    @property
    def is_full(self) -> bool:
        """Whether to wait before reading more."""
        return self._sender.waiting >= MAX_IN_FLIGHT

    def synced(self) -> "Deferred[None]":
        """Fire when everything that was sent is stored, as `TickSender.synced`."""
        return self._sender.synced()

    def _line(self, line: bytes) -> None:
        self._number += 1
        line = line.rstrip(b"\r")
        if not line:
            return
        try:
            self._sender.send_record(line)
        except ClientError as error:
            self.bad += 1
            print(f"mtnet: Line {self._number}: {error}", file=sys.stderr, flush=True)


class PipeReader(Protocol):
    """
    Reader of standard input, a pipe or a terminal, with back-pressure.

    Attributes:
        ended: fires at the end of the input.
    """

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.ended: Deferred[None] = Deferred(lambda _: self._stop())

    def dataReceived(self, data: bytes) -> None:
        self._lines.feed(data)
        if self._lines.is_full:
            self.transport.pauseProducing()  # type: ignore[union-attr]
            self._lines.synced().addCallbacks(self._resume, lambda _: None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.ended.called:
            self.ended.callback(None)

    def _stop(self) -> None:
        self.transport.loseConnection()  # type: ignore[union-attr]

    def _resume(self, _: None) -> None:
        self.transport.resumeProducing()  # type: ignore[union-attr]
