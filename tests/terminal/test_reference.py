"""The experts call what the MQL5 reference knows, and name nothing as it does."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from translator.tokens import TOKEN, UNREAD, read_text

HERE = Path(__file__).parent
SOURCES = sorted((HERE.parent.parent / "mql5").rglob("*.mq[5h]"))
REFERENCE = frozenset(
    name
    for line in (HERE / "reference.txt").read_text("ascii").splitlines()
    if not line.startswith("#")
    for name in line.split()
)
HANDLERS = frozenset(name for name in REFERENCE if name.startswith("On"))
STATEMENTS = frozenset(["if", "for", "while", "switch", "return", "sizeof"])
TYPES = frozenset(
    (
        *("void", "bool", "char", "uchar", "short", "ushort", "int", "uint", "long", "ulong"),
        *("float", "double", "string", "datetime", "color"),
    )
)
STANDARD_LIBRARY = frozenset(["CTrade"])
CALLED_WITH_ITS_CLASS = frozenset(["Comment"])
"""Static methods; `CMtnetMark::Comment` is taken for nothing else."""
MEMBER = (".", "->", "::")


def texts(path):
    """Return the tokens of a file, macros whole, with two before the first."""
    found = TOKEN.finditer(read_text(path))
    return [";", ";", *(each.group() for each in found if each.lastgroup not in UNREAD)]


def classes(found):
    words = ("class", "struct", "enum", "interface")
    return {name for word, name in pairwise(found) if word in words}


def macros(found):
    return {each[1] for each in (re.match(r"#define\s+(\w+)", text) for text in found) if each}


KINDS = TYPES.union(*(classes(texts(path)) for path in SOURCES))


def with_brackets(found):
    """Yield each name before an opening bracket, and whether it is declared there."""
    for first, before, name, after in zip(found, found[1:], found[2:], found[3:], strict=False):
        if re.fullmatch(r"[A-Za-z_]\w*", name) and after == "(":
            typed = before in KINDS or before.startswith("ENUM_")
            pointed = before in "*&" and (first in KINDS or first.startswith("ENUM_"))
            yield before, name, typed or pointed or (before == "::" and first in KINDS)


def declared(found):
    """Return the functions, methods and objects with arguments that a file declares."""
    return {name for _, name, declares in with_brackets(found) if declares}


OWN = frozenset().union(*(declared(texts(path)) | macros(texts(path)) for path in SOURCES)) | KINDS


def unknown_calls(path):
    return {
        name
        for before, name, declares in with_brackets(texts(path))
        if not declares and before not in MEMBER
        if name not in REFERENCE | OWN | STATEMENTS | STANDARD_LIBRARY
    }


def members(path):
    """Return what the constructors of a file initialise: `m_lock(…)`."""
    return {name for _, name, _ in with_brackets(texts(path)) if name.startswith("m_")}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_function_called_stands_in_the_reference(path):
    assert unknown_calls(path) - members(path) == set()


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_name_of_ours_is_one_of_the_reference(path):
    found = texts(path)
    ours = declared(found) | macros(found) | classes(found)
    assert ours & (REFERENCE - HANDLERS - CALLED_WITH_ITS_CLASS) == set()


def test_a_call_of_what_nobody_knows_and_a_name_of_the_reference_are_found(tmp_path):
    program = tmp_path / "program.mq5"
    program.write_text("int Print(int x) { return(x*NoSuchFunction(1)+Print(2)); }")
    assert unknown_calls(program) == {"NoSuchFunction"}
    assert declared(texts(program)) == {"Print"}
