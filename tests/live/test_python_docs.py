"""The programs of `docs/python.md`, run against a daemon: each prints what the page shows."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from live_daemon import PATIENCE, until

from mtnet.daemon.control.client import ask

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text("utf-8")
PROGRAMS = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
SESSIONS = re.findall(r"```\n(\$ python .*?)```", PAGE, re.DOTALL)
PORTS = {"8081": "signals", "8082": "ticks", "8080": "templates"}


def shown(program):
    """Return the lines that the page shows behind each `$ python PROGRAM`."""
    text = "".join(f"{each}$ " for each in SESSIONS)
    return [
        [line for line in found.splitlines() if line != "^C"]
        for found in re.findall(rf"\$ python {program}\n(.*?)(?=\$ )", text, re.DOTALL)
    ]


class Programs:
    """Runs the programs of the page against a daemon."""

    def __init__(self, daemon, folder):
        self.daemon, self.folder = daemon, folder
        for name, text in PROGRAMS.items():
            for port, service in PORTS.items():
                text = text.replace(f":{port}", f":{daemon.port(service)}")
            (folder / name).write_text(text, encoding="utf-8")

    def start(self, *words):
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.daemon.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words):
        process = self.start(*words)
        out, error = process.communicate(timeout=PATIENCE)
        assert (process.returncode, error) == (0, "")
        return out.splitlines()

    def run_until(self, program, lines, meanwhile=()):
        """Start a program, run another once it follows, and press Ctrl-C after its lines."""
        process = self.start(program)
        until(self.followers)
        if meanwhile:
            self.run(*meanwhile)
        found = [process.stdout.readline().rstrip() for _ in range(lines)]
        process.send_signal(signal.SIGINT)
        out, error = process.communicate(timeout=PATIENCE)
        assert (out, error, process.returncode) == ("", "", 0)
        return found

    def followers(self):
        rows = self.daemon.status()["signals"]["channels"]
        return rows.get("main", {}).get("followers", 0)


@pytest.fixture
def programs(daemon, tmp_path):
    daemon.start()
    folder = tmp_path / "programs"
    folder.mkdir()
    return Programs(daemon, folder)


def test_signals_are_followed_over_a_restart_published_and_read_by_a_script(programs):
    first, second = shown("follower.py")
    server = ("-s", f"tcp:127.0.0.1:{programs.daemon.port('signals')}")
    publish = ("publisher.py",)
    assert programs.run_until("follower.py", len(first), publish) == first
    close = ("-m", "mtnet", "signals", "publish", *server, "GBPUSD", "0")
    assert programs.run(*close) == ["Stored: GBPUSD 0"]
    assert programs.run_until("follower.py", len(second)) == second
    assert [programs.run("script.py")] == shown("script.py")


def test_a_copier_opens_nothing_that_is_older_than_its_view_permits(programs):
    (lines,) = shown("copier.py")
    control = programs.daemon.data / "control"

    def publish(symbol, volume):
        server = ("-s", f"tcp:127.0.0.1:{programs.daemon.port('signals')}")
        programs.run("-m", "mtnet", "signals", "publish", *server, symbol, volume)

    publish("GBPUSD", "0.25")
    settings = {"sources": ["main"], "late_join": "open", "max_age": 0.001}
    ask(control, "views add", view="half", settings=settings)
    process = programs.start("copier.py")
    assert process.stdout.readline().rstrip() == "GBPUSD is older than 0.001 s"
    # A busy machine may take longer for an opening than the page's seconds.
    ask(control, "views edit", view="half", settings={"max_age": 600})
    publish("EURUSD", "-0.10")
    publish("EURUSD", "0")
    out, error = process.communicate(timeout=PATIENCE)
    assert (out.splitlines(), error, process.returncode) == (lines[1:], "", 0)


def test_a_publisher_prints_the_numbers_of_its_entries(programs):
    assert [programs.run("publisher.py")] == shown("publisher.py")


def test_ticks_are_printed_as_they_come(programs):
    (lines,) = shown("ticker.py")
    process = programs.start("ticker.py")
    with programs.daemon.dial("ticks") as terminal:
        for line in lines:
            terminal.sendall(line.encode() + b" 0 0 1700000000000\n")
            assert process.stdout.readline().rstrip() == line
    out, error = process.communicate(timeout=PATIENCE)
    assert (out, error, process.returncode) == ("", "", 0)


def test_bars_are_printed_as_ticks_make_them(programs):
    (lines,) = shown("chart.py")
    with programs.daemon.dial("ticks") as terminal:

        def feed(*ticks):
            for price, second in ticks:
                moment = (1_700_000_040 + second) * 1_000
                terminal.sendall(f"EURUSD {price} 1.1 0 0 {moment}\n".encode())

        feed(("1.09876", 0), ("1.09877", 60), ("1.09881", 70), ("1.09880", 120))
        until(lambda: programs.daemon.status()["ticks"]["stored"] == 4)
        process = programs.start("chart.py")
        found = [process.stdout.readline().rstrip() for _ in range(3)]
        feed(("1.09885", 130))
        out, error = process.communicate(timeout=PATIENCE)
    assert (found + out.splitlines(), error) == (lines, "")


def test_the_programs_for_twisted_do_what_they_say(programs):
    assert "on disk as entry 1" in programs.run("twisted_program.py")
    assert programs.run("sender.py") == ["[]"]
    status = programs.daemon.status()
    assert status["signals"]["channels"]["main"]["positions"] == {"GBPUSD": "0.25"}
    assert status["ticks"]["stored"] == 1


def test_every_program_of_the_page_is_run_here():
    assert set(PROGRAMS) == {
        "chart.py", "copier.py", "follower.py", "publisher.py", "script.py", "sender.py",
        "ticker.py", "twisted_program.py",
    }  # fmt: skip
    assert PAGE.count("```python\n") == len(PROGRAMS)
