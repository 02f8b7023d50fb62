"""
The state of a follower in a file, over restarts of its program.

Blocking: a state is on the disk, whole, when `save` returns.
"""

from pathlib import Path

from mtnet.client.core.handover import Kept, decode, encode
from mtnet.errors import ClientError, JournalError
from mtnet.storage.files import replace_file


def load(path: Path) -> Kept | None:
    """
    Return the state in a file; None = there is no such file.

    Raises:
        ClientError: the file cannot be read, or holds something else.
    """
    try:
        return decode(path.read_bytes(), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ClientError(f"{path} cannot be read: {error.strerror}.") from error


def save(path: Path, kept: Kept) -> None:
    """
    Replace the state in a file.

    Raises:
        ClientError: the disk is full or failed; the file is as it was.
    """
    try:
        replace_file(path, encode(kept))
    except JournalError as error:
        raise ClientError(str(error)) from error
