"""A whole MQL5 program as one C++ file: declarations before use, handlers for the terminal."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from translator.declarations import declarators, inputs, parameters
from translator.imports import imports
from translator.literals import literals
from translator.pointers import CLASSES, pointers
from translator.tokens import Token, closing, split, tokens

INCLUDE = Path(__file__).parent.parent / "Include"
NEAR = 3
"""Lines that are bridged by newlines; over a longer way a #line is shorter."""
HANDLERS = {
    "OnInit": ("int on_init()", "", "return 0;"),
    "OnDeinit": ("void on_deinit(int r)", "r", ""),
    "OnTimer": ("void on_timer()", "", ""),
    "OnTick": ("void on_tick()", "", ""),
    "OnTrade": ("void on_trade()", "", ""),
    "OnStart": ("void on_start()", "", ""),
    "OnTradeTransaction": (
        "void on_transaction(const MqlTradeTransaction &t, const MqlTradeRequest &q,"
        " const MqlTradeResult &r)",
        "t, q, r",
        "",
    ),
    "OnChartEvent": ("void on_chart(int id, long l, double d, string s)", "id, l, d, s", ""),
}
"""What the terminal calls: its C++ head, the arguments, and what it does when absent."""


def translate(source: Path, folders: Sequence[Path] = ()) -> str:
    """Return the C++ of a program; raises SourceError."""
    found = imports(tokens(source, [*folders, INCLUDE]))
    literals(found)
    return Program(inputs(declarators(parameters(pointers(found))))).text()


class Program:
    """Sorts the declarations: macros, enumerations and names of classes, prototypes, the rest."""

    def __init__(self, found: Sequence[Token]):
        self.early: list[Token] = []
        self.prototypes: list[Token] = []
        self.late: list[list[Token]] = []
        self.returns: dict[str, str] = {}
        for kind, body in items(found):
            self.add(kind, body)

    def add(self, kind: str, body: list[Token]) -> None:
        if kind in CLASSES:
            self.early += [body[0].word("struct"), body[1], body[0].punct(";")]
        if kind == "namespace":
            self.early.append(body[0].word("inline"))
        if kind in ("enum", "namespace"):
            self.early += body
            return
        self.late.append(self.function(body) if kind == "function" else body)

    def function(self, body: list[Token]) -> list[Token]:
        """Declare a function of the program; returns it without its default values."""
        left = next(i for i, token in enumerate(body) if token.text == "(")
        if any(token.text in ("::", "operator") for token in body[:left]):
            return body
        right = closing(body, left)
        brace = next(i for i in range(right, len(body)) if body[i].text == "{")
        self.prototypes += [*body[:brace], body[0].punct(";")]
        self.returns[body[left - 1].text] = body[left - 2].text
        return without_defaults(body[:brace]) + body[brace:]

    def text(self) -> str:
        # The macros stand before the prototypes: a default value may be one.
        macros = [body[0] for body in self.late if is_macro(body)]
        rest = [token for body in self.late if not is_macro(body) for token in body]
        parts = [written(macros), written(self.early), written(self.prototypes), written(rest)]
        head = '#include "language/names.hpp"\n'
        return head + "\n".join(parts) + '\n#line 1 "handlers"\n' + "".join(self.handlers())

    def handlers(self) -> Iterator[str]:
        for name, (head, arguments, otherwise) in HANDLERS.items():
            call = f"{name}({arguments});"
            if name not in self.returns:
                call = otherwise
            elif name == "OnInit":
                call = f"return {call}" if self.returns[name] != "void" else f"{call} return 0;"
            yield f"{head} {{ {call} }}\n"


def is_macro(body: Sequence[Token]) -> bool:
    return body[0].kind == "directive" and body[0].text.startswith("#define")


def items(found: Sequence[Token]) -> Iterator[tuple[str, list[Token]]]:
    """Yield the declarations of a file one after the other, each with its kind."""
    at = 0
    while at < len(found):
        if found[at].kind == "directive":
            yield "directive", [found[at]]
            at += 1
        elif found[at].text == ";":
            at += 1
        else:
            kind, end = item(found, at)
            body = list(found[at:end])
            if kind in (*CLASSES, "enum") and body[-1].text != ";":
                body.append(body[-1].punct(";"))
            yield "template" if found[at].text == "template" else kind, body
            at = end


def item(found: Sequence[Token], start: int) -> tuple[str, int]:
    at = start
    if found[at].text == "template":
        at = closing(found, at + 1, "<", ">") + 1
    if found[at].text in (*CLASSES, "enum"):
        return found[at].text, class_end(found, at)
    if found[at].text == "namespace":
        return "namespace", closing(found, at + 2, "{", "}") + 1
    return function_or_variable(found, at)


def class_end(found: Sequence[Token], at: int) -> int:
    while found[at].text not in ("{", ";"):
        at += 1
    if found[at].text == "{":
        at = closing(found, at, "{", "}") + 1
    return at + 1 if at < len(found) and found[at].text == ";" else at


def function_or_variable(found: Sequence[Token], at: int) -> tuple[str, int]:
    equals = False
    while found[at].text != ";":
        if found[at].text == "(":
            at = closing(found, at)
        elif found[at].text == "=" and found[at].kind == "punct":
            equals = True
        elif found[at].text == "{":
            at = closing(found, at, "{", "}")
            if not equals:
                return "function", at + 1
        at += 1
    return "variable", at + 1


def without_defaults(head: Sequence[Token]) -> list[Token]:
    left = next(i for i, token in enumerate(head) if token.text == "(")
    right = closing(head, left)
    out = list(head[: left + 1])
    for number, parameter in enumerate(split(head[left + 1 : right])):
        at = next((i for i, token in enumerate(parameter) if token.text == "="), len(parameter))
        out += ([head[left].punct(",")] if number else []) + parameter[:at]
    return out + list(head[right:])


def written(found: Sequence[Token]) -> str:
    """Write tokens so that g++ and a debugger name the lines of the MQL5 files."""
    out: list[str] = []
    place: tuple[str, int] | None = None
    for token in found:
        if token.kind == "directive":
            out.append(f"\n{token.text}\n")
            place = None
            continue
        if token.place != place:
            out.append(way(place, token.place))
            place = token.place
        out.append(f"{token.text} ")
    return "".join(out)


def way(place: tuple[str, int] | None, to: tuple[str, int]) -> str:
    if place and place[0] == to[0] and 0 <= to[1] - place[1] < NEAR:
        return "\n" * (to[1] - place[1])
    return f'\n#line {to[1]} "{to[0]}"\n'
