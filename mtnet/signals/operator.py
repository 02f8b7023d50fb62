"""What whoever runs the daemon can do with a channel: pause it, let it go on, flatten it."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from mtnet.errors import WireError
from mtnet.signals.desk import Desk
from mtnet.signals.entries import FLAT, Draft
from mtnet.signals.holds import Holds
from mtnet.signals.providers import Publisher
from mtnet.signals.referee import OPERATOR


class _Patient:
    """Is asked to pause, and sends nothing anyhow."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class Operator:
    """
    Args:
        holds: which channels are paused.
        now: milliseconds since the Unix epoch, UTC.
    """

    def __init__(self, desk: Desk, holds: Holds, now: Callable[[], int]) -> None:
        self._desk, self._holds, self._now = desk, holds, now
        self._publisher = Publisher(
            "the operator", OPERATOR, _Patient(), lambda error: None, lambda channel: None
        )
        desk.held = holds.channels

    def commands(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """Return what can be asked for through the control socket."""
        return {
            "signals pause": lambda asked: self.pause(_channel(asked)),
            "signals resume": lambda asked: self.resume(_channel(asked)),
            "signals accept": lambda asked: Deferred.fromCoroutine(
                self._desk.accept(_channel(asked), asked.get("new_epoch") is True)
            ),
            "signals flatten": lambda asked: Deferred.fromCoroutine(self.flatten(_channel(asked))),
        }

    def pause(self, channel: str) -> None:
        """
        Take no position in a channel from now on; followers keep what they have.

        Raises:
            WireError: `channel`; there is none of this name.
            JournalError: the disk does not keep it.
        """
        self._desk.channel(channel)
        self._holds.put(channel)
        self._desk.held = self._holds.channels

    def resume(self, channel: str) -> None:
        """
        Take positions again.

        Raises:
            WireError, JournalError: as `pause`.
        """
        self._desk.channel(channel)
        self._holds.lift(channel)
        self._desk.held = self._holds.channels

    async def flatten(self, channel: str) -> int:
        """
        Close every position and remove every order; return how many.

        Raises:
            WireError: `channel`, or `server` when the disk failed.
        """
        held, when = self._desk.channel(channel).held(), self._now()
        drafts = [
            Draft(channel, entry.symbol, FLAT, when, entry.ticket, f"flatten-{when}-{entry.seq}")
            for entry in held
        ]
        stored: list[Deferred[int]] = [self._desk.publish(self._publisher, d) for d in drafts]
        try:
            await gatherResults(stored, consumeErrors=True)
        except Exception as error:
            raise _cause(error) from error
        return len(held)


def _channel(asked: Mapping[str, Any]) -> str:
    found = asked.get("channel")
    if not isinstance(found, str):
        raise WireError("channel", "Name a channel")
    return found


def _cause(error: Exception) -> Exception:
    """Return what a part of `gatherResults` failed with."""
    failure = getattr(error, "subFailure", None)
    cause = failure.value if failure is not None else error
    return cause if isinstance(cause, Exception) else WireError("server", str(cause))
