"""TCP keepalive settings of idle connections."""

import socket

from twisted.internet.interfaces import ITCPTransport

from mtnet.net.transport import Transport, innermost

KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds of silence, seconds between probes, probes: a vanished peer is gone in 90 s."""
USER_TIMEOUT = 30_000
"""Milliseconds for which sent bytes, or a closed window, may stay without progress."""


def configure_keepalive(transport: Transport, send_buffer: int | None = None) -> None:
    """
    Let the kernel watch over a TCP connection; other transports are left as they are.

    Args:
        send_buffer: bytes that the kernel may keep for a peer that does not read; None =
            what it thinks best.
    """
    below = innermost(transport)  # TLS says of itself that it is TCP, and has no socket
    if not ITCPTransport.providedBy(below):
        return
    tcp: ITCPTransport = ITCPTransport(below)
    sock: socket.socket = below.getHandle()
    if not is_tcp(sock):  # Twisted says of a Unix socket that it is TCP
        return
    tcp.setTcpNoDelay(True)
    if send_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    enable_keepalive(sock)


def is_tcp(sock: object) -> bool:
    """Say whether a handle is a socket of TCP, and neither a Unix socket nor one of TLS."""
    return isinstance(sock, socket.socket) and sock.family in (socket.AF_INET, socket.AF_INET6)


def enable_keepalive(sock: socket.socket, idle: int = KEEPALIVE["TCP_KEEPIDLE"]) -> None:
    """
    Let the kernel ask a silent peer whether it is there, and end a TCP connection that is not.

    Args:
        idle: seconds of silence before the first probe.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {**KEEPALIVE, "TCP_KEEPIDLE": idle, "TCP_USER_TIMEOUT": USER_TIMEOUT}
    for name, value in options.items():
        # Absent on some systems; there the kernel's own, slower watch remains.
        option = getattr(socket, name, None)
        if option is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
