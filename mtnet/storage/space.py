"""The room of a disk."""

import shutil
from pathlib import Path
from typing import NamedTuple


class Space(NamedTuple):
    """The disk of the data folder, in bytes."""

    free: int
    total: int

    @classmethod
    def of(cls, folder: Path) -> "Space | None":
        """Return the space of a disk; None = unknown. Blocks."""
        try:
            found = shutil.disk_usage(folder)
        except OSError:
            return None
        return cls(found.free, found.total)
