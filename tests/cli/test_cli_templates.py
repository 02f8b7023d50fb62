"""`mtnet templates` with a templates port in memory."""

import json

import pytest
from fakes.daemon import PASSWORD, FakeDaemon
from twisted.internet.error import ConnectionRefusedError

from mtnet.interfaces import ITemplates

TEMPLATE = "<chart>\r\nid=0\r\nsymbol=EURUSD\r\nperiod_type=1\r\nperiod_size=1\r\n</chart>\r\n"
CONTENT = b"\xff\xfe" + TEMPLATE.encode("utf-16-le")
OTHER = b"\xff\xfe" + TEMPLATE.replace("id=0", "id=1").encode("utf-16-le")


@pytest.fixture
def daemon(command_line, clock):
    return serve(command_line, clock, "access.trust_loopback=true")


def serve(command_line, clock, *sets):
    daemon = FakeDaemon(command_line.folder, clock, *sets)
    command_line.server = daemon.factory("templates")
    return daemon


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "EURUSD_H1.tpl"
    file.write_bytes(CONTENT)
    return file


@pytest.fixture
def stored(command_line, daemon, file):
    assert command_line("templates", "put", file).status == 0
    return file


# put


def test_a_template_is_stored_under_the_symbol_and_period_of_its_name(command_line, daemon, file):
    result = command_line("templates", "put", file)
    assert result == (0, "Stored: EURUSD H1 mt5, version 1\n", "")


def test_the_symbol_and_period_that_are_named_come_before_those_of_the_file(
    command_line, daemon, file
):
    result = command_line("templates", "put", file, "GBPUSD", "M5", "--json")
    found = json.loads(result.out)
    assert (found["symbol"], found["period"], found["size"]) == ("GBPUSD", "M5", len(CONTENT))


def test_a_changed_template_is_another_version(command_line, daemon, stored):
    stored.write_bytes(OTHER)
    assert command_line("templates", "put", stored).out == "Stored: EURUSD H1 mt5, version 2\n"


def test_a_symbol_without_a_period_is_refused_with_an_example(command_line, daemon, file):
    status, out, error = command_line("templates", "put", file, "GBPUSD")
    assert (status, out) == (1, "")
    assert error == "mtnet: PERIOD is missing behind GBPUSD. Example: GBPUSD H1\n"


def test_a_file_that_does_not_exist_is_named(command_line, daemon, tmp_path):
    missing = tmp_path / "missing.tpl"
    status, _, error = command_line("templates", "put", missing)
    assert (status, error) == (1, f"mtnet: {missing} cannot be read: No such file or directory.\n")


def test_a_file_that_is_no_template_is_refused(command_line, daemon, tmp_path):
    file = tmp_path / "EURUSD_H1.tpl"
    file.write_text("hello")
    status, out, error = command_line("templates", "put", file)
    assert (status, out) == (1, "")
    assert error.startswith("mtnet: ")
    assert error.count("\n") == 1


def test_a_name_that_says_nothing_asks_for_symbol_and_period(command_line, daemon, tmp_path):
    file = tmp_path / "default.tpl"
    file.write_bytes(b"<chart>\r\n</chart>\r\n")
    status, _, error = command_line("templates", "put", file)
    assert status == 1
    assert error.endswith(f"Or name SYMBOL and PERIOD behind {file}.\n")


# get


def test_a_template_is_written_into_a_file_byte_for_byte(command_line, stored, tmp_path):
    copy = tmp_path / "copy.tpl"
    result = command_line("templates", "get", "EURUSD", "H1", "-o", copy)
    assert result == (0, f"{copy}: {len(CONTENT)} bytes\n", "")
    assert copy.read_bytes() == CONTENT


def test_programs_get_the_name_and_size_of_the_file(command_line, stored, tmp_path):
    copy = tmp_path / "copy.tpl"
    out = command_line("templates", "get", "EURUSD", "H1", "-o", copy, "--json").out
    assert json.loads(out) == {"file": str(copy), "size": len(CONTENT)}


def test_without_a_file_the_template_itself_goes_to_stdout(
    command_line, stored, monkeypatch, tmp_path
):
    with (tmp_path / "piped").open("w") as out:
        monkeypatch.setattr("sys.stdout", out)
        assert command_line("templates", "get", "EURUSD", "H1").status == 0
    assert (tmp_path / "piped").read_bytes() == CONTENT


def test_json_without_a_file_has_nothing_to_describe(command_line, stored):
    status, out, error = command_line("templates", "get", "EURUSD", "H1", "--json")
    assert (status, out) == (1, "")
    assert "-o FILE" in error


def test_an_older_version_is_fetched_by_its_number(command_line, stored, tmp_path):
    stored.write_bytes(OTHER)
    command_line("templates", "put", stored)
    copy = tmp_path / "copy.tpl"
    command_line("templates", "get", "EURUSD", "H1", "-o", copy)
    assert copy.read_bytes() == OTHER
    command_line("templates", "get", "EURUSD", "H1", "-o", copy, "--version", "1")
    assert copy.read_bytes() == CONTENT


@pytest.mark.parametrize(
    "words", [("GBPUSD", "H1"), ("EURUSD", "H1", "--version", "7"), ("EURUSD", "M5")]
)
def test_a_template_that_does_not_exist_is_refused_and_no_file_is_written(
    command_line, stored, tmp_path, words
):
    copy = tmp_path / "copy.tpl"
    status, out, error = command_line("templates", "get", *words, "-o", copy)
    assert (status, out) == (1, "")
    assert error.startswith("mtnet: ")
    assert not copy.exists()


def test_a_file_that_cannot_be_written_is_named(command_line, stored, tmp_path):
    status, _, error = command_line("templates", "get", "EURUSD", "H1", "-o", tmp_path)
    assert (status, error) == (1, f"mtnet: {tmp_path} cannot be written: Is a directory.\n")


# list


def test_an_empty_list_is_a_sentence(command_line, daemon):
    assert command_line("templates", "list") == (0, "No template is stored.\n", "")


def test_a_list_has_a_row_for_each_template(command_line, stored):
    command_line("templates", "put", stored, "GBPUSD", "M5")
    head, *rows = command_line("templates", "list").out.splitlines()
    assert head.split() == ["SYMBOL", "PERIOD", "PLATFORM", "VERSION", "SIZE", "STORED"]
    found = sorted(row.split()[:5] for row in rows)
    size = str(len(CONTENT))
    assert found == [["EURUSD", "H1", "mt5", "1", size], ["GBPUSD", "M5", "mt5", "1", size]]


def test_a_server_that_needs_the_reactor_stores_and_lists_the_same(command_line, daemon, file):
    unix = ("--server", "unix:/run/mtnet.sock")
    assert command_line("templates", "put", file, *unix).out == (
        "Stored: EURUSD H1 mt5, version 1\n"
    )
    (row,) = json.loads(command_line("templates", "list", "--json", *unix).out)
    assert row["symbol"] == "EURUSD"


def test_programs_get_the_list_as_the_server_sends_it(command_line, stored):
    (row,) = json.loads(command_line("templates", "list", "--json").out)
    assert (row["symbol"], row["period"], row["version"]) == ("EURUSD", "H1", 1)
    assert isinstance(row["stored"], int)


# Servers and logins


@pytest.mark.parametrize("words", [("list",), ("get", "EURUSD", "H1")])
def test_a_server_that_refuses_the_connection_is_named(command_line, words):
    command_line.server = ConnectionRefusedError()
    status, out, error = command_line("templates", *words, "--server", "tcp:fx.example:8080")
    assert (status, out) == (1, "")
    assert "tcp:fx.example:8080" in error


@pytest.mark.parametrize(("name", "expected"), [("bob", 0), ("alice", 0), (None, 1)])
def test_a_login_fetches_with_the_rights_of_its_account(
    command_line, clock, monkeypatch, tmp_path, name, expected
):
    daemon = serve(command_line, clock)
    library = daemon.env.find(ITemplates).library
    library.store("EURUSD", "H1", CONTENT, daemon.env.now())
    monkeypatch.setenv("MTNET_PASSWORD", PASSWORD)
    copy = tmp_path / "copy.tpl"
    login = () if name is None else ("--login", name)
    status, _, error = command_line("templates", "get", "EURUSD", "H1", "-o", copy, *login)
    assert (status, copy.exists()) == (expected, expected == 0), error


def test_a_login_that_may_not_publish_stores_nothing(command_line, clock, monkeypatch, file):
    serve(command_line, clock)
    monkeypatch.setenv("MTNET_PASSWORD", PASSWORD)
    status, out, error = command_line("templates", "put", file, "--login", "bob")
    assert (status, out) == (1, "")
    assert error.startswith("mtnet: ")
    assert PASSWORD not in error
