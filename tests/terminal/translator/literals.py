"""Literals of MQL5 as literals of C++."""

import re
from collections.abc import Sequence

from translator.tokens import Token

ASCII = 128


def escaped(text: str) -> str:
    r"""Translate \xHHHH, a unit of UTF-16 in MQL5."""
    return re.sub(r"(\\\\)|\\x([0-9a-fA-F]{1,4})", unit, text)


def unit(match: re.Match[str]) -> str:
    if match[1]:
        return match[1]
    code = int(match[2], 16)
    return f"\\{code:03o}" if code < ASCII else chr(code)


def color(text: str) -> str:
    red, green, blue = (int(each, 0) for each in text[2:-1].split(","))
    return str(red | green << 8 | blue << 16)


def string(text: str, joined: bool) -> str:
    """`joined`: another string follows, and only the last of them carries the suffix."""
    return escaped(text) + ("" if joined else "_s")


def define(text: str) -> str:
    """Translate the strings and the member accesses in the body of a macro."""
    pieces = re.split(r'("(?:\\.|[^"\\])*")', text)
    for at, piece in enumerate(pieces):
        pieces[at] = (
            string(piece, False) if at % 2 else re.sub(r"(?<=[\w)\]])\.(?=[A-Za-z_])", "->", piece)
        )
    return "".join(pieces)


def literals(found: Sequence[Token]) -> None:
    """Rewrite the literals in place."""
    for token, following in zip(found, [*found[1:], None], strict=True):
        if token.kind == "string":
            token.text = string(token.text, following is not None and following.kind == "string")
        elif token.kind == "char":
            token.text = f"ushort(u{token.text})"
        elif token.kind == "date":
            token.text = f'_date("{token.text[2:-1]}")'
        elif token.kind == "color":
            token.text = color(token.text)
        elif token.kind == "directive" and re.match(r"#\s*define", token.text):
            token.text = define(token.text)
