"""What the documents say of the settings is what the program does."""

import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from mtnet.catalogue import installed
from mtnet.settings import Config, Port, Source, TlsHost

PROJECT = Path(__file__).parent.parent
TOML = re.search(
    r"```toml\n(.*?)```", (PROJECT / "docs" / "running.md").read_text("utf-8"), re.DOTALL
)[1]
SHOWN = tomllib.loads(TOML)


@pytest.mark.parametrize("section", ["signals", "templates", "ticks", "web", "tls"])
def test_every_setting_is_shown_with_its_default(section):
    defaults = json.loads(msgspec.json.encode(getattr(Config(), section)))
    examples = {"signals": {"ports": {}, "sources": {}, "channels": {}}, "tls": {"hosts": {}}}.get(
        section, {}
    )
    assert {**SHOWN[section], **examples} == defaults


def test_the_proxies_are_shown_with_their_default():
    assert tuple(SHOWN["access"]["proxies"]) == Config().access.proxies


def test_every_section_is_shown():
    assert set(SHOWN) == set(Config.__struct_fields__)


def test_the_endpoints_that_are_shown_are_the_defaults():
    shown = {
        name: [each] if isinstance(each, str) else each for name, each in SHOWN["listen"].items()
    }
    assert shown == {name: each.defaults for name, each in installed().items()}


def test_the_reserve_is_shown_with_its_default():
    assert SHOWN["reserve"] == Config().reserve


def test_examples_are_shown_with_all_their_keys():
    assert {*SHOWN["tls"]["hosts"].popitem()[1]} == set(TlsHost.__struct_fields__)
    assert {*SHOWN["signals"]["ports"].popitem()[1]} == set(Port.__struct_fields__)
    assert {*SHOWN["signals"]["sources"].popitem()[1]} == set(Source.__struct_fields__)
