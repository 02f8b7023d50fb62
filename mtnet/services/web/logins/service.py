"""The logins of the page: kept on disk, ended when their time is over."""

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mtnet.daemon.environment import Environment
from mtnet.errors import JournalError
from mtnet.net.http.route import Route
from mtnet.recurring import RecurringCall
from mtnet.services.web.logins.registry import Sessions
from mtnet.services.web.logins.resources import LoginResources
from mtnet.services.web.logins.store import SessionStore

LOOK = 60.0
"""Seconds within which the WebSocket of a login ends whose time is over."""


class Logins:
    """
    Joins the registry of logins with its file and with the clock.

    Attributes:
        sessions: the registry.
    """

    log = Logger()

    def __init__(self, env: Environment) -> None:
        self._now, self._worker = env.now, env.worker()
        self._store = SessionStore(env.file("sessions.sqlite"))
        lasts, most = int(env.section.session * 1000), env.section.sessions
        self.sessions = Sessions(env.access.accounts, env.now, most, lasts)
        try:
            self.sessions.load(self._store.load())
        except JournalError as error:
            self.log.warn("{error} Logins of the page have to be made again.", error=error)
        what = "The look at the logins of the page"
        self._look = RecurringCall(what, self._expire, LOOK, env.clock)

    def start(self) -> None:
        """End from now on what goes on by a login whose time is over."""
        self._look.start()

    def stop(self) -> "Deferred[None]":
        """Close the file."""
        self._look.stop()
        return self._worker(self._store.close)

    def routes(self) -> list[Route]:
        """Return the routes by which a browser logs in and out."""
        return LoginResources(self.sessions, self._store, self._worker).routes()

    def _expire(self) -> None:
        if self._now.right:
            self.sessions.expire()
