"""`mtnet signals follow`."""

import sys
from argparse import Namespace
from decimal import Decimal
from functools import partial

from mtnet.cli import remote
from mtnet.cli.output import print_result
from mtnet.client.core import events
from mtnet.client.core.events import OtherHistory, Refused
from mtnet.client.core.follower import FollowerCore
from mtnet.client.core.replica import Replica
from mtnet.client.core.session import Session
from mtnet.clock import system_time
from mtnet.errors import ClientError
from mtnet.services.signals.wire.answers import Entry, Signal

CLASSIC_SILENCE = 10.0
"""Seconds of silence after which a server counts as one of the classic dialect with an empty
channel: a port that expects TLS has closed the connection by then."""
BEFORE_END = 0.5
"""Share of shorter `--seconds` after which it does: at their end nothing more is looked at."""


def follow_signals(arguments: Namespace) -> None:
    """
    Print positions until the time is over or stdout is closed.

    Raises:
        ClientError: the server refuses.
    """
    watch = remote.StreamReporter(arguments.server)
    if arguments.published:
        print("mtnet: --published is the old name of --classic; use that.", file=sys.stderr)
    follow = _classic if arguments.classic or arguments.published else _session
    follow(watch, arguments)


def _classic(watch: remote.StreamReporter, arguments: Namespace) -> None:
    from mtnet.client.core.tasks.classic import ClassicCore, ClassicFraming, Position, Quiet

    if arguments.account is not None:
        raise ClientError("The classic dialect of signals knows no login.")

    def position(found: Position) -> None:
        watch.connected()
        watch.emit(partial(_print_position, arguments, found.symbol, found.volume))

    handle = remote.dispatch(
        {
            Position: position,
            events.Connected: lambda _: watch.reconnected(),
            Quiet: lambda _: watch.connected(),  # an empty channel sends nothing
            events.Lost: lambda lost: watch.lost(lost.reason),
            events.LeftOut: lambda event: watch.note(str(event)),
        }
    )
    seconds = CLASSIC_SILENCE if arguments.seconds is None else arguments.seconds
    core = ClassicCore(min(CLASSIC_SILENCE, BEFORE_END * seconds))
    framing = remote.of_streams(ClassicFraming)
    remote.stream(arguments, core, watch, handle, framing=framing)


def _session(watch: remote.StreamReporter, arguments: Namespace) -> None:
    def shown(*entries: Entry) -> None:
        for entry in entries:
            watch.emit(partial(_print_entry, arguments, entry))

    def synced(event: events.Synced) -> None:
        limits = events.opening_limits(event.max_age, event.max_slippage)
        if limits:
            watch.note(limits)

    def blind(event: events.Blind) -> None:
        if event.reason:
            watch.lost(event.reason)
        else:
            watch.connected()

    noted = (events.Paused, events.Flattened, events.Notice, events.LeftOut)
    handle = remote.dispatch(
        {
            events.State: lambda state: shown(*state.positions),
            Signal: shown,
            events.Synced: synced,
            events.Blind: blind,
            events.Provider: lambda provider: watch.note(str(provider)),
            OtherHistory: lambda found: watch.note(_other_history(found)),
            Refused: lambda refused: _refused(watch, refused),
            **{each: lambda event: watch.note(str(event)) for each in noted},
        }
    )
    replica = Replica.of(arguments.channel, None, None, 0, "", (), "")
    core = FollowerCore(Session("", arguments.account), replica)
    remote.stream(arguments, core, watch, handle, speaks_http=True)


def _other_history(found: OtherHistory) -> str:
    what = f"has another journal than before ({found.new}, not {found.old})"
    if found.old == found.new:
        what = "has an older copy of the journal than before"
    return f"The server {what}: nothing is shown from here on; is its data folder the right one?"


def _refused(watch: remote.StreamReporter, refused: Refused) -> None:
    code, text = refused.code, refused.text
    # A channel that was open once may open again.
    if code == "login" or (code in ("channel", "denied") and not watch.answered):
        watch.fail(f"{text}.")
    else:
        watch.refused(f"{code} {text}")


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
