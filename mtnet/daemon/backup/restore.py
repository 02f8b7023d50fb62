"""
Puts a backup back into a data folder on which no daemon runs.

Every file is copied beside its place, compared with the manifest and prepared by its component
before the first one is replaced. `restore.unfinished` marks the time in which some are replaced
and others are not: the daemon does not start on it.
"""

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mtnet.daemon.backup import manifest
from mtnet.daemon.datadir import DataFolder
from mtnet.errors import JournalError
from mtnet.storage.files import TEMPORARY, replace_file, sync
from mtnet.storage.sqlite import FAILURES

STAGING = f"restore{TEMPORARY}"
"""Where the copies lie before the exchange."""


def restore(
    source: Path, folder: DataFolder, preparers: Iterable[Any], when: int, force: bool = False
) -> Path | None:
    """
    Restore a backup into a locked data folder; blocks.

    Args:
        source: a folder of `mtnet backup`, or the file that another command backed up.
        preparers: plugins that provide `IRestore`; for a file, the one whose it is.
        when: names the folder of what is replaced; milliseconds since the Unix epoch, UTC.
        force: replace the files that are there, which are kept.

    Returns:
        The folder with what was replaced; None = nothing was there.

    Raises:
        JournalError: the backup is damaged or incomplete, files are there that only `force`
            replaces, or the disk is full or failed. Nothing is replaced, unless the sentence
            says so.
    """
    preparers, data = list(preparers), folder.path
    staging, made = data / STAGING, manifest.read(source) if source.is_dir() else None
    names = _names_of_file(preparers) if made is None else _names(made)
    _check_free(data, names, force)
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(0o700)
        if made is None:
            shutil.copyfile(source, staging / names[0])
        else:
            _stage(source, made, staging)
        for each in preparers:
            each.prepare(staging)
        manifest.seal(staging)
        replaced = _exchange(folder, staging, names, when)
    except (*FAILURES, OSError) as error:
        again = f" {folder.unfinished} exists: run it again with --force."
        why = getattr(error, "strerror", None) or error
        raise JournalError(
            f"{source} is not restored to {data}: {why}." + again * folder.unfinished.exists()
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return replaced


def _names(made: manifest.Manifest) -> list[str]:
    return sorted({Path(name).parts[0] for name in (*made.files, *made.obsolete)})


def _names_of_file(preparers: list[Any]) -> list[str]:
    (plugin,) = preparers
    return list(plugin.files)


def _present(data: Path, names: Iterable[str]) -> list[str]:
    """Return the names that are there, and the files that SQLite keeps beside them."""
    every = (f"{name}{suffix}" for name in sorted(names) for suffix in ("", "-wal", "-shm"))
    return [name for name in every if (data / name).exists()]


def _check_free(data: Path, names: Iterable[str], force: bool) -> None:
    found = _present(data, names)
    if found and not force:
        raise JournalError(
            f"{data} holds {', '.join(found)}: nothing is restored. `--force` puts the backup in "
            "their place, and keeps them in a folder beside it."
        )


def _stage(source: Path, made: manifest.Manifest, staging: Path) -> None:
    for name, expected in made.files.items():
        target = staging / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(source / name, target)
        except FileNotFoundError as error:
            raise JournalError(f"{source / name} is missing: nothing is restored.") from error
        if manifest.record(target) != expected:
            raise JournalError(
                f"{source / name} is not what was backed up, by its SHA-256: nothing is restored."
            )


def _exchange(folder: DataFolder, staging: Path, names: Iterable[str], when: int) -> Path | None:
    data, old = folder.path, _present(folder.path, names)
    kept = data / f"replaced-{datetime.fromtimestamp(when / 1000, UTC):%Y%m%dT%H%M%S.%fZ}"
    if old:
        kept.mkdir(0o700)
    replace_file(folder.unfinished, b"`mtnet restore` was cut short here; run it again.\n")
    for name in old:
        (data / name).rename(kept / name)
    for each in list(staging.iterdir()):
        each.rename(data / each.name)
    for changed in (kept, data) if old else (data,):
        sync(changed)
    folder.unfinished.unlink()
    sync(data)
    return kept if old else None
