"""The section `[alerts]`."""

from msgspec import field

from mtnet.config.schema import NamedTables, Positive, Seconds, Section

MONEY = ("drawdown", "daily_loss")
"""Conditions whose sentences name balances."""
NETWORKS = ("banned", "login_new_network")
"""Conditions whose sentences and subjects name networks of logins, `bob@192.0.2.0/24`."""


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
        """
        Return `public`, the sentence for those who may not see balances and networks, in place of
        `text` and `subject`; empty = they may see these.
        """
        word = self.when.split()[0]
        if word in NETWORKS:
            login = subject.rpartition("@")[0]
            return {"public": f"The condition `{word}` holds for {login or 'a network'}."}
        return {"public": f"The condition `{word}` holds for {subject}."} if word in MONEY else {}


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
