"""The daemon's own metrics."""

import pytest
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mtnet.daemon.metrics import DaemonMetrics
from mtnet.interfaces import IHealth, IMetrics
from mtnet.testing import connect


@implementer(IHealth)
class Health:
    def __init__(self, **parts):
        self.parts = parts

    def health(self):
        return {"healthy": True, "trouble": [], **self.parts}


@pytest.fixture
def env(env_with):
    return env_with()


def values(env, **parts):
    metrics = DaemonMetrics(env.access, env.log, Health(**parts))
    assert verifyObject(IMetrics, metrics)
    return {metric.name: metric.read() for metric in metrics.metrics()}


def test_connections_are_counted_by_service(env):
    connect(env.factory("signals"), env.clock)
    assert values(env)["mtnet_daemon_connections"] == {("signals",): 1}


def test_each_part_is_healthy_or_not(env):
    found = values(env, disk={"healthy": False, "trouble": "full"}, ticks={"healthy": True})
    assert found["mtnet_daemon_healthy"] == {("disk",): 0, ("ticks",): 1}


def test_days_of_a_certificate_are_there_with_tls_alone(env):
    assert values(env)["mtnet_daemon_certificate_days"] == {}
    found = values(env, tls={"healthy": True, "days_left": 12})
    assert found["mtnet_daemon_certificate_days"] == {(): 12}


def test_logins_and_log_lines_are_counted(env):
    env.access.authenticator.counts["wrong"] += 2
    env.log.left_out += 3
    found = values(env)
    assert found["mtnet_daemon_logins_total"][("wrong",)] == 2
    assert found["mtnet_daemon_log_lines_left_out_total"] == 3
