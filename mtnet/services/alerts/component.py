"""Alerts as a component of the daemon."""

from collections.abc import Mapping
from typing import Any

from twisted.web.client import Agent
from zope.interface import implementer

from mtnet.daemon.component import Component, DatabaseBackup
from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IAlertConditions,
    IAlerts,
    IAssembled,
    IBackup,
    IControlCommands,
    IEvents,
    IHealth,
    IHttpResources,
    INotifier,
    IStatus,
)
from mtnet.services.alerts.commands import AlertCommands
from mtnet.services.alerts.conditions import GuardedCheck, check_rules, read_when, words
from mtnet.services.alerts.heartbeat_out import TIMEOUT, HeartbeatSender
from mtnet.services.alerts.heartbeats import Heartbeats
from mtnet.services.alerts.incidents import Incident, Incidents, Terms
from mtnet.services.alerts.listing import AlertList
from mtnet.services.alerts.mutes import Mutes
from mtnet.services.alerts.resources import AlertResources, HeartbeatResources
from mtnet.services.alerts.settings import AlertRule
from mtnet.services.alerts.store import AlertStore, Loaded
from mtnet.services.alerts.watch import AlertWatch, Record


@implementer(IStatus)
class AlertStatus:
    """Reports the alerts, and whether the sign of life goes out."""

    def __init__(self, alerts: AlertList, incidents: Incidents, sender: HeartbeatSender) -> None:
        self._alerts, self._incidents, self._sender = alerts, incidents, sender

    def health(self) -> dict[str, Any]:
        """Report how many incidents go on; that alone is no trouble of the daemon."""
        going = sum(not each.ended for each in self._incidents)
        return {"healthy": True, "trouble": None, "incidents": going}

    def status(self) -> dict[str, Any]:
        """Report for `mtnet status`."""
        trouble = self._sender.last or None
        return {**self.health(), "alerts": self._alerts.rows(), "heartbeat out": trouble}


@implementer(IAssembled)
class AlertAssembly:
    """Joins alerts with the conditions and the people of other components."""

    def __init__(self, env: Environment, watch: AlertWatch) -> None:
        self._env, self._watch = env, watch

    def assembled(self) -> None:
        """
        Give each alert its condition, and the people who are told.

        Raises:
            ConfigError: there is no such condition, or no such people.
        """
        watch, offers = self._watch, self._env.find_all(IAlertConditions)
        makers = words(each.conditions() for each in offers.values())
        notifier = self._env.find(INotifier)
        names = () if notifier is None else tuple(notifier.names)
        check_rules(watch.rules, makers, names)
        watch.checks = {
            name: GuardedCheck(name, read_when(name, rule.when, makers))
            for name, rule in watch.rules.items()
        }
        watch.tell = notifier.notify if names else None
        watch.record = recorder(self._env, watch.rules)


def recorder(env: Environment, rules: Mapping[str, AlertRule]) -> Record | None:
    """Return what records incidents as events; None = nobody keeps events."""
    events = env.find(IEvents)
    if events is None:
        return None

    def record(kind: str, text: str, incident: Incident) -> None:
        level = "info" if incident.ended else "warning"
        facts = {"alert": incident.alert, "subject": incident.subject}
        rule = rules.get(incident.alert)
        shown = {} if rule is None else rule.public(incident.subject)
        events.record(kind, text, level, **facts, **shown)

    return record


def build(env: Environment) -> Component:
    """
    Build the component.

    Raises:
        JournalError: the file of alerts cannot be read.
    """
    path, thread, settings = env.file("alerts.sqlite"), env.worker(), env.section
    store = AlertStore(path)
    rules = settings.tables
    loaded = store.load() if rules or path.exists() else Loaded([], {}, [])
    terms = {name: Terms(rule.hold, rule.ends) for name, rule in rules.items()}
    incidents = Incidents(terms, settings.settle, loaded.incidents)
    mutes = Mutes(rules, loaded.mutes, store, thread, env.now)
    watch = AlertWatch(rules, incidents, mutes, store, thread, env.clock, env.now)
    alerts = AlertList(rules, incidents, mutes)
    heartbeats = Heartbeats(loaded.heartbeats, store, thread, env.clock, env.now)
    agent = Agent(env.clock, connectTimeout=TIMEOUT) if settings.heartbeat_out.url else None
    health = lambda: env.find(IHealth).health()  # noqa: E731
    sender = HeartbeatSender(settings.heartbeat_out, agent, env.clock, health)
    return Component(
        {
            IAssembled: AlertAssembly(env, watch),
            IAlertConditions: heartbeats,
            IAlerts: alerts,
            IControlCommands: AlertCommands(alerts, mutes, watch, heartbeats),
            IHttpResources: AlertResources(HeartbeatResources(heartbeats), alerts, mutes),
            IStatus: AlertStatus(alerts, incidents, sender),
            IBackup: DatabaseBackup(path),
        },
        start=[watch.start, sender.start],
        stop=[watch.stop, sender.stop],
    )
