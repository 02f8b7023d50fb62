"""The manifest of a backup: its version, its time, and the size and SHA-256 of every file."""

import hashlib
from pathlib import Path, PurePosixPath

import msgspec
from msgspec import Struct

from mtnet.errors import JournalError
from mtnet.storage.files import sync

NAME = "manifest.json"
FORMAT = 1
"""The format of backups that this code writes, and the newest that it reads."""
RESERVED = ("lock", "control", NAME)
"""Names in a data folder that belong to no backup."""


class FileRecord(Struct, frozen=True):
    """The size of a file in bytes, and its SHA-256."""

    size: int
    sha256: str


class Manifest(Struct, frozen=True):
    """
    The content of the file.

    Attributes:
        format: of the backup, see `FORMAT`.
        mtnet: the version that made it.
        time: of its making, milliseconds since the Unix epoch, UTC.
        components: whose files it has.
        obsolete: names in the data folder that a restore takes away, though it may put no file in
            their place.
        files: by path below the folder, with slashes.
    """

    format: int
    mtnet: str
    time: int
    components: list[str]
    obsolete: list[str]
    files: dict[str, FileRecord]


def dump(manifest: Manifest) -> bytes:
    """Return the bytes of the file."""
    return msgspec.json.format(msgspec.json.encode(manifest)) + b"\n"


def read(folder: Path) -> Manifest:
    """
    Read the manifest of a backup.

    Raises:
        JournalError: there is none, it is of a newer mtnet, or it is damaged.
    """
    path = folder / NAME
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except FileNotFoundError as error:
        raise JournalError(
            f"Invalid backup {folder}: expected a file {NAME}. `mtnet backup FOLDER` makes one."
        ) from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JournalError(f"{path} cannot be read: {error}.") from error
    if manifest.format > FORMAT:
        raise JournalError(f"{folder} was made by mtnet {manifest.mtnet}, which is newer.")
    for name in (*manifest.files, *manifest.obsolete):
        _check_name(path, name)
    return manifest


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] in ("/", *RESERVED) or "\\" in name:
        raise JournalError(f"Invalid name {name!r} in {path}: expected a file of a backup.")


def record(path: Path) -> FileRecord:
    """Return what a file is now."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256")
        return FileRecord(file.tell(), found.hexdigest())


def seal(folder: Path) -> dict[str, FileRecord]:
    """
    Close a folder to other users, force it onto the platter, and return its files.

    Raises:
        OSError: the disk failed.
    """
    found = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        path.chmod(0o700 if path.is_dir() else 0o600)
        sync(path)
        if not path.is_dir():
            found[path.relative_to(folder).as_posix()] = record(path)
    return found
