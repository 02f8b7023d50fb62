"""
Renamed keys: an old name works until 1.0, and warns with the new one.

Each section names its own in `renamed`, a dict of old names to new ones.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args, get_origin, get_type_hints

from msgspec import Struct

from mtnet.config.schema import NamedTables
from mtnet.errors import ConfigError

TABLES = "tables"
"""The field of `NamedTables`; a table may have this name too."""
Warn = Callable[[str], object]


def type_of(kind: Any, key: str) -> Any:
    """Return the type of one key of a section or a table; None = it has no such key."""
    if isinstance(kind, type) and issubclass(kind, Struct):
        hints = get_type_hints(kind, include_extras=True)
        own = dict(zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True))
        if is_named(kind, key):
            return table_type(kind)
        return hints[own[key]] if key in own else None
    if get_origin(kind) in (dict, Mapping):
        return get_args(kind)[1]
    return None


def is_named(kind: Any, key: str) -> bool:
    """Return whether a key of a section is a table that somebody named."""
    named = isinstance(kind, type) and issubclass(kind, NamedTables)
    return named and (key == TABLES or key not in kind.__struct_encode_fields__)


def table_type(kind: Any) -> Any:
    """Return the type of the tables of a section that people name."""
    return get_args(get_type_hints(kind, include_extras=True)[TABLES])[1]


def current_path(path: list[str], kind: Any, where: str, warn: Warn) -> list[str]:
    """
    Return a path of keys with today's names.

    Args:
        kind: the type of the whole configuration.
        where: the source of the path, for the warning, such as `--set access.rush`.
    """
    found: list[str] = []
    for old in path:
        new = _renamed(kind).get(old, old)
        found.append(new)
        if new != old:
            warn(_warning(where, [*found[:-1], old], found))
        kind = type_of(kind, new)
    return found


def rename_keys(tree: dict[str, Any], kind: Any, where: str, warn: Warn) -> None:
    """
    Give the keys of a file today's names, in place.

    Raises:
        ConfigError: a section has a key under both names.
    """
    for table, path, at in _sections(tree, kind, []):
        for old, new in _renamed(at).items():
            if old not in table:
                continue
            was, now = [*path, old], [*path, new]
            if new in table:
                raise ConfigError(
                    f"{_dotted(was)} in {where} is the old name of {_dotted(now)}, which is set "
                    "too. Delete the old one."
                )
            table[new] = table.pop(old)
            warn(_warning(where, was, now))


def _sections(
    table: dict[str, Any], kind: Any, path: list[str]
) -> Iterator[tuple[dict[str, Any], list[str], Any]]:
    yield table, path, kind
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _sections(value, type_of(kind, key), [*path, key])


def _renamed(kind: Any) -> Mapping[str, str]:
    found: Mapping[str, str] = getattr(kind, "renamed", {})
    return found


def _warning(where: str, old: list[str], new: list[str]) -> str:
    return (
        f"{where}: {_dotted(old)} is now called {_dotted(new)}; the old name works until mtnet 1.0."
    )


def _dotted(path: list[str]) -> str:
    return ".".join(f'"{part}"' if "." in part else part for part in path)
