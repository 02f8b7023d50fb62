"""The demonstration, as a person starts it."""

import os
import re
import signal
import subprocess
import sys
import time
from urllib.request import Request, urlopen

import pytest


def start(*options, **more):
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MTNET_")}
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "mtnet", *map(str, options)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environ, **more},
    )


def outcome(*options, **more):
    process = start(*options, **more)
    said, complained = process.communicate(timeout=40)
    return process.returncode, said, complained


def assert_all_arrived(said):
    sent, stored, got = re.search(r"(\d+) sent, (\d+) stored, (\d+) told", said).groups()
    assert int(sent) > 0
    assert sent == stored == got
    assert "NOT TOLD" not in said


def test_followers_are_told_and_ticks_add_up(tmp_path):
    status, said, complained = outcome("demo", "--seconds", 3, "--speed", 5, TMPDIR=str(tmp_path))
    assert (status, complained) == (0, "")
    assert_all_arrived(said)
    published, got = map(int, re.search(r"(\d+) published, (\d+) told", said).groups())
    assert published >= 2
    assert got == 3 * published
    assert int(re.search(r"(\d+) acknowledged with a fill", said)[1]) > 0
    for follower in ("classic", "bob", "carol"):
        assert re.search(rf"follower {follower} .* told after +\d+\.\d ms", said)
    datagrams, stream = map(int, re.search(r"(\d+) in \d+ .*, (\d+) over TCP", said).groups())
    assert datagrams > 0
    assert stream > 0
    assert "1 stored and fetched" in said
    assert "\x1b" not in said
    assert list(tmp_path.iterdir()) == [], "the data folder is removed"


def test_it_stays_until_ctrl_c_and_names_the_address_of_the_page(tmp_path):
    process = start("demo", "--stay", "--seconds", 0.1, TMPDIR=str(tmp_path))
    page = None
    for line in process.stdout:
        page = re.fullmatch(r"  (http://127\.0\.0\.1:\d+/)\n", line) or page
        if "told after" in line:
            break
    with urlopen(page[1], timeout=10) as answer:
        assert b"<title>mtnet</title>" in answer.read()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=40)
    assert (process.returncode, "Summary" in said) == (0, True)


def test_it_goes_on_while_its_channel_is_frozen_and_after_that(tmp_path):
    process = start("demo", "--stay", "--speed", 5, TMPDIR=str(tmp_path))

    def until(pattern):
        return next(filter(None, (re.search(pattern, line) for line in process.stdout)))

    page = until(r"http://\S+/(?=\n)")[0]
    until("told after")
    for action, outcome in (("freeze", "REFUSED: paused"), ("resume", "told after")):
        request = Request(f"{page}v1/channels/main/{action}", b'{"confirm": "main"}')
        with urlopen(request, timeout=10):
            until(outcome)
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=40)
    assert (process.returncode, complained, "Summary" in said) == (0, "", True)


def test_what_was_kept_is_exported_and_replayed(tmp_path):
    data, file = tmp_path / "data", tmp_path / "EURUSD_demo.tsv"
    status, said, complained = outcome("demo", "--seconds", 1.5, "--speed", 20, "--data", data)
    assert (status, complained) == (0, "")
    assert outcome("ticks", "export", "--data", data, "EURUSD", "-o", file)[0] == 0
    rows = len(file.read_text().splitlines()) - 1
    assert rows > 0
    status, said, _ = outcome("demo", "--seconds", 2, "--speed", 1000, "--ticks", file)
    assert status == 0
    assert_all_arrived(said)
    assert "the file is at its end" in said
    assert f"{rows} sent" in said


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine").write_text("precious")
    status, _, complained = outcome("demo", "--data", tmp_path)
    assert status == 1
    assert complained == f"mtnet: {tmp_path} is not empty; the demonstration takes a new folder.\n"
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(tmp_path, number):
    process = start("demo", "--seconds", 60, TMPDIR=str(tmp_path))
    begun = time.monotonic()
    while "told after" not in process.stdout.readline():
        pass
    process.send_signal(number)
    said, complained = process.communicate(timeout=20)
    assert time.monotonic() - begun < 20
    assert (process.returncode, complained) == (0, "")
    assert "Summary" in said
    assert_all_arrived(said)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_export_is_one_sentence(tmp_path):
    file = tmp_path / "EURUSD.tsv"
    file.write_text("hello\n")
    status, said, complained = outcome("demo", "--ticks", file)
    assert (status, said) == (1, "")
    assert complained.startswith(f"mtnet: {file} is not an export of ticks")


def test_a_reader_that_stops_ends_the_demo(tmp_path):
    process = start("demo", "--seconds", 60, TMPDIR=str(tmp_path))
    process.stdout.readline()
    process.stdout.close()
    with process.stderr as complained:
        assert complained.read() == ""
    assert process.wait(20) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_cannot_be_read_ends_a_replay_with_one_sentence(tmp_path):
    file = tmp_path / "EURUSD.tsv"
    header = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n"
    rows = "2019.02.04\t00:00:00.500\t1.1\t1.2\t\t\t6\r\n" * 5_000
    file.write_text(header + rows + "nonsense\r\n", newline="")
    status, _, complained = outcome("demo", "--ticks", file, TMPDIR=str(tmp_path))
    assert status == 1
    assert complained.startswith("mtnet: Line 5002 of ")
    assert len(complained.splitlines()) == 1
