"""
Who is kept out for what they did, and for how long.

A penalty adds to what is left of the one before, and keeps out only once it is worth it: a slip
of the hand costs nothing, a habit does. Bad logins double it. It falls on the network, and on
the login as tried from that network, but never on a login alone: everybody could then keep its
owner out.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from functools import lru_cache
from heapq import nlargest
from ipaddress import ip_network
from math import inf, isinf
from typing import Any, NamedTuple

from mtnet.access.anonymous import parse_host
from mtnet.access.bans.manual import WHY, Address, ManualBans, parse_network
from mtnet.access.bans.penalties import Key, Penalties, Penalty
from mtnet.access.throttle import network
from mtnet.config.schema import Bans as Settings
from mtnet.errors import JournalError, WireError

WIDE = 48
"""Bits of the IPv6 networks that many customers get whole, with 65,536 networks of /64."""
DOUBLINGS = 64
"""After which every cap is long reached, and a float not yet too small."""
LOGIN_KEPT = 64
"""Characters of a login that are told apart; no account has more."""
SET = 60.0
"""Seconds by which the wall clock may move before what is stored by it is stored anew."""
RECENT = 1_024
"""Hosts whose networks are not worked out again: each is asked for several times."""


class Offence(Enum):
    """What is punished, by the name of its weight among the settings."""

    LOGIN = "login"
    FRAME = "frame"
    DEADLINE = "deadline"
    ERROR = "error"


OUR_TROUBLE = (OSError, JournalError, MemoryError)
"""Errors that are never the fault of whoever was connected: a full disk, too many open files."""


class Changes(NamedTuple):
    """
    What has to be stored.

    Attributes:
        put: penalties that are new, or others than before.
        gone: those that are no more.
        offset: seconds that make wall time of when a penalty ends.
    """

    put: dict[Key, Penalty]
    gone: list[Key]
    offset: float

    def __bool__(self) -> bool:
        return bool(self.put or self.gone)

    def records(self) -> Iterator[tuple[Key, Penalty]]:
        """Yield what was put, with ends in seconds since the Unix epoch."""
        for key, penalty in self.put.items():
            yield key, penalty._replace(until=penalty.until + self.offset)


class Bans:
    """
    Every moment that is asked for is in seconds of one clock that is never set.

    A host without an address, which a Unix socket's is, is neither punished nor barred.

    Attributes:
        offences: how many there were so far, by kind.
        began: is told the penalty of whoever is kept out from now on, and for how many seconds.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._penalties = Penalties(settings.max_penalties, settings.remember_expired)
        self._by_hand = ManualBans()
        self._stored: dict[Key, Penalty] = {}
        self._over: list[tuple[Key, Penalty]] = []
        self._offset: float | None = None
        self.began: Callable[[Key, Penalty, float], object] = lambda key, penalty, seconds: None
        self.offences: Counter[str] = Counter({each.value: 0 for each in Offence})

    # What peers do

    def punish(self, host: str, offence: Offence, when: float, login: str = "") -> None:
        """
        Add to the penalty of a host's network.

        Args:
            login: whose password was wrong, or who there is not.
        """
        self.offences[offence.value] += 1
        if not host:
            return
        near, wide, _ = _place(host)
        if login and offence is Offence.LOGIN:
            self._add(_login_key(login, near), offence, when)
        self._add(Key(near), offence, when)
        if wide:
            self._add(Key(wide), offence, when, self._settings.ipv6_48_factor)

    def pardon(self, login: str, host: str) -> None:
        """
        Forget the bad logins of one that was good at last.

        Its network's are not: else whoever has an account could guess others in between.
        """
        self._penalties.drop(_login_key(login, _place(host).near))

    def ban_left(self, host: str, when: float) -> float:
        """Return for how many seconds a host is kept out still."""
        if not host or not (self._penalties or self._by_hand):
            return 0.0
        near, wide, _ = _place(host)
        earned = max(self._left(Key(each), when) for each in (near, wide))
        return max(earned, self.manual_ban_left(host, when))

    def manual_ban_left(self, host: str, when: float) -> float:
        """Return for how many seconds the owner keeps a host out still."""
        address = _place(host).address
        return 0.0 if address is None else self._by_hand.left(address, when)

    def login_ban_left(self, login: str, host: str, when: float, known: bool) -> float:
        """
        Return for how many seconds a login cannot be tried from a host.

        Args:
            known: whether it has lately been used from the host's network, so that it does not
                suffer for what others do there.
        """
        if not host:
            return 0.0
        others = self.manual_ban_left(host, when) if known else self.ban_left(host, when)
        return max(self._left(_login_key(login, _place(host).near), when), others)

    # What the owner does

    def add(self, text: str, seconds: float | None, when: float) -> None:
        """
        Ban an address or a network.

        Args:
            seconds: for how long; None = for ever.

        Raises:
            WireError: `network` or `seconds`; it is none.
        """
        if seconds is not None and not 0 < seconds < inf:
            raise WireError("seconds", "A ban lasts for a number of seconds above 0, or for ever")
        most = inf if seconds is None else seconds
        self._by_hand.put(parse_network(text), Penalty(when + most, most, bars=True, why=WHY))

    def lift(self, text: str) -> bool:
        """
        Forget what a network has earned, with all its logins, or LOGIN@NETWORK alone.

        Returns:
            Whether there was anything.
        """
        login, _, place = text.rpartition("@")
        if login:
            return self._penalties.drop(_login_key(login, _named(place)))
        self._over = [record for record in self._over if record[0].network != _named(place)]
        gone = [key for key in self._penalties.all() if key.network == _named(place)]
        lifted = [self._penalties.drop(key) for key in gone]
        return self._lift_by_hand(place) or any(lifted)

    def rows(self, when: float, most: int | None = None) -> list[dict[str, Any]]:
        """
        Tell people who has penalties: those that keep out first, the longest first.

        Args:
            most: of how many is told; None = of all.

        Returns:
            Dicts of `network`, `login`, `seconds` (for which it keeps out still; None = for
            ever), `bad` (logins), `why` and `by_hand`.
        """
        self._tidy(when)
        everything = self._all()
        some = len(everything) if most is None else most
        first = nlargest(some, everything.items(), key=lambda item: item[1].left(when))
        return [_row(key, penalty, when) for key, penalty in first]

    def __len__(self) -> int:
        """Return how many penalties are remembered."""
        return len(self._all())

    # What lasts

    def load(self, records: Iterable[tuple[Key, Penalty]], when: float, wall: float) -> None:
        """
        Remember what was stored.

        Args:
            records: with ends in seconds since the Unix epoch.
            wall: seconds since the Unix epoch. Penalties that are over by it are kept aside, in
                case it is wrong; none lasts longer than it could from now.
        """
        self._offset = wall - when
        for key, stored in records:
            if stored.until <= wall and stored.bars:
                self._over.append((key, stored))
            left = stored.until - wall
            held = stored._replace(until=when + min(left, stored.most))
            self._hold(key, held, when)
            # An end that was too late is stored anew, or each restart would put it off again.
            self._stored[key] = held if left <= stored.most else stored

    def changes(self, when: float, wall: float, steady: bool = True) -> Changes:
        """
        Return what is not stored as it is now.

        Args:
            wall: seconds since the Unix epoch.
            steady: whether the wall clock was right for long; before, nothing is deleted for
                its age.
        """
        self._follow(when, wall, steady)
        self._tidy(when)
        # Compared as a whole: a list of what changed would grow for as long as the disk fails.
        held, stored = self._all(), self._stored
        put = {key: each for key, each in held.items() if stored.get(key) is not each}
        aside = {key for key, _ in self._over}
        return Changes(put, list(stored.keys() - held.keys() - aside), wall - when)

    def settle(self, changes: Changes) -> None:
        """Take note that changes were stored."""
        self._stored.update(changes.put)
        for key in changes.gone:
            self._stored.pop(key, None)

    def _follow(self, when: float, wall: float, steady: bool) -> None:
        """Take note that the wall clock was set: what is stored is meant by another one."""
        if steady:
            self._over = []
        if self._offset is None or abs(wall - when - self._offset) <= SET:
            return
        self._offset = wall - when
        self._stored = {key: each._replace() for key, each in self._stored.items()}
        back = [record for record in self._over if record[1].until > wall]
        held = self._all()
        self._over = [record for record in self._over if record[1].until <= wall]
        for key, penalty in back:
            if key not in held or not held[key].left(when):
                left = min(penalty.until - wall, penalty.most)
                self._hold(key, penalty._replace(until=when + left), when)

    # How it is counted

    def _add(self, key: Key, offence: Offence, when: float, lax: int = 1) -> None:
        old = self._penalties.get(key, when) or Penalty(when, 0.0)
        bad = old.bad + (offence is Offence.LOGIN)
        grown = old._replace(bad=bad, why=offence.value).grown(
            self._weight(offence, bad, lax), self._cap(offence), self._settings.ban_threshold, when
        )
        self._penalties.put(key, grown, when)
        if grown.left(when) and not old.left(when):
            self.began(key, grown, grown.left(when))

    def _weight(self, offence: Offence, bad: int, lax: int) -> float:
        """Return the seconds that an offence adds; the first `lax` bad logins count as one."""
        base: float = getattr(self._settings, offence.value)
        if offence is Offence.LOGIN and bad > lax:
            return base * 2.0 ** min(bad - lax, DOUBLINGS)
        return base / lax

    def _cap(self, offence: Offence) -> float:
        return (
            self._settings.max_login_penalty
            if offence is Offence.LOGIN
            else self._settings.max_penalty
        )

    def _left(self, key: Key, when: float) -> float:
        found = self._penalties.get(key, when)
        return 0.0 if found is None else found.left(when)

    def _lift_by_hand(self, text: str) -> bool:
        try:
            return self._by_hand.drop(parse_network(text))
        except WireError:
            return False  # the name of a host, which earns penalties but is banned by nobody

    def _hold(self, key: Key, penalty: Penalty, when: float) -> None:
        if key.by_hand:
            self._by_hand.put(parse_network(key.network), penalty)
        else:
            self._penalties.put(key, penalty, when)

    def _tidy(self, when: float) -> None:
        self._penalties.tidy(when)
        self._by_hand.tidy(when)

    def _all(self) -> dict[Key, Penalty]:
        return self._by_hand.all() | self._penalties.all()


class _Place(NamedTuple):
    """
    Where a host is.

    Attributes:
        near: the network that it is counted in.
        wide: the wider one around it; empty where there is none.
        address: its own; None = it has none.
    """

    near: str
    wide: str
    address: Address | None


@lru_cache(RECENT)
def _place(host: str) -> _Place:
    address = parse_host(host)
    if address is None or address.version == 4:
        return _Place(network(host), "", address)
    return _Place(network(host), str(ip_network((address, WIDE), strict=False)), address)


def _login_key(login: str, near: str) -> Key:
    return Key(near, login[:LOGIN_KEPT])


def _named(text: str) -> str:
    """Name the network that a person means as penalties name theirs."""
    try:
        found = parse_network(text)
    except WireError:
        return text
    return network(str(found.network_address)) if found.num_addresses == 1 else str(found)


def _row(key: Key, penalty: Penalty, when: float) -> dict[str, Any]:
    left = penalty.left(when)
    return {
        "network": key.network,
        "login": key.login,
        "seconds": None if isinf(left) else round(left, 3),
        "bad": penalty.bad,
        "why": penalty.why,
        "by_hand": key.by_hand,
    }
