"""The verb of status in a session: WATCH."""

from twisted.internet.defer import CancelledError, Deferred

from mtnet.access.rights import ADMIN
from mtnet.errors import WireError
from mtnet.net.output.queue import Encoder
from mtnet.services.status import wire
from mtnet.services.status.feed import Edition, StatusFeed
from mtnet.services.status.wire import Watch
from mtnet.session.handler import SessionHandler, SessionVerbs
from mtnet.session.session import Session

SERVICE = "status"
READ = "read"
MAX_UNSENT = 65_536
"""Bytes in the kernel before they are sent: the status must not pile up there before signals."""


class StatusWatcher(SessionHandler):
    """
    WATCH of one session.

    While its queue is not empty, changes are left out; then it is sent the whole state.
    """

    __slots__ = ("_empty", "_feed", "_session", "_stale", "_what")

    def __init__(self, session: Session, feed: StatusFeed) -> None:
        self._session, self._feed = session, feed
        self._what: frozenset[str] = frozenset()
        self._stale: dict[Edition, None] = {}
        self._empty: Deferred[None] | None = None

    def rights_gained(self) -> None:
        if self._what:
            self._begin(self._what)

    def busy(self) -> bool:
        return bool(self._what)

    def watch(self, asked: Watch) -> None:
        """WATCH: send the state of these parts, their changes, and nothing of others."""
        for what in sorted(asked.what):
            if not self._session.peer.rights.may(READ, SERVICE, what):
                raise WireError("denied", f"Watching {what} needs the right {READ}:{SERVICE}")
        self._session.limit_unsent(MAX_UNSENT)
        self._session.send(wire.watched(asked.what))
        self._begin(asked.what)
        self._session.check_finished()

    @property
    def encoder(self) -> Encoder | None:
        """The encoder of the road of the session."""
        return self._session.queue.encoder

    def changed(self, edition: Edition, encoded: bytes) -> None:
        """Send a change, or as soon as the queue is empty the state."""
        if self._stale or not self._session.queue.ready:
            self._show_later(edition)
        else:
            self._session.queue.post(encoded)

    def _begin(self, what: frozenset[str]) -> None:
        """Begin to watch, with the rights of now."""
        self.end()
        self._what, admin = what, self._session.peer.rights.any(ADMIN)
        for each in sorted(what):
            self._show_later(self._feed.join(self, each, admin))

    def _show_later(self, edition: Edition) -> None:
        self._stale[edition] = None
        if self._empty is None:
            self._empty = empty = self._session.queue.when_empty()
            empty.addCallbacks(self._show, lambda failure: failure.trap(CancelledError))

    def _show(self, _: None) -> None:
        self._empty = None
        if self._stale:
            edition = next(iter(self._stale))
            del self._stale[edition]
            self._session.queue.write(edition.state(self.encoder))
        if self._stale:  # the state may have filled the queue
            self._show_later(next(iter(self._stale)))

    def end(self) -> None:
        """End what goes on."""
        self._what = frozenset()
        self._stale.clear()
        empty, self._empty = self._empty, None
        if empty is not None:
            empty.cancel()
        self._feed.leave(self)


def status_verbs(feed: StatusFeed) -> SessionVerbs:
    """Return the verb of status."""
    return SessionVerbs(
        SERVICE,
        (READ,),
        wire.REQUESTS,
        {
            "WATCH": StatusWatcher.watch,
        },
        lambda session: StatusWatcher(session, feed),
        shows=True,
    )
