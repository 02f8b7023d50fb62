"""
Moments as people, terminals and programs write them; milliseconds of the broker's clock.

Pure.
"""

import re
from calendar import timegm
from datetime import UTC, datetime

from mtnet.errors import WireError

_MOMENT = re.compile(
    r"(\d{4})[.-](\d\d)[.-](\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)?", re.ASCII
)


def read_moment(text: str) -> int:
    """
    Return the milliseconds of a moment such as `2019.02.04`, `2019-02-04T12:30:00.500` or
    `1549283400500`.

    Raises:
        WireError: `field`; it is none.
    """
    if text.isascii() and text.isdigit() and len(text) > len("20190204"):
        return int(text)
    found = _MOMENT.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = (int(each or 0) for each in found.groups()[:6])
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise WireError(
            "field",
            f"invalid time {text}, expected one such as 2019.02.04 or '2019-02-04 12:30:00.000'",
        ) from None
    return timegm(moment.timetuple()) * 1_000 + int((found[7] or "").ljust(3, "0")[:3])


def check_span(
    start: int | None, stop: int | None, first: str = "from", second: str = "to"
) -> None:
    """
    Check that there is a time from `start` to `stop`, of which None is without an end.

    Args:
        first, second: what the two are called where they were given.

    Raises:
        WireError: `field`; there is none.
    """
    if start is not None and stop is not None and start >= stop:
        text = f"There is no time from {first} to {second}: the second has to be later"
        raise WireError("field", text)
