"""
Walks: how many Python calls into mtnet, and how many of its files, one request takes.

Counted by `sys.setprofile` over transports in memory: each call of a function whose file lies in
the package (generators and lambdas count; C and Twisted do not), from `dataReceived` until the
answer is written. Each walk is done once before it is counted. No time is measured.

The clock is the test's, and the worker the caller's own thread: a daemon adds a call of
`clock.py`, which asks the system for the time, and some of `storage/worker.py`.

Run it from the checkout that is to be measured: `python bench/walks.py [--files]`. It works with
every version since the tree has rooms.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
if "--in" in sys.argv:
    ROOT = Path(sys.argv[sys.argv.index("--in") + 1])
sys.path.insert(0, str(ROOT))

from twisted.internet.task import Clock  # noqa: E402

import mtnet.testing  # noqa: E402
from mtnet.net.endpoints import Listener  # noqa: E402
from mtnet.testing import connect  # noqa: E402

PACKAGE = str(Path(mtnet.__file__).parent) + "/"
LIMITS = {"template": (44, 9), "classic": (84, 23), "dialect 2": (115, 26)}
"""Calls and files that each walk may take."""
GET = b"GET /templates/EURUSD/H1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHART = b"<chart>\r\nsymbol=EURUSD\r\nperiod=60\r\n<window>\r\n</window>\r\n</chart>\r\n"


class Walk:
    """Counts the calls into the package while it is entered."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __enter__(self) -> "Walk":
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    @property
    def files(self) -> Counter[str]:
        """How many calls went into each file."""
        found: Counter[str] = Counter()
        for where, count in self.calls.items():
            found[where.partition(":")[0]] += count
        return found

    def _count(self, frame: Any, event: str, _: object) -> None:
        code = frame.f_code
        name = code.co_filename
        if event == "call" and name.startswith(PACKAGE) and not name.endswith("/testing.py"):
            self.calls[f"{name.removeprefix(PACKAGE)}:{code.co_qualname}"] += 1


class Server:
    """The services in memory, whatever they are called in this version."""

    def __init__(self, folder: Path, *sets: str) -> None:
        self.clock = Clock()
        testing: Any = mtnet.testing
        make = getattr(testing, "make_environment", None) or testing.make_hub
        self.env = make(folder, self.clock, *sets)

    def factory(self, name: str) -> Any:
        """Return the factory of a service at a listener on loopback."""
        listener = Listener(name, "tcp:1")
        if hasattr(self.env, "factory"):
            return self.env.factory(name, listener)
        plugin = getattr(__import__(f"mtnet.plugins.{name}", fromlist=[name]), name)
        return plugin.buildFactory(self.env).at(listener)

    def dial(self, name: str) -> Any:
        """Connect a client to a service."""
        return connect(self.factory(name), self.clock)


def walk(clock: Clock, send: Callable[[], None], done: Callable[[], bool]) -> Walk:
    """Count what `send` brings about, until `done`."""
    with Walk() as found:
        send()
        turns = 0
        while not done() and turns < 100:
            clock.advance(0)
            turns += 1
    if not done():
        raise SystemExit("The answer did not come.")
    return found


def template(folder: Path) -> Walk:
    """GET of a template on its own port."""
    server = Server(folder)
    _store_template(server)
    factory = server.factory("templates")
    for _ in range(2):
        client = connect(factory, server.clock)
        found = walk(
            server.clock,
            lambda: client.protocol.dataReceived(GET),  # noqa: B023
            lambda: b"</chart>" in client.transport.value(),  # noqa: B023
        )
    return found


def _store_template(server: Server) -> None:
    client = server.dial("templates")
    client.send(b"STORE EURUSD H1 %d\r\n" % len(CHART) + CHART)
    server.clock.advance(0)
    answer = client.received()
    if not answer.startswith(b"OK"):
        raise SystemExit(f"No template could be stored: {answer!r}")


def classic(folder: Path) -> Walk:
    """A classic publisher's frame to a classic follower."""
    server = Server(folder, "signals.pace=0")
    factory = server.factory("signals")
    follower, publisher = connect(factory, server.clock), connect(factory, server.clock)
    publisher.send(b"<<EURUSD|1>>")
    server.clock.advance(0)
    server.clock.advance(1.0)
    server.clock.advance(0)
    if b"EURUSD" not in follower.received():
        raise SystemExit("The follower was sent nothing.")
    for volume in (b"2", b"3"):
        follower.received()
        found = walk(
            server.clock,
            lambda: publisher.protocol.dataReceived(b"<<EURUSD|%b>>" % volume),  # noqa: B023
            lambda: b"EURUSD" in follower.transport.value(),
        )
    return found


def dialect_2(folder: Path) -> Walk:
    """PUBLISH of dialect 2 to STORED, and to SIGNAL at a follower."""
    server = Server(folder)
    factory = server.factory("signals")
    follower, publisher = connect(factory, server.clock), connect(factory, server.clock)
    for each in (follower, publisher):
        each.send(b"<<HELLO|v=2>>")
    follower.send(b"<<SUBSCRIBE|channel=main>>")
    server.clock.advance(0)
    publish = b"<<PUBLISH|id=a-%d|symbol=GBPUSD|volume=0.%d|price=1.2345>>"
    publisher.send(publish % (0, 1))
    server.clock.advance(0)
    for number in (2, 3):
        server.clock.advance(0)
        follower.received(), publisher.received()
        found = walk(
            server.clock,
            lambda: publisher.protocol.dataReceived(publish % (number, number)),  # noqa: B023
            lambda: (
                b"STORED" in publisher.transport.value() and b"SIGNAL" in follower.transport.value()
            ),
        )
    return found


WALKS = {"template": template, "classic": classic, "dialect 2": dialect_2}


def main() -> None:
    """Print the counts of each walk."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--files", action="store_true", help="the calls of each file, too")
    parser.add_argument("--calls", action="store_true", help="the calls of each function, too")
    parser.add_argument("--in", dest="checkout", help="the checkout to measure; default: this one")
    options = parser.parse_args()
    for name, take in WALKS.items():
        with tempfile.TemporaryDirectory() as folder:
            found = take(Path(folder) / "data")
        calls, files = found.calls.total(), len(found.files)
        most = LIMITS[name]
        print(f"{name:10}  calls {calls:4} (≤ {most[0]:3})  files {files:3} (≤ {most[1]:2})")
        for part, wanted in ((found.files, options.files), (found.calls, options.calls)):
            for where, count in part.most_common() if wanted else ():
                print(f"    {count:4}  {where}")


if __name__ == "__main__":
    main()
