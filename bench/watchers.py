"""
WATCH: CPU of a second of status for people, by the number of those who watch.

In one process and one thread, with a clock of its own: `--people` participants, `--changes` of whom
change once a second (default: all), are watched by nobody, by one and by ten sessions over frames,
in turn within each round. Ten followers of a channel with one signal a second stand beside it:
with `--changes 1` that is like for like. Reported is the median of the rounds: ms of CPU for each
second, the reading of the clients included.

Run it from the checkout that is to be measured: `python bench/watchers.py [--people 1000]
[--changes 1]`.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from twisted.internet.task import Clock
from zope.interface import implementer

from mtnet.interfaces import IParticipants, IService
from mtnet.net.endpoints import Listener
from mtnet.services.signals.wire import requests
from mtnet.services.status import wire
from mtnet.session import messages
from mtnet.testing import connect, make_environment

SESSIONS = 10


class Member:
    """A follower that is always well."""

    judgement = "ok"

    def __init__(self, number: int, behind: int) -> None:
        self.name, self._behind = ("follower", "gold", f"login-{number}/terminal"), behind

    def row(self) -> dict[str, Any]:
        """Return a row as signals has it."""
        return {
            **dict(zip(("role", "channel", "who"), self.name, strict=True)),
            "status": "ok",
            "connected": True,
            "since": 1_795_000_000_000,
            "warnings": [],
            "behind": self._behind,
        }


@implementer(IService, IParticipants)
class Crew:
    """A component with people who change all the time."""

    def __init__(self, count: int, changes: int) -> None:
        self.changes, self.second = changes, 0
        self.members = [Member(number, 0) for number in range(count)]

    def start(self) -> None:
        """They are there."""

    def stop(self) -> None:
        """Nothing has to last."""

    def participants(self) -> list[Member]:
        """Return the members: new ones for those who change."""
        changed = [Member(each, (self.second + each) % 7) for each in range(self.changes)]
        return [*changed, *self.members[self.changes :]]


class Site:
    """A daemon in memory, and the sessions at it."""

    def __init__(self, folder: Path, people: int, changes: int) -> None:
        self.clock, self.crew = Clock(), Crew(people, changes)
        self.env = make_environment(folder, self.clock)
        self.env.components.services["crew"] = self.crew
        self.env.components.services["status"].start()
        self.factory = self.env.factory("signals", Listener("signals", "tcp:8081"))
        self.sessions = [self.dial() for _ in range(SESSIONS)]
        self.provider = self.dial()
        self.publish()

    def dial(self) -> Any:
        """Return a client that has said HELLO."""
        terminal = connect(self.factory, self.clock, peer="127.0.0.1")
        terminal.send(messages.hello())
        return terminal

    def publish(self) -> None:
        """Store one signal."""
        second = self.crew.second
        fields = {"id": f"s{second}", "channel": "gold", "symbol": "EURUSD"}
        asked = {**fields, "volume": f"{second % 7 + 1}"}
        self.provider.send(messages.request(requests.REQUESTS, "PUBLISH", **asked))

    def follow(self) -> None:
        """Let all sessions watch nothing and follow the channel."""
        self.watch(0)
        for each in self.sessions:
            each.send(requests.subscribe("gold"))
        self.read()

    def leave(self) -> None:
        """Let all sessions follow no more."""
        for each in self.sessions:
            each.send(b"<<UNSUBSCRIBE|channel=gold>>")
        self.read()

    def watch(self, count: int) -> None:
        """Let so many sessions watch, and no others."""
        for number, each in enumerate(self.sessions):
            each.send(wire.watch(["status"] if number < count else []))
        self.read()

    def read(self) -> int:
        """Let all sessions read; return how many bytes that was."""
        total = 0
        for each in (*self.sessions, self.provider):
            for _ in range(50):
                each.transport.drain()
            total += len(each.received())
        return total

    def seconds(self, count: int, publish: bool = False) -> tuple[float, int]:
        """Return the CPU of a second in ms, and the bytes that were sent."""
        sent, before = 0, time.process_time()
        for _ in range(count):
            self.crew.second += 1
            if publish:
                self.publish()
            self.clock.advance(1.0)
            for each in (*self.sessions, self.provider):
                each.send(b"<<PONG>>")
            sent += self.read()
        return (time.process_time() - before) / count * 1e3, sent // count


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--people", type=int, default=1_000)
    parser.add_argument("--changes", type=int, help="people who change each second")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        changes = options.people if options.changes is None else options.changes
        site = Site(Path(folder) / "data", options.people, changes)
        found: dict[int, list[tuple[float, int]]] = {0: [], 1: [], SESSIONS: []}
        followed: list[tuple[float, int]] = []
        for _ in range(options.rounds):
            for watchers, runs in found.items():
                site.watch(watchers)
                site.seconds(1)
                runs.append(site.seconds(options.seconds))
            site.follow()
            site.seconds(1, publish=True)
            followed.append(site.seconds(options.seconds, publish=True))
            site.leave()
    print("| watchers | CPU ms per second | bytes per second |\n| --- | --- | --- |")
    for watchers, runs in found.items():
        cpu, sent = (median(each) for each in zip(*runs, strict=True))
        print(f"| {watchers} | {cpu:.2f} | {sent:,.0f} |")
    cpu, sent = (median(each) for each in zip(*followed, strict=True))
    print(f"| {SESSIONS} followers | {cpu:.2f} | {sent:,.0f} |")


if __name__ == "__main__":
    main()
