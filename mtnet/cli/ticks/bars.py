"""`mtnet ticks bars`: bars of the stored ticks as text, Parquet or Arrow."""

from argparse import Namespace

from mtnet.cli.ticks.export import check_options, clocks_of, settings_of, working_folder, write
from mtnet.cli.ticks.stored import chosen_symbols, progress_bar, store_path
from mtnet.services.ticks.bars.history import BarHistory
from mtnet.services.ticks.bars.periods import PERIODS
from mtnet.services.ticks.export import bars
from mtnet.services.ticks.export.formats import Columns
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.wire import encode_symbol


def export_bars(arguments: Namespace) -> None:
    """
    Write the bars of some symbols, one symbol after another.

    Raises:
        ClientError: there are no ticks of a symbol, the format cannot hold what is asked for, or
            the file cannot be written.
        ConfigError: `--utc` is no rule of a clock, or the configuration cannot be read.
        JournalError: the store is damaged, or the format needs a package that is not installed.
    """
    path = store_path(arguments)
    known = [row["symbol"] for row in TickReader(path).symbols()]
    names = chosen_symbols(arguments.symbols, known)
    check_options(arguments, names)
    settings = settings_of(arguments)
    chosen = bars.BarSelection(
        [name.encode() for name in names],
        PERIODS[arguments.period],
        arguments.start,
        arguments.stop,
        arguments.limit,
        {encode_symbol(each) for each in settings.bars_of_last},
    )
    history = BarHistory(path)
    with progress_bar(unit=" bars") as progress:
        if arguments.format == "parquet":
            found = bars.parquet_stream(history, chosen, working_folder, progress)
            write(found, arguments.output)
        elif arguments.format == "arrow":
            write(bars.arrow_stream(history, chosen, progress), arguments.output)
        else:
            clocks = clocks_of(arguments)
            columns = Columns(clocks, iso=arguments.iso)
            found = bars.text(arguments.format, history, chosen, columns, progress)
            write(found, arguments.output)
