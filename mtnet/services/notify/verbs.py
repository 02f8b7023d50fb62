"""NOTIFY in sessions: a program lets people know something."""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from typing import ClassVar

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mtnet.access.addresses import network_of
from mtnet.errors import PolicyError, WireError
from mtnet.interfaces import ISessionVerbs
from mtnet.services.notify import wire
from mtnet.services.notify.notifier import Notifier
from mtnet.services.notify.rate_limit import SenderLimits
from mtnet.services.notify.wire import Notify
from mtnet.session.handler import LateAnswers, SessionHandler
from mtnet.session.session import Session, Verb

SERVICE = "notify"
NOT_STORED = "The message is not stored: the disk takes nothing at present"


class NotifyClient(SessionHandler):
    """The verb NOTIFY in one session."""

    __slots__ = ("_answers", "_clock", "_limits", "_notifier", "_session")

    def __init__(
        self, session: Session, notifier: Notifier, limits: SenderLimits, clock: IReactorTime
    ) -> None:
        self._session, self._notifier = session, notifier
        self._limits, self._clock = limits, clock
        self._answers = LateAnswers(session, NOT_STORED)

    def busy(self) -> bool:
        return self._answers.waiting > 0

    def notify(self, asked: Notify) -> None:
        """NOTIFY: put the text into the queue, and answer once it is on disk."""
        names = _names(asked.to, self._notifier.names, self._may)
        _check_rate(self._limits.wait(self._sender, self._clock.seconds()))
        done = self._notifier.notify(f"{self._author}: {asked.text}", names)
        answer = done.addCallback(_check_stored).addCallback(
            lambda stored: wire.notified(",".join(stored), asked.id)
        )
        self._answers.expect(answer, "NOTIFY", asked.id)

    @property
    def _sender(self) -> str:
        return self._session.login or network_of(self._session.peer.host)

    @property
    def _author(self) -> str:
        session = self._session
        named = [each for each in (session.login, session.name) if each]
        return "/".join(named) or session.address

    def _may(self, name: str) -> bool:
        return may_notify(self._session, name)


def may_notify(session: Session, name: str) -> bool:
    """Return whether the client of a session may send messages to a `[notify.NAME]`."""
    return session.peer.rights.may("send", SERVICE, name)


def _names(to: str, known: Sequence[str], may: Callable[[str], bool]) -> list[str]:
    """
    Return the names that a message goes to.

    Raises:
        WireError: `denied`, or `field` (there is no such name).
    """
    names = [to] if to else [name for name in known if may(name)]
    if not names or not all(map(may, names)):
        raise WireError("denied", f"There is no right send:{SERVICE}/{to or 'NAME'} here")
    if to and to not in known:
        raise WireError("field", "In NOTIFY to is the NAME of a [notify.NAME], not", to.encode())
    return names


def _check_rate(wait: float) -> None:
    """
    Refuse a message too many.

    Raises:
        PolicyError: `denied`.
    """
    if wait:
        raise PolicyError("denied", f"Too many messages: try again in {ceil(wait)} s")


def _check_stored(names: Sequence[str]) -> Sequence[str]:
    if not names:
        raise PolicyError("denied", "Too many messages of all clients: try again in a minute")
    return names


@implementer(ISessionVerbs)
class NotifyVerbs:
    """The verb for every session; a login, or a network without one, may use it at a limit."""

    service, every_session = SERVICE, False
    verbs: ClassVar[Mapping[str, Verb]] = {"NOTIFY": Verb(wire.read, NotifyClient.notify)}

    def __init__(self, notifier: Notifier, limits: SenderLimits, clock: IReactorTime) -> None:
        self._notifier, self._limits, self._clock = notifier, limits, clock

    def permitted(self, session: Session) -> bool:
        """Return whether the client may send messages to anybody."""
        return any(may_notify(session, name) for name in self._notifier.names)

    def attach(self, session: Session) -> NotifyClient:
        """Return the verb for a session."""
        return NotifyClient(session, self._notifier, self._limits, self._clock)
