"""The alerts as rows of JSON values."""

from collections.abc import Mapping
from typing import Any

from zope.interface import implementer

from mtnet.interfaces import IAlerts
from mtnet.services.alerts.incidents import Incidents
from mtnet.services.alerts.mutes import Mutes
from mtnet.services.alerts.settings import AlertRule


@implementer(IAlerts)
class AlertList:
    """
    Every alert, with the incidents that go on, and whether it is muted.

    Args:
        rules: [alerts.NAME] by name.
    """

    def __init__(self, rules: Mapping[str, AlertRule], incidents: Incidents, mutes: Mutes) -> None:
        self._rules, self._incidents, self._mutes = rules, incidents, mutes

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each alert, with its incidents, for `mtnet alerts list`."""
        muted = self._mutes.current()
        return [
            {
                "name": name,
                "when": rule.when,
                "for": rule.hold,
                "to": list(rule.to),
                "muted": name in muted,
                "until": muted.get(name),
                "incidents": [
                    {
                        "subject": each.subject,
                        "since": each.since,
                        "text": each.text,
                        **rule.public(each.subject),
                    }
                    for each in self._incidents
                    if each.alert == name and not each.ended
                ],
            }
            for name, rule in self._rules.items()
        ]
