"""
Rights: verbs on the things of services, sets of them, and the roles that are made of them.

Services bring their own verbs and roles; see `Permissions`.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

from msgspec import Struct

from mtnet.errors import ConfigError

ADMIN = "admin"
"""The right, and the role, to do everything."""
CACHED = 1_024
"""Pairs of rights whose union or intersection is cached: logins combine few different ones."""
DECISIONS = 4_096
"""Answers that are cached of each question to `Rights`, of all rights together: a million bytes at
most."""

_RIGHT = re.compile(r"([a-z]+)(?::([a-z][a-z0-9_]*)(?:/([!-)+-~]{1,64}\*?|\*))?)?", re.ASCII)


class Right(NamedTuple):
    """
    One verb on some things.

    Attributes:
        service: the service that the things belong to; empty = admin, everything.
        name: the channel or symbol; a `*` at the end stands for any ending.
    """

    verb: str
    service: str
    name: str = "*"

    def allows(self, name: str) -> bool:
        """Return whether the name of a thing is among its names."""
        if self.name.endswith("*"):
            return name.startswith(self.name[:-1])
        return name == self.name

    def includes(self, other: "Right") -> bool:
        """Return whether everything that the other allows is allowed here."""
        return (
            self[:2] == other[:2]
            and self.allows(other.name.removesuffix("*"))
            and (self.name.endswith("*") or not other.name.endswith("*"))
        )

    def __str__(self) -> str:
        if not self.service:
            return self.verb
        return f"{self.verb}:{self.service}" + (f"/{self.name}" if self.name != "*" else "")


class Rights(Struct, frozen=True, cache_hash=True):
    """
    Immutable set of rights.

    What it allows never changes, so that each answer is worked out once: who gets other rights
    gets another set.
    """

    rights: frozenset[Right] = frozenset()

    @lru_cache(DECISIONS)  # noqa: B019 - of values, and bounded
    def may(self, verb: str, service: str, name: str) -> bool:
        """Return whether a verb is allowed on one thing, such as the channel `main` of signals."""
        return self.admin or any(
            right.verb == verb and right.service == service and right.allows(name)
            for right in self.rights
        )

    @property
    def admin(self) -> bool:
        """Whether everything is allowed."""
        return any(right.verb == ADMIN for right in self.rights)

    @lru_cache(DECISIONS)  # noqa: B019 - of values, and bounded
    def all(self, verb: str, service: str) -> bool:
        """Return whether a verb is allowed on everything of a service."""
        return self.admin or Right(verb, service) in self.rights

    @lru_cache(DECISIONS)  # noqa: B019 - of values, and bounded
    def any(self, verb: str, service: str = "") -> bool:
        """Return whether a verb is allowed on anything, of a service or of all."""
        return self.admin or any(
            right.verb == verb and service in ("", right.service) for right in self.rights
        )

    def matching(self, verbs: Iterable[str], service: str = "") -> list[str]:
        """
        Return the rights with some verbs, as texts in the order of the verbs.

        Args:
            service: only its rights, of which a whole one is shown by its verb; empty = all.
        """
        order = list(verbs)
        if self.admin:
            return order
        found = [r for r in self.rights if r.verb in order and service in ("", r.service)]
        texts = [(r.verb if service and r.name == "*" else str(r), r.verb) for r in found]
        return [text for text, verb in sorted(texts, key=lambda each: (order.index(each[1]), each))]

    def __bool__(self) -> bool:
        return bool(self.rights)

    def __or__(self, other: "Rights") -> "Rights":
        """Return the rights of either."""
        return _join(self, other)

    def __and__(self, other: "Rights") -> "Rights":
        """Return the rights of both."""
        return _meet(self, other)

    def __ge__(self, other: "Rights") -> bool:
        """Return whether every right of `other` is included."""
        return self.admin or all(
            any(mine.includes(theirs) for mine in self.rights) for theirs in other.rights
        )

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(map(str, self.rights)))

    def __repr__(self) -> str:
        return f"Rights({list(self)})"


@lru_cache(CACHED)
def _join(one: Rights, other: Rights) -> Rights:
    return Rights(one.rights | other.rights)


@lru_cache(CACHED)
def _meet(one: Rights, other: Rights) -> Rights:
    if one.admin or other.admin:
        return other if one.admin else one
    # Names that end in `*` lie within each other or apart: they never overlap in part.
    pairs = [(mine, theirs) for mine in one.rights for theirs in other.rights]
    return Rights(
        frozenset(
            narrow for pair in pairs for wide, narrow in (pair, pair[::-1]) if wide.includes(narrow)
        )
    )


NOTHING = Rights()
EVERYTHING = Rights(frozenset({Right(ADMIN, "")}))


class Permissions:
    """
    Parser of rights and roles, which knows the verbs of the installed services.

    Args:
        services: the verbs of each service, by its name.
        roles: the rights of each role, by its name.
        named: the services whose rights a bare verb does not give.

    Attributes:
        verbs: the services that have each verb; `admin` has none.
        roles: as given, and `admin`.

    Raises:
        ConfigError: a role has an invalid right.
    """

    def __init__(
        self,
        services: Mapping[str, Iterable[str]],
        roles: Mapping[str, Iterable[str]],
        named: Collection[str] = (),
    ) -> None:
        self._named = named
        self.verbs: dict[str, tuple[str, ...]] = {}
        for service, verbs in services.items():
            for verb in verbs:
                self.verbs[verb] = (*self.verbs.get(verb, ()), service)
        self.verbs[ADMIN] = ()
        self.roles = {name: tuple(texts) for name, texts in roles.items()} | {ADMIN: (ADMIN,)}
        self._of_role = {
            name: [right for text in texts for right in self.parse_right(text)]
            for name, texts in self.roles.items()
        }

    @classmethod
    def of(
        cls,
        services: Mapping[str, Iterable[str]],
        roles: Iterable[Mapping[str, Iterable[str]]],
        named: Collection[str],
    ) -> "Permissions":
        """
        Join what services add to the roles; arguments and errors as above.

        Args:
            roles: of each service.
        """
        joined: dict[str, list[str]] = {}
        for own in roles:
            for role, rights in own.items():
                joined.setdefault(role, []).extend(rights)
        # In lists and examples first those that everybody uses.
        ordered = sorted(services, key=lambda name: (name in named, name))
        return cls({name: services[name] for name in ordered}, joined, named)

    def rights(self, grants: Iterable[str]) -> Rights:
        """
        Return the rights of roles and of rights as texts.

        Raises:
            ConfigError: one of them is neither.
        """
        found = (self._of_role.get(text) or self.parse_right(text) for text in grants)
        return Rights(frozenset(chain.from_iterable(found)))

    def parse_right(self, text: str) -> list[Right]:
        """
        Read `VERB`, which stands for all services that have it but those that are always named,
        `VERB:SERVICE` or `VERB:SERVICE/NAME`.

        Raises:
            ConfigError: it is none of these.
        """
        found = _RIGHT.fullmatch(text)
        if found is None or found[1] not in self.verbs:
            raise ConfigError(
                f"Invalid right {text!r}: expected VERB, VERB:SERVICE or VERB:SERVICE/NAME; the "
                f"verbs are {', '.join(self.verbs)}. Example: {self._example()}."
            )
        verb, service, name = found[1], found[2] or "", found[3] or "*"
        services = self.verbs[verb]
        bare = self.bare(verb)
        if (service and service not in services) or (services and not service and not bare):
            known = " or ".join(f"{verb}:{each}" for each in services) or verb
            raise ConfigError(f"Invalid right {text!r}: expected {known}.")
        return [Right(verb, each, name) for each in ([service] if service else bare or [""])]

    def bare(self, verb: str) -> list[str]:
        """Return the services of which a verb alone gives the right."""
        return [each for each in self.verbs.get(verb, ()) if each not in self._named]

    def check(self, text: str) -> str:
        """
        Return a role or a right as it is.

        Raises:
            ConfigError: it is neither.
        """
        self.rights([text])
        return text

    def has_verbs(self, service: str) -> bool:
        """Return whether a service has verbs of its own."""
        return any(service in services for services in self.verbs.values())

    def concerns(self, rights: Rights, service: str) -> bool:
        """
        Return whether rights are of use at a service.

        Every right is at a service without verbs, which serves the things of others.
        """
        verbs = [verb for verb, services in self.verbs.items() if service in services]
        return any(rights.any(verb, service) for verb in verbs) if verbs else bool(rights)

    def _example(self) -> str:
        verb, services = next(iter(self.verbs.items()))
        usual = self.bare(verb) or services
        return f"{verb}:{usual[0]}" if usual else verb
