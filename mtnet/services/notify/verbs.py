"""NOTIFY in sessions: a program lets people know something."""

from collections.abc import Mapping
from functools import partial
from math import ceil
from typing import ClassVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.errors import JournalError, PolicyError, WireError
from mtnet.interfaces import ISessionHandler, ISessionVerbs
from mtnet.services.notify import wire
from mtnet.services.notify.notifier import Notifier
from mtnet.services.notify.rate_limit import SenderLimits
from mtnet.services.notify.wire import Notify
from mtnet.session.grammar import Message
from mtnet.session.session import Session, Verb

SERVICE = "notify"


@implementer(ISessionHandler)
class NotifyClient:
    """The verb NOTIFY in one session."""

    __slots__ = ("_clock", "_limits", "_notifier", "_session", "_unanswered")

    def __init__(
        self, session: Session, notifier: Notifier, limits: SenderLimits, clock: IReactorTime
    ) -> None:
        self._session, self._notifier = session, notifier
        self._limits, self._clock, self._unanswered = limits, clock, 0

    def permitted(self) -> bool:
        return any(map(self._may, self._notifier.names))

    def welcomed(self) -> dict[str, str]:
        return {}

    def heartbeat(self) -> dict[str, str]:
        return {}

    def rights_gained(self) -> None:
        pass

    def busy(self) -> bool:
        return self._unanswered > 0

    def leaving(self) -> None:
        pass

    def closed(self, bye: bool) -> None:
        pass

    def notify(self, asked: Notify) -> None:
        """NOTIFY: put the text into the queue, and answer once it is on disk."""
        names = [asked.to] if asked.to else [n for n in self._notifier.names if self._may(n)]
        if not names or not all(map(self._may, names)):
            right = f"There is no right send:{SERVICE}/{asked.to or 'NAME'} here"
            raise WireError("denied", right)
        if asked.to and asked.to not in self._notifier.names:
            raise WireError(
                "field", "There is no [notify.NAME] of this name, to", asked.to.encode()
            )
        wait = self._limits.wait(self._sender, self._clock.seconds())
        if wait:
            raise PolicyError("denied", f"Too many messages: try again in {ceil(wait)} s")
        self._unanswered += 1
        done: Deferred[None] = self._notifier.send(f"{self._author}: {asked.text}", names)
        done.addCallbacks(
            partial(self._stored, names, asked.id), self._failed, errbackArgs=(asked,)
        )

    @property
    def _sender(self) -> str:
        return self._session.login or self._session.address.rpartition(":")[0]

    @property
    def _author(self) -> str:
        session = self._session
        named = [each for each in (session.login, session.name) if each]
        return "/".join(named) or session.address

    def _may(self, name: str) -> bool:
        return self._session.peer.rights.may("send", SERVICE, name)

    def _stored(self, names: list[str], id: str, _: None) -> None:
        self._answer(wire.notified(",".join(names), id))

    def _failed(self, failure: Failure, asked: Notify) -> None:
        failure.trap(JournalError)
        self._unanswered -= 1
        error = WireError("server", "The message is not stored: the disk takes nothing at present")
        fields = {"id": asked.id} if asked.id else {}
        self._session.refuse(error, Message("NOTIFY", fields))
        self._session.check_finished()

    def _answer(self, frame: bytes) -> None:
        self._unanswered -= 1
        if not self._session.closed:
            self._session.send(frame)
            self._session.check_finished()


@implementer(ISessionVerbs)
class NotifyVerbs:
    """The verb for every session, of which one login may use it a few times a minute."""

    service = SERVICE
    verbs: ClassVar[Mapping[str, Verb]] = {"NOTIFY": Verb(wire.read, NotifyClient.notify)}

    def __init__(self, notifier: Notifier, limits: SenderLimits, clock: IReactorTime) -> None:
        self._notifier, self._limits, self._clock = notifier, limits, clock

    def attach(self, session: Session) -> NotifyClient:
        """Return the verb for a session."""
        return NotifyClient(session, self._notifier, self._limits, self._clock)
