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


@pytest.mark.parametrize("interface", [IService, IStreamListener, IFirstBytes, IStatus, IBackup])
def test_the_component_keeps_its_interfaces(component, interface):
    assert verifyObject(interface, interface(component))


@pytest.mark.parametrize(
    "interface", [ISignals, IReports, IControlCommands, IParticipants, IAlertConditions, IMetrics]
)
def test_what_it_names_keeps_its_interface(component, interface):
    assert verifyObject(interface, interface(component), tentative=True)


@pytest.mark.parametrize(
    ("head", "own"), [(b"<<EURUSD|1>>", True), (b"<", None), (b"GET ", False), (b">", False)]
)
def test_first_bytes_of_publishers_are_recognized(component, head, own):
    assert IFirstBytes(component).recognize(head) is own


def values(component):
    return {metric.name: metric.read() for metric in IMetrics(component).metrics()}


def test_metrics_count(env, component):
    connect(env.factory("signals"), env.clock).send(b"<<EURUSD|1.00>>")
    connect(env.factory("signals"), env.clock)
    env.clock.advance(env.of("signals").section.grace)
    found = values(component)
    assert found["mtnet_signals_followers"] == found["mtnet_signals_publishers"] == 1
    assert found["mtnet_signals_stored_total"] == 1
    assert found["mtnet_signals_waiting"] == 0
    assert found["mtnet_signals_channel_seq"] == {("main",): 1}
    assert found["mtnet_signals_publisher_up"] == {("main",): 1}


def observed(component, name):
    return values(component)[f"mtnet_signals_{name}_seconds"].buckets()[-1][1]


def test_each_commit_and_each_signal_is_timed_once(env, component):
    began = observed(component, "fsync")
    publisher = connect(env.factory("signals"), env.clock)
    publisher.send(b"<<EURUSD|1.00>>")
    publisher.send(b"<<EURUSD|2.00>><<GBPUSD|1.00>>")
    assert observed(component, "publish") == 3
    assert observed(component, "commit") == observed(component, "fsync") - began > 0


def test_the_lag_is_what_a_follower_has_not_acknowledged(env, component):
    follower = connect(env.factory("signals"), env.clock)
    follower.send(b"<<HELLO|v=2>><<SUBSCRIBE|channel=main>>")
    publisher = connect(env.factory("signals"), env.clock)
    for volume in (b"1.00", b"2.00", b"3.00"):
        publisher.send(b"<<EURUSD|%s>>" % volume)
    assert values(component)["mtnet_signals_follower_lag_signals"] == 0
    follower.send(b"<<ACK|channel=main|seq=1>>")
    assert values(component)["mtnet_signals_follower_lag_signals"] == 2
    assert values(component)["mtnet_signals_deliveries_total"] >= 3


def test_a_backup_is_a_journal_that_can_be_verified(env, component, tmp_path):
    connect(env.factory("signals"), env.clock).send(b"<<EURUSD|1.00>>")
    (tmp_path / "copy").mkdir()
    IBackup(component).backup(tmp_path / "copy")
    (entry,) = export(tmp_path / "copy" / "signals.sqlite")
    assert (entry.symbol, str(entry.volume)) == ("EURUSD", "1.00")
