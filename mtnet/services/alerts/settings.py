"""The section `[alerts]`."""

from msgspec import field

from mtnet.config.schema import NamedTables, Positive, Seconds, Section

MONEY = ("drawdown", "daily_loss")
"""Conditions whose sentences name balances."""


class AlertRule(Section, frozen=True, rename={"hold": "for"}):
    """`[alerts.NAME]`: what people are told of."""

    when: str
    """A condition, such as `disk_low < 5GiB`: its first word names it."""
    hold: Seconds = 0.0
    """`for`: how long it must hold before an incident begins."""
    to: tuple[str, ...] = ()
    """Names of [notify.NAME]; empty = all of them."""
    ends: bool = True
    """Whether people are told of the end too; false for what happens once, such as a login."""

    def public(self, subject: str) -> dict[str, str]:
        """Return `public`, the sentence for those who may not see balances; empty = none is."""
        if not self.when.startswith(MONEY):
            return {}
        return {"public": f"The condition `{self.when.split()[0]}` holds for {subject}."}


class HeartbeatOut(Section, frozen=True):
    """`[alerts.heartbeat_out]`: a sign of life to a service that raises an alert without it."""

    url: str = ""
    """Called while the daemon is healthy; empty = none."""
    every: Positive = 60.0
    """Seconds between two calls."""


class AlertSettings(NamedTables, frozen=True):
    """`[alerts]`."""

    tables: dict[str, AlertRule] = field(default_factory=dict)
    heartbeat_out: HeartbeatOut = HeartbeatOut()
    settle: Seconds = 60.0
    """Seconds for which a condition must not hold before its incident ends: what comes and goes is
    one incident. After a start nothing ends earlier either: terminals come back first."""
