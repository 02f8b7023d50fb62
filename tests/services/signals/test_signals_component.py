"""Signals as a component: its interfaces, its metrics, and what a backup takes along."""

import pytest
from zope.interface.verify import verifyObject

from mtnet.interfaces import (
    IAlertConditions,
    IBackup,
    IControlCommands,
    IFirstBytes,
    IMetrics,
    IParticipants,
    IReports,
    IService,
    ISignals,
    IStatus,
    IStreamListener,
)
from mtnet.services.signals.journal.export import export
from mtnet.testing import connect


@pytest.fixture
def env(env_with):
    return env_with("signals.pace=0")


@pytest.fixture
def component(env):
    return env.components.services["signals"]


@pytest.mark.parametrize(
    "interface", [IService, IStreamListener, IFirstBytes, IStatus, IMetrics, IBackup]
)
def test_the_component_keeps_its_interfaces(component, interface):
    assert verifyObject(interface, component)


@pytest.mark.parametrize(
    "interface", [ISignals, IReports, IControlCommands, IParticipants, IAlertConditions]
)
def test_what_it_names_keeps_its_interface(component, interface):
    assert verifyObject(interface, interface(component), tentative=True)


@pytest.mark.parametrize(
    ("head", "own"), [(b"<<EURUSD|1>>", True), (b"<", None), (b"GET ", False), (b">", False)]
)
def test_first_bytes_of_publishers_are_recognized(component, head, own):
    assert component.recognize(head) is own


def test_metrics_count(env, component):
    read = {name: read for name, _, _, read in component.metrics()}
    connect(env.factory("signals"), env.clock).send(b"<<EURUSD|1.00>>")
    connect(env.factory("signals"), env.clock)
    env.clock.advance(env.of("signals").section.grace)
    assert {name: read() for name, read in read.items()} == {
        "mtnet_signals_followers": 1,
        "mtnet_signals_publishers": 1,
        "mtnet_signals_waiting": 0,
    }


def test_a_backup_is_a_journal_that_can_be_verified(env, component, tmp_path):
    connect(env.factory("signals"), env.clock).send(b"<<EURUSD|1.00>>")
    (tmp_path / "copy").mkdir()
    component.backup(tmp_path / "copy")
    (entry,) = export(tmp_path / "copy" / "signals.sqlite")
    assert (entry.symbol, str(entry.volume)) == ("EURUSD", "1.00")
