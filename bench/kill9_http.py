"""
What is lost by HTTP when a daemon is killed again and again: nothing.

A publisher sends whole states by PUT, and another one signals by POST; each repeats a request that
was not answered. Two followers hold long polls, and check that each signal comes once and in
order. The daemon is killed and started, `--kills` times; in the end every state must be the last
one that was answered.

Run it from a development environment: `python bench/kill9_http.py`.
"""

import argparse
import http.client
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from bench.harness import add_folder
from bench.peers import HOST, SignalsDaemon, free_port

SYMBOLS = [f"S{number}" for number in range(8)]
PATIENCE = 120.0
"""Seconds in which publishers must have an answer, and followers everything, in the end."""


class Client:
    """Asks until it is answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None
        self.repeats = 0

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and answer; a request without an answer is sent again as it was."""
        data = None if body is None else json.dumps(body)
        while True:
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(HOST, self._port, timeout=15)
                self._connection.request(method, path, data)
                answer = self._connection.getresponse()
                found = json.loads(answer.read())
                if answer.status != 503:
                    return answer.status, found
            except (OSError, http.client.HTTPException, ValueError):
                self._connection = None
            self.repeats += 1
            time.sleep(0.02)


class Follower(threading.Thread):
    """A long poll of one channel: what it holds, and what was wrong."""

    def __init__(self, port: int, channel: str) -> None:
        super().__init__(daemon=True)
        self._client, self._path = Client(port), f"/v1/channels/{channel}/signals"
        self.held: dict[str, float] = {}
        self.seq, self.wrong, self.snapshots = 0, "", 0

    def run(self) -> None:
        _, found = self._client.ask("GET", self._path)
        while not self.wrong:
            self._take(found)
            known = f"?epoch={found['epoch']}&after={found['seq']}&h={found['h']}&wait=5"
            status, found = self._client.ask("GET", self._path + known)
            if status != 200:
                self.wrong = f"status {status}: {found}"

    def _take(self, found: dict[str, Any]) -> None:
        if "snapshot" in found:
            self.snapshots += 1
            self.held = {}
        else:
            seqs = [each["seq"] for each in found["signals"]]
            if seqs != list(range(self.seq + 1, found["seq"] + 1)):
                self.wrong = f"after {self.seq} came {seqs}"
        for each in found.get("snapshot", found.get("signals", ())):
            self.held.pop(each["symbol"], None)
            if float(each["volume"]):
                self.held[each["symbol"]] = float(each["volume"])
        self.seq = found["seq"]


class Publisher(threading.Thread):
    """
    A publisher by PUT or by POST.

    Attributes:
        held: what the channel must hold.
        count: how many requests were answered.
    """

    def __init__(self, port: int, channel: str, whole: bool) -> None:
        super().__init__(daemon=True)
        self._client, self._channel, self._whole = Client(port), channel, whole
        self.held: dict[str, float] = {}
        self.count, self.wrong, self.over = 0, "", False
        self.seqs: list[int] = []

    def run(self) -> None:
        draw = random.Random(self._channel)
        while not (self.over or self.wrong):
            (self._put if self._whole else self._post)(draw)
            self.count += 1

    def _put(self, draw: random.Random) -> None:
        held = {each: float(draw.randint(1, 9)) for each in draw.sample(SYMBOLS, 4)}
        positions = [{"symbol": symbol, "volume": lots} for symbol, lots in held.items()]
        body = {"publisher": "p", "n": self.count, "positions": positions}
        status, answer = self._client.ask("PUT", f"/v1/channels/{self._channel}/positions", body)
        if status != 200 or answer["refused"]:
            self.wrong = f"{status} {answer}"
        self.held = held

    def _post(self, draw: random.Random) -> None:
        symbol, lots = draw.choice(SYMBOLS), float(draw.randint(0, 9))
        signal = {"id": f"s{self.count}", "symbol": symbol, "volume": lots}
        body = {"publisher": "p", "signals": [signal]}
        status, answer = self._client.ask("POST", f"/v1/channels/{self._channel}/signals", body)
        if status != 200:
            self.wrong = f"{status} {answer}"
            return
        self.seqs.append(answer[0]["seq"])
        self.held = {each: lots for each, lots in {**self.held, symbol: lots}.items() if lots}

    @property
    def repeats(self) -> int:
        """How many requests were sent again."""
        return self._client.repeats


def main() -> int:
    """Kill, and print what was found; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=60)
    add_folder(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        port = free_port()
        daemon = SignalsDaemon(Path(folder))
        daemon.more.append(f"web=tcp:{port}:interface={HOST}")
        daemon.start()
        publishers = {
            "whole": Publisher(port, "whole", True),
            "main": Publisher(port, "main", False),
        }
        for each in publishers.values():
            each.start()
        time.sleep(1)
        followers = {name: Follower(port, name) for name in publishers}
        for follower in followers.values():
            follower.start()
        for number in range(options.kills):
            time.sleep(random.uniform(0.2, 1.0))
            daemon.process.kill()
            daemon.process.wait()
            daemon.start()
            answered = sum(each.count for each in publishers.values())
            print(f"kill {number + 1} of {options.kills}: {answered} answered", flush=True)
        time.sleep(1)
        found = [finish(name, publishers[name], followers[name]) for name in publishers]
        daemon.process.kill()
        daemon.process.wait()
    print("\n".join(found))
    return int(any("WRONG" in each for each in found))


def finish(name: str, publisher: Publisher, follower: Follower) -> str:
    """Wait until a follower has everything; return what was found."""
    publisher.over = True
    publisher.join(PATIENCE)
    until = time.monotonic() + PATIENCE
    while follower.held != publisher.held and time.monotonic() < until:
        time.sleep(0.1)
    wrong = publisher.wrong or follower.wrong
    if publisher.is_alive():
        wrong = wrong or f"its last request has no answer within {PATIENCE:g} s"
    if follower.held != publisher.held:
        wrong = wrong or f"held {follower.held}, and not {publisher.held}"
    if publisher.seqs != sorted({*publisher.seqs}):
        wrong = wrong or "a signal was stored twice, or out of order"
    return (
        f"{name}: {publisher.count} answered, {publisher.repeats} sent again, {follower.seq} "
        f"signals, {follower.snapshots} snapshots: {'WRONG: ' + wrong if wrong else 'nothing lost'}"
    )


if __name__ == "__main__":
    sys.exit(main())
