"""The files of the page, as they are sent: read once, compressed once."""

from collections.abc import Mapping
from functools import cache, cached_property
from gzip import compress
from hashlib import sha256
from html import escape
from pathlib import Path

STATIC = Path(__file__).parent / "static"
"""The folder of the files."""
INDEX = "index.html"
VENDOR = "vendor"
"""The folder of libraries of others; their names have the version in them."""
LABEL = '<p id="label">'
"""Behind this the page has the label of the operator."""
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""Media types by the end of the name; a file with another one is not sent."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Scripts and styles come from files of ours alone, and the page speaks with us alone."""
SAFETY = {
    b"Content-Security-Policy": POLICY.encode(),
    b"Cross-Origin-Opener-Policy": b"same-origin",
    b"Cross-Origin-Resource-Policy": b"same-origin",
    b"Referrer-Policy": b"no-referrer",
}
KEPT = b"public, max-age=31536000, immutable"
"""`Cache-Control` of libraries."""
ASKED_FOR = b"no-cache"
"""That of all other files: a browser keeps them, and asks whether they have changed."""


class StaticFile:
    """
    A file of the page.

    Args:
        name: below `STATIC`, with slashes.
        content: None = as it is on disk.

    Attributes:
        content: the bytes.
        type: the media type.
    """

    def __init__(self, name: str, content: bytes | None = None) -> None:
        path = STATIC / name
        self.name, self.type = name, TYPES[path.suffix]
        self.content = path.read_bytes() if content is None else content

    @cached_property
    def etag(self) -> str:
        """The digest of the bytes, the quotes of an entity tag left out."""
        return sha256(self.content).hexdigest()[:32]

    @cached_property
    def compressed(self) -> bytes:
        """The bytes in gzip; the same for the same bytes."""
        return compress(self.content, mtime=0)

    def headers(self, gzip: bool) -> Mapping[bytes, bytes]:
        """Return the headers of an answer, with the bytes compressed or as they are."""
        found = {
            b"Content-Type": self.type.encode(),
            b"ETag": f'"{self.etag}{"-gzip" * gzip}"'.encode(),
            b"Vary": b"Accept-Encoding",
            b"Cache-Control": KEPT if self.name.startswith(f"{VENDOR}/") else ASKED_FOR,
            **SAFETY,
        }
        if gzip:
            found[b"Content-Encoding"] = b"gzip"
        return found


def labelled(label: str) -> StaticFile:
    """Return the page itself with a label, which is text."""
    page = static_files()[INDEX].content.decode()
    return StaticFile(INDEX, page.replace(LABEL, LABEL + escape(label)).encode())


@cache
def static_files() -> dict[str, StaticFile]:
    """Return all files by name."""
    paths = (path for path in STATIC.rglob("*") if path.suffix in TYPES)
    names = sorted(path.relative_to(STATIC).as_posix() for path in paths)
    return {name: StaticFile(name) for name in names}
