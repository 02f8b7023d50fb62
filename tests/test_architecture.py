"""The rules of the house, read from the imports."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent / "mtnet"
FILES = sorted(HOUSE.rglob("*.py"))
PURE = {
    "config.py",
    "access/accounts.py",
    "access/ban_records.py",
    "access/bans.py",
    "access/by_hand.py",
    "access/limits.py",
    "access/logins.py",
    "access/passwords.py",
    "access/penalties.py",
    "access/records.py",
    "redact.py",
    "settings.py",
    "access/rights.py",
    "access/rules.py",
    "database.py",
    "demo/market.py",
    "demo/trader.py",
    "errors.py",
    "net/certificates.py",
    "net/choice.py",
    "net/proxy_header.py",
    "signals/answers.py",
    "signals/audit.py",
    "signals/book.py",
    "signals/chain.py",
    "signals/classic_queue.py",
    "signals/dialect.py",
    "signals/entries.py",
    "signals/fields.py",
    "signals/heads.py",
    "signals/journal.py",
    "signals/ledger.py",
    "signals/opening.py",
    "signals/policy.py",
    "signals/publishers.py",
    "signals/records.py",
    "signals/transitions.py",
    "signals/requests.py",
    "signals/tables.py",
    "signals/upkeep.py",
    "signals/wire.py",
    "templates/content.py",
    "templates/wire.py",
    "ticks/archive.py",
    "ticks/commits.py",
    "ticks/feed.py",
    "ticks/importer.py",
    "ticks/mt5.py",
    "ticks/series.py",
    "ticks/sources.py",
    "ticks/store.py",
    "ticks/tables.py",
    "ticks/tally.py",
    "ticks/wire.py",
    "values.py",
}
FLOORS = {
    "mtnet.clock": 0,
    "mtnet.errors": 0,
    "mtnet.recurring": 0,
    "mtnet.redact": 0,
    "mtnet.settings": 0,
    "mtnet.values": 0,
    "mtnet.config": 1,
    "mtnet.access": 1,
    "mtnet.imtnet": 1,
    "mtnet.hub": 2,
    "mtnet.net": 2,
    "mtnet.signals": 3,
    "mtnet.templates": 3,
    "mtnet.ticks": 3,
    "mtnet.web": 4,
    "mtnet.plugins": 5,
    "mtnet.client": 5,
    "mtnet.control": 5,
    "mtnet.stale": 5,
    "mtnet.catalogue": 6,
    "mtnet.database": 1,
    "mtnet.datafolder": 1,
    "mtnet.garbage": 1,
    "mtnet.hangup": 0,
    "mtnet.logfile": 0,
    "mtnet.options": 6,
    "mtnet.bound": 6,
    "mtnet.preflight": 6,
    "mtnet.watch": 6,
    "mtnet.service": 7,
    "mtnet.tap": 8,
    "mtnet.testing": 7,
    "mtnet.demo": 8,
    "mtnet.cli": 8,
    "mtnet.__main__": 9,
}
"""A module imports from its own floor and those below."""


HUB = HOUSE / "hub.py"
"""It hands the services out, and names their types."""


def module(file):
    return "mtnet." + name(file).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def name(file):
    return str(file.relative_to(HOUSE))


def imports(file):
    """Name what a file imports, also for annotations alone."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(module):
    parts = module.split(".")
    return FLOORS.get(".".join(parts[:2]))


@pytest.mark.parametrize("file", FILES, ids=name)
def test_arrows_point_down(file):
    own = floor(module(file))
    if own is None:
        assert file == HOUSE / "__init__.py"
        return
    if file == HUB:
        return
    for each in imports(file):
        if each.startswith("mtnet.") and floor(each) is not None:
            assert floor(each) <= own, f"{name(file)} imports {each}, which lies above it"


def test_nothing_imports_itself_by_way_of_others():
    known = {module(file): file for file in FILES}
    arrows = {own: set() for own in known}
    for own, file in known.items():
        for each in imports(file):
            arrows[own] |= {each, each.rpartition(".")[0]} & known.keys() - {own}
    TopologicalSorter(arrows).prepare()


@pytest.mark.parametrize("file", sorted(PURE))
def test_what_is_pure_knows_neither_twisted_nor_the_clock(file):
    for module in imports(HOUSE / file):
        assert module.split(".")[0] not in ("twisted", "time", "socket", "threading"), module


@pytest.mark.parametrize("file", FILES, ids=name)
def test_nobody_imports_the_reactor_but_the_service_and_the_command_line(file):
    if file.parent.name != "cli" and file.name != "service.py":
        assert "twisted.internet.reactor" not in set(imports(file))
        assert "time.time" not in file.read_text("utf-8")


@pytest.mark.parametrize("file", FILES, ids=name)
def test_nothing_is_global_and_no_log_line_is_an_f_string(file):
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        assert not isinstance(node, ast.Global)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("self.log."):
            assert not any(isinstance(each, ast.JoinedStr) for each in node.args)


def test_twisted_has_no_init_of_ours():
    assert not list((HOUSE.parent / "twisted").rglob("__init__.py"))


def test_no_exception_ends_a_timer_of_the_daemon():
    """`LoopingCall` and `TimerService` end at the first one; what they call must be `Recurring`."""
    bare = []
    for path in FILES:
        if path.is_relative_to(HOUSE / "demo"):
            continue  # whose loops end the demo, with the reason
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                work = {"LoopingCall": 0, "TimerService": 1}.get(node.func.id)
                if work is not None and not ast.unparse(node.args[work]).startswith("Recurring("):
                    bare.append(f"{path.relative_to(HOUSE)}:{node.lineno}")
    assert bare == []
