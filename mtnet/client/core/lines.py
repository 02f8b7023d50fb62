"""
Lines of the tick stream: a codec, and the output of a client that reads them.

Pure.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from mtnet.backoff import backoff
from mtnet.client.core.attempts import Attempts
from mtnet.client.core.events import Lost, Refused, Unreachable
from mtnet.client.core.login import Login, check_private_peer
from mtnet.errors import ClientError, FrameError, quote

MAX_LINE = 16_384
"""Bytes of a line from the server: its answer repeats the requested symbols."""


class LineCodec(Protocol):
    """Codec of the lines of one connection."""

    def receive(self, data: bytes) -> Iterator[bytes]:
        """
        Yield the lines that `data` completes.

        Raises:
            FrameError, ClientError: nothing more can be read.
        """

    def send(self, line: bytes) -> None:
        """Send a line, or several with LF between them, given without the last end."""

    def end(self) -> None:
        """Say that nothing is sent any more."""

    def data_to_send(self) -> bytes:
        """Return what is to be written now."""


class LineFraming:
    """Codec of lines that CR LF ends, as on TCP and TLS."""

    def __init__(self) -> None:
        self._rest = b""
        self._output: list[bytes] = []

    def receive(self, data: bytes) -> Iterator[bytes]:
        """
        Yield the lines that `data` completes.

        Raises:
            FrameError: one is too long.
        """
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        yield from lines
        if len(self._rest) > MAX_LINE:
            raise FrameError("frame", f"A line of more than {MAX_LINE} bytes")

    def send(self, line: bytes) -> None:
        """Send a line, given without its end."""
        self._output.append(line + b"\r\n")

    def end(self) -> None:
        """Do nothing: the end of the connection says it."""

    def data_to_send(self) -> bytes:
        """Return the lines that wait."""
        data, self._output = b"".join(self._output), []
        return data


class LineSession:
    """
    The output of a client of lines, and the delay before its next connection.

    Attributes:
        framing: of the present connection.
        ending: why it is to be closed; empty = it is not.
    """

    def __init__(self) -> None:
        self.framing: LineCodec | None = None
        self.ending = "there is no connection"
        self._attempts = 0

    def begin(self, framing: LineCodec) -> None:
        """Begin a new connection."""
        self.framing, self.ending = framing, ""
        self._attempts += 1

    def end(self, reason: str) -> None:
        """Close the connection; the first reason is the one that is reported."""
        self.ending = self.ending or reason

    def lose(self, reason: str) -> str:
        """Note the end of the connection; return the reason, ours if we ended it."""
        self.framing, self.ending = None, self.ending or reason
        return self.ending

    def send(self, line: bytes) -> None:
        """Send a line, given without its end."""
        if self.framing is not None:
            self.framing.send(line)

    def leave(self) -> None:
        """Say that the client leaves."""
        if self.framing is not None:
            self.framing.end()

    def data_to_send(self) -> bytes:
        """Return what is to be written now."""
        return b"" if self.framing is None else self.framing.data_to_send()

    def succeeded(self) -> None:
        """Reset the back-off: the server did what it was asked for."""
        self._attempts = 0

    def delay(self, attempt: int = 0) -> float:
        """Return the seconds before the next attempt."""
        return backoff(max(attempt, self._attempts))


class LineCore:
    """
    Base of state machines of clients of lines: what is read, how a connection ends, and attempts
    that fail.

    Attributes:
        due: when `expire` has something to do; None = never.
    """

    def __init__(self) -> None:
        self.session = LineSession()
        self.due: float | None = None
        self._connecting = Attempts()

    def connected(self, framing: LineCodec) -> None:
        """Begin a new connection."""
        self.session.begin(framing)
        self._connecting.succeeded()

    def receive(self, data: bytes, when: float) -> Iterator[Any]:
        """Take what the server has sent."""
        framing = self.session.framing
        if framing is None or self.session.ending:
            return
        try:
            for line in framing.receive(data):
                yield from self.read(line)
                if self.session.ending:
                    return
        except (FrameError, ClientError) as error:
            yield from self.unreadable(error)

    def read(self, line: bytes) -> Iterable[Any]:
        """Take a line; return its events."""
        raise NotImplementedError

    def unreadable(self, error: Exception) -> Iterable[Any]:
        """End a connection on which nothing more can be read."""
        self.session.end(str(error))
        return ()

    def lose(self, reason: str) -> Iterable[Lost]:
        """Note the end of the connection; the next attempt follows."""
        self.due = None
        return (Lost(self.session.lose(reason)),)

    def unreachable(self, text: str) -> Iterable[Unreachable]:
        """Note that an attempt to connect has failed; the first one in a row is an event."""
        return self._connecting.failed(text)

    def stop(self) -> tuple[()]:
        """Say that the client leaves."""
        self.session.leave()
        return ()

    @property
    def deadline(self) -> float | None:
        """When `expire` is due."""
        return None if self.session.ending else self.due


def log_in(session: LineSession, login: Login | None, clear_peer: str) -> Iterable[Refused]:
    """Log in on the tick port, or end a connection on which others could read the password."""
    if login is None:
        return ()
    try:
        check_private_peer(clear_peer)
    except ClientError as error:
        session.end(str(error))
        return (Refused("login", str(error)),)
    session.send(login.line)
    return ()


def reject(session: LineSession, line: bytes, login: Login | None) -> Refused:
    """End the connection with a server that is no tick port."""
    # A server that echoes its input would be quoted with the password.
    quoted = quote(line) if login is None else "not quoted"
    session.end("the server is not a tick port")
    return Refused("port", f"The server is not a tick port: {quoted}")
