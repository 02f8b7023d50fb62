"""
Heartbeats: programs that are expected to give signs of life, and whom nobody hears of else.

A token is in the path of a URL, for programs that can call one and do no more.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from hashlib import sha256
from secrets import token_hex
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mtnet.access.throttle import LogThrottle
from mtnet.clock import WallClock
from mtnet.conditions import SECONDS, Grammar, read_condition
from mtnet.errors import ConfigError
from mtnet.interfaces import IAlertConditions
from mtnet.services.alerts.store import AlertStore, Heartbeat
from mtnet.storage.worker import InThread

TOKEN_BYTES = 16
"""Random bytes of a token."""
MAX_HEARTBEATS = 1_000
"""Heartbeats; each is a row in memory and on disk."""
SAVE_INTERVAL = 60_000
"""Milliseconds between two writes of the last sign of life of a program: only people read it."""
MAX_UNKNOWN = 30
"""Requests with an unknown token of one network in a minute; more are refused with 429."""
GRAMMAR: Grammar = {
    "heartbeat_missing": partial(
        read_condition,
        "heartbeat_missing",
        units=SECONDS,
        example="heartbeat_missing backup > 300s",
    )
}
"""The condition about heartbeats."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)


@implementer(IAlertConditions)
class Heartbeats:
    """
    Dead-man switches by name.

    Args:
        in_thread: runs a blocking function of the store off the reactor, in order.
    """

    def __init__(
        self,
        heartbeats: Iterable[Heartbeat],
        store: AlertStore,
        in_thread: InThread,
        clock: IReactorTime,
        now: WallClock,
    ) -> None:
        self._store, self._in_thread, self._clock, self._now = store, in_thread, clock, now
        self._by_name = {each.name: each for each in heartbeats}
        self._by_digest = {each.digest: each for each in self._by_name.values()}
        # By monotonic time: a clock that is set must raise no alert. A start counts as a sign, but
        # ends no incident.
        self._heard = dict.fromkeys(self._by_name, clock.seconds())
        self._unheard = set(self._by_name)
        self._saved: dict[str, int] = {}
        self._unknown = LogThrottle(burst=MAX_UNKNOWN, kind=MAX_UNKNOWN * 100)

    def beat(self, token: str) -> bool:
        """Take a sign of life; return whether the token is known."""
        found = self._by_digest.get(digest(token))
        if found is None:
            return False
        found.last = self._now()
        self._unheard.discard(found.name)
        self._heard[found.name] = self._clock.seconds()
        if found.last - self._saved.get(found.name, 0) >= SAVE_INTERVAL:
            self._saved[found.name] = found.last
            self._save(found).addErrback(lambda _: self._saved.pop(found.name, None))
        return True

    def may_guess(self, host: str) -> bool:
        """Count an unknown token of a host; return whether its network may try another one."""
        return self._unknown.admits(host, self._clock.seconds())

    async def add(self, name: object) -> str:
        """
        Make a heartbeat, or give it another token; return the token, which is shown once.

        Raises:
            ConfigError: the name is invalid, or there are too many.
            JournalError: the disk does not take it.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ConfigError(
                f"Invalid name {name!r}: expected 1 to 32 of A-Z a-z 0-9 . _ -. Example: backup"
            )
        if len(self._by_name) >= MAX_HEARTBEATS and name not in self._by_name:
            raise ConfigError(f"There are {MAX_HEARTBEATS} heartbeats; remove one first.")
        token = token_hex(TOKEN_BYTES)
        made = Heartbeat(name, digest(token), self._now())
        await self._save(made)
        self._forget(name)
        self._by_name[name] = self._by_digest[made.digest] = made
        self._heard[name] = self._clock.seconds()
        return token

    async def remove(self, name: object) -> None:
        """
        Remove a heartbeat.

        Raises:
            ConfigError: there is none.
            JournalError: the disk does not take it.
        """
        if name not in self._by_name:
            known = ", ".join(self._by_name) or "none"
            raise ConfigError(f"There is no heartbeat {name!r}; there is {known}.")
        await self._in_thread(self._store.remove_heartbeat, name)
        self._forget(str(name))

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each, without its token."""
        return [
            {"name": each.name, "created": each.created, "last": each.last}
            for each in self._by_name.values()
        ]

    def conditions(self) -> dict[str, Callable[[str], Callable[[], Mapping[str, str]]]]:
        """Return the condition that a sign of life is missing."""
        return {"heartbeat_missing": self._missing}

    def _missing(self, text: str) -> Callable[[], Mapping[str, str]]:
        wanted = GRAMMAR["heartbeat_missing"](text)
        return partial(self._silent, wanted.subject, wanted.milliseconds / 1000)

    def _silent(self, name: str, seconds: float) -> dict[str, str]:
        if name and name not in self._by_name:
            text = f"There is no heartbeat {name}: `mtnet alerts heartbeat add {name}` makes it."
            return {name: text}
        when, names = self._clock.seconds(), [name] if name else list(self._by_name)
        late = {each: when - self._heard[each] > seconds for each in names}
        text = f"has given no sign of life for more than {seconds:g} s."
        return {
            each: f"{each} {text}" if late[each] else ""
            for each in names
            if late[each] or each in self._unheard
        }

    def _save(self, heartbeat: Heartbeat) -> "Deferred[Any]":
        row = (heartbeat.name, heartbeat.digest, heartbeat.created, heartbeat.last)
        return self._in_thread(self._store.put_heartbeat, row)

    def _forget(self, name: str) -> None:
        former = self._by_name.pop(name, None)
        if former is not None:
            del self._by_digest[former.digest]
            del self._heard[name]
            self._unheard.discard(name)


def digest(token: str) -> bytes:
    """Return what is stored of a token: it is random, so one hash is enough."""
    return sha256(token.encode("utf-8", "replace")).digest()
