"""Coroutines and Deferreds that seldom wait, or never."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def run(coroutine: "Coroutine[Deferred[Any], Any, T | Deferred[T]]") -> "T | Deferred[T]":
    """
    Run a coroutine up to the first Deferred that it waits for; it may return a Deferred, too. A
    Deferred is made only when it waits.

    Returns:
        Its result, or, if it waits, a Deferred of it.

    Raises:
        Exception: what it raised before it waited.
    """
    try:
        waiting = coroutine.send(None)
    except StopIteration as end:
        found: T | Deferred[T] = end.value
        return found
    return Deferred.fromCoroutine(_go_on(coroutine, waiting))


async def _go_on(coroutine: Coroutine[Any, Any, Any], waiting: Any) -> Any:
    """Drive a coroutine that waits; a Deferred that it returns is waited for, too."""
    while True:
        try:
            try:
                result = await waiting
            except Exception as error:
                waiting = coroutine.throw(error)
            else:
                waiting = coroutine.send(result)
        except StopIteration as end:
            return await end.value if isinstance(end.value, Deferred) else end.value


def result_of(work: "Deferred[T]") -> T:
    """
    Return the result of what never waits.

    Raises:
        Exception: what it failed with.
    """
    done: list[T | Failure] = []
    work.addBoth(done.append)
    (found,) = done
    if isinstance(found, Failure):
        found.raiseException()
    return found
