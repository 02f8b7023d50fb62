"""`mtnet ticks tail`."""

from argparse import Namespace

from mtnet.cli import remote
from mtnet.cli.output import print_json, utc_exact
from mtnet.client.core.events import Connected, LeftOut, Lost, Refused
from mtnet.client.core.prices.ticks import Tick, TickCore
from mtnet.services.ticks.wire import FIELDS, json_number


def tail_ticks(arguments: Namespace) -> None:
    """Print ticks until the time is over or stdout is closed."""
    watch = remote.StreamReporter(arguments.server)
    handle = remote.dispatch(
        {
            Tick: lambda tick: watch.emit(lambda: _print(tick, arguments.json)),
            Connected: lambda _: watch.connected(),
            Lost: lambda lost: watch.lost(lost.reason),
            Refused: lambda refused: _refused(watch, refused),
            LeftOut: lambda left_out: watch.note(_left_out(left_out)),
        }
    )
    core = TickCore(arguments.symbols or ["*"], arguments.account)
    remote.stream(arguments, core, watch, handle, framing=remote.tick_framing)


def _refused(watch: remote.StreamReporter, refused: Refused) -> None:
    if refused.code == "denied" and not watch.answered:  # nothing is subscribed: no tick will come
        watch.fail(f"{refused.text}.")
    else:
        watch.refused(f"{refused.code} {refused.text}")


def _left_out(left_out: LeftOut) -> str:
    return f"A line of the server is left out: {left_out.error}"


def _print(tick: Tick, as_json: bool) -> None:
    if as_json:
        numbers = {name: json_number(getattr(tick, name)) for name in FIELDS[:4]}
        print_json({**tick._asdict(), **numbers})
        return
    values = ["-" if each is None else str(each) for each in tick[1:7]]
    skipped = f" ({tick.skipped} skipped)" if tick.skipped else ""
    print(f"{utc_exact(tick.received)} {tick.symbol} {' '.join(values)}{skipped}", flush=True)
