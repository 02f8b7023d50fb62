"""Bars as the objects of pandas, polars, pyarrow and NumPy, each imported when asked."""

from collections.abc import Sequence
from typing import Any

from mtnet.errors import JournalError
from mtnet.services.ticks.export import table as tables
from mtnet.services.ticks.export.table import INSTALL, arrow, numpy

COLUMNS = ("time_msc", "open", "high", "low", "close", "ticks", "spread", "volume")
"""The columns of each table; they are named as in Parquet files."""
WHOLE = ("time_msc", "ticks")

Rows = Sequence[tuple[Any, ...]]
"""Rows of `COLUMNS`; a spread of None is absent."""


def to_numpy(rows: Rows) -> dict[str, Any]:
    """Return an array of each column; absent spreads are masked."""
    np = numpy()
    found = {
        name: np.array(each, np.int64 if name in WHOLE else float)
        for name, each in _columns(rows).items()
    }
    spread = found["spread"]
    absent = np.isnan(spread)
    whole = np.where(absent, 0, spread).astype(np.int64)
    return found | {"spread": np.ma.masked_array(whole, absent) if absent.any() else whole}


def to_arrow(rows: Rows) -> Any:
    """
    Return a `pyarrow.Table`.

    Raises:
        JournalError: pyarrow is not installed.
    """
    pa = arrow()
    if pa is None:
        raise JournalError(f"Arrow needs pyarrow: {INSTALL}.")
    kinds = {name: pa.int64() if name in WHOLE else pa.float64() for name in COLUMNS}
    kinds["spread"] = pa.int32()
    return pa.table({name: pa.array(each, kinds[name]) for name, each in _columns(rows).items()})


def to_pandas(rows: Rows) -> Any:
    """
    Return a `pandas.DataFrame`; spreads are of the type Int64 if some are absent.

    Raises:
        JournalError: pandas is not installed.
    """
    pandas = tables.pandas()
    found = to_numpy(rows)
    spread = found["spread"]
    if hasattr(spread, "mask"):
        found["spread"] = pandas.arrays.IntegerArray(spread.data, spread.mask)
    return pandas.DataFrame(found)


def to_polars(rows: Rows) -> Any:
    """
    Return a `polars.DataFrame`.

    Raises:
        JournalError: polars is not installed.
    """
    polars = tables.polars()
    kinds = {name: polars.Int64 if name in WHOLE else polars.Float64 for name in COLUMNS}
    return polars.DataFrame(_columns(rows), kinds | {"spread": polars.Int32})


def _columns(rows: Rows) -> dict[str, Any]:
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    return dict(zip(COLUMNS, columns, strict=True))
