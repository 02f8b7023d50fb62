"""One program in an imitated terminal; its folder and its account outlive the process."""

import json
import os
import queue
import signal
import subprocess
import threading
from collections import Counter
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from imitation.waiting import PATIENCE, SPEED, until

CRITICAL = 99
"""The exit status of a program that the terminal ended."""


class Terminal:
    """
    A compiled program and its process.

    Attributes:
        folder: the data folder; programs with the same one run in the same terminal.
        environ: its inputs and the settings of the imitation.
        said: what it printed, without the answers to `state` and `history`.
    """

    def __init__(self, program: Path, folder: Path, **environ: object):
        folder.mkdir(parents=True, exist_ok=True)
        self.program, self.folder = program, folder
        self.environ = {"SPEED": str(SPEED)} | {name: str(each) for name, each in environ.items()}
        self.said: list[str] = []
        self._answers: queue.Queue[str] = queue.Queue()
        self._process: subprocess.Popen[str] | None = None

    def start(self, **environ: object) -> "Terminal":
        self._wait()  # for one that ended by itself
        self.environ |= {name: str(each) for name, each in environ.items()}
        with self._journal.open("a", encoding="utf-8") as journal:
            self._process = subprocess.Popen(
                [self.program],
                cwd=self.folder,
                env=os.environ | self.environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=journal,
                text=True,
                bufsize=1,
            )
        before = self.said.count("ready")
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,))
        self._reader.start()
        until(lambda: self.said.count("ready") > before or self.ended)
        return self

    def _read(self, output: Any) -> None:
        with output:
            for line in output:
                self._note(line.rstrip("\n"))

    def _note(self, line: str) -> None:
        if line.startswith(("state ", "history ")):
            self._answers.put(line)
        else:
            self.said.append(line)

    @property
    def _journal(self) -> Path:
        return self.folder / f"journal-{self.program.stem}.txt"

    def say(self, *commands: str) -> None:
        """Give commands; a program that has ended hears none."""
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write("".join(f"{each}\n" for each in commands))
            self._process.stdin.flush()

    def ask(self, command: str) -> Any:
        while not self._answers.empty():
            self._answers.get()
        self.say(command)
        return json.loads(self._answers.get(timeout=PATIENCE).partition(" ")[2])

    # What can be seen

    def state(self) -> dict[str, Any]:
        return self.ask("state")

    def net(self, magic: int | None = None) -> dict[str, Decimal]:
        """Return the net volume of each symbol that is not flat; `magic`: of these positions."""
        sums: Counter[str] = Counter()
        for each in self.state()["positions"]:
            if magic is None or each["magic"] == magic:
                sums[each["symbol"]] += Decimal(str(each["lots"]))
        return {symbol: lots for symbol, lots in sums.items() if lots}

    def holds(self, **lots: float) -> bool:
        """Return whether the account holds these net volumes and nothing else."""
        return self.net() == {symbol: Decimal(str(each)) for symbol, each in lots.items()}

    @property
    def deals(self) -> list[dict[str, Any]]:
        return self.ask("history")["deals"]

    @property
    def sent(self) -> int:
        """How many requests the program has sent."""
        return self.state()["sent"]

    @property
    def comment(self) -> str:
        return self.state()["comment"]

    @property
    def alerts(self) -> list[str]:
        return [line.removeprefix("alert ") for line in self.said if line.startswith("alert ")]

    def journal(self) -> str:
        return self._journal.read_text("utf-8", "replace")

    def mentions(self, *words: str) -> bool:
        """Return whether one alert, line of the journal or the comment has all of these words."""
        lines = [*self.alerts, *self.journal().splitlines(), self.comment]
        return any(all(word.lower() in line.lower() for word in words) for line in lines)

    # Its end

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def quit(self) -> None:
        """End it in order, as by closing the terminal."""
        if not self.ended:
            self.say("quit")
        self._wait()

    def kill(self) -> None:
        """End it as by a loss of power."""
        if not self.ended:
            assert self._process is not None
            self._process.send_signal(signal.SIGKILL)
        self._wait()

    def _wait(self) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._reader.join()

    @property
    def critical(self) -> bool:
        """Whether the terminal has ended the program."""
        return self._process is not None and self._process.poll() == CRITICAL
