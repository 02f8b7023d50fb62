"""The protocol that `docs/extending.md` shows, installed from outside and spoken to."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock

from mtnet.daemon.registry import FactoryPlugin, installed
from mtnet.net.endpoints import Listener
from mtnet.testing import connect, make_environment

GUIDE = Path(__file__).parent.parent / "docs" / "extending.md"
PLUGIN, TEST = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
(GATE,) = re.findall(r"```py\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)


@pytest.fixture
def outside(tmp_path):
    """A folder on Python's path that is not mtnet's, with the plugin in it."""
    folder = tmp_path / "outside" / "mtnet" / "plugins"
    folder.mkdir(parents=True)
    (folder / "alerts.py").write_text(PLUGIN, encoding="utf-8")
    return tmp_path / "outside"


def python(outside, *arguments):
    environ = {**os.environ, "PYTHONPATH": str(outside)}
    return {"args": [sys.executable, *arguments], "env": environ, "text": True}


def test_the_whole_protocol_is_short():
    assert len([line for line in PLUGIN.splitlines() if line.strip()]) <= 40


def test_the_guides_own_test_passes(outside, tmp_path):
    test = tmp_path / "test_alerts.py"
    test.write_text(TEST, encoding="utf-8")
    command = python(outside, "-m", "pytest", "-q", "--rootdir", str(tmp_path), str(test))
    result = subprocess.run(**command, capture_output=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def guarded(tmp_path):
    """Build the factory that has a gate: `guarded("access.anonymous=follow")`."""
    names = {}
    exec(PLUGIN + GATE, names)

    def build(*sets):
        plugins = {**installed(), "alerts": FactoryPlugin(names["alerts"], None)}
        env = make_environment(tmp_path, Clock(), *sets, plugins=plugins)
        return env, names["alerts"].buildFactory(env).at(Listener("alerts", "tcp:1"))

    return build


def test_with_a_gate_strangers_do_what_they_may(guarded):
    env, factory = guarded("access.anonymous=follow")
    owner = connect(factory, env.clock)
    stranger = connect(factory, env.clock, host="192.0.2.1", peer="192.0.2.9")
    stranger.send(b"ALERT false\n")
    owner.send(b"ALERT true\n")
    assert owner.received() == b""
    assert stranger.received().startswith(b"ALERT true ")
    assert env.access.limiters["alerts"].total == 2


def test_with_a_gate_one_network_does_not_take_all_places(guarded):
    env, factory = guarded("access.anonymous=follow", "access.connections.alerts.network=1")
    connect(factory, env.clock, host="192.0.2.1", peer="192.0.2.9")
    assert factory.buildProtocol(IPv4Address("TCP", "192.0.2.9", 2)) is None


def test_the_daemon_hosts_it(outside, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    off = [f"--listen={name}=off" for name in ("signals", "templates", "web")]
    alerts = f"--listen=alerts=tcp:{port}:interface=127.0.0.1"
    command = python(outside, "-m", "mtnet", "run", "--data", str(tmp_path / "data"), *off, alerts)
    with subprocess.Popen(**command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as daemon:
        try:
            while "ControlFactory starting" not in daemon.stdout.readline():
                assert daemon.poll() is None
            speak(port)
        finally:
            daemon.terminate()
            daemon.stdout.read()


def speak(port):
    address = ("127.0.0.1", port)
    with (
        socket.create_connection(address, 10) as one,
        socket.create_connection(address, 10) as two,
    ):
        one.sendall(b"ALERT first\n")
        # `two` may be known to the daemon only after its first line.
        two.sendall(b"ALERT second\n")
        assert one.recv(512).startswith(b"ALERT second ")


def test_check_says_which_plugin_cannot_be_imported(outside, tmp_path):
    (outside / "mtnet" / "plugins" / "broken.py").write_text("import nothing_like_it")
    command = python(outside, "-m", "mtnet", "check", "--data", str(tmp_path / "data"))
    result = subprocess.run(**command, capture_output=True, timeout=60, check=False)
    assert result.returncode == 1
    assert "mtnet.plugins.broken" in result.stderr
    assert "nothing_like_it" in result.stderr
    assert "Traceback" not in result.stderr
