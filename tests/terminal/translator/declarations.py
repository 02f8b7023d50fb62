"""Arrays, parameters and inputs as C++ declares them."""

from collections.abc import Iterator, Sequence

from translator.tokens import SourceError, Token, closing, nesting, split

NOT_A_TYPE = frozenset(
    [
        "return",
        "delete",
        "else",
        "new",
        "case",
        "goto",
        "typedef",
        "class",
        "struct",
        "enum",
        "public",
        "private",
        "protected",
        "operator",
        "namespace",
        "using",
        "default",
        "template",
        "typename",
        "do",
    ]
)
MODIFIERS = frozenset(("const", "static", "extern", "input", "sinput", "virtual"))
STATEMENT_ENDS = frozenset((";", "{", "}", ":"))


def parameters(found: Sequence[Token]) -> list[Token]:
    """Rewrite the parameter `TYPE &name[]` to `Array<TYPE> &name`."""
    out: list[Token] = []
    at = 0
    while at < len(found):
        token = found[at]
        if is_array_parameter(found, at):
            out += [token.word(f"Array<{token.text}>"), found[at + 1], found[at + 2]]
            at = closing(found, at + 3, "[", "]") + 1
        else:
            out.append(token)
            at += 1
    return out


def is_array_parameter(found: Sequence[Token], at: int) -> bool:
    return (
        at + 4 < len(found)
        and found[at].kind == "word"
        and found[at + 1].text == "&"
        and found[at + 2].kind == "word"
        and found[at + 3].text == "["
        and found[at - 1].text in ("(", ",", "const")
    )


def declarators(found: Sequence[Token]) -> list[Token]:
    """Rewrite each statement that declares arrays to one statement a variable."""
    out: list[Token] = []
    at, begins = 0, True
    while at < len(found):
        end = declaration_end(found, at) if begins else 0
        if end:
            out += one_by_one(found[at:end])
            at = end + 1
            continue
        token = found[at]
        out.append(token)
        begins = token.text in STATEMENT_ENDS or token.kind == "directive"
        at += 1
    return out


def after_modifiers(found: Sequence[Token], at: int) -> int:
    while at < len(found) and found[at].text in MODIFIERS:
        at += 1
    return at


def name_length(found: Sequence[Token], at: int) -> int:
    """Return how many tokens the variable's name has at `at`: `x`, `Class::x`, or 0 for none."""
    if at >= len(found) or found[at].kind != "word":
        return 0
    if at + 2 < len(found) and found[at + 1].text == "::" and found[at + 2].kind == "word":
        return 3
    return 1


def declaration_end(found: Sequence[Token], at: int) -> int:
    """Return where a statement that declares an array ends; 0 = it is no such statement."""
    kind = after_modifiers(found, at)
    size = name_length(found, kind + 1)
    if kind >= len(found) or found[kind].kind != "word" or found[kind].text in NOT_A_TYPE:
        return 0
    behind = kind + 1 + size
    if not size or behind >= len(found) or found[behind].text not in ("[", ",", "=", ";"):
        return 0
    end, depth = kind, 0
    while found[end].text != ";" or depth:
        depth += nesting(found[end])
        end += 1
    variables = split(found[kind + 1 : end])
    return end if any(is_array(each) or each[0].text == "*" for each in variables) else 0


def is_array(variable: Sequence[Token]) -> bool:
    size = name_length(variable, 0)
    return len(variable) > size and variable[size].text == "["


def one_by_one(statement: Sequence[Token]) -> Iterator[Token]:
    first = after_modifiers(statement, 0)
    modifiers, of = statement[:first], statement[first]
    for number, variable in enumerate(split(statement[first + 1 :])):
        yield from modifiers
        kind = of
        if number and of.text.startswith("Ptr<"):
            variable, kind = each_its_own(of, variable)
        yield from array(kind, variable) if is_array(variable) else (kind, *variable)
        yield of.punct(";")


def each_its_own(of: Token, variable: list[Token]) -> tuple[list[Token], Token]:
    """In `CLASS *a, b, *c` the star belongs to the variable."""
    if variable[0].text == "*":
        return variable[1:], of
    return variable, of.word(of.text[len("Ptr<") : -1])


def array(of: Token, variable: Sequence[Token]) -> Iterator[Token]:
    """Yield `TYPE name[SIZE]={VALUES}` as an Array."""
    opens = name_length(variable, 0)
    right = closing(variable, opens, "[", "]")
    size, rest = variable[opens + 1 : right], variable[right + 1 :]
    if rest and rest[0].text == "[":
        raise SourceError(f"{of.place}: arrays of several dimensions are not imitated")
    kind = f"Array<{of.text}>"
    yield of.word(kind)
    yield from variable[:opens]
    if size and not rest:
        yield from (of.word("{Fixed("), *size, of.word(")}"))
    elif rest:
        fixed = (of.word("Fixed("), *size, of.word("),")) if size else ()
        yield from (of.punct("="), of.word(f"{kind}::of("), *fixed, *rest[1:], of.word(")"))


def inputs(found: Sequence[Token]) -> list[Token]:
    """Let `input TYPE name=value;` read $name, as a terminal reads its dialog."""
    out: list[Token] = []
    at = 0
    while at < len(found):
        if found[at].text not in ("input", "sinput"):
            out.append(found[at])
            at += 1
        elif found[at + 1].text == "group":
            at += 3
        else:
            end = next(i for i in range(at, len(found)) if found[i].text == ";")
            out += one_input(found[at + 1], found[at + 2], found[at + 4 : end])
            at = end + 1
    return out


def one_input(kind: Token, name: Token, value: Sequence[Token]) -> Iterator[Token]:
    """Yield the variable, and the function that reads it again when the inputs change."""
    read = (kind.word(f'input_<{kind.text}>("{name.text}",'), *value, kind.word(")"))
    yield from (kind, name, kind.punct("="), *read, kind.punct(";"))
    yield kind.word(f"static Reinput _re_{name.text}([]{{{name.text}=")
    yield from (*read, kind.word("; })"), kind.punct(";"))
