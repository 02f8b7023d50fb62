"""Coroutines that seldom wait: a Deferred is made only when one does."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


def run(coroutine: "Coroutine[Deferred[Any], Any, T | Deferred[T]]") -> "T | Deferred[T]":
    """
    Run a coroutine up to the first Deferred that it waits for; it may return a Deferred, too.

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
