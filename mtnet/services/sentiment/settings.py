"""The section `[sentiment]`."""

from typing import Annotated

from msgspec import Meta

from mtnet.config.schema import Count, Positive, Seconds, Section
from mtnet.durations import DAY

Lots = Annotated[float, Meta(gt=0, le=99_999_999)]


class SentimentSettings(Section, frozen=True):
    """`[sentiment]`."""

    enabled: bool = False
    """Whether clients can vote; an endpoint of `listen.sentiment` turns it on, too."""
    min_clients: Count | None = None
    """Votes below which nothing of a symbol is shown: no sum is one client's. None = 3; 1 where the
    daemon listens to this machine alone, and trusts it."""
    min_changes: Count = 1
    """Votes that must have changed before new sums are shown. With 1 sums are always those of now,
    and the difference of two can be one client's vote; with more they are a few votes behind."""
    max_volume: Lots = 100.0
    """Lots of one vote that count: a single client does not make the mood."""
    linger: Seconds = 60.0
    """How long a vote counts after its session has ended: terminals lose connections, and a vote
    that goes and comes would show itself."""
    interval: Seconds = 1.0
    """Between two changes of a sum that a session is sent; what comes meanwhile is gathered."""
    max_symbols: Count = 500
    """Votes of one login, or of one network without; an account holds a few hundred at most."""
    symbols: Count = 10_000
    """Symbols that have votes, or whose sums were shown once; unused ones make room."""
    max_votes: Count = 200_000
    """Votes of all clients; each takes about 500 bytes."""
    keep: Positive = 90.0 * DAY
    """Seconds for which the minute history is kept; a year of one symbol takes 20 MB."""
    pace: Seconds = 2.5
    """Between two frames to a classic program, which reads once a second and acts on the last frame
    of what it read; 0 = none."""
    repeat: Seconds = 60.0
    """After so much silence a classic program is sent its sums again, as it may have missed one;
    0 = never."""
    stalled: Positive = 60.0
    """A classic program whose connection took no byte for so long is closed."""
    frames: Count = 1_000
    """Frames of a classic program in a second; it is read more slowly when it sends more."""
    refusals: Count = 200
    """Refused frames of a classic program within a minute before it is closed."""
    codepage: str = "cp1252"
    """How text of classic programs is read that is not UTF-8, and how their symbols are written."""
