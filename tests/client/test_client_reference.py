"""The reference of `docs/python.md` names everything that programs may use."""

import inspect
import re
from pathlib import Path

import pytest

from mtnet import client
from mtnet.client import aio, sync

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")
LOOPS, TWISTED = PAGE.partition("## Reference")[2].split("### mtnet.client\n")
CLASSES = (
    "Follower",
    "Publisher",
    "TickStream",
    "BarStream",
    "IndicatorStream",
    "SentimentStream",
    "JobRun",
    "JobWorker",
)


def names(module):
    """Yield the names of a module, and those of its clients' methods and attributes."""
    for name in module.__all__:
        yield name
        if name in CLASSES:
            for member, _ in inspect.getmembers(getattr(module, name)):
                if not member.startswith("_"):
                    yield f"{name}.{member}"


@pytest.mark.parametrize(
    ("module", "section"), [(aio, LOOPS), (sync, LOOPS), (client, TWISTED)], ids=lambda each: ""
)
def test_every_public_name_stands_in_the_reference(module, section):
    shown = set(re.findall(r"`([A-Za-z_]+(?:\.[A-Za-z_]+)?)", section))
    assert set(names(module)) - shown == set()


def test_the_blocking_client_has_the_names_of_that_of_asyncio():
    assert set(names(sync)) == set(names(aio))


def test_no_name_of_the_reference_is_unknown():
    for section, module in ((LOOPS, aio), (TWISTED, client)):
        for row in re.findall(r"^\| (`.*?`) \|", section, re.MULTILINE):
            for name in re.findall(r"`([A-Za-z_.]+)", row):
                found = module
                for part in name.split("."):
                    known = hasattr(found, part) or part in _set_in_init(found)
                    assert known, name
                    found = getattr(found, part, None)


def _set_in_init(owner):
    source = inspect.getsource(owner.__init__) if inspect.isclass(owner) else ""
    return set(re.findall(r"self\.(\w+)", source))
