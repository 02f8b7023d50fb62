"""Streamed answers: of any length, and never whole in memory."""

from collections.abc import Iterator
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer


class Sink(Protocol):
    """An answer under way."""

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Let `producer` be paused while the client does not read."""

    def unregisterProducer(self) -> None:
        """The producer has written all."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def finish(self) -> None:
        """End the answer."""

    def break_off(self, reason: Failure) -> None:
        """Reset the connection: the client must not take the part for the whole."""


@implementer(IPushProducer)
class StreamProducer:
    """Push producer: writes chunks as long as the client reads."""

    def __init__(self, sink: Sink, chunks: Iterator[Any]) -> None:
        self._sink, self._chunks = sink, chunks
        self._paused = self._waiting = self._over = False

    def start(self) -> None:
        """Write the first chunks."""
        self._sink.registerProducer(self, True)
        self._write()

    def pauseProducing(self) -> None:
        """The client does not read."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client reads on."""
        self._paused = False
        self._write()

    def stopProducing(self) -> None:
        """The client has left: let the source of the chunks be closed."""
        self._over = True
        if not self._waiting:  # else it is running, and ends at its next step
            getattr(self._chunks, "close", bool)()

    def _write(self) -> None:
        while not (self._paused or self._waiting or self._over):
            try:
                chunk = next(self._chunks, None)
            except Exception:
                self._fail(Failure())
                return
            if chunk is None:
                self._finish()
            elif isinstance(chunk, Deferred):
                self._waiting = True
                chunk.addCallbacks(self._came).addErrback(self._fail)
            else:
                self._sink.write(chunk)

    def _came(self, data: bytes | None) -> None:
        self._waiting = False
        if self._over:
            self.stopProducing()
        elif data is None:
            self._finish()
        else:
            self._sink.write(data)
            self._write()

    def _finish(self) -> None:
        self._over = True
        self._sink.unregisterProducer()
        self._sink.finish()

    def _fail(self, failure: Failure) -> None:
        if not self._over:
            self._over = True
            self._sink.unregisterProducer()
            self._sink.break_off(failure)
