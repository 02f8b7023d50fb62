"""
Parser of `.tpl` files.

A template is text with one token on a line: tags without attributes, and `key=value`.
MetaTrader 5 writes UTF-16 with a byte order mark and reads nothing else, MetaTrader 4 ANSI text
(MQL5 book, «TPL files: structure»); editors and version control lose the mark of the one and put
UTF-8's before the other. Pure; nothing but what is removed changes by a byte.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from typing import NamedTuple

from mtnet.errors import TemplateError
from mtnet.services.templates.wire import MT4, MT5, PERIODS, parse_period, parse_symbol
from mtnet.values import CODEPAGE, read_text

SUFFIX = ".tpl"
"""How the name of a template's file ends, in either case."""

_ANSI = "latin-1"
_CODINGS = {BOM_UTF16_LE: "utf-16-le", BOM_UTF16_BE: "utf-16-be", BOM_UTF8: _ANSI}
_SPACE = re.compile(r"\s*")
_CHART = re.compile(r"^[ \t]*<chart>[ \t]*\r?$", re.ASCII | re.MULTILINE)
_INDICATOR, _WINDOW = "<indicator>", "<window>"
_ENDS = ("</indicator", "<window", "</window", "<chart", "</chart")
_PAIR = re.compile(r"^[ \t]*(symbol|period|period_type|period_size)=([^\r\n]*)", re.MULTILINE)
_UNITS = {"0": 0, "1": 0x4000, "2": 0x8000, "3": 0xC000}
"""`period_type`: minutes, hours, weeks, months, as they stand in an `ENUM_TIMEFRAMES` code."""


class _Text(NamedTuple):
    """The text of a template; the mark and the encoded text make its bytes again."""

    mark: bytes
    coding: str
    text: str

    def encode(self, text: str) -> bytes:
        return self.mark + text.encode(self.coding, "surrogatepass")


def platform_of(content: bytes) -> str:
    """Return `mt5` when the bytes are UTF-16, with its mark or without, else `mt4`."""
    return MT4 if _coding(content)[1] == _ANSI else MT5


def prepare(content: bytes, max_size: int, keep_experts: bool) -> bytes:
    """
    Return the bytes to store of an upload.

    The NULs at its end go. So do the `<expert>` blocks of the chart, which would start programs
    on the follower's machine, unless `keep_experts`; those inside an `<indicator>` stay, because
    MetaTrader 4 names its custom indicators with them.

    Args:
        max_size: bytes of the largest template.

    Raises:
        TemplateError: `size`, or `template` when it is not a template.
    """
    content = strip_nuls(content)
    if len(content) > max_size:
        raise too_large(len(content), max_size)
    decoded = _decoded(content)
    text, begin = decoded.text, _chart(decoded.text)
    if keep_experts:
        return content
    head, chart = text[:begin], text[begin:]
    if "<expert" in _squeezed(head) or "<chart" in _squeezed(head):
        raise TemplateError(
            "template", "An <expert> or a second <chart> stands before <chart>, even in a comment."
        )
    if "<!--" in chart:
        raise TemplateError("template", "A comment stands behind <chart>; it belongs before it.")
    # The last line has no LF of its own.
    return decoded.encode(head + "".join(_without_experts(chart))[:-1])


def too_large(size: int, max_size: int) -> TemplateError:
    """Return the error of a template of `size` bytes."""
    return TemplateError(
        "size", f"The template has {size} bytes, and templates.max_size allows {max_size}."
    )


def strip_nuls(content: bytes) -> bytes:
    """Return `content` without the NULs at its end: whole NUL characters in UTF-16."""
    end = len(content.rstrip(b"\0"))
    # The last character of UTF-16 may itself end in a NUL byte.
    return content[: end + end % 2] if platform_of(content) == MT5 else content[:end]


def describe(content: bytes, codepage: str = CODEPAGE) -> tuple[str, str]:
    """
    Return the symbol and the period that a template names itself.

    Args:
        codepage: how the symbol of MetaTrader 4 is read where it is not UTF-8.

    Raises:
        TemplateError: `template`, or `symbol` or `period` when it names none.
    """
    _, coding, text = _decoded(strip_nuls(content))
    chart = text[_chart(text) :].lstrip().removeprefix("<")
    # What stands behind the next tag belongs to a window, an object or an expert.
    found = {pair[1]: pair[2].strip() for pair in _PAIR.finditer(chart.partition("<")[0])}
    symbol = found.get("symbol", "")
    if not symbol:
        raise TemplateError("symbol", "The template names no symbol; a line symbol=EURUSD would.")
    if coding == _ANSI:
        symbol = read_text(symbol.encode(_ANSI), codepage)
    return parse_symbol(symbol), parse_period(_period_code(found))


def key_of_file(name: str, content: bytes, codepage: str = CODEPAGE) -> tuple[str, str]:
    """
    Return the symbol and the period of a file.

    `SYMBOL_PERIOD.tpl`, where the last `_` splits, counts when the period is a name; when it is
    a code, only if the template agrees: `my_template_1.tpl` is not a chart of one minute. For any
    other file, the symbol and period in the template count.

    Raises:
        TemplateError: as `describe`.
    """
    base = name[: -len(SUFFIX)] if name.lower().endswith(SUFFIX) else name
    symbol, _, period = base.rpartition("_")
    try:
        named = parse_symbol(symbol), parse_period(period)
    except TemplateError:
        return describe(content, codepage)
    return named if period.upper() in PERIODS else describe(content, codepage)


def _period_code(found: dict[str, str]) -> str:
    unit, size = _UNITS.get(found.get("period_type", "")), found.get("period_size", "")
    if unit is not None and size.isascii() and size.isdigit() and len(size) < 4:
        return str(unit | int(size))
    return found.get("period", "")


def _coding(content: bytes) -> tuple[bytes, str]:
    """Return the byte order mark, and how the text behind it is coded."""
    for mark, coding in _CODINGS.items():
        if content.startswith(mark):
            return mark, coding
    # A template begins with a tag or a comment, and so with a character of ASCII.
    return b"", "utf-16-le" if content[1:2] == b"\0" != content[:1] else _ANSI


def _decoded(content: bytes) -> _Text:
    """Decode bytes; `_Text.encode` gives exactly the same bytes back."""
    mark, coding = _coding(content)
    try:
        text = content[len(mark) :].decode(coding, "surrogatepass")
    except UnicodeDecodeError as error:
        raise TemplateError("template", "The template's last UTF-16 character is cut.") from error
    if "\0" in text:
        raise TemplateError(
            "template",
            "A NUL stands in the template; the text is ANSI, UTF-8 or little-endian UTF-16.",
        )
    return _Text(mark, coding, text)


def _chart(text: str) -> int:
    """
    Return where the chart begins.

    Raises:
        TemplateError: there is no chart, or more than comments before it.
    """
    found = _CHART.search(text)
    if found is None:
        raise TemplateError("template", "Invalid template: expected a line <chart>.")
    if not _is_comments(text[: found.start()]):
        raise TemplateError(
            "template", "Only comments may stand before <chart>, and something else does."
        )
    return found.start()


def _is_comments(head: str) -> bool:
    at = 0
    while (at := _end_of_space(head, at)) < len(head):
        end = head.find("-->", at + 4)
        if end < 0 or not head.startswith("<!--", at):
            return False
        at = end + 3
    return True


def _end_of_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _squeezed(text: str) -> str:
    """Return `text` without white space and in lower case, to find a tag however it is written."""
    return "".join(text.split()).lower()


def _lines(chart: str) -> Iterator[str]:
    """
    Yield the lines with their ends, LF or CR LF.

    Raises:
        TemplateError: a CR elsewhere; readers do not agree on whether it ends a line.
    """
    for part in chart.split("\n"):
        if "\r" in part.removesuffix("\r"):
            raise TemplateError("template", "A CR stands inside a line; lines end in LF or CR LF.")
        yield part + "\n"


def _without_experts(chart: str) -> Iterator[str]:
    """
    Yield the lines that stay.

    In doubt a block counts as an expert: anything that could open one does, while only
    `<indicator>` alone on its line and inside a `<window>` opens an indicator. Whole lines go, so
    that the rests of two lines never form a new tag.
    """
    window = inside = removing = False
    for line in _lines(chart):
        tag, squeezed = line.strip(" \t\r\n"), _squeezed(line)
        if not removing:
            inside = (window and tag == _INDICATOR) or (
                inside and not any(end in squeezed for end in _ENDS)
            )
            window = tag == _WINDOW or (window and "</window" not in squeezed)
            removing = not inside and "<expert" in squeezed
        if not removing:
            yield line
        removing = removing and "</expert" not in squeezed
    if removing:
        raise TemplateError("template", "An <expert> block has no </expert>.")
