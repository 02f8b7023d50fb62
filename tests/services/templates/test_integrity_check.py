"""Templates on disk, checked while the daemon runs."""

from mtnet.interfaces import ITemplates
from mtnet.services.templates.integrity_check import (
    CHECK_INTERVAL,
    REPORT_INTERVAL,
    IntegrityCheckService,
)

TEMPLATE = b"<chart>\nnumber=%d\n</chart>\n"


def test_a_damaged_version_is_told_once_and_a_few_are_read_each_second(env_with, clock, warnings):
    env = env_with()
    for number in range(20):
        version, _ = env.find(ITemplates).library.store("EURUSD", "H1", TEMPLATE % number, 0)
    folder = env.find(ITemplates).library._path(version).parent
    (folder / version.file).write_bytes(b"rotten")
    env = env_with()
    service = IntegrityCheckService(env.of("templates"), env.find(ITemplates).library)
    service.startService()
    assert len(warnings()) == 1  # the newest is looked at first
    clock.pump([CHECK_INTERVAL] * 5)
    assert len(env.find(ITemplates).library._unchecked) == 14
    clock.pump([CHECK_INTERVAL] * 20 + [REPORT_INTERVAL] * 3)
    assert [version.file in event["sentence"] for event in warnings()] == [True]
    service.stopService()
    assert clock.getDelayedCalls() == []


def test_what_is_found_damaged_when_it_is_served_is_told_too(env_with, clock, warnings):
    env = env_with()
    version, _ = env.find(ITemplates).library.store("EURUSD", "H1", TEMPLATE % 1, 0)
    service = IntegrityCheckService(env.of("templates"), env.find(ITemplates).library)
    service.startService()
    env.find(ITemplates).library._path(version).write_bytes(b"rotten")
    env.find(ITemplates).library.content(version)
    clock.pump([REPORT_INTERVAL] * 2)
    assert [version.file in event["sentence"] for event in warnings()] == [True]
    service.stopService()
