"""
Atomic replacement of files: a file is there whole under its name, on the platter, or not at all.

Blocking. Each function writes a temporary file beside the target, forces it to the disk, renames
it, and forces the folder.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mtnet.callbacks import noop
from mtnet.errors import JournalError

TEMPORARY = ".new"
"""The name of an unfinished file ends so; what a killed process left of it may be removed."""


def sync(path: Path) -> None:
    """
    Force a file, or the names in a folder, onto the platter.

    Raises:
        OSError: the disk failed.
    """
    if path.is_dir() and os.name != "posix":
        return  # Windows journals the names by itself
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def atomic_file(path: Path, mode: int = 0o600) -> Iterator[BinaryIO]:
    """
    Open a file for writing that gets its name at the end; an exception leaves `path` as it is.

    Args:
        mode: its permissions, less those that the umask takes.

    Raises:
        OSError: the disk is full or failed.
    """
    temporary = _temporary(path)
    try:
        with _opened(temporary, mode) as file:
            yield file
            _force(file)
        temporary.replace(path)
    except BaseException:
        _remove(temporary)
        raise
    sync(path.parent)


def replace_files(
    files: Mapping[Path, bytes], prepare: Callable[[Path, int], object] = noop
) -> None:
    """
    Replace files of one folder, each whole or not at all, and in the order in which they are given.

    All of them are on the disk under temporary names before the first is renamed, so a full disk
    changes nothing.

    Args:
        prepare: is called with the path and the open descriptor of each, to set its owner.

    Raises:
        OSError: the disk is full or failed.
    """
    staged = {path: _temporary(path) for path in files}
    try:
        for path, data in files.items():
            with _opened(staged[path], 0o600) as file:
                file.write(data)
                prepare(path, file.fileno())
                _force(file)
        for path, temporary in staged.items():
            temporary.replace(path)
    except BaseException:
        for temporary in staged.values():
            _remove(temporary)
        raise
    for folder in {path.parent for path in files}:
        sync(folder)


def replace_file(path: Path, data: bytes) -> None:
    """
    Write a small file whole; it is on the platter, under its name, when this returns.

    Raises:
        JournalError: the disk is full or failed; the file is as it was.
    """
    try:
        replace_files({path: data})
    except OSError as error:
        raise JournalError(f"{path} cannot be written: {error.strerror}.") from error


def _temporary(path: Path) -> Path:
    # Two processes that write the same file do not write into one temporary file.
    return path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")


def _opened(path: Path, mode: int) -> BinaryIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
    return open(os.open(path, flags, mode), "wb")


def _force(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
