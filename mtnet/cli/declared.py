"""
Declarations of the plugins of mtnet, read from their source: commands, rights and roles.

To import plugins, and what finds them, takes longer than most commands need. Where a package
outside has any, all of them are imported.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import ast

    from mtnet.access.rights import Permissions

PLUGINS = Path(__file__).parent.parent / "plugins"
"""The plugins of mtnet, a file each."""
ALWAYS_NAMED = "IAlwaysNamed"
"""The interface of services that a bare verb does not mean."""


class Command(NamedTuple):
    """
    A command that is not imported yet.

    Attributes:
        summary: its line in `mtnet --help`.
        module: the module whose `configure(parser)` adds its arguments, or `MODULE:FUNCTION`.
            A parser calls the function that was set by `parser.set_defaults(run=…)`.
    """

    summary: str
    module: str


class Declared(NamedTuple):
    """
    Declarations of a plugin.

    Attributes:
        values: its attributes that are constants.
        named: whether its rights are always named, see `IAlwaysNamed`.
    """

    values: dict[str, Any]
    named: bool

    @property
    def command(self) -> Command | None:
        """Its command; None = it has none."""
        module = self.values.get("command")
        return Command(self.values["description"], module) if module else None


def service_commands(used: str | None = None) -> dict[str, Command]:
    """
    Return the commands that plugins name.

    Args:
        used: the only one that is needed; None or empty = all.

    Raises:
        ConfigError: two plugins have one name.
    """
    if used and used.isidentifier():
        found = declared(PLUGINS / f"{used}.py")
        if found is not None and found.command is not None:
            return {used: found.command}
    elif not any(outside_plugins()):
        own = {name: each.command for name, each in own_plugins().items()}
        return {name: command for name, command in own.items() if command is not None}
    from mtnet.daemon.registry import installed

    return {
        name: Command(plugin.description, plugin.command)
        for name, plugin in installed().items()
        if plugin.command is not None
    }


def permissions() -> "Permissions":
    """
    Return the verbs and the roles of all services, as `mtnet.daemon.registry.permissions` does.

    Raises:
        ConfigError: as that.
    """
    if any(outside_plugins()):
        from mtnet.daemon import registry

        return registry.permissions()
    from mtnet.access.rights import Permissions

    own = own_plugins()
    return Permissions.of(
        {name: each.values["permissions"] for name, each in own.items()},
        [each.values["roles"] for each in own.values()],
        {name for name, each in own.items() if each.named},
    )


def own_plugins() -> dict[str, Declared]:
    """Return what the plugins of mtnet declare, by name."""
    found = {file.stem: declared(file) for file in sorted(PLUGINS.glob("*.py"))}
    return {name: each for name, each in found.items() if each is not None}


def declared(file: Path) -> Declared | None:
    """Read the plugin in a file, called as the service; None = there is none."""
    import ast

    try:
        body = ast.parse(file.read_bytes()).body
    except OSError:
        return None
    for each in body:
        values = dict(_constants(each)) if isinstance(each, ast.ClassDef) else {}
        if isinstance(each, ast.ClassDef) and values.get("name") == file.stem:
            names = {node.id for at in each.decorator_list for node in _names(at)}
            return Declared(values, ALWAYS_NAMED in names)
    return None


def _names(tree: "ast.AST") -> Iterator["ast.Name"]:
    import ast

    return (node for node in ast.walk(tree) if isinstance(node, ast.Name))


def _constants(node: "ast.ClassDef") -> Iterator[tuple[str, Any]]:
    import ast

    for each in node.body:
        targets = each.targets if isinstance(each, ast.Assign) else [getattr(each, "target", None)]
        value = getattr(each, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and isinstance(value, ast.expr):
                try:
                    yield target.id, ast.literal_eval(value)
                except ValueError:
                    continue


def outside_plugins() -> Iterator[Path]:
    """Yield the files of plugins that other packages have, where Twisted looks for them."""
    from mtnet.daemon.editable import plugin_folders

    folders = [Path(each or ".", "mtnet", "plugins") for each in sys.path]
    found = [each for each in folders if not (each / "__init__.py").exists()]
    for folder in (*found, *map(Path, plugin_folders("mtnet.plugins", [str(PLUGINS)]))):
        yield from folder.glob("*.py")
