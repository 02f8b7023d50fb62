"""
Attempts to connect that fail.

Pure.
"""

from mtnet.client.core.events import Unreachable


class Attempts:
    """Attempts to connect: the first that fails in a row is an event."""

    def __init__(self) -> None:
        self._failing = False

    def succeeded(self) -> None:
        """Note a connection."""
        self._failing = False

    def failed(self, text: str) -> tuple[Unreachable, ...]:
        """Note an attempt that failed, with a sentence; return the events."""
        first, self._failing = not self._failing, True
        return (Unreachable(text),) if first else ()
