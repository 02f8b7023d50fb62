"""The logins of the page: kept on disk, ended when their time is over."""

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.daemon.environment import Environment
from mtnet.errors import JournalError
from mtnet.recurring import RecurringCall
from mtnet.services.web.logins.registry import Session, Sessions
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

    @property
    def lasts(self) -> int:
        """Milliseconds for which a session goes on."""
        return self.sessions.lasts

    def of(self, account: str) -> list[Session]:
        """Return the sessions of an account; empty = of all."""
        return self.sessions.of(account)

    def is_valid(self, session: Session) -> bool:
        """Return whether a session still counts as a login."""
        return self.sessions.identity(session) is not None

    def begin(
        self, account: str, token: bytes, host: str, agent: str, before: Sequence[Session]
    ) -> "Deferred[tuple[str, int]]":
        """
        Begin a session, in place of others of the same browser; as `Sessions.begin`.

        Returns:
            A Deferred with the secret, and when it ends by itself, once it is on disk.
        """
        secret, session, over = self.sessions.begin(account, token, host, agent)
        self.sessions.end(before)
        stored = self._worker(self._store.write, [session], [*over, *before])
        found = secret, session.since + self.lasts
        return stored.addCallbacks(lambda _: found, self._not_stored, errbackArgs=(session,))

    def end(self, sessions: Sequence[Session]) -> "Deferred[None]":
        """End sessions; fires once they are gone from the disk."""
        self.sessions.end(sessions)
        return self._worker(self._store.write, [], sessions).addCallback(lambda _: None)

    def _not_stored(self, failure: Failure, session: Session) -> Failure:
        """End a session whose cookie nobody gets."""
        self.sessions.end([session])
        return failure

    def _expire(self) -> None:
        if self._now.right:
            self.sessions.expire()
