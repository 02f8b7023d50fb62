"""Send ticks to a server, which stores each of them once."""

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint

from mtnet.callbacks import noop
from mtnet.client.connection import Runner
from mtnet.client.core.events import Connected, Lost, Refused
from mtnet.client.core.prices.sending import Number, SendCore, SendEvent, Stored, record
from mtnet.client.core.websocket import tick_framing
from mtnet.client.failures import monotonic
from mtnet.client.login import Login
from mtnet.errors import ClientError


class TickSender:
    """
    Sends ticks in numbered batches until the server confirms that they are on its disk.

    Batches in flight when a connection breaks are sent again; the server stores each once.
    It begins with `startService()` and ends with `stopService()`.

    Args:
        source: its name for the server, `[A-Za-z0-9._-]{1,32}`; no two senders share one.
        clock: the reactor, or whatever else has its `callLater`.
        on_connected: called after each connection.
        on_lost: called with the reason when a connection ends.
        on_error: called with a code such as `denied`, and a sentence, when the server refuses;
            `port` is something else than a tick port.
        login: sent only over TLS or within this machine.

    Raises:
        ClientError: `source` is no name of one.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        source: str,
        clock: IReactorTime,
        *,
        on_connected: Callable[[], object] = lambda: None,
        on_lost: Callable[[str], object] = lambda reason: None,
        on_error: Callable[[str], object] = lambda sentence: None,
        login: Login | None = None,
    ) -> None:
        self._core, self._clock = SendCore(source, clock.seconds(), login), clock
        self._runner: Runner[SendEvent] = Runner(
            endpoint, self._core, clock, self._handle, tick_framing
        )
        self._callbacks: dict[type, Callable[..., object]] = {
            Connected: lambda _: on_connected(),
            Lost: lambda lost: on_lost(lost.reason),
            Refused: lambda refused: on_error(f"{refused.code} {refused.text}"),
            Stored: self._stored,
        }
        self._waiting: list[tuple[int, Deferred[None]]] = []
        self._closed = False

    def startService(self) -> None:
        """Begin to connect; ticks that are handed in before wait."""
        self._runner.start()

    def whenConnected(self, failAfterFailures: int | None = None) -> "Deferred[IProtocol]":
        """As that of `ClientService`."""
        return self._runner.when_connected(failAfterFailures)

    def stopService(self) -> "Deferred[None]":
        """Disconnect, whatever waits: await `synced` before, to lose nothing."""
        self._closed = True
        waiting, self._waiting = self._waiting, []
        for _, done in waiting:
            done.errback(_stopped())
        return self._runner.stop()

    @property
    def sent(self) -> int:
        """Ticks that were handed in."""
        return self._core.sent

    @property
    def stored(self) -> int:
        """Ticks that the server has on its disk."""
        return self._core.stored

    @property
    def refused(self) -> int:
        """Ticks that the server will not have."""
        return self._core.refused

    @property
    def waiting(self) -> int:
        """Ticks that the server has not confirmed."""
        return self._core.waiting

    def send(
        self,
        symbol: str,
        bid: Number = None,
        ask: Number = None,
        last: Number = None,
        volume: Number = None,
        time: int | None = None,
        flags: int | None = None,
    ) -> None:
        """
        Hand in a tick; the numbers keep the digits that they are given with.

        Args:
            symbol: `UK 100` or, as on the wire, `UK%20100`.
            time: `MqlTick.time_msc`: milliseconds of the terminal's own clock.
            flags: those of MqlTick.

        Raises:
            ClientError: it is no tick, or as many wait for the server as may.
        """
        self.send_record(record(symbol, bid, ask, last, volume, time, flags))

    def send_record(self, record: bytes) -> None:
        """
        Hand in a tick as it is on the wire, `SYMBOL BID [ASK [LAST [VOLUME [TIME [FLAGS]]]]]`.

        Raises:
            ClientError: as `send`.
        """
        if self._closed:
            raise _stopped("and takes no more ticks")
        self._core.send_record(record, monotonic(self._clock))
        self._runner.run()

    def synced(self) -> "Deferred[None]":
        """Return a Deferred that fires once every tick so far is stored, or refused for good."""
        if self._closed and self.waiting:
            return fail(_stopped())
        self._core.flush()
        self._runner.run()
        if not self.waiting:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._waiting.append((self.sent, done))
        return done

    def _handle(self, event: SendEvent) -> None:
        self._callbacks.get(type(event), noop)(event)

    def _stored(self, _: Stored) -> None:
        done = self.stored + self.refused
        while self._waiting and self._waiting[0][0] <= done:
            self._waiting.pop(0)[1].callback(None)


def _stopped(when: str = "before the server had all ticks") -> ClientError:
    return ClientError(f"The sender was stopped {when}.")
