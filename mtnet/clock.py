"""
A wall clock with a clock-jump detector, checked against monotonic time.

Wall time is data: it is stored and shown. Expiry, pruning and repetition use monotonic time, or a
wall clock that has been right for a long time: a clock that is wrong for a moment must delete
nothing.
"""

import time as _time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from mtnet.durations import DAY
from mtnet.late_logger import LateLogger

JUMP = 600.0
"""Seconds by which wall time may drift from monotonic time; more is a jump. NTP corrects a running
clock by less; a manual change of summer time is more."""
STEADY = DAY
"""Seconds without a jump after which a clock counts as right: within a day somebody notices a
wrong clock, or NTP corrects it."""
AHEAD = 7 * DAY
"""Seconds between two runs without a doubt: a machine that was off over the holidays is not a
jump."""
CHECK_INTERVAL = 1.0
"""Seconds between two checks."""
STALL = 3.0
"""Seconds between two checks that show a stalled process: deadlines that peers missed meanwhile
may be its own fault."""

monotonic: Callable[[], float] = (
    partial(_time.clock_gettime, _time.CLOCK_BOOTTIME)
    if hasattr(_time, "CLOCK_BOOTTIME")
    else _time.monotonic
)
"""Returns monotonic seconds; where the system tells, the time counts for which it slept."""

_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"))


def system_time() -> int:
    """Return the wall time of this machine, milliseconds since the Unix epoch, UTC."""
    return _time.time_ns() // 1_000_000


class _Baseline(NamedTuple):
    """
    A wall clock that runs in step with monotonic time.

    Attributes:
        offset: wall time minus monotonic time, milliseconds.
        since: monotonic seconds of its beginning.
    """

    offset: int
    since: float


class WallClock:
    """
    Clock-jump detector: wall time, and whether it is trustworthy.

    Args:
        time: wall time, milliseconds since the Unix epoch, UTC.
        seconds: monotonic time, seconds.

    Attributes:
        time, seconds: these, for what is called for each signal.
    """

    log = LateLogger()

    def __init__(self, time: Callable[[], int], seconds: Callable[[], float]) -> None:
        self.time, self.seconds = time, seconds
        self._known = _Baseline(self._offset(), seconds())
        self._jumped: _Baseline | None = None
        self._doubt = ""
        self._newest, self._last_run = (0, ""), 0
        self._doubted, self._doubted_since = (0, 0), 0
        self._looked: float | None = None
        self._started = False
        self._stalled = -STALL

    def __call__(self) -> int:
        """Return the system's wall time: milliseconds since the Unix epoch, UTC."""
        return self.time()

    def watch(self) -> None:
        """Check the clock and detect stalls; called every `CHECK_INTERVAL` seconds."""
        when = self.seconds()
        if self._looked is not None and when - self._looked >= STALL:
            self._stalled = when
        self._looked = when
        self.look()

    def stalled(self) -> bool:
        """Return whether the process stalls, or did within the last `STALL` seconds."""
        when = self.seconds()
        held = self._looked is not None and when - self._looked >= STALL
        return held or when - self._stalled < STALL

    def compare(self, what: str, when: int) -> None:
        """
        Compare the clock, at the start, with a time in the data.

        Args:
            what: the name of the data: `the newest signal`.
            when: its time, milliseconds since the Unix epoch; 0 = there is none.
        """
        self._newest = max(self._newest, (when, what))

    def compare_run(self, when: int) -> None:
        """Compare the clock with the end of the last run; 0 = there was none."""
        self._last_run = when
        self.compare("the last run", when)

    def compare_doubt(self, first: int, last: int) -> None:
        """
        Load the record of earlier starts at which the clock was in doubt.

        A machine that runs some hours a day never runs for `STEADY` at once. Its clock counts as
        right when it has continued for that long since the first of these starts.

        Args:
            first: wall time of the first such start; 0 = there was none.
            last: wall time of the last such run.
        """
        self._doubted = first, last

    def estimate(self) -> int:
        """
        Return the reference time for the ages of data.

        It is the present time without a jump, or with one if that is earlier: data that counts as
        too young is kept too long, data that counts as too old is lost. After a start so far ahead
        that the clock may be wrong, it goes on from the end of the last run.
        """
        if (self._doubt or not self._started) and self._is_ahead() and not self._outlasted():
            return self._last_run + int((self.seconds() - self._known.since) * 1000)
        return min(self._known.offset + int(self.seconds() * 1000), self.time())

    def check_start(self) -> None:
        """Log once, after loading, that the clock does not fit the data."""
        self._started, self._doubt = True, self._misfit()
        if not self._doubt:
            return
        self._doubted_since = self._doubted[0] if self._goes_on() else self.time()
        if self._outlasted():
            self._accept(self._known)
        else:
            self.log.warn("{sentence}", sentence=self.warning)

    def look(self) -> None:
        """Detect a jump of the clock, and log it once."""
        offset, when = self._offset(), self.seconds()
        if _near(offset, self._known.offset):
            self._known = self._known._replace(offset=offset)
            if self._jumped is not None:
                self._jumped = None
                self.log.info("The clock of this machine is right again.")
            if self._doubt and when - self._known.since >= STEADY:
                self._accept(self._known)
        elif self._jumped is None or not _near(offset, self._jumped.offset):
            self._jumped = _Baseline(offset, when)
            if self._doubt and not self._misfit():
                self._accept_other(self._jumped)
            else:
                self.log.warn("{sentence}", sentence=self.warning)
        else:
            self._jumped = self._jumped._replace(offset=offset)
            if when - self._jumped.since >= STEADY:
                self._accept_other(self._jumped)

    @property
    def doubted_since(self) -> int:
        """Wall time of the first start that did not fit the data; 0 = none, or after a jump."""
        self.look()
        return 0 if self._jumped is not None else self._doubted_since

    @property
    def right(self) -> bool:
        """Whether there is no evidence against the clock at present."""
        self.look()
        return self._jumped is None and not self._doubt

    @property
    def steady(self) -> bool:
        """Whether the clock has been right long enough to delete old data by it."""
        return self.right and self.seconds() - self._known.since >= STEADY

    @property
    def warning(self) -> str:
        """The fault as a sentence; empty = none."""
        rest = f"Nothing is deleted for its age until the clock was right for {_span(STEADY)}."
        if self._jumped is not None:
            by = (self._jumped.offset - self._known.offset) / 1000
            jump = f"The clock of this machine jumped {_long(by)}; check its time and NTP."
            return f"{jump} {rest}"
        return f"{self._doubt} {rest}" if self._doubt else ""

    def health(self) -> dict[str, object]:
        """Report to `/healthz` and `mtnet status`: a wrong clock is a warning, not a failure."""
        self.look()
        return {"healthy": True, "warning": self.warning or None}

    def _offset(self) -> int:
        return self.time() - int(self.seconds() * 1000)

    def _accept(self, line: _Baseline) -> None:
        self._known, self._jumped, self._doubt = line, None, ""
        self.log.info("The clock of this machine counts as right from now on.")

    def _accept_other(self, line: _Baseline) -> None:
        self._doubted_since = 0
        self._accept(line)

    def _goes_on(self) -> bool:
        """Return whether the clock can have continued by itself since the doubted runs."""
        first, last = self._doubted
        return first > 0 and -JUMP * 1000 <= self.time() - last <= AHEAD * 1000

    def _outlasted(self) -> bool:
        return self._goes_on() and self.time() - self._doubted[0] >= STEADY * 1000

    def _misfit(self) -> str:
        newest, what = self._newest
        behind = (newest - self.time()) / 1000
        if behind > JUMP:
            return (
                f"The clock of this machine stands {_span(behind)} before the time of {what}; "
                "check its time and NTP."
            )
        if self._is_ahead():
            away = (self.time() - self._last_run) / 1000
            return (
                f"The clock of this machine stands {_span(away)} after the end of the last run; "
                "if the daemon was off for less, check its time and NTP."
            )
        return ""

    def _is_ahead(self) -> bool:
        return 0 < self._last_run < self.time() - AHEAD * 1000


def _near(one: int, other: int) -> bool:
    return abs(one - other) <= JUMP * 1000


def _span(seconds: float) -> str:
    seconds = abs(seconds)
    for size, name in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"


def _long(seconds: float) -> str:
    return f"{_span(seconds)} {'ahead' if seconds > 0 else 'back'}"
