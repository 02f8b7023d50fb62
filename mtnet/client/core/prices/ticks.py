"""
A subscription to ticks.

Pure. `when` is seconds of a clock that is never set.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from mtnet.client.core.events import Connected, LeftOut, Lost, Refused, Unreachable
from mtnet.client.core.lines import LineCodec, LineCore, log_in, reject
from mtnet.client.core.login import Login
from mtnet.client.core.prices.symbols import wire_symbol
from mtnet.errors import WireError
from mtnet.services.ticks.wire import ABSENT, EVERYTHING, MAX_RECORD, pad, parse

ANSWER_TIMEOUT = 12.0
"""Seconds until a server must have answered SUBSCRIBE; later it may be silent for days."""

_TICK = re.compile(rb"TICK: (.+) ([0-9]{1,15})(?: ~([0-9]{1,12}))?")


class Tick(NamedTuple):
    """
    A tick; numbers are text with the digits that were sent, and None is absent.

    Attributes:
        symbol: as on the wire: `UK%20100` is UK 100.
        bid, ask, last, volume: as sent.
        time: `MqlTick.time_msc`, in the terminal's own clock.
        flags: those of MqlTick.
        received: when the server took it, milliseconds since the Unix epoch, UTC.
        skipped: older ticks of the symbol that were left out because this reader was slow.
    """

    symbol: str
    bid: str | None
    ask: str | None
    last: str | None
    volume: str | None
    time: int | None
    flags: int | None
    received: int
    skipped: int


TickEvent = Tick | Connected | Lost | Refused | LeftOut | Unreachable
"""Events of a subscription; `Connected` = the server has accepted it."""
Events = Iterable[TickEvent]


class TickCore(LineCore):
    """
    Tick subscription state machine.

    Args:
        symbols: `UK 100` or, as on the wire, `UK%20100`; `*` is all of them.
        login: sent only over TLS or within this machine.

    Raises:
        ClientError: one of the symbols is too long for one.
    """

    def __init__(self, symbols: Iterable[str], login: Login | None) -> None:
        named = [EVERYTHING if each == "*" else wire_symbol(each) for each in symbols]
        super().__init__()
        self._commands, self._login = list(commands(named)), login
        self._accepted = False

    def begin(self, framing: LineCodec, when: float, clear_peer: str = "") -> Events:
        """Log in and subscribe on a new connection."""
        self.connected(framing)
        self._accepted = False
        refused = log_in(self.session, self._login, clear_peer)
        if not refused:
            self.due = when + ANSWER_TIMEOUT
            for command in self._commands:
                self.session.send(command)
        return refused

    def expire(self, when: float) -> Events:
        """Do what is due."""
        if self.due is not None and self.due <= when:
            self.due = None
            self.session.end(f"there was no answer for {ANSWER_TIMEOUT:g} s")
        return ()

    def read(self, line: bytes) -> Iterator[TickEvent]:
        """Take a line."""
        if line.startswith(b"ERR: "):
            self.due = None
            code, _, text = line[5:].decode("utf-8", "replace").partition(" ")
            yield Refused(code, text)
        elif line.startswith(b"TICK: "):
            yield _read_tick(line)
        elif line.startswith(b"OK: SUBSCRIBED "):
            self.due = None
            self.session.succeeded()
            if not self._accepted:
                self._accepted = True
                yield Connected()
        elif not line.startswith(b"OK: "):
            yield reject(self.session, line, self._login)


def _read_tick(line: bytes) -> Tick | LeftOut:
    found = _TICK.fullmatch(line)
    try:
        if found is None:
            raise WireError("tick", "A TICK: line is expected, not", line)
        symbol, rest = parse(found[1], {})
    except WireError as error:
        return LeftOut(error)
    fields = [None if each == ABSENT else each.decode() for each in pad(rest)]
    bid, ask, last, volume, time, flags = fields
    moment = None if time is None else int(time)
    changed = None if flags is None else int(flags)
    received, skipped = int(found[2]), int(found[3] or 0)
    return Tick(symbol.decode(), bid, ask, last, volume, moment, changed, received, skipped)


def commands(symbols: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines that ask for symbols; a server reads none that is longer."""
    line = b"SUBSCRIBE:"
    for symbol in symbols:
        if len(line) + 1 + len(symbol) > MAX_RECORD:
            yield line
            line = b"SUBSCRIBE:"
        line += b" " + symbol
    yield line
