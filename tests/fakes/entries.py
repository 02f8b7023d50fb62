"""Frames of entries, for those who play a server."""

from mtnet.services.signals.model import Entry
from mtnet.services.signals.wire import answers


def entry(
    channel, seq, symbol, volume, when, ticket="", type="position", fields=(),
    opened=None, popened=None, h="",
):  # fmt: skip
    """Return an entry as a server holds it."""
    return Entry(
        channel, symbol, volume, when, ticket, "", type, fields, seq, None, opened, popened, h
    )


def signal(*values, prev=None, **more):
    """Return the SIGNAL of an entry."""
    return answers.signal(entry(*values, **more), prev)


def position(*values, **more):
    """Return the POSITION of an entry."""
    return answers.position(entry(*values, **more))
