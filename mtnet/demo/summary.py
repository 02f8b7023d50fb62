"""What the demonstration says before and after: where everything is, and what to try."""

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from mtnet.demo.daemon import HOST, NAME, DemoDaemon
from mtnet.demo.output import milliseconds
from mtnet.demo.scenario import Scenario
from mtnet.services.ticks.storage.reader import TickReader


def commands_to_try(daemon: DemoDaemon, symbol: str) -> Iterator[str]:
    """Yield commands for another terminal, while the demonstration runs."""
    data, ca = quote(str(daemon.data)), quote(str(daemon.ca))
    secure = daemon.port("signals", "TLS")
    yield f"nc {HOST} {daemon.port('signals')}"
    yield f"openssl s_client -quiet -verify_return_error -CAfile {ca} \\"
    yield f"    -verify_hostname {NAME} -connect {HOST}:{secure}"
    yield f"curl http://{HOST}:{daemon.port('web')}/healthz"
    yield f"mtnet ticks tail --server tcp:{HOST}:{daemon.port('ticks')} {symbol}"
    yield f"mtnet status --data {data}"


def next_commands(data: Path, kept: bool, symbol: str) -> Iterator[str]:
    """Yield commands for afterwards."""
    if kept:
        folder = quote(str(data))
        yield f"mtnet ticks report --data {folder}"
        yield f"mtnet ticks export --data {folder} {symbol} -o {symbol}.tsv"
        yield f"mtnet demo --ticks {symbol}.tsv --speed 10"
        yield f"mtnet run --data {folder}"
    else:
        yield "mtnet demo --data demo-data --seconds 60   # keeps what was stored"
        yield f"mtnet ticks export --data demo-data {symbol} -o {symbol}.tsv"
        yield f"mtnet demo --ticks {symbol}.tsv --speed 10"
    yield "mtnet run --help"


def summary(scenario: Scenario, daemon: DemoDaemon, kept: bool) -> Iterator[str]:
    """Yield what came of it; the daemon has ended, so that all is on disk."""
    feed, counts = scenario.feed, scenario.counts
    yield _row(
        "Ticks", f"{feed.sent} sent, {_stored(daemon)} stored, {counts.ticks_delivered} told"
    )
    how = f"{feed.sent_udp} in {feed.datagrams} numbered datagrams"
    yield _row("", f"{how}, {feed.sent_tcp} over TCP")
    late = f", {counts.late} NOT TOLD" if counts.late else ""
    yield _row(
        "Signals", f"{counts.trades} published, {counts.delivered} told to 2 followers{late}"
    )
    if counts.trades:
        worst = f"{milliseconds(counts.worst)} until told, {milliseconds(counts.worst_disk)}"
        yield _row("", f"at worst {worst} until confirmed")
    yield _row("Templates", f"{counts.templates} stored and fetched")
    yield _row("Data", f"{daemon.data}{'' if kept else ', which is removed now'}")
    for name, size in daemon.files():
        yield _row("", f"{name:<18} {size / 1_024:8.1f} KiB")


def _stored(daemon: DemoDaemon) -> int:
    path = daemon.data / "ticks.sqlite"
    if not path.exists():
        return 0
    return sum(row["ticks"] for row in TickReader(path).symbols())


def _row(name: str, text: str) -> str:
    return f"  {name:<10} {text}".rstrip()
