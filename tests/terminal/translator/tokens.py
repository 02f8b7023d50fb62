"""The tokens of an MQL5 program and of what it includes."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

TOKEN = re.compile(
    r"""
  (?P<comment>//[^\n]*|/\*.*?\*/) | (?P<space>[ \t\r\f\v\xa0]+) | (?P<newline>\n)
| (?P<directive>\#[^\n]*) | (?P<date>D'[^']*') | (?P<color>C'[^']*')
| (?P<string>"(?:\\.|[^"\\])*") | (?P<char>'(?:\\.|[^'\\])+')
| (?P<number>0[xX][0-9a-fA-F]+|\d+\.?\d*(?:[eE][+-]?\d+)?[fFuUlL]*|\.\d+(?:[eE][+-]?\d+)?)
| (?P<word>[A-Za-z_]\w*)
| (?P<punct>::|->|<<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||\+\+|--|[-+*/%&|^]=|.)
""",
    re.X | re.S,
)
UNREAD = ("comment", "space", "newline")
BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""MetaEditor saves UTF-16 or UTF-8, either with a mark."""


class SourceError(Exception):
    """A place of the program that cannot be translated; the text names file and line."""


class Token:
    """A word, number, literal, punctuation mark or directive, with its file and line."""

    __slots__ = ("kind", "place", "text")

    def __init__(self, kind: str, text: str, place: tuple[str, int]):
        self.kind, self.text, self.place = kind, text, place

    def __repr__(self) -> str:
        return f"{self.text!r}@{self.place}"

    def word(self, text: str) -> "Token":
        """Return another word at the same place."""
        return Token("word", text, self.place)

    def punct(self, text: str) -> "Token":
        return Token("punct", text, self.place)


def read_text(path: Path) -> str:
    raw = path.read_bytes()
    encoding = "utf-16" if raw[:2] in BYTE_ORDER_MARKS else "utf-8-sig"
    return raw.decode(encoding, "replace").replace("\r\n", "\n")


def tokens(path: Path, folders: Sequence[Path]) -> list[Token]:
    """Return the tokens of a program; `folders` are searched for what stands in angle brackets."""
    return list(Reader(folders).read(path))


class Reader:
    """Reads a file, and in place of each `#include` the file that it names, once each."""

    def __init__(self, folders: Sequence[Path]):
        self.folders, self.seen = folders, set[Path]()

    def read(self, path: Path) -> Iterator[Token]:
        self.seen.add(path.resolve())
        line = 1
        for match in TOKEN.finditer(read_text(path)):
            kind, text, place = str(match.lastgroup), match.group(), (str(path), line)
            line += text.count("\n")
            if kind == "directive":
                yield from self.directive(path, text, place)
            elif kind not in UNREAD:
                yield Token(kind, text, place)

    def directive(self, path: Path, text: str, place: tuple[str, int]) -> Iterator[Token]:
        text = re.sub(r"\s*//.*$", "", text)
        found = re.match(r'#\s*include\s*(["<])(.+)[">]', text)
        if found:
            file = self.find(path, found[1], found[2].replace("\\", "/"), place)
            if file.resolve() not in self.seen:
                yield from self.read(file)
        elif not re.match(r"#\s*(property|resource)", text):
            yield Token("directive", text, place)

    def find(self, path: Path, mark: str, name: str, place: tuple[str, int]) -> Path:
        folders = [path.parent] if mark == '"' else self.folders
        for folder in folders:
            if (folder / name).exists():
                return folder / name
        raise SourceError(f"{place[0]}:{place[1]}: cannot open {name}")


def closing(found: Sequence[Token], at: int, opens: str = "(", closes: str = ")") -> int:
    """Return the place of what closes the bracket at `at`."""
    depth = 0
    for place in range(at, len(found)):
        if found[place].kind == "punct":
            depth += found[place].text == opens
            depth -= found[place].text == closes
            if depth == 0:
                return place
    raise SourceError(f"{found[at].place}: {opens} is never closed")


def nesting(token: Token) -> int:
    """Return 1 for an opening bracket, -1 for a closing one, else 0."""
    if token.kind != "punct":
        return 0
    return (token.text in ("(", "[", "{")) - (token.text in (")", "]", "}"))


def split(found: Sequence[Token], mark: str = ",") -> list[list[Token]]:
    """Split at each `mark` that stands outside of brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in found:
        depth += nesting(token)
        if token.text == mark and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts
