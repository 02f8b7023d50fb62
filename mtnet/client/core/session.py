"""
The session of a client: HELLO, heartbeats, silence and the delay before the next connection.

Pure. `when` is seconds of a clock that is never set.
"""

from collections.abc import Callable, Iterable, Iterator
from random import uniform
from typing import Any, TypeVar

from mtnet import __version__
from mtnet.backoff import LONGEST_DELAY, backoff
from mtnet.client.core.answers import AnswerReader
from mtnet.client.core.attempts import Attempts
from mtnet.client.core.events import Lost
from mtnet.client.core.framing import Framing
from mtnet.client.core.login import Login, check_private_peer
from mtnet.errors import ClientError, FrameError
from mtnet.services.signals.wire import answers
from mtnet.services.signals.wire.answers import read_answer
from mtnet.session import messages
from mtnet.session.grammar import Message

SILENCE_LIMIT = 12.0
"""Seconds without a byte after which the server counts as gone: it sends one every five."""
STABLE_AFTER = LONGEST_DELAY
"""Seconds after WELCOME until a connection counts as a success, if nothing else shows it earlier:
as long as the longest delay, so that a client never connects more often than that."""
TAKEOVER_DELAY = 600.0
"""Seconds of delay after the ERROR `sessions`: two programs of one account must not disconnect each
other in turns."""
UNWELCOME = frozenset({"login", "banned"})
"""Codes of ERROR after which a client waits the longest delay at once: each attempt counts as a
guess, or is in vain."""
MANY = 20
"""Attempts after which the delay is the longest."""
T = TypeVar("T")


class Session:
    """
    Session state machine of a client: one connection after the other.

    Args:
        name: shown in the server's status.
        login: sent only over TLS or within this machine.
        reader: reads the messages of the server; raises WireError.

    Attributes:
        welcome: of the present connection; None = there was none yet.
        ending: why the present connection is to be closed; empty = it is not.
    """

    def __init__(
        self, name: str, login: Login | None, reader: Callable[[Message], Any] = read_answer
    ) -> None:
        self.name, self.login, self._reader = name, login, AnswerReader(reader)
        self.welcome: messages.Welcome | None = None
        self.ending = "there is no connection"
        self._framing: Framing | None = None
        self._heard = 0.0
        self._stable_at: float | None = None
        self._attempts, self._taken_over = 0, False

    # Connections

    def begin(self, framing: Framing, when: float, clear_peer: str = "") -> None:
        """
        Say HELLO on a new connection.

        Args:
            clear_peer: the host that it goes to in clear text; empty = nobody else reads it.
        """
        self._framing, self.welcome, self.ending = framing, None, ""
        self._heard, self._stable_at = when, None
        self._attempts += 1
        self._taken_over = False
        try:
            self.send(self._hello(clear_peer))
        except ClientError as error:
            self.end(str(error))

    def receive(self, data: bytes, when: float) -> Iterator[Any]:
        """
        Yield what the server says, as `reader` reads it; what every client hands on as it is is an
        event already, `LeftOut` or `Notice`. Run it to its end.
        """
        self._heard = when
        framing = self._framing
        if framing is None or self.ending:
            return
        try:
            for received in framing.receive(data):
                answer = self._reader.read(received, self.welcome is not None)
                if answer is not None:
                    yield from self._answered(answer, when)
                # Messages of the same read are dropped after a disconnect by either side.
                if self.ending:
                    return
        except FrameError as error:
            self.end(f"the server's stream cannot be read: {error}")
        except ClientError as error:
            self.end(str(error))

    def expire(self, when: float) -> None:
        """Do what is due."""
        if self._stable_at is not None and self._stable_at <= when:
            self._stable_at = None
            self.succeeded()
        if not self.ending and self._heard + self._silence_limit <= when:
            missing = "there was no WELCOME" if self.welcome is None else "nothing was received"
            self.end(f"{missing} for {self._silence_limit:g} s")

    def lose(self, reason: str) -> str:
        """Note the end of the connection; return the reason, ours if we ended it."""
        reason = self.ending or reason
        self._framing, self._stable_at, self.ending = None, None, reason
        return reason

    @property
    def deadline(self) -> float | None:
        """When `expire` is due."""
        if self._framing is None or self.ending:
            return None
        silent = self._heard + self._silence_limit
        return silent if self._stable_at is None else min(silent, self._stable_at)

    # Output

    @property
    def connected(self) -> bool:
        """Whether the server has said WELCOME on the present connection."""
        return self.welcome is not None and self._framing is not None

    def send(self, frame: bytes) -> None:
        """Send a request, or nothing without a connection."""
        if self._framing is not None:
            self._framing.send(frame)

    def offers(self, service: str) -> bool:
        """Return whether there is a connection, whose server has a service for this login."""
        services = (self.welcome.services or ()) if self.welcome is not None else ()
        return self.connected and service in services

    def end(self, reason: str) -> None:
        """Close the connection; the first reason is the one that is reported."""
        self.ending = self.ending or reason

    def bye(self) -> None:
        """Say that the client leaves."""
        self.send(messages.bye())
        self.leave()

    def leave(self) -> None:
        """Close a WebSocket in order."""
        if self._framing is not None:
            self._framing.end()

    def data_to_send(self) -> bytes:
        """Return what is to be written now."""
        return b"" if self._framing is None else self._framing.data_to_send()

    # Backoff

    def succeeded(self) -> None:
        """Reset the back-off: the server did what it was asked for."""
        if not self.ending:
            self._attempts = 0

    def delay(self, attempt: int = 0) -> float:
        """
        Return the seconds before the next attempt.

        Args:
            attempt: how many in a row have not reached the server.
        """
        if self._taken_over:
            self._taken_over = False
            return TAKEOVER_DELAY * uniform(1.0, 1.1)
        return backoff(max(attempt, self._attempts))

    # Messages

    @property
    def _silence_limit(self) -> float:
        heartbeat = 0.0 if self.welcome is None else self.welcome.heartbeat
        return max(SILENCE_LIMIT, SILENCE_LIMIT / 5.0 * heartbeat)

    def _hello(self, clear_peer: str) -> bytes:
        login = self.login
        if login is None:
            return messages.hello("", "", self.name, f"mtnet {__version__}")
        check_private_peer(clear_peer)
        return messages.hello(login.name, login.password, self.name, f"mtnet {__version__}")

    def _answered(self, answer: Any, when: float) -> Iterator[Any]:
        if isinstance(answer, messages.Welcome):
            self.welcome = answer
            self._stable_at = self._stable_at or when + STABLE_AFTER
        elif isinstance(answer, answers.Heartbeat):
            self.send(messages.pong())
        elif isinstance(answer, messages.Error):
            self._taken_over = self._taken_over or answer.code == "sessions"
            if answer.code in UNWELCOME:
                self._attempts = MANY
        elif self.welcome is None:
            return
        yield answer


def hand_on(core: object, event: T, when: float) -> tuple[T]:
    """Handler of an answer that is an event already."""
    return (event,)


class SessionCore:
    """
    Base class of the state machines whose connections differ in nothing but what is asked for.

    Attributes:
        session: of the present connection.
    """

    def __init__(self, session: Session) -> None:
        self.session, self._connecting = session, Attempts()

    def begin(self, framing: Framing, when: float, clear_peer: str = "") -> Iterable[Any]:
        """Say HELLO on a new connection."""
        self._connecting.succeeded()
        self.session.begin(framing, when, clear_peer)
        return ()

    def expire(self, when: float) -> Iterable[Any]:
        """Do what is due."""
        self.session.expire(when)
        return ()

    def lose(self, reason: str) -> Iterable[Any]:
        """Note the end of the connection; the next attempt follows."""
        return (Lost(self.session.lose(reason)),)

    def unreachable(self, text: str) -> Iterable[Any]:
        """Note that an attempt to connect has failed; the first one in a row is an event."""
        return self._connecting.failed(text)

    def stop(self) -> Iterable[Any]:
        """Say that the client leaves."""
        self.session.bye()
        return ()

    @property
    def deadline(self) -> float | None:
        """When `expire` is due."""
        return self.session.deadline
