"""Runs the state machine of a client over sockets, in the thread of the caller."""

import math
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, PollSelector
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mtnet.client.blocking.tls import context, why
from mtnet.client.core.address import Address
from mtnet.client.core.driver import Core, Driver
from mtnet.errors import ClientError
from mtnet.net.tcp_options import enable_keepalive

if TYPE_CHECKING:
    import ssl

CONNECT_TIMEOUT = 30.0
"""Seconds for an attempt to connect, and as many for the TLS handshake."""
SEND_TIMEOUT = 5.0
"""Seconds in which some bytes of a write must have left: a peer that takes none is gone."""
SHORTEST = 0.001
"""Seconds that a wait takes at least: 0 would not wait for the socket at all."""
READ_SIZE = 65_536
"""Bytes of one read, more than a record of TLS has: nothing decrypted is left over unseen."""
LONGEST = 3_600.0
"""Seconds that one wait takes at most: the system knows no endless one as a number."""
E = TypeVar("E")
monotonic = time.monotonic


def dial(address: Address, timeout: float) -> socket.socket:
    """
    Connect to a server.

    Args:
        timeout: seconds for the attempt, and as many for the TLS handshake.

    Raises:
        OSError, UnicodeError: there is no connection.
        ClientError: a file of the address holds no certificate.
    """
    secure = context(address)
    host = address.host
    # As bytes it needs no module for names with letters of other scripts.
    where: Any = host.encode() if host.isascii() else host
    found = socket.create_connection((where, address.port), timeout)
    try:
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        enable_keepalive(found)
        if secure is not None:
            return _encrypt(found, secure, address.name)
    except BaseException:
        found.close()
        raise
    return found


def _encrypt(found: socket.socket, secure: "ssl.SSLContext", name: str) -> socket.socket:
    from ssl import SSLEOFError

    try:
        return secure.wrap_socket(found, server_hostname=name)
    except (ConnectionError, SSLEOFError) as error:
        text = "the server broke off the TLS handshake; does that port speak TLS?"
        raise ConnectionError(text) from error


class BlockingRunner(Generic[E]):
    """
    Reconnecting client without an event loop: one connection after the other, while `run` runs.

    Args:
        address: of a stream or of a WebSocket.
        handle: takes each event; an exception of it goes to the caller of `run`.
        framing: makes the codec of a connection.
    """

    def __init__(
        self,
        address: Address,
        core: Core[E],
        handle: Callable[[E], object],
        framing: Callable[[Address], Any],
    ) -> None:
        self._address, self._framing = address, framing
        self._driver = Driver(core, self, handle)
        self._core = core
        # Of all selectors it alone takes files as well as pipes.
        self._selector = PollSelector()
        self._socket: socket.socket | None = None
        self._peer = self._reason = ""
        self._call: Callable[[], object] | None = None
        self._due = 0.0

    def run(self, ended: Callable[[], object], seconds: float | None) -> None:
        """
        Run until `ended` is true, or so many seconds have passed since the first connection.

        Args:
            seconds: None = for ever.

        Raises:
            ClientError: the first attempt to connect has failed.
        """
        found = self._connect(CONNECT_TIMEOUT)
        until = monotonic() + (math.inf if seconds is None else seconds)

        def over() -> bool:
            return bool(ended()) or monotonic() >= until

        self._serve(found, over, until)
        attempt = 0
        while not over():
            self._pause(min(until, monotonic() + self._driver.delay(attempt)), over)
            if over():
                return
            try:
                found = self._connect(min(CONNECT_TIMEOUT, until - monotonic()))
            except ClientError as error:
                attempt += 1
                self._driver.failed(str(error))
            else:
                attempt = 0
                self._serve(found, over, until)

    def close(self) -> None:
        """Say good-bye, and disconnect; what ends by it is no event."""
        for _ in self._core.stop():
            pass
        self._driver.run()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
        self.abort()

    def watch(self, descriptor: int, ready: Callable[[], object]) -> None:
        """Call a function whenever a file or a pipe can be read, or has ended."""
        self._selector.register(descriptor, EVENT_READ, ready)

    def unwatch(self, descriptor: int) -> None:
        """Call it no more."""
        self._selector.unregister(descriptor)

    def send(self) -> None:
        """Send what waits."""
        self._driver.run()

    # As the connection of the driver

    def write(self, data: bytes) -> None:
        """Send bytes; a connection that takes none is noticed at the next read."""
        if self._socket is not None:
            try:
                self._socket.settimeout(SEND_TIMEOUT)
                left = memoryview(data)
                while left:
                    left = left[self._socket.send(left) :]
            except OSError:
                self.abort()

    def abort(self) -> None:
        """Disconnect."""
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    # As its clock

    def now(self) -> float:
        """Return seconds of a clock that is never set."""
        return monotonic()

    def call_later(self, delay: float, call: Callable[[], object]) -> "BlockingRunner[E]":
        """Call a function after a delay; there is one at a time."""
        self._due, self._call = monotonic() + delay, call
        return self

    def cancel(self) -> None:
        """Do not call it."""
        self._call = None

    def _connect(self, timeout: float) -> socket.socket:
        try:
            found = dial(self._address, max(timeout, SHORTEST))
            self._peer = "" if self._address.secure else str(found.getpeername()[0])
        except (OSError, UnicodeError) as error:
            reason = why(error)
            end = "" if reason.endswith("?") else "."
            raise ClientError(f"No connection to {self._address.text}: {reason}{end}") from error
        return found

    def _serve(self, found: socket.socket, over: Callable[[], bool], until: float) -> None:
        """Read until the connection is lost, or nothing more is to be done."""
        self._socket, self._reason = found, "it was closed"
        self._selector.register(found, EVENT_READ, self._read)
        self._driver.connected(self, self._framing(self._address), self._peer)
        while self._socket is not None and not over():
            self._turn(until)
        if not over():
            self.abort()
            self._driver.lost(self._reason)

    def _pause(self, until: float, over: Callable[[], bool]) -> None:
        while monotonic() < until and not over():
            self._turn(until)

    def _turn(self, until: float) -> None:
        """Do what is due, or wait until something is or can be read."""
        if self._call is not None and self._due <= monotonic():
            self._expire()  # also while bytes never stop coming
            return
        wait = min(until, until if self._call is None else self._due) - monotonic()
        for key, _ in self._selector.select(min(max(wait, SHORTEST), LONGEST)):
            if self._selector.get_map().get(key.fd) is key:  # not if one before it let go of it
                key.data()

    def _read(self) -> None:
        if self._socket is None:
            return
        try:
            # Of TLS the rest of a record may not have come.
            self._socket.settimeout(SHORTEST)
            data = self._socket.recv(READ_SIZE)
        except TimeoutError:
            return
        except OSError as error:
            self._reason, data = why(error), b""
        else:
            self._reason = self._reason if data else "the server closed it"
        if data:
            self._driver.received(data)
        else:
            self.abort()

    def _expire(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()
