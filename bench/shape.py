"""
The shape of the code: sizes of functions, classes and parameter lists, and the names of others.

    python bench/shape.py [FOLDER]

How it is counted:

* a function's length: lines of its body, without its docstring;
* a class's collaborators: distinct classes of the project, imported or of the same file, that the
  class names in code or in annotations, but for itself; the second figure leaves out records,
  enumerations, exceptions and interfaces, which a class does not work with but passes on;
* instance attributes: names that are set on `self`, and those of `__slots__`;
* parameters: all but `self` and `cls`; in `mtnet/client` those that can be passed by keyword alone
  are left out;
* private names of others: `thing._name` where no class of the same file has a `_name`.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

PROJECT = Path(__file__).parent.parent
Function = ast.FunctionDef | ast.AsyncFunctionDef
VALUES = {"NamedTuple", "Struct", "Enum", "StrEnum", "IntEnum", "Section", "TypedDict"}
"""Bases that make a class a record or an enumeration."""
PUBLIC = {"_replace", "_asdict", "_fields", "_make"}
"""Methods of `NamedTuple`."""
BY_NAME = {"getattr", "setattr", "hasattr", "delattr"}
"""Functions that are given the name of an attribute as text."""


class Class(NamedTuple):
    """A class and the file that it stands in."""

    file: Path
    node: ast.ClassDef

    @property
    def name(self) -> str:
        return f"{self.file}:{self.node.name}"


class Source:
    """The parsed files of a package."""

    def __init__(self, folder: Path) -> None:
        self.files = {
            file.relative_to(folder.parent): ast.parse(file.read_text("utf-8"))
            for file in sorted(folder.rglob("*.py"))
        }
        self.classes = [
            Class(file, node)
            for file, tree in self.files.items()
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
        ]
        self._names = {each.node.name for each in self.classes}
        self._passive = {each.node.name for each in self.classes if is_value(each.node)}
        self._imported = {file: imported(tree) for file, tree in self.files.items()}

    def functions(self) -> Iterator[tuple[Path, Function]]:
        """Yield every function and method."""
        for file, tree in self.files.items():
            for node in ast.walk(tree):
                if isinstance(node, Function):
                    yield file, node

    def collaborators(self, each: Class, active: bool = False) -> set[str]:
        """Return the classes of the project that a class names; `active` leaves out records etc."""
        known = self._imported[each.file]
        own = {node.name for node in self.files[each.file].body if isinstance(node, ast.ClassDef)}
        named = {known.get(name, name) for name in names(each.node) if name in known or name in own}
        found = (named & self._names) - {each.node.name}
        if not active:
            return found
        return {
            name
            for name in found - self._passive
            if not (name.endswith("Error") or re.match("I[A-Z]", name))
        }


def imported(tree: ast.Module) -> dict[str, str]:
    """Return what a file imports of the project, by the name that it has there."""
    return {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mtnet")
        for alias in node.names
    }


def names(node: ast.AST) -> Iterator[str]:
    """Yield the names in a piece of code, in its quoted annotations too."""
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Constant) and str(each.value).isidentifier():
            yield str(each.value)


def bases(node: ast.ClassDef) -> set[str]:
    """Return the names of a class's bases."""
    return {ast.unparse(base).rpartition(".")[2].partition("[")[0] for base in node.bases}


def is_value(node: ast.ClassDef) -> bool:
    """Return whether a class is a record or an enumeration."""
    decorators = {ast.unparse(each).partition("(")[0] for each in node.decorator_list}
    return bool(bases(node) & VALUES) or "dataclass" in decorators


def body_lines(function: Function) -> int:
    """Return the lines of a function's body, without its docstring."""
    body = function.body
    if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        body = body[1:]
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def attributes(node: ast.ClassDef) -> set[str]:
    """Return the attributes of a class's instances."""
    found: set[str] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store):
            if isinstance(each.value, ast.Name) and each.value.id == "self":
                found.add(each.attr)
        elif isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "__slots__":
            found |= {
                item.value
                for item in ast.walk(each.value)
                if isinstance(item, ast.Constant) and isinstance(item.value, str)
            }
    return found


def parameters(file: Path, function: Function) -> int:
    """Return how many parameters a function has."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    if positional and positional[0].arg in ("self", "cls"):
        positional = positional[1:]
    keyword = [] if "client" in file.parts else given.kwonlyargs
    return len(positional) + len(keyword)


def private_names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the lines that use private names of other modules."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, Function | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            own.add(node.attr)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            own.add(node.target.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            own.add(node.value)  # of __slots__
        elif isinstance(node, ast.Assign):
            own |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            yield node.lineno, ast.unparse(node)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if is_private(alias.name) and alias.name not in own:
                    yield node.lineno, f"{node.module}.{alias.name}"
    yield from private_names_in_calls(tree)


def private_names_in_calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the lines that reach a private name by `getattr` and the like."""
    texts = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in BY_NAME and len(node.args) > 1:
            word = node.args[1]
            value = word.value if isinstance(word, ast.Constant) else texts.get(ast.unparse(word))
            if isinstance(value, str) and is_private(value) and ast.unparse(node.args[0]) != "self":
                yield node.lineno, ast.unparse(node)


def is_private(name: str) -> bool:
    """Return whether a name is private; those of `NamedTuple` are not, in spite of their looks."""
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def report(folder: Path) -> Iterator[str]:
    """Yield the figures, and below each what is above its limit."""
    source = Source(folder)
    lengths = [(body_lines(node), file, node) for file, node in source.functions()]
    over = sum(lines > 20 for lines, *_ in lengths)
    yield f"{len(lengths)} functions: median {median(n for n, *_ in lengths):g} lines, "
    yield f"  {100 * over / len(lengths):.1f} % over 20"
    for active, what in ((False, ""), (True, " that it works with")):
        counts = [(len(source.collaborators(each, active)), each.name) for each in source.classes]
        many = sorted((each for each in counts if each[0] > 7), reverse=True)
        share = 100 * len(many) / len(counts)
        yield f"{len(counts)} classes: {share:.1f} % with more than 7 collaborators{what}"
        yield from (f"  {count} {name}" for count, name in many)
    yield "classes with more than 15 instance attributes:"
    yield from (
        f"  {len(found)} {each.name}"
        for each in source.classes
        if len(found := attributes(each.node)) > 15
    )
    yield "functions with more than 8 parameters:"
    yield from (
        f"  {count} {file}:{node.name}"
        for file, node in source.functions()
        if (count := parameters(file, node)) > 8
    )
    yield "private names of others:"
    for file, tree in source.files.items():
        yield from (f"  {file}:{line} {name}" for line, name in private_names(tree))


if __name__ == "__main__":
    print("\n".join(report(Path(sys.argv[1]) if sys.argv[1:] else PROJECT / "mtnet")))
