"""Functions of DLLs: `#import "NAME.dll"`, prototypes, `#import`."""

import re
from collections.abc import Iterator, Sequence

from translator.tokens import Token, closing, split


def imports(found: Sequence[Token]) -> list[Token]:
    """Put each section of prototypes into the namespace of the functions that are imitated."""
    out: list[Token] = []
    opened = False
    for token in memory(found):
        if not is_import(token):
            out.append(token)
            continue
        if opened:
            out.append(token.punct("}"))
        opened = '"' in token.text
        if opened:
            out += [token.word("namespace"), token.word("dll"), token.punct("{")]
    return out


def is_import(token: Token) -> bool:
    return token.kind == "directive" and re.match(r"#\s*import", token.text) is not None


def memory(found: Sequence[Token]) -> Iterator[Token]:
    """Rewrite each parameter `TYPE &name[]` of a DLL's function: it sees memory, not a type."""
    at, inside = 0, False
    while at < len(found):
        token = found[at]
        inside = '"' in token.text if is_import(token) else inside
        yield token
        at += 1
        if inside and token.text == "(":
            end = closing(found, at - 1)
            yield from parameters(found[at:end])
            at = end


def parameters(found: Sequence[Token]) -> Iterator[Token]:
    for number, each in enumerate(split(found)):
        if number:
            yield each[0].punct(",")
        array = bool(each) and each[-1].text == "]"
        yield from (each[0].word("Memory"), each[-3]) if array else each
