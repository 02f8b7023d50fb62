"""The section `[templates]`."""

from mtnet.config.schema import Count, Positive, Seconds, Section


class TemplateSettings(Section, frozen=True):
    """`[templates]`."""

    grace: Seconds = 0.15
    """Silence after which a connection is a raw client; 0 answers at once."""
    word: Positive = 5.0
    """Longest wait for first bytes that can still become a command or an HTTP method."""
    progress: Positive = 5.0
    """Longest stand-still of a transfer, in either direction, before it is given up."""
    max_size: Count = 1_048_576
    """Largest template; the largest seen in public is a tenth of it."""
    versions: Count = 50
    """Versions kept of each (symbol, period, platform)."""
    keep_experts: bool = False
    """Keep chart-level `<expert>` blocks, which start programs on the follower's machine."""
    default: str = ""
    """`SYMBOL PERIOD` of the template that a raw client gets; empty = the newest upload."""
    folder: str = ""
    """A folder to watch for `.tpl` files; empty = none."""
    scan: Positive = 1.0
    """How often the folder is looked at; a file is taken when it stood still that long."""
