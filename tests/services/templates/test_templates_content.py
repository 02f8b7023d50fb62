"""What is read in a template, and what is removed."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from template_samples import BLOCK, CHART, mt5_bytes

from mtnet.errors import TemplateError
from mtnet.services.templates.content import describe, key_of_file, platform_of, prepare, strip_nuls

LIMIT = 1 << 20
REAL = ["mt4-default.tpl", "mt4-macd-alma.tpl", "mt4-xard-m30.tpl"]


def stored(text):
    """Return what is stored of a template of MetaTrader 4."""
    return prepare(text.encode("latin-1"), LIMIT, False).decode("latin-1")


def chart(*lines):
    return "\n".join(["<chart>", "symbol=EURUSD", *lines, "</chart>", ""])


@pytest.mark.parametrize("name", REAL)
def test_a_real_template_of_metatrader_4_is_stored_as_it_is(real_data, name):
    """Its experts are custom indicators, and its comments stand before the chart."""
    content = (real_data / name).read_bytes()
    assert prepare(content, LIMIT, False) == content
    assert platform_of(content) == "mt4"
    assert describe(content) == ("GBPUSD", "M30" if "m30" in name else "H1")


def test_the_expert_of_the_chart_is_removed_and_that_of_an_indicator_stays(mt5, mt5_stored):
    assert prepare(mt5, LIMIT, False) == mt5_stored
    assert prepare(mt5, LIMIT, True) == mt5
    assert platform_of(mt5) == "mt5"
    assert describe(mt5) == ("EURUSD", "H1")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("coding", ["utf-16-le", "utf-16-be", "latin-1"])
def test_line_ends_and_coding_are_kept(newline, coding):
    def written(text):
        mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(coding, b"")
        return mark + text.replace("\n", newline).encode(coding)

    head = "<!-- mine <b> -->\n\n"
    assert prepare(written(head + CHART), LIMIT, False) == written(head + CHART.replace(BLOCK, ""))


@pytest.mark.parametrize(
    "lines",
    [
        ["<expert>", "name=E", "</expert>"],
        ["<EXPERT>", "name=E", "</Expert>"],
        ["  < expert >", "name=E", "< / expert>"],
        ["<expert>name=E</expert>"],
        ["<exp<expert></expert>ert>", "name=E", "</expert>"],
        ["comment=<indicator>", "<expert>", "name=E", "</expert>"],
        ["<indicator>", "</indicator>", "<expert>", "name=E", "</expert>"],
        ["<indicator>", "</window>", "<expert>", "name=E", "</expert>"],
        ["<indicator>", "<chart>", "<expert>", "name=E", "</expert>"],
    ],
)
def test_no_disguise_keeps_an_expert_in_the_chart(lines):
    kept = stored(chart(*lines))
    assert "expert>\nname=E" not in kept
    assert "<expert" not in kept.lower().replace(" ", "")


def test_an_indicator_in_a_comment_does_not_hide_an_expert():
    head = "<!--\n<chart>\n<indicator>\n-->\n"
    with pytest.raises(TemplateError, match="Only comments may stand before <chart>"):
        stored(head + chart("<expert>", "name=E", "</expert>"))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected a line <chart>"),
        ("<html>", "expected a line <chart>"),
        ("x<chart>\n", "expected a line <chart>"),
        ("<" * LIMIT, "expected a line <chart>"),
        ("<chart>\n" + "<" * (LIMIT - 10) + "\0x", "NUL stands"),
        (chart("<expert>"), "has no </expert>"),
        ("<expert>\n</expert>\n<chart>\n", "before <chart>"),
        ("<!--\n<chart >\n<expert>\n</expert>\n-->\n<chart>\n", "even in a comment"),
        (chart("<!--", "<window>", "<indicator>", "-->"), "A comment stands behind <chart>"),
        (chart("a=1\r<window>\r<indicator>"), "A CR stands inside a line"),
        ("<chart>\n" + "x" * LIMIT, f"1048584 bytes, and templates.max_size allows {LIMIT}"),
        ("hello\n<chart>\n</chart>\n", "Only comments may stand before <chart>"),
        ("--x\nContent-Type: a/b\n\n<chart>\n</chart>\n--x--\n", "Only comments may stand"),
        ("<!-- a --> b\n<chart>\n</chart>\n", "Only comments may stand before <chart>"),
        ("<!-- a\n<chart>\n</chart>\n", "Only comments may stand before <chart>"),
    ],
)
def test_what_is_no_template_is_refused(text, sentence):
    with pytest.raises(TemplateError, match=sentence):
        stored(text)


def test_utf_16_with_half_a_character_or_without_its_mark_and_big_endian_is_refused(mt5):
    for content in (mt5 + b"x", mt5[2:] + b"x", mt5.decode("utf-16").encode("utf-16-be")):
        with pytest.raises(TemplateError) as caught:
            prepare(content, LIMIT, False)
        assert caught.value.code == "template"


@pytest.mark.parametrize(
    ("mark", "coding", "platform"),
    [(b"\xef\xbb\xbf", "utf-8", "mt4"), (b"", "utf-16-le", "mt5")],
)
@pytest.mark.parametrize("head", ["", "<!-- Свеча -->\n"])
def test_what_an_editor_makes_of_the_marks_is_understood(mark, coding, platform, head):
    def written(chart):
        return mark + (head + chart).encode(coding)

    content = written(CHART.replace("EURUSD", "Газпром"))
    assert prepare(content + b"\0\0", LIMIT, False) == written(
        CHART.replace("EURUSD", "Газпром").replace(BLOCK, "")
    )
    assert platform_of(content) == platform
    assert describe(content) == ("Газпром", "H1")


@pytest.mark.parametrize("coding", ["utf-8", "cp1251"])
def test_the_symbol_of_an_ansi_template_is_read_in_the_code_page(coding):
    content = CHART.replace("EURUSD", "Газпром").encode(coding)
    assert describe(content, "cp1251") == ("Газпром", "H1")


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("GBPUSD_M5.tpl", ("GBPUSD", "M5")),
        ("SAL_TBL_m5.TPL", ("SAL_TBL", "M5")),
        ("GBPUSD_M5", ("GBPUSD", "M5")),
        ("EURUSD_16385.tpl", ("EURUSD", "H1")),
        ("EURUSD_60.tpl", ("EURUSD", "H1")),
        ("GBPUSD_60.tpl", ("EURUSD", "H1")),
        ("EURUSD_5.tpl", ("EURUSD", "H1")),
        ("SAL_TBL_1.tpl", ("EURUSD", "H1")),
        ("mine.tpl", ("EURUSD", "H1")),
        ("_M5.tpl", ("EURUSD", "H1")),
        ("A|B_M5.tpl", ("EURUSD", "H1")),
    ],
)
def test_a_code_in_the_name_of_a_file_counts_only_where_the_template_says_the_same(name, key):
    assert key_of_file(name, CHART.encode()) == key


def test_a_file_that_neither_name_nor_content_places_is_refused():
    with pytest.raises(TemplateError, match="names no symbol"):
        key_of_file("SAL_TBL_1.tpl", b"<chart>\n</chart>\n")


@pytest.mark.parametrize("count", range(5))
def test_nuls_behind_an_upload_are_dropped_and_half_characters_are_not(mt5, count):
    nuls = bytes(count)
    assert strip_nuls(mt5 + nuls) == mt5
    assert strip_nuls(b"<chart>\n" + nuls) == b"<chart>\n"
    assert strip_nuls(mt5 + "Ā".encode("utf-16-le") + nuls) == mt5 + b"\x00\x01"
    assert strip_nuls(b"\xfe\xff\x01\x00" + nuls) == b"\xfe\xff\x01\x00"


@pytest.mark.parametrize(
    ("lines", "period"),
    [(["period_type=0", "period_size=15"], "M15"), (["period_type=1", "period_size=24"], "D1"),
     (["period_type=2", "period_size=1"], "W1"), (["period_type=3", "period_size=1"], "MN1"),
     (["period=240"], "H4"), (["period=16388"], "H4")],
)  # fmt: skip
def test_the_period_is_read_in_either_form(lines, period):
    assert describe(chart(*lines).encode()) == ("EURUSD", period)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (chart(), "period"),
        (chart("period_type=9", "period_size=1"), "period"),
        (chart("period_type=1", "period_size=99999"), "period"),
        (chart("<window>", "period=60", "</window>"), "period"),
        ("<chart>\nperiod=60\n</chart>", "symbol"),
        ("<chart>\nsymbol=A|B\nperiod=60\n</chart>", "symbol"),
        ("nothing", "template"),
    ],
)
def test_a_template_that_does_not_name_its_key_says_what_is_missing(text, code):
    with pytest.raises(TemplateError) as caught:
        describe(text.encode())
    assert caught.value.code == code


@pytest.mark.parametrize("filling", ["<", "\n", "< ", "<expert\n</expert\n", "<indicator>\n"])
def test_a_hostile_template_takes_no_long_time(filling):
    began = time.process_time()
    stored("<chart>\n" + (filling * LIMIT)[: LIMIT - 10 - len(filling)].rpartition("\n")[0])
    assert time.process_time() - began < 5


EVIL = ["<expert>", "name=E", "</expert>"]


@pytest.mark.parametrize(
    "opener",
    [
        "<indicator>",
        "<INDICATOR>",
        "<\u0131ndicator>",
        "\u00a0<indicator>",
        "\x0b<indicator>",
        "\x1c<indicator>",
        "a=1\u2028<indicator>",
        "\u2003<indicator>",
        "<indicator >",
    ],
)
@pytest.mark.parametrize("window", [True, False])
def test_only_an_indicator_in_a_window_keeps_its_expert(opener, window):
    lines = ["<window>", opener, *EVIL] if window else [opener, *EVIL]
    kept = prepare(mt5_bytes(chart(*lines)), LIMIT, False).decode("utf-16")
    assert ("name=E" in kept) == (window and opener == "<indicator>")


def test_an_indicator_within_a_removed_expert_opens_nothing():
    lines = ["<window>", "<expert>", "<indicator>", "</expert>", *EVIL, "</window>"]
    assert "name=E" not in stored(chart(*lines))


@pytest.mark.parametrize(
    "content",
    [
        b"<!--" * 250_000 + b"\n<chart>\n</chart>\n",
        b"<chart>\n<window>\n<indicator>\n<" + b" " * 1_000_000 + b"\n</chart>\n",
        b"<chart>\n" + b"< / " * 250_000 + b"\n</chart>\n",
        b" \t" * 500_000 + b"<chart>",
        b"<chart>\n" + b"symbol" * 160_000,
    ],
)
def test_the_time_for_a_template_grows_no_faster_than_its_size(content):
    began = time.process_time()
    with suppress(TemplateError):
        prepare(content, LIMIT, False)
        describe(content)
    assert time.process_time() - began < 5


PIECES = st.sampled_from(
    ["<expert>", "</expert>", "<indicator>", "</indicator>", "<window>", "</window>", "<chart>",
     "name=E", "<!--", "-->", "\n", "\r\n", "\r", " "]
)  # fmt: skip


@given(st.lists(PIECES, max_size=30), st.booleans())
def test_what_was_prepared_once_does_not_change_again(pieces, wide):
    text = "<chart>\n" + "".join(pieces)
    content = mt5_bytes(text) if wide else text.encode()
    try:
        once = prepare(content, LIMIT, False)
    except TemplateError:
        return
    assert prepare(once, LIMIT, False) == once
