"""`mtnet doctor` against a real daemon: what it finds, and that it leaves everything as it was."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from live_daemon import until

SERVICES = ("any", "signals", "templates", "ticks", "web")
TEMPLATE = b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n"
TOLD = {
    "any": "Signals, templates, ticks and HTTP answer on one port",
    "signals": "Signals answer",
    "templates": "Templates answer",
    "ticks": "Ticks answer",
    "web": "The web service answers",
}


@pytest.fixture
def mtnet(daemon):
    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "mtnet", *map(str, arguments)],
            env=daemon.environ,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return run


def state(daemon):
    """Return what a terminal could have changed."""
    found = daemon.status()
    ticks = {key: found["ticks"][key] for key in ("received", "stored", "refused", "dropped")}
    return found["signals"]["channels"], found["templates"], ticks


def test_a_sound_server_is_sound_plain_and_through_tls_and_stays_as_it_was(daemon, mtnet):
    made = mtnet("cert", "init", "--data", daemon.data, "localhost")
    assert made.returncode == 0, made.stderr
    secure = [f"--listen={name}=secure:0:interface=127.0.0.1" for name in SERVICES]
    daemon.start("--listen=any=tcp:0:interface=127.0.0.1", *secure)
    assert daemon.publish(b"<<GBPUSD|0.25>>")
    with daemon.dial("templates") as terminal:
        terminal.sendall(b"STORE EURUSD H1 %d\n" % len(TEMPLATE) + TEMPLATE)
        assert terminal.recv(64) == b"OK 1\r\n"
    until(lambda: not daemon.status()["signals"].get("followers"))
    before = state(daemon)

    def ask(place):
        name, security = place
        target = f"localhost:{daemon.port(name, security)}"
        return mtnet("doctor", target, "--ca", daemon.data / "tls" / "ca.pem", "--json")

    places = [(name, security) for name in SERVICES for security in ("plain", "TLS")]
    with ThreadPoolExecutor(len(places)) as threads:
        answers = list(threads.map(ask, places))
    for (name, security), answer in zip(places, answers, strict=True):
        got = json.loads(answer.stdout)
        reached = [each["text"] for each in got["findings"] if each["about"].startswith("127.")]
        how = "plain" if security == "plain" else "through TLS"
        assert any(text.startswith(f"{TOLD[name]}, {how}") for text in reached), (name, reached)
        assert (answer.returncode, got["healthy"]) == (0, True), got
    assert state(daemon) == before


def test_a_running_daemon_takes_what_cert_init_makes(daemon, mtnet):
    assert mtnet("cert", "init", "--data", daemon.data, "localhost").returncode == 0
    daemon.start("--listen=signals=secure:0:interface=127.0.0.1")
    assert daemon.publish(b"<<GBPUSD|0.25>>")
    target = f"127.0.0.1:{daemon.port('signals', 'TLS')}"
    arguments = ("doctor", target, "--ca", daemon.data / "tls" / "ca.pem")
    assert "and not for 127.0.0.1" in mtnet(*arguments).stdout
    assert mtnet("cert", "init", "--data", daemon.data, "127.0.0.1").returncode == 0
    until(lambda: "is valid for 127.0.0.1." in mtnet(*arguments).stdout)
