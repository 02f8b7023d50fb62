"""
Makes a backup: copies every part, forces it to the disk, and then gives the folder its name.

Blocking; nothing of it is seen under its name before it is whole and on the platter.
"""

import errno
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mtnet import __version__
from mtnet.daemon.backup import manifest
from mtnet.errors import JournalError
from mtnet.storage.files import TEMPORARY, replace_files, sync
from mtnet.storage.sqlite import FAILURES, FULL, has_free_space

BACKUPS = "backups"
"""The only folder within a data folder that backups may lie in."""
_FULL = (FULL, os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))


def create(target: Path, data: Path, parts: Mapping[str, Any], when: int) -> dict[str, Any]:
    """
    Make a backup of a data folder; its parts may go on writing.

    Args:
        target: a new or an empty folder; the one that it lies in exists.
        parts: by name, what provides `IBackup`.
        when: milliseconds since the Unix epoch, UTC.

    Returns:
        How many `files` and `bytes` it has, and the names of its `components`.

    Raises:
        JournalError: there is such a folder, a part is damaged, or the disk is full or failed;
            nothing is left of the backup.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}{TEMPORARY}")
    try:
        _check_target(target, data)
        temporary.mkdir(0o700)
        for part in parts.values():
            part.backup(temporary)
        made = _describe(temporary, parts, when)
        replace_files({temporary / manifest.NAME: manifest.dump(made)})
        _name(temporary, target)
    except BaseException as error:
        full = _is_full(error, target.parent)
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, (*FAILURES, OSError, JournalError)):
            raise JournalError(_sentence(target, error, full)) from error
        raise
    sizes = [each.size for each in made.files.values()]
    return {"files": len(sizes), "bytes": sum(sizes), "components": made.components}


def _check_target(target: Path, data: Path) -> None:
    empty = target.is_dir() and not target.is_symlink() and not any(target.iterdir())
    if os.path.lexists(target) and not empty:
        raise JournalError("it exists already, and no backup replaces anything")
    within = target.parent.resolve()
    if within.is_relative_to(data.resolve()) and within != data.resolve() / BACKUPS:
        raise JournalError(
            f"it lies within the data folder, which takes backups in {data / BACKUPS} alone"
        )


def _describe(folder: Path, parts: Mapping[str, Any], when: int) -> manifest.Manifest:
    obsolete = {name for part in parts.values() for name in getattr(part, "obsolete", ())}
    files = manifest.seal(folder)
    return manifest.Manifest(
        manifest.FORMAT, __version__, when, sorted(parts), sorted(obsolete), files
    )


def _name(temporary: Path, target: Path) -> None:
    with suppress(FileNotFoundError):
        target.rmdir()  # Windows renames onto no folder
    temporary.rename(target)
    sync(target.parent)


def _is_full(error: BaseException, folder: Path) -> bool:
    return any(text in str(error) for text in _FULL) or (
        folder.is_dir() and not has_free_space(folder)
    )


def _sentence(target: Path, error: BaseException, full: bool) -> str:
    reason = str(error).removesuffix(".")
    if full:
        reason = f"the disk of {target.parent} is full"
    elif isinstance(error, shutil.Error):
        reason = str(error.args[0][0][2])
    elif isinstance(error, OSError):
        reason = f"{error.filename or target}: {error.strerror}"
    return f"Nothing is backed up to {target}: {reason}."
