"""The section `[sinks]`."""

from typing import Annotated

from msgspec import Meta, field

from mtnet.config.schema import Count, NamedTables, Positive, Section


class SinkSettings(Section, frozen=True):
    """`[sinks.NAME]`: one database."""

    url: str
    """`postgresql://USER@HOST/DATABASE`, or the address of a server that takes line protocol, such
    as `http://HOST:8086/api/v2/write?org=ORG&bucket=BUCKET`."""
    token: str = ""
    """Of InfluxDB; `token_file` keeps it out of the configuration."""
    token_file: str = ""
    """A file whose first line is the token."""
    symbols: Annotated[tuple[str, ...], Meta(min_length=1)] = ("*",)
    """Symbols to send; a pattern has `*` for any characters, as `*USD`."""
    table: str = "mtnet_ticks"
    """The table of PostgreSQL, as `ticks` or `schema.ticks`, or the measurement of line protocol.
    A table that is missing is made."""


class SinksSettings(NamedTables, frozen=True):
    """`[sinks]`."""

    tables: dict[str, SinkSettings] = field(default_factory=dict)
    queue: Count = 268_435_456
    """Bytes on disk, compressed, of the ticks that wait for one sink: about 20 million. When there
    are more, the oldest are dropped and counted."""
    batch: Count = 10_000
    """Ticks of one write. Each write is a transaction, which costs a database as much as some
    hundred ticks do."""
    timeout: Positive = 30.0
    """Seconds that a server may take to connect, and to answer a write."""
    retry: Positive = 1.0
    """Seconds after a write that failed; each further attempt waits twice as long."""
    max_retry: Positive = 60.0
    """Most seconds between two attempts: a server that is back gets its ticks within a minute."""
    overdue: Positive = 300.0
    """Seconds of failures in a row from which on the health has a warning; a restart of a database
    is over by then."""
