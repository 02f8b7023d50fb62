"""Tables of ticks as the objects of pandas, polars, pyarrow and NumPy, each imported when asked."""

from collections.abc import Callable
from typing import Any

from mtnet.errors import MissingPackageError
from mtnet.services.ticks.export import table as tables
from mtnet.services.ticks.export.table import INSTALL, NUMBERS, Table, arrow, numpy


def to_numpy(table: Table) -> dict[str, Any]:
    """Return an array of each column; absent times and flags are masked."""
    np = numpy()
    sources = np.array(table.sources or [""], object)
    time = table.time
    if table.untimed is not None:
        time = np.ma.masked_array(time, table.untimed)
    absent = table.flags < 0
    flags = np.ma.masked_array(table.flags, absent) if absent.any() else table.flags
    numbers = dict(zip(NUMBERS, table.numbers, strict=True))
    return {
        "time_msc": time,
        "received_us": table.received,
        **numbers,
        "flags": flags,
        "source": sources[table.source],
        **_utc(table, lambda utc: utc if utc.mask.any() else utc.data),
    }


def to_arrow(table: Table) -> Any:
    """
    Return a `pyarrow.Table`.

    Raises:
        MissingPackageError: pyarrow is not installed.
    """
    pa = arrow()
    if pa is None:
        raise MissingPackageError(f"Arrow needs pyarrow: {INSTALL}.")
    names = pa.array(table.sources, pa.string())
    columns = {
        "time_msc": pa.array(table.time, mask=table.untimed),
        "received_us": pa.array(table.received),
        **{
            name: pa.array(each, from_pandas=True)
            for name, each in zip(NUMBERS, table.numbers, strict=True)
        },
        "flags": pa.array(table.flags, mask=_absent(table)),
        "source": pa.DictionaryArray.from_arrays(pa.array(table.source, pa.int32()), names),
        **_utc(table, lambda utc: pa.array(utc.data, mask=utc.mask)),
    }
    return pa.table(columns)


def to_pandas(table: Table) -> Any:
    """
    Return a `pandas.DataFrame`; a column with absent times or flags is of the type Int64.

    Raises:
        MissingPackageError: pandas is not installed.
    """
    pandas = tables.pandas()

    def whole(values: Any, absent: Any) -> Any:
        return values if absent is None else pandas.arrays.IntegerArray(values, absent)

    columns = {
        "time_msc": whole(table.time, table.untimed),
        "received_us": table.received,
        **dict(zip(NUMBERS, table.numbers, strict=True)),
        "flags": whole(table.flags, _absent(table)),
        "source": pandas.Categorical.from_codes(table.source, table.sources),
        **_utc(table, lambda utc: whole(utc.data, utc.mask if utc.mask.any() else None)),
    }
    return pandas.DataFrame(columns, copy=False)


def to_polars(table: Table) -> Any:
    """
    Return a `polars.DataFrame`.

    Raises:
        MissingPackageError: polars is not installed.
    """
    polars = tables.polars()
    whole = polars.DataFrame(
        {
            "time_msc": table.time,
            "received_us": table.received,
            **dict(zip(NUMBERS, table.numbers, strict=True)),
            "flags": table.flags,
            "source": table.source,
        }
    )
    names = polars.Series(table.sources, dtype=polars.String)
    absent = polars.Series(_absent(table)) if _absent(table) is not None else False
    untimed = polars.Series(table.untimed) if table.untimed is not None else False
    return whole.with_columns(
        polars.col(*NUMBERS).fill_nan(None),
        polars.when(untimed).then(None).otherwise(polars.col("time_msc")).alias("time_msc"),
        polars.when(absent).then(None).otherwise(polars.col("flags")).alias("flags"),
        names.gather(table.source).cast(polars.Categorical).alias("source"),
        **_utc(table, lambda utc: polars.Series(utc.tolist(), dtype=polars.Int64)),
    )


def _utc(table: Table, convert: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the column of UTC, if there is one."""
    return {} if table.utc is None else {"utc_msc": convert(table.utc)}


def _absent(table: Table) -> Any:
    """Return where flags are absent; None = nowhere."""
    absent = table.flags < 0
    return absent if absent.any() else None
