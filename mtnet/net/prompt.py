"""Sending in this turn of the reactor."""

from typing import Any

from twisted.internet.abstract import FileDescriptor

from mtnet.net.pieces import bare


def send_now(transport: Any) -> None:
    """
    Hand to the kernel what waits in a transport.

    Twisted does so a turn later. A failure is left to that turn, which meets it again and
    closes the connection, and so is a close that waits for the last byte.
    """
    below = bare(transport)
    if isinstance(below, FileDescriptor) and below.connected and not below.disconnecting:
        below.doWrite()
