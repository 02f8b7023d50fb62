"""A publisher that confirms each signal once it is on the server's disk."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint

from mtnet.client.connection import Runner
from mtnet.client.core import events
from mtnet.client.core.events import PublisherEvent
from mtnet.client.core.numbers import Number
from mtnet.client.core.publisher import PublisherCore
from mtnet.client.core.reconciliation import Holdings, Position, Positions
from mtnet.client.core.session import Session
from mtnet.client.failures import log, warn
from mtnet.client.feedback import Reporting
from mtnet.client.login import Login
from mtnet.errors import ClientError
from mtnet.services.signals import values


class PublisherCallbacks(Struct, frozen=True):
    """The callbacks of a `Publisher`."""

    connected: Callable[[], object]
    lost: Callable[[str], object]
    trouble: Callable[[str], object]
    fenced: Callable[[str], object]
    paused: Callable[[values.PauseMode | None], object]
    flattened: Callable[[], object]
    notice: Callable[[str], object]
    error: Callable[[str, str], object]
    unreachable: Callable[[str], object] = warn


class Publisher(Reporting):
    """
    Publishes signals, and sends each again until the server has it on its disk.

    It begins with `startService()` and ends with `stopService()`. Of one position the next signal
    is sent when the one before it is stored, so that none overtakes another.

    With `positions` it also publishes **the whole state** of its channel: after each connection,
    and when a pause of the channel ends, it counts what the account holds and publishes what the
    channel shows otherwise, closes first. A position that the account lacks is closed when two
    countings 10 s apart lack it, and an account without a position closes none unless it is
    `Holdings.flat`. Without `positions` it closes nothing by itself.

    Args:
        clock: the reactor.
        channel: of signals that name none.
        positions: returns everything that the account holds in `channel`, as it is at that
            moment: an iterable of `Position`, or `Holdings`, or None while that is not known. A
            signal is published after `positions` tells of the change.
        take: `free` takes the channel when nobody else publishes there; `1` takes it over from its
            holder, which a person decides, and only until the first signal is stored; `0`
            publishes without being the channel's publisher.
        on_connected: called after each connection.
        on_lost: called with the reason when a connection ends.
        on_trouble: called with the reason when the server's disk refuses a signal, which is sent
            again.
        on_fenced: called with the channel that another publisher holds; everything that waited
            fails, and nothing is published until the program is restarted.
        on_paused: called, on each connection, with the mode of a pause of `channel`: `close_only`
            (closings alone) or `frozen` (nothing); with None when it accepts everything again.
        on_flattened: called when the server's operator has closed every position of it.
        on_notice: called with a sentence of the server for people.
        on_error: called with a code and a sentence when something without a Deferred is refused.
        on_unreachable: called with a sentence when the server cannot be reached, once until it
            is reached again; further attempts follow. By default the sentence is logged.
        name: shown in the server's status. The server takes a publisher of the same name and
            login for the same one, and `free` takes the channel over from it.
        login: sent only over TLS or within this machine.

    Raises:
        ClientError: `take` is `0`, and `positions` would close what another publisher holds.
    """

    _core: PublisherCore

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        channel: str = "main",
        *,
        positions: Positions | None = None,
        take: values.Take = "free",
        on_connected: Callable[[], object] = lambda: None,
        on_lost: Callable[[str], object] = lambda reason: None,
        on_trouble: Callable[[str], object] = lambda reason: None,
        on_fenced: Callable[[str], object] = lambda channel: None,
        on_paused: Callable[[values.PauseMode | None], object] = lambda mode: None,
        on_flattened: Callable[[], object] = lambda: None,
        on_notice: Callable[[str], object] = lambda text: None,
        on_error: Callable[[str, str], object] = lambda code, text: None,
        on_unreachable: Callable[[str], object] = warn,
        name: str = "",
        login: Login | None = None,
    ) -> None:
        self.name, self.login = name, login
        self._on = PublisherCallbacks(
            on_connected,
            on_lost,
            on_trouble,
            on_fenced,
            on_paused,
            on_flattened,
            on_notice,
            on_error,
            on_unreachable,
        )
        counted = None if positions is None else partial(_count, positions)
        self._core = PublisherCore(Session(name, login), channel, take, counted)
        self._answers: dict[str, Deferred[int]] = {}
        self._runner = Runner(endpoint, self._core, clock, self._handle, speaks_http=True)

    @property
    def stopped(self) -> bool:
        """Whether nothing is published any more."""
        return bool(self._core.why_stopped)

    @property
    def waiting(self) -> int:
        """Signals that are not stored yet."""
        return self._core.waiting

    def startService(self) -> None:
        """
        Begin to connect; signals that are published before wait.

        Raises:
            ClientError: it was stopped, or another publisher holds the channel.
        """
        if self._core.why_stopped:
            raise ClientError(self._core.why_stopped)
        self._runner.start()

    def stopService(self) -> "Deferred[None]":
        """Disconnect; signals without an answer fail, although some may have been stored."""
        self._runner.run(self._core.stop())
        return self._runner.stop()

    def whenConnected(self, failAfterFailures: int | None = None) -> "Deferred[IProtocol]":
        """As that of `ClientService`."""
        return self._runner.when_connected(failAfterFailures)

    def publish(
        self,
        symbol: str,
        volume: Number,
        *,
        channel: str | None = None,
        ticket: str = "",
        type: values.Kind = "position",
        id: str = "",
        **fields: Number,
    ) -> "Deferred[int]":
        """
        Set a position, whole; fires with the seq of its entry once that is on disk.

        Args:
            volume: lots, kept exact, a float by its shortest text; positive = bought, negative =
                sold, 0 = closed.
            ticket: of one position among several of the symbol; empty = the net position.
            id: unique in the channel; a repeated id is never applied twice. Empty = a new one.
            fields: `price`, `sl`, `tp`, `magic`, `comment`, `ptime` (your clock, milliseconds).

        Raises, or fails with:
            RefusedError: the server refuses it; see `code` and `closed`.
            ClientError: it is invalid, or another publisher holds the channel.
        """
        identity = self._core.publish(symbol, volume, channel, ticket, type, id, fields)
        answer = self._answers[identity] = Deferred()
        self._runner.run()
        return answer

    def _run(self, events: Iterable[PublisherEvent] = ()) -> None:
        self._runner.run(events)

    def _handle(self, event: PublisherEvent) -> None:
        if isinstance(event, events.Stored):
            self._answers.pop(event.id).callback(event.seq)
        elif isinstance(event, events.Failed):
            self._answers.pop(event.id).errback(event.error)
        elif isinstance(event, events.Stopped):
            self._runner.stop()
        elif isinstance(event, events.Fenced) or not self.stopped:
            _CALLBACKS[type(event)](self._on, event)


def _count(positions: Positions) -> Iterable[Position] | Holdings | None:
    """Count an account; an error of the program is logged whole, and reported as one sentence."""
    try:
        return positions()
    except ClientError:
        raise
    except Exception:
        log.failure("The positions of the account cannot be counted")
        raise


_CALLBACKS: Mapping[type, Callable[[PublisherCallbacks, Any], object]] = {
    events.Connected: lambda on, _: on.connected(),
    events.Lost: lambda on, lost: on.lost(lost.reason),
    events.Trouble: lambda on, trouble: on.trouble(trouble.text),
    events.Fenced: lambda on, fenced: on.fenced(fenced.channel),
    events.Paused: lambda on, paused: on.paused(paused.mode),
    events.Flattened: lambda on, _: on.flattened(),
    events.Notice: lambda on, notice: on.notice(notice.text),
    events.Refused: lambda on, refused: on.error(refused.code, refused.text),
    events.Unreachable: lambda on, found: on.unreachable(found.text),
    events.LeftOut: lambda on, left_out: warn(str(left_out)),
}
