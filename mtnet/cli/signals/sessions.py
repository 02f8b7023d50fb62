"""`mtnet signals publish` and `mtnet signals follow`."""

import sys
from argparse import Namespace
from decimal import Decimal
from functools import partial
from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater

from mtnet.callbacks import noop
from mtnet.cli import remote
from mtnet.cli.output import print_result
from mtnet.cli.signals.publish import TIMEOUT, UNSURE, print_stored, signal_fields
from mtnet.client.classic import follow
from mtnet.client.core.events import opening_limits
from mtnet.client.failures import within
from mtnet.client.follower import Follower
from mtnet.client.publisher import Publisher
from mtnet.clock import system_time
from mtnet.errors import ClientError
from mtnet.services.signals.values import PauseMode
from mtnet.services.signals.wire import Entry

CLASSIC_SILENCE = 10.0
"""Seconds of silence after which a server counts as one of the classic dialect with an empty
channel: a port that expects TLS has closed the connection by then."""


async def publish_signal(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """
    Publish one position.

    Raises:
        ClientError: it is refused, or not confirmed in time.
    """
    print_stored(arguments, await _Publication(server, clock, arguments).run())


class _Publication:
    """One signal, and a publisher that is started for it."""

    def __init__(
        self, server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
    ) -> None:
        self._clock, self._arguments = clock, arguments
        self._troubles: dict[str, None] = {}
        self._answered, self._lost_by = False, ""
        self._publisher = Publisher(
            server,
            clock,
            arguments.channel,
            take="1" if arguments.take else "0",
            on_connected=self._connected,
            on_lost=self._lost,
            on_trouble=self._troubles.setdefault,
            on_unreachable=noop,  # it is raised
            login=arguments.account,
        )

    async def run(self) -> int:
        """Return the number of the stored entry; raise ClientError without one."""
        stored = self._publish()
        connected = self._publisher.whenConnected(failAfterFailures=1)
        self._publisher.startService()
        try:
            await connected
            return await self._confirmation(stored)
        finally:
            stored.addErrback(lambda failure: None)
            # A ClientService cannot be stopped from its own callback.
            await deferLater(self._clock, 0)
            await self._publisher.stopService()

    def _publish(self) -> "Deferred[int]":
        asked = self._arguments
        return self._publisher.publish(
            asked.symbol,
            asked.volume,
            ticket=asked.ticket,
            type=asked.type,
            id=asked.id,
            **signal_fields(asked),
        )

    async def _confirmation(self, stored: "Deferred[int]") -> int:
        try:
            return await within(stored, TIMEOUT, self._clock, UNSURE)
        except ClientError as error:
            if self._lost_by or (not self._answered and str(error) == UNSURE):
                reason = self._lost_by or f"nothing within {TIMEOUT:g} s"
                text = remote.unanswered(self._arguments.server, reason)
                raise ClientError(f"{text} Nothing was published.") from error
            raise ClientError(" ".join([*self._troubles, str(error)])) from error

    def _connected(self) -> None:
        self._answered = True

    def _lost(self, reason: str) -> None:
        if not self._answered:
            self._lost_by = reason
            self._publisher.stopService()


async def follow_signals(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """
    Print positions until the time is over or stdout is closed.

    Raises:
        ClientError: the server refuses.
    """
    ended: Deferred[None] = Deferred()
    watch = remote.StreamReporter(ended, arguments.server)
    service: Any
    if arguments.published:
        print("mtnet: --published is the old name of --classic; use that.", file=sys.stderr)
    if arguments.classic or arguments.published:
        _check_no_login(arguments)
        service = _classic(server, clock, watch, arguments)
    else:
        service = _follower(server, clock, watch, arguments)
    await remote.run_until(service, ended, watch, clock, arguments.seconds)


def _classic(
    server: IStreamClientEndpoint,
    clock: IReactorTime,
    watch: remote.StreamReporter,
    arguments: Namespace,
) -> ClientService:
    quiet = min(CLASSIC_SILENCE, arguments.seconds or CLASSIC_SILENCE)

    def connected() -> None:
        watch.reconnected()
        # An empty channel sends nothing.
        clock.callLater(quiet, watch.connected)

    def position(symbol: str, volume: Decimal) -> None:
        watch.connected()
        watch.emit(lambda: _print_position(arguments, symbol, volume))

    return follow(server, position, clock, on_connected=connected, on_lost=watch.lost)


def _follower(
    server: IStreamClientEndpoint,
    clock: IReactorTime,
    watch: remote.StreamReporter,
    arguments: Namespace,
) -> Follower:
    channel = arguments.channel

    def synced() -> None:
        limits = opening_limits(follower.max_age, follower.max_slippage)
        if limits:
            watch.note(limits)

    follower = Follower(
        server,
        clock,
        channel,
        on_snapshot=lambda found: _print_entries(watch, arguments, *found),
        on_signal=lambda signal: _print_entries(watch, arguments, signal),
        on_synced=synced,
        on_blind=lambda why: watch.lost(why) if why else watch.connected(),
        on_provider=lambda up, since: watch.note(_PRESENCE[up]),
        on_epoch=lambda old, new: watch.note(_other_history(old, new)),
        on_paused=lambda mode: watch.note(_PAUSES[mode].format(channel=channel)),
        on_flattened=lambda: watch.note(f"The server has closed every position of {channel}."),
        on_notice=watch.note,
        on_error=lambda code, text: _refused(watch, code, text),
        on_unreachable=noop,  # the first is raised, and of later ones the loss was noted
        login=arguments.account,
    )
    return follower


_PRESENCE = {True: "The provider is there.", False: "There is no provider now."}
_PAUSES: dict[PauseMode | None, str] = {
    "close_only": "{channel} is paused: it takes closings and reductions alone.",
    "frozen": "{channel} is frozen: it takes nothing, not even a closing.",
    None: "{channel} takes everything again.",
}


def _other_history(old: str, new: str) -> str:
    what = f"has another journal than before ({new}, not {old})"
    if old == new:
        what = "has an older copy of the journal than before"
    return f"The server {what}: nothing is shown from here on; is its data folder the right one?"


def _refused(watch: remote.StreamReporter, code: str, text: str) -> None:
    # A channel that was open once may open again.
    if code == "login" or (code in ("channel", "denied") and not watch.answered):
        watch.fail(f"{text}.")
    else:
        watch.refused(f"{code} {text}")


def _print_entries(watch: remote.StreamReporter, arguments: Namespace, *entries: Entry) -> None:
    for entry in entries:
        watch.emit(partial(_print_entry, arguments, entry))


def _print_entry(arguments: Namespace, entry: Entry) -> None:
    values: dict[str, object] = {
        "symbol": entry.symbol,
        "volume": f"{entry.volume or Decimal('0.00'):f}",
        "time": entry.time,
        "channel": entry.channel,
        "seq": entry.seq,
        **({"ticket": entry.ticket} if entry.ticket else {}),
        **({"type": entry.type} if entry.type != "position" else {}),
        **dict(entry.fields),
    }
    shown = [f"{entry.symbol} {values['volume']}"]
    shown += [f"{key}={value}" for key, value in list(values.items())[5:]]
    print_result(arguments, values, " ".join(shown))


def _print_position(arguments: Namespace, symbol: str, volume: Decimal) -> None:
    text = f"{volume or Decimal('0.00'):f}"
    values = {"symbol": symbol, "volume": text, "time": system_time()}
    print_result(arguments, values, f"{symbol} {text}")


def _check_no_login(arguments: Namespace) -> None:
    if arguments.account is not None:
        raise ClientError("The classic dialect of signals knows no login.")
