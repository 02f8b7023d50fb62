"""
Ticks as text: `SYMBOL BID [ASK [LAST [VOLUME [TIME [FLAGS]]]]]`.

Pure. Inside mtnet a record is the pair (symbol, rest): the symbol in its canonical spelling, see
`encode_symbol`, and `rest`, everything behind it in canonical form: one blank between two fields,
`-` for an absent field, each number with the digits that were sent.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

import msgspec

from mtnet import values
from mtnet.errors import WireError

MAX_DATAGRAM = 8_191
"""Bytes; Twisted reads 8,192, so a datagram that fills them may have been cut."""
MAX_RECORD = 512
"""Bytes of a record on a stream; a whole one has at most 140."""
MAX_NUMBER = 2**63
"""The number of a datagram lies below."""
FIELDS = ("bid", "ask", "last", "volume", "time", "flags")
"""The fields after the symbol. TIME is the terminal's own clock, in milliseconds."""
ABSENT = b"-"
EVERYTHING = b"*"
"""What a subscriber asks for instead of symbols: all of them."""
FLAGS = (2, 4, 8, 16)
"""`TICK_FLAG_BID`, `_ASK`, `_LAST`, `_VOLUME` of MqlTick, for the first four fields."""
KNOWN = 65_536
"""Spellings and numbers in the caches."""
NONE_SPACED: Mapping[bytes, bytes] = {}

Record = tuple[bytes, bytes]
"""(symbol, rest)."""

# Possessive throughout: blanks separate fields, so backtracking finds nothing and costs three
# times as much.
_UNSIGNED = rb"[0-9]{1,12}+(?:\.[0-9]{1,10}+)?+(?:[eE][+-]?+[0-9]{1,2}+)?+"
_PRICE = rb"-?+" + _UNSIGNED
_OPTIONAL = rb"(?:%b|-)" % _PRICE
_TAIL = rb"(?: (?:%b|-)(?: (?:[0-9]{12,14}+|-)(?: (?:[0-9]{1,10}+|-))?+)?+)?+" % _UNSIGNED
_REST = rb"(?:%(p)b(?: %(o)b(?: %(o)b%(t)b)?+)?+|- %(p)b(?: %(o)b%(t)b)?+|- - %(p)b%(t)b)" % {
    b"p": _PRICE,
    b"o": _OPTIONAL,
    b"t": _TAIL,
}
# What most terminals send: a part of what `_REST` matches, found in two thirds of the time.
_USUAL = rb"%(p)b %(p)b(?: - - [0-9]{12,14}+ [0-9]{1,10}+)?+(?=\n)" % {
    b"p": rb"[0-9]{1,12}+\.[0-9]{1,10}+"
}
# In ASCII, without a byte that is ever escaped, usual ones first; every other spelling is read one
# by one.
_SYMBOL = (
    rb"(?:[A-Za-z0-9._#-]{1,%(most)d}+(?= )"
    rb"|(?!@@|\* |[A-Z]{2,12}: )[!-$&-+\--:=?-{}~]{1,%(most)d}+)" % {b"most": values.MAX_SYMBOL}
)
_LINES = re.compile(rb"^(%b) (%b|%b)\n" % (_SYMBOL, _USUAL, _REST), re.MULTILINE)
_EXPECTED = {
    "bid": "a price such as 1.09876",
    "ask": "a price such as 1.09876",
    "last": "a price such as 1.09876",
    "volume": "a volume such as 0.25, without a sign",
    "time": "milliseconds of 12 to 14 digits",
    "flags": "the number of MqlTick.flags",
}
_JSON_ZEROS = re.compile(r"^(-?)0+(?=\d)")
_WHOLE = {"time": re.compile(rb"[0-9]{12,14}"), "flags": re.compile(rb"[0-9]{1,10}")}
_NO_SYMBOL = f"A symbol has {values.SYMBOL}; %20 is a blank"
_MIXED = "A price has a decimal point, and fields have one kind of separator"
_OTHER = "@@ begins a header and XX: a command; a symbol that looks so is written %40@ or XX%3A"
_SEPARATOR = re.compile(rb"[ \t,;]")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
# Separators, escapes, and what would be a header, a command, or `*`.
_NEEDS_ESCAPE = re.compile(rb"[ ,;]|%(?=[0-9A-Fa-f]{2})|^@(?=@)|^\*$")
_COMMAND = re.compile(rb"[A-Z]{2,12}:")
_SOURCE = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)
_HEADER = re.compile(rb"@@([A-Za-z0-9._-]{1,32}) ([0-9]{1,19})(?: ([!-~]{1,128}))?")
_LOGIN = re.compile(rb"[ \t]*login(?![A-Za-z0-9])", re.IGNORECASE)
_SECRET = re.compile(rb"login|hello|store |pass|authorization|mtnet_", re.IGNORECASE)
_OVERLONG = re.compile(rb"^[^\n]{%d}" % (MAX_RECORD + 1), re.MULTILINE)
_SPECIAL = re.compile(rb"^(?:@@[^\n]*|[A-Z]{2,12}:(?: [^\n]*)?)\n", re.MULTILINE)
_EMPTY = re.compile(rb"\n\n+")
_BLANKS = re.compile(rb"[ \t]+")
_KINDS = (re.compile(rb";"), re.compile(rb","))


class Header(NamedTuple):
    """
    `@@SOURCE SEQ [MAC]`: the sender, and the number of its datagram or batch.

    Attributes:
        source: the name.
        number: SEQ.
        mac: proof of both; empty = none.
    """

    source: str
    number: int
    mac: bytes


def split(text: bytes, spaced: Mapping[bytes, bytes] = NONE_SPACED) -> list[Record] | None:
    """
    Return the records of `text`, each ended by LF, if all are canonical; else None: `parse` reads
    them one by one.
    """
    if any(symbol in text for symbol in spaced):
        return None
    found = _LINES.findall(text)
    return found if len(found) == text.count(b"\n") else None


def by_symbol(records: Iterable[Record]) -> dict[bytes, list[bytes]]:
    """Return what follows each symbol, in the order of the records."""
    found: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for symbol, rest in records:
        found[symbol].append(rest)
    return found


def parse(line: bytes, spaced: Mapping[bytes, bytes], codepage: str = values.CODEPAGE) -> Record:
    """
    Read one record of any kind, without its separator.

    Args:
        spaced: symbols with blanks, and the canonical spelling of each; see `encode_symbol`.
        codepage: how a symbol is read that is not UTF-8.

    Raises:
        WireError: code `tick`.
    """
    try:
        return _parse(line, spaced, codepage)
    except WireError as error:
        if not _SECRET.search(line):
            raise
        # Nothing is quoted: the line may hold a password, perhaps of another service.
        text = "This is no tick"
        if _LOGIN.match(line):
            text += "; a login is LOGIN: name password"
        raise WireError(error.code, text) from None


def _parse(line: bytes, spaced: Mapping[bytes, bytes], codepage: str) -> Record:
    fields = _fields(line.strip(b" \t"), spaced)
    symbol, sent = fields[0], fields[1:]
    if _SEPARATOR.search(symbol):
        raise WireError("tick", _MIXED, line)
    if symbol.startswith(b"@@") or _COMMAND.fullmatch(symbol):
        raise WireError("tick", _OTHER, line)
    try:
        symbol = canonical_symbol(symbol, codepage)
    except WireError:
        raise WireError("tick", _NO_SYMBOL, line) from None
    if len(sent) > len(FIELDS):
        raise WireError("tick", f"A tick has at most {1 + len(FIELDS)} fields", line)
    fields = [_value(name, each, line) for name, each in zip(FIELDS, sent, strict=False)]
    if set(fields[:3]) <= {ABSENT}:
        raise WireError("tick", "Of BID, ASK and LAST one is needed", line)
    return symbol, b" ".join(fields)


def _value(name: str, sent: bytes, line: bytes) -> bytes:
    if sent in (b"", ABSENT):
        return ABSENT
    if name in _WHOLE:
        found = sent if _WHOLE[name].fullmatch(sent) else None
    else:
        price = values.read_price(sent.decode("latin-1"))
        found = None if price is None else price.encode()
    if found is None or (name == "volume" and found.startswith(b"-")):
        raise WireError("tick", f"{name.upper()} is {_EXPECTED[name]}, or - for none", line)
    return found


def pad(rest: bytes) -> list[bytes]:
    """Return the six fields behind the symbol; those that were not sent are `-`."""
    values = rest.split(b" ")
    return values + [ABSENT] * (len(FIELDS) - len(values))


def time_of(rest: bytes) -> int | None:
    """Return TIME, in milliseconds of the terminal's clock, or None."""
    values = rest.split(b" ", 5)
    return None if len(values) < 5 or values[4] == ABSENT else int(values[4])


def json_number(text: str | None) -> msgspec.Raw | None:
    """Return a number as JSON writes it, with the digits that were sent."""
    if text is None or text == ABSENT.decode():
        return None
    return msgspec.Raw(_JSON_ZEROS.sub(r"\1", text).encode())


def key_of(rest: bytes) -> tuple[object, ...]:
    """
    Return a key that is equal for ticks of equal values; TIME is not part of it.

    `1.1` is `1.10000`; a 0 in LAST or VOLUME is absent, as in MqlTick; flags that were not sent are
    those of the values.
    """
    bid, ask, last, volume, _, flags = pad(rest)
    prices = [None if each == ABSENT else _number(each) for each in (bid, ask, last, volume)]
    prices[2:] = [each or None for each in prices[2:]]
    return (*prices, flags_of(rest) if flags == ABSENT else int(flags))


def flags_of(rest: bytes) -> int:
    """Return the flags of MqlTick that the values of a tick have."""
    sent = [each != ABSENT for each in pad(rest)[:4]]
    sent[2:] = [each != ABSENT and bool(_number(each)) for each in pad(rest)[2:4]]
    return sum(flag for flag, there in zip(FLAGS, sent, strict=True) if there)


@lru_cache(KNOWN)
def _number(text: bytes) -> Decimal:
    return Decimal(text.decode())


@lru_cache(KNOWN)
def canonical_symbol(name: bytes, codepage: str) -> bytes:
    """
    Return the canonical spelling of a symbol on the wire, in UTF-8: `UK%20100` for `UK%20100` and
    for `%55K%20100`; bytes that are not UTF-8 are read in the code page.

    Raises:
        WireError: code `symbol`.
    """
    plain = _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), name)
    text = values.read_text(plain, codepage)
    if not values.is_symbol(text):
        raise WireError("symbol", _NO_SYMBOL, name)
    if _COMMAND.fullmatch(text.encode()):
        return text[:-1].encode() + b"%3A"
    return _NEEDS_ESCAPE.sub(lambda found: b"%%%02X" % found[0][0], text.encode())


def encode_symbol(symbol: str) -> bytes:
    """
    Return the canonical spelling of a symbol on the wire: `UK 100` is `UK%20100`, `EURUSD` itself.

    Raises:
        WireError: code `symbol`; it is not a symbol.
    """
    try:
        return canonical_symbol(symbol.encode(), values.CODEPAGE)
    except UnicodeEncodeError:
        raise WireError("symbol", _NO_SYMBOL) from None


@lru_cache(KNOWN)
def plain_symbol(symbol: bytes) -> str:
    """Return a symbol as its broker has it; undoes `encode_symbol`."""
    return _ESCAPED.sub(lambda found: bytes.fromhex(found[1].decode()), symbol).decode()


def is_source(name: str) -> bool:
    """Return whether a name is valid for a sender."""
    return _SOURCE.fullmatch(name) is not None


def parse_header(line: bytes) -> Header:
    """
    Read `@@SOURCE SEQ [MAC]`.

    Raises:
        WireError: code `header`.
    """
    found = _HEADER.fullmatch(line.rstrip(b" "))
    if found is None or int(found[2]) >= MAX_NUMBER:
        raise WireError("header", "A header is @@SOURCE SEQ, as @@desk-1 42", line)
    return Header(found[1].decode(), int(found[2]), found[3] or b"")


def sections(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    Cut lines, each ended by LF, at headers and commands.

    Yields:
        (records, line): some records, and the header or command that follows them; the last
        `line` is empty.
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
    Return the bytes of a datagram before its first NUL; what follows is an old buffer.

    Raises:
        WireError: code `size`; it is so long that its end may be missing.
    """
    if len(datagram) > MAX_DATAGRAM:
        raise WireError("size", f"A datagram has at most {MAX_DATAGRAM} bytes")
    return datagram.partition(b"\0")[0]


def unreadable(datagram: bytes) -> WireError:
    """Return the error of a datagram without a record."""
    if not datagram:
        return WireError("tick", "The datagram is empty")
    if datagram.startswith(b"\0"):
        text = "The datagram begins with NUL, and nothing behind one is read"
        return WireError("tick", text, b"" if _SECRET.search(datagram) else datagram)
    return WireError("tick", "The datagram has nothing but line ends", datagram)


def lines(text: bytes) -> bytes:
    """Return `text` with LF for CRLF, and without empty lines."""
    text = text.replace(b"\r\n", b"\n")
    return _EMPTY.sub(b"\n", text).lstrip(b"\n") if b"\n\n" in text else text.lstrip(b"\n")


def spaced_symbols_table(
    symbols: Iterable[str], codepage: str = values.CODEPAGE
) -> dict[bytes, bytes]:
    """
    Map each of `ticks.spaced_symbols`, as it may be sent, to its canonical spelling; longer ones
    come first.

    Raises:
        WireError: code `symbol`; one is not a symbol.
    """
    ordered = sorted(symbols, key=len, reverse=True)
    return {
        sent: encode_symbol(symbol)
        for symbol in ordered
        for sent in (symbol.encode(), values.write_text(symbol, codepage))
    }


def encode_tick(symbol: bytes, rest: bytes, received: int, skipped: int = 0) -> bytes:
    """
    Return the line of a tick for subscribers.

    Args:
        received: when it came, in milliseconds since the Unix epoch, UTC.
        skipped: older ticks of the symbol that the subscriber did not get.
    """
    tail = b" ~%d" % skipped if skipped else b""
    return b"TICK: %b %b %d%b\r\n" % (symbol, b" ".join(pad(rest)), received, tail)


class LineDecoder:
    """
    Line decoder: LF, CRLF and NUL separate lines.

    Attributes:
        rest: what follows the last separator.
        overlong: whether a line was longer than `MAX_RECORD`; it and what follows it are left
            out.
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
