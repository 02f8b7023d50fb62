"""Events in the log `mtnet.client` of the standard library, as long as no program takes them."""

import logging
from typing import Any

from mtnet.client.core import events

log = logging.getLogger("mtnet.client")
QUIET = (events.Synced, events.Provider, events.Connected, events.Fenced)
"""Events that need no attention, or follow upon one that gets it; the others are warnings."""


def log_event(event: Any) -> None:
    """Log an event as a sentence."""
    restored = isinstance(event, events.Blind) and not event.reason
    quiet = restored or isinstance(event, QUIET)
    log.log(logging.INFO if quiet else logging.WARNING, "%s", event)
