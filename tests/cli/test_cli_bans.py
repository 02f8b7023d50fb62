"""`mtnet bans`: through the daemon, or on its file while none runs."""

import json
import socket
import threading
import time
from contextlib import contextmanager

import pytest

from mtnet.access.bans.policy import Bans, Offence
from mtnet.access.bans.store import BanStore
from mtnet.cli.main import parser
from mtnet.config.schema import Bans as Weights
from mtnet.daemon.datadir import DataFolder
from mtnet.errors import ClientError, WireError

HOST = "192.0.2.7"


@pytest.fixture
def mtnet(tmp_path, capsys):
    """Run a command on the test's data folder; return what it printed."""

    def run(*arguments):
        parsed = parser(used="bans").parse_args(["bans", *arguments, "--data", str(tmp_path)])
        parsed.run(parsed)
        return capsys.readouterr().out

    return run


@contextmanager
def daemon(folder, answer):
    """Hold the data folder as a daemon does, and answer one request."""
    held, asked = DataFolder(str(folder)), []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(held.control))
        server.listen()

        def serve():
            while not asked:  # who looks whether there is a daemon says nothing
                connection, _ = server.accept()
                with connection, connection.makefile("rb") as lines:
                    if line := lines.readline():
                        asked.append(json.loads(line))
                        got = json.dumps({"ok": True, "result": answer})
                        connection.sendall(got.encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield asked
        thread.join()
    held.release()


# Without a daemon


def test_a_new_folder_has_no_bans(mtnet):
    assert mtnet("list") == "No network is banned or has a penalty.\n"


def test_a_ban_is_added_shown_and_lifted_without_a_daemon(mtnet):
    assert mtnet("add", HOST, "--seconds", "200") == f"{HOST} is banned for 3 min 20 s.\n"
    head, row = mtnet("list").splitlines()
    assert head.split("  ")[0] == "NETWORK"
    assert row.startswith(f"{HOST}/32")
    assert "3 min" in row
    assert row.endswith("by hand")
    assert mtnet("lift", HOST) == f"{HOST} has no penalty any more.\n"
    assert mtnet("list") == "No network is banned or has a penalty.\n"


def test_a_ban_is_for_a_day_or_for_ever(mtnet):
    assert mtnet("add", "2001:db8::/32") == "2001:db8::/32 is banned for 1 d.\n"
    assert (
        mtnet("add", "192.0.2.0/24", "--for-ever") == "192.0.2.0/24 is banned until it is lifted.\n"
    )
    assert "until lifted" in mtnet("list").splitlines()[1]


def test_programs_are_told_in_json(mtnet):
    mtnet("add", "192.0.2.0/24", "--for-ever")
    answer = json.loads(mtnet("list", "--json"))
    assert answer["rows"][0]["network"] == "192.0.2.0/24"
    assert answer["rows"][0]["seconds"] is None


def test_penalties_that_the_daemon_left_are_shown(mtnet, tmp_path):
    bans, wall = Bans(Weights()), time.time()
    for _ in range(20):
        bans.punish(HOST, Offence.LOGIN, 0.0, "admin")
    bans.punish("192.0.2.9", Offence.FRAME, 0.0)
    BanStore(tmp_path / "bans.sqlite").store(bans.changes(0.0, wall))
    _, network, login, other = mtnet("list").splitlines()
    assert login.split()[:2] == [HOST, "admin"]
    assert network.split()[:2] == [HOST, "-"]
    assert "20" in login
    assert other.split() == ["192.0.2.9", "-", "-", "0", "frame"]
    mtnet("lift", f"admin@{HOST}")
    assert "admin" not in mtnet("list")


def test_what_is_not_there_is_not_lifted(mtnet):
    with pytest.raises(ClientError, match=r"192\.0\.2\.7 has no penalty"):
        mtnet("lift", HOST)


@pytest.mark.parametrize(
    "arguments", [("here",), (HOST, "--seconds", "0"), (HOST, "--seconds=nan")]
)
def test_what_is_no_ban_is_refused(mtnet, arguments):
    with pytest.raises(WireError):
        mtnet("add", *arguments)


@pytest.mark.parametrize("arguments", [(), ("add", HOST, "--seconds", "1", "--for-ever")])
def test_a_wrong_command_line_is_told(mtnet, arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        mtnet(*arguments)
    assert caught.value.code == 2


# Through the daemon


def test_a_running_daemon_is_asked(mtnet, tmp_path):
    row = {"network": HOST, "login": "", "seconds": 199.5, "bad": 3, "why": "login"}
    with daemon(tmp_path, {"rows": [row], "more": 9}) as asked:
        lines = mtnet("list").splitlines()
    assert asked == [{"command": "bans list"}]
    assert "3 min 20 s" in lines[1]
    assert lines[2] == "… and 9 more."


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (("add", HOST), {"command": "bans add", "network": HOST, "seconds": 86_400.0}),
        (("add", HOST, "--for-ever"), {"command": "bans add", "network": HOST, "seconds": None}),
        (("lift", "a@b"), {"command": "bans lift", "what": "a@b"}),
    ],
)
def test_a_running_daemon_is_told(mtnet, tmp_path, arguments, asked):
    with daemon(tmp_path, True) as heard:
        mtnet(*arguments)
    assert heard == [asked]
    assert not (tmp_path / "bans.sqlite").exists()


def test_a_folder_that_is_held_and_does_not_answer_is_told(mtnet, tmp_path):
    held = DataFolder(str(tmp_path))
    with pytest.raises(ClientError, match="No daemon answers"):
        mtnet("list")
    held.release()
