"""`mtnet ticks report SYMBOL`: silences while symbols were traded, and suspicious ticks."""

import os
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from mtnet.cli.output import print_result, table, utc_exact
from mtnet.cli.ticks.stored import check_span, chosen_symbols, progress_bar, store_path
from mtnet.daemon.configuration import load
from mtnet.services.ticks.clocks.rules import Clocks
from mtnet.services.ticks.health.calendar import calendar_of
from mtnet.services.ticks.health.quality import LIMITS, Quality, judge
from mtnet.services.ticks.storage.reader import TickReader


def report(arguments: Namespace) -> None:
    """
    Print the quality of the ticks of symbols; all of them are read.

    Raises:
        ClientError: there are no ticks of a symbol, or no time from `--from` to `--to`.
        ConfigError: the configuration cannot be read.
    """
    check_span(arguments)
    reader = TickReader(store_path(arguments))
    known = {row["symbol"]: row["ticks"] for row in reader.symbols()}
    names = chosen_symbols(arguments.symbols, known)
    section = load(arguments.config, os.environ, data=arguments.data).section("ticks")
    span, clocks = (arguments.start, arguments.stop), Clocks.read(section.clock)
    found: dict[str, Quality] = {}
    with progress_bar(sum(known[name] for name in names)) as progress:
        for name in names:
            calendar = calendar_of(name, section.sessions, section.holidays)
            utc = clocks.rule(name) or int
            found[name] = judge(reader.ticks(name.encode(), *span), calendar, *span, utc)
            progress(found[name].ticks)
    facts = [{"symbol": name, **_facts(each)} for name, each in found.items()]
    text = "\n".join(line for name, each in found.items() for line in _lines(name, each))
    print_result(arguments, facts, text)


def _facts(found: Quality) -> dict[str, Any]:
    longest = [
        {"from": begin, "to": end, "trading": trading}
        for trading, begin, end in sorted(found.longest, reverse=True)
    ]
    return {**asdict(found), "longest": longest}


def _lines(name: str, found: Quality) -> Iterator[str]:
    span = ""
    if found.first is not None and found.last is not None:
        span = f" from {utc_exact(found.first)} to {utc_exact(found.last)}"
    yield f"{name}: {found.ticks} ticks{span}"
    over = ", ".join(f"{found.silences[limit]} over {limit}" for limit in LIMITS)
    yield f"  silences while trading: {over}"
    rows = [
        {"from": utc_exact(begin), "to": utc_exact(end), "trading": _lasted(trading)}
        for trading, begin, end in sorted(found.longest, reverse=True)
    ]
    yield from (f"    {line}" for line in (table(rows) if rows else ()))
    yield (
        f"  {found.duplicates} duplicates, {found.stale} stale, {found.crossed} with the ask below "
        f"the bid, {found.bursts} bursts; {found.most} ticks in a second at most"
    )


def _lasted(milliseconds: int) -> str:
    return str(timedelta(seconds=milliseconds // 1_000))
