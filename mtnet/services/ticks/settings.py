"""The section `[ticks]`."""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from mtnet.config.schema import Count, Positive, Seconds, Section, Whole

Days = Annotated[int, Meta(ge=1, le=100_000)]


class TickSettings(Section, frozen=True):
    """`[ticks]`."""

    receive_buffer: Count = 8_388_608
    """Bytes the kernel is asked to keep of datagrams that were not read yet: at 300,000 ticks/s
    the usual 212,992 lose some, 4 MiB none."""
    turn: Positive = 0.005
    """How long ticks may keep the reactor before signals have their turn."""
    flush: Positive = 1.0
    """How long a tick waits for the log on disk: what a kill of the daemon costs at most."""
    sync: Positive = 60.0
    """How long a tick of the log waits for the platter at most, which is the most that a power cut
    costs. A page of 4 KiB, some 1,200 ticks, is forced once it is full: with 50 ticks a second
    after 24 s. Forcing each flush writes a page a second: 82 bytes for each of 50 ticks that take
    9."""
    retry: Positive = 1.0
    """Between two attempts to store what the disk refused."""
    queue: Count = 1_000_000
    """Ticks that wait for the disk, of about 100 bytes; more are dropped and counted."""
    max_symbols: Count = 10_000
    """Symbols; the records of more are refused."""
    max_sources: Count = 1_000
    """Senders counted one by one; each that numbers takes 24 KiB. The others are one."""
    idle: Positive = 3_600.0
    """How long a connection may be silent before its first record, login or SUBSCRIBE."""
    stalled: Positive = 60.0
    """A subscriber whose connection took no byte for so long is closed."""
    records: Count = 100_000
    """Records of a stream in a second; it is read more slowly when it sends more."""
    bars: Whole = 1_000_000
    """M1 bars in memory, of all symbols together, of 64 bytes each: 25 days of 28 symbols. Then
    the symbol with most of them loses its oldest; 0 = no bars."""
    bars_of_last: tuple[str, ...] = ()
    """Symbols whose bars are made of last prices, as the charts of exchanges; others are made of
    bids."""
    clock: Mapping[str, str] = {}
    """How far the clocks of brokers are ahead of UTC: rules such as `NY+7`, `UTC+2`,
    `Europe/Athens` or `measured`, by symbol, by `@@SOURCE`, which goes before, or by `*`."""
    sessions: Mapping[str, str] = {}
    """When symbols are traded, by the clock of the broker: `{"*" = "Mon-Fri 00:00-24:00", BTCUSD =
    "Mon-Sun 00:00-24:00"}`; that of `*` is what it is without a setting."""
    holidays: Mapping[str, str] = {}
    """Days on which no session of a symbol opens: `{"*" = "01-01 12-25 2026-04-03"}`; without a
    setting the first two of these."""
    compact: Seconds = 86_400.0
    """How long after its end a day of the broker's clock is written into a Parquet file, if DuckDB
    is installed. Clocks of brokers are up to 14 hours off UTC, and ticks may come late; 0 =
    never."""
    retain: Mapping[str, Days] = {}
    """Days that the ticks of a symbol are kept, such as `{XAUUSD = 3650, "*" = 730}`; `*` stands
    for all other symbols. Those that are not named are kept for ever."""
    spaced_symbols: tuple[str, ...] = ()
    """Symbols with blanks that classic senders send as they are: `UK 100`."""
