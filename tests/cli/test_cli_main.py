"""`mtnet`: how commands are found, and with which exit status they end."""

import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest

from mtnet.cli import declared
from mtnet.cli import main as module
from mtnet.cli.main import COMMANDS, parser
from mtnet.cli.parsers import sentence
from mtnet.daemon import registry
from mtnet.errors import ClientError, MtnetError, StartError


@pytest.fixture
def command(monkeypatch):
    """Install a plugin with the command `mtnet weather`: `command(run)` sets what it does."""

    def install(run, name="weather", options=("--city",)):
        outside = ModuleType("outside_package_command")

        def configure(parser):
            for option in options:
                parser.add_argument(option)
            parser.set_defaults(run=run)

        outside.configure = configure
        monkeypatch.setitem(sys.modules, outside.__name__, outside)
        plugin = SimpleNamespace(name=name, description="rain and sun", command=outside.__name__)
        monkeypatch.setattr(registry, "installed", lambda: {name: plugin})

    return install


def loaded(*words, package="mtnet."):
    """Return the modules of a package that a process has imported behind `mtnet WORDS`."""
    program = (
        "import sys\nfrom mtnet.cli.main import main\n"
        f"try: main({list(words)!r})\nexcept SystemExit: pass\n"
        f"print(*(name for name in sys.modules if name.startswith({package!r})), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return set(found.stderr.split())


def services(names):
    """Leave the modules of services but those of their settings, which each configuration needs."""
    settings = {name for name in names if name.endswith(".settings")}
    packages = {name.rpartition(".")[0] for name in settings}
    inner = {name for name in names if name.startswith("mtnet.services.") and name.count(".") > 2}
    return inner - settings - packages


# How commands are found


def test_a_plugin_of_another_package_has_a_command(command_line, command):
    asked = []
    command(lambda arguments: asked.append(arguments.city))
    assert command_line("weather", "--city", "London") == (0, "", "")
    assert asked == ["London"]


def test_the_help_lists_it_with_its_description(command_line, command, monkeypatch):
    command(lambda arguments: None)
    monkeypatch.setattr(declared, "outside_plugins", lambda: ["weather.py"])
    status, out, _ = command_line("--help")
    assert status == 0
    assert "weather" in out
    assert "rain and sun" in out


def test_its_own_help_begins_with_its_description(command_line, command):
    command(lambda arguments: None)
    assert "Rain and sun." in command_line("weather", "--help").out


def test_an_error_of_it_is_one_sentence_and_exit_1(command_line, command):
    def run(arguments):
        raise ClientError("It rains.")

    command(run)
    assert command_line("weather") == (1, "", "mtnet: It rains.\n")


def test_a_wrong_option_of_it_is_one_sentence_and_exit_2(command_line, command):
    command(lambda arguments: None)
    status, out, error = command_line("weather", "--sky", "blue")
    assert (status, out) == (2, "")
    assert error.startswith("mtnet: unrecognized arguments: --sky blue")


def test_no_plugin_replaces_a_command_of_mtnet(command_line, command):
    asked = []
    command(lambda arguments: asked.append("mine"), name="status")
    status, _, error = command_line("status", "--data", command_line.folder)
    assert (status, asked) == (1, [])
    assert "No daemon answers" in error


def test_a_plugin_without_a_command_has_none(command_line, monkeypatch):
    plugin = SimpleNamespace(name="quiet", description="says nothing", command=None)
    monkeypatch.setattr(registry, "installed", lambda: {"quiet": plugin})
    status, _, error = command_line("quiet")
    assert status == 2
    assert "invalid choice: 'quiet'" in error


def test_two_plugins_of_one_name_are_told_in_one_sentence(command_line, monkeypatch):
    def installed():
        raise StartError("Two plugins are named weather: a.py and b.py.")

    monkeypatch.setattr(registry, "installed", installed)
    status, out, error = command_line("weather")
    assert (status, out) == (1, "")
    assert error == "mtnet: Two plugins are named weather: a.py and b.py.\n"


def test_the_services_of_mtnet_have_their_commands():
    assert {"signals", "templates", "ticks"} <= set(declared.service_commands())
    assert not set(declared.service_commands()) & set(COMMANDS)


# What is imported


def test_help_imports_no_service_and_no_client():
    names = loaded("--help")
    assert "mtnet.daemon.editable" in names
    assert "mtnet.plugins" not in names
    assert not services(names)
    assert not {name for name in names if name.startswith("mtnet.client")}


@pytest.mark.parametrize("words", [("status", "--help"), ("bans", "--help"), ("account", "--help")])
def test_a_command_of_no_service_imports_none(words):
    assert not services(loaded(*words))


def test_a_service_imports_its_own_command_alone():
    names = loaded("templates", "--help")
    assert "mtnet.cli.templates" in names
    assert not {"mtnet.cli.signals", "mtnet.cli.ticks", "mtnet.cli.demo", "mtnet.client"} & names


def test_rights_and_roles_are_read_as_the_registry_has_them():
    assert not any(declared.outside_plugins())
    assert vars(declared.permissions()) == vars(registry.permissions())


def test_plugins_are_not_imported_to_learn_their_commands_which_are_those_of_the_registry():
    expected = {
        name: (plugin.description, plugin.command)
        for name, plugin in registry.installed().items()
        if plugin.command is not None
    }
    assert not any(declared.outside_plugins())
    assert declared.service_commands() == expected
    for name in expected:
        assert declared.service_commands(name) == {name: expected[name]}


@pytest.mark.parametrize("words", [("--help",), ("rain", "--help")])
def test_a_plugin_of_another_package_is_found(words, tmp_path, monkeypatch):
    folder = tmp_path / "mtnet" / "plugins"
    folder.mkdir(parents=True)
    (folder / "weather.py").write_text(PLUGIN, "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = subprocess.run(
        [sys.executable, "-m", "mtnet", *words], capture_output=True, text=True, check=True
    )
    assert ("tells of rain" if words == ("--help",) else "Tells of rain.") in found.stdout


PLUGIN = """
from twisted.plugin import IPlugin
from zope.interface import implementer
from mtnet.interfaces import IServicePlugin

@implementer(IPlugin, IServicePlugin)
class Rain:
    name, description, command = "rain", "tells of rain", "mtnet.cli.status"
    settings, permissions, roles, connections = None, (), {}, {}
    shared, listens = False, {"stream": "tcp:0"}

rain = Rain()
"""


HEAVY = {"twisted", "OpenSSL", "cryptography", "argon2", "asyncio", "prometheus_client", "tqdm"}
"""Packages of which each takes longer to import than all that most commands do."""
SOMEWHAT = {"ssl", "http.client", "email.message", "importlib.metadata", "mtnet.plugins"}
"""Modules of the same kind."""
LOCAL = [
    "status",
    "events",
    "account list",
    "account show alice",
    "account add alice --no-password --role follower",
    "account token alice --days 30",
    "bans list",
    "bans add 192.0.2.7",
    "context list",
    "context add fx --server secure:fx.example:8081 --login alice",
    "context use --none",
    "views list",
    "views add half --source main",
    "alerts list",
    "notify test ops",
    "sinks list",
    "jobs list",
    "topics list",
    "sentiment list",
    "indicators list",
    "signals status",
    "signals channels",
    "signals notice Hello",
    "signals verify",
    "signals export",
    "signals backup x.backup",
    "ticks symbols",
    "ticks report",
    "ticks export EURUSD",
    "ticks bars EURUSD",
    "backup x",
    "mql5 export x.zip",
]
"""Commands on this machine, without a daemon; most end with a sentence for that."""
TALKING = [
    "signals publish X 1",
    "signals follow",
    "signals follow --classic",
    "templates list",
    "templates get EURUSD H1",
    "templates put EURUSD_H1.tpl EURUSD H1",
    "ticks tail",
    "topics send desk Hello",
    "topics join desk",
    "sentiment watch",
    "indicators tail RSI14 EURUSD H1",
    "indicators export RSI14 EURUSD H1",
]
"""Commands that talk to a server over a socket."""
EXAMINED = {"cert show", "cert init", "cert check"}
"""Commands that look at certificates, for which there is one package."""


def heavy(names):
    roots = {name.partition(".")[0] for name in names}
    return sorted(roots & HEAVY | names & SOMEWHAT)


@pytest.mark.parametrize("name", [*COMMANDS, *declared.service_commands()])
def test_no_help_imports_what_a_command_needs_when_it_runs(name):
    if name in module.TWISTD:
        return  # twistd's own
    names = loaded(name, "--help", package="")
    assert "mtnet.cli.parsers" in names
    assert heavy(names) == []


@pytest.mark.parametrize("command", LOCAL)
def test_a_local_command_imports_neither_twisted_nor_what_is_for_tls(
    command, tmp_path, monkeypatch
):
    monkeypatch.setenv("MTNET_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    names = loaded(*command.split(), package="")
    assert "mtnet.cli.parsers" in names
    assert heavy(names) == []


@pytest.mark.parametrize("command", sorted(EXAMINED))
def test_a_command_on_certificates_imports_no_twisted(command, tmp_path, monkeypatch):
    monkeypatch.setenv("MTNET_DATA", str(tmp_path))
    names = loaded(*command.split(), package="")
    assert "cryptography" in names
    assert "twisted" not in names


@pytest.mark.parametrize("command", TALKING)
def test_a_command_that_talks_to_a_server_imports_neither_a_reactor_nor_the_daemon(
    command, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "EURUSD_H1.tpl").write_text("<chart>\n</chart>\n")
    monkeypatch.chdir(tmp_path)
    names = loaded(*command.split(), "--server", "tcp:127.0.0.1:1", package="")
    assert "mtnet.client.blocking.runner" in names
    assert heavy(names) == []


# How commands end


@pytest.mark.parametrize("name", [*COMMANDS, "signals", "templates", "ticks"])
def test_every_command_has_a_line_of_help_and_a_sentence(name):
    group = parser()._subparsers._group_actions[0]
    summary = next(each.help for each in group._choices_actions if each.dest == name)
    assert summary[0].islower()
    assert not summary.endswith(".")
    assert group.choices[name].description.endswith(".")


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (ClientError("No."), 1, "mtnet: No.\n"),
        (MtnetError("No."), 1, "mtnet: No.\n"),
        (PermissionError(13, "Permission denied"), 1, "mtnet: [Errno 13] Permission denied.\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 0, ""),
        (SystemExit(3), 3, ""),
    ],
)
def test_what_ends_a_command_is_an_exit_status_and_a_sentence(
    command_line, command, monkeypatch, error, status, text
):
    def run(arguments):
        raise error

    command(run)
    monkeypatch.setattr(module, "_drop_output", lambda: None)
    assert command_line("weather") == (status, "", text)


def test_an_error_of_the_program_itself_is_no_sentence(command_line, command):
    def run(arguments):
        raise ZeroDivisionError

    command(run)
    with pytest.raises(ZeroDivisionError):
        command_line("weather")


@pytest.mark.parametrize("words", [(), ("nonsense",), ("--nonsense",), ("account",), ("bans", "x")])
def test_a_wrong_command_line_names_where_help_is(command_line, words):
    status, out, error = command_line(*words)
    assert (status, out) == (2, "")
    assert error.startswith("mtnet: ")
    assert error.endswith("--help`.\n")


@pytest.mark.parametrize(
    ("words", "program"),
    [
        (("--nonsense", "ticks", "tail"), "mtnet"),
        (("ticks", "tail", "--nonsense"), "mtnet ticks tail"),
        (("views", "add", "half", "--source", "main", "--nonsense", "1"), "mtnet views add"),
    ],
)
def test_an_unknown_option_names_the_help_of_its_command(command_line, words, program):
    status, out, error = command_line(*words)
    assert (status, out) == (2, "")
    assert "--nonsense" in error
    assert error.endswith(f"; see `{program} --help`.\n")


def test_a_sentence_begins_with_a_capital_letter():
    assert sentence("list the bans of LAN1") == "List the bans of LAN1."


@pytest.mark.parametrize("name", ["run", "check"])
def test_the_arguments_of_twistd_are_handed_over_as_they_are(monkeypatch, name):
    from mtnet.cli import run

    asked = []
    monkeypatch.setattr(run, "run_application", lambda app, options: asked.append(sys.argv))
    monkeypatch.setattr(sys, "argv", [])
    module.main([name, "--listen", "signals=off"])
    (words,) = asked
    assert words[:2] == ["mtnet", "--nodaemon"]
    assert words[-2:] == ["--listen", "signals=off"]
    assert ("--check" in words) == (name == "check")
    assert words[words.index("run") :][0] == "run"
