"""Peer log: log lines about peers, at a limited rate for each network."""

from collections.abc import Callable

from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from mtnet.access.throttle import LogThrottle
from mtnet.net.endpoints import host_of, show


class PeerLog:
    """
    Rate-limited log: what peers do wrong, without letting a network fill the log.

    Args:
        throttle: the limit; shared by all services.
        seconds: monotonic.
    """

    __slots__ = ("_seconds", "_throttle")

    def __init__(self, throttle: LogThrottle, seconds: Callable[[], float]) -> None:
        self._throttle, self._seconds = throttle, seconds

    def warn(self, log: Logger, address: IAddress, kind: str, text: str, **fields: object) -> None:
        """
        Log a warning, unless there were too many of its kind about this network.

        Args:
            log: of the protocol.
            kind: what is counted together.
            text: a format of `twisted.logger`; `{peer}` is the address.
        """
        if self._throttle.admits(host_of(address), self._seconds(), kind):
            log.warn(text, peer=show(address), **fields)
