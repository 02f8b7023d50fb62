"""A server that the doctor examines, and what is told of it."""

import time
from dataclasses import replace

from mtnet.cli.doctor.findings import NOTE, OK, WRONG, Target, judge
from mtnet.cli.doctor.probe import PortReport, TlsReport
from mtnet.net.tls.authority import issue, make_authority

NOW = time.time_ns() // 1_000_000
VISIT = Target("fx.example", named=True, authority="", now=NOW)
ISSUER = make_authority("trading-pc", NOW)
LEAF = issue(ISSUER, ["fx.example"], NOW).chain[0]


def levels(report, target=VISIT):
    """Return the findings about an address and port, as texts by level."""
    found = {OK: "", NOTE: "", WRONG: ""}
    for finding in judge(target, [report] if isinstance(report, PortReport) else report):
        if finding.about != target.host:
            found[finding.level] += f"{finding.text} {finding.todo}\n"
    return found


def all_of(reports, target=VISIT):
    return [finding for finding in judge(target, reports) if finding.about == target.host]


def secure(certificate=LEAF, **fields):
    report = PortReport(
        "192.0.2.7", 8481, service="ticks", secure=TlsReport(certificate=certificate)
    )
    return replace(report, secure=replace(report.secure, **fields))
