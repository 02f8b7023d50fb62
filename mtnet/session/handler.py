"""Shared by the services with verbs in a session: handlers, rights, and answers that come later."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.errors import JournalError, WireError
from mtnet.interfaces import ISessionHandler, ISessionVerbs
from mtnet.session import messages
from mtnet.session.grammar import Message
from mtnet.session.session import Session, Verb, always, never

_log = Logger()
UNANSWERED = "requests that are not answered"
"""Why a session is not read."""


@implementer(ISessionHandler)
class SessionHandler:
    """
    Base of handlers: tells the client nothing and owes nothing.

    What goes on in a session by a subclass ends in its `end`.
    """

    __slots__ = ()

    def welcomed(self) -> Mapping[str, str]:
        """Begin, or begin again, perhaps under another login; see `ISessionHandler`."""
        self.end()
        return {}

    def heartbeat(self) -> Mapping[str, str]:
        """Return fields of PING."""
        return {}

    def rights_gained(self) -> None:
        """The peer may do more than before."""

    def busy(self) -> bool:
        """Return whether something is owed."""
        return False

    def leaving(self) -> None:
        """The client said BYE."""
        self.end()

    def closed(self, bye: bool) -> None:
        """Release everything."""
        self.end()

    def end(self) -> None:
        """End what goes on."""


@implementer(ISessionVerbs)
class SessionVerbs:
    """
    The verbs of a service, in sessions that use them.

    Args:
        service: as of `ISessionVerbs`.
        rights: a client may use them that has one of these rights on anything.
        read: makes the request of each verb.
        handle: takes what `attach` returns, and the request.
        attach: returns the handler of a session.
        shows: whether they ask for what people look at, and for nothing else.
    """

    every_session = False

    def __init__(
        self,
        service: str,
        rights: tuple[str, ...],
        read: Mapping[str, Callable[[Message], Any]],
        handle: Mapping[str, Callable[[Any, Any], None]],
        attach: Callable[[Session], SessionHandler],
        shows: bool = False,
    ) -> None:
        self.service, self.attach, self._rights = service, attach, rights
        kind = always if shows else never
        self.verbs = {verb: Verb(read[verb], each, kind) for verb, each in handle.items()}

    def permitted(self, session: Session) -> bool:
        """Return whether the client may use any of the verbs."""
        return any(session.peer.rights.any(each, self.service) for each in self._rights)


def demand(session: Session, verb: str, service: str, name: str) -> None:
    """
    Check a right of a client; that to a pattern must have it as a whole.

    Raises:
        WireError: `denied`.
    """
    if not session.peer.rights.may(verb, service, name):
        raise WireError("denied", f"There is no right {verb}:{service}/{name} here")


def refusal(failure: Failure, session: Session, verb: str, id: str, text: str) -> bytes:
    """
    Return the ERROR that answers a request which has failed.

    Args:
        id: of the request; empty = it has none.
        text: the sentence when the disk has failed, or anything else, whose own is for the log.
    """
    error = failure.value
    if not isinstance(error, WireError):
        if failure.check(JournalError):
            sentence = "{service}: {peer} is refused {verb}. {error}"
            session.peer.warn(_log, "server", sentence, verb=verb, error=str(error))
        else:
            _log.failure("{verb} failed.", failure, verb=verb)
        error = WireError("server", text)
    return messages.error_for(error, Message(verb, {"id": id} if id else {}))


class LateAnswers:
    """
    Requests of one session that are answered later: most, once they are on disk.

    Args:
        not_stored: the sentence of the ERROR when the disk does not take one.
        most: requests that wait before the client is read no more; None = any number.

    Attributes:
        waiting: how many are not answered.
    """

    __slots__ = ("_most", "_not_stored", "_session", "waiting")

    def __init__(self, session: Session, not_stored: str, most: int | None = None) -> None:
        self._session, self._not_stored, self._most = session, not_stored, most
        self.waiting = 0

    def expect(self, frame: "Deferred[bytes]", verb: str, id: str) -> None:
        """
        Answer a request with a frame, once it is there, or with an ERROR.

        Args:
            verb, id: of the request; empty = it has no id.
        """
        self.waiting += 1
        if self.waiting == self._most:
            self._session.throttle.pause(UNANSWERED)
        frame.addErrback(refusal, self._session, verb, id, self._not_stored)
        frame.addCallback(self._answer)

    def _answer(self, frame: bytes) -> None:
        self.waiting -= 1
        if self._session.closed:
            return
        self._session.send(frame)
        if self._most is not None and self.waiting < self._most:
            self._session.throttle.resume(UNANSWERED)
        self._session.check_finished()
