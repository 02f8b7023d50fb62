"""Runs the state machine of a client over sockets, in the thread of the caller."""

import math
import socket
import time
from collections.abc import Callable
from contextlib import suppress
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
"""Seconds in which the bytes of one write must have left."""
SHORTEST = 0.001
"""Seconds that a wait takes at least: 0 would not wait for the socket at all."""
LONGEST = 3_600.0
"""Seconds that one wait takes at most: the system knows no endless one as a number."""
E = TypeVar("E")
monotonic, sleep = time.monotonic, time.sleep


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
        self._socket: socket.socket | None = None
        self._peer = ""
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
        found: socket.socket | None = self._connect(CONNECT_TIMEOUT)
        until = monotonic() + (math.inf if seconds is None else seconds)
        attempt = 0
        while True:
            if found is not None:
                attempt = 0
                self._serve(found, ended, until)
            if ended() or monotonic() >= until:
                return
            sleep(min(self._driver.delay(attempt), max(0.0, until - monotonic())))
            try:
                found = self._connect(min(CONNECT_TIMEOUT, until - monotonic()))
            except ClientError as error:
                found, attempt = None, attempt + 1
                self._driver.failed(str(error))

    def close(self) -> None:
        """Say good-bye, and disconnect; what ends by it is no event."""
        for _ in self._core.stop():
            pass
        self._driver.run()
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)
        self.abort()

    # As the connection of the driver

    def write(self, data: bytes) -> None:
        """Send bytes; a connection that takes none is noticed at the next read."""
        if self._socket is not None:
            try:
                self._socket.settimeout(SEND_TIMEOUT)
                self._socket.sendall(data)
            except OSError:
                self.abort()

    def abort(self) -> None:
        """Disconnect."""
        if self._socket is not None:
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

    def _serve(self, found: socket.socket, ended: Callable[[], object], until: float) -> None:
        """Read until the connection is lost, or nothing more is to be done."""
        self._socket, reason = found, "it was closed"
        self._driver.connected(self, self._framing(self._address), self._peer)
        while self._socket is not None and not ended() and monotonic() < until:
            if self._call is not None and self._due <= monotonic():
                self._expire()  # also while bytes never stop coming
                continue
            wait = min(until, until if self._call is None else self._due) - monotonic()
            self._socket.settimeout(min(max(wait, SHORTEST), LONGEST))
            try:
                data = self._socket.recv(65_536)
            except TimeoutError:
                continue
            except OSError as error:
                reason = why(error)
                break
            if not data:
                reason = "the server closed it"
                break
            self._driver.received(data)
        if not ended() and monotonic() < until:
            self.abort()
            self._driver.lost(reason)

    def _expire(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call()
