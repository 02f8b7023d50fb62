"""Ticks as a component: its metrics, and what a backup takes along."""

import pytest
from zope.interface.verify import verifyObject

from mtnet.errors import JournalError
from mtnet.interfaces import (
    IBackup,
    IDatagramListener,
    IFirstBytes,
    IMetrics,
    IService,
    IStatus,
    IStreamListener,
    ITicks,
)
from mtnet.services.ticks.storage.hot import HotStore
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.testing import EPOCH

INTERFACES = (IService, IStreamListener, IDatagramListener, IFirstBytes, IBackup)


@pytest.fixture
def env(env_with):
    return env_with("reserve=0")


@pytest.fixture
def component(env):
    return env.components.services["ticks"]


def take(env, *prices):
    ticks = env.find(ITicks)
    ticks.take(ticks.source("desk-1"), [(b"EURUSD", price) for price in prices], EPOCH)


@pytest.mark.parametrize("interface", INTERFACES)
def test_the_component_keeps_its_interfaces(component, interface):
    assert verifyObject(interface, interface(component))


def test_the_collector_is_offered_to_other_components(env):
    assert verifyObject(ITicks, env.find(ITicks))


def test_metrics_are_named_and_typed_as_prometheus_has_them(component):
    found = IMetrics(component).metrics()
    assert len({name for name, *_ in found}) == len(found)
    for name, kind, text, read, _ in found:
        assert name.startswith("mtnet_ticks_")
        assert kind == ("counter" if name.endswith("_total") else "gauge")
        assert text.endswith(".")
        assert read() == 0


def test_metrics_count(env, component, clock):
    read = {metric.name: metric.read for metric in IMetrics(component).metrics()}
    take(env, b"1.1", b"1.2")
    assert read["mtnet_ticks_received_total"]() == read["mtnet_ticks_waiting"]() == 2
    clock.advance(1.0)
    assert read["mtnet_ticks_stored_total"]() == 2
    assert (read["mtnet_ticks_waiting"](), read["mtnet_ticks_symbols"]()) == (0, 1)


def test_a_backup_is_whole_while_the_daemon_goes_on(env, component, clock, tmp_path):
    take(env, b"1.1", b"1.2")
    clock.advance(1.0)
    IBackup(component).backup(tmp_path)
    take(env, b"1.3")
    clock.advance(1.0)
    copied = TickReader(tmp_path / "ticks.sqlite").ticks(b"EURUSD")
    assert [tick.rest for tick in copied] == [b"1.1", b"1.2"]
    assert (tmp_path / "ticks.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_backup_replaces_nothing(env, component, clock, tmp_path):
    take(env, b"1.1")
    clock.advance(1.0)
    IBackup(component).backup(tmp_path)
    with pytest.raises(JournalError, match=r"is not copied to .*ticks\.sqlite"):
        IBackup(component).backup(tmp_path)


def test_health_tells_of_a_log_that_is_not_merged_until_it_is(component, clock, monkeypatch):
    def fails(store, age):
        raise JournalError("The disk is full.")

    component.start()
    with monkeypatch.context() as patch:
        patch.setattr(HotStore, "join", fails)
        clock.advance(60.0)
        health = IStatus(component).health()
    assert (health["healthy"], health["trouble"][-17:]) == (False, "The disk is full.")
    assert IStatus(component).status()["healthy"] is False
    clock.advance(60.0)
    assert (IStatus(component).health()["healthy"], IStatus(component).health()["trouble"]) == (
        True,
        None,
    )


def test_the_status_says_what_a_power_cut_may_cost(component):
    said = "costs ticks of 60 s at most, and none that SYNC answered"
    assert IStatus(component).status()["power cut"] == said
