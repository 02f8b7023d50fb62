"""The section `[indicators]`."""

from mtnet.config.schema import Count, Positive, Section
from mtnet.durations import DAY


class IndicatorSettings(Section, frozen=True):
    """`[indicators]`."""

    enabled: bool = False
    """Whether clients can use indicators; while they are off, their verbs are unknown. An endpoint
    of their own enables them, too."""
    keep: Count = 5_000
    """Last bars of each series that are kept on disk: a chart shows fewer. One of one buffer takes
    about 30 bytes."""
    max_series: Count = 1_000
    """Series (name, symbol and period) at once; values of more are refused. With `keep`, this
    bounds the file."""
    unused: Positive = 90.0 * DAY
    """Seconds after which a series is removed that has got no value."""
    max_followed: Count = 1_000
    """Series that one session can follow."""
    backlog: Count = 1_000
    """Values of one session that wait for the disk before the session is read more slowly."""
    turn: Positive = 0.005
    """Seconds for which the last bars that clients ask for may keep the reactor at once."""
