"""Waiting for what happens in other processes."""

import queue
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import pytest

SPEED = 5
"""Time that an expert measures runs so many times faster; the daemon's heartbeat follows it."""
FASTER = 20
"""For waits of minutes, with a heartbeat of the daemon that follows it."""
PATIENCE = 60.0
"""Seconds until a test gives up; on a machine that is busy a daemon needs 20 to start."""
POLL = 0.05

T = TypeVar("T")


def until(condition: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Wait until `condition()` is true and return it."""
    found = within(condition, seconds)
    if not found:
        pytest.fail(f"It did not happen within {seconds} s.", pytrace=True)
    return found


def within(condition: Callable[[], T], seconds: float) -> T | None:
    """Wait for `condition()` and return it; None = it did not become true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with suppress(queue.Empty):  # a program whose thread hangs says nothing
            found = condition()
            if found:
                return found
        time.sleep(POLL)
    return None


def stays(condition: Callable[[], object], seconds: float, speed: float = SPEED) -> None:
    """Check for so many seconds of an expert's time that `condition()` stays true."""
    end = time.monotonic() + seconds / speed
    while time.monotonic() < end:
        assert condition()
        time.sleep(POLL)


def sleep(seconds: float) -> None:
    """Let so many seconds of an expert's time pass."""
    time.sleep(seconds / SPEED)
