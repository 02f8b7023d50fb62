"""Classic SignalServers that the daemon dials: `[signals.sources.NAME]`."""

from functools import partial

from twisted.application.service import MultiService
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.daemon.environment import Environment
from mtnet.errors import FrameError, WireError, quote
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.reconnect import stay_connected
from mtnet.net.transport import Transport
from mtnet.services.signals.ownership.publishers import Publisher
from mtnet.services.signals.service import SignalService
from mtnet.session.classic import parse_position
from mtnet.session.grammar import FrameDecoder


class SourceProtocol(Protocol):
    """Client of a classic SignalServer, which sends its frames to every connection."""

    log = Logger()
    transport: Transport  # type: ignore[assignment]

    def __init__(
        self,
        source: "SourceFactory",
        env: Environment,
        signals: SignalService,
        name: str,
        channel: str,
    ) -> None:
        self._source, self._env, self._signals = source, env, signals
        self._name, self._channel = name, channel
        self._decoder = FrameDecoder()
        self._publisher: Publisher | None = None

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        name = f"source {self._name}"
        self._publisher = self._signals.join(
            name,
            self.transport,
            refuse=self._refused,
            close=self._end,
            address=name,
        )
        self.log.info("The source {name} is connected.", name=self._name)

    def dataReceived(self, data: bytes) -> None:
        try:
            for payload in self._decoder.feed(data):
                self._frame(payload)
            if self._decoder.unframed and not self._decoder.unfinished:
                self._warn(f"Bytes outside of frames: {quote(self._decoder.unframed)}")
        except FrameError as error:
            self._warn(str(error))
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.log.warn(
            "The source {name} is lost ({reason}); its positions stay as they are.",
            name=self._name,
            reason=reason.getErrorMessage(),
        )
        self._leave()

    def _leave(self) -> None:
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            self._signals.leave(publisher)

    def _frame(self, payload: bytes) -> None:
        if self._publisher is None:
            return
        try:
            symbol, volume = parse_position(payload, self._env.section.codepage)
            self._signals.submit(self._publisher, self._channel, symbol, volume)
        except WireError as error:
            self._refused(error)
        else:
            self._source.given_up = 0

    def _refused(self, error: WireError) -> None:
        if error.code != "server":
            self._warn(str(error))
        elif self._publisher is not None:
            # Our trouble: a classic server sends its state to each new connection.
            self._leave()
            self._source.given_up += 1
            self._end(str(error))

    def _end(self, why: str) -> None:
        self._warn(why)
        self.transport.abortConnection()

    def _warn(self, what: str) -> None:
        if self._env.log.admits(f"source {self._name}", self._env.clock.seconds()):
            self.log.warn("The source {name}: {what}", name=self._name, what=what)


class SourceFactory(Factory):
    """
    Builds the connection to one source.

    Args:
        channel: of the positions that it sends.

    Attributes:
        given_up: connections in a row that were ended since nothing could be stored.
    """

    noisy = False

    def __init__(self, env: Environment, signals: SignalService, name: str, channel: str) -> None:
        self._protocol = partial(SourceProtocol, self, env, signals, name, channel)
        self.given_up = 0

    def buildProtocol(self, addr: object) -> SourceProtocol:
        return self._protocol()


class Sources(MultiService):
    """The connections to all sources, each made again when it is lost."""

    def __init__(self, env: Environment, signals: SignalService) -> None:
        super().__init__()
        self._env, self._signals = env, signals

    def startService(self) -> None:
        """Connect."""
        env = self._env
        for name, source in env.section.sources.items():
            endpoint = clientFromString(env.clock, source.connect)
            factory = SourceFactory(env, self._signals, name, source.channel)
            given_up = partial(getattr, factory, "given_up")
            stay_connected(endpoint, factory, env.clock, given_up).setServiceParent(self)
        super().startService()
