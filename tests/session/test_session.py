"""A session with verbs of a toy service: nothing of it needs signals."""

import subprocess
import sys
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mtnet.errors import PolicyError, WireError
from mtnet.interfaces import ISessionHandler, ISessionVerbs
from mtnet.net.endpoints import Listener
from mtnet.net.peer import ListenerAccess
from mtnet.net.throttle import ReadThrottle
from mtnet.session import messages
from mtnet.session.fields import ID, TEXT
from mtnet.session.grammar import FrameDecoder, encode, is_login, parse, salvage
from mtnet.session.road import Form, FrameRoad
from mtnet.session.session import SessionFactory, SessionSettings
from mtnet.testing import connect, make_environment

HELLO = messages.hello(name="desk", client="toy 1")
SETTINGS = SessionSettings(heartbeat=5.0, queue=10_000, errors=20, codepage="cp1252", frames=1_000)


@implementer(ISessionHandler)
class Toy:
    """ECHO answers at once, KEEP when `release` is called, NEVER is refused."""

    def __init__(self, session):
        self.session, self.kept, self.events = session, [], []

    def welcomed(self):
        self.events.append("welcomed")
        return {"toy": "1"}

    def heartbeat(self):
        return {"kept": str(len(self.kept))} if self.kept else {}

    def rights_gained(self):
        self.events.append("rights gained")

    def busy(self):
        return bool(self.kept)

    def leaving(self):
        self.events.append("leaving")

    def closed(self, bye):
        self.events.append("bye" if bye else "closed")

    def echo(self, text):
        self.session.send(encode("ECHOED", text=text))

    def keep(self, id):
        done = Deferred()
        done.addCallback(lambda _: self.session.send(encode("KEPT", id=id)))
        self.kept.append(done)

    def never(self, _):
        raise PolicyError("denied", "Never")

    def crash(self, _):
        raise WireError("server", "The disk is full")

    def release(self):
        self.kept.pop(0).callback(None)
        self.session.check_finished()


VERBS = {
    "ECHO": (lambda message: message.require("text", TEXT), Toy.echo),
    "KEEP": (lambda message: message.require("id", ID), Toy.keep),
    "NEVER": (lambda message: None, Toy.never),
    "CRASH": (lambda message: None, Toy.crash),
}


@implementer(ISessionVerbs)
class ToyVerbs:
    def __init__(self, verbs=VERBS, service="toy"):
        self.verbs, self.handlers, self.service = verbs, [], service
        self.every_session = self.may = True

    def permitted(self, session):
        return self.may

    def attach(self, session):
        self.handlers.append(Toy(session))
        return self.handlers[-1]


class Port(FrameRoad, Protocol):
    """Cuts frames and hands them to a session."""

    def connectionMade(self):
        self.peer = self.factory.access.admit(self.transport.getPeer())
        self.peer.connected(self.transport, self)
        self.decoder = FrameDecoder()
        self.throttle = ReadThrottle(self.transport)
        self.session = self.factory.sessions.open(self)

    def evicted(self):
        self.transport.abortConnection()

    def dataReceived(self, data):
        try:
            for payload in self.decoder.feed(data):
                self.session.frame(payload)
        except WireError as error:
            self.session.unreadable(error)

    def session_welcomed(self):
        pass

    def session_ended(self):
        self.transport.loseConnection()

    def connectionLost(self, reason=None):
        self.session.close()
        self.peer.disconnected()


class Server:
    def __init__(self, folder, clock, *services, sets=()):
        env = make_environment(folder, clock, *sets)
        self.toys = ToyVerbs()
        self.clock = clock
        self.factory = Factory.forProtocol(Port)
        self.factory.access = ListenerAccess(env, Listener("signals", "tcp:1"))
        self.factory.sessions = SessionFactory(SETTINGS, clock, env.now)
        self.factory.sessions.add([self.toys, *services])

    def dial(self, *frames, **addresses):
        terminal = connect(self.factory, self.clock, **addresses)
        terminal.send(b"".join(frames))
        return terminal

    @property
    def toy(self):
        return self.toys.handlers[-1]


@pytest.fixture
def server(tmp_path, clock):
    return Server(tmp_path / "data", clock)


def told(terminal):
    frames = terminal.received().split(b"\r\n")[:-1]
    return [each[2:-2].decode().partition("|text=")[0] for each in frames]


WELCOME = "WELCOME|v=2|toy=1|heartbeat=5|time=1700000000000|services=toy"


def test_a_toy_provides_what_the_interfaces_ask_for(server):
    server.dial(HELLO)
    verifyObject(ISessionVerbs, server.toys)
    verifyObject(ISessionHandler, server.toy)


def test_a_session_needs_no_service_of_mtnet():
    code = (
        "import sys, mtnet.session.session as s\n"
        "print([each for each in sys.modules if each.startswith('mtnet.services')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    # The environment names the types of the services for annotations alone.
    assert shown.stdout.strip() == "[]"


def test_hello_is_answered_with_the_fields_of_the_services(server):
    terminal = server.dial(HELLO)
    assert told(terminal) == [WELCOME]
    assert server.toy.events == ["welcomed"]
    assert server.toy.session.report() == {
        "peer": "127.0.0.1:50000",
        "login": "",
        "name": "desk",
        "client": "toy 1",
    }


def test_a_verb_of_a_service_is_handled_by_its_handler(server):
    terminal = server.dial(HELLO, encode("ECHO", text="a|b"))
    assert terminal.received().endswith(b"<<ECHOED|text=a%7Cb>>\r\n")


def test_each_session_has_a_handler_of_its_own(server):
    first, second = server.dial(HELLO), server.dial(HELLO)
    second.send(encode("KEEP", id="x"))
    assert [len(each.kept) for each in server.toys.handlers] == [0, 1]
    assert told(first) == told(second) == [WELCOME]


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (encode("ECHO"), "ERROR|code=field"),
        (encode("NEVER", id="1", channel="c"), "ERROR|code=denied"),
        (encode("CRASH"), "ERROR|code=server"),
        (encode("PUBLISH", id="1", symbol="A", volume=Decimal(1)), "ERROR|code=verb"),
        (encode("SUBSCRIBE", channel="main"), "ERROR|code=verb"),
        (messages.ping("x"), "PONG|t=x|time=1700000000000"),
    ],
)
def test_a_request_is_answered_or_refused(server, frame, answer):
    terminal = server.dial(HELLO)
    told(terminal)
    terminal.send(frame)
    assert told(terminal) == [answer]
    assert not terminal.closed


def test_an_unknown_verb_is_refused_with_the_known_ones(server):
    terminal = server.dial(HELLO, encode("SING"))
    assert b"one of HELLO, PING, PONG, BYE, ECHO, KEEP, NEVER, CRASH" in terminal.received()


@pytest.mark.parametrize("frame", [encode("ECHO", text="x"), encode("KEEP", id="1")])
def test_a_verb_before_hello_is_refused(server, frame):
    terminal = server.dial(frame)
    assert told(terminal) == ["ERROR|code=verb"]


def test_hello_needs_a_login_where_no_service_permits_anything(server):
    terminal = server.dial()
    server.toys.may = False
    terminal.send(HELLO)
    assert told(terminal) == ["ERROR|code=login"]
    assert terminal.closed


def test_bye_waits_for_what_a_service_owes(server):
    terminal = server.dial(HELLO, encode("KEEP", id="1"), messages.bye())
    told(terminal)
    assert server.toy.events == ["welcomed", "leaving"]
    assert not terminal.closed
    server.toy.release()
    assert told(terminal) == ["KEPT|id=1"]
    assert terminal.closed
    assert server.toy.events[-1] == "bye"


def test_a_half_closed_connection_waits_for_what_a_service_owes(server):
    terminal = server.dial(HELLO, encode("KEEP", id="1"))
    terminal.protocol.session.finish()
    assert not terminal.closed
    server.toy.release()
    assert terminal.closed
    assert server.toy.events[-1] == "closed"


def test_heartbeats_carry_the_fields_of_the_services_and_end_a_silent_session(server, clock):
    terminal = server.dial(HELLO, encode("KEEP", id="1"))
    told(terminal)
    clock.advance(5)
    assert told(terminal) == ["PING|time=1700000005000|kept=1"]
    terminal.send(messages.pong())
    clock.pump([1.0] * 15)
    assert [each.partition("|")[0] for each in told(terminal)] == ["PING"] * 3
    clock.pump([1.0] * 5)
    assert told(terminal) == ["ERROR|code=timeout"]
    assert terminal.closed
    assert server.toy.events[-1] == "closed"


def test_more_bytes_than_may_wait_end_the_session(server, clock):
    terminal = server.dial(HELLO)
    terminal.transport.stalled = True
    terminal.send(encode("ECHO", text="x" * 100) * 1_000)
    clock.advance(0)
    assert told(terminal)[-1] == "ERROR|code=slow"
    assert terminal.closed


def test_refusals_by_policy_or_by_our_disk_never_end_a_session_and_others_do(server):
    terminal = server.dial(HELLO, encode("NEVER") * 50, encode("CRASH") * 50)
    assert not terminal.closed
    terminal.send(encode("SING") * 19)
    assert not terminal.closed
    terminal.send(encode("SING"))
    assert terminal.closed


def test_two_services_share_a_session(tmp_path, clock):
    others = ToyVerbs({"OTHER": (lambda message: "other", Toy.echo)}, "others")
    server = Server(tmp_path / "data", clock, others)
    terminal = server.dial(HELLO, encode("OTHER"), encode("ECHO", text="x"), messages.bye())
    assert terminal.received().count(b"<<ECHOED|text=") == 2
    assert others.handlers[0].events == server.toy.events == ["welcomed", "leaving", "bye"]


def test_a_handler_that_not_every_session_needs_is_made_at_the_first_verb(tmp_path, clock):
    others = ToyVerbs({"OTHER": (lambda message: "other", Toy.echo)}, "others")
    others.every_session = False
    server = Server(tmp_path / "data", clock, others)
    terminal, silent = server.dial(HELLO), server.dial(HELLO)
    assert not others.handlers
    terminal.send(encode("OTHER") + encode("OTHER") + messages.bye())
    silent.send(messages.bye())
    assert [each.events for each in others.handlers] == [["welcomed", "leaving", "bye"]]


@pytest.mark.parametrize(
    ("may", "named"),
    [((True, True), "toy,others"), ((True, False), "toy"), ((False, True), "others")],
)
def test_welcome_names_the_services_that_the_login_may_use(server, tmp_path, clock, may, named):
    others = ToyVerbs({}, "others")
    server = Server(tmp_path / "data", clock, others)
    terminal = server.dial()
    server.toys.may, others.may = may
    terminal.send(HELLO)
    assert told(terminal)[0].endswith(f"|services={named}")


class SwappedPort(Port):
    """A road whose messages have their letters in the other case, and whose pings are none."""

    form = Form(
        lambda data, page: parse(data.swapcase(), page),
        salvage,
        is_login,
        bytes.swapcase,
        ping=b"ping!",
        idle=20.0,
    )

    def farewell(self, code):
        return f"bye! {code}".encode()


@pytest.fixture
def swapped(server):
    server.factory.protocol = SwappedPort
    return server.dial(b"<<hello|V=2>>")


def test_a_session_speaks_in_the_form_of_its_road(swapped):
    assert swapped.received().startswith(b"<<welcome|V=2|TOY=1")
    swapped.send(b"<<sing>>")
    assert swapped.received().startswith(b"<<error|CODE=VERB|TEXT=a VERB IS ONE OF")
    swapped.send(b"<<bye>>")
    assert swapped.received() == b"bye! "


def test_an_idle_client_is_pinged_seldom_until_it_uses_a_service(swapped, server, clock):
    swapped.received()
    clock.advance(19.9)
    assert swapped.received() == b""
    clock.advance(0.1)
    assert swapped.received() == b"ping!"
    swapped.send(b"<<never>>")
    swapped.received()
    clock.advance(4.9)
    assert swapped.received() == b""
    clock.advance(0.1)
    assert swapped.received() == b"ping!"


def test_a_sign_of_life_that_is_no_message_keeps_a_session(swapped, server, clock):
    for _ in range(10):
        clock.advance(20)
        server.toy.session.heard()
    assert not swapped.closed
    clock.pump([20.0] * 4)
    assert swapped.received().endswith(b"TEXT=nO ANSWER TO 3 HEARTBEATS>>\r\nbye! timeout")


TALK = b"".join(
    [
        *(b"\0", HELLO, encode("ECHO", text="%<>|"), b"\r\n", encode("SING"), messages.ping("t")),
        *(encode("ECHO"), HELLO, encode("KEEP", id="1"), messages.bye()),
    ]
)


@pytest.mark.parametrize("at", range(len(TALK)))
def test_a_session_is_the_same_at_every_split_point(server, at):
    whole, cut = server.dial(TALK), server.dial(TALK[:at], TALK[at:])
    apart = server.dial()
    apart.send(TALK, 1)
    assert whole.received() == cut.received() == apart.received()


FRAMES = st.lists(
    st.sampled_from(
        [
            HELLO,
            encode("ECHO", text="x"),
            encode("KEEP", id="1"),
            encode("NEVER"),
            encode("SING"),
            messages.ping(),
            messages.pong(),
            messages.bye(),
            b"<<HELLO|v=3>>",
            b"<<",
            b">>",
            b"\xff\0|=%",
        ]
    )
    | st.binary(max_size=20),
    max_size=30,
)


@given(FRAMES, st.integers(1, 50))
def test_any_bytes_are_answered_or_end_the_session(tmp_path_factory, frames, size):
    clock = Clock()
    server = Server(tmp_path_factory.mktemp("data"), clock)
    whole, cut = server.dial(*frames), server.dial()
    cut.send(b"".join(frames), size)
    assert whole.received() == cut.received()
    assert whole.closed == cut.closed
    for each in (whole, cut):
        each.hang_up()
    clock.advance(0)
    assert clock.getDelayedCalls() == []
