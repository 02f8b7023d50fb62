"""
Ticks as text: `SYMBOL BID [ASK [LAST [VOLUME [TIME [FLAGS]]]]]`.

Pure. Inside mtnet a record is the pair (symbol, rest): `rest` is everything behind the symbol
in its canonical form, one blank between two fields and `-` for an absent one, each number
with the digits that were sent.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from mtnet.errors import WireError

MAX_DATAGRAM = 8_191
"""Bytes; Twisted reads 8,192, so a datagram that fills them may have been cut."""
MAX_RECORD = 512
"""Bytes of a record on a stream; a whole one has at most 140."""
MAX_NUMBER = 2**63
"""The number of a datagram lies below."""
FIELDS = ("bid", "ask", "last", "volume", "time", "flags")
"""What follows the symbol. TIME is the terminal's own clock, in milliseconds."""
ABSENT = b"-"
NONE_SPACED: Mapping[bytes, bytes] = {}

Record = tuple[bytes, bytes]
"""(symbol, rest)."""

# Possessive throughout: fields are told apart by blanks, so that going back finds nothing new
# and costs three times as much.
_UNSIGNED = rb"[0-9]{1,12}+(?:\.[0-9]{1,8}+)?+(?:[eE]-?+[0-9]{1,2}+)?+"
_PRICE = rb"-?+" + _UNSIGNED
_OPTIONAL = rb"(?:%b|-)" % _PRICE
_TAIL = rb"(?: (?:%b|-)(?: (?:[0-9]{12,14}+|-)(?: (?:[0-9]{1,10}+|-))?+)?+)?+" % _UNSIGNED
_REST = rb"(?:%(p)b(?: %(o)b(?: %(o)b%(t)b)?+)?+|- %(p)b(?: %(o)b%(t)b)?+|- - %(p)b%(t)b)" % {
    b"p": _PRICE,
    b"o": _OPTIONAL,
    b"t": _TAIL,
}
_SYMBOL = rb"[A-Za-z0-9_#+/&!$%][A-Za-z0-9._#+\-/&!$%]{0,31}+"
_LINES = re.compile(rb"^(%b) (%b)\n" % (_SYMBOL, _REST), re.MULTILINE)
_FIELD = {
    "bid": re.compile(_OPTIONAL),
    "ask": re.compile(_OPTIONAL),
    "last": re.compile(_OPTIONAL),
    "volume": re.compile(rb"%b|-" % _UNSIGNED),
    "time": re.compile(rb"[0-9]{12,14}|-"),
    "flags": re.compile(rb"[0-9]{1,10}|-"),
}
_EXPECTED = {
    "bid": "a price such as 1.09876",
    "ask": "a price such as 1.09876",
    "last": "a price such as 1.09876",
    "volume": "a volume such as 0.25, without a sign",
    "time": "milliseconds of 12 to 14 digits",
    "flags": "the number of MqlTick.flags",
}
_NO_SYMBOL = "A symbol has 1 to 32 of A-Z a-z 0-9 . _ # + - / & ! $ %, the first not . nor -"
_MIXED = "A price has a decimal point, and fields have one kind of separator"
_NAME = re.compile(_SYMBOL)
_SOURCE = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)
_HEADER = re.compile(rb"@([A-Za-z0-9._-]{1,32}) ([0-9]{1,19})(?: ([!-~]{1,128}))?")
_LOGIN = re.compile(rb"[ \t]*login(?![A-Za-z0-9])", re.IGNORECASE)
_SECRET = re.compile(rb"login|hello|store |pass|authorization|mtnet_", re.IGNORECASE)
_OVERLONG = re.compile(rb"^[^\n]{%d}" % (MAX_RECORD + 1), re.MULTILINE)
_SPECIAL = re.compile(rb"^(?:@[^\n]*|[A-Z]{2,12}:(?: [^\n]*)?)\n", re.MULTILINE)
_EMPTY = re.compile(rb"\n\n+")
_BLANKS = re.compile(rb"[ \t]+")
_KINDS = (re.compile(rb";"), re.compile(rb","))
_NEEDS_ESCAPE = re.compile(rb"[^A-Za-z0-9._#+\-/&!$%]|^[-.]")


class Header(NamedTuple):
    """
    `@SOURCE SEQ [MAC]`: who sends, and which datagram or batch of his this is.

    Attributes:
        source: the name.
        number: SEQ.
        mac: what proves the two; empty = nothing.
    """

    source: str
    number: int
    mac: bytes


def split(text: bytes, spaced: Mapping[bytes, bytes] = NONE_SPACED) -> list[Record] | None:
    """
    Return the records of `text`, each of which is ended by LF, if all are canonical; else
    None, and `parse` tells each of them.
    """
    if any(symbol in text for symbol in spaced):
        return None
    found = _LINES.findall(text)
    return found if len(found) == text.count(b"\n") else None


def parse(line: bytes, spaced: Mapping[bytes, bytes]) -> Record:
    """
    Read one record of any kind, without its separator.

    Args:
        spaced: symbols that hold blanks, and what each is called here; see `spell`.

    Raises:
        WireError: code `tick`.
    """
    try:
        return _parse(line, spaced)
    except WireError as error:
        if not _SECRET.search(line):
            raise
        # Nothing of it is quoted: a password stands there, perhaps another service's.
        text = "This is no tick"
        if _LOGIN.match(line):
            text += "; a login is LOGIN: name password"
        raise WireError(error.code, text) from None


def _parse(line: bytes, spaced: Mapping[bytes, bytes]) -> Record:
    fields = _fields(line.strip(b" \t"), spaced)
    symbol, values = fields[0], fields[1:]
    if not _NAME.fullmatch(symbol):
        raise WireError("tick", _MIXED if _BLANKS.search(symbol) else _NO_SYMBOL, line)
    if len(values) > len(FIELDS):
        raise WireError("tick", f"A tick has at most {1 + len(FIELDS)} fields", line)
    values = [value or ABSENT for value in values]
    for name, value in zip(FIELDS, values, strict=False):
        if not _FIELD[name].fullmatch(value):
            raise WireError("tick", f"{name.upper()} is {_EXPECTED[name]}, or - for none", line)
    if set(values[:3]) <= {ABSENT}:
        raise WireError("tick", "Of BID, ASK and LAST one is needed", line)
    return symbol, b" ".join(values)


def pad(rest: bytes) -> list[bytes]:
    """Return the six fields behind the symbol; those that were not sent are `-`."""
    values = rest.split(b" ")
    return values + [ABSENT] * (len(FIELDS) - len(values))


def time_of(rest: bytes) -> int | None:
    """Return TIME, in milliseconds of the terminal's clock, or None."""
    values = rest.split(b" ", 5)
    return None if len(values) < 5 or values[4] == ABSENT else int(values[4])


def spell(symbol: str) -> bytes:
    """
    Return the wire's name of a symbol: `UK 100` is `UK%20100`, `EURUSD` itself.

    Raises:
        WireError: code `symbol`; it is longer than 32 bytes then.
    """
    name = _NEEDS_ESCAPE.sub(lambda found: b"%%%02X" % found[0][0], symbol.encode())
    if not _NAME.fullmatch(name):
        raise WireError("symbol", "A symbol has 1 to 32 bytes", name)
    return name


def is_source(name: str) -> bool:
    """Say whether a sender may be called so."""
    return _SOURCE.fullmatch(name) is not None


def parse_header(line: bytes) -> Header:
    """
    Read `@SOURCE SEQ [MAC]`.

    Raises:
        WireError: code `header`.
    """
    found = _HEADER.fullmatch(line.rstrip(b" "))
    if found is None or int(found[2]) >= MAX_NUMBER:
        raise WireError("header", "A header is @SOURCE SEQ, as @desk-1 42", line)
    return Header(found[1].decode(), int(found[2]), found[3] or b"")


def sections(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    Cut lines, each ended by LF, at headers and commands.

    Yields:
        (records, line): some records, and the header or command behind them; at the end there
        is none, and `line` is empty.
    """
    at = 0
    for found in _SPECIAL.finditer(text):
        yield text[at : found.start()], found[0][:-1]
        at = found.end()
    yield text[at:], b""


def parse_command(line: bytes) -> tuple[str, list[bytes]]:
    """
    Return the verb and the words of a command such as `SUBSCRIBE: EURUSD`.

    `LOGIN` has two, of which the second may hold blanks.

    Raises:
        WireError: code `command`.
    """
    verb, colon, words = line.partition(b":")
    if not colon:
        raise WireError("command", "A command is VERB: words, as SUBSCRIBE: EURUSD", line)
    most = 1 if verb == b"LOGIN" else -1
    return verb.decode("latin-1"), words.strip().split(None, most)


def payload(datagram: bytes) -> bytes:
    """
    Return what a datagram says: its bytes before the first NUL, behind which lies an old buffer.

    Raises:
        WireError: code `size`; it is so long that its end may be missing.
    """
    if len(datagram) > MAX_DATAGRAM:
        raise WireError("size", f"A datagram has at most {MAX_DATAGRAM} bytes")
    return datagram.partition(b"\0")[0]


def lines(text: bytes) -> bytes:
    """Return `text` with LF for CRLF, and without empty lines."""
    text = text.replace(b"\r\n", b"\n")
    return _EMPTY.sub(b"\n", text).lstrip(b"\n") if b"\n\n" in text else text.lstrip(b"\n")


def spellings(symbols: Iterable[str]) -> dict[bytes, bytes]:
    """
    Return what each of `ticks.spaced_symbols` is called here; a longer one is found first.

    Raises:
        WireError: code `symbol`; one is too long.
    """
    ordered = sorted(symbols, key=len, reverse=True)
    return {symbol.encode(): spell(symbol) for symbol in ordered}


def tell(symbol: bytes, rest: bytes, received: int, skipped: int = 0) -> bytes:
    """
    Return the line that tells a subscriber a tick.

    Args:
        received: when it came, in milliseconds since the Unix epoch, UTC.
        skipped: older ticks of the symbol that were not told.
    """
    tail = b" ~%d" % skipped if skipped else b""
    return b"TICK: %b %b %d%b\r\n" % (symbol, b" ".join(pad(rest)), received, tail)


class LineDecoder:
    """
    Cuts a stream into lines: LF, CRLF and NUL separate them.

    Attributes:
        rest: what follows the last separator.
        overlong: whether a line came that is longer than `MAX_RECORD`; it and what follows it
            are left out.
    """

    def __init__(self) -> None:
        self.rest = b""
        self.overlong = False

    def feed(self, data: bytes) -> bytes:
        """Take bytes; return the lines that are whole now, each ended by one LF, none empty."""
        text = lines(self.rest + data.replace(b"\0", b"\n"))
        whole, newline, self.rest = text.rpartition(b"\n")
        whole += newline
        found = _OVERLONG.search(whole)
        # A CR may stand at the end for its LF.
        self.overlong = found is not None or len(self.rest) > MAX_RECORD + 1
        return whole if found is None else whole[: found.start()]


def _fields(line: bytes, spaced: Mapping[bytes, bytes]) -> list[bytes]:
    """Split a record at its one kind of separator; the symbol comes first, spelt as here."""
    kind = next((each for each in _KINDS if each.search(line)), _BLANKS)
    for name, spelt in spaced.items():
        behind = kind.match(line, len(name))
        if behind and line.startswith(name):
            return [spelt, *kind.split(line[behind.end() :])]
    return kind.split(line)
