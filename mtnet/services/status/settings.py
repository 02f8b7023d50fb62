"""The section `[status]`."""

from mtnet.config.schema import Count, Section


class StatusSettings(Section, frozen=True):
    """`[status]`."""

    events: Count = 10_000
    """Newest events that are kept, in memory and on disk; one takes some 300 bytes in each."""
