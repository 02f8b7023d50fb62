"""
Status: CPU of the engine with many followers and one change each second.

In one process, without sockets: a provider, and `--followers` sessions that report and
acknowledge, on the fakes of `mtnet.testing`. Each simulated second one signal is stored and sent
to all, all acknowledge it, and everybody is judged once, where the daemon judges a thousand every
two seconds. Reported is the median of the rounds: ms of CPU for the judgements, for the rows that
can be made of them all, and for the acknowledgements, each as a share of a second.

Run it from the checkout that is to be measured: `python bench/status.py [--followers 1000]`.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from twisted.internet.task import Clock

from mtnet.interfaces import IParticipants, ISignals
from mtnet.services.signals.reports import wire as reports
from mtnet.services.signals.reports.wire import Report
from mtnet.services.signals.wire import requests
from mtnet.session import messages
from mtnet.testing import FakeEnvironment, Terminal, connect, make_environment

REPORT = reports.report(Report(trading=True, account="1", server="Broker"))


class Scene:
    """A provider, and followers that trade."""

    def __init__(self, folder: Path, followers: int) -> None:
        self.clock = Clock()
        sets = ("access.trust_loopback=true", "access.connections.signals.total=100000")
        self.env: FakeEnvironment = make_environment(folder, self.clock, *sets)
        self._factory = self.env.factory("signals")
        self.participants: Any = IParticipants(self.env.components.services["signals"])
        self.signals = self.env.find(ISignals)
        self._provider = self._greet("provider")
        self._count = 0
        self.publish()
        self.followers = [self._follow(f"f{number}") for number in range(followers)]
        self.acknowledge()

    def _greet(self, name: str) -> Terminal:
        terminal = connect(self._factory, self.clock)
        terminal.send(messages.hello(name=name, client="MtnetFollower 2.00"))
        return terminal

    def _follow(self, name: str) -> Terminal:
        terminal = self._greet(name)
        terminal.send(requests.subscribe("gold"))
        terminal.send(REPORT)
        return terminal

    def publish(self) -> None:
        """Store one signal, and let a second pass."""
        self._count += 1
        fields = {"id": f"s{self._count}", "channel": "gold", "symbol": "EURUSD"}
        volume = self._count % 7 + 1
        self._provider.send(
            messages.request(requests.REQUESTS, "PUBLISH", **fields, volume=f"{volume}")
        )
        self.clock.advance(1.0)

    def acknowledge(self) -> float:
        """Let every follower acknowledge the signal; return the CPU in ms."""
        volume = self._count % 7 + 1
        ack = requests.ack(requests.Ack("gold", self._count, "filled", None, volume))  # type: ignore[arg-type]
        for each in self.followers:
            each.received()
        begin = time.process_time()
        for each in self.followers:
            each.send(ack)
        return (time.process_time() - begin) * 1e3

    def judge(self) -> float:
        """Judge everybody, whether it is time or not; return the CPU in ms."""
        self.participants.refresh()
        begin = time.process_time()
        rows = self.participants.judged()
        took = (time.process_time() - begin) * 1e3
        wrong = [each for each in rows if each.judgement.status != "ok"]
        assert len(rows) == len(self.followers) + 1, len(rows)
        assert not wrong, wrong[:2]
        return took

    def rows(self) -> float:
        """Make rows of what was judged; return the CPU in ms."""
        begin = time.process_time()
        for each in self.participants.participants():
            each.row()
        return (time.process_time() - begin) * 1e3


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--followers", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=5, help="of each round")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    figures: dict[str, list[float]] = {"judgement": [], "rows": [], "acknowledgements": []}
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder), asked.followers)
        for _ in range(asked.rounds):
            found: dict[str, list[float]] = {name: [] for name in figures}
            for _ in range(asked.seconds):
                scene.publish()
                found["acknowledgements"].append(scene.acknowledge())
                found["judgement"].append(scene.judge())
                found["rows"].append(scene.rows())
            for name, each in found.items():
                figures[name].append(median(each))
    for name, each in figures.items():
        took = median(each)
        print(f"{name:>17}: {took:6.1f} ms of CPU a second = {took / 10:.2f} %")


if __name__ == "__main__":
    main()
