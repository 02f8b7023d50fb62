"""Runs the state machine of a client over sockets, in the thread of the caller."""

import math
import selectors
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mtnet.client.blocking.tls import context, why
from mtnet.client.core.address import Address, no_connection
from mtnet.client.core.driver import Core, Driver
from mtnet.errors import ClientError
from mtnet.net.tcp_options import enable_keepalive

if TYPE_CHECKING:
    import ssl

CONNECT_TIMEOUT = 30.0
"""Seconds for an attempt to connect, and as many for the TLS handshake."""
CLOSE_TIMEOUT = 5.0
"""Seconds in which the last bytes must have left."""
RESET = struct.pack("ii", 1, 0)
"""`SO_LINGER` of a connection that ends in the middle of what was written: the peer must not take
half a line for a whole one."""
SHORTEST = 0.001
"""Seconds that a wait takes at least: 0 would not wait for the socket at all."""
READ_SIZE = 65_536
"""Bytes of one read, more than a record of TLS has: nothing decrypted is left over unseen."""
LONGEST = 3_600.0
"""Seconds that one wait takes at most: the system knows no endless one as a number."""
E = TypeVar("E")
monotonic = time.monotonic
Selector: type[selectors.BaseSelector] = getattr(
    selectors, "PollSelector", selectors.DefaultSelector
)
"""Of all selectors this one takes files as well as pipes; Windows has none for either."""


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
        self._selector = Selector()
        self._socket: socket.socket | None = None
        self._peer = self._reason = ""
        self._unsent, self._is_sending, self._is_full = bytearray(), False, False
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
        if self._socket is not None and not self._is_sending:
            with suppress(OSError):
                self._socket.settimeout(CLOSE_TIMEOUT)
                self._socket.sendall(self._unsent)
                self._unsent.clear()
                self._socket.shutdown(socket.SHUT_WR)
        self.abort()

    def watch(self, descriptor: int, ready: Callable[[], object]) -> None:
        """Call a function whenever a file or a pipe can be read, or has ended."""
        self._selector.register(descriptor, EVENT_READ, lambda _: ready())

    def unwatch(self, descriptor: int) -> None:
        """Call it no more."""
        self._selector.unregister(descriptor)

    def send(self) -> None:
        """Send what waits."""
        self._driver.run()

    # As the connection of the driver

    def write(self, data: bytes) -> None:
        """Send bytes as the peer takes them; a connection that is lost is noticed by a read."""
        if self._socket is not None and not self._is_sending:
            self._unsent += data
            self._send()

    def abort(self) -> None:
        """Disconnect."""
        if self._socket is not None:
            if self._unsent or self._is_sending:
                with suppress(OSError):
                    self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _send(self) -> None:
        """Send what the peer takes now; the rest waits until it takes more."""
        connection: Any = self._socket
        try:
            connection.settimeout(0.0)
            while self._unsent:
                # A signal between both would leave it unknown what has left.
                self._is_sending = True
                del self._unsent[: connection.send(self._unsent)]
                self._is_sending = False
        except OSError as error:
            self._is_sending = False
            if not can_be_tried_again(error):
                self._reason = why(error)
                self.abort()
                return
        if bool(self._unsent) != self._is_full:
            self._is_full = bool(self._unsent)
            wanted = EVENT_READ | EVENT_WRITE if self._is_full else EVENT_READ
            self._selector.modify(connection, wanted, self._ready)

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
            raise ClientError(no_connection(self._address.text, why(error))) from error
        return found

    def _serve(self, found: socket.socket, over: Callable[[], bool], until: float) -> None:
        """Read until the connection is lost, or nothing more is to be done."""
        self._socket, self._reason = found, "it was closed"
        self._unsent, self._is_sending, self._is_full = bytearray(), False, False
        self._selector.register(found, EVENT_READ, self._ready)
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
        for key, events in self._selector.select(min(max(wait, SHORTEST), LONGEST)):
            known = self._selector.get_map().get(key.fd)
            if known is not None and known.data is key.data:  # one before it may have let go of it
                key.data(events)

    def _ready(self, events: int) -> None:
        if events & EVENT_WRITE:
            self._send()
        if events & EVENT_READ and self._socket is not None:
            self._read(self._socket)

    def _read(self, connection: socket.socket) -> None:
        try:
            connection.settimeout(0.0)
            data = connection.recv(READ_SIZE)
        except OSError as error:
            if can_be_tried_again(error):
                return
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


def can_be_tried_again(error: OSError) -> bool:
    """Return whether a connection only has nothing to read, or no room, at present."""
    # By name: nothing imports ssl for a connection in clear text.
    again = "SSLWantReadError", "SSLWantWriteError"
    return isinstance(error, BlockingIOError) or type(error).__name__ in again
