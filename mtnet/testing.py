"""
Fakes for those who test a protocol of their own: no reactor, no sockets, no waiting.

::

    clock = Clock()
    env = make_environment(tmp_path, clock)
    terminal = connect(MyFactory(env), clock)
    terminal.send(b"hello\\r\\n")
    assert terminal.received() == b"hello to you\\r\\n"
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

from twisted.internet.address import IPv4Address
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, IProtocolFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from mtnet.access.accounts.authenticator import Threads
from mtnet.access.accounts.model import Accounts
from mtnet.access.accounts.store import AccountStore
from mtnet.access.bans.store import BanStore
from mtnet.access.control import AccessControl
from mtnet.access.throttle import LogThrottle
from mtnet.clock import WallClock
from mtnet.daemon.components import Components, stream_listener
from mtnet.daemon.configuration import load
from mtnet.daemon.environment import Environment
from mtnet.daemon.metrics import DaemonMetrics
from mtnet.daemon.registry import connection_limits, installed, permissions
from mtnet.daemon.status import HealthReport
from mtnet.interfaces import IServicePlugin
from mtnet.net.endpoints import Listener
from mtnet.storage.worker import InlineWorker as InlineWorker

EPOCH = 1_700_000_000_000
"""Milliseconds since the Unix epoch at which the wall clock of `make_environment` starts."""


@dataclass(frozen=True, kw_only=True)
class FakeEnvironment(Environment):
    """
    A daemon's components without reactor and sockets.

    Attributes:
        components: the components.
    """

    components: Components

    def of(self, name: str) -> Environment:
        """Return the environment of a component."""
        view = self.components.environments[name]
        return replace(view, find=self.find, clock=self.clock, now=self.now)

    def factory(self, name: str, listener: Listener | None = None) -> IProtocolFactory:
        """Return the factory of a component at a listener."""
        stream = stream_listener(self.components, name)
        return stream.factory(listener or Listener(name, ""))


def make_environment(
    folder: Path,
    clock: Clock,
    *sets: str,
    accounts: Accounts | None = None,
    plugins: Mapping[str, IServicePlugin] | None = None,
    now: WallClock | None = None,
) -> FakeEnvironment:
    """
    Return an environment like the daemon's, with a data folder of its own; blocking calls block.

    Args:
        folder: where it keeps its data; it survives into the next environment made there.
        clock: moved by the test; the wall clock follows it.
        sets: `SECTION.KEY=VALUE` texts, as for `--set`.
        accounts: who may log in; None = nobody.
        plugins: what is hosted, by name; None = all that are installed.
        now: a wall clock that is wrong now and then; None = one that follows `clock`.
    """
    # However full the disk of the tests is, ticks are taken.
    config = load(sets=["reserve=0", *sets], data=str(folder))
    folder.mkdir(exist_ok=True)
    now = now or WallClock(lambda: EPOCH + int(clock.seconds() * 1000), clock.seconds)
    found = installed() if plugins is None else plugins
    known = permissions(found)
    access = AccessControl(
        config.access.with_defaults(connection_limits(found)),
        AccountStore(folder / "accounts.sqlite", known),
        BanStore(folder / "bans.sqlite"),
        Threads(maybeDeferred, maybeDeferred, maybeDeferred),
        clock,
        now,
        known,
        accounts,
    )
    root = Environment.root(config, clock, now, access, LogThrottle())
    health = HealthReport()
    offers = health, DaemonMetrics(access, root.log, health)
    components = Components(found, root, lambda name: InlineWorker(), *offers)
    health.components = components.health
    shared = {each.name: getattr(root, each.name) for each in fields(root)}
    shared |= {"find": components.find, "find_all": components.find_all}
    return FakeEnvironment(**shared, components=components)


class TerminalTransport(StringTransport):
    """
    A transport whose peer reads as soon as the clock moves, unless it stalls.

    Attributes:
        stalled: the peer reads nothing.
        ended: the protocol closed its half of the connection.
    """

    def __init__(self, clock: Clock, host: str, peer: str) -> None:
        super().__init__(
            hostAddress=IPv4Address("TCP", host, 8081),
            peerAddress=IPv4Address("TCP", peer, 50_000),
            lenient=True,
        )
        self._clock = clock
        self.stalled = self.ended = False

    def loseWriteConnection(self) -> None:
        """Note that the protocol has said all."""
        self.ended = True

    def write(self, data: bytes) -> None:
        """Take bytes; a pull producer is asked for more once the clock moves."""
        super().write(data)
        self._clock.callLater(0, self.drain)

    def unregisterProducer(self) -> None:
        """Forget the producer; as with Twisted's own transports there need not be one."""
        if self.producer is not None:
            super().unregisterProducer()

    def drain(self) -> None:
        """Let the peer read what was written."""
        if not self.stalled and self.producer is not None:
            self.producer.resumeProducing()


class Terminal:
    """
    The far end of a connection to a protocol under test.

    Attributes:
        protocol: the protocol under test.
        transport: its transport.
    """

    def __init__(self, protocol: IProtocol, transport: TerminalTransport) -> None:
        self.protocol, self.transport = protocol, transport

    def send(self, data: bytes, size: int | None = None) -> None:
        """Send bytes, in pieces of `size` when it is given, until the connection is closed."""
        for at in range(0, len(data), size or max(1, len(data))):
            if self.closed:
                return
            self.protocol.dataReceived(data[at : at + (size or len(data))])

    def received(self) -> bytes:
        """Return what was written to the terminal since the last call."""
        data: bytes = self.transport.value()
        self.transport.clear()
        return data

    @property
    def closed(self) -> bool:
        """Whether the protocol closed the connection, or reset it."""
        return bool(self.transport.disconnecting)

    @property
    def reset(self) -> bool:
        """Whether it reset the connection."""
        return bool(self.transport.disconnected)

    def finish(self) -> None:
        """Close the terminal's half of the connection."""
        half = IHalfCloseableProtocol(self.protocol, None)
        if half is None:
            self.hang_up()
        else:
            half.readConnectionLost()

    def hang_up(self) -> None:
        """Close the connection."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


def connect(
    factory: IProtocolFactory, clock: Clock, host: str = "127.0.0.1", peer: str = "127.0.0.1"
) -> Terminal:
    """
    Connect a terminal to what `factory` builds.

    Args:
        host: the daemon's own address; one outside 127/8 makes the terminal a stranger.
        peer: the terminal's address.
    """
    transport = TerminalTransport(clock, host, peer)
    protocol = factory.buildProtocol(transport.getPeer())
    assert protocol is not None, "The factory refused the connection."
    protocol.makeConnection(transport)
    return Terminal(protocol, transport)
