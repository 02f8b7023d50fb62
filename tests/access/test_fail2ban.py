"""The filter for fail2ban, run by fail2ban on a log as twistd writes it."""

import io
import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest
from fakes.daemon import TOKEN, FakeDaemon, hello
from twisted.logger import globalLogPublisher, textFileLogObserver

PROJECT = Path(__file__).parents[2]
FILTER = PROJECT / "contrib" / "fail2ban" / "filter.d" / "mtnet.conf"
ADDR = r"(?P<ip>(?:\d{1,3}\.){3}\d{1,3}|[0-9a-f:]+)"


def failregex():
    parser = RawConfigParser()
    parser.read(FILTER, encoding="utf-8")
    return parser["Definition"]["failregex"]


@pytest.fixture
def written(tmp_path, clock):
    """The log of a daemon at which people and guessers log in, as a file of twistd."""
    file = io.StringIO()
    observer = textFileLogObserver(file)
    globalLogPublisher.addObserver(observer)
    daemon = FakeDaemon(tmp_path / "data", clock)
    daemon.env.components.services["status"].start()
    wrong = hello("alice", "wrong-horse")
    daemon.ask("signals", wrong, peer="127.1.1.1")
    daemon.ask("ticks", b"LOGIN: nobody wrong-horse\r\n", peer="127.2.2.2")
    daemon.ask("signals", hello("bob", TOKEN), peer="127.3.3.3")
    daemon.change("bob", grants=["follow:signals/gold"], disabled=True)
    daemon.ask("signals", hello("bob", TOKEN), peer="127.4.4.4")
    line = next(each for each in file.getvalue().splitlines() if "why=wrong" in each)
    forged = b"GET /" + line.split(" ", 1)[1].encode().replace(b"127.1.1.1", b"127.5.5.5")
    daemon.ask("web", forged + b" HTTP/1.1\r\nHost: other.example\r\n\r\n", peer="127.6.6.6")
    globalLogPublisher.removeObserver(observer)
    path = tmp_path / "twistd.log"
    path.write_text(file.getvalue(), encoding="utf-8")
    return path


def test_the_filter_names_guessers_and_nobody_else(written):
    pattern = re.compile(failregex().replace("<ADDR>", ADDR))
    lines = written.read_text("utf-8").splitlines()
    found = [match["ip"] for line in lines if (match := pattern.search(line))]
    assert found == ["127.1.1.1", "127.2.2.2"]


@pytest.mark.skipif(shutil.which("fail2ban-regex") is None, reason="fail2ban is not installed")
def test_fail2ban_reads_the_filter_and_finds_the_same(written):
    command = ["fail2ban-regex", "--out", "ip", str(written), str(FILTER)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    found = re.findall(r"^127\.\d\.\d\.\d$", run.stdout, re.MULTILINE)
    assert found == ["127.1.1.1", "127.2.2.2"], run.stdout + run.stderr


def test_the_docs_show_the_same_filter():
    docs = (PROJECT / "docs" / "accounts.md").read_text("utf-8")
    assert failregex() in docs
