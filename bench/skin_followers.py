"""
A program that follows a channel on several roads with one skin of the client, for `kill9.py`.

    python bench/skin_followers.py aio|sync|twisted FOLDER CA ADDRESS...

Each entry that it is handed becomes a line of JSON in `FOLDER/SKIN-N.log`. Those of aio and sync
keep their state in a file beside it, and may be killed.
"""

import asyncio
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mtnet.client import Follower, aio, server_from_string, sync
from mtnet.services.signals.wire.answers import Entry


class Log:
    """A file with a line for each entry; a line is written whole, or not at all."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def write(self, entry: Entry) -> None:
        """Write an entry."""
        shown = [
            entry.seq, entry.symbol, entry.ticket, str(entry.volume), entry.type, entry.fields,
        ]  # fmt: skip
        os.write(self._file, json.dumps(shown).encode() + b"\n")

    def write_all(self, entries: Iterable[Entry]) -> None:
        """Write entries, a line each."""
        for each in entries:
            self.write(each)


def options(name: str, address: str, folder: Path, ca: str) -> dict[str, Any]:
    """Return the options of a follower of aio or sync."""
    secure = address.startswith(("secure:", "wss:", "https:"))
    found = {"state": folder / f"{name}.state", "ca": ca if secure else None, "name": name}
    return {**found, "on_event": lambda event: None}


async def follow(name: str, address: str, folder: Path, ca: str) -> None:
    """Follow by asyncio."""
    log = Log(folder / f"{name}.log")
    async for entry in aio.follow(address, **options(name, address, folder, ca)):
        log.write(entry)


async def follow_all(targets: list[tuple[str, str]], folder: Path, ca: str) -> None:
    """Follow every address by asyncio."""
    await asyncio.gather(*(follow(*target, folder, ca) for target in targets))


def follow_in_thread(name: str, address: str, folder: Path, ca: str) -> None:
    """Follow by a loop that waits; the program ends when it fails."""
    log = Log(folder / f"{name}.log")
    try:
        for entry in sync.follow(address, **options(name, address, folder, ca)):
            log.write(entry)
    finally:
        logging.exception("%s has ended", name)
        os._exit(1)


def follow_by_twisted(targets: list[tuple[str, str]], folder: Path, ca: str) -> None:
    """Follow every address by Twisted."""
    from twisted.internet import reactor

    vars(reactor)["seconds"] = time.monotonic
    for name, address in targets:
        secure = address.startswith(("secure:", "wss:", "https:"))
        server = server_from_string(reactor, address, Path(ca) if secure else None)
        log = Log(folder / f"{name}.log")
        follower = Follower(
            server,
            reactor,
            on_signal=log.write,
            on_snapshot=log.write_all,
            on_unreachable=lambda sentence: None,
            name=name,
        )
        follower.startService()
    reactor.run()


def main() -> None:
    """Follow until the process is killed."""
    skin, folder, ca, *addresses = sys.argv[1:]
    targets = [(f"{skin}-{number}", address) for number, address in enumerate(addresses)]
    if skin == "aio":
        asyncio.run(follow_all(targets, Path(folder), ca))
    elif skin == "twisted":
        follow_by_twisted(targets, Path(folder), ca)
    else:
        for target in targets:
            threading.Thread(target=follow_in_thread, args=(*target, Path(folder), ca)).start()


if __name__ == "__main__":
    main()
