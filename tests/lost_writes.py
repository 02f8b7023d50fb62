"""
A disk as a power loss leaves it: what was forced is there, of the rest whatever the test says.

The system calls of a program are read from the files of `strace`, which sees what SQLite does
as well as what Python does, and to which nothing in the program must lend a hand.
"""

import ctypes
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

SECTOR, PAGE = 512, 4096
"""What the disk writes whole, and what the kernel forgets whole when it could not write it."""
MOVES = ("unlink", "unlinkat", "rename", "renameat", "renameat2")
OTHERS = "openat,close,lseek,write,pwrite64,ftruncate,fsync,fdatasync,writev"
# Not every processor has all of them, which the question mark forgives.
CALLS = ",".join([OTHERS, "?open", *(f"?{name}" for name in MOVES)])
_LINE = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+)")

Write = tuple[int, bytes | None]
"""An offset and what was written there, or a length and None."""


# The programs


def missing() -> str:
    """Say why nothing can be traced here; empty = it can."""
    if shutil.which("strace") is None:
        return "strace, which records what reaches the disk, is not installed."
    kinds = ["-e", f"trace={CALLS}", "-e", "inject=fsync:error=EIO:when=1..2"]
    command = ["strace", "-f", "--seccomp-bpf", "-o", os.devnull, *kinds, "true"]
    trial = subprocess.run(command, capture_output=True, check=False)
    return "strace may not trace here, or is too old." if trial.returncode else ""


def trace(prefix: Path, command: Sequence[str], *options: str, env: Mapping[str, str]) -> None:
    """Run a program; each of its processes gets a file of system calls `prefix`.PID."""
    records = ["-f", "-ff", "--seccomp-bpf", "-o", str(prefix)]
    contents = ["-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-e", "signal=none"]
    whole = ["strace", *records, *contents, *options, *command]
    subprocess.run(whole, check=True, env={**os.environ, **env})


def note(handle: int, **what: object) -> None:
    """Leave a note in the record of this process's system calls."""
    os.writev(handle, [json.dumps(what).encode()])


def spend(call: str, count: int) -> None:
    """Make a system call in vain, so that the next one is the one that shall fail."""
    function = getattr(ctypes.CDLL(None), {"pwrite64": "pwrite"}.get(call, call))
    for _ in range(count):
        function(-1, None, 0, 0)


# The disk


@dataclass
class Inode:
    """
    A file without its name.

    Attributes:
        cache: what a program reads.
        durable: what was forced.
        pending: what was done since.
        doubtful: pages that the kernel could not write and believes written, by number.
    """

    cache: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write] = field(default_factory=list)
    doubtful: dict[int, bytes] = field(default_factory=dict)

    def do(self, where: int, data: bytes | None) -> None:
        _apply(self.cache, where, data)
        self.pending.append((where, data))

    def sync(self) -> None:
        old, self.durable = self.durable, bytearray(self.cache)
        written = self._pages()
        self.doubtful = {
            page: data
            for page, data in self.doubtful.items()
            if page not in written and page * PAGE < len(self.cache)
        }
        for page in self.doubtful:
            start, end = page * PAGE, min((page + 1) * PAGE, len(self.cache))
            self.durable[start:end] = old[start:end].ljust(end - start, b"\0")
        self.pending = []

    def fail(self) -> None:
        """Forget what was not written, as the kernel does after an `fsync` that failed."""
        for page in self._pages():
            self.doubtful[page] = bytes(self.cache[page * PAGE : (page + 1) * PAGE])
        # The length is kept by the file system, which writes it another time.
        self.pending = [each for each in self.pending if each[1] is None]

    def image(self, choice: "Choice") -> bytes:
        """Return the file after a power loss."""
        data = bytearray(self.durable)
        for page, content in self.doubtful.items():
            if choice.takes():
                _apply(data, page * PAGE, content)
        for where, written in choice.writes(self.pending):
            _apply(data, where, written)
        return bytes(data)

    def _pages(self) -> set[int]:
        return {
            page
            for where, data in self.pending
            if data
            for page in range(where // PAGE, (where + len(data) - 1) // PAGE + 1)
        }


class Choice:
    """Which of the unforced writes reach the disk: the first `count` of them; None = all."""

    def __init__(self, count: int | None = None) -> None:
        self._count = count

    def takes(self) -> bool:
        return self._count is None

    def writes(self, pending: list[Write]) -> Iterable[Write]:
        return pending[: self._count]


class Torn(Choice):
    """Any of them, and of those any sectors."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._share = chance.choice((0.2, 0.5, 0.8, 0.95))

    def takes(self) -> bool:
        return self._chance.random() < self._share

    def writes(self, pending: list[Write]) -> Iterable[Write]:
        sectors = (sector for each in pending for sector in _sectors(*each))
        return [sector for sector in sectors if self.takes()]


class Disk:
    """
    Args:
        folder: whose files are simulated.
        files: those that are there, all of them forced.
    """

    def __init__(self, folder: Path, files: Mapping[str, bytes] | None = None) -> None:
        self.folder = str(folder)
        self.names: dict[str, Inode] = {
            name: Inode(bytearray(data), bytearray(data)) for name, data in (files or {}).items()
        }
        self.forced = dict(self.names)
        self.naming: list[tuple[str, Inode | None]] = []

    def holds(self, path: str) -> bool:
        return os.path.dirname(path) == self.folder

    def name(self, name: str, inode: Inode | None) -> None:
        """Give a file a name, or with None take it away."""
        self.naming.append((name, inode))
        _name(self.names, name, inode)

    def sync_names(self) -> None:
        self.forced, self.naming = dict(self.names), []

    def image(
        self, choice: Choice, names: int | None = None, others: Mapping[str, Choice] | None = None
    ) -> dict[str, bytes]:
        """
        Return the files after a power loss.

        Args:
            choice: what reaches a file.
            names: how many of the names that were made and removed since are there.
            others: what reaches these files instead.
        """
        found = dict(self.forced)
        for name, inode in self.naming[:names]:
            _name(found, name, inode)
        choices = others or {}
        return {
            # The index of the log is made anew at the first opening.
            name: inode.image(choices.get(name, choice))
            for name, inode in found.items()
            if not name.endswith("-shm")
        }

    def images(self, chance: random.Random, torn: int, prefixes: int) -> Iterator[dict[str, bytes]]:
        """
        Yield what a power loss at this moment can leave, the extremes first.

        Args:
            torn: how many of them are left to chance.
            prefixes: how many of the last unforced writes of each file are missing in turn.
        """
        nothing, everything = Choice(0), Choice()
        for choice in (nothing, everything):
            for names in range(len(self.naming) + 1):
                yield self.image(choice, names)
        for name, inode in self.names.items():
            count = len(inode.pending)
            for kept in range(max(0, count - prefixes), count):
                for choice in (nothing, everything):
                    yield self.image(choice, others={name: Choice(kept)})
        for _ in range(torn):
            yield self.image(Torn(chance), chance.randint(0, len(self.naming)))


# What a program did to it


class Call(NamedTuple):
    """
    Attributes:
        texts: the arguments that are texts.
        flags: the others.
        result: what it returned; below 0 = it failed.
    """

    name: str
    texts: list[bytes]
    flags: str
    result: int

    @property
    def handle(self) -> int:
        return int(self.flags.split(",")[0])

    @property
    def last(self) -> int:
        return int(self.flags.split(",")[-1])

    @property
    def data(self) -> bytes:
        return self.texts[0][: self.result]


class Process:
    """Does to a disk what a process did, one system call at a time."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._opened: dict[int, Inode] = {}
        self._offsets: dict[int, int] = {}
        self._folders: set[int] = set()

    def do(self, call: Call) -> None:
        if call.name in ("open", "openat"):
            self._open(call)
        elif call.name in MOVES:
            self._move(*(text.decode() for text in call.texts))
        elif call.handle in self._folders:
            self._do_to_folder(call)
        elif call.handle in self._opened:
            self._do_to_file(call, self._opened[call.handle])

    def _do_to_folder(self, call: Call) -> None:
        if call.name == "close":
            self._folders.remove(call.handle)
        elif call.name == "fsync" and call.result == 0:
            self._disk.sync_names()

    def _do_to_file(self, call: Call, file: Inode) -> None:
        if call.name in ("fsync", "fdatasync"):
            file.sync() if call.result == 0 else file.fail()
        elif call.result < 0:
            return
        elif call.name == "close":
            del self._opened[call.handle]
        elif call.name == "lseek":
            self._offsets[call.handle] = call.result
        elif call.name == "pwrite64":
            file.do(call.last, call.data)
        elif call.name == "write":
            file.do(self._offsets[call.handle], call.data)
            self._offsets[call.handle] += call.result
        elif call.name == "ftruncate":
            file.do(call.last, None)

    def _open(self, call: Call) -> None:
        path = call.texts[0].decode()
        if path == self._disk.folder:
            self._folders.add(call.result)
        if not self._disk.holds(path):
            return
        name = os.path.basename(path)
        if name not in self._disk.names:
            self._disk.name(name, Inode())
        self._opened[call.result] = self._disk.names[name]
        self._offsets[call.result] = 0
        if "O_TRUNC" in call.flags:
            self._disk.names[name].do(0, None)

    def _move(self, source: str, target: str = "") -> None:
        inode = self._disk.names.get(os.path.basename(source))
        if self._disk.holds(source) and inode is not None:
            self._disk.name(os.path.basename(source), None)
            if target:
                self._disk.name(os.path.basename(target), inode)


class Moment(NamedTuple):
    """
    Attributes:
        failed: whether a system call just failed that the test made fail.
        note: what the process has just noted with `note`.
    """

    failed: bool = False
    note: dict | None = None


def replay(disk: Disk, path: Path) -> Iterator[Moment]:
    """Do to a disk what a process did, by its file of system calls."""
    process = Process(disk)
    for line in path.read_text().splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        name, arguments, result = match[1], match[2], int(match[3])
        failed = line.endswith("(INJECTED)")
        if result < 0 and not failed:
            continue
        parts = arguments.split('"')  # of which none lies within a text: all its bytes are hex
        texts = [bytes.fromhex(text.replace("\\x", "")) for text in parts[1::2]]
        if name == "writev":
            yield Moment(note=json.loads(texts[0]))
            continue
        process.do(Call(name, texts, "".join(parts[::2]), result))
        if name not in ("close", "lseek"):
            yield Moment(failed)


def _sectors(where: int, data: bytes | None) -> Iterator[Write]:
    if data is None:
        yield where, None
        return
    start, stop = where, where + len(data)
    while start < stop:
        end = min((start // SECTOR + 1) * SECTOR, stop)
        yield start, data[start - where : end - where]
        start = end


def _name(names: dict[str, Inode], name: str, inode: Inode | None) -> None:
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode


def _apply(data: bytearray, where: int, written: bytes | None) -> None:
    if len(data) < where:
        data.extend(bytes(where - len(data)))
    if written is None:
        del data[where:]
    else:
        data[where : where + len(written)] = written
