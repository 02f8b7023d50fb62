"""What every client needs: how failures are told, and how long it waits."""

from typing import NoReturn, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorTime

from mtnet.errors import ClientError

T = TypeVar("T")

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds between attempts to connect again: a server's restart is noticed in half a minute."""


def why(error: BaseException | None) -> str:
    """Return the reason of a failed connection for the middle of a sentence."""
    reason = error.args[0] if isinstance(error, ConnectError) and error.args[0] else error
    return str(reason).rstrip(".")


def within(
    deferred: "Deferred[T]", seconds: float, clock: IReactorTime, sentence: str
) -> "Deferred[T]":
    """Fail `deferred` with a `ClientError` of `sentence` if it does not fire in `seconds`."""

    def expire(_: object, __: float) -> NoReturn:
        raise ClientError(sentence)

    return deferred.addTimeout(seconds, clock, expire)
