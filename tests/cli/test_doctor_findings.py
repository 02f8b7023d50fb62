"""What `mtnet doctor` makes of what it has heard."""

from dataclasses import replace

import pytest
from doctor_reports import ISSUER, LEAF, NOW, VISIT, all_of, levels, secure

from mtnet.cli.doctor.findings import NOTE, OK, WRONG, fits
from mtnet.cli.doctor.ports import HTTPS
from mtnet.cli.doctor.probe import (
    HttpReply,
    PortReport,
)
from mtnet.durations import DAY_MS
from mtnet.net.tls.authority import issue, thumbprints


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [
        (-1, WRONG, "not valid before"),
        (1, OK, "valid for fx.example"),
        (365 - 29, NOTE, "expires on"),
        (365 - 6, WRONG, "expires on"),
        (366, WRONG, "expired on"),
    ],
)
def test_dates_are_told_by_the_clock_of_this_machine(days, level, words):
    target = replace(VISIT, now=NOW + days * DAY_MS)
    said = levels(secure(), target)
    assert words in said[level]
    assert "valid for fx.example" in said[OK]
    assert bool(said[WRONG]) == (level == WRONG)


def test_an_issuer_that_expired_is_told_though_the_certificate_has_not():
    assert "certificate has expired" in levels(secure(untrusted="certificate has expired"))[WRONG]


def test_a_certificate_of_ones_own_authority_is_told_with_what_windows_needs():
    said = levels(secure(), replace(VISIT, authority="ca.pem"))[NOTE]
    assert "certutil -addstore Root" in said
    assert "not documented by MetaQuotes" in said
    assert thumbprints(LEAF)["sha1"] in said
    assert "certutil" not in levels(secure())[NOTE]


def test_a_certificate_that_cannot_be_read_is_told():
    assert "5275" in levels(secure(certificate=None))[WRONG]


@pytest.mark.parametrize(
    ("names", "host", "fit"),
    [
        (["fx.example"], "fx.example", True),
        (["fx.example"], "gold.example", False),
        (["*.fx.example"], "demo.fx.example", True),
        (["*.fx.example"], "fx.example", False),
        (["192.0.2.7"], "192.0.2.7", True),
        (["192.0.2.7"], "192.0.2.8", False),
        (["2001:db8::7"], "2001:db8::7", True),
        (["fx.example"], "192.0.2.7", False),
        (["192.0.2.7"], "fx.example", False),
    ],
)
def test_a_certificate_fits_the_names_that_it_has(names, host, fit):
    assert fits(issue(ISSUER, names, NOW).chain[0], host) == fit
    assert not fits(ISSUER.chain[0], host)


@pytest.mark.parametrize(
    ("failure", "words"),
    [("refused", "Nothing listens"), ("late", "firewall"), ("No route to host", "No route")],
)
def test_a_port_that_was_named_must_answer(failure, words):
    report = PortReport("192.0.2.7", 8081, failure=failure)
    assert words in levels(report)[WRONG]
    assert "5272" in levels(report)[WRONG]
    unnamed = replace(VISIT, named=False)
    assert levels(report, unnamed)[WRONG] == ""
    assert words in levels(report, unnamed)[NOTE]
    (nothing,) = [each for each in all_of([report], unnamed) if each.level == WRONG]
    assert "None of the ports" in nothing.text


def test_an_address_of_a_name_that_does_not_answer_is_told_beside_one_that_does():
    good = PortReport("192.0.2.7", 8081, service="signals")
    for failure, level in (("refused", NOTE), ("Network is unreachable", NOTE), ("late", WRONG)):
        said = levels([good, PortReport("2001:db8::7", 8081, failure=failure)])
        assert said[level]
        assert bool(said[WRONG]) == (level == WRONG)
    late = PortReport("2001:db8::7", 8081, failure="late")
    assert levels([good, late], replace(VISIT, named=False))[WRONG]


@pytest.mark.parametrize(
    ("status", "body", "level", "words"),
    [
        (200, {"name": "mtnet", "version": "0.1.0"}, OK, "mtnet 0.1.0"),
        (404, {"error": "missing"}, NOTE, "mtnet templates put"),
        (403, {"error": "host"}, WRONG, "web.hosts=fx.example"),
        (200, {}, WRONG, "not mtnet"),
        (200, {"name": "other"}, WRONG, "not mtnet"),
    ],
)
def test_web_servers_are_told_apart(status, body, level, words):
    report = PortReport("192.0.2.7", 8083, service="http", web=HttpReply(status, body))
    assert words in levels(report)[level]
    assert bool(levels(report)[WRONG]) == (level == WRONG)


def test_one_port_for_all_is_told_with_all_that_it_does():
    report = PortReport("192.0.2.7", 8443, service="any", web=HttpReply(200, {"name": "mtnet"}))
    assert "Signals, templates, ticks and HTTP answer on one port, plain." in levels(report)[OK]
    said = levels(replace(report, detail="unheard"))
    assert "silent clients get no signals. To follow signals from here, add follow" in said[NOTE]
    assert said[OK] + said[WRONG] == ""
    refused = replace(report, web=HttpReply(403, {"error": "host"}))
    assert "web.hosts=fx.example" in levels(refused)[WRONG]


def test_a_website_on_443_is_no_fault_as_long_as_nobody_asked_for_it():
    report = replace(secure(), port=HTTPS, service="http", web=HttpReply(200))
    assert levels(report, replace(VISIT, named=False))[WRONG] == ""
    assert "not mtnet" in levels(report)[WRONG]


@pytest.mark.parametrize(
    ("skew", "level", "words"),
    [
        (0.5, OK, "agree"),
        (-29, OK, "agree"),
        (45, WRONG, "45 s ahead"),
        (-90, WRONG, "90 s behind"),
    ],
)
def test_clocks_that_differ_are_told(skew, level, words):
    report = PortReport(
        "192.0.2.7", 8083, service="http", web=HttpReply(200, {"name": "mtnet"}, skew)
    )
    (found,) = [each for each in all_of([report]) if "clock" in each.text]
    assert found.level == level
    assert words in found.text


@pytest.mark.parametrize(
    "report",
    [PortReport("192.0.2.7", 8081, failure="late"), PortReport("192.0.2.7", 8082, service="ticks")],
)
def test_the_list_of_each_terminal_is_always_told(report):
    (found,) = [each for each in all_of([report]) if "4014" in each.text]
    assert "Tools > Options > Expert Advisors" in found.text
    assert found.level == NOTE


def test_hints_for_programmers_name_plain_ports_and_tls():
    plain = " ".join(each.text for each in all_of([PortReport("192.0.2.7", 8082, service="ticks")]))
    assert "SocketTlsHandshake fails with error 5274" in plain
    assert "Datagrams are never answered" in plain
    assert "must call SocketTlsHandshake" not in plain
    through = " ".join(each.text for each in all_of([secure()]))
    assert "must call SocketTlsHandshake" in through
    alone = " ".join(each.text for each in all_of([replace(secure(), port=HTTPS)]))
    assert "must call SocketTlsHandshake" not in alone


def test_its_own_machine_is_no_stranger():
    report = PortReport("127.0.0.1", 8081, service="signals")
    assert any("its own machine" in each.text for each in all_of([report]))
    assert not any(
        "its own machine" in each.text for each in all_of([replace(report, address="192.0.2.7")])
    )
