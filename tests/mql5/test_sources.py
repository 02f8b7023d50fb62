"""The MQL5 sources: their form, and the words that they share with the server."""

import re
from pathlib import Path

import pytest

TREE = Path(__file__).parent.parent.parent / "mql5" / "MQL5"
FILES = sorted([*TREE.rglob("*.mq5"), *TREE.rglob("*.mqh")])


def name(file):
    return file.name


def bare(file):
    """Return the text without comments, strings and characters."""
    text = re.sub(r"//.*", "", file.read_text("ascii"))
    return re.sub(r'"(\\.|[^"\\])*"' + r"|'(\\.|[^'\\])'", "0", text)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_brackets_balance(file):
    closing, waiting = {")": "(", "]": "[", "}": "{"}, []
    for each in bare(file):
        if each in "([{":
            waiting.append(each)
        elif each in closing:
            assert waiting, file
            assert waiting.pop() == closing[each]
    assert not waiting


@pytest.mark.parametrize("file", FILES, ids=name)
def test_lines_are_short_and_end_well(file):
    for line in file.read_text("ascii").splitlines():
        assert len(line) <= 100
        assert line == line.rstrip()


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_file_is_strict_and_has_a_head(file):
    text = file.read_text("ascii")
    assert text.startswith("//+---")
    assert f"| {file.name}: " in text
    assert "#property strict" in text


@pytest.mark.parametrize("file", FILES, ids=name)
def test_what_is_included_is_there(file):
    for included in re.findall(r"#include <Mtnet/(.+)>", file.read_text("ascii")):
        assert (TREE / "Include" / "Mtnet" / included).is_file()


@pytest.mark.parametrize("file", FILES, ids=name)
def test_a_header_has_no_variables_of_its_own(file):
    # So two of a class fit one expert.
    if file.suffix == ".mqh":
        assert not re.findall(r"^\w+ +\w+(?:=.*)?;", bare(file), re.MULTILINE)


PAGE = TREE.parent.parent / "docs" / "metatrader.md"


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_input_is_explained(file):
    for line in re.findall(r"^input \w+ +(\w+)=", file.read_text("ascii"), re.MULTILINE):
        assert f"`{line}`" in PAGE.read_text("utf-8")


def test_every_header_has_its_line_in_the_table():
    table = (TREE.parent / "README.md").read_text("utf-8")
    headers = {file.name for file in FILES if file.suffix == ".mqh"}
    assert set(re.findall(r"`(\w+\.mqh)`", table)) == headers


def test_the_page_says_where_they_have_run():
    assert "run in an imitation of a terminal, never in MetaTrader" in PAGE.read_text("utf-8")
