"""
Pointers to objects: `CLASS *` becomes `Ptr<CLASS>`, which knows whether its object still lives.

MQL5 writes `.` for objects and for pointers, and the tokens do not say which of them a name is. So
each `.` becomes `->`, and each class gets an `operator->` that returns the object itself.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from translator.tokens import Token

CLASSES = ("class", "struct", "interface", "union")


def pointers(found: Sequence[Token]) -> list[Token]:
    names = class_names(found)
    out: list[Token] = []
    at = 0
    while at < len(found):
        new, at = rewritten(found, at, names)
        out += new
    return list(with_arrows(out))


def class_names(found: Sequence[Token]) -> frozenset[str]:
    """Return the names of classes and of what a template stands for."""
    pairs = pairwise(found)
    return frozenset(name.text for word, name in pairs if word.text in (*CLASSES, "typename"))


def rewritten(found: Sequence[Token], at: int, names: frozenset[str]) -> tuple[list[Token], int]:
    token = found[at]
    following = found[at + 1].text if at + 1 < len(found) else ""
    if token.text in names and following == "*":
        return [token.word(f"Ptr<{token.text}>")], at + 2
    if token.text == "new":
        return new(found, at)
    if token.text == "delete":
        return delete(found, at, names)
    if token.text == "dynamic_cast":
        return [token.word("dynamic_cast_")], at + 1
    if token.text == "&" and following == "this":
        return [token.word("GetPointer(this)")], at + 2
    if token.text == "." and token.kind == "punct":
        return [token.punct("->")], at + 1
    return [token], at + 1


def new(found: Sequence[Token], at: int) -> tuple[list[Token], int]:
    """Rewrite `new CLASS(…)` to `new_<CLASS>(…)`; the brackets may be absent."""
    end = at + 2
    if found[end].text == "<":
        while found[end - 1].text != ">":
            end += 1
    kind = "".join(token.text for token in found[at + 1 : end])
    brackets = "" if found[end].text == "(" else "()"
    return [found[at].word(f"new_<{kind}>{brackets}")], end


def delete(found: Sequence[Token], at: int, names: frozenset[str]) -> tuple[list[Token], int]:
    out = [found[at].word("delete_(")]
    at += 1
    while found[at].text != ";":
        new, at = rewritten(found, at, names)
        out += new
    return [*out, found[at].punct(")")], at


def with_arrows(found: Sequence[Token]) -> Iterator[Token]:
    """Yield the tokens, and in each class an `operator->`."""
    name: Token | None = None
    for at, token in enumerate(found):
        yield token
        if token.text in CLASSES and found[at - 1].text not in ("<", ","):
            name = found[at + 1]
        elif token.text == ";":
            name = None
        elif token.text == "{" and name is not None:
            yield token.word(f"public: {name.text} *operator->() {{ return this; }}")
            yield token.word(f"const {name.text} *operator->() const {{ return this; }}")
            is_class = found[found.index(name) - 1].text == "class"
            yield from (token.word("private" if is_class else "public"), token.punct(":"))
            name = None
