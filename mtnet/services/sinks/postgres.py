"""
PostgreSQL, and TimescaleDB, which is an extension of it.

Ticks come by COPY. The same transaction keeps the number of the last one for each queue, so that a
batch whose answer was lost is not stored twice.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from threading import Timer
from typing import Any
from urllib.parse import urlsplit

from mtnet.errors import ConfigError
from mtnet.services.sinks.model import Batch, Row
from mtnet.services.sinks.target import TAKEN, TargetError, Written

EXAMPLE = "postgresql://mtnet@localhost/ticks"
INSTALL = "pip install 'mtnet-hub[postgres]'"
COLUMNS = (
    ("time", "timestamp"),
    ("received", "timestamptz NOT NULL"),
    ("symbol", "text NOT NULL"),
    ("bid", "double precision"),
    ("ask", "double precision"),
    ("last", "double precision"),
    ("volume", "double precision"),
    ("flags", "bigint"),
    ("source", "text NOT NULL"),
    ("origin", "text NOT NULL"),
    ("seq", "bigint NOT NULL"),
)
"""`time` is the broker's clock, which has no zone; `received` is UTC."""
POSITIONS = "mtnet_positions"
"""The table of the last number of each queue."""
EPOCH = datetime(1970, 1, 1)


class PostgresTarget:
    """
    A table of PostgreSQL.

    Args:
        where: the setting, for errors.
        url: of libpq.
        table: its name, or schema and name.
        timeout: seconds that connecting, and a statement, may take.

    Raises:
        ConfigError: psycopg is not installed, or cannot read the URL.
    """

    def __init__(self, where: str, url: str, table: str, timeout: float) -> None:
        self._psycopg = _psycopg(where)
        self._table, self._timeout = table, timeout
        self._connection: Any = None
        try:
            self._options = self._psycopg.conninfo.conninfo_to_dict(url)
        except self._psycopg.Error as error:
            # The sentence of libpq may quote the URL, and with it a password.
            raise ConfigError(f"{where} is no URL of PostgreSQL. Example: {EXAMPLE}") from error
        # libpq looks at it when it connects; there may be several hosts, each with a port.
        ports = str(self._options.get("port", "")).split(",")
        if any(each and not (each.isdecimal() and 0 < int(each) < 65_536) for each in ports):
            raise ConfigError(f"{where} has no valid port. Example: {EXAMPLE}")
        found = urlsplit(url)
        self.label = f"postgresql://{found.netloc.rpartition('@')[2]}{found.path} {table}"

    def write(self, origin: str, batch: Batch) -> Written:
        """Write ticks in one transaction; as of `Target`."""
        with self._transaction() as cursor:
            done = cursor.execute(
                f"SELECT seq FROM {self._positions} WHERE origin = %s FOR UPDATE", (origin,)
            ).fetchone()
            rows = (row for row in batch.rows() if done is None or row.seq > done[0])
            with cursor.copy(self._copying) as copy:
                for values in _values(origin, rows):
                    copy.write_row(values)
            cursor.execute(
                f"INSERT INTO {self._positions} VALUES (%s, %s) ON CONFLICT (origin) "
                "DO UPDATE SET seq = GREATEST(EXCLUDED.seq, "
                f"{self._positions.rpartition('.')[2]}.seq)",
                (origin, batch.last),
            )
        return TAKEN

    def check(self) -> None:
        """Connect, make the tables, and look whether rows can be written; as of `Target`."""
        with self._transaction(force_rollback=True) as cursor, cursor.copy(self._copying):
            pass  # no row: the rights and the columns are looked at all the same

    @contextmanager
    def _transaction(self, **options: bool) -> Iterator[Any]:
        """
        Yield the cursor of a transaction that has to end in time.

        Raises:
            TargetError: something failed; the connection is closed.
        """
        try:
            connection = self._connected()
            with (
                self._in_time(connection),
                connection.transaction(**options),
                connection.cursor() as cursor,
            ):
                yield cursor
        except (self._psycopg.Error, OSError, TargetError) as error:
            raise self._failed(error) from error

    @property
    def _copying(self) -> str:
        names = ", ".join(name for name, _ in COLUMNS)
        return f"COPY {self._table} ({names}) FROM STDIN"

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    @property
    def _positions(self) -> str:
        schema, dot, _ = self._table.rpartition(".")
        return f"{schema}{dot}{POSITIONS}"

    def _connected(self) -> Any:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        options = {
            "connect_timeout": max(2, round(self._timeout)),
            "application_name": "mtnet",
            # A server that is gone without a word must not hold the thread for hours.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": round(self._timeout * 1000),
            **self._options,
        }
        self._connection = self._psycopg.connect(**options, autocommit=True)
        with self._in_time(self._connection):
            self._connection.execute(f"SET statement_timeout = {round(self._timeout * 1000)}")
            self._make_tables()
        return self._connection

    @contextmanager
    def _in_time(self, connection: Any) -> Iterator[None]:
        """
        End a connection whose server does not answer in time.

        A proxy may keep it alive for a server that is gone, and libpq waits for an answer for good.
        """
        late: list[bool] = []

        def end() -> None:
            late.append(True)
            with suppress(OSError):
                copy.shutdown(socket.SHUT_RDWR)

        with _copy_of(connection.fileno()) as copy:
            timer = Timer(self._timeout, end)
            timer.daemon = True
            try:
                timer.start()
            except RuntimeError as error:  # the system has no thread left
                raise TargetError(f"The time cannot be limited: {error}.") from error
            try:
                yield
            except self._psycopg.Error as error:
                if late:
                    raise TargetError(f"It did not answer in {self._timeout:g} s.") from error
                raise
            finally:
                timer.cancel()

    def _make_tables(self) -> None:
        """Make what is missing; a table that is there may have other types, and more columns."""
        columns = ", ".join(f"{name} {kind}" for name, kind in COLUMNS)
        name = self._table.rpartition(".")[2]
        statements = {
            self._table: (
                f"CREATE TABLE IF NOT EXISTS {self._table} ({columns})",
                f"CREATE INDEX IF NOT EXISTS {name}_symbol_received ON {self._table} "
                "(symbol, received)",
            ),
            self._positions: (
                f"CREATE TABLE IF NOT EXISTS {self._positions} "
                "(origin text PRIMARY KEY, seq bigint NOT NULL)",
            ),
        }
        for table, making in statements.items():
            # Without the right to make tables, one that is there must do.
            found = self._connection.execute("SELECT to_regclass(%s)", (table,)).fetchone()
            for statement in making if found[0] is None else ():
                self._connection.execute(statement)

    def _failed(self, error: Exception) -> TargetError:
        self.close()
        return TargetError(" ".join(str(error).split()) or type(error).__name__)


def _copy_of(file: int) -> socket.socket:
    """Copy a connection: once it is closed, another one may have its number."""
    copied = os.dup(file)
    try:
        return socket.socket(fileno=copied)
    except OSError:
        os.close(copied)
        raise


def _values(origin: str, rows: Iterator[Row]) -> Iterator[tuple[object, ...]]:
    for row in rows:
        yield (
            None if row.time is None else EPOCH + timedelta(milliseconds=row.time),
            datetime.fromtimestamp(row.received / 1000, UTC),
            row.symbol,
            row.bid,
            row.ask,
            row.last,
            row.volume,
            row.flags,
            row.source,
            origin,
            row.seq,
        )


def _psycopg(where: str) -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise ConfigError(
            f"{where} needs the package psycopg, which is not installed: {INSTALL}"
        ) from error
    return psycopg
