"""Status as a component of the daemon: it has no port."""

from functools import cache, partial
from itertools import cycle

from twisted.internet.defer import Deferred

from mtnet import __version__
from mtnet.daemon.component import Component, DatabaseBackup, Resources
from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IBackup,
    IControlCommands,
    IEvents,
    IHealth,
    IHttpResources,
    IParticipants,
    ISessionVerbs,
    IStatus,
)
from mtnet.recurring import RecurringCall
from mtnet.services.status.causes import CauseDetector, ParticipantDetector
from mtnet.services.status.commands import EventCommands
from mtnet.services.status.event_log import EventLog
from mtnet.services.status.event_store import EventStore
from mtnet.services.status.feed import StatusFeed
from mtnet.services.status.parts import opener
from mtnet.services.status.resources import status_routes
from mtnet.services.status.verbs import status_verbs

LOOK = 1.0
"""Seconds between two looks for causes of trouble that have begun or ended, and between two
changes for those who watch: at the same moments, since both ask for the same judgements."""
UNWATCHED_LOOKS = 5
"""Of so many looks for causes one is made while nobody watches or waits for an event: in a daemon
that has nothing else to do they would be most of its work."""


def build(env: Environment) -> Component:
    """Build the component, which keeps the events and shows them."""
    path, clock = env.file("events.sqlite"), env.clock
    events = EventLog(EventStore(path), env.section.events, clock, env.now, env.worker().later)
    events.open()
    health = cache(lambda: env.find(IHealth))  # it is there once every component is built
    causes = CauseDetector(lambda: health().causes(), events)
    feed = StatusFeed(opener(env, events), clock)
    people = ParticipantDetector(cache(lambda: env.find_all(IParticipants)), events, clock)
    turns = cycle(range(UNWATCHED_LOOKS))

    def look_and_refresh() -> None:
        try:
            if next(turns) == 0 or feed.watched or events.observed:
                causes.look()
                people.look()
        finally:
            feed.refresh_at_leisure()

    look = RecurringCall("The look at the health", look_and_refresh, LOOK, clock, now=False)
    return Component(
        {
            IEvents: events,
            IControlCommands: EventCommands(events, clock),
            ISessionVerbs: status_verbs(feed),
            IHttpResources: Resources(partial(status_routes, env, events)),
            IStatus: events,
            IBackup: DatabaseBackup(path),
        },
        start=[partial(_start, env, events), look.start],
        stop=[feed.close, look.stop, partial(_stop, events)],
    )


def _start(env: Environment, events: EventLog) -> None:
    """Record that the daemon has started, and what happens from now on."""
    env.access.log.observer = events.add
    if events.killed:
        text = "The daemon did not stop but ended; its last second of events may be missing."
        events.record("daemon_killed", text, "warning")
    events.record("daemon_started", f"mtnet {__version__} has started.")
    events.flush()  # no number of this start is used again after a kill


def _stop(events: EventLog) -> "Deferred[None]":
    """Record that the daemon stops, and store what is not stored yet."""
    events.record("daemon_stopped", "The daemon stops: somebody asked for it.")
    return Deferred.fromCoroutine(events.close())
