"""`mtnet status`: the daemon's report, and exit status 3 when it is not healthy."""

import json

import pytest

from mtnet.cli.status import describe

SINCE = 1_700_000_000_000


@pytest.fixture
def status(command_line):
    """Let a daemon answer; run `mtnet status` on its folder."""

    def run(answer, *options):
        command_line.attach({"status": lambda _: answer})
        return command_line.on_folder("status", *options)

    return run


@pytest.fixture
def configuration(tmp_path):
    def write(text):
        file = tmp_path / "mtnet.toml"
        file.write_text(text)
        return file

    return write


def test_without_a_daemon_it_names_the_socket_that_nobody_answers(command_line):
    result = command_line.on_folder("status")
    assert (result.status, result.out) == (1, "")
    assert result.error.startswith(f"mtnet: No daemon answers on {command_line.folder}/control")


def test_the_data_folder_is_found_in_the_configuration(command_line, configuration, tmp_path):
    file = configuration(f'data = "{tmp_path}/there"\n')
    assert f"{tmp_path}/there/control" in command_line("status", "--config", file).error


def test_the_data_folder_is_found_in_the_environment(command_line, monkeypatch, tmp_path):
    monkeypatch.setenv("MTNET_DATA", str(tmp_path / "elsewhere"))
    assert f"{tmp_path}/elsewhere/control" in command_line("status").error


def test_a_configuration_that_cannot_be_read_is_named(command_line, tmp_path):
    result = command_line("status", "--config", tmp_path / "nosuch.toml")
    assert result.status == 1
    assert "nosuch.toml cannot be read" in result.error


def test_a_configuration_that_is_wrong_is_named(command_line, configuration):
    result = command_line("status", "--config", configuration("data = 1\n"))
    assert result.status == 1
    assert "expected a text, not 1" in result.error


def test_a_key_that_is_wrong_elsewhere_keeps_nobody_from_a_daemon_that_runs(
    command_line, configuration
):
    result = command_line("status", "--config", configuration("nonsense = 1\n"))
    assert "No daemon answers" in result.error


def test_programs_get_the_answer_as_it_is(status):
    result = status({"pid": 7, "new": [1]}, "--json")
    assert (result.status, json.loads(result.out)) == (0, {"pid": 7, "new": [1]})


def test_people_get_the_whole_answer(status):
    result = status({"version": "0.1.0", "healthy": True, "trouble": [], "new": 1})
    assert result == (0, "mtnet 0.1.0, healthy\nnew: 1\n", "")


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_daemon_that_is_not_healthy_is_exit_3_with_the_cause(status, options):
    result = status({"healthy": False, "trouble": ["signals: The disk is full."]}, *options)
    assert (result.status, result.error) == (3, "")
    if not options:
        assert result.out == "mtnet, NOT HEALTHY: signals: The disk is full.\n"


def test_warnings_are_shown_and_change_no_exit_status(status):
    result = status({"healthy": True, "warnings": ["The certificate expires within 7 days."]})
    assert result == (0, "mtnet, healthy: The certificate expires within 7 days.\n", "")


def test_a_status_has_a_line_for_each_value():
    answer = {
        "version": "0.1.0",
        "pid": 42,
        "since": SINCE,
        "healthy": True,
        "services": [
            {"service": "signals", "address": "127.0.0.1:8081"},
            {"service": "web", "address": "[::1]:8083", "rights": ["fetch", "read"]},
        ],
        "signals": {"followers": 2, "channels": {"main": {"publisher": None}}},
    }
    assert list(describe(answer, SINCE / 1000 + 90_061)) == [
        "mtnet 0.1.0, process 42, up 1 d 1 h, healthy",
        "services:",
        "  SERVICE  ADDRESS         RIGHTS",
        "  signals  127.0.0.1:8081",
        "  web      [::1]:8083      fetch, read",
        "signals:",
        "  followers: 2",
        "  channels:",
        "    main:",
        "      publisher: -",
    ]


def test_a_status_has_the_terms_of_the_table_at_the_start():
    answer = {
        "services": [{"service": "web", "loopback": "fetch", "strangers": "nothing"}],
        "access": {"web": {"connections": 2, "strangers": 1}},
        "signals": {"channels": {"loopback": {"seq": 7}}},
    }
    assert list(describe(answer, 0))[1:] == [
        "services:",
        "  SERVICE  LOOPBACK MAY  WITHOUT LOGIN",
        "  web      fetch         nothing",
        "access:",
        "  web:",
        "    connections: 2",
        "    without login: 1",
        "signals:",
        "  channels:",
        "    loopback:",
        "      seq: 7",
    ]


@pytest.mark.parametrize(
    ("seconds", "told"), [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7_325, "2 h 2 min")]
)
def test_the_age_of_a_daemon_has_its_two_largest_units(seconds, told):
    assert list(describe({"since": SINCE}, SINCE / 1000 + seconds)) == [f"mtnet, up {told}"]


def test_an_empty_status_is_a_line_all_the_same():
    assert list(describe({}, 0)) == ["mtnet"]
