"""
Ticks of a record of the log: as numbers that are packed, and as text that is compressed.

Pure. A tick is told by its difference to the one before of its symbol, and each field of all ticks
lies together. A column of numbers has the lowest of them and a radix in the text; what each is
above the lowest is a digit of that radix, `GROUP` of them one integer. So a number takes what its
choices take, and few need neither a table nor a separator: half of what they take as text that is
compressed.

The columns are separated by `COLUMN`, what is in one by LF; the integers are apart. Of the blocks:
how many they are, with `-` if each has nearly as many runs as ticks; the symbols that are new in
the chunk; numbers: how many symbols of the chunk are passed over since the block before (-1 if it
is of the same one), its ticks, and its runs but one (or by how many it has more ticks). Of the
runs, numbers: the ticks but one of all but the last of a block; the time of receipt and the source,
from the common ones. Of the ticks:

* BID: by how much it is above the one before, in units of its last digit;
* ASK: the same, above BID; TIME: the same, above the time of receipt;
* LAST, VOLUME, FLAGS: text, empty if they are as before; one stands for all that are equal;
* `!` = there is no such field; anything else is the field itself.

A tick that could be mistaken for that is `=` and itself, in the column of BID. What is no number,
or one far from the others, has the highest digit, and stands behind the radix: `+3` is a number.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, islice
from math import log2
from operator import itemgetter
from typing import Any, NamedTuple, cast

from mtnet.services.ticks.storage.blocks import Block, Mark, Run

COLUMN = b"\x02"
FIELDS = 6
GROUP = 32
"""Digits of an integer: at most one byte is not filled for so many, and arithmetic is fast."""
OUTSIDE = 24
"""Bits that a number takes that stands behind the radix."""
NARROW = 8
"""A radix that is not made smaller: there is hardly anything to gain."""
_CUTS = (1, 0), (0, 1), (1, 1), (2, 2), (4, 4), (8, 8), (16, 16), (32, 32)
"""How many of the lowest and of the highest numbers of a column may stand there."""
_BID, _ASK, _LAST, _VOLUME, _TIME, _FLAGS = range(FIELDS)
_NUMERIC = (_BID, _ASK, _TIME)
_PLAIN = re.compile(
    rb"(?:[^ \n\x02+=!-]|-(?![0-9]))[^ \n\x02]*"
    rb"(?: (?:[^ \n\x02+=!-]|-(?![0-9]))[^ \n\x02]*){0,5}"
)
_COMMON = re.compile(
    rb"(0|[1-9][0-9]{0,8})\.([0-9]{1,8}) (0|[1-9][0-9]{0,8})\.([0-9]{1,8}) "
    rb"(-|[0-9][^ \n\x02]*) (-|[0-9][^ \n\x02]*) ([1-9][0-9]{0,17}) ([0-9]+)"
)
"""A tick with all its fields, as most are: it is told without looking at each field."""
_PRICE = re.compile(rb"(0|[1-9][0-9]{0,8})\.([0-9]{1,8})")
_NUMBER = re.compile(rb"[1-9][0-9]{0,17}")
_SYMBOL = re.compile(rb"[^ \n\x02]+")

Item = int | bytes
Items = tuple[Item, Item, bytes, bytes, Item, bytes]


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
        items = parts + [b"!"] * (FIELDS - len(parts))
        bid: Item = items[_BID]
        ask: Item = items[_ASK]
        time: Item = items[_TIME]
        price = _PRICE.fullmatch(items[_BID])
        if price is not None:
            digits, value = len(price[2]), int(price[1] + price[2])
            if digits == self.digits:
                bid = value - self.bid
            self.bid, self.digits = value, digits
            other = _PRICE.fullmatch(items[_ASK])
            if other is not None and len(other[2]) == digits:
                ask = int(other[1] + other[2]) - value
        if _NUMBER.fullmatch(items[_TIME]):
            time = int(items[_TIME]) - when
        before, self.fields = self.fields, items
        last, volume, flags = (
            b"" if items[at] == before[at] else items[at] for at in (_LAST, _VOLUME, _FLAGS)
        )
        return bid, ask, last, volume, time, flags

    def _encode_common(self, found: re.Match[bytes], when: int) -> Items:
        whole, behind, ask_whole, ask_behind, last, volume, time, flags = found.groups()
        digits, value = len(behind), int(whole + behind)
        bid: Item = value - self.bid if digits == self.digits else whole + b"." + behind
        ask: Item = ask_whole + b"." + ask_behind
        if len(ask_behind) == digits:
            ask = int(ask_whole + ask_behind) - value
        self.bid, self.digits = value, digits
        before, self.fields = self.fields, [b"", b"", last, volume, b"", flags]
        return (
            bid,
            ask,
            b"" if last == before[2] else last,
            b"" if volume == before[3] else volume,
            int(time) - when,
            b"" if flags == before[5] else flags,
        )

    def decode(self, items: Items, when: int) -> bytes:
        """Return the tick of some items, and note it."""
        bid, ask, last, volume, time, flags = items
        if isinstance(bid, int):
            self.bid += bid
            bid = _price(self.bid, self.digits)
        elif bid[:1] == b"=":
            return bid[1:]
        else:
            price = _PRICE.fullmatch(bid)
            if price is not None:
                self.bid, self.digits = int(price[1] + price[2]), len(price[2])
        if isinstance(ask, int):
            ask = _price(self.bid + ask, self.digits)
        if isinstance(time, int):
            time = b"%d" % (when + time)
        before = self.fields
        self.fields = found = [
            bid, ask, last or before[2], volume or before[3], time, flags or before[5]
        ]  # fmt: skip
        return b" ".join(found[: found.index(b"!")] if b"!" in found else found)


def _price(value: int, digits: int) -> bytes:
    text = b"%0*d" % (digits + 1, value)
    return text[:-digits] + b"." + text[-digits:]


class _ColumnWriter:
    """Writes columns, one after another."""

    def __init__(self) -> None:
        self._columns: list[bytes] = []
        self._integers: list[bytes] = []

    def add_texts(self, items: Sequence[bytes]) -> None:
        """Add a column of text."""
        is_one = bool(items) and items.count(items[0]) == len(items)
        self._columns.append(items[0] if is_one else b"\n".join(items))

    def add_numbers(self, items: Sequence[Item]) -> None:
        """Add a column of numbers, some of which may be text."""
        numbers = [item for item in items if item.__class__ is int]
        low, radix, are_inside = _window(numbers, len(items))
        column = [b"%d %d" % (low, radix)]
        if are_inside:
            digits = [number - low for number in numbers]
        else:
            digits, outside = [], radix - 1
            for item in items:
                if isinstance(item, int) and 0 <= item - low < outside:
                    digits.append(item - low)
                else:
                    digits.append(outside)
                    column.append(b"%+d" % item if isinstance(item, int) else item)
        self._columns.append(b"\n".join(column))
        if radix > 1:
            self._integers += _pack(digits, radix)

    def finish(self) -> tuple[bytes, bytes]:
        """
        Return the columns, and the integers.

        Raises:
            ValueError: something is no text, or has a control character.
        """
        columns = COLUMN.join(self._columns)
        columns.decode()
        if columns.count(COLUMN) != len(self._columns) - 1:
            raise ValueError("a symbol or a tick has a control character")
        return columns, b"".join(self._integers)


def _window(numbers: list[int], count: int) -> tuple[int, int, bool]:
    """
    Return the lowest number of a column of `count` items, its radix, and whether all are inside;
    if not, the highest digit stands for the others.
    """
    if not numbers:
        return 0, 1, False
    are_inside = len(numbers) == count
    low = min(numbers)
    radix = max(numbers) - low + (1 if are_inside else 2)
    if radix <= NARROW:
        return low, radix, are_inside
    ordered, least = sorted(numbers), count * log2(radix)
    for below, above in _CUTS:
        if below + above >= len(ordered) or least < (below + above) * OUTSIDE:
            break
        span = ordered[-1 - above] - ordered[below] + 2
        bits = count * log2(span) + (below + above) * OUTSIDE
        if bits < least:
            low, radix, are_inside, least = ordered[below], span, False, bits
    return low, radix, are_inside


def _size(digits: int, radix: int) -> int:
    """Return the bytes of the integer of some digits."""
    return int((radix**digits - 1).bit_length() + 7) // 8


def _pack(digits: list[int], radix: int) -> Iterator[bytes]:
    size = _size(GROUP, radix)
    for at in range(0, len(digits), GROUP):
        part = digits[at : at + GROUP]
        number = 0
        for digit in reversed(part):
            number = number * radix + digit
        yield number.to_bytes(size if len(part) == GROUP else _size(len(part), radix), "little")


class ColumnEncoder:
    """Writes the blocks of the records of one chunk after another."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin a chunk."""
        self._numbers: dict[bytes, int] = {}
        self._last: dict[bytes, _Last] = {}

    def encode(self, blocks: list[Block], mark: Mark) -> tuple[bytes, bytes]:
        """
        Return the columns of the blocks of a record, and the integers.

        Raises:
            ValueError: a symbol or a tick is no text, or no text of a record.
        """
        numbers, (base, common) = self._numbers, mark
        names = []
        for block in blocks:
            if block.symbol not in numbers:
                if not _SYMBOL.fullmatch(block.symbol):
                    raise ValueError(f"{block.symbol!r} is no symbol")
                numbers[block.symbol] = len(numbers)
                self._last[block.symbol] = _Last()
                names.append(block.symbol)
        skips, counts, runs, others = [], [], [], []
        lengths, times, sources = [], [], []
        ticks: list[Items] = []
        at = -1
        for number, block in sorted(
            ((numbers[block.symbol], block) for block in blocks), key=itemgetter(0)
        ):
            skips.append(number - at - 1)
            at = number
            counts.append(block.ticks)
            runs.append(len(block.runs) - 1)
            others.append(block.ticks - len(block.runs))
            records = block.text.split(b"\n")
            encode = self._last[block.symbol].encode
            begin = 0
            for when, source, count in block.runs:
                lengths.append(count - 1)
                times.append(when - base)
                sources.append(source - common)
                ticks += [encode(each, when) for each in records[begin : begin + count]]
                begin += count
            lengths.pop()
        are_many = max(others) < max(runs)
        writer = _ColumnWriter()
        writer.add_texts([b"%d%b" % (len(blocks), b"-" * are_many)])
        writer.add_texts(names)
        for column in (skips, counts, others if are_many else runs, lengths, times, sources):
            writer.add_numbers(column)
        for place, items in enumerate(zip(*ticks, strict=True)):
            (writer.add_numbers if place in _NUMERIC else writer.add_texts)(items)
        return writer.finish()


class _ColumnReader:
    """Reads columns, one after another."""

    def __init__(self, columns: bytes, integers: bytes) -> None:
        self._columns = iter(columns.split(COLUMN))
        self._integers, self._at = integers, 0

    def text(self) -> bytes:
        """Return a column as it is."""
        return next(self._columns)

    def texts(self, begin: int, end: int) -> list[bytes]:
        """Return some of the items of a column of text."""
        items = next(self._columns).split(b"\n")
        return items * (end - begin) if len(items) == 1 else items[begin:end]

    def numbers(self, count: int, begin: int = 0, end: int | None = None) -> list[int]:
        """Return some of the `count` items of a column that are all numbers."""
        return cast(list[int], self.items(count, begin, count if end is None else end))

    def items(self, count: int, begin: int, end: int) -> list[Item]:
        """Return some of the `count` items of a column of numbers, some of which may be text."""
        head, *others = next(self._columns).split(b"\n")
        low, radix = map(int, head.split())
        if others:
            outside, behind = radix - 1, iter(others)
            digits = self._digits(count, radix, 0, count)
            return [_item(next(behind)) if digit == outside else low + digit for digit in digits][
                begin:end
            ]
        if radix == 1:
            return [low] * (end - begin)
        return [low + digit for digit in self._digits(count, radix, begin, end)]

    def _digits(self, count: int, radix: int, begin: int, end: int) -> list[int]:
        if radix == 1:
            return [0] * count
        size, first = _size(GROUP, radix), begin - begin % GROUP
        digits: list[int] = []
        add = digits.append
        for at in range(first, end, GROUP):
            place, group = self._at + at // GROUP * size, min(GROUP, count - at)
            width = size if group == GROUP else _size(group, radix)
            number = int.from_bytes(self._integers[place : place + width], "little")
            passed = max(0, begin - at)
            if passed:
                number //= radix**passed
            for _ in range(min(group, end - at) - passed):
                number, digit = divmod(number, radix)
                add(digit)
        whole, rest = divmod(count, GROUP)
        self._at += whole * size + _size(rest, radix)
        return digits


def _item(text: bytes) -> Item:
    is_number = text[:1] in (b"+", b"-") and text[1:].isdigit()
    return int(text) if is_number else text


class Piece(NamedTuple):
    """The ticks of one symbol in a record: their runs, and what follows the symbol in each."""

    symbol: bytes
    runs: list[Run]
    records: list[bytes]


class _Wanted(NamedTuple):
    """
    Blocks of a record that lie together.

    Attributes:
        blocks: the symbol of each, its ticks, and its runs.
        begin: their first tick.
        first, outer: their first run, and the first of those that are not the last of a block.
        ticks, runs, outers: how many the record has.
    """

    blocks: list[tuple[bytes, int, int]]
    begin: int
    first: int
    outer: int
    ticks: int
    runs: int
    outers: int


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

    def decode(self, columns: bytes, integers: bytes, mark: Mark) -> Iterator[Piece]:
        """Yield the ticks of a record, block by block."""
        reader, (base, common) = _ColumnReader(columns, integers), mark
        found = self._heads(reader)
        if found is None:
            return
        begin, end = found.begin, found.begin + sum(ticks for _, ticks, _ in found.blocks)
        first, last = found.first, found.first + sum(runs for _, _, runs in found.blocks)
        outer = found.outer, found.outer + last - first - len(found.blocks)
        lengths = iter(reader.numbers(found.outers, *outer))
        times = iter(reader.numbers(found.runs, first, last))
        sources = iter(reader.numbers(found.runs, first, last))
        items: Iterator[Any] = zip(
            *(
                reader.items(found.ticks, begin, end)
                if place in _NUMERIC
                else reader.texts(begin, end)
                for place in range(FIELDS)
            ),
            strict=True,
        )
        for symbol, ticks, runs in found.blocks:
            state = self._last.get(symbol)
            if state is None:
                state = self._last[symbol] = _Last()
            decode, left = state.decode, ticks
            piece = Piece(symbol, [], [])
            for run in range(runs, 0, -1):
                count = left if run == 1 else next(lengths) + 1
                when = base + next(times)
                piece.runs.append((when, common + next(sources), count))
                left -= count
                for each in islice(items, count):
                    piece.records.append(decode(each, when))
            yield piece

    def _heads(self, reader: _ColumnReader) -> _Wanted | None:
        """Return where the blocks are that are looked for; None = there are none."""
        count, names = reader.text(), reader.text()
        self._names += names.split(b"\n") if names else []
        blocks, are_many = int(count.rstrip(b"-")), count.endswith(b"-")
        steps = reader.numbers(blocks)
        places = list(accumulate(step + 1 for step in steps))
        first, last = 0, blocks
        if self._only is not None:
            if self._only not in self._names:
                return None
            place = self._names.index(self._only) + 1
            first, last = bisect_left(places, place), bisect_right(places, place)
            if first == last:
                return None
        counts, runs = reader.numbers(blocks), reader.numbers(blocks)
        if are_many:
            runs = [ticks - fewer for ticks, fewer in zip(counts, runs, strict=True)]
        else:
            runs = [more + 1 for more in runs]
        symbols = [self._names[place - 1] for place in places[first:last]]
        found = list(zip(symbols, counts[first:last], runs[first:last], strict=True))
        before, all_runs = sum(runs[:first]), sum(runs)
        return _Wanted(
            found,
            sum(counts[:first]),
            before,
            before - first,
            sum(counts),
            all_runs,
            all_runs - blocks,
        )
