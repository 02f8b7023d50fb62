"""What the demonstration says before and after: where everything is, and what to try."""

from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from mtnet.demo.daemon import HOST, NAME, Stage
from mtnet.demo.output import milliseconds
from mtnet.demo.scenario import Play
from mtnet.services.ticks.storage.reader import TickReader


def trials(stage: Stage, symbol: str) -> Iterator[str]:
    """Yield commands for another terminal, while the demonstration runs."""
    data, ca = quote(str(stage.data)), quote(str(stage.ca))
    secure = stage.port("signals", "TLS")
    yield f"nc {HOST} {stage.port('signals')}"
    yield f"openssl s_client -quiet -verify_return_error -CAfile {ca} \\"
    yield f"    -verify_hostname {NAME} -connect {HOST}:{secure}"
    yield f"curl http://{HOST}:{stage.port('web')}/healthz"
    yield f"mtnet ticks tail --server tcp:{HOST}:{stage.port('ticks')} {symbol}"
    yield f"mtnet status --data {data}"


def following(data: Path, kept: bool, symbol: str) -> Iterator[str]:
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


def summary(play: Play, stage: Stage, kept: bool) -> Iterator[str]:
    """Yield what came of it; the daemon has ended, so that all is on disk."""
    feeder, counts = play.feeder, play.counts
    yield _row("Ticks", f"{feeder.sent} sent, {_stored(stage)} stored, {counts.ticks_told} told")
    how = f"{feeder.sent_udp} in {feeder.datagrams} numbered datagrams"
    yield _row("", f"{how}, {feeder.sent_tcp} over TCP")
    late = f", {counts.late} NOT TOLD" if counts.late else ""
    yield _row("Signals", f"{counts.trades} published, {counts.told} told to 2 followers{late}")
    if counts.trades:
        worst = f"{milliseconds(counts.worst)} until told, {milliseconds(counts.worst_disk)}"
        yield _row("", f"at worst {worst} until confirmed")
    yield _row("Templates", f"{counts.templates} stored and fetched")
    yield _row("Data", f"{stage.data}{'' if kept else ', which is removed now'}")
    for name, size in stage.files():
        yield _row("", f"{name:<18} {size / 1_024:8.1f} KiB")


def _stored(stage: Stage) -> int:
    path = stage.data / "ticks.sqlite"
    if not path.exists():
        return 0
    return sum(row["ticks"] for row in TickReader(path).symbols())


def _row(name: str, text: str) -> str:
    return f"  {name:<10} {text}".rstrip()
