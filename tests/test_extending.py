"""The two plugins that `docs/extending.md` shows, installed from outside and spoken to."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import venv
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from mtnet.net.endpoints import Listener
from mtnet.net.pipeline import Pipeline
from mtnet.testing import connect, make_environment

GUIDE = Path(__file__).parent.parent / "docs" / "extending.md"
FILES = dict(
    re.findall(r"^`([\w./]+)`:\n\n```\w+\n(.*?)^```", GUIDE.read_text("utf-8"), re.M | re.S)
)
PLUGIN = "mtnet/plugins/chat.py"
NOTES = "mtnet/plugins/notes.py", "my_notes/service.py", "my_notes/command.py"
NOTE = b'{"text": "NFP at 14:30"}'
SECONDS = 120.0
HERE = Path(__file__).parent.parent


def lines(*names):
    return [line for name in names for line in FILES[name].splitlines() if line.strip()]


def test_the_plugins_are_short():
    assert len(lines(PLUGIN)) <= 40
    assert len(lines(*NOTES)) <= 150


def write(folder, *names):
    """Write files of the guide."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(FILES[name], encoding="utf-8")


class Program:
    """A Python that has packages of its own; it runs mtnet in a data folder."""

    def __init__(self, python, data, **environ):
        self.python, self.data = str(python), str(data)
        kept = {name: each for name, each in os.environ.items() if name != "PYTHONPATH"}
        self.environ = {**kept, **environ}

    def run(self, *arguments, status=0, typed=""):
        found = subprocess.run(
            [self.python, *arguments],
            input=typed,
            env=self.environ,
            cwd=Path(self.data).parent,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert found.returncode == status, found.stdout + found.stderr
        return found.stdout + found.stderr

    def mtnet(self, *arguments, **more):
        return self.run("-m", "mtnet", *arguments, "--data", self.data, **more)

    def daemon(self, *arguments):
        return Daemon(self, *arguments)


class Daemon:
    """A running daemon: only chat and web listen, unless the arguments say otherwise."""

    def __init__(self, program, *arguments):
        self.ports = {name: free_port() for name in ("chat", "web")}
        listens = [f"{name}=tcp:{port}:interface=127.0.0.1" for name, port in self.ports.items()]
        off = [f"{name}=off" for name in ("signals", "templates", "ticks")]
        options = [f"--listen={each}" for each in (*listens, *off)]
        command = [program.python, "-m", "mtnet", "run", "--data", program.data]
        self.process = subprocess.Popen(
            [*command, *options, *arguments],
            env=program.environ,
            cwd=Path(program.data).parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self):
        output = []
        while "ControlFactory starting" not in (output or [""])[-1]:
            output.append(self.process.stdout.readline())
            assert output[-1], "".join(output)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.communicate()

    def http(self, method, path, body=None):
        """Return the status and the JSON value of an answer."""
        connection = HTTPConnection("127.0.0.1", self.ports["web"], timeout=10)
        connection.request(method, path, body)
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.read())
        connection.close()
        return found

    def dial(self):
        return socket.create_connection(("127.0.0.1", self.ports["chat"]), 10)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture(scope="module", params=["as a copy", "as editable"])
def installed(request, tmp_path_factory):
    """A Python in which the guide's package is installed."""
    folder = tmp_path_factory.mktemp("my-services")
    write(folder, *FILES)
    (folder / "my_notes" / "__init__.py").touch()
    place = tmp_path_factory.mktemp("python")
    venv.create(place)
    python = place / "bin" / "python"
    program = Program(python, place / "data")
    site = program.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    # What the tests run on is there too, mtnet included, however that was installed.
    ours = Path(pytest.__file__).parent.parent
    Path(site, "tests.pth").write_text(f"import site; site.addsitedir({str(ours)!r})\n{HERE}\n")
    how = ["--editable"] if request.param == "as editable" else []
    quiet = ["--quiet", "--no-deps"]
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", *quiet, *how]
    subprocess.run([*pip, str(folder)], check=True, timeout=SECONDS, cwd=place)
    return python


@pytest.fixture
def program(installed, tmp_path):
    return Program(installed, tmp_path / "data")


def test_check_lists_each_component_with_its_file(program):
    shown = dict(line.split(None, 1) for line in program.mtnet("check").splitlines())
    assert {"chat", "notes", "signals", "web"} <= set(shown)
    assert shown["notes"].endswith("mtnet/plugins/notes.py")
    assert shown["signals"] == str(HERE / "mtnet" / "plugins" / "signals.py")


def test_the_protocol_is_spoken_to(program):
    with program.daemon() as daemon, daemon.dial() as one, daemon.dial() as two:
        one.sendall(b"SAY first\n")
        # `two` may be known to the daemon only after its first line.
        two.sendall(b"SAY second\n")
        assert one.recv(512).startswith(b"SAY second ")


def test_a_connection_without_the_rights_of_the_protocol_is_closed(program):
    sets = ["--set=access.trust_loopback=false", "--set=access.anonymous=follow:chat"]
    reset = suppress(ConnectionResetError)
    with program.daemon(*sets) as daemon, daemon.dial() as terminal, reset:
        assert terminal.recv(512) == b""


def test_a_setting_counts_and_an_unknown_one_is_named(program):
    assert "notes.kep" in program.mtnet("check", "--set", "notes.kep=1", status=1)
    with program.daemon("--set=notes.keep=1") as daemon:
        assert daemon.http("POST", "/v1/notes/EURUSD", b'{"text": "first"}') == (200, 1)
        assert daemon.http("POST", "/v1/notes/EURUSD", b'{"text": "second"}') == (200, 1)
        (note,) = daemon.http("GET", "/v1/notes/EURUSD")[1]
    assert note["text"] == "second"


def test_its_routes_are_described(program):
    with program.daemon() as daemon:
        found = daemon.http("GET", "/v1/openapi.json")[1]
        assert daemon.http("POST", "/v1/notes/EURUSD", b'{"text": ""}')[0] == 422
    path = found["paths"]["/v1/notes/{symbol}"]
    assert path["get"]["summary"] == "The notes on a symbol."
    assert path["post"]["description"] == "Needs the right `publish:notes/{symbol}`."


def test_a_right_is_refused_and_granted(program):
    closed = "--set=access.trust_loopback=false"
    with program.daemon(closed, "--set=access.anonymous=read:notes") as daemon:
        assert daemon.http("POST", "/v1/notes/EURUSD", NOTE)[0] == 403
        assert daemon.http("GET", "/v1/notes/EURUSD") == (200, [])
    granted = "--set=access.anonymous=read:notes,publish:notes/EURUSD"
    with program.daemon(closed, granted) as daemon:
        assert daemon.http("POST", "/v1/notes/GBPUSD", NOTE)[0] == 403
        assert daemon.http("POST", "/v1/notes/EURUSD", NOTE) == (200, 1)


def test_its_role_and_its_rights_can_be_given_to_an_account(program):
    grants = ["--role", "reader", "--grant", "publish:notes/EURUSD"]
    program.mtnet("account", "add", "jane", *grants, typed="correct horse battery\n")
    shown = program.mtnet("account", "list")
    assert "reader" in shown
    assert "publish:notes/EURUSD" in shown


def test_the_command_and_the_status_line_and_what_a_restore_leaves(program):
    backup = str(Path(program.data).parent / "backup")
    with program.daemon():
        assert "there are 1 notes" in program.mtnet("notes", "add", "EURUSD", "NFP at 14:30")
        assert "NFP at 14:30" in program.mtnet("notes", "list", "EURUSD")
        assert "A note needs" in program.mtnet("notes", "add", "EURUSD", "", status=1)
        program.mtnet("backup", backup)
    assert Path(program.data, "notes", "notes.sqlite").exists()
    shutil.rmtree(program.data)
    program.mtnet("restore", backup)
    with program.daemon() as daemon:
        assert json.loads(program.mtnet("status", "--json"))["notes"]["stored"] == 1
        assert re.search(r"^notes:\n(.*\n)*?  stored: 1$", program.mtnet("status"), re.M)
        (note,) = daemon.http("GET", "/v1/notes/EURUSD")[1]
    assert note["text"] == "NFP at 14:30"


def test_the_guides_own_test_passes(program, tmp_path):
    write(tmp_path, "test_services.py")
    program.run("-m", "pytest", "-q", "--rootdir", str(tmp_path), str(tmp_path))


# Without an installation


@pytest.fixture
def outside(tmp_path):
    """A folder on Python's path, with the protocol in it."""
    write(tmp_path / "outside", PLUGIN)
    return tmp_path / "outside"


def test_a_folder_on_pythons_path_will_do(outside, tmp_path):
    program = Program(sys.executable, tmp_path / "data", PYTHONPATH=str(outside))
    assert str(outside / PLUGIN) in program.mtnet("check")


def test_check_says_which_plugin_cannot_be_imported(outside, tmp_path):
    (outside / "mtnet" / "plugins" / "broken.py").write_text("import nothing_like_it")
    program = Program(sys.executable, tmp_path / "data", PYTHONPATH=str(outside))
    shown = program.mtnet("check", status=1)
    assert f"mtnet.plugins.broken in {outside / 'mtnet' / 'plugins'} cannot be imported" in shown
    assert "nothing_like_it" in shown
    assert "Traceback" not in shown


@pytest.fixture
def chat(tmp_path):
    """Return what puts the protocol behind the daemon's pipeline, with some settings."""
    names = {}
    exec(FILES[PLUGIN], names)
    plugin = names["chat"]

    def build(*sets):
        env = make_environment(tmp_path, Clock(), *sets)
        factory = plugin.buildFactory(env)
        return env, Pipeline(env, None).wrap(Listener("chat", "tcp:1"), factory, plugin.rights)

    return build


def test_one_network_does_not_take_all_places(chat):
    env, factory = chat("access.connections.chat.network=1")
    addresses = {"host": "192.0.2.1", "peer": "192.0.2.9"}
    connect(factory, env.clock, **addresses)
    with pytest.raises(AssertionError, match="refused"):
        connect(factory, env.clock, **addresses)
