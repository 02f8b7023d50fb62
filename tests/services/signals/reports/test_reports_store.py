"""What terminals told is there after a restart."""

from decimal import Decimal

import pytest
from fakes.threads import ManualThread

from mtnet.services.signals.reports.registry import TerminalKey
from mtnet.services.signals.reports.store import ReportStore
from mtnet.services.signals.reports.wire import Report, Spec
from mtnet.storage.write_behind import SAVE_DELAY

ALICE = TerminalKey("alice", "desk")
REPORT = Report(trading=True, balance=Decimal("10.50"), offset=-3600)


@pytest.fixture
def disk():
    return ManualThread(held=False)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "signals.reports"


@pytest.fixture
def store(path, clock, disk):
    store = ReportStore(path, clock, disk)
    store.open()
    return store


def tell(store, report=REPORT, when=1_000):
    store.report(ALICE, report, when)
    store.describe(ALICE, Spec("EURUSD", tick=Decimal("1e-5")), when)


def again(store, path, clock, disk):
    other = ReportStore(path, clock, disk)
    other.open()
    assert list(other.reports) == list(store.reports)
    return other


def test_what_was_told_is_written_a_while_later_and_read_again(store, path, clock, disk):
    tell(store)
    clock.advance(SAVE_DELAY - 1)
    assert not path.exists()
    clock.advance(1)
    other = again(store, path, clock, disk)
    assert other.reports.last_two("alice", "desk")[0].report == REPORT
    assert str(other.reports.spec("alice", "desk", "EURUSD").spec.tick) == "0.00001"
    assert clock.getDelayedCalls() == []


def test_many_changes_are_one_write(store, clock, disk):
    disk.held = True
    for number in range(100):
        tell(store, when=number * 1_000)
    clock.advance(SAVE_DELAY)
    clock.advance(SAVE_DELAY)
    assert len(disk.calls) == 1


def test_a_stop_writes_what_is_not_written_and_nothing_else(store, path, clock, disk):
    tell(store)
    store.close()
    again(store, path, clock, disk)
    disk.held = True
    store.close()
    assert disk.calls == []
    assert clock.getDelayedCalls() == []


def test_a_disk_that_fails_is_warned_of_once_and_the_next_change_is_written(
    store, path, clock, disk, warnings
):
    path.mkdir()
    for number in range(3):
        tell(store, when=number * 1_000)
        clock.advance(SAVE_DELAY)
    assert len(warnings()) == 1
    path.rmdir()
    tell(store, when=9_000)
    clock.advance(SAVE_DELAY)
    again(store, path, clock, disk)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'[{"login": 1}]'])
def test_a_file_that_cannot_be_read_is_warned_of_and_keeps_nothing_from_starting(
    path, clock, disk, data, warnings
):
    path.write_bytes(data)
    store = ReportStore(path, clock, disk)
    store.open()
    assert list(store.reports) == []
    assert len(warnings()) == 1
    tell(store)
    clock.advance(SAVE_DELAY)
    again(store, path, clock, disk)
