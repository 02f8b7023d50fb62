"""
Thrift's compact protocol, in which the metadata of a Parquet file is written.

Pure. A struct is read without its definition, changed and written again: fields that nobody knows
are kept.
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from typing import Any

from mtnet.errors import JournalError

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET = range(1, 11)
STRUCT = 12
_INTEGERS = (I16, I32, I64)
_LISTS = (LIST, SET)
_VARINT = 10
"""Bytes of an integer of 64 bits, at most."""
_LONG = 15
"""The size in the head of a list that has more items: it follows then."""

Value = Any
"""An int, bytes (of a double as well), a bool, a `List`, or a `Struct`; one that is written may be
bytes, too."""
Struct = dict[int, tuple[int, Value]]
"""Type and value of each field, by its id, in order."""
List = tuple[int, list[Value]]
"""The type of the items, and the items."""


def decode(data: bytes) -> Struct:
    """
    Return the struct that some bytes begin with.

    Raises:
        JournalError: they are none.
    """
    try:
        return _struct(data, 0)[0]
    except (IndexError, RecursionError) as error:
        raise JournalError("The metadata cannot be read.") from error


def encode(struct: Struct) -> bytes:
    """Return a struct as bytes."""
    out = bytearray()
    _put_struct(out, struct)
    return bytes(out)


def _struct(data: bytes, at: int) -> tuple[Struct, int]:
    found: Struct = {}
    number = 0
    while head := data[at]:
        at += 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _signed(data, at)
        kind = head & 15
        if kind in (TRUE, FALSE):
            found[number] = (TRUE, kind == TRUE)
        else:
            value, at = _value(data, at, kind)
            found[number] = (kind, value)
    return found, at + 1


def _value(data: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind in _INTEGERS:
        return _signed(data, at)
    if kind == BINARY:
        size, at = _unsigned(data, at)
        return _bytes(data, at, size)
    if kind == STRUCT:
        return _struct(data, at)
    if kind in _LISTS:
        return _list(data, at)
    if kind in (TRUE, FALSE):  # an item of a list
        return data[at] == TRUE, at + 1
    if kind == DOUBLE:
        return _bytes(data, at, 8)
    if kind == BYTE:
        return data[at], at + 1
    raise JournalError(f"The metadata has a field of the unknown type {kind}.")


def _bytes(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    found = data[at : at + size]
    if len(found) < size:
        raise JournalError("The metadata are cut short.")
    return found, at + size


def _list(data: bytes, at: int) -> tuple[List, int]:
    size, kind = data[at] >> 4, data[at] & 15
    at += 1
    if size == _LONG:
        size, at = _unsigned(data, at)
    items = []
    for _ in range(size):
        item, at = _value(data, at, kind)
        items.append(item)
    return (kind, items), at


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    at += 1
    if byte < 128:
        return byte, at
    value, shift = byte & 127, 7
    while byte >= 128:
        if shift == 7 * _VARINT:
            raise JournalError("The metadata have a number of more than 64 bits.")
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
    return value, at


def _signed(data: bytes, at: int) -> tuple[int, int]:
    value, at = _unsigned(data, at)
    return (value >> 1) ^ -(value & 1), at


def _put_struct(out: bytearray, struct: Struct) -> None:
    before = 0
    for number, (kind, value) in struct.items():
        shown = kind if kind != TRUE or value else FALSE
        if 0 < number - before < 16:
            out.append((number - before) << 4 | shown)
        else:
            out.append(shown)
            _put_signed(out, number)
        before = number
        if kind != TRUE:
            _put(out, kind, value)
    out.append(0)


def _put(out: bytearray, kind: int, value: Value) -> None:
    if kind in _INTEGERS:
        _put_signed(out, value)
    elif kind == BINARY:
        _put_unsigned(out, len(value))
        out += value
    elif kind == STRUCT:
        if isinstance(value, bytes):
            out += value
        else:
            _put_struct(out, value)
    elif kind in _LISTS:
        of, items = value
        size = len(items)
        out.append(min(size, _LONG) << 4 | of)
        if size >= _LONG:
            _put_unsigned(out, size)
        for item in items:
            _put(out, of, item)
    elif kind in (TRUE, FALSE):
        out.append(TRUE if value else FALSE)
    elif kind == DOUBLE:
        out += value
    else:
        out.append(value)


def _put_unsigned(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _put_signed(out: bytearray, value: int) -> None:
    _put_unsigned(out, value << 1 if value >= 0 else (-value << 1) - 1)
