"""Options of TCP sockets: keepalive, and the time that unanswered bytes may take."""

import socket

KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3}
"""Seconds of silence, seconds between probes, probes: a vanished peer is gone in 90 s."""
USER_TIMEOUT = 30_000
"""Milliseconds for which sent bytes, or a closed window, may stay without progress."""


def is_tcp(sock: object) -> bool:
    """Return whether a handle is a TCP socket, and neither a Unix socket nor one of TLS."""
    return isinstance(sock, socket.socket) and sock.family in (socket.AF_INET, socket.AF_INET6)


def enable_keepalive(sock: socket.socket, idle: int = KEEPALIVE["TCP_KEEPIDLE"]) -> None:
    """
    Let the kernel probe a silent peer, and end the connection when there is no answer.

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
