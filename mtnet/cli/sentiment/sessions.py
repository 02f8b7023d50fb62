"""`mtnet sentiment watch`."""

from argparse import Namespace

from msgspec import to_builtins

from mtnet.cli import remote
from mtnet.cli.output import print_json, utc_exact
from mtnet.client.core.tasks.sentiment import SentimentCore, Watching
from mtnet.services.sentiment.wire import Sentiment


def watch(arguments: Namespace) -> None:
    """Print sums until the time is over or stdout is closed."""
    reporter = remote.StreamReporter(arguments.server)
    handle = remote.reported(
        reporter, {Sentiment: lambda sums: reporter.emit(lambda: _print(sums, arguments.json))}
    )
    core = SentimentCore(Watching(arguments.symbols), arguments.account)
    remote.stream(arguments, core, reporter, handle)


def _print(sums: Sentiment, as_json: bool) -> None:
    if as_json:
        print_json({**to_builtins(sums), "net": f"{sums.net:f}"})
    elif not sums.clients:
        print(f"{utc_exact(sums.time)} {sums.symbol} fewer clients than may be shown", flush=True)
    else:
        print(
            f"{utc_exact(sums.time)} {sums.symbol} long {sums.long:f} short {sums.short:f} "
            f"net {sums.net:f} clients {sums.clients}",
            flush=True,
        )
