"""What is found wrong before anything is started."""

import pytest
from twisted.internet.testing import MemoryReactorClock

from mtnet.daemon.configuration import load
from mtnet.daemon.preflight import check
from mtnet.errors import ConfigError


def problems(folder, *sets, listens=()):
    """Return the sentences that a configuration is refused with."""
    with pytest.raises(ConfigError) as caught:
        check(load(data=str(folder), sets=sets, listens=listens), MemoryReactorClock(), lambda: 0)
    return str(caught.value).split("\nmtnet: ")


def test_accounts_that_cannot_be_read_are_told_once_and_no_listener_is_blamed(tmp_path):
    (tmp_path / "accounts.sqlite").write_bytes(b"no database " * 99)
    (tmp_path / "accounts.sqlite").chmod(0o600)
    (found,) = problems(tmp_path, listens=["signals=tcp:1", "templates=tcp:2"])
    assert "accounts.sqlite" in found


def test_a_wrong_right_is_told_once_and_what_else_is_wrong_besides(tmp_path):
    found = problems(tmp_path, "access.anonymous=fly", listens=["signals=tcp:1", "ticks=udp:x"])
    assert ["access.anonymous" in each for each in found] == [True, False]
    assert found[1].startswith("Invalid endpoint ticks=udp:x: ")


def test_every_listener_that_strangers_can_reach_is_named(tmp_path):
    found = problems(tmp_path, listens=["signals=tcp:1", "templates=tcp:2", "ticks=udp:3"])
    assert [each.split(" on ")[0] for each in found] == ["signals", "templates", "ticks"]


def test_where_loopback_is_not_trusted_somebody_must_be_able_to_log_in(tmp_path):
    found = problems(tmp_path, "access.trust_loopback=false", listens=["templates=tcp:2"])
    assert all(each.startswith("access.trust_loopback is off") for each in found)


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        (["alerts.x.when=sloow gold"], "alerts.x.when names the condition 'sloow'; there are "),
        (
            ["alerts.x.when=price EURUSD"],
            "alerts.x.when: Invalid condition 'price EURUSD'. Example",
        ),
        (["alerts.x.when=disk_low < 5"], "alerts.x.when: Invalid condition 'disk_low < 5'. Exam"),
        (["alerts.x.when=damaged", "alerts.x.to=ops"], "alerts.x.to names 'ops', and [notify."),
    ],
)
def test_an_alert_that_names_what_there_is_not_is_found(tmp_path, sets, sentence):
    (found,) = problems(tmp_path, *sets)
    assert found.startswith(sentence)


def test_an_alert_to_people_of_the_configuration_is_sound(tmp_path):
    sets = ("alerts.x.when=no_ack gold/bob > 60s", "alerts.x.to=ops")
    urls = "notify.ops.urls=json://127.0.0.1:1"
    check(load(data=str(tmp_path), sets=[*sets, urls]), MemoryReactorClock(), lambda: 0)


@pytest.mark.parametrize("codepage", ["cp0", "utf-16", "utf-7", "cp037", "hex", "idna"])
def test_a_code_page_writes_ascii_as_ascii(tmp_path, codepage):
    (found,) = problems(tmp_path, f"signals.codepage={codepage}")
    assert found.startswith(f"Invalid signals.codepage '{codepage}': expected")
