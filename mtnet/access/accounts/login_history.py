"""Login history: the networks from which accounts have logged in."""

from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

from mtnet.durations import DAY_MS

KNOWN = 30 * DAY_MS
"""Milliseconds for which a login makes its network known: addresses change hands, but rarely
while their owner is on holiday."""
MOST = 65_536
"""Pairs of an account and a network that are remembered: some 12 MB."""
SHARE = 64
"""When there are more, one of so many is forgotten, the oldest."""


class Login(NamedTuple):
    """
    The last login of an account from a network.

    Attributes:
        network: as `network_of` writes it.
        when: milliseconds since the Unix epoch.
    """

    name: str
    network: str
    when: int


class LoginHistory:
    """
    LRU table of the last logins, with the set of those that are not stored yet.

    Args:
        known: milliseconds for which a login counts.
        most: pairs of a name and a network. Each network also has a pair with an empty name.
    """

    def __init__(self, known: int = KNOWN, most: int = MOST) -> None:
        self._known, self._most = known, most
        self._seen: dict[tuple[str, str], int] = {}  # the last one is the newest
        self._fresh: dict[tuple[str, str], int] = {}

    def recall(self, logins: Iterable[Login]) -> None:
        """Add stored logins, oldest first."""
        for name, network, when in logins:
            self._touch(("", network), when)
            self._touch((name, network), when)
        if len(self._seen) > self._most:
            self._drop_oldest()

    def note(self, login: Login) -> None:
        """Add a login that is to be stored."""
        self.recall([login])
        self._fresh[login.name, login.network] = login.when

    def is_known_network(self, network: str, when: int, name: str = "") -> bool:
        """Return whether the account, or any, has logged in from there; `when` is now."""
        seen = self._seen.get((name, network))
        # Nor does a login count forever that a wrong clock dated far ahead.
        return seen is not None and abs(when - seen) < self._known

    def fresh(self) -> list[Login]:
        """Return the logins that are to be stored, each once."""
        found = [Login(name, network, when) for (name, network), when in self._fresh.items()]
        self._fresh.clear()
        return found

    def put_back(self, logins: Iterable[Login]) -> None:
        """Take logins back that could not be stored, unless they were dropped meanwhile."""
        for name, network, when in logins:
            if (name, network) in self._seen:
                self._fresh.setdefault((name, network), when)

    def forget(self, name: str) -> None:
        """Forget one account, and the networks that nobody else used."""
        mine = {network for each, network in self._seen if each == name}
        if not mine:
            return
        shared = {
            network for each, network in self._seen if network in mine and each not in ("", name)
        }
        for network in mine:
            del self._seen[name, network]
            self._fresh.pop((name, network), None)
            if network not in shared:
                self._seen.pop(("", network), None)

    def keep(self, names: Iterable[str]) -> None:
        """Forget all accounts but these, and the networks that only others used."""
        held = frozenset(names)
        if all(name in held for name, _ in self._seen if name):
            return
        kept = [Login(*pair, when) for pair, when in self._seen.items() if pair[0] in held]
        self._fresh = {pair: when for pair, when in self._fresh.items() if pair[0] in held}
        self._seen.clear()
        self.recall(kept)

    def _touch(self, pair: tuple[str, str], when: int) -> None:
        self._seen.pop(pair, None)
        self._seen[pair] = when

    def _drop_oldest(self) -> None:
        """Drop some at once: each look for the first one passes all that were dropped before."""
        count = len(self._seen) - self._most + self._most // SHARE
        for pair in [*islice(self._seen, count)]:
            del self._seen[pair]
            self._fresh.pop(pair, None)
