"""
A session of dialect 2: HELLO, login, heartbeat, errors and close, for the verbs of any service.

Services bring their verbs through `mtnet.interfaces.ISessionVerbs`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import IntEnum
from sys import intern
from typing import Any, NamedTuple

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.accounts.cred import Password
from mtnet.access.bans.policy import Offence
from mtnet.errors import FrameError, WireError
from mtnet.interfaces import ISessionHandler, ISessions, ISessionVerbs
from mtnet.net.endpoints import show
from mtnet.net.keepalive import limit_unsent
from mtnet.net.output.queue import SendQueue
from mtnet.net.peer import Peer
from mtnet.net.timer_wheel import Slot, TimerWheel
from mtnet.session import messages
from mtnet.session.grammar import Message
from mtnet.session.messages import Bye, Hello, Ping, Pong
from mtnet.session.road import Road

MAX_MISSED = 3
"""Heartbeats without an answer before a client is disconnected."""
ERROR_WINDOW = 60.0
"""Seconds in which errors are counted."""
WHEEL_STEPS = 100
"""Steps of the timer wheel within a heartbeat."""
PICTURE = 1.0
"""Seconds for which what a page shows waits for more of it, signals never: prices that change once
a second are as fast as people read, and each write to a page costs as much as a signal to a
follower."""
TOLERANCE = 0.001
"""Seconds by which a timer may be early: sums of floats differ."""


def never(_: object) -> bool:
    """Return False."""
    return False


def always(_: object) -> bool:
    """Return True."""
    return True


class Verb(NamedTuple):
    """
    A verb of the dialect.

    Attributes:
        read: makes the request of a `Message`; raises `WireError`.
        handle: takes the handler of its service in a session, or the session where the verb is its
            own, and the request.
        shows: returns whether a request asks for what people look at, and for nothing that a
            program acts on.
    """

    read: Callable[[Message], Any]
    handle: Callable[[Any, Any], None]
    shows: Callable[[Any], bool] = never


class SessionSettings(Struct, frozen=True):
    """
    Limits of a session.

    Attributes:
        heartbeat: seconds of silence before a PING.
        queue: bytes that may wait for a client.
        errors: requests that are refused within a minute before the client is disconnected.
        codepage: of texts that are not UTF-8.
        frames: messages of a client in a second; it is read more slowly when it sends more.
    """

    heartbeat: float
    queue: int
    errors: int
    codepage: str
    frames: int


@implementer(ISessions)
class SessionFactory:
    """
    Opens sessions, and holds what they share.

    Args:
        clock: of heartbeats.
        now: milliseconds since the Unix epoch, UTC.

    Attributes:
        wheel: fires their heartbeats.
        pictures: sends those that people look at what was posted.
        verbs: each with the index of its service; None = the session's own.
        services: those whose verbs the sessions have.
    """

    def __init__(
        self,
        settings: SessionSettings,
        clock: IReactorTime,
        now: Callable[[], int],
    ) -> None:
        self.settings, self.clock, self.now = settings, clock, now
        self.wheel = TimerWheel(clock, settings.heartbeat / WHEEL_STEPS)
        self.pictures = TimerWheel(clock, PICTURE)
        self.verbs: dict[str, tuple[Verb, int | None]] = {
            verb: (each, None) for verb, each in _COMMON.items()
        }
        self.services: tuple[ISessionVerbs, ...] = ()

    def add(self, services: Iterable[ISessionVerbs]) -> None:
        """Let the sessions that are opened from now on have the verbs of more services."""
        for service in services:
            index = len(self.services)
            self.verbs |= {verb: (Verb(*each), index) for verb, each in service.verbs.items()}
            self.services += (service,)

    def open(self, road: Road) -> "Session":
        """Open a session on a connection whose first message is HELLO."""
        return Session(self, road)


class State(IntEnum):
    """State of a session; LEAVING = after BYE."""

    NEW, WELCOMED, LEAVING, CLOSED = range(4)


class Session:
    """
    Protocol state machine of one client of dialect 2.

    Args:
        road: the connection that carries it.

    Attributes:
        queue: where frames go.
        throttle: stops reading from the connection.
        name, client: the client's name for itself, and its program.
        served: it has used a verb of a service: it follows, publishes or asks. What a page asks
            for to show it does not count.
        now: milliseconds since the Unix epoch, UTC.
    """

    __slots__ = (
        "_errors", "_factory", "_finishing", "_handlers", "_heartbeat", "_login", "_road", "_state",
        "client", "name", "now", "peer", "queue", "served", "throttle",
    )  # fmt: skip

    def __init__(self, factory: SessionFactory, road: Road) -> None:
        self._factory, self._road = factory, road
        self.peer, self.throttle = road.peer, road.throttle
        self.queue = SendQueue(
            road.transport,
            factory.clock,
            factory.settings.queue,
            self,
            road.form.encoder,
            factory.pictures if road.form.gathers else None,
        )
        self.name = self.client = ""
        self.now = factory.now
        self._login: PendingLogin | None = None
        self._heartbeat = Heartbeat(self, factory)
        self._errors: ErrorLimit | None = None
        self._state, self._finishing = State.NEW, False
        self.served = False
        self._handlers: tuple[ISessionHandler | None, ...] = tuple(
            each.attach(self) if each.every_session else None for each in factory.services
        )
        road.peer.on_rights_gained(self)

    def frame(self, payload: bytes) -> None:
        """Handle a message of the client, in the form of its road."""
        if self._state >= State.LEAVING:
            return
        if self._login is not None:
            self._login.behind.append(payload)
            return
        self._heartbeat.received()
        message: Message | None = None
        form = self._road.form
        try:
            if form.is_login(payload):
                self.peer.check_private()
            message = form.read(payload, self._factory.settings.codepage)
            self._handle(message)
        except WireError as error:
            if isinstance(error, FrameError):
                self.peer.report_abuse(Offence.FRAME)
            self.refuse(error, message or form.salvage(payload))

    def heard(self) -> None:
        """Note a sign of life of the client that is no message."""
        self._heartbeat.received()

    def unreadable(self, error: WireError) -> None:
        """Refuse a stream that holds no frame, and close."""
        if b"HELLO" in error.offending.upper():
            error = FrameError(error.code, "A frame is too long, or is not one")
        self.refuse(error, None)

    def welcome(self, name: str, client: str) -> None:
        """Answer HELLO: the client may use the verbs of the services from now on."""
        if self._state is State.CLOSED:
            return
        # Most clients run the same programs: one text for all.
        self.name, self.client = intern(name), intern(client)
        fields: dict[str, str] = {}
        for each in self.handlers():
            fields.update(each.welcomed())
        if self._state is State.NEW:
            self._state = State.WELCOMED
            self.peer.mark_active()
            self._heartbeat.start()
        self._road.session_welcomed()
        heartbeat = self._factory.settings.heartbeat
        self.send(messages.welcome(heartbeat, self.now(), self._usable(), **fields))

    def finish(self) -> None:
        """Close once every request is answered: the client has closed its sending side."""
        self._finishing = True
        self.check_finished()

    def check_finished(self) -> None:
        """Close if the client has closed its sending side, and nothing is owed to it."""
        if not self._finishing or self._login is not None:
            return
        if not any(each.busy() for each in self.handlers()):
            self.close_with(b"")

    def send(self, frame: bytes) -> None:
        """Queue a frame."""
        self.queue.send(frame)

    def answer(self, frame: bytes) -> None:
        """Queue a late answer; close if it is the last one that a client waits for that leaves."""
        self.queue.send(frame)
        if self._finishing:
            self.check_finished()

    def limit_unsent(self, most: int) -> None:
        """Keep what is sent out of the kernel's buffers, but for so many bytes."""
        limit_unsent(self._road.transport, most)

    def probe(self, frame: Callable[[], bytes]) -> None:
        """Ask the client for a sign of life; `frame` makes a PING."""
        ping = self._road.form.ping
        if ping is None:
            self.queue.send(frame())
        else:
            self.queue.write(ping)

    @property
    def idle(self) -> float:
        """Seconds of silence before a PING to a client that uses no service; 0 = as to others."""
        return self._road.form.idle

    def refuse(self, error: WireError, message: Message | None) -> None:
        """Send the ERROR that answers a message; close when it ends the session."""
        frame = messages.error_for(error, message)
        is_hello = message is not None and message.verb == "HELLO"
        if is_hello and error.code in ("field", "frame"):
            self.peer.hello_refused(error.code)
        wrong = error.is_offence
        if is_hello or error.code in messages.CLOSING or (wrong and self._too_many_errors()):
            self.close_with(frame, error.code)
        else:
            self.send(frame)

    def close_with(self, frame: bytes, code: str = "") -> None:
        """Send a last frame, and close the connection behind it; `code` = of its ERROR."""
        if not self.closed:
            last = frame and self._road.form.encoded(frame)
            self.queue.close(last + self._road.farewell(code))
            self.close()
            self._road.session_ended()

    def close(self) -> None:
        """Release everything: the connection is gone, or will be."""
        bye, self._state = self._state is State.LEAVING, State.CLOSED
        self._heartbeat.stop()
        for each in self.handlers():
            each.closed(bye)
        self.queue.close()

    def overflowed(self) -> None:
        """Close: the client does not read what it is sent."""
        self.queue.clear()
        most = self._factory.settings.queue
        text = f"More than {most} bytes waited; reconnect and name the last entry with after"
        self.close_with(messages.error("slow", text), "slow")

    def rights_gained(self) -> None:
        """The client may do more than before."""
        for each in self.handlers():
            each.rights_gained()

    def handlers(self) -> Iterator[ISessionHandler]:
        """Return the handlers of the services whose verbs are in use."""
        return filter(None, self._handlers)

    # The verbs of every session

    def hello(self, hello: Hello) -> None:
        """HELLO: log in, or begin without a login where any service permits that."""
        if hello.login:
            self._log_in(hello)
        elif self._usable():
            self.welcome(hello.name, hello.client)
        else:
            self.peer.hello_refused("no-login")
            raise WireError("login", "HELLO needs a login and a password here")

    def ping(self, ping: Ping) -> None:
        """PING: answer with the time."""
        self.send(messages.pong(self.now(), ping.t))

    def pong(self, _: Pong) -> None:
        """PONG: every frame counts as an answer to the heartbeat."""

    def bye(self, _: Bye) -> None:
        """BYE: accept no further request, answer those before, and close."""
        self._state = State.LEAVING
        for each in self.handlers():
            each.leaving()
        self.finish()

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._state is State.CLOSED

    @property
    def last_heard(self) -> float:
        """Seconds of the clock at the last sign of life of the client."""
        return self._heartbeat.heard

    @property
    def login(self) -> str:
        """The login of the client; empty = anonymous."""
        return "" if self.peer.identity is None else self.peer.identity.name

    @property
    def address(self) -> str:
        """The address of the client, for people."""
        return show(self._road.transport.getPeer())

    def report(self) -> Mapping[str, object]:
        """Return who the client is, for the status."""
        return {
            "peer": self.address,
            "login": self.login,
            "name": self.name,
            "client": self.client,
        }

    def _handle(self, message: Message) -> None:
        found = self._factory.verbs.get(message.verb)
        if found is None:
            raise messages.unknown_verb(message, self._factory.verbs)
        (read, handle, shows), service = found
        request = read(message)
        if self._state is State.NEW and message.verb != "HELLO":
            raise WireError("verb", "HELLO must be the first verb")
        looks_on = self._road.form.gathers and shows(request)
        if service is not None and not self.served and not looks_on:
            self.served = True
            self._heartbeat.restart()
        handle(
            self if service is None else self._handlers[service] or self._attach(service), request
        )

    def _attach(self, service: int) -> ISessionHandler:
        """Make the handler of a service, at the first of its verbs."""
        made = self._factory.services[service].attach(self)
        made.welcomed()
        self._handlers = (*self._handlers[:service], made, *self._handlers[service + 1 :])
        return made

    def _usable(self) -> list[str]:
        """Name the services of which the client may use any verb."""
        return [each.service for each in self._factory.services if each.permitted(self)]

    def _log_in(self, hello: Hello) -> None:
        login = self.peer.login(Password.decode(hello.login, hello.password))
        pending = PendingLogin(self, hello)
        if not login.called:
            self._login = pending
            self.throttle.pause("login")
        pending.wait(login)
        login.addBoth(self._logged_in)

    def _logged_in(self, _: object) -> None:
        pending, self._login = self._login, None
        for payload in () if pending is None else pending.behind:
            self.frame(payload)
        if not self.closed and self._login is None:  # else there was another HELLO
            self.throttle.resume("login")
            self.check_finished()

    def _too_many_errors(self) -> bool:
        """Count one more error; return whether that ends the session."""
        self._errors = self._errors or ErrorLimit(self._factory.settings.errors)
        return self._errors.reached(self.peer, self._factory.clock.seconds())


class PendingLogin:
    """
    Login of one session whose password is being verified.

    Attributes:
        behind: the frames behind the HELLO, which wait.
    """

    __slots__ = ("_hello", "_session", "behind")

    log = Logger()

    def __init__(self, session: Session, hello: Hello) -> None:
        self._session, self._hello = session, hello
        self.behind: list[bytes] = []

    def wait(self, login: "Deferred[Any]") -> None:
        """Welcome the client, or refuse it, once `login` has fired."""
        login.addCallbacks(self._welcome, self._refuse)
        login.addErrback(lambda failure: self.log.failure("A login failed.", failure))

    def _welcome(self, _: object) -> None:
        self._session.welcome(self._hello.name, self._hello.client)

    def _refuse(self, failure: Failure) -> None:
        failure.trap(WireError, CancelledError)
        if isinstance(failure.value, WireError):
            self._session.refuse(failure.value, Message("HELLO", {}))


_COMMON: "dict[str, Verb]" = {
    "HELLO": Verb(messages.REQUESTS["HELLO"], Session.hello),
    "PING": Verb(messages.REQUESTS["PING"], Session.ping),
    "PONG": Verb(messages.REQUESTS["PONG"], Session.pong),
    "BYE": Verb(messages.REQUESTS["BYE"], Session.bye),
}


class Heartbeat:
    """
    Keepalive of one session: PING after silence of either side, close after `MAX_MISSED`.

    The timer belongs to the wheel of the factory.

    Attributes:
        heard: seconds of the clock at the last sign of life of the client.
    """

    __slots__ = ("_factory", "_missed", "_pinged", "_session", "_slot", "heard")

    def __init__(self, session: Session, factory: SessionFactory) -> None:
        self._session, self._factory = session, factory
        self.heard = self._pinged = factory.clock.seconds()
        self._missed = 0
        self._slot: Slot | None = None

    def received(self) -> None:
        """Note a sign of life of the client."""
        self.heard, self._missed = self._factory.clock.seconds(), 0

    def start(self) -> None:
        """Wait until either side has been silent for a heartbeat."""
        self._slot = self._factory.wheel.add(self, self._due())

    def restart(self) -> None:
        """Wait anew: the time may be another one now."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Stop the timer."""
        if self._slot is not None:
            self._factory.wheel.discard(self, self._slot)
            self._slot = None

    def fire(self) -> None:
        """Send PING, or close, if it is time."""
        when, session = self._factory.clock.seconds(), self._session
        if when + TOLERANCE >= self._due():
            if self._missed >= MAX_MISSED:
                text = f"No answer to {MAX_MISSED} heartbeats"
                session.close_with(messages.error("timeout", text), "timeout")
                return
            self._pinged, self._missed = when, self._missed + 1
            session.probe(self._ping)
        self.start()

    def _due(self) -> float:
        silent_since = min(self.heard, self._session.queue.last_write)
        heartbeat = self._factory.settings.heartbeat
        if not self._session.served:
            heartbeat = max(heartbeat, self._session.idle)
        return max(silent_since, self._pinged) + heartbeat

    def _ping(self) -> bytes:
        fields: dict[str, str] = {}
        for each in self._session.handlers():
            fields.update(each.heartbeat())
        return messages.heartbeat(self._session.now(), **fields)


class ErrorLimit:
    """Fixed-window counter of the errors of one client."""

    __slots__ = ("_count", "_most", "_since")

    def __init__(self, most: int) -> None:
        self._most, self._count, self._since = most, 0, 0.0

    def reached(self, peer: Peer, when: float) -> bool:
        """Count one more; report the peer, and return True, when `most` came within a window."""
        if when - self._since >= ERROR_WINDOW:
            self._count, self._since = 0, when
        self._count += 1
        if self._count < self._most:
            return False
        peer.report_abuse(Offence.FRAME)
        return True
