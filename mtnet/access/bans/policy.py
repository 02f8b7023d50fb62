"""
Ban policy: offences add up to penalties, and a penalty above the threshold is a ban.

Occasional errors are not banned, repeated ones are. Each bad login doubles the weight of the
next. A penalty falls on the network, and on the login as tried from that network, but never on a
login alone: then everybody could lock its owner out.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from heapq import nlargest
from math import inf, isinf
from typing import Any, NamedTuple

from mtnet.access.addresses import Network, network_of, parse_address, parse_network
from mtnet.access.addresses import wide_network_of as wide_of
from mtnet.access.bans.manual import REASON, ManualBans
from mtnet.access.bans.penalties import Key, Penalties, Penalty
from mtnet.config.schema import Bans as Settings
from mtnet.errors import JournalError, WireError

DOUBLINGS = 64
"""Every cap is reached long before, and the float does not overflow yet."""
LOGIN_KEPT = 64
"""Characters of a login that are compared; no account has more."""
CLOCK_STEP = 60.0
"""Seconds that the wall clock may be off before the stored bans are written again."""


class Offence(Enum):
    """An offence, by the name of its weight among the settings."""

    LOGIN = "login"
    FRAME = "frame"
    DEADLINE = "deadline"
    ERROR = "error"


OUR_TROUBLE = (OSError, JournalError, MemoryError)
"""Errors that no peer is punished for, such as a full disk or too many open files."""


class Changes(NamedTuple):
    """
    The changes to store.

    Attributes:
        put: penalties that are new or have changed.
        gone: penalties that were removed.
        offset: seconds to add to the end of a penalty for the wall time.
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
    All penalties and bans.

    Every `when` is in seconds of one monotonic clock. A host without an address, such as a Unix
    socket, is neither punished nor banned.

    Attributes:
        offences: how many there were so far, by kind.
        on_ban: called with the key, the penalty and its seconds when a ban begins.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._penalties = Penalties(settings.max_penalties, settings.remember_expired)
        self._manual = ManualBans()
        self._stored: dict[Key, Penalty] = {}
        self._expired: dict[Key, Penalty] = {}
        self._changed: set[Key] = set()
        self._offset: float | None = None
        self.on_ban: Callable[[Key, Penalty, float], object] = lambda key, penalty, seconds: None
        self.offences: Counter[str] = Counter({each.value: 0 for each in Offence})

    def __len__(self) -> int:
        """Return how many penalties are remembered."""
        return len(self._penalties) + len(self._manual)

    # Peers

    def punish(self, host: str, offence: Offence, when: float, login: str = "") -> None:
        """
        Add an offence to the penalty of a host's network.

        Args:
            login: the name whose login failed, known or not.
        """
        self.offences[offence.value] += 1
        if not host:
            return
        if login and offence is Offence.LOGIN:
            self._add(_login_key(login, network_of(host)), offence, when)
        self._add(Key(network_of(host)), offence, when)
        if wide_of(host):
            self._add(Key(wide_of(host)), offence, when, self._settings.ipv6_48_factor)
        if len(self._penalties.touched) > 2 * self._settings.max_penalties:
            self._unstored()  # which forgets those that came and went

    def pardon(self, login: str, host: str) -> None:
        """
        Forget the bad logins of a name that has now logged in.

        Those of its network stay: else the holder of one account could guess other passwords
        in between.
        """
        self._penalties.drop(_login_key(login, network_of(host)))

    def ban_left(self, host: str, when: float) -> float:
        """Return the seconds for which a host is still banned."""
        if not host or not (self._penalties or self._manual):
            return 0.0
        earned = max(self._left(Key(each), when) for each in (network_of(host), wide_of(host)))
        return max(earned, self.manual_ban_left(host, when))

    def manual_ban_left(self, host: str, when: float) -> float:
        """Return the seconds for which the owner still bans a host."""
        address = parse_address(host)
        return 0.0 if address is None else self._manual.left(address, when)

    def login_ban_left(self, login: str, host: str, when: float, known: bool) -> float:
        """
        Return the seconds for which a login cannot be tried from a host.

        Args:
            known: whether it has been used from the host's network before, so that offences of
                others there do not affect it.
        """
        if not host:
            return 0.0
        others = self.manual_ban_left(host, when) if known else self.ban_left(host, when)
        return max(self._left(_login_key(login, network_of(host)), when), others)

    # The owner

    def add(self, text: str, seconds: float | None, when: float) -> None:
        """
        Ban an address or a network.

        Args:
            seconds: None = permanently.

        Raises:
            WireError: `network` or `seconds`; it is invalid.
        """
        if seconds is not None and not 0 < seconds < inf:
            raise WireError("seconds", "Invalid duration: expected seconds above 0, or none")
        cap = inf if seconds is None else seconds
        self._manual.put(_network(text), Penalty(when + cap, cap, enforced=True, why=REASON))

    def lift(self, text: str) -> bool:
        """
        Forget all penalties of a network and of its logins, or of LOGIN@NETWORK alone.

        Returns:
            Whether there were any.
        """
        login, _, place = text.rpartition("@")
        network = _named(place)
        if login:
            return self._penalties.drop(_login_key(login, network))
        self._forget_expired([key for key in self._expired if key.network == network])
        lifted = self._penalties.drop_network(network)
        return self._lift_manual(place) or lifted

    def rows(self, when: float, most: int | None = None) -> list[dict[str, Any]]:
        """
        List the penalties: bans first, the longest first.

        Args:
            most: the number of rows; None = all.

        Returns:
            Dicts of `network`, `login`, `seconds` (that the ban still lasts; None = permanent),
            `bad` (logins), `why` and `by_hand`.
        """
        self._expire(when)
        everything = self._all()
        some = len(everything) if most is None else most
        first = nlargest(some, everything.items(), key=lambda item: item[1].left(when))
        return [_row(key, penalty, when) for key, penalty in first]

    # The disk

    def load(self, records: Iterable[tuple[Key, Penalty]], when: float, wall: float) -> None:
        """
        Take the stored penalties.

        Args:
            records: with ends in seconds since the Unix epoch.
            wall: seconds since the Unix epoch. Bans that are over by it are kept aside, in case
                it is wrong; none lasts longer than its cap from now.
        """
        self._offset = wall - when
        for key, stored in records:
            if stored.until <= wall and stored.enforced:
                self._expired[key] = stored
            left = stored.until - wall
            held = stored._replace(until=when + min(left, stored.cap))
            self._hold(key, held, when)
            # An end that was too late is stored again, or each restart would put it off again.
            self._stored[key] = held if left <= stored.cap else stored

    def changes(self, when: float, wall: float, steady: bool = True) -> Changes:
        """
        Return the differences to the stored state.

        Args:
            wall: seconds since the Unix epoch.
            steady: whether the wall clock has been right for long; before, nothing is deleted
                for its age.
        """
        self._follow_clock(when, wall, steady)
        self._expire(when)
        held = {key: self._held(key) for key in self._unstored()}
        put = {key: each for key, each in held.items() if each is not None}
        gone = [key for key, each in held.items() if each is None and key not in self._expired]
        return Changes(put, gone, wall - when)

    def mark_stored(self, changes: Changes) -> None:
        """Note that changes were stored."""
        self._stored.update(changes.put)
        for key in changes.gone:
            self._stored.pop(key, None)
        self._unstored()

    def _unstored(self) -> set[Key]:
        """
        Return the keys whose penalty is not as it is stored.

        There are at most as many as are held and stored, however long the disk fails: a penalty
        that came and went meanwhile is none of them.
        """
        for each in (self._penalties.touched, self._manual.touched):
            self._changed |= each
            each.clear()
        stored = self._stored.get
        self._changed = {key for key in self._changed if self._held(key) is not stored(key)}
        return self._changed

    def _forget_expired(self, keys: Iterable[Key]) -> None:
        """Forget bans that were kept aside: they are to be deleted on the disk too."""
        for key in keys:
            self._expired.pop(key, None)
            self._changed.add(key)

    def _follow_clock(self, when: float, wall: float, steady: bool) -> None:
        """Adjust to a wall clock that was set: the stored ends are by the old one."""
        if steady and self._expired:
            self._forget_expired([*self._expired])
        if self._offset is None or abs(wall - when - self._offset) <= CLOCK_STEP:
            return
        self._offset = wall - when
        self._stored = {key: each._replace() for key, each in self._stored.items()}
        self._changed |= self._stored.keys()
        back = {key: each for key, each in self._expired.items() if each.until > wall}
        self._forget_expired(back)
        for key, penalty in back.items():
            held = self._held(key)
            if held is None or not held.left(when):
                left = min(penalty.until - wall, penalty.cap)
                self._hold(key, penalty._replace(until=when + left), when)

    # Weights

    def _add(self, key: Key, offence: Offence, when: float, factor: int = 1) -> None:
        old = self._penalties.get(key, when) or Penalty(when, 0.0)
        failures = old.failures + (offence is Offence.LOGIN)
        weight, cap = self._weight(offence, failures, factor), self._cap(offence)
        grown = old._replace(failures=failures, why=offence.value).grown(
            weight, cap, self._settings.ban_threshold, when
        )
        self._penalties.put(key, grown, when)
        if grown.left(when) and not old.left(when):
            self.on_ban(key, grown, grown.left(when))

    def _weight(self, offence: Offence, failures: int, factor: int) -> float:
        """Return the seconds that an offence adds; the first `factor` failures count as one."""
        base: float = getattr(self._settings, offence.value)
        if offence is Offence.LOGIN and failures > factor:
            return base * 2.0 ** min(failures - factor, DOUBLINGS)
        return base / factor

    def _cap(self, offence: Offence) -> float:
        settings = self._settings
        return settings.max_login_penalty if offence is Offence.LOGIN else settings.max_penalty

    def _left(self, key: Key, when: float) -> float:
        found = self._penalties.get(key, when)
        return 0.0 if found is None else found.left(when)

    def _lift_manual(self, text: str) -> bool:
        try:
            return self._manual.drop(parse_network(text))
        except ValueError:
            return False  # the name of a host, which has penalties but is never banned by hand

    def _hold(self, key: Key, penalty: Penalty, when: float) -> None:
        if key.by_hand:
            self._manual.put(_network(key.network), penalty)
        else:
            self._penalties.put(key, penalty, when)

    def _expire(self, when: float) -> None:
        self._penalties.expire(when)
        self._manual.expire(when)

    def _held(self, key: Key) -> Penalty | None:
        if key.by_hand:
            return self._manual.current(_network(key.network))
        return self._penalties.current(key)

    def _all(self) -> dict[Key, Penalty]:
        return self._manual.all() | self._penalties.all()


def _login_key(login: str, network: str) -> Key:
    return Key(network, login[:LOGIN_KEPT])


def _network(text: str) -> Network:
    try:
        return parse_network(text)
    except ValueError as error:
        raise WireError("network", str(error)) from error


def _named(text: str) -> str:
    """Return the network that a person means by the name that penalties have for it."""
    try:
        found = parse_network(text)
    except ValueError:
        return text
    return network_of(str(found.network_address)) if found.num_addresses == 1 else str(found)


def _row(key: Key, penalty: Penalty, when: float) -> dict[str, Any]:
    left = penalty.left(when)
    return {
        "network": key.network,
        "login": key.login,
        "seconds": None if isinf(left) else round(left, 3),
        "bad": penalty.failures,
        "why": penalty.why,
        "by_hand": key.by_hand,
    }
