"""The examples of `docs/http.md`, run in the order of the page against a daemon."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from live_daemon import PATIENCE

PAGE = (Path(__file__).parents[2] / "docs" / "http.md").read_text("utf-8")
ROWS = re.findall(r"^### ([A-Z]+) (/\S*)\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
START = re.search(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[1]
ADDRESS, PASSWORD = "http://127.0.0.1:8083", "correct horse battery"
VARYING = re.compile(r"\b1[0-9]{12}\b|\"last\":(?:null|[0-9]+)")
"""Times; and when somebody logged in last, which is noted a little later."""


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text):
    """Yield each command line of the curl examples, and what the page shows behind it."""
    for block in blocks(text, "sh"):
        yield from re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)


def alike(found, shown):
    """Compare without times; `…` stands for any rest of a line."""
    found, shown = (VARYING.sub("0", text).rstrip("\n") for text in (found, shown))
    if shown.endswith("…"):
        return found.startswith(shown[:-1])
    return found == shown


@pytest.fixture
def run(daemon, tmp_path):
    """Return what runs a program with the daemon's address in it."""

    def mtnet(*words, typed=""):
        command = [sys.executable, "-m", "mtnet", *words, "--data", str(daemon.data)]
        found = subprocess.run(
            command, input=typed, capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        return found.stdout

    daemon.start()
    mtnet("account", "add", "root", "--grant", "admin", typed=f"{PASSWORD}\n")
    mtnet("account", "token", "root")
    token = re.search(r"\b[0-9a-f]{8}\b", mtnet("account", "show", "root"))[0]
    address = f"http://127.0.0.1:{daemon.port('web')}"
    environ = {**daemon.environ, "PASSWORD": PASSWORD, "TOKEN": token}

    def run(*command):
        words = [each.replace(ADDRESS, address) for each in command]
        found = subprocess.run(
            words, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE,
            check=False,
        )  # fmt: skip
        assert (found.returncode, found.stderr) == (0, ""), (words[-1], found.stdout)
        return found.stdout

    return run


def test_every_curl_example_prints_what_the_page_shows(run):
    for _, _, text in ROWS:
        for command, shown in commands(text):
            found = run("bash", "-c", command)
            assert alike(found, shown), f"{command}\nprinted\n{found}\nand the page shows\n{shown}"


def test_every_python_example_runs(run):
    programs = [program for _, _, text in ROWS for program in blocks(text, "python")]
    whole = "\n".join([START, f"PASSWORD = {PASSWORD!r}", *programs])
    printed = run(sys.executable, "-c", whole)
    assert "404 missing" in printed
