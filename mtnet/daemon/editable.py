"""Finds the plugin folders of editable installs, whose sources need not be on Python's path."""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit


def plugin_folders(package: str, known: Iterable[str]) -> list[str]:
    """
    Return the folders of a package's plugins in the sources of editable installs (PEP 610).

    Args:
        package: the plugin package, such as `mtnet.plugins`.
        known: folders that are searched already.
    """
    seen = {Path(each).resolve() for each in known}
    return [str(folder) for folder in _folders(package) if folder.resolve() not in seen]


def _folders(package: str) -> Iterator[Path]:
    parts = package.split(".")
    for source in filter(None, map(_source, _notes())):
        for root in (source, source / "src"):
            folder = root.joinpath(*parts)
            # A package of its own would be another one, as in a second checkout.
            packages = (root.joinpath(*parts[: count + 1]) for count in range(len(parts)))
            if folder.is_dir() and not any((each / "__init__.py").exists() for each in packages):
                yield folder


def _notes() -> Iterator[Path]:
    """Yield the notes of pip on where distributions are from; importlib.metadata imports much."""
    for folder in sys.path:
        yield from Path(folder or ".").glob("*.dist-info/direct_url.json")


def _source(note: Path) -> Path | None:
    """Return the folder that a distribution was installed from as editable."""
    try:
        found = json.loads(note.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if not found.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(found["url"]).path))
