"""
Tasks of a client with one service in a session, begun again after each lost connection.

Pure. `when` is seconds of a clock that is never set.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

from mtnet.client.core.events import (
    HANDED_ON,
    Connected,
    LeftOut,
    Lost,
    Notice,
    Refused,
    Unreachable,
)
from mtnet.client.core.login import Login
from mtnet.client.core.session import Session, SessionCore
from mtnet.errors import ClientError, WireError
from mtnet.services.signals.wire.answers import ANSWERS
from mtnet.session import messages
from mtnet.session.grammar import Message

SessionEvent = Connected | Lost | LeftOut | Notice | Refused | Unreachable
"""Events of every task; `Connected` = the server does what it was asked for."""
T = TypeVar("T")
E = TypeVar("E", covariant=True)


class Task(Protocol[E]):
    """Something that a client does in each session."""

    def request(self) -> bytes:
        """Return what it asks for after WELCOME."""

    def take(self, answer: object) -> Iterable[E | SessionEvent]:
        """Yield what an answer of the server says; of an ERROR nothing, unless it is expected."""


class TaskCore(SessionCore, Generic[T]):
    """
    Client state machine of one task.

    Args:
        service: whose verbs the task uses.
        answers: readers of what that service says.
        login: sent only over TLS or within this machine.
    """

    def __init__(
        self,
        service: str,
        answers: Mapping[str, Callable[[Message], Any]],
        task: Task[T],
        login: Login | None,
    ) -> None:
        readers = {**ANSWERS, **answers}
        super().__init__(Session("", login, lambda message: messages.read(readers, message)))
        self._service, self._task = service, task

    def receive(self, data: bytes, when: float) -> Iterator[T | SessionEvent]:
        """Take what the server has sent."""
        for answer in self.session.receive(data, when):
            if isinstance(answer, messages.Welcome):
                yield from self._begin()
            elif isinstance(answer, messages.Error):
                refused = Refused(answer.code, answer.text)
                yield from list(self._task.take(answer)) or (refused,)
            elif isinstance(answer, HANDED_ON):
                yield answer
            else:
                yield from self._task.take(answer)

    def _begin(self) -> Iterable[Refused]:
        if not self.session.offers(self._service):
            return (Refused("denied", f"The server offers this login no {self._service}"),)
        self.session.send(self._task.request())
        self.session.succeeded()
        return ()


def checked(build: Callable[..., bytes], *values: Any, **fields: Any) -> bytes:
    """
    Return the frame that a builder makes.

    Raises:
        ClientError: the server would refuse it.
    """
    try:
        return build(*values, **fields)
    except WireError as error:
        raise ClientError(f"{error}.") from error
