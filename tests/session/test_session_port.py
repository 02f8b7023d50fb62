"""A port of sessions: a service that has verbs alone takes connections, without a line for it."""

import pytest
from fakes.daemon import FakeDaemon, hello
from twisted.internet.defer import Deferred
from zope.interface.verify import verifyObject

from mtnet.daemon.components import stream_listener
from mtnet.daemon.configuration import load as load_all
from mtnet.daemon.preflight import listeners
from mtnet.interfaces import IStatus, IStreamListener
from mtnet.testing import connect, make_environment

ON = "topics.enabled=true"
GRANTS = {"ann": ("member",), "eve": ("read:ticks",)}


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock, ON, grants=GRANTS)


def dial(daemon, **addresses):
    return daemon.dial("topics", **addresses)


def test_a_client_logs_in_and_uses_the_verbs(daemon):
    terminal = dial(daemon)
    assert daemon.say(terminal, b"") == b""
    answer = daemon.say(terminal, hello("ann"))
    assert answer.startswith(b"<<WELCOME|v=2|")
    assert b"|services=topics>>" in answer
    answer = daemon.say(terminal, b"<<JOIN|topic=x>><<SEND|topic=x|data=1>>")
    assert [each.split(b"|")[0] for each in answer.splitlines()] == (
        [b"<<JOINED", b"<<MESSAGE", b"<<SENT"]
    )


def test_bytes_may_come_one_by_one(daemon):
    terminal = dial(daemon)
    terminal.send(hello("ann") + b"\0\r\n<<SEND|topic=x|data=1>>", size=1)
    daemon.clock.advance(0)
    assert b"<<SENT|topic=x|seq=1|receivers=0>>" in terminal.received()


def test_the_verbs_of_other_services_are_there_as_rights_allow(daemon):
    terminal = dial(daemon)
    assert b"|services=ticks>>" in daemon.say(terminal, hello("eve"))
    assert b"TICKING" in daemon.say(terminal, b"<<TICKS|symbols=EURUSD>>")
    assert b"code=denied" in daemon.say(terminal, b"<<JOIN|topic=x>>")


def test_a_wrong_password_ends_the_connection(daemon):
    terminal = dial(daemon)
    assert b"ERROR|code=login" in daemon.say(terminal, hello("ann", "wrong"))
    assert terminal.transport.ended


def test_a_password_is_not_taken_in_clear_from_other_machines(daemon):
    terminal = dial(daemon, host="192.0.2.1", peer="192.0.2.9")
    answer = daemon.say(terminal, hello("ann"))
    assert b"ERROR|code=login|text=A password is not taken where others can listen" in answer


def test_hello_must_be_first_and_a_classic_frame_is_refused(daemon):
    terminal = dial(daemon)
    assert b"ERROR|code=verb|text=HELLO must be the first" in daemon.say(terminal, b"<<PING>>")
    assert b"ERROR|code=" in daemon.say(terminal, b"<<EURUSD|0.25>>")
    assert b"WELCOME" in daemon.say(terminal, hello("ann"))


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\n", b"POST /", b"\x16\x03\x01\x02\x00\x01"])
def test_a_browser_is_reset(daemon, head):
    terminal = dial(daemon)
    assert daemon.say(terminal, head + b"<<HELLO|v=2>>") == b""
    assert terminal.reset


def test_a_client_that_never_says_hello_is_closed(daemon):
    terminal = dial(daemon)
    daemon.clock.advance(4)
    assert not terminal.reset
    daemon.clock.advance(1)
    assert terminal.reset


def test_a_password_may_be_verified_for_a_while_and_what_is_behind_hello_waits(daemon, monkeypatch):
    held = Deferred()
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: held)
    terminal = dial(daemon)
    terminal.send(hello("ann") + b"<<SEND|topic=x|data=1>>")
    daemon.clock.advance(6)
    assert terminal.received() == b""
    held.callback(True)
    daemon.clock.advance(0)
    answer = terminal.received()
    assert answer.startswith(b"<<WELCOME|")
    assert b"<<SENT|" in answer


def test_a_client_that_is_welcome_may_be_silent(daemon):
    terminal = dial(daemon)
    daemon.say(terminal, hello("ann") + b"<<JOIN|topic=x>>")
    for _ in range(10):
        daemon.clock.advance(5)
        daemon.say(terminal, b"<<PONG>>")
    assert not terminal.closed


def test_a_frame_that_does_not_end_is_waited_for_so_long(daemon):
    terminal = dial(daemon)
    daemon.say(terminal, hello("ann"))
    for _ in range(9):
        daemon.clock.advance(1)
        terminal.send(b"<<SEND|topic=x" if terminal.received() == b"" else b"")
    assert not terminal.reset
    daemon.clock.advance(2)
    assert terminal.reset


def test_a_frame_that_is_too_long_is_told_and_ends_the_session(daemon):
    terminal = dial(daemon)
    daemon.say(terminal, hello("ann"))
    answer = daemon.say(terminal, b"<<SEND|topic=x|data=" + b"y" * 8_200 + b">>")
    assert b"ERROR|code=frame" in answer
    assert terminal.transport.ended


def test_longer_frames_are_read_after_welcome_alone(daemon):
    frame = b"<<SEND|topic=x|data=" + b"y" * 5_000 + b">>"
    assert b"ERROR|code=frame" in daemon.say(dial(daemon), frame)
    terminal = dial(daemon)
    daemon.say(terminal, hello("ann"))
    assert b"SENT" in daemon.say(terminal, frame)


def test_a_client_that_closes_its_half_is_answered_and_closed(daemon):
    terminal = dial(daemon)
    terminal.send(hello("ann") + b"<<SEND|topic=x|data=1>>")
    terminal.finish()
    daemon.clock.advance(0)
    assert b"SENT" in terminal.received()
    assert terminal.closed
    cut = dial(daemon)
    cut.send(hello("ann") + b"<<SEND|top")
    cut.finish()
    assert cut.reset


def test_bye_ends_it(daemon):
    terminal = dial(daemon)
    daemon.say(terminal, hello("ann"))
    daemon.say(terminal, b"<<BYE>>")
    assert terminal.transport.ended


def test_what_is_gone_leaves_nothing(daemon):
    terminal = dial(daemon)
    daemon.say(terminal, hello("ann") + b"<<JOIN|topic=x>>")
    terminal.hang_up()
    assert IStatus(daemon.env.components.services["topics"]).status()["memberships"] == 0


def test_an_account_that_may_less_than_before_is_closed(daemon):
    terminal = dial(daemon)
    daemon.say(terminal, hello("ann"))
    daemon.change("ann", grants=(), password=None)
    daemon.clock.advance(0)
    assert terminal.transport.ended


# Which services have such a port


@pytest.mark.parametrize("name", ["topics", "indicators", "jobs"])
def test_an_endpoint_opens_a_port_and_enables_the_service(tmp_path, clock, name):
    env = make_environment(tmp_path / "data", clock, f"listen.{name}=tcp:8084")
    terminal = connect(env.factory(name), clock)
    terminal.send(b"<<HELLO|v=2>>")
    assert name in terminal.received().decode().rpartition("services=")[2]
    stream = stream_listener(env.components, name)
    assert verifyObject(IStreamListener, stream)
    assert stream.verbs == tuple(env.components.plugins[name].permissions)


def test_without_an_endpoint_it_is_off(tmp_path, clock):
    env = make_environment(tmp_path / "data", clock)
    assert not any(env.of(name).enabled for name in ("topics", "indicators", "jobs"))
    off = make_environment(tmp_path / "data", clock, "listen.topics=off")
    assert not off.of("topics").enabled


def test_the_listener_is_found_like_every_other():
    config = load_all(listens=["topics=tcp:8084"])
    assert ("topics", "tcp:8084") in {(each.service, each.endpoint) for each in listeners(config)}
