"""The rules of the architecture, read from the source."""

import ast
import re
from graphlib import TopologicalSorter
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from statistics import median

import pytest
from zope.interface.interface import InterfaceClass

from mtnet import interfaces

PACKAGE = Path(__file__).parent.parent / "mtnet"
FILES = sorted(PACKAGE.rglob("*.py"))
PURE = {
    "backoff.py",
    "conditions.py",
    *(str(file.relative_to(PACKAGE)) for file in (PACKAGE / "client/core").rglob("*.py")),
    "config/loader.py",
    "access/accounts/model.py",
    "access/bans/store.py",
    "access/bans/policy.py",
    "access/bans/manual.py",
    "access/throttle.py",
    "access/accounts/identity.py",
    "access/accounts/login_history.py",
    "access/accounts/passwords.py",
    "access/bans/penalties.py",
    "access/accounts/store.py",
    "redact.py",
    "config/schema.py",
    "access/rights.py",
    "access/anonymous.py",
    "storage/files.py",
    "storage/sqlite.py",
    "demo/account.py",
    "demo/market.py",
    "demo/trader.py",
    "errors.py",
    "json_input.py",
    "net/tls/certificates.py",
    "net/first_bytes.py",
    "net/proxy/header.py",
    "services/alerts/incidents.py",
    "services/alerts/store.py",
    "services/jobs/book.py",
    "services/jobs/changes.py",
    "services/jobs/deadlines.py",
    "services/jobs/store.py",
    "services/jobs/wire.py",
    "services/indicators/store.py",
    "services/indicators/wire.py",
    "services/notify/queue.py",
    "services/notify/rate_limit.py",
    "services/notify/store.py",
    "services/notify/wire.py",
    "services/sentiment/classic/queue.py",
    "services/sentiment/disclosure.py",
    "services/sentiment/history.py",
    "services/sentiment/votes.py",
    "services/sentiment/wire.py",
    "services/signals/journal/verify.py",
    "services/signals/book.py",
    "services/signals/journal/hash_chain.py",
    "services/signals/classic/queue.py",
    "services/signals/model.py",
    "services/signals/journal/checkpoints.py",
    "services/signals/journal/journal.py",
    "services/signals/journal/transaction.py",
    "services/signals/journal/whole_state.py",
    "services/signals/ownership/policy.py",
    "services/signals/ownership/ownership.py",
    "services/signals/ownership/presence.py",
    "services/signals/ownership/publishers.py",
    "services/signals/ownership/policy_store.py",
    "services/signals/ownership/transitions.py",
    "services/signals/status/acknowledgements.py",
    "services/signals/status/copies.py",
    "services/signals/status/engine.py",
    "services/signals/status/facts.py",
    "services/signals/status/fills.py",
    "services/signals/status/followers.py",
    "services/signals/status/judgements.py",
    "services/signals/status/latency.py",
    "services/signals/status/warnings.py",
    "services/signals/values.py",
    "services/signals/wire/answers.py",
    "services/signals/wire/requests.py",
    "services/signals/journal/schema.py",
    "services/signals/record/rows.py",
    "services/signals/record/stream.py",
    "services/signals/record/summary.py",
    "services/signals/record/trades.py",
    "services/signals/reports/equity.py",
    "services/signals/reports/history.py",
    "services/signals/reports/registry.py",
    "services/signals/reports/wire.py",
    "services/signals/views/changes.py",
    "services/signals/views/derivation.py",
    "services/signals/views/explain.py",
    "services/signals/views/ledger.py",
    "services/signals/views/losses.py",
    "services/signals/views/settings.py",
    "services/signals/views/store.py",
    "services/signals/views/terms.py",
    "services/signals/views/transform.py",
    "services/signals/journal/maintenance.py",
    "services/status/event.py",
    "services/status/event_store.py",
    "services/status/rows.py",
    "services/status/sections.py",
    "services/status/wire.py",
    "services/templates/content.py",
    "services/templates/wire.py",
    "services/topics/book.py",
    "services/topics/store.py",
    "services/topics/wire.py",
    "services/web/logins/cookie.py",
    "services/web/logins/registry.py",
    "services/web/logins/store.py",
    "net/http/errors.py",
    "net/http/input.py",
    "net/http/openapi.py",
    "services/ticks/storage/reader.py",
    "services/ticks/storage/commits.py",
    "services/ticks/bars/files.py",
    "services/ticks/bars/history.py",
    "services/ticks/bars/periods.py",
    "services/ticks/bars/series.py",
    "services/ticks/fanout/chunks.py",
    "services/ticks/fanout/feed.py",
    "services/ticks/fanout/groups.py",
    "services/ticks/cold/archiver.py",
    "services/ticks/cold/catalog.py",
    "services/ticks/cold/layout.py",
    "services/ticks/cold/parquet.py",
    "services/ticks/cold/reading.py",
    "services/ticks/cold/removal.py",
    "services/ticks/export/bar_frames.py",
    "services/ticks/export/bars.py",
    "services/ticks/export/utc.py",
    "services/ticks/clocks/measured.py",
    "services/ticks/clocks/monitor.py",
    "services/ticks/clocks/rules.py",
    "services/ticks/export/formats.py",
    "services/ticks/export/frames.py",
    "services/ticks/export/moments.py",
    "services/ticks/export/parquet_reader.py",
    "services/ticks/export/reading.py",
    "services/ticks/export/stream.py",
    "services/ticks/export/table.py",
    "services/ticks/files/importer.py",
    "services/ticks/health/calendar.py",
    "services/ticks/health/quality.py",
    "services/ticks/files/mt5.py",
    "services/ticks/storage/blocks.py",
    "services/ticks/storage/joiner.py",
    "services/ticks/storage/log_columns.py",
    "services/ticks/storage/log_records.py",
    "services/ticks/storage/merge.py",
    "services/ticks/storage/overlay.py",
    "services/ticks/storage/rows.py",
    "services/ticks/model.py",
    "services/ticks/sources.py",
    "services/ticks/storage/store.py",
    "services/ticks/storage/schema.py",
    "services/ticks/storage/snapshot.py",
    "services/ticks/verbs/wire.py",
    "services/ticks/wire.py",
    "session/classic.py",
    "session/fields.py",
    "session/grammar.py",
    "session/json.py",
    "session/messages.py",
    "values.py",
}
FLOORS = {
    "mtnet.backoff": 0,
    "mtnet.metrics": 0,
    "mtnet.callbacks": 0,
    "mtnet.coroutines": 0,
    "mtnet.clock": 0,
    "mtnet.conditions": 0,
    "mtnet.durations": 0,
    "mtnet.errors": 0,
    "mtnet.json_input": 0,
    "mtnet.late_logger": 0,
    "mtnet.recurring": 0,
    "mtnet.redact": 0,
    "mtnet.config.schema": 0,
    "mtnet.values": 0,
    "mtnet.config.loader": 1,
    "mtnet.access": 1,
    "mtnet.interfaces": 1,
    "mtnet.daemon.component": 2,
    "mtnet.daemon.environment": 2,
    "mtnet.net": 2,
    "mtnet.config": 1,
    "mtnet.session": 3,
    "mtnet.services": 4,
    "mtnet.services.alerts": 4,
    "mtnet.services.jobs": 4,
    "mtnet.services.indicators": 4,
    "mtnet.services.notify": 4,
    "mtnet.services.sentiment": 4,
    "mtnet.services.signals": 4,
    "mtnet.services.status": 4,
    "mtnet.services.templates": 4,
    "mtnet.services.ticks": 4,
    "mtnet.services.topics": 4,
    "mtnet.services.web": 4,
    "mtnet.plugins": 5,
    "mtnet.ticks": 5,
    "mtnet.client": 5,
    "mtnet.daemon.control": 5,
    "mtnet.daemon.process.stale_locks": 5,
    "mtnet.daemon.registry": 6,
    "mtnet.storage": 1,
    "mtnet.daemon.datadir": 1,
    "mtnet.daemon.editable": 0,
    "mtnet.daemon.gc_policy": 1,
    "mtnet.daemon.process.hangup": 0,
    "mtnet.daemon.process.reload": 0,
    "mtnet.daemon.process.systemd": 0,
    "mtnet.daemon.options": 6,
    "mtnet.daemon.access": 6,
    "mtnet.daemon.components": 6,
    "mtnet.daemon.conditions": 6,
    "mtnet.daemon.listeners": 6,
    "mtnet.daemon.backup": 6,
    "mtnet.daemon.process.machine": 6,
    "mtnet.daemon.configuration": 6,
    "mtnet.daemon.control.unix_socket": 6,
    "mtnet.daemon.metrics": 6,
    "mtnet.daemon.ports": 6,
    "mtnet.daemon.status": 6,
    "mtnet.daemon.preflight": 6,
    "mtnet.daemon.process.watchdog": 6,
    "mtnet.service": 7,
    "mtnet.daemon.tap": 8,
    "mtnet.testing": 7,
    "mtnet.demo": 8,
    "mtnet.cli": 8,
    "mtnet.__main__": 9,
}
"""A module imports from its own floor and those below."""


def module(file):
    return "mtnet." + name(file).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def name(file):
    return str(file.relative_to(PACKAGE))


def imports(file):
    """Name what a file imports, also for annotations alone."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(module):
    parts = module.split(".")
    prefixes = (".".join(parts[:count]) for count in range(len(parts), 1, -1))
    return next((FLOORS[prefix] for prefix in prefixes if prefix in FLOORS), None)


@pytest.mark.parametrize("file", FILES, ids=name)
def test_arrows_point_down(file):
    own = floor(module(file))
    if own is None:
        assert file in (
            PACKAGE / "__init__.py",
            PACKAGE / "daemon/__init__.py",
            PACKAGE / "daemon/process/__init__.py",
        )
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
    for module in imports(PACKAGE / file):
        assert module.split(".")[0] not in ("twisted", "time", "socket", "threading"), module


@pytest.mark.parametrize("file", FILES, ids=name)
def test_nobody_imports_the_reactor_but_the_service_and_the_command_line(file):
    if "cli" not in file.relative_to(PACKAGE).parts and file.name not in ("service.py", "clock.py"):
        assert "twisted.internet.reactor" not in set(imports(file))
        assert "time.time" not in file.read_text("utf-8")


@pytest.mark.parametrize("file", FILES, ids=name)
def test_nothing_is_global_and_no_log_line_is_an_f_string(file):
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        assert not isinstance(node, ast.Global)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("self.log."):
            assert not any(isinstance(each, ast.JoinedStr) for each in node.args)


def test_twisted_has_no_init_of_ours():
    assert not list((PACKAGE.parent / "twisted").rglob("__init__.py"))


def test_no_exception_ends_a_timer_of_the_daemon():
    """`LoopingCall` and `TimerService` end at the first one; `RecurringCall` does not."""
    bare = []
    for path in FILES:
        if path.is_relative_to(PACKAGE / "demo"):
            continue  # whose loops end the demo, with the reason
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Name) and node.id in ("LoopingCall", "TimerService"):
                bare.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert bare == []


# Services


SERVICES = sorted(path.name for path in (PACKAGE / "services").iterdir() if path.is_dir())
SERVICES = [name for name in SERVICES if not name.startswith("_")]
COMPONENT_WORDS = {
    word
    for each in vars(interfaces).values()
    if isinstance(each, InterfaceClass)
    for word in each.names()
}
"""What every component can have, such as a status: a service of that name is seen by imports."""
CLIENTS = ("client", "demo", "cli/demo", "cli/doctor")
"""What speaks to the daemon from outside, and may know whom it speaks to."""
KEYS = {"session/fields.py": {"ticks"}}
"""Keys of messages that are called as a service: BAR counts its `ticks`."""


def owner(file):
    """Return the service that a file belongs to; None = it belongs to none."""
    parts = file.relative_to(PACKAGE).parts
    if parts[0] == "services":
        return parts[1]
    if parts[0].removesuffix(".py") in SERVICES:  # what a service offers to programs
        return parts[0].removesuffix(".py")
    stem = parts[1].removesuffix(".py") if len(parts) > 1 else ""
    own = [each for each in SERVICES if stem == each or stem.startswith(f"{each}_")]
    return own[0] if parts[0] in ("plugins", "cli") and own else None


def words(tree):
    """Yield the identifiers and the one-word texts of a file, without its docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.arg | ast.keyword):
            yield node.lineno, node.arg or ""
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


@pytest.mark.parametrize("file", FILES, ids=name)
def test_no_service_is_named_outside_its_folder_and_its_plugin(file):
    if name(file).startswith(CLIENTS):
        return
    tree, own = ast.parse(file.read_text("utf-8")), owner(file)
    others = {each for each in SERVICES if each != own}
    imported = {each.split(".")[2] for each in imports(file) if each.startswith("mtnet.services.")}
    assert not imported & others
    if own is None:
        words_of_others = others - COMPONENT_WORDS - KEYS.get(name(file), set())
        named = [f"{line}: {word}" for line, word in words(tree) if word in words_of_others]
        assert named == []


# Names


RETIRED = re.compile(
    r"desk|office|clerk|warden|keeper|referee|door|entrance|gate|visitor|guest|brake|pedal|lane"
    r"|spoke|crowd|shout|told|straight|detour|house|pupil|hub|sleeper|outbox|barrier"
)
"""Metaphors that an engineer does not search for; `docs/glossary.md` has the terms."""


def identifiers(file):
    yield file.stem
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        for key in ("id", "attr", "arg", "name"):
            word = getattr(node, key, None)
            if isinstance(word, str):
                yield word


def pieces(identifier):
    """Split an identifier into its lower-case words."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", identifier).lower().strip("_").split("_")


@pytest.mark.parametrize("file", FILES, ids=name)
def test_no_name_is_a_retired_metaphor(file):
    found = {each for each in identifiers(file) for word in pieces(each) if RETIRED.fullmatch(word)}
    assert found == set()


# Sizes


def folders():
    return sorted({file.parent for file in FILES})


@pytest.mark.parametrize("folder", folders(), ids=lambda each: each.name)
def test_a_folder_can_be_overlooked(folder):
    files = [file.name for file in folder.glob("*.py") if file.name != "__init__.py"]
    assert len(files) <= MOST_FILES, files


MOST_FILES = 18
"""Files of a folder: about fifteen."""


def load_bench(name):
    spec = spec_from_file_location(name, PACKAGE.parent / "bench" / f"{name}.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


shape, walks = load_bench("shape"), load_bench("walks")
SOURCE = shape.Source(PACKAGE)
MAY_KNOW_PRIVATE_NAMES = ("net/output/direct.py", "net/tls/context.py")


def test_half_of_the_functions_have_six_lines_at_most():
    assert median(shape.body_lines(node) for _, node in SOURCE.functions()) <= 6


def test_no_class_has_more_than_fifteen_instance_attributes():
    found = {each.name: len(shape.attributes(each.node)) for each in SOURCE.classes}
    assert {name: count for name, count in found.items() if count > 15} == {}


@pytest.mark.parametrize(("active", "share"), [(False, 0.03), (True, 0.01)])
def test_few_classes_know_more_than_seven_others(active, share):
    """All classes count, and then those without records, exceptions and interfaces."""
    many = {
        each.name: count
        for each in SOURCE.classes
        if (count := len(SOURCE.collaborators(each, active))) > 7
    }
    assert len(many) <= share * len(SOURCE.classes), many


@pytest.mark.parametrize("name", walks.WALKS)
def test_a_request_takes_few_calls_in_few_files(name, tmp_path):
    walk = walks.WALKS[name](tmp_path / "data")
    most_calls, most_files = walks.LIMITS[name]
    assert walk.calls.total() <= most_calls, walk.calls.most_common()
    assert len(walk.files) <= most_files, walk.files.most_common()


def test_no_parameter_list_is_long():
    long = [
        f"{file}: {node.name}"
        for file, node in SOURCE.functions()
        if shape.parameters(file, node) > 8
    ]
    assert long == []


def test_private_names_of_others_are_used_in_two_files():
    found = {
        f"{file}:{line} {name}"
        for file, tree in SOURCE.files.items()
        for line, name in shape.private_names(tree)
        if str(file.relative_to("mtnet")) not in MAY_KNOW_PRIVATE_NAMES
    }
    assert found == set()


@pytest.mark.parametrize(
    "source",
    [
        "port._logger.info('x')",
        "getattr(port, '_logger', None)",
        "setattr(port, '_logger', 1)",
        "NAME = '_logger'\ngetattr(port, NAME)",
        "from twisted.internet.tcp import _reservedFD",
    ],
)
def test_private_names_are_found_in_text_too(source):
    assert list(shape.private_names(ast.parse(source)))
