"""
Parquet files of ticks, written and read by DuckDB alone.

Blocking. DuckDB is imported when a file is written or read, and not before. What goes in are
lines `NUMBER|RECEIVED|SOURCE|PLACE|REST`, with the place of the symbol in a list, and a file is
only good when the same lines come out of it again, to the byte: the columns are for people, and
nothing of what was sent may be lost in them.

An exact number is an integer at the scale of its file; where one of them has more than 64 bits,
all are decimals, and `digits` is 0. The column `spelling` says how many fields and decimals were
sent; what it cannot say, such as an exponent, is in `record` as it was sent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mtnet.errors import JournalError, MissingPackageError

INSTALL = "pip install 'mtnet-hub[parquet]'"
FORMAT = "1"
"""The version of the columns, in the metadata of each file as `mtnet_format`."""
BUFFER = 2_097_152
"""Bytes of lines that DuckDB reads at once, several times over: 32 MB by itself."""
MEMORY = "128MB"
"""What DuckDB may hold; it sorts the rest on the disk."""
LONGEST_WHOLE = 18
"""Digits that an integer of 64 bits has room for, whichever they are."""
ROWS = 10_000
"""Rows that are handed over at once."""
GROUP = 65_536
"""Rows of a row group."""
WRITING = (
    f"FORMAT parquet, PARQUET_VERSION V2, COMPRESSION zstd, ROW_GROUP_SIZE {GROUP}, "
    "WRITE_BLOOM_FILTER false, COMPRESSION_LEVEL "
)
"""
Version 2 has DELTA_BINARY_PACKED for times, a third less than version 1. The dictionary of prices
is of a row group: in a small one their places are shorter. A level of zstd follows.
"""
SMALL, FAST = 15, 3
"""Levels of zstd. 15 saves 8 % of level 9, for 0.8 us a tick; 19 saves 1 % more, for 1.3 us. 3
takes a fifth more room than 15, and 1.2 us less: for files that somebody waits for."""

_MACROS = r"""
CREATE MACRO has_exponent(t) AS contains(t, 'e') OR contains(t, 'E');
CREATE MACRO decimals(t) AS CASE
    WHEN t IS NULL OR has_exponent(t) THEN 0 ELSE length(split_part(t, '.', 2)) END;
CREATE MACRO plain(t) AS CASE
    WHEN NOT has_exponent(t) AND decimals(t) <= 10 THEN t
    WHEN length(rtrim(split_part(split_part(lower(t), 'e', 1), '.', 2), '0'))
        - coalesce(nullif(split_part(lower(t), 'e', 2), '')::INTEGER, 0) <= 10
    THEN rtrim(rtrim(try_cast(t AS DECIMAL(38, 10))::VARCHAR, '0'), '.') END;
CREATE MACRO whole(t, scale) AS nullif(
    try_cast(replace(t, '.', '') || repeat('0', scale - decimals(t)) AS BIGINT),
    -9223372036854775808);
CREATE MACRO power(n) AS CAST(pow(10, n) AS BIGINT);
CREATE MACRO number(x, scale, d) AS coalesce(
    CASE WHEN x < 0 THEN '-' ELSE '' END || (abs(x) // power(scale))::VARCHAR || CASE
        WHEN d = 0 THEN ''
        WHEN d <= scale
        THEN '.' || lpad((abs(x) % power(scale) // power(scale - d))::VARCHAR, d::INTEGER, '0')
    END, '-');
CREATE MACRO pair(n, shift) AS n // power(shift) % 100;
CREATE MACRO rebuilt(b, a, l, v, digits, volume_digits, t, f, spelling) AS array_to_string(
    list_slice([
        number(try_cast(b AS BIGINT), digits, pair(spelling, 0)),
        number(try_cast(a AS BIGINT), digits, pair(spelling, 2)),
        number(try_cast(l AS BIGINT), digits, pair(spelling, 4)),
        number(try_cast(v AS BIGINT), volume_digits, pair(spelling, 6)),
        coalesce(t::VARCHAR, '-'), coalesce(f::VARCHAR, '-')
    ], 1, pair(spelling, 8)), ' ');
CREATE MACRO order_of(time_msc, received_us) AS coalesce(time_msc, received_us // 1000);
"""
_LINES = """
read_csv({path}, delim = '|', quote = '', escape = '', header = false, auto_detect = false,
    buffer_size = {buffer}, columns = {{'seq': 'BIGINT', 'received': 'BIGINT',
    'source': 'VARCHAR', 'place': 'INTEGER', 'rest': 'VARCHAR'}})
"""
_FIELDS = """
SELECT *, plain(b) AS bp, plain(a) AS ap, plain(l) AS lp, plain(v) AS vp FROM (
    SELECT * EXCLUDE (f), len(f) AS fields, nullif(f[1], '-') AS b, nullif(f[2], '-') AS a,
        nullif(f[3], '-') AS l, nullif(f[4], '-') AS v, nullif(f[5], '-')::BIGINT AS t,
        nullif(f[6], '-')::BIGINT AS flags
    FROM (SELECT *, string_split(rest, ' ') AS f FROM {lines})
)
"""
_PRICES, _VOLUMES = ("bp", "ap", "lp"), ("vp",)
_SCALES = "SELECT {} FROM ({{fields}})".format(
    ", ".join(
        f"coalesce(max(greatest({', '.join(map(each.format, names))})), 0)"
        for names in (_PRICES, _VOLUMES)
        for each in ("decimals({})", "length(split_part({}, '.', 1))")
    )
)
"""The most decimals, and digits before them, of prices, and those of volumes: in one pass."""
_TOO_LARGE = """
SELECT count(*) FROM (SELECT unnest([{names}]) AS x FROM ({fields}))
WHERE x IS NOT NULL AND whole(x, {scale}) IS NULL
"""
_COLUMNS = """
SELECT list_extract([{symbols}], place) AS symbol, t AS time_msc, received * 1000 AS received_us,
    try_cast(b AS DOUBLE) AS bid, try_cast(a AS DOUBLE) AS ask, try_cast(l AS DOUBLE) AS last,
    try_cast(v AS DOUBLE) AS volume, {bp} AS bid_exact, {ap} AS ask_exact, {lp} AS last_exact,
    {vp} AS volume_exact, {digits}::TINYINT AS digits, {volume_digits}::TINYINT AS volume_digits,
    flags, source, seq,
    decimals(b) + 100 * decimals(a) + 10000 * decimals(l) + 1000000 * decimals(v)
        + 100000000 * fields AS spelling, rest
FROM ({fields})
"""
_REBUILT = """
rebuilt(bid_exact, ask_exact, last_exact, volume_exact, digits, volume_digits, time_msc, flags,
    spelling)
"""
_WRITE = f"""
COPY (
    SELECT * EXCLUDE (rest), CASE WHEN rest <> {_REBUILT} THEN rest END AS record
    FROM ({{columns}}) {{order}}
) TO {{target}} ({WRITING} {{level}}, KV_METADATA {{facts}})
"""
_SORTED = "ORDER BY order_of(time_msc, received_us), seq"
_SENT = f"coalesce(record, {_REBUILT})"
_DIGEST = """
SELECT count(*), coalesce(sum(hash(concat_ws('|', seq, received, source, rest))), 0) FROM ({rows})
"""
_CONTENT = """
SELECT count(*), count(*) - count(time_msc), min(order_of(time_msc, received_us)),
    max(order_of(time_msc, received_us))
FROM read_parquet({file}, hive_partitioning = false)
"""
_READ = f"""
SELECT order_of(time_msc, received_us), encode({_SENT}), received_us // 1000, source, seq
FROM read_parquet({{files}}, hive_partitioning = false, union_by_name = true) {{where}}
"""
_SOURCES = """
SELECT DISTINCT source FROM read_parquet({file}, hive_partitioning = false) ORDER BY source
"""

Row = tuple[int, bytes, int, str, int | None]
"""Order time, what follows the symbol on the wire, time of receipt, source, `seq`."""


class Span(NamedTuple):
    """
    Order times, `start` included and `stop` not.

    Attributes:
        timed: whether every tick of the files has TIME: they are found by an index then.
    """

    start: int
    stop: int
    timed: bool


class Content(NamedTuple):
    """
    The content of a file.

    Attributes:
        ticks: how many.
        untimed: how many of them have no TIME.
        first, last: the lowest and highest order times.
    """

    ticks: int
    untimed: int
    first: int
    last: int


@cache
def available() -> bool:
    """Return whether DuckDB is installed, without importing it; the path is searched once."""
    from importlib.util import find_spec

    return find_spec("duckdb") is not None


def write(
    lines: Path,
    target: Path,
    symbols: Sequence[str],
    facts: dict[str, str],
) -> Content:
    """
    Make a Parquet file of lines, and verify it; it is not forced to the platter. Its order is that
    of time, and of equal times that of arrival.

    Args:
        lines: a file of them; its folder takes what does not fit into memory.
        symbols: as their brokers have them; lines have their places, from 1 on.
        facts: for the metadata.

    Raises:
        JournalError: DuckDB is not installed, the disk is full or failed, or the file does not give
            the lines back.
    """
    fields = _FIELDS.format(lines=_lines(lines))
    with connected(target, lines.parent) as run:
        scale, longest, *of_volumes = run(_SCALES.format(fields=fields)).fetchone()
        exact, digits = _exact(run, fields, _PRICES, scale, longest)
        exact_volume, volume_digits = _exact(run, fields, _VOLUMES, *of_volumes)
        columns = _columns(symbols, fields, exact | exact_volume, digits, volume_digits)
        facts = {"mtnet_format": FORMAT, **facts}
        run(
            _WRITE.format(
                columns=columns,
                order=_SORTED,
                target=literal(str(target)),
                level=SMALL,
                facts=map_of(facts),
            )
        )
        wrong = "what DuckDB reads from it is not what was written"
        if _digest(run, _lines_of(lines)) != _digest(run, _lines_in(target)):
            raise JournalError(f"{target} cannot be used: {wrong}.")
        return Content(*run(_CONTENT.format(file=literal(str(target)))).fetchone())


def write_group(lines: Path, target: Path, symbols: Sequence[str]) -> None:
    """
    Make a Parquet file of lines in their order, for an export.

    All such files have the same columns: exact numbers are integers, and one that needs more than
    64 bits is in `record` alone.

    Args:
        lines, target, symbols: as of `write`.

    Raises:
        JournalError: DuckDB is not installed, or the disk is full or failed.
    """
    fields = _FIELDS.format(lines=_lines(lines))
    with connected(target) as run:
        scale, _, volume_scale, _ = run(_SCALES.format(fields=fields)).fetchone()
        exact = _whole(_PRICES, scale) | _whole(_VOLUMES, volume_scale)
        run(
            _WRITE.format(
                columns=_columns(symbols, fields, exact, scale, volume_scale),
                order="",
                target=literal(str(target)),
                level=FAST,
                facts=map_of({"mtnet_format": FORMAT}),
            )
        )


def _columns(
    symbols: Sequence[str], fields: str, exact: dict[str, str], digits: int, volume_digits: int
) -> str:
    return _COLUMNS.format(
        symbols=", ".join(map(literal, symbols)),
        digits=digits,
        volume_digits=volume_digits,
        fields=fields,
        **exact,
    )


def _exact(
    run: Any, fields: str, names: Sequence[str], scale: int, longest: int
) -> tuple[dict[str, str], int]:
    """
    Return the expressions of exact numbers that have a scale together, and the scale.

    Args:
        scale, longest: their most decimals, and digits before them.
    """
    if scale + longest > LONGEST_WHOLE:
        asked = _TOO_LARGE.format(scale=scale, names=", ".join(names), fields=fields)
        (too_large,) = run(asked).fetchone()
        if too_large:
            return {name: f"try_cast({name} AS DECIMAL(38, 10))" for name in names}, 0
    return _whole(names, scale), scale


def _whole(names: Sequence[str], scale: int) -> dict[str, str]:
    return {name: f"whole({name}, {scale})" for name in names}


def _digest(run: Any, rows: str) -> tuple[int, int]:
    found: tuple[int, int] = run(_DIGEST.format(rows=rows)).fetchone()
    return found


def _lines(path: Path) -> str:
    return _LINES.format(path=literal(str(path)), buffer=BUFFER)


def _lines_of(path: Path) -> str:
    return f"SELECT * FROM {_lines(path)}"


def _lines_in(path: Path) -> str:
    return (
        f"SELECT seq, received_us // 1000 AS received, source, {_SENT} AS rest "
        f"FROM read_parquet({literal(str(path))}, hive_partitioning = false)"
    )


def read(files: Iterable[Path], span: Span | None = None) -> Iterator[Row]:
    """
    Yield the ticks of files, one file after another, each in its order.

    Args:
        span: of the ticks that are wanted; None = all.

    Raises:
        FileNotFoundError: a file is gone.
        JournalError: DuckDB is not installed, or a file is damaged.
    """
    paths = _present(files)
    where = "" if span is None else _within(span)
    shown = ", ".join(literal(str(path)) for path in paths)
    with connected(paths[0]) as run:
        found = run(_READ.format(files=f"[{shown}]", where=where))
        while rows := found.fetchmany(ROWS):
            yield from rows


def arrays(path: Path, columns: Sequence[str], span: Span) -> dict[str, Any]:
    """
    Return columns of the ticks of a file as arrays of NumPy, those with absent values masked.

    Raises:
        FileNotFoundError: the file is gone.
        JournalError: DuckDB is not installed, or the file is damaged.
    """
    (shown,) = map(str, _present([path]))
    with connected(path) as run:
        found: dict[str, Any] = run(
            f"SELECT {', '.join(columns)} FROM read_parquet({literal(shown)}, "
            f"hive_partitioning = false) {_within(span)}"
        ).fetchnumpy()
        return found


def sources(path: Path) -> list[str]:
    """
    Return the sources of the ticks of a file.

    Raises:
        FileNotFoundError, JournalError: as `arrays`.
    """
    (shown,) = map(str, _present([path]))
    with connected(path) as run:
        return [name for (name,) in run(_SOURCES.format(file=literal(shown))).fetchall()]


def _present(files: Iterable[Path]) -> list[Path]:
    paths = list(files)
    for path in paths:
        path.stat()
    return paths


def _within(span: Span) -> str:
    time = "time_msc" if span.timed else "order_of(time_msc, received_us)"
    return f"WHERE {time} >= {span.start} AND {time} < {span.stop}"


@contextmanager
def connected(path: Path, spill: Path | None = None) -> Iterator[Any]:
    """
    Yield the function that runs a statement of DuckDB.

    Args:
        path: the file that an error is about.
        spill: the folder for what does not fit into memory; None = it fits, since nothing is
            sorted.

    Raises:
        JournalError: DuckDB is not installed, or refuses.
    """
    try:
        import duckdb
    except ImportError as error:
        raise MissingPackageError(f"Parquet files need DuckDB: {INSTALL}.") from error
    try:
        opened = _reading().cursor() if spill is None else _opened(str(spill / "spill"))
        with closing(opened) as connection:
            yield connection.execute
    except duckdb.Error as error:
        reason = str(error).partition("\n")[0].removesuffix(".")
        raise JournalError(f"{path} cannot be written or read: {reason}.") from error


@cache
def _reading() -> Any:
    """Return what all readers share: to open it takes as long as to read 10,000 ticks."""
    return _opened("")


def _opened(spill: str) -> Any:
    import duckdb

    settings: dict[str, Any] = {
        "threads": 1,  # the daemon has other work
        "memory_limit": MEMORY,
        "temp_directory": spill,
        "enable_external_file_cache": False,  # a file is read once
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute(_MACROS)
    return connection


def map_of(facts: Mapping[str, str]) -> str:
    """Return texts by name as SQL writes them."""
    return "{{{}}}".format(", ".join(f"{name}: {literal(each)}" for name, each in facts.items()))


def literal(value: str) -> str:
    """Return a text as SQL writes it."""
    return "'{}'".format(value.replace("'", "''"))
