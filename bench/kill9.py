"""
Kill a real daemon again and again while signals are published, and see what became of them.

One publisher resends what is not acknowledged, 20 followers of dialect 2 and five of the
classic dialect come back whenever they are cut off. No signal that was acknowledged may be
missing, nobody may end with a wrong position, see an entry twice, out of order, or not at all.
With `--skins` the client library follows as well: by Twisted, asyncio and threads, each on TCP,
TLS, WebSocket and HTTP; the programs of the last two are killed too, and go on by their state
files.
Run it from a development environment: `python bench/kill9.py --rounds 200`.
"""

import argparse
import asyncio
import json
import logging
import random
import secrets
import signal
import statistics
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

from bench.expected_state import ExpectedState, Market, State
from bench.followers import ClassicFollower, Follower
from bench.peers import HOST, SignalsDaemon, Speaker, free_port, wait_for
from bench.skins import KEEPERS, SkinPrograms
from mtnet.services.signals.wire import requests
from mtnet.services.signals.wire.answers import Answer, Stored, Welcome
from tests.tls_samples import Authority, Files

SETTINGS = ("signals.pace=0", "signals.grace=0.05", "signals.repeat=0")
FLIGHT = 100
"""Signals that may be under way without an acknowledgement."""
PATIENCE = 120.0
"""Seconds after which a round is stuck: clients of the library wait up to 30 between attempts, and
a daemon takes 20 to start where ten other programs want its CPU."""
DURING_START = 0.15
"""Part of the rounds in which the restarted daemon is killed once more while it starts."""
PROGRAM_KILLED = 0.3
"""Part of the rounds in which a program of the client library is killed, too."""
STARTING = 0.6
"""Seconds within which it is."""


class SignalPublisher(Speaker):
    """Publishes all the time, and says again what it has no answer to."""

    def __init__(self, port: int, expected: ExpectedState, market: Market) -> None:
        super().__init__(port)
        self.expected, self.market = expected, market
        self.run = secrets.token_hex(4)
        self.waiting: dict[str, tuple[int, bytes]] = {}
        self.done: deque[tuple[str, int, bytes]] = deque(maxlen=20)
        self.again: dict[str, int] = {}
        self.welcome = self.busy = False
        self.resent = self.repeated = 0

    async def work(self) -> None:
        """Publish in bursts for as long as the program runs."""
        while True:
            await asyncio.sleep(self.market.chance.expovariate(1 / 0.004))
            for _ in range(self.market.chance.randint(1, 6)):
                if self.busy and len(self.waiting) < FLIGHT:
                    self._publish()

    def began(self) -> None:
        """Nothing is said before the server's WELCOME."""
        self.welcome = False
        self.again.clear()

    def welcomed(self, said: Welcome) -> None:
        """Say again, in order: a few that are stored, then all that may not be."""
        self.welcome = True
        for identity, number, frame in list(self.done)[-self.market.chance.randint(0, 5) :]:
            self.again[identity] = number
            self.say(frame)
        self.resent += len(self.waiting)
        self.repeated += len(self.again)
        for _, frame in self.waiting.values():
            self.say(frame)

    def heard(self, said: Answer) -> None:
        """Take the acknowledgement."""
        if not isinstance(said, Stored):
            self.expected.broken("errors", f"the publisher was told {said}")
            return
        number = self.again.pop(said.id, None)
        if number is None:
            number, frame = self.waiting.pop(said.id)
            self.done.append((said.id, number, frame))
            if number != self.expected.acked + 1:
                self.expected.broken("lost", f"{number} was stored behind {self.expected.acked}")
            self.expected.acked = number
        if said.seq != number:
            kind = "twice" if said.seq > number else "regressions"
            self.expected.broken(kind, f"signal {number} was stored as entry {said.seq}")

    def _publish(self) -> None:
        identity = f"{self.run}-{len(self.expected.said) + 1}"
        thought = self.market.think(identity, self.expected.state)
        frame = requests.publish(thought)
        self.waiting[identity] = self.expected.add(thought), frame
        if self.welcome:
            self.say(frame)


def add_roads(daemon: SignalsDaemon) -> dict[str, str]:
    """Let a daemon serve TLS, WebSocket and HTTP too; return its addresses."""
    secure, web = free_port(), free_port()
    files = Files(daemon.data / "tls", Authority())
    daemon.data.chmod(0o700)
    files.issue("localhost", HOST)
    daemon.more = [
        f"signals=secure:{secure}:interface={HOST}", f"web=tcp:{web}:interface={HOST}",
    ]  # fmt: skip
    return {
        "TCP": f"tcp:{HOST}:{daemon.number}",
        "TLS": f"secure:{HOST}:{secure}",
        "WebSocket": f"ws://{HOST}:{web}/ws",
        "HTTP": f"http://{HOST}:{web}",
    }


class KillTest:
    """Everybody, and the rounds."""

    def __init__(self, folder: Path, seed: int, skins: bool) -> None:
        self.chance = random.Random(seed)
        self.daemon = SignalsDaemon(folder, *SETTINGS)
        self.expected, market = ExpectedState(), Market(self.chance)
        port, symbols = self.daemon.number, market.symbols()
        self.publisher = SignalPublisher(port, self.expected, market)
        self.followers = []
        for n in range(20):
            some = self.chance.sample(symbols, self.chance.randint(1, 6)) if n % 3 == 2 else None
            name = f"follower {n}"
            self.followers.append(Follower(port, self.expected, name, n % 5 == 4, some))
        self.published = [ClassicFollower(port, self.expected, f"published {n}") for n in range(5)]
        self.programs: SkinPrograms | None = None
        if skins:
            roads, ca = add_roads(self.daemon), self.daemon.data / "tls" / "ca.pem"
            self.programs = SkinPrograms(folder / "skins", ca, roads, self.expected)
        self.listening: list[float] = []
        self.first: list[float] = []
        self.all: list[float] = []
        self.kills = 0
        self.audited: tuple[int, State] = (0, {})

    async def run(self, rounds: int) -> None:
        """Start, do the rounds, and read everything from the beginning."""
        self.daemon.begin()
        for peer in (self.publisher, *self.followers, *self.published):
            peer.dial()
        if self.programs is not None:
            self.programs.begin()
            await wait_for(self._programs_follow, PATIENCE)
        work = asyncio.create_task(self.publisher.work())
        try:
            await self._settle()
            for number in range(1, rounds + 1):
                await self._round()
                print(f"round {number}, {self.expected.acked} signals", file=sys.stderr)
                if self.expected.violations["stuck"]:
                    return
            self.audited = 0, {}
            await self._audit()
        finally:
            work.cancel()
            for peer in (self.publisher, *self.followers, *self.published):
                peer.stop()
            self.daemon.stop(signal.SIGKILL)
            for line in self.daemon.exceptions():
                self.expected.broken("errors", line)
            if self.programs is not None:
                self.programs.stop()
                for text in self.programs.errors():
                    self.expected.broken("errors", text)

    def _programs_follow(self) -> bool:
        """Say whether every follower of the client library has subscribed."""
        answer = self.daemon.answers()
        sessions = answer["signals"]["sessions"] if answer else []
        names = {each["name"] for each in sessions if each["channels"]}
        return self.programs is not None and self.programs.names <= names

    async def _round(self) -> None:
        self.publisher.busy = True
        await asyncio.sleep(self.chance.uniform(0, 0.2))
        killed = self._kill()
        if self.programs is not None and self.chance.random() < PROGRAM_KILLED:
            self.programs.kill(self.chance.choice(KEEPERS))
        if self.chance.random() < DURING_START:
            await asyncio.sleep(self.chance.uniform(0, STARTING))
            killed = self._kill()
        back = await wait_for(lambda: any(f.since > killed for f in self.followers), PATIENCE)
        if back:
            self.listening.append(min(f.met for f in self.followers if f.met > killed) - killed)
            self.first.append(min(f.since for f in self.followers if f.since > killed) - killed)
        await asyncio.sleep(self.chance.uniform(0, 0.1))
        await self._settle()
        self.all.append(time.monotonic() - killed)
        await self._audit()

    def _kill(self) -> float:
        self.kills += 1
        killed = time.monotonic()
        self.daemon.stop(signal.SIGKILL)
        self.daemon.begin()
        return killed

    async def _settle(self) -> None:
        """Let everybody come to the truth."""
        self.publisher.busy = False
        programs = () if self.programs is None else self.programs.everybody
        everybody: list[Any] = [*self.followers, *self.published, *programs]
        if not await wait_for(lambda: not self.publisher.waiting, PATIENCE):
            self.expected.broken("stuck", f"{len(self.publisher.waiting)} signals have no answer")
        if not await wait_for(lambda: all(each.finished() for each in everybody), PATIENCE):
            for each in everybody:
                if not each.finished():
                    self.expected.broken("stuck", f"{each.name} ends with a wrong state")
        self.expected.settle()

    async def _audit(self) -> None:
        """Read what was stored since the last time, as somebody who has been away."""
        audit = Follower(self.daemon.number, self.expected, "the audit", False, None)
        audit.epoch = self.followers[0].epoch
        audit.seq, audit.state = self.audited
        audit.dial()
        if not await wait_for(lambda: audit.since > 0, PATIENCE):
            self.expected.broken("stuck", f"the audit is at {audit.seq}, and not in sync")
        elif audit.seq < self.expected.acked:
            self.expected.broken(
                "lost", f"the audit ends at {audit.seq}, not {self.expected.acked}"
            )
        self.audited = self.expected.acked, dict(self.expected.state)
        audit.stop()

    def report(self) -> dict[str, object]:
        """Say what came out."""
        return {
            "rounds": len(self.all),
            "kills": self.kills,
            "signals": self.expected.acked,
            "sent once more or late": self.publisher.resent,
            "sent once more though acknowledged": self.publisher.repeated,
            "violations": dict(self.expected.violations),
            "clients": self._report_programs(),
            "seconds from kill to the first connection": summary(self.listening),
            "seconds from kill to the first follower in sync": summary(self.first),
            "seconds from kill to everybody in sync": summary(self.all),
            "seen": self.expected.seen,
        }

    def _report_programs(self) -> dict[str, object]:
        if self.programs is None:
            return {}
        return {
            "kills of their programs": self.programs.kills,
            "entries once more after such a kill": sum(
                each.again for each in self.programs.everybody
            ),
            "last entry of each": {each.name: each.seq for each in self.programs.everybody},
        }


def summary(times: list[float]) -> dict[str, float]:
    """Return the median and the worst."""
    if not times:
        return {}
    return {"median": round(statistics.median(times), 3), "worst": round(max(times), 3)}


def main() -> None:
    """Run, print, and exit with status 1 if any promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**9))
    parser.add_argument("--skins", action="store_true", help="with the client library")
    parser.add_argument("--folder", help="where the data lie; the default is a temporary folder")
    options = parser.parse_args()
    # asyncio warns of each frame that is said to a daemon which has just been killed.
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        bench = KillTest(Path(folder), options.seed, options.skins)
        asyncio.run(bench.run(options.rounds))
        report = {"seed": options.seed, "server": HOST, **bench.report()}
        print(json.dumps(report, indent=2))
    broken = sum(bench.expected.violations.values()) > 0
    raise SystemExit(broken or len(bench.all) < options.rounds)


if __name__ == "__main__":
    main()
