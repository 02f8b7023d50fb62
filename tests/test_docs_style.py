"""Documents are complete, linked, wrapped and in plain English, and so are docstrings."""

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
DOCS = sorted((PROJECT / "docs").glob("*.md"))
PAGES = [
    *DOCS,
    *(PROJECT / name for name in ("README.md", "CHANGELOG.md", "mql5/README.md")),
]
GLOSSARY = (PROJECT / "docs" / "glossary.md").read_text("utf-8")
ROWS = [
    line.strip("|").split(" | ")
    for line in GLOSSARY.splitlines()
    if line.startswith("| ") and "---" not in line
][1:]
WIDTH = 95
"""Characters of a line of prose; tables, code and what cannot be broken may be longer."""
TERMS = """
back-pressure broadcast channel classic component diverged epoch fan-out fenced first bytes flatten
freeze group commit hash chain hedging account keepalive netting account pause peer reduction seq
session slippage snapshot ticket timer wheel token bucket
"""
RIDDLES = re.compile(
    r"(?:^|(?<=[.!?:;] ))\W*(?:Who(?:ever)?|What(?:ever)?|That which) (?!is your)"
    r"|\b(?:whoever|anew|for ever|of late)\b",
)
"""Beginnings of sentences, and words, that hide who does what."""
SOURCES = sorted((PROJECT / "mtnet").rglob("*.py"))
RIDDLE_LINES = re.compile(r"(?:Who(?:ever|m|se)?|What(?:ever)?|Which|That which|How(?! many))\b")
"""Beginnings of docstrings that do not name what they document."""


def name(page):
    return str(page.relative_to(PROJECT))


def lines_of_prose(page):
    """Yield the lines of a page that are neither code nor tables, with their numbers."""
    code = False
    for number, line in enumerate(page.read_text("utf-8").splitlines(), 1):
        if line.lstrip().startswith("```"):
            code = not code
        elif not code and not line.lstrip().startswith("|"):
            yield number, line


def sentences_of(page):
    """Yield the paragraphs, headings and cells of a page without their code."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for block in re.split(r"\n\s*\n|\n(?=\s*[|#*+-] )|\n(?=\s*\d+\. )", text):
        for cell in block.split(" | "):
            yield " ".join(re.sub(r"`[^`]*`", "CODE", cell).split()).lstrip("|#*- ")


def links(page):
    """Return the files that a page links to."""
    found = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", page.read_text("utf-8"))
    return {(page.parent / target).resolve() for target in found}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_prose_wraps_at_one_width(page):
    for number, line in lines_of_prose(page):
        assert len(line) <= WIDTH or " " not in line.strip(), f"{name(page)}:{number}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_sentences_name_who_does_what(page):
    for sentence in sentences_of(page):
        found = RIDDLES.search(sentence)
        assert not found, sentence[found.start() : found.start() + 80]


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_the_first_line_of_a_docstring_names_what_it_documents(source):
    documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    nodes = ast.walk(ast.parse(source.read_text("utf-8")))
    texts = [ast.get_docstring(node) or "" for node in nodes if isinstance(node, documented)]
    assert [text.splitlines()[0] for text in texts if RIDDLE_LINES.match(text)] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_is_linked_exists(page):
    assert [target for target in links(page) if not target.exists()] == []


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_every_document_is_linked(page):
    page = PROJECT / page
    assert [each.name for each in DOCS if each not in links(page) | {page}] == []


def test_the_glossary_is_in_alphabetical_order_without_doubles():
    terms = [row[0].strip().lower() for row in ROWS]
    assert terms == sorted(terms)
    assert len(terms) == len(set(terms)) > 150


def test_every_term_has_a_short_meaning_and_a_place():
    for row in ROWS:
        term, meaning, place = row
        assert meaning.endswith("."), term
        assert len(re.findall(r"[.!?](?: |$)", meaning)) <= 3, term
        assert "`" in place or "](" in place, term


@pytest.mark.parametrize("page", ["glossary.md", "architecture.md"])
def test_every_module_that_is_named_exists(page):
    text = (PROJECT / "docs" / page).read_text("utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.py)?|\w+\.py)`", prose))
    inside = {"wire.py", "grammar.py", "values.py", "book.py", "policy.py", "library.py"}
    inside |= {"store.py", "protocol.py", "settings.py", "component.py", "verbs.py"}
    inside |= {"resources.py", "commands.py", "plugins/NAME.py"}  # of each service
    roots = (PROJECT / "mtnet", PROJECT)
    named -= {"services/NAME/"}
    missing = [each for each in named if not any((root / each).exists() for root in roots)]
    assert [each for each in missing if each not in inside] == []
    assert len(named) > 10


def test_the_words_of_the_field_are_explained():
    terms = " ".join(row[0].lower() for row in ROWS)
    for term in TERMS.split():
        assert term in terms


def test_the_tree_of_the_architecture_has_every_folder():
    text = (PROJECT / "docs" / "architecture.md").read_text("utf-8")
    tree = text.partition("## The tree")[2].partition("## The way")[0]
    named = set(re.findall(r"(\w+)/", tree))
    folders = {source.parent for source in SOURCES} - {PROJECT / "mtnet"}
    assert {folder.name for folder in folders} - named == set()
