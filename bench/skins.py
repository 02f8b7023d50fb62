"""Followers of the client library in programs of their own, checked by what they log."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench.expected_state import ExpectedState, State, apply
from mtnet.services.signals.wire.answers import Entry

PROGRAM = Path(__file__).with_name("skin_followers.py")
SKINS = ("twisted", "aio", "sync")
KEEPERS = ("aio", "sync")
"""Skins that keep their state in a file: their programs may be killed."""


class LoggedFollower:
    """
    A follower whose program logs each entry that it is handed.

    Attributes:
        restarted: its program was killed since the last entry, which may come once more.
        again: entries that came once more for that reason.
    """

    def __init__(self, name: str, path: Path, expected: ExpectedState) -> None:
        self.name, self._path, self._expected = name, path, expected
        self.seq, self.state, self.restarted, self.again = 0, State(), False, 0
        self._read = 0

    def finished(self) -> bool:
        """Read what is new; say whether everything has come that was stored."""
        self._take_lines()
        return self.seq == len(self._expected.said) and self.state == self._expected.state

    def _take_lines(self) -> None:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # its rest may come before the next one is read, as a line of its own
                self._read += len(line)
                self._take(json.loads(line))

    def _take(self, line: list[Any]) -> None:
        seq, symbol, ticket, volume, kind, fields = line
        pairs = tuple((key, text) for key, text in fields)
        entry = Entry("main", seq, symbol, Decimal(volume), 0, ticket, kind, pairs)
        self._expected.check(self.name, seq, entry)
        if seq == self.seq and self.restarted:
            self.again += 1
            self.restarted = False
            return
        if seq != self.seq + 1:
            fault = "twice" if seq <= self.seq else "lost"
            self._expected.broken(fault, f"{self.name} was handed {seq} behind {self.seq}")
        self.seq, self.restarted = seq, False
        apply(self.state, seq, self._expected.said[seq - 1])


class SkinPrograms:
    """
    A program for each skin, which follows on every road.

    Args:
        roads: the name of each road, and the server's address on it.
    """

    def __init__(
        self, folder: Path, ca: Path, roads: Mapping[str, str], expected: ExpectedState
    ) -> None:
        self.folder, self._ca, self._roads = folder, ca, roads
        folder.mkdir()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.kills = 0
        self.followers = {
            skin: [
                LoggedFollower(f"{skin} by {road}", folder / f"{skin}-{number}.log", expected)
                for number, road in enumerate(roads)
            ]
            for skin in SKINS
        }

    @property
    def names(self) -> set[str]:
        """The names by which the server knows the followers."""
        return {f"{skin}-{number}" for skin in SKINS for number in range(len(self._roads))}

    @property
    def everybody(self) -> Sequence[LoggedFollower]:
        """All followers."""
        return [each for found in self.followers.values() for each in found]

    def begin(self) -> None:
        """Start every program."""
        for skin in SKINS:
            self._start(skin)

    def kill(self, skin: str) -> None:
        """Kill a program, and start it again: it goes on by its state."""
        self._stop(skin)
        self.kills += 1
        for each in self.followers[skin]:
            each.finished()  # what it logged before counts as before
            each.restarted = True
        self._start(skin)

    def stop(self) -> None:
        """End every program."""
        for skin in list(self._processes):
            self._stop(skin)

    def errors(self) -> list[str]:
        """Return what the programs complained of."""
        said = [path.read_text("utf-8") for path in sorted(self.folder.glob("*.err"))]
        return [text[:2000] for text in said if text.strip()]

    def _start(self, skin: str) -> None:
        command = [sys.executable, str(PROGRAM), skin, str(self.folder), str(self._ca)]
        with (self.folder / f"{skin}.err").open("ab") as log:
            self._processes[skin] = subprocess.Popen([*command, *self._roads.values()], stderr=log)

    def _stop(self, skin: str) -> None:
        process = self._processes.pop(skin)
        if process.poll() is not None:
            with (self.folder / f"{skin}.err").open("a", encoding="utf-8") as log:
                log.write(f"The program of {skin} had ended with {process.returncode}.\n")
        process.kill()
        process.wait()
