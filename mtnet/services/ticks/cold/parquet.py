"""
Parquet files of ticks, written and read by DuckDB alone.

Blocking. DuckDB is imported when a file is written or read, and not before. What goes in are
lines `NUMBER|RECEIVED|SOURCE|REST`, and a file is only good when the same lines come out of it
again, to the byte: the columns are for people, and nothing of what was sent may be lost in them.

An exact number is an integer at the scale of its file. The column `spelling` says how many fields
and decimals were sent; what it cannot say, such as an exponent, is in `record` as it was sent.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from mtnet.errors import JournalError

INSTALL = "pip install 'mtnet-hub[parquet]'"
FORMAT = "1"
"""The version of the columns, in the metadata of each file as `mtnet_format`."""
MEMORY = "256MB"
"""What DuckDB may hold; it sorts the rest on the disk."""
ROWS = 10_000
"""Rows that are handed over at once."""
WRITING = "FORMAT parquet, PARQUET_VERSION V2, COMPRESSION zstd, COMPRESSION_LEVEL 9"
"""Version 2 has DELTA_BINARY_PACKED for times and numbers: 4.2 bytes a tick of EURUSD instead of
6.2 with version 1; level 9 of zstd saves 4 % of level 3."""

_MACROS = r"""
CREATE MACRO decimals(t) AS CASE
    WHEN t IS NULL OR contains(lower(t), 'e') THEN 0 ELSE length(split_part(t, '.', 2)) END;
CREATE MACRO exact(t, scale) AS CASE
    WHEN regexp_full_match(t, '-?[0-9]+([.][0-9]+)?')
    THEN try_cast(replace(t, '.', '') || repeat('0', scale - decimals(t)) AS BIGINT) END;
CREATE MACRO power(n) AS CAST(pow(10, n) AS BIGINT);
CREATE MACRO number(x, scale, d) AS coalesce(
    CASE WHEN x < 0 THEN '-' ELSE '' END || (abs(x) // power(scale))::VARCHAR || CASE
        WHEN d = 0 THEN ''
        ELSE '.' || lpad((abs(x) % power(scale) // power(scale - d))::VARCHAR, d::INTEGER, '0')
    END, '-');
CREATE MACRO pair(n, shift) AS n // power(shift) % 100;
CREATE MACRO rebuilt(b, a, l, v, digits, volume_digits, t, f, spelling) AS array_to_string(
    list_slice([
        number(b, digits, pair(spelling, 0)), number(a, digits, pair(spelling, 2)),
        number(l, digits, pair(spelling, 4)), number(v, volume_digits, pair(spelling, 6)),
        coalesce(t::VARCHAR, '-'), coalesce(f::VARCHAR, '-')
    ], 1, pair(spelling, 8)), ' ');
CREATE MACRO order_of(time_msc, received_us) AS coalesce(time_msc, received_us // 1000);
"""
_LINES = """
read_csv({path}, delim = '|', quote = '', escape = '', header = false, auto_detect = false,
    columns = {{'seq': 'BIGINT', 'received': 'BIGINT', 'source': 'VARCHAR', 'rest': 'VARCHAR'}})
"""
_FIELDS = """
SELECT seq, received, source, rest, len(v) AS fields, nullif(v[1], '-') AS b,
    nullif(v[2], '-') AS a, nullif(v[3], '-') AS l, nullif(v[4], '-') AS v,
    nullif(v[5], '-')::BIGINT AS t, nullif(v[6], '-')::BIGINT AS f
FROM (SELECT *, string_split(rest, ' ') AS v FROM {lines})
"""
_SCALES = """
SELECT coalesce(max(greatest(decimals(b), decimals(a), decimals(l))), 0),
    coalesce(max(decimals(v)), 0)
FROM ({fields})
"""
_COLUMNS = """
SELECT {symbol} AS symbol, t AS time_msc, received * 1000 AS received_us,
    try_cast(b AS DOUBLE) AS bid, try_cast(a AS DOUBLE) AS ask, try_cast(l AS DOUBLE) AS last,
    try_cast(v AS DOUBLE) AS volume, exact(b, {prices}) AS bid_exact,
    exact(a, {prices}) AS ask_exact, exact(l, {prices}) AS last_exact,
    exact(v, {volumes}) AS volume_exact, {prices}::TINYINT AS digits,
    {volumes}::TINYINT AS volume_digits, f AS flags, source, seq,
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
    FROM ({{columns}}) ORDER BY order_of(time_msc, received_us), seq
) TO {{target}} ({WRITING}, KV_METADATA {{facts}})
"""
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
SELECT order_of(time_msc, received_us), encode({_SENT}), received_us // 1000, source
FROM read_parquet({{files}}, hive_partitioning = false) {{where}}
"""
_SOURCES = """
SELECT DISTINCT source FROM read_parquet({file}, hive_partitioning = false) ORDER BY source
"""

Row = tuple[int, bytes, int, str]
"""Order time, what follows the symbol on the wire, time of receipt, source."""


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


def write(lines: Path, target: Path, symbol: str, facts: dict[str, str]) -> Content:
    """
    Make a Parquet file of lines, and verify it; it is not forced to the platter.

    Args:
        lines: a file of them; its folder takes what does not fit into memory.
        symbol: as its broker has it.
        facts: for the metadata.

    Raises:
        JournalError: DuckDB is not installed, the disk is full or failed, or the file does not give
            the lines back.
    """
    fields = _FIELDS.format(lines=_LINES.format(path=literal(str(lines))))
    with connected(target, lines.parent) as run:
        prices, volumes = run(_SCALES.format(fields=fields)).fetchone()
        columns = _COLUMNS.format(
            symbol=literal(symbol), prices=prices, volumes=volumes, fields=fields
        )
        facts = {"mtnet_format": FORMAT, "symbol": symbol, **facts}
        shown = ", ".join(f"{name}: {literal(value)}" for name, value in facts.items())
        run(_WRITE.format(columns=columns, target=literal(str(target)), facts=f"{{{shown}}}"))
        wrong = "what DuckDB reads from it is not what was written"
        if _digest(run, _lines_of(lines)) != _digest(run, _lines_in(target)):
            raise JournalError(f"{target} cannot be used: {wrong}.")
        return Content(*run(_CONTENT.format(file=literal(str(target)))).fetchone())


def join(parts: Sequence[Path], target: Path) -> None:
    """
    Make one file of several, one after another.

    Raises:
        JournalError: DuckDB is not installed, or the disk is full or failed.
    """
    shown = ", ".join(literal(str(path)) for path in parts)
    rows = f"SELECT * FROM read_parquet([{shown}], hive_partitioning = false)"
    facts = f"{{mtnet_format: {literal(FORMAT)}}}"
    with connected(target, target.parent) as run:
        run(f"COPY ({rows}) TO {literal(str(target))} ({WRITING}, KV_METADATA {facts})")


def _digest(run: Any, rows: str) -> tuple[int, int]:
    found: tuple[int, int] = run(_DIGEST.format(rows=rows)).fetchone()
    return found


def _lines_of(path: Path) -> str:
    return f"SELECT * FROM {_LINES.format(path=literal(str(path)))}"


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
        raise JournalError(f"Parquet files need DuckDB: {INSTALL}.") from error
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
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    connection = duckdb.connect(":memory:", config=settings)
    connection.execute(_MACROS)
    return connection


def literal(value: str) -> str:
    """Return a text as SQL writes it."""
    return "'{}'".format(value.replace("'", "''"))
