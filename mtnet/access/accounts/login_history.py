"""From where accounts logged in lately."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from mtnet.clock import DAY_MS

KNOWN = 30 * DAY_MS
"""Milliseconds that a login counts: an address changes hands, yet not while its owner is away
for a holiday."""
MOST = 65_536
"""Pairs of an account and a network that are remembered: some 15 MB."""


class Login(NamedTuple):
    """
    The last login of an account from a network.

    Attributes:
        network: as `mtnet.access.throttle.network` writes it.
        when: milliseconds since the Unix epoch.
    """

    name: str
    network: str
    when: int


class LoginHistory:
    """
    Remembers the last ones; the oldest is forgotten first.

    Args:
        known: milliseconds that one counts.
        most: pairs of a name and a network. Each network has a pair with nobody's name too.
    """

    def __init__(self, known: int = KNOWN, most: int = MOST) -> None:
        self._known, self._most = known, most
        self._seen: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._fresh: dict[tuple[str, str], int] = {}

    def recall(self, logins: Iterable[Login]) -> None:
        """Remember, oldest first, what is stored already."""
        for name, network, when in logins:
            self._touch(("", network), when)
            self._touch((name, network), when)

    def note(self, login: Login) -> None:
        """Remember one that is to be stored."""
        self.recall([login])
        self._fresh[login.name, login.network] = login.when

    def is_known_network(self, network: str, when: int, name: str = "") -> bool:
        """Say whether the account, or any, logged in from there; `when` is now."""
        seen = self._seen.get((name, network))
        # Neither does one count for ever that a wrong clock dated far ahead.
        return seen is not None and abs(when - seen) < self._known

    def fresh(self) -> list[Login]:
        """Return those that are to be stored, each once."""
        found = [Login(name, network, when) for (name, network), when in self._fresh.items()]
        self._fresh.clear()
        return found

    def put_back(self, logins: Iterable[Login]) -> None:
        """Take back those that could not be stored, unless they were forgotten meanwhile."""
        for name, network, when in logins:
            if (name, network) in self._seen:
                self._fresh.setdefault((name, network), when)

    def keep(self, names: Iterable[str]) -> None:
        """Forget all but these accounts, and the networks from which only others came."""
        held = frozenset(names)
        if all(name in held for name, _ in self._seen if name):
            return
        kept = [Login(*pair, when) for pair, when in self._seen.items() if pair[0] in held]
        self._fresh = {pair: when for pair, when in self._fresh.items() if pair[0] in held}
        self._seen.clear()
        self.recall(kept)

    def _touch(self, pair: tuple[str, str], when: int) -> None:
        self._seen[pair] = when
        self._seen.move_to_end(pair)
        if len(self._seen) > self._most:
            forgotten, _ = self._seen.popitem(last=False)
            self._fresh.pop(forgotten, None)
