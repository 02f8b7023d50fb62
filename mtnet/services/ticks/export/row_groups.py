"""
Parquet files that are made of row groups of other files, whose data are copied as they are.

Such a file is a stream: the data come first, and what says where they lie comes last. A row group
may be copied to another place once the offsets of its columns are moved.
https://github.com/apache/parquet-format
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mtnet.errors import JournalError
from mtnet.services.ticks.export import compact_protocol
from mtnet.services.ticks.export.compact_protocol import BINARY, I64, LIST, STRUCT, Struct

MAGIC = b"PAR1"
TAIL = 8
"""Bytes behind the metadata: their size, and `MAGIC`."""
PIECE = 262_144
"""Bytes that are copied at once."""

# Fields by the definition of the format, parquet.thrift.
_SCHEMA, _ROWS, _GROUPS, _FACTS, _ENCRYPTION = 2, 3, 4, 5, 8
_COLUMNS, _GROUP_ROWS, _GROUP_OFFSET, _ORDINAL = 1, 3, 5, 7
_OTHER_FILE, _CHUNK_OFFSET, _CHUNK, _INDEXES = 1, 2, 3, range(4, 8)
_PATH, _SIZE, _DATA, _INDEX, _DICTIONARY, _STATISTICS, _BLOOM = 3, 7, 9, 10, 11, 12, (14, 15)
_HIGHEST, _LOWEST = 5, 6


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """
    Read a file, whatever it holds.

    Raises:
        FileNotFoundError: it is gone.
        JournalError: the disk failed, or what was read is no metadata of Parquet.
    """
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}.") from error
    except (LookupError, TypeError, ValueError) as error:
        raise JournalError(f"{path} cannot be read: its metadata are damaged.") from error


class RowGroup:
    """
    A row group of a file.

    Attributes:
        rows: how many it has.
        start, stop: where its data lie in the file.
    """

    def __init__(self, group: Struct) -> None:
        self._group = group
        self.rows: int = group[_GROUP_ROWS][1]
        if any(_OTHER_FILE in each for each in _chunks(group)):
            raise ValueError("The data lie in another file.")
        chunks = [each[_CHUNK][1] for each in _chunks(group)]
        starts = [min(each[at][1] for at in (_DATA, _DICTIONARY) if at in each) for each in chunks]
        self.start = min(starts)
        self.stop = max(start + each[_SIZE][1] for start, each in zip(starts, chunks, strict=True))

    def bounds(self, column: str) -> tuple[int, int] | None:
        """Return the lowest and the highest value of a column of int64; None = it is not known."""
        for each in _chunks(self._group):
            chunk = each[_CHUNK][1]
            if chunk[_PATH][1][1] == [column.encode()] and _STATISTICS in chunk:
                found = chunk[_STATISTICS][1]
                if _LOWEST in found and _HIGHEST in found:
                    low, high = (
                        int.from_bytes(found[at][1], "little", signed=True)
                        for at in (_LOWEST, _HIGHEST)
                    )
                    return low, high
        return None

    def moved(self, by: int) -> bytes:
        """Return its metadata in a file where its data lie so many bytes further on."""
        # Indexes and Bloom filters lie elsewhere in the file, and are not copied.
        chunks = [
            {at: each for at, each in chunk.items() if at not in _INDEXES}
            | {_CHUNK_OFFSET: (I64, 0), _CHUNK: (STRUCT, _moved(chunk[_CHUNK][1], by))}
            for chunk in _chunks(self._group)
        ]
        group = {at: each for at, each in self._group.items() if at != _ORDINAL}
        group[_COLUMNS] = (LIST, (STRUCT, [_sorted(each) for each in chunks]))
        if _GROUP_OFFSET in group:
            group[_GROUP_OFFSET] = (I64, self.start + by)
        return compact_protocol.encode(group)


def _chunks(group: Struct) -> list[Struct]:
    found: list[Struct] = group[_COLUMNS][1][1]
    return found


def _moved(chunk: Struct, by: int) -> Struct:
    kept = {at: each for at, each in chunk.items() if at not in _BLOOM}
    for at in (_DATA, _INDEX, _DICTIONARY):
        if at in kept:
            kept[at] = (I64, kept[at][1] + by)
    return kept


def _sorted(struct: Struct) -> Struct:
    return dict(sorted(struct.items()))


class Metadata(NamedTuple):
    """
    The metadata of a file.

    Attributes:
        whole: all of it.
        schema: the names and types of the columns, and how they are encrypted, as bytes that are
            compared.
        groups: in the order of the file.
    """

    whole: Struct
    schema: bytes
    groups: list[RowGroup]


def read_metadata(file: BinaryIO, path: Path) -> Metadata:
    """
    Return the metadata of an open file.

    Args:
        path: for errors.

    Raises:
        JournalError: the file is damaged.
    """
    with reading(path):
        file.seek(0, 2)
        size = file.tell()
        file.seek(max(size - TAIL, 0))
        tail = file.read(TAIL)
        length = int.from_bytes(tail[:4], "little")
        end = size - TAIL - length
        if tail[4:] != MAGIC or end < len(MAGIC):
            raise JournalError(f"{path} cannot be read: it is no Parquet file, or was cut short.")
        file.seek(end)
        try:
            found = compact_protocol.decode(file.read(length))
        except JournalError as error:
            raise ValueError(str(error)) from error
        compared = {at: found[at] for at in (_SCHEMA, _ENCRYPTION) if at in found}
        groups = [RowGroup(each) for each in found[_GROUPS][1][1]]
        if not all(len(MAGIC) <= each.start <= each.stop <= end for each in groups):
            raise ValueError("Data lie outside the file.")
        return Metadata(found, compact_protocol.encode(compared), groups)


class Assembler:
    """
    Puts a file together.

    Args:
        form: a file without rows, whose columns are those of every row group.

    Attributes:
        schema: that of the columns.
        rows: how many were copied.
    """

    def __init__(self, form: Metadata) -> None:
        self._form, self.schema = form.whole, form.schema
        self._groups: list[bytes] = []
        self._size, self.rows = 0, 0

    def start(self) -> bytes:
        """Return the first bytes."""
        self._size = len(MAGIC)
        return MAGIC

    def copy(self, file: BinaryIO, group: RowGroup, path: Path) -> Iterator[bytes]:
        """
        Yield the data of a row group of an open file.

        Args:
            path: for errors.

        Raises:
            JournalError: the file is damaged or has become shorter, or the disk failed.
        """
        with reading(path):
            self._groups.append(group.moved(self._size - group.start))
            self.rows += group.rows
            left = group.stop - group.start
            self._size += left
            file.seek(group.start)
            while left:
                piece = file.read(min(left, PIECE))
                if not piece:
                    raise JournalError(f"{path} cannot be read: it was cut short.")
                left -= len(piece)
                yield piece

    def end(self, facts: Mapping[str, str]) -> bytes:
        """
        Return the last bytes: what says where everything is.

        Args:
            facts: for the metadata.
        """
        shown = [
            {1: (BINARY, name.encode()), 2: (BINARY, value.encode())}
            for name, value in facts.items()
        ]
        whole = {
            **self._form,
            _ROWS: (I64, self.rows),
            _GROUPS: (LIST, (STRUCT, self._groups)),
            _FACTS: (LIST, (STRUCT, shown)),
        }
        found = compact_protocol.encode(_sorted(whole))
        return found + len(found).to_bytes(4, "little") + MAGIC
