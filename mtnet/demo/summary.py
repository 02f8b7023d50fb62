"""The demonstration's first and last lines: commands to try, and a summary."""

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from mtnet.demo.daemon import ADMIN, HOST, NAME, DemoDaemon
from mtnet.demo.output import milliseconds
from mtnet.demo.scenario import FOLLOWERS, Scenario
from mtnet.services.ticks.storage.reader import TickReader


def commands_to_try(daemon: DemoDaemon, symbol: str) -> Iterator[str]:
    """Yield commands for another terminal, while the demonstration runs."""
    yield f"nc {HOST} {daemon.port('signals')}"
    yield f"openssl s_client -quiet -verify_return_error -CAfile {quote(str(daemon.ca))} \\"
    yield f"    -verify_hostname {NAME} -connect {HOST}:{daemon.port('signals', 'TLS')}"
    yield f"curl http://{HOST}:{daemon.port('web')}/healthz"
    yield f"mtnet ticks tail --server tcp:{HOST}:{daemon.port('ticks')} {symbol}"
    yield f"mtnet status --data {quote(str(daemon.data))}"


def page_to_open(daemon: DemoDaemon) -> Iterator[str]:
    """Yield the address of the page, and who sees more there."""
    yield daemon.page
    yield f"Log in as {ADMIN}, password {daemon.password}, to see accounts and mute alerts."


def next_commands(data: Path, kept: bool, symbol: str) -> Iterator[str]:
    """Yield commands for afterwards."""
    folder = quote(str(data)) if kept else "demo-data"
    if kept:
        yield f"mtnet ticks report --data {folder}"
    else:
        yield "mtnet demo --data demo-data --seconds 60   # keeps what was stored"
    yield f"mtnet ticks export --data {folder} {symbol} -o {symbol}.tsv"
    yield f"mtnet demo --ticks {symbol}.tsv --speed 10"
    yield f"mtnet run --data {folder}" if kept else "mtnet run --help"


def summary(scenario: Scenario, daemon: DemoDaemon, kept: bool) -> Iterator[str]:
    """Yield the counts; the daemon has ended, so that all is on disk."""
    feed, counts = scenario.feed, scenario.counts
    ticks = daemon.data / "ticks.sqlite"
    stored = sum(row["ticks"] for row in TickReader(ticks).symbols()) if ticks.exists() else 0
    yield _row("Ticks", f"{feed.sent} sent, {stored} stored, {counts.ticks} told")
    how = f"{feed.sent_udp} in {feed.datagrams} numbered datagrams"
    yield _row("", f"{how}, {feed.sent_tcp} over TCP")
    late = f", {counts.late} NOT TOLD" if counts.late else ""
    yield _row(
        "Signals",
        f"{counts.trades} published, {counts.signals} told to {len(FOLLOWERS)} followers{late}",
    )
    if counts.trades:
        worst = f"{milliseconds(counts.worst)} until told, {milliseconds(counts.worst_disk)}"
        yield _row("", f"at worst {worst} until confirmed")
    again = f", {scenario.refused} refused and tried again" if scenario.refused else ""
    yield _row("", f"{scenario.filled} acknowledged with a fill{again}")
    yield _row("Templates", f"{counts.templates} stored and fetched")
    yield _row("Data", f"{daemon.data}{'' if kept else ', which is removed now'}")
    for path in sorted(daemon.data.iterdir()):
        if path.name not in ("lock", "control"):
            name = path.name + "/" * path.is_dir()
            yield _row("", f"{name:<18} {_size(path) / 1_024:8.1f} KiB")


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file())


def _row(name: str, text: str) -> str:
    return f"{name:<10} {text}".rstrip()
