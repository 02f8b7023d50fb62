"""`mtnet sinks`: which databases get ticks, and whether one takes them."""

import json

import pytest
from twisted.internet.defer import Deferred, succeed

from mtnet.cli import sinks
from mtnet.errors import ConfigError

ROW = {
    "name": "warehouse", "server": "postgresql://db.example/ticks", "sent": 12, "waiting": 3,
    "dropped": 0, "refused": 0, "reason": None,
}  # fmt: skip


@pytest.fixture
def host(command_line, monkeypatch):
    """Attach a daemon with some sinks: `host(ROW, test={…})`."""

    def run(*rows, test=None):
        def try_one(asked):
            if asked["name"] != "warehouse":
                raise ConfigError(f"There is no [sinks.{asked['name']}]; there is warehouse.")
            return test if isinstance(test, Deferred) else succeed(test)

        command_line.attach({"sinks list": lambda asked: list(rows), "sinks test": try_one})
        monkeypatch.setattr(sinks, "ask", command_line._ask)

    return run


def test_without_sinks_the_list_says_so(command_line, host):
    host()
    assert command_line.on_folder("sinks", "list") == (0, "There is no [sinks.NAME].\n", "")
    assert json.loads(command_line.on_folder("sinks", "list", "--json").out) == []


def test_the_list_has_a_line_for_each_sink(command_line, host):
    late = {**ROW, "name": "late", "dropped": 7, "refused": 2, "reason": "It is down."}
    host(ROW, late)
    assert command_line.on_folder("sinks", "list").out.splitlines() == [
        "warehouse: postgresql://db.example/ticks got 12 ticks, 3 wait.",
        "late: postgresql://db.example/ticks got 12 ticks, 3 wait, 7 were dropped, "
        "2 were refused. It is down.",
    ]


def test_programs_get_the_rows_as_they_are(command_line, host):
    host(ROW)
    assert json.loads(command_line.on_folder("sinks", "list", "--json").out) == [ROW]


def test_a_server_that_takes_ticks_is_said_to(command_line, host):
    answer = {"server": "the server", "taken": True, "reason": None}
    host(test=answer)
    assert command_line.on_folder("sinks", "test", "warehouse").out == "the server takes ticks.\n"
    found = command_line.on_folder("sinks", "test", "warehouse", "--json")
    assert json.loads(found.out) == answer


def test_a_server_that_takes_none_is_an_error_with_its_reason(command_line, host):
    host(test={"server": "the server", "taken": False, "reason": "the table is not there"})
    status, out, error = command_line.on_folder("sinks", "test", "warehouse")
    assert (status, out) == (1, "")
    assert "the server takes no ticks: the table is not there" in error


def test_a_sink_that_is_not_there_is_refused_with_those_that_are(command_line, host):
    host()
    status, _, error = command_line.on_folder("sinks", "test", "lake")
    assert status == 1
    assert "There is no [sinks.lake]; there is warehouse." in error


@pytest.mark.parametrize("arguments", [["list"], ["test", "warehouse"]])
def test_without_a_daemon_it_says_so(command_line, arguments):
    status, out, error = command_line.on_folder("sinks", *arguments)
    assert (status, out) == (1, "")
    assert error
