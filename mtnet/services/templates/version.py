"""The identity of a stored template: its key and version."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple


class Key(NamedTuple):
    """The key of a series of versions."""

    symbol: str
    period: str
    platform: str

    @property
    def folder(self) -> str:
        return sha256("\n".join(self).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Version:
    """
    One stored template.

    Attributes:
        version: 1, 2, 3 … within its key.
        size: bytes.
        sha256: of the content, hexadecimal.
        stored: milliseconds since the Unix epoch, UTC; rises with every upload.
    """

    key: Key
    version: int
    size: int
    sha256: str
    stored: int

    @cached_property
    def file(self) -> str:
        return f"{self.version:010}-{self.stored}-{self.sha256}.tpl"

    def facts(self) -> dict[str, str | int]:
        """Return plain JSON values."""
        return {
            **self.key._asdict(),
            "version": self.version,
            "size": self.size,
            "sha256": self.sha256,
            "stored": self.stored,
        }
