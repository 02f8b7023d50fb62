"""What the documents say of the settings is what the program does."""

import importlib.util
import json
import re
import shlex
import tomllib
from argparse import _SubParsersAction
from functools import cache
from pathlib import Path

import msgspec
import pytest
from fakes.rights import PERMISSIONS

from mtnet.access.accounts.model import check_name, parse_grant
from mtnet.access.anonymous import AnonymousAccess
from mtnet.cli.main import parser
from mtnet.config.renamed import is_named
from mtnet.config.schema import Config, TlsHost
from mtnet.daemon.configuration import load
from mtnet.daemon.registry import connection_limits, default_endpoints, installed
from mtnet.services.signals.settings import Port, Source

PROJECT = Path(__file__).parent.parent
ACCOUNTS = (PROJECT / "docs" / "accounts.md").read_text("utf-8")
EVERYWHERE = [*(PROJECT / "docs").glob("*.md"), PROJECT / "README.md"]
CONTRIBUTED = [each for each in (PROJECT / "contrib").rglob("*") if each.is_file()]
TOML = re.search(
    r"```toml\n(.*?)```", (PROJECT / "docs" / "running.md").read_text("utf-8"), re.DOTALL
)[1]
SHOWN = tomllib.loads(TOML)
LIMITED = Config().access.with_defaults(connection_limits())


@pytest.mark.parametrize(
    "section",
    [
        *("signals", "templates", "ticks", "web", "tls", "notify", "alerts"),
        *("topics", "indicators", "jobs", "sentiment"),
    ],
)
def test_every_setting_is_shown_with_its_default(section):
    defaults = json.loads(msgspec.json.encode(load().section(section)))
    examples = {
        "signals": {"ports": {}, "sources": {}, "channels": {}, "views": {}},
        "tls": {"hosts": {}},
    }.get(section, {})
    kind = type(load().section(section))
    own = {key: value for key, value in SHOWN[section].items() if not is_named(kind, key)}
    assert {**own, **examples} == {
        # None has no text in TOML: it is shown as a comment.
        key: value
        for key, value in defaults.items()
        if key != "tables" and value is not None
    }


def test_what_rules_access_is_shown_with_its_default():
    defaults = json.loads(msgspec.json.encode(Config().access))
    parts = {"networks", "connections", "bans"}
    # `anonymous` has no default that TOML could say: it is shown as a comment.
    assert {*SHOWN["access"]} == {*defaults} - {"anonymous"}
    assert {k: v for k, v in SHOWN["access"].items() if k not in parts} == {
        k: v for k, v in defaults.items() if k not in parts | {"anonymous"}
    }


def test_the_connections_of_each_service_are_shown_with_their_defaults():
    shown = SHOWN["access"]["connections"]
    limits = {name: msgspec.to_builtins(LIMITED.limits(name)) for name in shown}
    # None has no text in TOML: `known_network` is `network` then.
    assert shown == {
        name: {key: most for key, most in own.items() if most is not None}
        for name, own in limits.items()
    }
    assert set(connection_limits()) == set(shown)


def test_what_offences_cost_is_shown_with_its_default():
    assert SHOWN["access"]["bans"] == json.loads(msgspec.json.encode(Config().access.bans))


def test_every_section_is_shown():
    assert set(SHOWN) == set(type(load()).__struct_fields__)


def test_the_endpoints_that_are_shown_are_the_defaults():
    shown = {
        name: [each] if isinstance(each, str) else each for name, each in SHOWN["listen"].items()
    }
    assert shown == {
        name: default_endpoints(each) for name, each in installed().items() if each.listens
    }


def test_the_reserve_is_shown_with_its_default():
    assert SHOWN["reserve"] == Config().reserve


def test_examples_are_shown_with_all_their_keys():
    assert {*SHOWN["tls"]["hosts"].popitem()[1]} == set(TlsHost.__struct_fields__)
    assert {*SHOWN["signals"]["ports"].popitem()[1]} == set(Port.__struct_fields__)
    assert {*SHOWN["signals"]["sources"].popitem()[1]} == set(Source.__struct_fields__)


# Accounts


BLOCK = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINE = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*mtnet ([a-z].*)$", re.MULTILINE)
NAMED = re.compile(r"`mtnet ([a-z][^`]*)`")
DAEMON = ("run", "check")
"""Commands whose options are those of twistd."""
# extending.md shows commands and rights of a service that is not installed here; its own test
# runs it.
BUILT_IN = [page for page in EVERYWHERE if page.name != "extending.md"]
READ = cache(parser)


def _lines(page):
    """Return the command lines in the blocks of a page, without what is said of them."""
    blocks = BLOCK.findall(page.read_text("utf-8"))
    found = [line for block in blocks for line in LINE.findall(re.sub(r"\\\n\s*", " ", block))]
    lines = (shlex.split(re.split(r" {3,}| [#|>] ", line)[0]) for line in found)
    return [line for line in lines if line[0] not in DAEMON]


def _choices(command):
    """Return the commands below one, by name."""
    found = [each.choices for each in command._actions if isinstance(each, _SubParsersAction)]
    return found[0] if found else {}


@pytest.mark.parametrize("page", BUILT_IN, ids=lambda page: page.name)
def test_every_command_line_in_a_block_can_be_read(page):
    for line in _lines(page):
        READ().parse_args(line)


@pytest.mark.parametrize("page", [*BUILT_IN, *CONTRIBUTED], ids=lambda page: page.name)
def test_every_command_that_is_named_is_one_with_its_options(page):
    for line in NAMED.findall(BLOCK.sub("", page.read_text("utf-8"))):
        command, names = READ(), iter(line.split())
        while choices := _choices(command):
            word = next(names, "…")
            if not re.fullmatch(r"[a-z0-9|]+", word):
                break
            assert {*word.split("|")} <= choices.keys(), f"mtnet {line}"
            command = choices[word.split("|")[0]]
        if not line.startswith(DAEMON):
            options = {*re.findall(r"(?<!\S)\[?(--[a-z-]+)", line)}
            assert options <= command._option_string_actions.keys(), f"mtnet {line}"


def test_the_commands_are_found():
    lines = [line for page in BUILT_IN for line in _lines(page)]
    assert len(lines) > 80
    assert any("--days" in line for line in lines)


RIGHTS = sorted(
    set(re.findall(rf"\b(?:{'|'.join(PERMISSIONS.verbs)}):[a-z]+(?:/[\w*.-]*[\w*])?", ACCOUNTS))
)


@pytest.mark.parametrize("text", RIGHTS)
def test_every_right_that_is_quoted_is_one(text):
    assert [str(right) for right in PERMISSIONS.parse_right(text)] == [text]


@pytest.mark.parametrize("text", sorted(set(re.findall(r"certificate:\w+:[\w.-]+[\w]", ACCOUNTS))))
def test_every_certificate_that_is_quoted_can_be_granted(text):
    assert parse_grant(text, PERMISSIONS) == text


def test_the_roles_are_shown_with_their_rights():
    rows = dict(re.findall(r"^\| `(\w+)` \| ((?:`[a-z:]+`(?:, )?)+) \|$", ACCOUNTS, re.MULTILINE))
    shown = {role: tuple(re.findall(r"`([a-z:]+)`", rights)) for role, rights in rows.items()}
    assert {k: sorted(v) for k, v in shown.items() if k in PERMISSIONS.roles and k != "admin"} == {
        role: sorted(rights) for role, rights in PERMISSIONS.roles.items() if role != "admin"
    }


def test_the_verbs_are_shown_with_their_services():
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| [^|]+ \| an? \w+ \|$", ACCOUNTS, re.MULTILINE)
    assert sorted(rows) == sorted(
        (verb, each) for verb, all in PERMISSIONS.verbs.items() for each in all
    )


def test_the_limits_are_those_of_the_services():
    row = r"^\| `(total|network|known_network|unauthenticated)`: [^|]+ \| (.+) \|$"
    rows = re.findall(row, ACCOUNTS, re.MULTILINE)
    shown = {key: [int(n.replace(",", "")) for n in row.split(" | ")] for key, row in rows}
    services = [LIMITED.limits(s) for s in ("signals", "web", "templates", "ticks", "other")]
    assert shown == {
        key: [getattr(each, key) or each.network for each in services] for key in shown
    }
    assert set(shown) == {"total", "network", "known_network", "unauthenticated"}
    assert LIMITED.limits("any") == services[1]


@pytest.mark.parametrize("text", re.findall(r"```toml\n(.*?)```", ACCOUNTS, re.DOTALL))
def test_every_configuration_for_accounts_can_be_used(text, tmp_path):
    (tmp_path / "mtnet.toml").write_text(text, encoding="utf-8")
    access = load(tmp_path / "mtnet.toml", {}).access
    AnonymousAccess(PERMISSIONS, access.anonymous, access.networks, access.trust_loopback)


@pytest.mark.parametrize("text", re.findall(r"```python\n(.*?)```", ACCOUNTS, re.DOTALL))
def test_every_program_for_accounts_can_be_compiled(text):
    compile(text, "docs/accounts.md", "exec")


def test_the_names_of_accounts_are_such():
    for name in re.findall(r"--login (\S+)", ACCOUNTS):
        assert check_name(name) == name


@pytest.mark.parametrize("page", EVERYWHERE, ids=lambda page: page.name)
def test_every_link_within_the_documents_leads_somewhere(page):
    for target, anchor in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", page.read_text("utf-8")):
        found = (page.parent / target) if target else page
        assert found.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", found.read_text("utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}
            assert anchor in slugs, anchor


def test_the_picture_of_the_fan_out_shows_the_results_as_they_are():
    spec = importlib.util.spec_from_file_location("picture", PROJECT / "docs/fanout_picture.py")
    picture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(picture)
    assert {"floor", "nats", "mtnet"} <= set(picture.read("One signal at a time"))
    assert picture.digest() in picture.PICTURE.read_text("utf-8"), picture.__doc__
