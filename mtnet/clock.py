"""
A wall clock that is checked against monotonic time.

Wall time is data: it is stored and shown. What is forgotten, expired or repeated is judged by
monotonic time, or by a wall clock that was right for long: a clock that is wrong for one moment
must delete nothing.
"""

from collections.abc import Callable
from typing import NamedTuple

from twisted.logger import Logger

JUMP = 600.0
"""Seconds by which wall time and monotonic time may differ before it is a jump. NTP corrects a
clock that runs by less; a summer time that somebody set by hand is more."""
STEADY = 86_400.0
"""Seconds without a jump after which a clock counts as right: within a day somebody has seen
that it is wrong, or NTP has set it."""
AHEAD = 7 * 86_400.0
"""Seconds for which the daemon may not have run when it starts: a machine that was off over the
holidays is no jump."""
LOOK = 1.0
"""Seconds between two looks."""
STALL = 3.0
"""Seconds between two looks from which on the process itself was held up: what peers did not do
in time meanwhile may be its own fault."""

_UNITS = ((86_400, "days"), (3_600, "hours"), (60, "minutes"))


class _Line(NamedTuple):
    """
    A wall clock that goes as monotonic time does.

    Attributes:
        offset: milliseconds that make wall time of monotonic time.
        since: monotonic seconds at which it began.
    """

    offset: int
    since: float


class WallClock:
    """
    Clock-jump detector: wall time, and whether it may be believed.

    Args:
        time: wall time, milliseconds since the Unix epoch, UTC.
        seconds: monotonic.
    """

    log = Logger()

    def __init__(self, time: Callable[[], int], seconds: Callable[[], float]) -> None:
        self._time, self._seconds = time, seconds
        self._known = _Line(self._offset(), seconds())
        self._jumped: _Line | None = None
        self._doubt = ""
        self._newest, self._last_run = (0, ""), 0
        self._doubted, self._doubted_since = (0, 0), 0
        self._looked: float | None = None
        self._started = False
        self._stalled = -STALL

    def __call__(self) -> int:
        """Return wall time as the system tells it: milliseconds since the Unix epoch, UTC."""
        return self._time()

    def moment(self) -> int:
        """Return milliseconds of a clock that is never set, for ages within this process."""
        return int(self._seconds() * 1000)

    def watch(self) -> None:
        """Look; called every `LOOK` seconds by the daemon, which also tells when it was held up."""
        when = self._seconds()
        if self._looked is not None and when - self._looked >= STALL:
            self._stalled = when
        self._looked = when
        self.look()

    def stalled(self) -> bool:
        """Say whether the process is held up, or was within the last `STALL` seconds."""
        when = self._seconds()
        held = self._looked is not None and when - self._looked >= STALL
        return held or when - self._stalled < STALL

    def compare(self, what: str, when: int) -> None:
        """
        Compare the clock, at the start, with a time in the data.

        Args:
            what: has this time: `the newest signal`.
            when: milliseconds since the Unix epoch; 0 = there is none.
        """
        self._newest = max(self._newest, (when, what))

    def compare_run(self, when: int) -> None:
        """Compare it with the time at which the last run ended; 0 = there was none."""
        self._last_run = when
        self.compare("the last run", when)

    def compare_doubt(self, first: int, last: int) -> None:
        """
        Take what earlier runs noted of a clock that was doubted at their starts.

        A machine that runs for some hours a day never runs for `STEADY` at once: its clock is
        taken for right when it went on from the first of these starts for as long.

        Args:
            first: wall time of the first such start; 0 = there was none.
            last: wall time of the last such run.
        """
        self._doubted = first, last

    def estimate(self) -> int:
        """
        Return the time from which the ages of data are counted: now, if no jump is under way;
        or, at a start so far ahead that the clock may be wrong, the end of the last run.
        """
        if not self._started and self._is_ahead() and not self._outlasted():
            return self._last_run
        return self._known.offset + self.moment()

    def check_start(self) -> None:
        """Say once, when all is loaded, that the clock does not fit the data."""
        self._started, self._doubt = True, self._misfit()
        if not self._doubt:
            return
        self._doubted_since = self._doubted[0] if self._goes_on() else self._time()
        if self._outlasted():
            self._accept(self._known)
        else:
            self.log.warn("{sentence}", sentence=self.warning)

    def look(self) -> None:
        """Find out whether the clock has jumped, and say so once."""
        offset, when = self._offset(), self._seconds()
        if _near(offset, self._known.offset):
            self._known = self._known._replace(offset=offset)
            if self._jumped is not None:
                self._jumped = None
                self.log.info("The clock of this machine is right again.")
            if self._doubt and when - self._known.since >= STEADY:
                self._accept(self._known)
        elif self._jumped is None or not _near(offset, self._jumped.offset):
            self._jumped = _Line(offset, when)
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
        """Wall time of the first start that did not fit the data; 0 = none, or it has jumped."""
        self.look()
        return 0 if self._jumped is not None else self._doubted_since

    @property
    def right(self) -> bool:
        """Whether nothing speaks against the clock at present."""
        self.look()
        return self._jumped is None and not self._doubt

    @property
    def steady(self) -> bool:
        """Whether it was right for so long that what is old by it may be deleted."""
        return self.right and self._seconds() - self._known.since >= STEADY

    @property
    def warning(self) -> str:
        """What is wrong, a sentence; empty = nothing."""
        rest = f"Nothing is deleted for its age until the clock was right for {_span(STEADY)}."
        if self._jumped is not None:
            by = (self._jumped.offset - self._known.offset) / 1000
            told = f"The clock of this machine jumped {_long(by)}; check its time and NTP."
            return f"{told} {rest}"
        return f"{self._doubt} {rest}" if self._doubt else ""

    def health(self) -> dict[str, object]:
        """Report for `/healthz` and `mtnet status`: a wrong clock is a warning, no failure."""
        self.look()
        return {"healthy": True, "warning": self.warning or None}

    def _offset(self) -> int:
        return self._time() - int(self._seconds() * 1000)

    def _accept(self, line: _Line) -> None:
        self._known, self._jumped, self._doubt = line, None, ""
        self.log.info("The clock of this machine is taken for right from now on.")

    def _accept_other(self, line: _Line) -> None:
        self._doubted_since = 0
        self._accept(line)

    def _goes_on(self) -> bool:
        """Say whether the clock can have gone on by itself since the doubted runs."""
        first, last = self._doubted
        return first > 0 and -JUMP * 1000 <= self._time() - last <= AHEAD * 1000

    def _outlasted(self) -> bool:
        return self._goes_on() and self._time() - self._doubted[0] >= STEADY * 1000

    def _misfit(self) -> str:
        newest, what = self._newest
        behind = (newest - self._time()) / 1000
        if behind > JUMP:
            return (
                f"The clock of this machine stands {_span(behind)} before the time of {what}; "
                "check its time and NTP."
            )
        if self._is_ahead():
            away = (self._time() - self._last_run) / 1000
            return (
                f"The clock of this machine stands {_span(away)} after the end of the last run; "
                "if the daemon was off for less, check its time and NTP."
            )
        return ""

    def _is_ahead(self) -> bool:
        return 0 < self._last_run < self._time() - AHEAD * 1000


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
