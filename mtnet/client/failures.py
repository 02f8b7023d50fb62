"""Failures and time-outs of every client."""

import time
from typing import NoReturn, TypeVar

from OpenSSL.SSL import Error
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorCore, IReactorTime
from twisted.logger import Logger

from mtnet.client.core.address import no_connection
from mtnet.errors import ClientError
from mtnet.net.tls.context import reason as reason_of

T = TypeVar("T")
log = Logger()


def warn(sentence: str) -> None:
    """Log a sentence that a program does not handle itself."""
    log.warn("{sentence}", sentence=sentence)


def why(error: BaseException | None) -> str:
    """Return the reason of a failed connection for the middle of a sentence."""
    if isinstance(error, Error):
        reason = reason_of(error)
        if "certificate required" in reason:
            return "the server asks for a certificate of the client"
        return f"TLS: {reason}"
    cause = error.args[0] if isinstance(error, ConnectError) and error.args[0] else error
    return str(cause).rstrip(".")


def sentence(error: BaseException | None) -> str:
    """Return the sentence for a failed attempt to connect."""
    if isinstance(error, ClientError):
        return str(error)
    return no_connection("the server", why(error))


def monotonic(clock: IReactorTime) -> float:
    """Return seconds of a clock that is never set; the one of Twisted's reactors is wall time."""
    return time.monotonic() if IReactorCore.providedBy(clock) else clock.seconds()


def within(
    deferred: "Deferred[T]", seconds: float, clock: IReactorTime, sentence: str
) -> "Deferred[T]":
    """Fail `deferred` with a `ClientError` of `sentence` if it does not fire in `seconds`."""

    def expire(_: object, __: float) -> NoReturn:
        raise ClientError(sentence)

    return deferred.addTimeout(seconds, clock, expire)
