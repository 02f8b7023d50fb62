"""What may be done: verbs on things, and the bundles of them that people are given."""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from mtnet.errors import ConfigError

VERBS = {
    "follow": ("signals",),
    "publish": ("signals", "templates"),
    "send": ("ticks",),
    "read": ("ticks",),
    "fetch": ("templates",),
    "admin": (),
}
"""The services whose things each verb is done to."""
ROLES = {
    "provider": ("publish:signals", "follow:signals", "publish:templates", "fetch:templates"),
    "follower": ("follow:signals", "fetch:templates"),
    "terminal": ("send:ticks", "fetch:templates"),
    "reader": ("read:ticks",),
    "admin": tuple(VERBS),
}
"""What usual people may do."""
EXAMPLE = "follow, follow:signals/gold or send:ticks/EUR*"
JOINED = 1_024
"""Pairs of rights whose union is kept: each login joins two, and few of them differ."""

_SERVICES = {service for services in VERBS.values() for service in services}
_RIGHT = re.compile(r"([a-z]+)(?::([a-z]+)(?:/([!-)+-~]{1,64}\*?|\*))?)?", re.ASCII)


class Right(NamedTuple):
    """
    One verb on some things.

    Attributes:
        service: whose things; empty = of every service that has the verb.
        name: of the channel or symbol; a `*` ends what is only the beginning of one, and stands
            for every name alone.
    """

    verb: str
    service: str = ""
    name: str = "*"

    def covers(self, service: str, name: str) -> bool:
        """Say whether the thing is one of these."""
        if self.service not in ("", service):
            return False
        if self.name.endswith("*"):
            return name.startswith(self.name[:-1])
        return name == self.name

    def common(self, other: "Right") -> "Right | None":
        """Return what both allow; None = nothing."""
        service = self.service or other.service
        if self.verb != other.verb or other.service not in ("", service):
            return None
        # Names that end in `*` lie within each other, or apart: they never overlap in part.
        for narrow, wide in ((self.name, other.name), (other.name, self.name)):
            if narrow == wide or (wide.endswith("*") and narrow.startswith(wide[:-1])):
                return Right(self.verb, service, narrow)
        return None

    def __str__(self) -> str:
        if not self.service:
            return self.verb
        return f"{self.verb}:{self.service}" + (f"/{self.name}" if self.name != "*" else "")


def parse_right(text: str) -> Right:
    """
    Read `VERB`, `VERB:SERVICE` or `VERB:SERVICE/NAME`.

    Raises:
        ConfigError: it is none of these.
    """
    found = _RIGHT.fullmatch(text)
    if found is None or found[1] not in VERBS:
        raise ConfigError(
            f"{text!r} is no right: {EXAMPLE} would be one; the verbs are {', '.join(VERBS)}."
        )
    verb, service, name = found[1], found[2] or "", found[3] or "*"
    if service and service not in VERBS[verb]:
        known = " or ".join(f"{verb}:{each}" for each in VERBS[verb]) or verb
        raise ConfigError(f"{text!r} is no right, as nobody can {verb} {service}; {known} is one.")
    return Right(verb, service, name)


class Rights:
    """
    Everything that somebody may do.

    Raises:
        ConfigError: one of the texts is neither a right nor a role.
    """

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._hold(right for text in texts for right in _read(text))

    def _hold(self, rights: Iterable[Right]) -> None:
        self._rights = frozenset(rights)
        self._whole = {
            (right.verb, service)
            for right in self._rights
            if right.name == "*"
            for service in ([right.service] if right.service else VERBS[right.verb])
        }

    def may(self, verb: str, service: str, name: str) -> bool:
        """Say whether a verb may be done to one thing, such as the channel `main` of signals."""
        return (verb, service) in self._whole or any(
            right.verb == verb and right.covers(service, name) for right in self._rights
        )

    def all(self, verb: str, service: str) -> bool:
        """Say whether a verb may be done to everything of a service."""
        return (verb, service) in self._whole

    def any(self, verb: str, service: str = "") -> bool:
        """Say whether there is anything that a verb may be done to."""
        return any(
            right.verb == verb and (not service or right.service in ("", service))
            for right in self._rights
        )

    def concern(self, service: str) -> bool:
        """
        Say whether there is anything that may be done at a service.

        One that has no verb of its own, as the web and `any`, is there for those of the others.
        """
        if service not in _SERVICES:
            return bool(self._rights)
        return any(
            service == right.service or (not right.service and service in VERBS[right.verb])
            for right in self._rights
        )

    def matching(self, verbs: Iterable[str], service: str = "") -> list[str]:
        """Return the rights, as texts, with the verbs, in their order, on a service or any."""
        found = (r for r in self._rights if not service or r.service in ("", service))
        order = list(verbs)
        texts = [(order.index(r.verb), str(r)) for r in found if r.verb in order]
        return [text for _, text in sorted(texts)]

    def __or__(self, other: "Rights") -> "Rights":
        """Return what either allows."""
        return _join(self, other)

    def __and__(self, other: "Rights") -> "Rights":
        """Return what both allow."""
        pairs = ((mine, theirs) for mine in self._rights for theirs in other._rights)
        both = Rights()
        both._hold(common for mine, theirs in pairs if (common := mine.common(theirs)))
        return both

    def __ge__(self, other: "Rights") -> bool:
        """Say whether all that `other` holds is held here too."""
        return all(self._includes(right) for right in other._rights)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Rights) and self._rights == other._rights

    def __hash__(self) -> int:
        return hash(self._rights)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(map(str, self._rights)))

    def __repr__(self) -> str:
        return f"Rights({list(self)})"

    def _includes(self, right: Right) -> bool:
        services = [right.service] if right.service else list(VERBS[right.verb])
        return right in self._rights or (
            bool(services) and all(self._covers(right, service) for service in services)
        )

    def _covers(self, right: Right, service: str) -> bool:
        return any(
            mine.verb == right.verb
            and mine.covers(service, right.name.removesuffix("*"))
            and (mine.name.endswith("*") or not right.name.endswith("*"))
            for mine in self._rights
        )


@lru_cache(JOINED)
def _join(one: Rights, other: Rights) -> Rights:
    joined = Rights()
    joined._hold(one._rights | other._rights)
    return joined


def check_grant(text: str) -> str:
    """
    Return a role or a right as it is written back.

    Raises:
        ConfigError: it is neither.
    """
    if text not in ROLES:
        parse_right(text)
    return text


def _read(text: str) -> Iterable[Right]:
    # The verb `admin` is a role too: whoever may do that may do all.
    return map(parse_right, ROLES.get(text, (text,)))


NOTHING = Rights()
EVERYTHING = Rights(VERBS)
