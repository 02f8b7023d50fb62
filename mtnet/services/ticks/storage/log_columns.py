"""
Ticks of a record of the log, as the text that is compressed.

Pure. A tick is told by its difference to the one before of its symbol, and each field of all ticks
lies together: half of what their text takes, and still readable as text.

The columns are separated by `COLUMN`, their items by LF; one item stands for all that are equal.
First the blocks: `N*` if it has N ticks and not 1; `=SYMBOL` if it is new in the chunk, else how
many symbols of the chunk are passed over since the one before (none if empty; -1 if it is the
same); a blank and its runs if it has not just the common one. A run is its time of receipt, counted
from the common one, and its source and number of ticks unless these are the common source and 1.
Then the fields of all ticks:

* BID: `+3`, by which it is above the one before, in units of its last digit;
* ASK: the same, above BID; TIME: the same, above the time of receipt;
* LAST, VOLUME, FLAGS: empty if they are as before;
* `!` = there is no such field; anything else is the field itself.

A tick that could be mistaken for that is `=` and itself, in the column of BID.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from mtnet.services.ticks.storage.blocks import Block, Mark, Run, block_of

COLUMN = b"\x02"
FIELDS = 6
_BID, _ASK, _TIME = 0, 1, 4
_PLAIN = re.compile(
    rb"(?:[^ \n\x02+=!-]|-(?![0-9]))[^ \n\x02]*(?: (?:[^ \n\x02+=!-]|-(?![0-9]))[^ \n\x02]*){0,5}"
)
_COMMON = re.compile(
    rb"(0|[1-9][0-9]{0,8})\.([0-9]{1,8}) (0|[1-9][0-9]{0,8})\.([0-9]{1,8}) "
    rb"(-|[0-9][^ \n\x02]*) (-|[0-9][^ \n\x02]*) ([1-9][0-9]{0,17}) ([0-9]+)"
)
"""A tick with all its fields, as most are: it is told without looking at each field."""
_PRICE = re.compile(rb"(0|[1-9][0-9]{0,8})\.([0-9]{1,8})")
_NUMBER = re.compile(rb"[1-9][0-9]{0,17}")
_HEAD = re.compile(rb"(?:([0-9]+)\*)?(=[^ ]+|-1|[0-9]*)(?: (.+))?")
_BLANK = ord(" ")
_SYMBOL = re.compile(rb"[^ \n\x02]+")

Items = tuple[bytes, bytes, bytes, bytes, bytes, bytes]


@dataclass
class _Last:
    """
    The tick before, of one symbol in a chunk.

    Attributes:
        bid: in units of its last digit.
        digits: behind its point; 0 = there was no such bid.
        fields: as they were sent.
    """

    bid: int = 0
    digits: int = 0
    fields: list[bytes] = field(default_factory=lambda: [b""] * FIELDS)

    def encode(self, rest: bytes, when: int) -> Items:
        """Return the items of a tick that came at `when`, and note it."""
        common = _COMMON.fullmatch(rest)
        if common is not None:
            return self._encode_common(common, when)
        if not _PLAIN.fullmatch(rest):
            return b"=" + rest, b"", b"", b"", b"", b""
        parts = rest.split(b" ")
        bid, ask, last, volume, time, flags = items = parts + [b"!"] * (FIELDS - len(parts))
        price = _PRICE.fullmatch(bid)
        if price is not None:
            digits, value = len(price[2]), int(price[1] + price[2])
            if digits == self.digits:
                bid = b"%+d" % (value - self.bid)
            self.bid, self.digits = value, digits
            other = _PRICE.fullmatch(ask)
            if other is not None and len(other[2]) == digits:
                ask = b"%+d" % (int(other[1] + other[2]) - value)
        if _NUMBER.fullmatch(time):
            time = b"%+d" % (int(time) - when)
        before, self.fields = self.fields, items
        return (
            bid,
            ask,
            b"" if last == before[2] else last,
            b"" if volume == before[3] else volume,
            time,
            b"" if flags == before[5] else flags,
        )

    def _encode_common(self, found: re.Match[bytes], when: int) -> Items:
        whole, behind, ask_whole, ask_behind, last, volume, time, flags = found.groups()
        digits, value = len(behind), int(whole + behind)
        bid = b"%+d" % (value - self.bid) if digits == self.digits else whole + b"." + behind
        if len(ask_behind) == digits:
            ask = b"%+d" % (int(ask_whole + ask_behind) - value)
        else:
            ask = ask_whole + b"." + ask_behind
        self.bid, self.digits = value, digits
        before, self.fields = self.fields, [b"", b"", last, volume, b"", flags]
        return (
            bid,
            ask,
            b"" if last == before[2] else last,
            b"" if volume == before[3] else volume,
            b"%+d" % (int(time) - when),
            b"" if flags == before[5] else flags,
        )

    def decode(self, items: Items, when: int) -> bytes:
        """Return the tick of some items, and note it."""
        if items[_BID][:1] == b"=":
            return items[_BID][1:]
        bid, ask, last, volume, time, flags = items
        if _is_difference(bid):
            self.bid += int(bid)
            bid = _price(self.bid, self.digits)
        else:
            price = _PRICE.fullmatch(bid)
            if price is not None:
                self.bid, self.digits = int(price[1] + price[2]), len(price[2])
        if _is_difference(ask):
            ask = _price(self.bid + int(ask), self.digits)
        if _is_difference(time):
            time = b"%d" % (when + int(time))
        before = self.fields
        self.fields = found = [
            bid, ask, last or before[2], volume or before[3], time, flags or before[5]
        ]  # fmt: skip
        return b" ".join(found[: found.index(b"!")] if b"!" in found else found)


def _is_difference(item: bytes) -> bool:
    return item[:1] in (b"+", b"-") and len(item) > 1


def _price(value: int, digits: int) -> bytes:
    text = b"%0*d" % (digits + 1, value)
    return text[:-digits] + b"." + text[-digits:]


class ColumnEncoder:
    """Writes the blocks of the records of one chunk after another."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin a chunk."""
        self._numbers: dict[bytes, int] = {}
        self._last: dict[bytes, _Last] = {}

    def encode(self, blocks: list[Block], mark: Mark) -> bytes:
        """
        Return the text of the blocks of a record.

        Raises:
            ValueError: a symbol or a tick is no text, or no text of a record.
        """
        numbers = self._numbers
        new = set()
        for block in blocks:
            if block.symbol not in numbers:
                if not _SYMBOL.fullmatch(block.symbol):
                    raise ValueError(f"{block.symbol!r} is no symbol")
                numbers[block.symbol] = len(numbers)
                self._last[block.symbol] = _Last()
                new.add(block.symbol)
        heads: list[bytes] = []
        ticks: list[Items] = []
        at = -1
        for block in sorted(blocks, key=lambda block: numbers[block.symbol]):
            number = numbers[block.symbol]
            if block.symbol in new:
                new.remove(block.symbol)
                head = b"=" + block.symbol
            else:
                head = b"%d" % (number - at - 1) if number != at + 1 else b""
            at = number
            if block.ticks != 1:
                head = b"%d*%b" % (block.ticks, head)
            if block.runs != [(*mark, block.ticks)]:
                head += b" " + _runs_text(block.runs, mark)
            heads.append(head)
            records = iter(block.text.split(b"\n"))
            encode = self._last[block.symbol].encode
            for when, _, count in block.runs:
                ticks += [encode(rest, when) for rest in islice(records, count)]
        text = COLUMN.join([b"\n".join(heads), *map(_column, zip(*ticks, strict=True))])
        text.decode()
        if text.count(COLUMN) != FIELDS * bool(ticks):
            raise ValueError("a symbol or a tick has a control character")
        return text


def _column(items: tuple[bytes, ...]) -> bytes:
    return items[0] if items.count(items[0]) == len(items) else b"\n".join(items)


def _runs_text(runs: list[Run], mark: Mark) -> bytes:
    base, common = mark
    return b";".join(
        b"%d" % (when - base) if (source, ticks) == (common, 1)
        else b"%d,%d,%d" % (when - base, source, ticks)
        for when, source, ticks in runs
    )  # fmt: skip


class ColumnDecoder:
    """
    Reads the blocks of the records of one chunk after another.

    Args:
        only: the symbol that is looked for; None = all.
    """

    def __init__(self, only: bytes | None = None) -> None:
        self._only = only
        self.restart()

    def restart(self) -> None:
        """Begin a chunk."""
        self._names: list[bytes] = []
        self._last: dict[bytes, _Last] = {}

    def decode(self, text: bytes, mark: Mark) -> Iterator[Block]:
        """Yield the blocks of a record."""
        heads, *columns = text.split(COLUMN)
        if not columns:
            return
        wanted, total = self._heads(heads)
        if not wanted:
            return
        items = [_items(column, total) for column in columns]
        for symbol, begin, ticks, runs_text in wanted:
            runs = _runs(runs_text, mark) if runs_text else [(*mark, ticks)]
            end = begin + ticks
            fields = zip(*(column[begin:end] for column in items), strict=True)
            decode = self._last.setdefault(symbol, _Last()).decode
            records = []
            for when, _, count in runs:
                records += [decode(each, when) for each in islice(fields, count)]
            yield block_of(symbol, runs, b"\n".join(records))

    def _heads(self, text: bytes) -> tuple[list[tuple[bytes, int, int, bytes]], int]:
        """Return symbol, first tick, number of ticks and runs of the blocks, and all ticks."""
        found = []
        at, begin = -1, 0
        for head in text.split(b"\n"):
            if not head or head[0] == _BLANK:  # one tick of the next symbol
                at += 1
                if self._only is None or self._names[at] == self._only:
                    found.append((self._names[at], begin, 1, head[1:]))
                begin += 1
                continue
            match = _HEAD.fullmatch(head)
            assert match is not None
            count, name, runs = match.groups()
            if name[:1] == b"=":
                at = len(self._names)
                self._names.append(name[1:])
            else:
                at += int(name or b"0") + 1
            ticks = int(count or b"1")
            if self._only is None or self._names[at] == self._only:
                found.append((self._names[at], begin, ticks, runs or b""))
            begin += ticks
        return found, begin


def _items(column: bytes, ticks: int) -> list[bytes]:
    items = column.split(b"\n")
    return items * ticks if len(items) == 1 else items


def _runs(text: bytes, mark: Mark) -> list[Run]:
    base, common = mark
    found = []
    for run in text.split(b";"):
        when, *other = map(int, run.split(b","))
        source, ticks = other or (common, 1)
        found.append((base + when, source, ticks))
    return found
