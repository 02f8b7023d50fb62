"""Bars as the objects of pandas, polars, pyarrow and NumPy, each imported when asked."""

from collections.abc import Sequence
from typing import Any

from mtnet.errors import MissingPackageError
from mtnet.services.ticks.export import table as tables
from mtnet.services.ticks.export.table import INSTALL, arrow, numpy

COLUMNS = ("time_msc", "open", "high", "low", "close", "ticks", "spread", "volume")
"""The columns of each table; they are named as in Parquet files."""
UTC = "utc_msc"
"""The column behind them, if the rows have one more item."""
WHOLE = ("time_msc", "ticks")
ABSENT = ("spread", UTC)
"""Whole numbers too, of which some may be absent."""

Rows = Sequence[tuple[Any, ...]]
"""Rows of `COLUMNS`; a spread or UTC of None is absent."""


def to_numpy(rows: Rows, utc: bool = False) -> dict[str, Any]:
    """Return an array of each column; what is absent is masked."""
    np = numpy()
    found = {
        name: np.array(each, np.int64 if name in WHOLE else float)
        for name, each in _columns(rows, utc).items()
    }
    for name in ABSENT[: 1 + utc]:
        absent = np.isnan(found[name])
        whole = np.where(absent, 0, found[name]).astype(np.int64)
        found[name] = np.ma.masked_array(whole, absent) if absent.any() else whole
    return found


def to_arrow(rows: Rows, utc: bool = False) -> Any:
    """
    Return a `pyarrow.Table`.

    Raises:
        MissingPackageError: pyarrow is not installed.
    """
    pa = arrow()
    if pa is None:
        raise MissingPackageError(f"Arrow needs pyarrow: {INSTALL}.")
    kinds = {name: pa.int64() if name in WHOLE else pa.float64() for name in COLUMNS}
    kinds |= {"spread": pa.int32(), UTC: pa.int64()}
    columns = _columns(rows, utc).items()
    return pa.table({name: pa.array(each, kinds[name]) for name, each in columns})


def to_pandas(rows: Rows, utc: bool = False) -> Any:
    """
    Return a `pandas.DataFrame`; a column of which some are absent is of the type Int64.

    Raises:
        MissingPackageError: pandas is not installed.
    """
    pandas = tables.pandas()
    found = to_numpy(rows, utc)
    for name in ABSENT[: 1 + utc]:
        if hasattr(found[name], "mask"):
            found[name] = pandas.arrays.IntegerArray(found[name].data, found[name].mask)
    return pandas.DataFrame(found)


def to_polars(rows: Rows, utc: bool = False) -> Any:
    """
    Return a `polars.DataFrame`.

    Raises:
        MissingPackageError: polars is not installed.
    """
    polars = tables.polars()
    kinds = {name: polars.Int64 if name in WHOLE else polars.Float64 for name in COLUMNS}
    kinds |= {"spread": polars.Int32} | ({UTC: polars.Int64} if utc else {})
    return polars.DataFrame(_columns(rows, utc), kinds)


def _columns(rows: Rows, utc: bool) -> dict[str, Any]:
    names = (*COLUMNS, UTC) if utc else COLUMNS
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return dict(zip(names, columns, strict=True))
