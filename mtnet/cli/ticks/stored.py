"""The commands of `mtnet ticks` on the stored ticks."""

from argparse import Namespace
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtnet.cli import local
from mtnet.cli.output import print_result, table, utc_exact
from mtnet.cli.output import progress_bar as shown_progress
from mtnet.errors import ClientError, WireError
from mtnet.services.ticks.clocks.rules import ALL
from mtnet.services.ticks.export import moments
from mtnet.services.ticks.storage.reader import TickReader

if TYPE_CHECKING:
    from mtnet.services.ticks.files.importer import Importer


def import_ticks(arguments: Namespace) -> None:
    """
    Store the ticks of a file.

    Raises:
        ClientError: a line of it cannot be read, or goes back in time.
        JournalError: the store is damaged, or takes nothing.
    """
    from mtnet.client.core.prices.symbols import wire_symbol
    from mtnet.clock import system_time
    from mtnet.daemon.datadir import make_folder
    from mtnet.services.ticks.files import mt5
    from mtnet.services.ticks.files.importer import Importer

    path = store_path(arguments)
    make_folder(path.parent)
    symbol = wire_symbol(arguments.symbol)
    importer = Importer(path, symbol, system_time())
    whole = False
    try:
        with progress_bar() as progress:
            importer.run(
                lambda: mt5.rows(arguments.file, arguments.shift), progress, arguments.sort
            )
        whole = True
    finally:
        if whole or importer.added or importer.known:
            _print_counts(importer)


def _print_counts(importer: "Importer") -> None:
    total = importer.added + importer.known
    print(f"{total} ticks, {importer.added} new, {importer.known} there already.", flush=True)
    if importer.unsorted is not None:
        print(f"Line {importer.unsorted} goes back in time: the ticks were sorted.", flush=True)


def list_symbols(arguments: Namespace) -> None:
    """Print the stored symbols."""
    found = TickReader(store_path(arguments)).symbols()
    rows = _readable(found, DATES)
    print_result(arguments, found, "\n".join(table(rows)) if rows else "No tick is stored.")


def report(arguments: Namespace) -> None:
    """Print what each source sent, and which ticks are missing."""
    found = TickReader(store_path(arguments)).report()
    print_result(arguments, found, "\n".join(_describe(found)))


def _describe(found: dict[str, Any]) -> Iterator[str]:
    for name, dates in (("sources", DATES), ("symbols", DATES), ("gaps", ("found",))):
        if found[name]:
            yield f"{name}:"
            yield from (f"  {line}" for line in table(_readable(found[name], dates)))
    totals = found["totals"]
    yield (
        f"{totals['stored']} ticks taken and stored, {totals['lost']} lost when the daemon was "
        f"killed, {totals['unstored']} rejected by the store, {totals['kernel drops']} datagrams "
        "dropped by the kernel."
    )


DATES = ("first", "last")
"""The columns that hold times; those of gaps are numbers."""


def _readable(rows: Iterable[dict[str, Any]], dates: tuple[str, ...]) -> list[dict[str, Any]]:
    shown = []
    for row in rows:
        values = {key: utc_exact(value) if key in dates else value for key, value in row.items()}
        if "silence" in values:
            values["silence"] = f"{row['silence'] / 1_000:.3f} s"
        shown.append(values)
    return shown


# Files


def stored_symbol(symbol: str, known: Collection[str]) -> str:
    """
    Return a symbol as on the wire.

    Raises:
        ClientError: it is none of those that are known; or there can be none.
    """
    from mtnet.client.core.prices.symbols import wire_symbol

    name = wire_symbol(symbol).decode()
    if name in known:
        return name
    spelt = {each.casefold(): each for each in known}
    near = [spelt[each] for each in get_close_matches(name.casefold(), spelt)]
    shown = ", ".join(near) or "`mtnet ticks symbols` lists them"
    raise ClientError(f"There are no ticks of {symbol}. Stored symbols: {shown}.")


def chosen_symbols(symbols: list[str], known: Collection[str]) -> list[str]:
    """
    Return the stored symbols that were named, each once; `*` stands for all.

    Raises:
        ClientError: there are no ticks of one.
    """
    if ALL in symbols:
        return list(known)
    return list(dict.fromkeys(stored_symbol(each, known) for each in symbols))


def check_span(arguments: Namespace) -> None:
    """
    Check that there is a time from `--from` to `--to`.

    Raises:
        ClientError: there is none.
    """
    try:
        moments.check_span(arguments.start, arguments.stop, "--from", "--to")
    except WireError as error:
        raise ClientError(f"{error}.") from None


def store_path(arguments: Namespace) -> Path:
    return local.folder(arguments) / "ticks.sqlite"


@contextmanager
def progress_bar(
    total: int | None = None, unit: str = " ticks"
) -> Iterator[Callable[[int], object]]:
    """Show a progress bar in a terminal; `total` = how many there are, if that is known."""
    with shown_progress(unit, total) as bar:
        yield bar.update
