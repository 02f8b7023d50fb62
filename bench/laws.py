"""
What does not cost more where there is more: accounts, bans, channels, followers with a filter.

Each thing is measured at two sizes, in turns, in one process; CPU of all its threads. See
README.md beside this file.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.task import Clock

from bench.harness import machine
from mtnet.access.accounts.commands import AccountCommands
from mtnet.access.accounts.model import Accounts
from mtnet.access.accounts.store import AccountStore
from mtnet.access.bans.policy import Bans, Offence
from mtnet.access.security_log import SecurityLog
from mtnet.clock import WallClock, system_time
from mtnet.config.schema import Bans as BanSettings
from mtnet.daemon.registry import permissions
from mtnet.services.signals.wire import requests
from mtnet.services.signals.wire.requests import Publish
from mtnet.session import messages
from mtnet.testing import Terminal, connect, make_environment

Step = Callable[[], object]
MANY_ACCOUNTS, MANY_CHANNELS, MANY_FOLLOWERS = 50_000, 900, 1_000
LIMIT = "access.connections.signals.total=100000"
GOAL = 1.5
"""Times that a step may take as long at the larger size."""


class AccountChanges:
    """Grants, tokens and switches of one account among others."""

    def __init__(self, folder: Path, count: int) -> None:
        path = folder / f"accounts-{count}.sqlite"
        store, now = AccountStore(path, permissions()), system_time()
        store.add("alice", ["follow:signals"], "", now)
        _fill_accounts(store, count, now)
        clock = WallClock(system_time, time.monotonic)
        log = SecurityLog(time.monotonic)
        commands = AccountCommands(
            Accounts(), store, maybeDeferred, clock, lambda password: succeed(password), log
        )
        commands.load()
        self._commands = commands.commands()

    def step(self) -> None:
        """Change the account five times."""
        token = self._run("token", label="bench")
        self._run("grant", grants=["publish:signals"])
        self._run("revoke", grants=["publish:signals"])
        self._run("disable")
        self._run("enable")
        self._run("untoken", token=token["id"])

    def _run(self, name: str, **values: object) -> dict[str, str]:
        found: list[dict[str, str]] = []
        done: Deferred[Any] = Deferred.fromCoroutine(
            self._commands[f"account {name}"]({"name": "alice", **values})
        )
        done.addCallback(found.append)
        return found[0]


def _fill_accounts(store: AccountStore, count: int, now: int) -> None:
    names = [f"account-{number}" for number in range(count)]

    def work(db: object) -> None:
        rows = [(name, 0, now, now, "") for name in names]
        db.executemany("INSERT INTO account VALUES (?, ?, ?, ?, ?)", rows)  # type: ignore[attr-defined]
        tokens = [
            (f"{number:08x}", name, "", number.to_bytes(32, "big"), None, now, None, None)
            for number, name in enumerate(names)
        ]
        marks = ", ".join("?" * 8)
        db.executemany(f"INSERT INTO token VALUES ({marks})", tokens)  # type: ignore[attr-defined]

    store._database.transaction(work)


class Lifts:
    """One ban among others, which is put and lifted."""

    def __init__(self, count: int) -> None:
        self._bans = Bans(BanSettings())
        for number in range(count):
            self._ban(f"10.{number // 65_536}.{number // 256 % 256}.{number % 256}")

    def _ban(self, host: str) -> None:
        for _ in range(3):
            self._bans.punish(host, Offence.ERROR, 0.0)

    def step(self) -> None:
        """Ban somebody, and lift that."""
        self._ban("192.0.2.1")
        self._bans.lift("192.0.2.1")


class UnsortedClock(Clock):
    """A clock that never moves, and does not sort the timers of all sessions at each call."""

    def _sortCalls(self) -> None:
        """Leave them as they are."""


class Publishing:
    """Signals of one symbol into one channel, beside others."""

    def __init__(self, folder: Path, channels: int = 1, followers: int = 0) -> None:
        self._clock = UnsortedClock()
        env = make_environment(folder, self._clock, "signals.frames=1000000000", LIMIT)
        self._factory = env.factory("signals")
        self._publisher, self._number = self._greet(), 0
        for number in range(channels):
            self._publish(f"c{number}")
        self._followers = [self._greet() for _ in range(followers)]
        for each in self._followers:
            each.send(requests.subscribe("c0", ["GBPUSD"]))

    def _greet(self) -> Terminal:
        terminal = connect(self._factory, self._clock)
        terminal.send(messages.hello())
        terminal.received()
        return terminal

    def _publish(self, channel: str) -> None:
        self._number += 1
        lots = Decimal(self._number % 9 + 1)
        self._publisher.send(requests.publish(Publish(f"n{self._number}", "EURUSD", lots, channel)))
        assert b"<<STORED" in self._publisher.received()

    def step(self) -> None:
        """Publish."""
        self._publish("c0")


def compare(name: str, few: Step, many: Step, rounds: int, steps: int) -> float:
    """Measure two in turns, print a row, and return the ratio."""
    took: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        for step, found in zip((few, many), took, strict=True):
            begun = time.process_time()
            for _ in range(steps):
                step()
            found.append((time.process_time() - begun) / steps * 1e6)
    times = statistics.median(b / a for a, b in zip(*took, strict=True))
    few_took, many_took = map(statistics.median, took)
    print(f"| {name} | {few_took:.0f} | {many_took:.0f} | {times:.2f} |", flush=True)
    return times


def main() -> int:
    """Print a table; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    print(
        f"{machine()}\n\n| step | CPU us, few | CPU us, many | times |\n| --- | --- | --- | --- |"
    )
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        few, many = (AccountChanges(folder, count).step for count in (10, MANY_ACCOUNTS))
        worst = [compare("six changes of an account, of 10 and 50,000", few, many, rounds, 20)]
        few, many = (Lifts(count).step for count in (10, MANY_ACCOUNTS))
        worst += [compare("a ban and its lift, of 10 and 50,000", few, many, rounds, 300)]
        one = Publishing(folder / "one").step
        channels = Publishing(folder / "channels", MANY_CHANNELS).step
        worst += [compare("a signal, of 1 and 900 channels", one, channels, rounds, 300)]
        filters = Publishing(folder / "filters", 1, MANY_FOLLOWERS).step
        name = "a signal, without and with 1,000 followers of another symbol"
        worst += [compare(name, one, filters, rounds, 300)]
    return 0 if max(worst) <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
