"""
What a `.tpl` file says.

A template is text with one token on a line: tags without attributes, and `key=value`.
MetaTrader 5 writes UTF-16 with a byte order mark and reads nothing else, MetaTrader 4 ANSI text
(MQL5 book, «TPL files: structure»). Pure; nothing but what is removed changes by a byte.
"""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator

from mtnet.errors import TemplateError
from mtnet.templates.wire import MT4, MT5, parse_period, parse_symbol

_CODINGS = {BOM_UTF16_LE: "utf-16-le", BOM_UTF16_BE: "utf-16-be", b"": "latin-1"}
_CHART = re.compile(r"^[ \t]*<chart>[ \t]*\r?$", re.ASCII | re.MULTILINE)
_INDICATOR, _WINDOW = "<indicator>", "<window>"
_ENDS = ("</indicator", "<window", "</window", "<chart", "</chart")
_PAIR = re.compile(r"^[ \t]*(symbol|period|period_type|period_size)=([^\r\n]*)", re.MULTILINE)
_UNITS = {"0": 0, "1": 0x4000, "2": 0x8000, "3": 0xC000}
"""`period_type`: minutes, hours, weeks, months, as they stand in an `ENUM_TIMEFRAMES` code."""


def platform_of(content: bytes) -> str:
    """Return `mt5` when the bytes are UTF-16, else `mt4`."""
    return MT5 if content[:2] in (BOM_UTF16_LE, BOM_UTF16_BE) else MT4


def prepare(content: bytes, max_size: int, keep_experts: bool) -> bytes:
    """
    Return what is stored of an upload.

    The NULs at its end go. So do the `<expert>` blocks of the chart, which would start programs
    on the follower's machine, unless `keep_experts`; those inside an `<indicator>` stay, because
    MetaTrader 4 names its custom indicators with them.

    Args:
        max_size: bytes of the largest template.

    Raises:
        TemplateError: `size`, or `template` when this is none.
    """
    content = strip_nuls(content)
    if len(content) > max_size:
        raise TemplateError(
            "size", f"The template has {len(content)} bytes and {max_size} are allowed."
        )
    mark, text = _decoded(content)
    begin = _chart(text)
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
    kept = head + "".join(_without_experts(chart))[:-1]
    return mark + kept.encode(_CODINGS[mark], "surrogatepass")


def strip_nuls(content: bytes) -> bytes:
    """Return `content` without the NULs at its end: whole NUL characters in UTF-16."""
    end = len(content.rstrip(b"\0"))
    # The last character of UTF-16 may itself end in a NUL byte.
    return content[: end + end % 2] if platform_of(content) == MT5 else content[:end]


def describe(content: bytes) -> tuple[str, str]:
    """
    Return the symbol and the period that a template names itself.

    Raises:
        TemplateError: `template`, or `symbol` or `period` when it names none.
    """
    text = _decoded(strip_nuls(content))[1]
    chart = text[_chart(text) :].lstrip().removeprefix("<")
    # What stands behind the next tag belongs to a window, an object or an expert.
    found = {pair[1]: pair[2].strip() for pair in _PAIR.finditer(chart.partition("<")[0])}
    if "symbol" not in found:
        raise TemplateError("symbol", "The template names no symbol; a line symbol=EURUSD would.")
    return parse_symbol(found["symbol"]), parse_period(_period_code(found))


def _period_code(found: dict[str, str]) -> str:
    unit, size = _UNITS.get(found.get("period_type", "")), found.get("period_size", "")
    if unit is not None and size.isascii() and size.isdigit() and len(size) < 4:
        return str(unit | int(size))
    return found.get("period", "")


def _decoded(content: bytes) -> tuple[bytes, str]:
    """Return the byte order mark and the text behind it; both ways lose nothing."""
    mark = content[:2] if content[:2] in _CODINGS else b""
    try:
        text = content[len(mark) :].decode(_CODINGS[mark], "surrogatepass")
    except UnicodeDecodeError as error:
        raise TemplateError("template", "The template's last UTF-16 character is cut.") from error
    if "\0" in text:
        raise TemplateError(
            "template",
            "A NUL stands in the template; the text is ANSI, or UTF-16 with a byte order mark.",
        )
    return mark, text


def _chart(text: str) -> int:
    found = _CHART.search(text)
    if found is None:
        raise TemplateError("template", "This is no template: no line of it is <chart>.")
    return found.start()


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

    Doubts are decided against experts: whatever could open one does, while only `<indicator>`
    alone on its line and inside a `<window>` opens an indicator. Whole lines go, so that no new
    tag arises from the rests of two.
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
