"""
Loader of the configuration: TOML, environment and command line, as frozen structs.

An error is a `ConfigError`, whose sentence names the section and the key.
"""

import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin

import msgspec
from msgspec import Struct, defstruct

from mtnet.config.reasons import UNKNOWN, explain
from mtnet.config.renamed import (
    TABLES,
    Warn,
    current_path,
    is_named,
    rename_keys,
    table_type,
    type_of,
)
from mtnet.config.schema import Config, NamedTables
from mtnet.errors import ConfigError

T = TypeVar("T")


def print_warning(text: str) -> None:
    """Print a warning on stderr."""
    print(f"mtnet: {text}", file=sys.stderr)


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    sets: Iterable[str] = (),
    listens: Iterable[str] = (),
    data: str | None = None,
    warn: Warn = print_warning,
    sections: Mapping[str, type[Struct]] | None = None,
) -> Config:
    """
    Join every source of settings: defaults < file < environment < `--set` < `--listen`, `--data`.

    Args:
        file: a TOML file, or None.
        environ: `MTNET_DATA`, `MTNET_SECTION__KEY`, deeper with more `__`, and `STATE_DIRECTORY`.
        sets: `SECTION.KEY=VALUE` texts; a part with a dot is in double quotes.
        listens: `NAME=ENDPOINT` texts; those of a name replace its configured endpoints.
        data: the data folder.
        warn: called with a sentence for each key that has a new name.
        sections: the types of the sections of components, by name; each needs defaults.

    Raises:
        ConfigError: one sentence, naming the section and key, the variable or the option.
    """
    schema = with_sections(*(sections or {}).items())
    tree = {} if file is None else _read(file)
    rename_keys(tree, schema, str(file), warn)
    environ = environ or {}
    _apply_variables(tree, schema, environ, warn)
    for text in sets:
        key, equals, value = _partition(text)
        if not equals:
            raise ConfigError(
                f"Invalid --set {text!r}: expected SECTION.KEY=VALUE. Example: access.login=10"
            )
        _plant(tree, schema, _dotted(key), value, f"--set {key}", warn)
    tree["listen"] = {**_table(tree, "listen"), **_listens(listens)}
    if data is not None:
        tree["data"] = data
    tree["data"] = str(Path(tree.get("data") or _default_data(environ)).expanduser().absolute())
    _gather_tables(tree, schema, file)
    return _convert(tree, schema, file)


def data_folder(
    file: Path | None = None, environ: Mapping[str, str] | None = None, data: str | None = None
) -> Path:
    """
    Return the data folder; the arguments are those of `load`.

    Only the key `data` is read: what is wrong elsewhere must not keep people from a daemon that
    runs, and the types of all sections take longer to import than most commands to run.

    Raises:
        ConfigError: the file cannot be read, or its `data` is no text.
    """
    tree, environ = {} if file is None else _read(file), environ or {}
    named = data or environ.get("MTNET_DATA") or tree.get("data")
    if named is not None and not isinstance(named, str):
        raise ConfigError(f"data in {file}: expected a text, not {named!r}. Example: /srv/mtnet")
    return Path(named or _default_data(environ)).expanduser().absolute()


def load_section(
    name: str,
    kind: type[Struct] | None = None,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    data: str | None = None,
    warn: Warn = print_warning,
) -> Config:
    """
    Load the data folder and one section; the other arguments are those of `load`.

    As of `data_folder`, nothing else is looked at.

    Args:
        kind: the type of the section of a component; None = it is the daemon's own.

    Returns:
        A configuration with the defaults elsewhere.

    Raises:
        ConfigError: the file cannot be read, or something is wrong in that section.
    """
    tree = {} if file is None else _read(file)
    tree = {key: value for key, value in tree.items() if key == name}
    tree["data"] = str(data_folder(file, environ, data))
    schema = Config if kind is None else with_sections((name, kind))
    rename_keys(tree, schema, str(file), warn)
    prefix = f"MTNET_{name.upper()}__"
    named = {key: text for key, text in (environ or {}).items() if key.startswith(prefix)}
    _apply_variables(tree, schema, named, warn)
    _gather_tables(tree, schema, file)
    return _convert(tree, schema, file)


@cache
def with_sections(*sections: tuple[str, type[Struct]]) -> type[Config]:
    """Return the type of the whole configuration, with the sections of components."""
    fields = [(name, kind, kind()) for name, kind in sections]
    schema: Any = defstruct(
        "Config", fields, bases=(Config,), frozen=True, forbid_unknown_fields=True, kw_only=True
    )
    return cast(type[Config], schema)


def endpoints(config: Config, name: str, defaults: list[str]) -> list[str]:
    """Return the endpoint texts of the service `name`; `off` means none."""
    found = config.listen.get(name, defaults)
    texts = [found] if isinstance(found, str) else found
    return [text for text in texts if text != "off"]


def _read(file: Path) -> dict[str, Any]:
    import tomllib  # most commands have no file

    try:
        return tomllib.loads(_decoded(file.read_bytes()))
    except OSError as error:
        raise ConfigError(f"The configuration {file} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration {file} is not TOML: {error}.") from error


def _decoded(data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark, and UTF-16, as PowerShell writes it."""
    wide = data.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    return data.decode("utf-16" if wide else "utf-8-sig")


def _apply_variables(
    tree: dict[str, Any], schema: type[Config], environ: Mapping[str, str], warn: Warn
) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for name in sorted(environ):
        # There are other variables too, such as MTNET_PASSWORD.
        if name == "MTNET_DATA" or (name.startswith("MTNET_") and "__" in name):
            where = f"The environment variable {name}"
            path = [part.lower() for part in name.removeprefix("MTNET_").split("__")]
            planted = tuple(_plant(tree, schema, path, environ[name], where, warn))
            if planted in seen:
                raise ConfigError(f"{seen[planted]} and {name} set the same key; unset one.")
            seen[planted] = name


def _default_data(environ: Mapping[str, str]) -> str:
    # systemd joins several StateDirectory= entries with colons; the first is ours.
    state = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return state or "~/.local/share/mtnet"


def _listens(listens: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in listens:
        name, equals, endpoint = text.partition("=")
        if not (name and equals and endpoint):
            raise ConfigError(
                f"Invalid --listen {text!r}: expected NAME=ENDPOINT or NAME=off. Example: "
                "signals=tcp:8081"
            )
        found.setdefault(name, []).append(endpoint)
    return found


def _table(tree: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = tree.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"[{key}] must be a table, not {value!r}.")
    return value


def _partition(text: str) -> tuple[str, str, str]:
    """Split at the first `=` outside double quotes."""
    quoted = False
    for at, character in enumerate(text):
        quoted ^= character == '"'
        if character == "=" and not quoted:
            return text[:at], "=", text[at + 1 :]
    return text, "", ""


def _dotted(key: str) -> list[str]:
    parts, quoted = [""], False
    for character in key:
        if character == '"':
            quoted = not quoted
        elif character == "." and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _plant(
    tree: dict[str, Any], schema: type[Config], path: list[str], text: str, where: str, warn: Warn
) -> list[str]:
    """Put a value at `path`, converted to the type of that key; return today's path."""
    path = current_path(path, schema, where, warn)
    kind: Any = schema
    for depth, part in enumerate(path):
        kind = type_of(kind, part)
        if kind is None:
            name = ".".join(path[: depth + 1])
            raise ConfigError(f"{where} names an unknown setting: {name}.")
    for part in path[:-1]:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{where} sets a key of {part}, which is not a table in the file.")
        tree = inner
    tree[path[-1]] = _value(kind, text, where)
    return path


def _value(kind: Any, text: str, where: str) -> Any:
    listed = any(get_origin(each) in (list, tuple) for each in (kind, *get_args(kind)))
    parts = [part.strip() for part in text.split(",") if part.strip()]
    # Where a key takes a text or a list, one part is a text.
    either = get_origin(kind) not in (list, tuple) and str in get_args(kind)
    value: Any = parts if listed and (not either or len(parts) > 1) else text
    try:
        return msgspec.to_builtins(msgspec.convert(value, kind, strict=False))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: invalid value {text!r}. {explain(error)[0]}.") from error


def _gather_tables(tree: dict[str, Any], schema: type[Config], file: Path | None) -> None:
    """Move the tables that people named into the field that their section has for them."""
    for name in schema.__struct_fields__:
        kind = type_of(schema, name)
        if isinstance(kind, type) and issubclass(kind, NamedTables) and name in tree:
            section = _table(tree, name)
            section[TABLES] = {
                key: _convert(section.pop(key), table_type(kind), file, f"{name}.{key}")
                for key in list(section)
                if is_named(kind, key)
            }


def _convert(tree: Any, kind: type[T], file: Path | None, section: str = "") -> T:
    try:
        return msgspec.convert(tree, kind)
    except msgspec.ValidationError as error:
        reason, path = explain(error)
        path = ".".join(part for part in (section, _with_names(path, tree, kind)) if part)
        where = "" if file is None else f" in {file}"
        if reason.startswith(UNKNOWN):
            unknown = reason.removeprefix(UNKNOWN).strip("`")
            name = ".".join(part for part in (path, unknown) if part)
            raise ConfigError(f"Unknown setting {name}{where}.") from error
        raise ConfigError(f"{path or 'The configuration'}{where}: {reason}.") from error


def _with_names(path: str, tree: Any, kind: Any) -> str:
    """Return a path of msgspec with the names of tables, for each of which it writes `[...]`."""
    head, unnamed, _ = path.partition("[...]")
    if not unnamed:
        return path
    for key in head.split("."):
        tree, kind = tree.get(key) if isinstance(tree, dict) else None, type_of(kind, key)
    kind = type_of(kind, "")
    if not isinstance(tree, dict) or kind is None:
        return path
    for name, value in tree.items():
        inner = _fault(value, kind)
        if inner is not None:
            shown = f'"{name}"' if "." in name else name
            return f"{head}.{shown}" + (f".{inner}" if inner[:1] not in ("", "[") else inner)
    return path


def _fault(value: Any, kind: Any) -> str | None:
    """Return where a value is not of its type, empty for the whole; None = it is."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        return _with_names(explain(error)[1], value, kind)
    return None
