"""`mtnet signals`: publishes, follows, and looks after channels and their journal."""

import csv
import os
import sys
import time
from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import Clock, deferLater
from twisted.python.failure import Failure

from mtnet.callbacks import noop
from mtnet.cli import local, parsers, remote
from mtnet.cli.output import local_time, pairs, print_json, print_result, table
from mtnet.cli.signals import record
from mtnet.cli.signals.status import PAUSED, status
from mtnet.client import Follower, Publisher, follow
from mtnet.client.failures import within
from mtnet.clock import WallClock, system_time
from mtnet.daemon.configuration import load
from mtnet.daemon.datadir import DataFolder
from mtnet.errors import ClientError
from mtnet.services.signals.journal import maintenance
from mtnet.services.signals.journal.export import export, prove_entries
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.settings import SignalSettings
from mtnet.services.signals.values import PauseMode
from mtnet.services.signals.wire import Entry

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands

SERVER = "tcp:127.0.0.1:8081"
"""The daemon's default endpoint."""
TIMEOUT = 10.0
"""Seconds until a signal must be confirmed."""
UNSURE = f"Not confirmed within {TIMEOUT:g} s; it may still be stored later."
CLASSIC_SILENCE = 10.0
"""Seconds of silence after which a server counts as one of the classic dialect with an empty
channel: a port that expects TLS has closed the connection by then."""
FIELDS = ("price", "sl", "tp", "magic", "comment")
CSV = (
    "channel", "seq", "time", "symbol", "ticket", "type", "volume", "id", "price", "sl", "tp",
    "magic", "comment", "ptime",
)  # fmt: skip
DONE = {
    "pause": PAUSED["close_only"],
    "freeze": PAUSED["frozen"],
    "resume": "goes on",
    "flatten": "is flat and paused",
}
TEXT_COLUMNS = ("symbol", "ticket", "id", "comment")
"""Columns with text from clients; the others are numbers and checked names."""
FORMULA_PREFIXES = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet computes a cell that begins so."""


# Command line


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet signals`."""
    parser.description = "Publishes and follows positions, and looks after the journal of signals."
    signals = parsers.group(parser)
    _configure_publish(signals)
    _configure_follow(signals)
    summary = "list the channels, their positions, publishers and followers"
    parsers.add_json(local.add(signals, "channels", list_channels, summary))
    summary = "show who follows and publishes, what is wrong with each, and what to do"
    parsers.add_json(local.add(signals, "status", status, summary))
    for name, summary in (
        ("pause", "accept only reductions in a channel until it is resumed"),
        ("freeze", "accept nothing in a channel, not even closings, until it is resumed"),
        ("resume", "accept everything in a channel again"),
        ("flatten", "close every position of a channel, then accept only reductions"),
    ):
        _add_channel(local.add(signals, name, partial(_operate, name), summary, "main"))
    summary = "show a sentence to the people at all sessions"
    parser = local.add(signals, "notice", notice, summary, "'The server restarts at 22:00 UTC'")
    parser.add_argument("text", metavar="TEXT")
    _configure_export(signals)
    summary = "print the trades of a channel, and their results by month"
    record.configure(local.add(signals, "record", record.record, summary, "gold --csv"))
    summary = "check every row of the journal; the daemon may run meanwhile"
    _add_optional_channel(local.add(signals, "verify", verify, summary))
    _configure_accept(signals)
    summary = "copy the journal alone into a new file; the daemon may run meanwhile"
    parser = local.add(signals, "backup", backup, summary, "signals-monday.backup")
    parser.add_argument("file", metavar="FILE", type=Path)


def _add_channel(parser: ArgumentParser) -> None:
    parser.add_argument("channel", metavar="CHANNEL")


def _add_optional_channel(parser: ArgumentParser) -> None:
    parser.add_argument("channel", metavar="CHANNEL", nargs="?", help="default: all of them")


def _configure_publish(commands: "Commands") -> None:
    summary = "set the position of a symbol and wait until it is stored"
    parser = remote.add(commands, "publish", publish_signal, SERVER, summary, "GBPUSD -0.25")
    parser.add_argument("symbol", metavar="SYMBOL")
    parser.add_argument(
        "volume", metavar="VOLUME", help="lots; negative = sold, 0 = flat, for example -0.25"
    )
    parser.add_argument("--channel", metavar="NAME", default="main")
    parser.add_argument("--ticket", default="", help="one of several positions in the symbol")
    parser.add_argument("--type", default="position", help="position, buy_limit, sell_stop, ...")
    parser.add_argument("--id", default="", help="never applied twice (default: a new one)")
    parser.add_argument(
        "--take", action="store_true", help="take the channel over from its current publisher"
    )
    for name in FIELDS:
        parser.add_argument(f"--{name}", metavar="X")


def _configure_follow(commands: "Commands") -> None:
    summary = "print positions as they change, until Ctrl-C"
    parser = remote.add(commands, "follow", follow_signals, SERVER, summary, "--seconds 60 --json")
    parser.add_argument("--channel", metavar="NAME", default="main")
    parser.add_argument(
        "--seconds", metavar="N", type=remote.seconds, help="stop after this many seconds"
    )
    parser.add_argument(
        "--classic", action="store_true", help="as a classic client, which acknowledges nothing"
    )
    parser.add_argument("--published", action="store_true", help=SUPPRESS)  # until 1.0


def _configure_export(commands: "Commands") -> None:
    summary = "print every stored entry, each verified"
    parser = local.add(commands, "export", export_entries, summary, "main --format csv")
    _add_optional_channel(parser)
    parser.add_argument(
        "--format",
        choices=("csv", "jsonl", "chain"),
        default="csv",
        help="chain: each line of the journal with its hash, for a proof",
    )
    parser.add_argument(
        "--spreadsheet",
        action="store_true",
        help="put ' before texts in CSV that a spreadsheet would compute, such as @ES",
    )


def _configure_accept(commands: "Commands") -> None:
    summary = "continue a channel that is damaged, or whose history went back, as it is"
    parser = local.add(commands, "accept", accept, summary, "main")
    _add_channel(parser)
    parser.add_argument(
        "--new-epoch",
        action="store_true",
        help="make every follower hold until a person accepts it there; damage always does",
    )


# Commands for a server


async def publish_signal(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """
    Publish one position.

    Raises:
        ClientError: it is refused, or not confirmed in time.
    """
    seq = await _Publication(server, clock, arguments).run()
    values = {"symbol": arguments.symbol, "volume": arguments.volume, "seq": seq}
    print_result(arguments, values, f"Stored: {arguments.symbol} {arguments.volume}")


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
        fields = {name: getattr(asked, name) for name in FIELDS}
        return self._publisher.publish(
            asked.symbol,
            asked.volume,
            ticket=asked.ticket,
            type=asked.type,
            id=asked.id,
            **{name: value for name, value in fields.items() if value is not None},
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
    return Follower(
        server,
        clock,
        channel,
        on_snapshot=lambda found: _print_entries(watch, arguments, *found),
        on_signal=lambda signal: _print_entries(watch, arguments, signal),
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


# Commands for the running daemon


def list_channels(arguments: Namespace) -> None:
    """
    Print the channels.

    Raises:
        ClientError: no daemon answers.
    """
    found = local.ask_daemon(arguments, "status")["signals"]["channels"]
    rows = [{"channel": name, **_flat(row)} for name, row in found.items()]
    print_result(arguments, found, "\n".join(table(rows)))


def _operate(name: str, arguments: Namespace) -> None:
    result = local.ask_daemon(arguments, f"signals {name}", channel=arguments.channel)
    count = f": {result} positions and orders" if isinstance(result, int) else ""
    print(f"{arguments.channel} {DONE[name]}{count}.", flush=True)


def notice(arguments: Namespace) -> None:
    """
    Send a NOTICE to all sessions.

    Raises:
        ClientError: no daemon answers.
        WireError: the text is empty, or too long.
    """
    count = local.ask_daemon(arguments, "signals notice", text=arguments.text)
    print(f"Sent to {count} session{'s' * (count != 1)}.", flush=True)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **row,
        "positions": pairs(row["positions"]),
        "since": local_time(row["since"]),
        "paused": row["paused"] or "",
    }


# Commands for the journal


def export_entries(arguments: Namespace) -> None:
    """
    Print entries.

    Raises:
        ClientError: the channel does not exist.
        JournalError: the journal is damaged.
    """
    if arguments.format == "chain":
        _print_chain(arguments)
        return
    rows = csv.writer(sys.stdout, lineterminator="\n")
    if arguments.format == "csv":
        rows.writerow(CSV)
    for entry in export(local.folder(arguments) / "signals.sqlite", arguments.channel):
        values: dict[str, object] = {
            "channel": entry.channel,
            "seq": entry.seq,
            "time": entry.when,
            "symbol": entry.symbol,
            "ticket": entry.ticket,
            "type": entry.type,
            "volume": f"{entry.volume:f}",
            "id": entry.id,
            **dict(entry.fields),
        }
        if arguments.format == "csv":
            shown = escape_formulas(values) if arguments.spreadsheet else values
            rows.writerow([shown.get(key, "") for key in CSV])
        else:
            print(msgspec.json.encode(values).decode())
    sys.stdout.flush()


def _print_chain(arguments: Namespace) -> None:
    """Print the hash before the first entry, then each line with its hash, of each channel."""
    channel = ""
    for each in prove_entries(local.folder(arguments) / "signals.sqlite", arguments.channel):
        if each.entry.channel != channel:
            channel = each.entry.channel
            print_json({"hash": each.before.hex(), "line": ""})
        print_json({"hash": each.hash.hex(), "line": each.line.decode()})


def escape_formulas(values: Mapping[str, object]) -> dict[str, object]:
    """Put ' before texts that a spreadsheet would compute; other programs see the change."""
    return {
        key: f"'{text}" if key in TEXT_COLUMNS and str(text).startswith(FORMULA_PREFIXES) else text
        for key, text in values.items()
    }


def verify(arguments: Namespace) -> None:
    """
    Check the journal.

    Raises:
        JournalError: there is none.
        SystemExit: something is wrong.
    """
    from tqdm import tqdm

    path, wrong, done = local.folder(arguments) / "signals.sqlite", 0, 0
    with tqdm(unit=" rows", unit_scale=True, disable=not sys.stderr.isatty()) as bar:
        for progress in maintenance.verify(path, arguments.channel):
            bar.total = progress.total
            bar.update(progress.done - done)
            done = progress.done
            for finding in progress.findings:
                wrong += 1
                print(finding, flush=True)
    if wrong:
        raise SystemExit(1)
    print(f"{path} is whole: {done} rows.", flush=True)


def backup(arguments: Namespace) -> None:
    """
    Copy the journal, as it is at one moment, into a new file.

    Raises:
        JournalError: it is damaged, or the file exists already.
    """
    maintenance.backup(local.folder(arguments) / "signals.sqlite", arguments.file)
    print(f"{arguments.file}: {arguments.file.stat().st_size} bytes.", flush=True)


def accept(arguments: Namespace) -> None:
    """
    Continue a channel as it is, in the running daemon or without one.

    Raises:
        StartError: the folder cannot be used.
        JournalError: the disk failed.
        WireError: the channel is sound or does not exist.
    """
    settings = load(arguments.config, os.environ).section("signals")
    with local.admin_session(local.folder(arguments), partial(_offline, settings)) as asked:
        held = asked("signals accept", channel=arguments.channel, new_epoch=arguments.new_epoch)
    print(f"{arguments.channel} goes on with {held} positions and orders.", flush=True)


@contextmanager
def _offline(settings: SignalSettings, folder: DataFolder) -> Iterator[local.RunCommand]:
    """Yield a function that accepts a channel while no daemon runs."""
    journal = Journal(folder.path / "signals.sqlite", settings.retain)
    clock = WallClock(system_time, time.monotonic)
    signals = SignalService(settings, journal, Clock(), clock, maybeDeferred)
    signals.open()
    try:
        yield lambda command, channel, new_epoch: _result(signals.epochs.accept(channel, new_epoch))
    finally:
        journal.close()


def _result(work: Coroutine[Any, Any, int]) -> int:
    """Return the result of a coroutine that never waits, or raise its error."""
    done: list[int | Failure] = []
    Deferred.fromCoroutine(work).addBoth(done.append)
    if isinstance(done[0], Failure):
        done[0].raiseException()
    return done[0]
