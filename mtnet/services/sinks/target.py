"""Target: a server that a sink writes to."""

from typing import NamedTuple, Protocol

from mtnet.errors import MtnetError
from mtnet.services.sinks.model import Batch


class TargetError(MtnetError):
    """A server did not take ticks; the same ticks are sent again later."""


class Written(NamedTuple):
    """
    Answer of a server to ticks.

    Attributes:
        refused: how many of them it will never take.
        reason: why; empty = it has all.
    """

    refused: int = 0
    reason: str = ""


TAKEN = Written()
"""The server has all."""


class Target(Protocol):
    """
    A server that takes ticks; blocking, for one thread at a time.

    Attributes:
        label: as people are shown it, without a secret.
    """

    label: str

    def write(self, origin: str, batch: Batch) -> Written:
        """
        Write ticks; those that it has already change nothing.

        Args:
            origin: names the queue whose numbers the ticks have.

        Raises:
            TargetError: they are not, or perhaps not, all there.
        """

    def check(self) -> None:
        """
        Connect, and look whether ticks can be written.

        Raises:
            TargetError: they cannot.
        """

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
