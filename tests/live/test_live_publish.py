"""`mtnet signals publish` to a real daemon: in clear text, by TLS, with a login, and elsewhere."""

import os
import socket
import subprocess
import sys

import pytest
from live_daemon import LOOPBACK, PATIENCE
from tls_samples import Authority, Files

from mtnet.cli.accounts import admin_session

PASSWORD = "correct horse battery"
SECURE = "secure:0:interface=127.0.0.1"


def publish(*words, **environ):
    program = [sys.executable, "-m", "mtnet", "signals", "publish", *words]
    return subprocess.run(
        program,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def ports(daemon):
    daemon.data.mkdir(mode=0o700)
    files = Files(daemon.data / "tls", Authority())
    files.issue("localhost")
    with admin_session(daemon.data) as run:
        run("account add", name="alice", grants=["provider"], password=PASSWORD)
    daemon.start(f"--listen=signals={SECURE}", f"--listen=signals={LOOPBACK}")
    return daemon.port("signals"), daemon.port("signals", "TLS"), str(files.ca)


def test_a_signal_is_stored_by_every_road(daemon, ports):
    plain, secure, ca = ports
    login = {"MTNET_PASSWORD": PASSWORD}
    stored = publish("GBPUSD", "0.25", "--server", f"tcp:127.0.0.1:{plain}")
    assert (stored.returncode, stored.stdout, stored.stderr) == (0, "Stored: GBPUSD 0.25\n", "")
    by_tls = ("--server", f"secure:localhost:{secure}", "--ca", ca, "--login", "alice")
    stored = publish("EURUSD", "-1", *by_tls, **login)
    assert (stored.stdout, stored.stderr) == ("Stored: EURUSD -1\n", "")
    page = f"ws://127.0.0.1:{daemon.port('web')}/ws"
    assert publish("USDJPY", "1", "--server", page).stdout == "Stored: USDJPY 1\n"
    found = daemon.status()["signals"]["channels"]["main"]["positions"]
    assert found == {"GBPUSD": "0.25", "EURUSD": "-1", "USDJPY": "1"}


def test_what_is_in_the_way_is_one_sentence(daemon, ports):
    _, secure, ca = ports
    by_tls = ("--server", f"secure:localhost:{secure}")
    refused = publish("EURUSD", "1", *by_tls)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"mtnet: No connection to {by_tls[1]}: its certificate is")
    wrong = publish(
        *("EURUSD", "1", *by_tls, "--ca", ca, "--login", "alice"), MTNET_PASSWORD="wrong horse"
    )
    assert (wrong.returncode, wrong.stderr.count("\n")) == (1, 1)
    clear = publish("EURUSD", "1", "--server", f"tcp:127.0.0.1:{secure}")
    assert f"it is secure:127.0.0.1:{secure}. Nothing was published." in clear.stderr
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    gone = publish("EURUSD", "1", "--server", f"tcp:127.0.0.1:{port}")
    assert gone.stderr == f"mtnet: No connection to tcp:127.0.0.1:{port}: Connection refused.\n"
    assert daemon.status()["signals"]["channels"]["main"]["positions"] == {}
