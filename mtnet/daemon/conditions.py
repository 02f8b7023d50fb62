"""Conditions of alerts about the daemon itself: its disk, certificates, bans and logins."""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mtnet.access.control import AccessControl
from mtnet.clock import WallClock
from mtnet.conditions import SECONDS, Condition, Grammar, read_condition
from mtnet.interfaces import IAlertConditions, IConditionGrammar
from mtnet.net.tls.certificates import day
from mtnet.net.tls.store import CertificateStore
from mtnet.storage.space import Space

UNITS: Mapping[str, int] = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MiB": 2**20, "GiB": 2**30}
"""Bytes of the units of `disk_low`."""
NEW_NETWORK = 600.0
"""Seconds for which a login from a new network holds as a condition: it happens at one moment."""
MAX_NEW_NETWORKS = 100
"""Logins from new networks that are remembered for that long."""
BANS_INTERVAL = 10.0
"""Seconds between two looks at the bans: an attack makes 65,536 of them."""
MAX_BANS = 1_000
"""Bans that are looked at."""

GRAMMAR: Grammar = {
    "disk_low": partial(
        read_condition,
        "disk_low",
        units=(*UNITS, "%"),
        example="disk_low < 5GiB, or disk_low < 10%",
        operators=("<",),
    ),
    "disk_trouble": partial(
        read_condition, "disk_trouble", units=(), example="disk_trouble", optional=True
    ),
    "certificate_expires": partial(
        read_condition,
        "certificate_expires",
        units=SECONDS,
        example="certificate_expires < 14d",
        operators=("<",),
    ),
    "banned": partial(
        read_condition, "banned", units=("",), example="banned, or banned > 10", optional=True
    ),
    "login_new_network": partial(
        read_condition,
        "login_new_network",
        units=(),
        example="login_new_network, or login_new_network bob",
        optional=True,
    ),
}
"""The conditions of the daemon itself."""

Check = Callable[[], Mapping[str, str]]


@implementer(IConditionGrammar)
class DaemonGrammar:
    """The grammar of these conditions, as plugins have it."""

    def grammar(self) -> Grammar:
        """Return what reads each."""
        return GRAMMAR


class NewLogin(NamedTuple):
    """A login from a network that its account had not used."""

    when: float
    name: str
    network: str


@implementer(IAlertConditions)
class DaemonConditions:
    """
    Conditions by their words.

    Args:
        health: returns the report of `IHealth`, without paths.
        certificates: None = there is no TLS.

    Attributes:
        space: of the disk at the last look; None = unknown.
    """

    def __init__(
        self,
        access: AccessControl,
        health: Callable[[], Mapping[str, Any]],
        certificates: CertificateStore | None,
        clock: IReactorTime,
        now: WallClock,
    ) -> None:
        self._access, self._health, self._certificates = access, health, certificates
        self._clock, self._now = clock, now
        self.space: Space | None = None
        self._bans: tuple[float, dict[str, str]] = (-BANS_INTERVAL, {})
        self._new: deque[NewLogin] = deque(maxlen=MAX_NEW_NETWORKS)
        access.accounts.on_new_network = self._logged_in

    def conditions(self) -> dict[str, Callable[[str], Check]]:
        """Return the words, see `IAlertConditions`."""
        return {
            "disk_low": self._disk_low,
            "disk_trouble": self._disk_trouble,
            "certificate_expires": self._certificate_expires,
            "banned": self._banned,
            "login_new_network": self._login_new_network,
        }

    def _disk_low(self, text: str) -> Check:
        return partial(self._low, GRAMMAR["disk_low"](text))

    def _low(self, wanted: Condition) -> dict[str, str]:
        if self.space is None:
            return {}
        free, total = self.space
        value = free * 100 / total if wanted.unit == "%" else free / UNITS[wanted.unit]
        if value >= wanted.number:
            return {}
        return {"disk": f"The disk of the data folder has {free / 2**30:.1f} GiB left."}

    def _disk_trouble(self, text: str) -> Check:
        GRAMMAR["disk_trouble"](text)
        return self._troubles

    def _troubles(self) -> dict[str, str]:
        parts = {name: part for name, part in self._health().items() if isinstance(part, Mapping)}
        return {
            name: f"{name}: {part.get('trouble') or 'it is not healthy; the log says why'}"
            for name, part in parts.items()
            if not part.get("healthy", True)
            and name != "tls"
            and not (part.get("damaged") or part.get("diverged"))
        }

    def _certificate_expires(self, text: str) -> Check:
        return partial(self._expiring, GRAMMAR["certificate_expires"](text).milliseconds)

    def _expiring(self, left: int) -> dict[str, str]:
        found = {} if self._certificates is None else self._certificates.expiries()
        return {
            name: f"The certificate of {name} expires on {day(until)}."
            for name, until in found.items()
            if until - self._now() < left
        }

    def _banned(self, text: str) -> Check:
        return partial(self._bans_of, GRAMMAR["banned"](text))

    def _bans_of(self, wanted: Condition) -> dict[str, str]:
        when = self._clock.seconds()
        if when - self._bans[0] >= BANS_INTERVAL:
            rows = self._access.bans.rows(when, MAX_BANS)
            names = {
                "@".join(filter(None, (row["login"], row["network"]))): row["why"]
                for row in rows
                if row["seconds"] is None or row["seconds"] > 0
            }
            self._bans = when, {name: f"{name} is banned ({why})." for name, why in names.items()}
        banned = self._bans[1]
        if not wanted.operator:
            return banned
        text = f"{len(banned)} networks and logins are banned."
        return {"bans": text} if wanted.holds(len(banned)) else {}

    def _login_new_network(self, text: str) -> Check:
        return partial(self._new_networks, GRAMMAR["login_new_network"](text).subject)

    def _new_networks(self, name: str) -> dict[str, str]:
        since = self._clock.seconds() - NEW_NETWORK
        return {
            f"{each.name}@{each.network}": f"{each.name} has logged in from {each.network}, which "
            "that login had not used for 30 days."
            for each in self._new
            if each.when > since and name in ("", each.name)
        }

    def _logged_in(self, name: str, network: str) -> None:
        self._new.append(NewLogin(self._clock.seconds(), name, network))
