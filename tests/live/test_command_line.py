"""The command line against a real daemon, as a person uses it."""

import json
import subprocess
import sys

import pytest


@pytest.fixture
def mtnet(daemon):
    daemon.start()

    def run(*arguments, service="signals", data=None):
        server = [f"--server=tcp:127.0.0.1:{daemon.port(service)}"]
        if arguments[0] == "status":
            server = [f"--data={daemon.data}"]
        return subprocess.run(
            [sys.executable, "-m", "mtnet", *arguments, *server],
            env=daemon.environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )

    return run


def assert_refused(result, words):
    assert result.returncode != 0
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_what_is_published_is_followed(mtnet):
    assert mtnet("signals", "publish", "GBPUSD", "-0.25").returncode == 0
    followed = mtnet("signals", "follow", "--seconds", "1")
    assert followed.stdout == "GBPUSD -0.25\n"
    one = json.loads(mtnet("signals", "follow", "--seconds", "1", "--json").stdout)
    assert (one["symbol"], one["volume"]) == ("GBPUSD", "-0.25")


def test_status_names_services_and_positions(mtnet):
    mtnet("signals", "publish", "GBPUSD", "0.25")
    assert "signals" in mtnet("status").stdout
    status = json.loads(mtnet("status", "--json").stdout)
    assert status["signals"]["channels"]["main"]["positions"] == {"GBPUSD": "0.25"}


def test_a_template_goes_in_and_comes_out_unchanged(mtnet, tmp_path):
    content = "<chart>\r\nsymbol=EURUSD\r\n</chart>\r\n".encode("utf-16")
    (tmp_path / "EURUSD_H1.tpl").write_bytes(content)
    put = mtnet("templates", "put", str(tmp_path / "EURUSD_H1.tpl"), service="templates")
    assert put.returncode == 0, put.stderr
    assert "EURUSD" in mtnet("templates", "list", service="templates").stdout
    out = str(tmp_path / "out.tpl")
    assert mtnet("templates", "get", "EURUSD", "H1", "-o", out, service="templates").returncode == 0
    assert (tmp_path / "out.tpl").read_bytes() == content


def test_what_is_not_there_is_one_sentence(mtnet):
    assert_refused(mtnet("templates", "get", "EURUSD", "H1", service="templates"), "EURUSD")


def test_publishing_to_a_port_of_another_service_is_never_called_stored(mtnet):
    for service in ("templates", "web"):
        result = mtnet("signals", "publish", "GBPUSD", "0.25", service=service)
        assert result.returncode != 0, service
        assert "Stored" not in result.stdout


def test_a_volume_that_is_none_is_one_sentence(mtnet):
    assert_refused(mtnet("signals", "publish", "GBPUSD", "1e3"), "1e3")
