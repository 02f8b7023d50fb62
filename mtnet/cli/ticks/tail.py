"""`mtnet ticks tail`."""

from argparse import Namespace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from mtnet.cli import remote
from mtnet.cli.output import print_json, utc_exact
from mtnet.client.core.prices.ticks import Tick
from mtnet.client.tick_subscription import subscribe
from mtnet.services.ticks.wire import FIELDS, json_number


async def tail_ticks(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """Print ticks until the time is over or stdout is closed."""
    ended: Deferred[None] = Deferred()
    watch = remote.StreamReporter(ended, arguments.server)
    service = subscribe(
        server,
        arguments.symbols or ["*"],
        lambda tick: watch.emit(lambda: _print(tick, arguments.json)),
        clock,
        on_connected=watch.connected,
        on_lost=watch.lost,
        on_error=lambda text: _refused(watch, text),
        login=arguments.account,
    )
    await remote.run_until(service, ended, watch, clock, arguments.seconds)


def _refused(watch: remote.StreamReporter, text: str) -> None:
    code, _, sentence = text.partition(" ")
    if code == "denied" and not watch.answered:  # nothing is subscribed: there will be no tick
        watch.fail(f"{sentence}.")
    else:
        watch.refused(text)


def _print(tick: Tick, as_json: bool) -> None:
    if as_json:
        numbers = {name: json_number(getattr(tick, name)) for name in FIELDS[:4]}
        print_json({**tick._asdict(), **numbers})
        return
    values = ["-" if each is None else str(each) for each in tick[1:7]]
    skipped = f" ({tick.skipped} skipped)" if tick.skipped else ""
    print(f"{utc_exact(tick.received)} {tick.symbol} {' '.join(values)}{skipped}", flush=True)
