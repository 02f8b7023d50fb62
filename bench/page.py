"""
The page: CPU of the daemon for each page that is open, beside that for each follower.

A real daemon on loopback, one provider with a signal each `--interval` seconds, and ticks of one
symbol four times a second. `--followers` sessions of dialect 2 have logged in, each with an account
of its own, acknowledge each signal and REPORT every 10 s, as the expert for MetaTrader 5 does;
`--anonymous` leaves login and REPORT out. `--pages` pages do what the page does in a browser, with
the compression that Chromium asks for: WATCH, TICKS, BARS, SUBSCRIBE with `observe` for each
channel, once more for its last signals, and by HTTP its files, the symbols, the templates, the
equity of terminals, and every 15 s the fills of the channel. They read, and draw nothing.

Blocks with and without the pages take turns, in one daemon, and the CPU of each block with them is
divided by that of the two blocks beside it: the clock of the machine, which changes by half within
minutes, is left out so. How much of a block without pages the followers take is known from blocks
before they come. Reported is the median of the rounds, with its standard error by the quartiles.
With `--chromium` one real tab in Chromium looks on for `--look` seconds at the end, beside one page
less, and what its main thread did is reported (`Performance.getMetrics`), with its memory at the
beginning and at the end.

Needs `websockets`, and `--chromium` playwright: `python bench/page.py [--rounds 20]`.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import quote

from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from bench.harness import cpu_of
from bench.peers import HOST, SignalsDaemon, Speaker, free_port, wait_for
from mtnet.access.accounts.store import AccountStore
from mtnet.daemon.registry import permissions
from mtnet.services.signals.reports import wire as reports
from mtnet.services.signals.reports.wire import Report, Spec
from mtnet.services.signals.wire import requests
from mtnet.services.signals.wire.answers import Answer, Signal, Welcome
from mtnet.services.signals.wire.requests import Ack
from mtnet.services.web.page.files import static_files
from mtnet.session import messages

SETTINGS = ("access.connections.signals.total=20000", "access.connections.signals.network=20000")
ASKED: list[dict[str, Any]] = [
    {"verb": "WATCH", "what": ["status", "events", "alerts"]},
    {"verb": "TICKS", "symbols": ["EURUSD"]},
    {"verb": "BARS", "symbol": "EURUSD", "period": "M1", "count": 500},
    {"verb": "SUBSCRIBE", "channel": "main", "observe": True},
]
REPORTS = 10.0
"""Seconds between two REPORTs of the expert, `MTNET_REPORT` in `mql5/`."""
FILLS = 15.0
"""Seconds between two requests of the page for fills, `PAUSE` in `fills.js`."""
MARKED = 1_000
"""Signals that the page asks for to mark them, `KEPT` in `signals.js`."""
TERMINAL = "service/signals/terminals/"
"""What the keys of terminals begin with that have told their equity."""
LINES = 50
"""Terminals of which the page asks for the equity, in `equity.js`."""
SETTLE = 2.0
"""Seconds between a change of those who are connected and the block behind it."""
NOBODY = 3
"""Blocks without followers: those that have gone offline are judged, too, so they come first."""
SPEC = reports.spec(
    Spec(
        "EURUSD",
        min=Decimal("0.01"),
        max=Decimal(100),
        step=Decimal("0.01"),
        contract=Decimal(100_000),
        digits=5,
        tick=Decimal("0.00001"),
    )
)


class Follower(Speaker):
    """
    A follower that acknowledges each signal.

    Args:
        token: of its account; empty = it does not log in, and does not REPORT.
    """

    def __init__(self, port: int, number: int, token: str) -> None:
        super().__init__(port)
        self.number, self.reports = number, 0
        login = {"login": f"f{number}", "password": token} if token else {}
        self.opening = messages.hello(**login, name=f"f{number}", client="MtnetFollower 2.00")

    def welcomed(self, said: Welcome) -> None:
        """Follow."""
        self.say(requests.subscribe("main"))
        self.say(SPEC)
        self.report()

    def report(self) -> None:
        """Tell of the account, whose equity changes."""
        self.reports += 1
        equity = Decimal(1_000_000 + self.number + self.reports % 100) / 100
        amounts = Decimal("10000.00"), equity, equity, Decimal("0.00")
        report = Report(True, *amounts, "USD", 500, "netting", "mt5", 5120, str(self.number), "B-1")
        self.say(reports.report(report))

    def heard(self, said: Answer) -> None:
        """Acknowledge."""
        if isinstance(said, Signal):
            self.say(requests.ack(Ack("main", said.seq, "filled", "1.09870", said.volume)))


class Provider(Speaker):
    """A provider that goes on for ever."""

    def __init__(self, port: int, interval: float) -> None:
        super().__init__(port)
        self.opening, self.interval, self.count = messages.hello(name="desk"), interval, 0

    async def trade(self) -> None:
        """Publish a signal each `interval` seconds."""
        while True:
            await asyncio.sleep(self.interval)
            self.count += 1
            fields = {"id": f"s{self.count}", "channel": "main", "symbol": "EURUSD"}
            volume = f"{self.count % 7 + 1}"
            request = messages.request(requests.REQUESTS, "PUBLISH", **fields, volume=volume)
            self.say(request)


class Http:
    """A connection by which a page asks for what it shows, kept alive."""

    def __init__(self, port: int) -> None:
        self.port, self.bytes = port, 0
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> bytes:
        """Return the body of an answer."""
        reader, writer = self._streams or await asyncio.open_connection(HOST, self.port)
        self._streams = reader, writer
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\nConnection: keep-alive\r\n"
            "Accept-Encoding: gzip, deflate, br, zstd\r\n"
            "Sec-Fetch-Site: same-origin\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n", 1)[0], (path, head)
        (length,) = [
            int(line.partition(b":")[2])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length:")
        ]
        self.bytes += len(head) + length
        return await reader.readexactly(length)

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()


class Page:
    """
    A page: it asks, and reads.

    Attributes:
        loaded: it has asked for all that it asks for when it opens.
    """

    def __init__(self, port: int) -> None:
        self.host, self.port = f"{HOST}:{port}", port
        self.messages = self.bytes = 0
        self.loaded = asyncio.Event()

    async def look(self) -> None:
        """Look on until it is cancelled."""
        http = Http(self.port)
        try:
            await self._load(http)
            await self._watch(http)
        finally:
            http.close()

    async def _load(self, http: Http) -> None:
        for name in static_files():
            if name.endswith((".js", ".css", ".html")):
                await http.get("/" if name == "index.html" else f"/static/{name}")
        await http.get("/v1/login")

    async def _watch(self, http: Http) -> None:
        async with connect(
            f"ws://{self.host}/ws",
            subprotocols=["mtnet.v2"],  # type: ignore[list-item]
            origin=f"http://{self.host}",  # type: ignore[arg-type]
            extensions=[ClientPerMessageDeflateFactory(client_max_window_bits=True)],
            max_size=None,
        ) as opened:
            assert opened.protocol.extensions, "The daemon does not compress."
            await opened.send(json.dumps({"verb": "HELLO", "v": "2", "client": "mtnet page"}))
            for asked in ASKED:
                await opened.send(json.dumps(asked))
            asking: asyncio.Task[None] | None = None
            try:
                async for message in opened:
                    self.messages += 1
                    self.bytes += len(message)
                    head = str(message[:60])
                    if '"SNAPSHOT"' in head:
                        await opened.send(_last_signals(json.loads(message)))
                    elif '"STATE"' in head and '"status"' in head:
                        asking = asyncio.create_task(self._ask(http, json.loads(message)))
            finally:
                if asking is not None:
                    asking.cancel()

    async def _ask(self, http: Http, state: dict[str, Any]) -> None:
        """Ask for what the page asks for besides."""
        for path in ("/v1/login", "/v1/ticks", "/templates"):
            await http.get(path)
        keys = json.loads(state["data"])["set"]
        told = [key.removeprefix(TERMINAL) for key in keys if key.startswith(TERMINAL)]
        for who in told[:LINES]:
            await http.get(f"/v1/equity?terminal={quote(who, safe='')}")
        while True:
            await http.get("/v1/channels/main/fills")
            self.loaded.set()
            await asyncio.sleep(FILLS)


def renderers() -> list[int]:
    """Return the processes of this one's browser that run pages."""
    found, parents = [], {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state = (folder / "stat").read_text("utf-8").rpartition(")")[2]
            parents[int(folder.name)] = int(state.split()[1])
            if b"--type=renderer" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))

    def is_ours(process: int) -> bool:
        return process == os.getpid() or (process in parents and is_ours(parents[process]))

    return [each for each in found if is_ours(each)]


def _last_signals(snapshot: dict[str, Any]) -> str:
    """Return what the page asks with when it knows a channel: its last signals."""
    after = max(0, snapshot["seq"] - MARKED)
    return json.dumps({**ASKED[-1], "epoch": snapshot["epoch"], "after": after})


class Scene:
    """A daemon, and all that are connected with it."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.options = options
        self.daemon = SignalsDaemon(folder, *SETTINGS)
        self.web, self.ticks = free_port(), free_port()
        ports = {"web": self.web, "ticks": self.ticks, "templates": free_port()}
        self.daemon.more = [f"{each}=tcp:{port}:interface={HOST}" for each, port in ports.items()]
        self.provider = Provider(self.daemon.number, options.interval)
        self.tokens = [""] * options.followers if options.anonymous else self._accounts()
        self.followers: list[Follower] = []
        self.tasks: list[asyncio.Task[None]] = []

    def _accounts(self) -> list[str]:
        """Make an account for each follower; return their tokens."""
        self.daemon.data.mkdir(mode=0o700, exist_ok=True)
        records, now = AccountStore(self.daemon.data / "accounts.sqlite", permissions()), 1
        tokens = []
        for number in range(self.options.followers):
            records.add(f"f{number}", ["follower"], "", now)
            tokens.append(records.issue(f"f{number}", "", None, None, now)[1])
        records.close()
        return tokens

    async def start(self) -> None:
        """Start the daemon, the provider and the ticks."""
        self.daemon.launch()
        if not await wait_for(lambda: self.daemon.answers() is not None, 60):
            raise SystemExit("The daemon does not answer.")
        self.provider.dial()
        self.tasks += [
            asyncio.create_task(each)
            for each in (self.provider.trade(), self.tick(), self.report())
        ]

    async def tick(self) -> None:
        """Send a tick four times a second."""
        _, writer = await asyncio.open_connection(HOST, self.ticks)
        number = 0
        while True:
            number += 1
            writer.write(f"EURUSD {Decimal('1.09870') + Decimal(number % 50) / 100_000}\n".encode())
            await asyncio.sleep(0.25)

    async def report(self) -> None:
        """Let each follower that has logged in REPORT, at moments that are spread."""
        while not self.options.anonymous:
            begin = time.monotonic()
            for at, each in enumerate(list(self.followers)):
                due = begin + REPORTS * at / self.options.followers
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                each.report()
            await asyncio.sleep(max(0.1, begin + REPORTS - time.monotonic()))

    async def follow(self, count: int) -> None:
        """Have so many followers."""
        for each in self.followers[count:]:
            each.stop()
        del self.followers[count:]
        while len(self.followers) < count:
            number = len(self.followers)
            self.followers.append(Follower(self.daemon.number, number, self.tokens[number]))
            self.followers[-1].dial()
            if len(self.followers) % 50 == 0:
                await asyncio.sleep(0.2)
        if not await wait_for(lambda: all(each.known for each in self.followers), 120):
            raise SystemExit("Some followers were not welcomed.")

    @asynccontextmanager
    async def looking(self, count: int) -> AsyncIterator[list[Page]]:
        """Have so many pages."""
        pages = [Page(self.web) for _ in range(count)]
        looks = [asyncio.create_task(each.look()) for each in pages]
        try:
            yield pages
            for each in looks:
                if each.done():
                    each.result()
        finally:
            for each in looks:
                each.cancel()
            await asyncio.gather(*looks, return_exceptions=True)

    async def cost(self) -> float:
        """Return the CPU of the daemon in ms for each second of the clock."""
        await asyncio.sleep(SETTLE)
        before, begin = self.cpu(), time.monotonic()
        await asyncio.sleep(self.options.seconds)
        return (self.cpu() - before) / (time.monotonic() - begin) * 1e3

    def cpu(self) -> float:
        """Return the seconds of CPU of the daemon so far, all threads included."""
        return cpu_of(self.daemon.process.pid)

    def stop(self) -> None:
        """End all."""
        for each in self.tasks:
            each.cancel()
        for peer in (self.provider, *self.followers):
            peer.stop()
        self.daemon.stop()


class Tab:
    """A real page in Chromium, and what its main thread does."""

    def __init__(self, scene: Scene, seconds: float) -> None:
        self.scene, self.seconds = scene, seconds

    async def look(self) -> None:
        """Look on, and print the figures."""
        from playwright.async_api import async_playwright

        async with async_playwright() as driver:
            path = shutil.which("chromium") or shutil.which("chromium-browser")
            browser = await driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
            tab = await browser.new_page(viewport={"width": 1440, "height": 900})
            received = 0

            def opened(socket: Any) -> None:
                socket.on("framereceived", count)

            def count(payload: str | bytes) -> None:
                nonlocal received
                received += len(payload)

            tab.on("websocket", opened)
            await tab.goto(f"http://{HOST}:{self.scene.web}/")
            await tab.locator("#people td").first.wait_for(timeout=120_000)
            await asyncio.sleep(5)
            devtools = await tab.context.new_cdp_session(tab)
            await devtools.send("Performance.enable")

            async def metrics() -> dict[str, float]:
                await devtools.send("HeapProfiler.collectGarbage")
                found = (await devtools.send("Performance.getMetrics"))["metrics"]
                return {each["name"]: each["value"] for each in found}

            before, begun = await metrics(), received
            cpu, rendered = self.scene.cpu(), sum(map(cpu_of, renderers()))
            await asyncio.sleep(self.seconds)
            cpu, rendered = self.scene.cpu() - cpu, sum(map(cpu_of, renderers())) - rendered
            ended, after = received, await metrics()
            took = after["Timestamp"] - before["Timestamp"]
            rows = await tab.locator("#people tbody tr").count()
            print(f"Chromium, {rows} rows of people, {took:.0f} s; ms of its main thread a second:")
            for name in ("Task", "Script", "Layout", "RecalcStyle"):
                key = f"{name}Duration"
                print(f"  {name}: {(after[key] - before[key]) / took * 1e3:.1f}")
            for name, unit in (("JSHeapUsedSize", 2**20), ("Nodes", 1), ("JSEventListeners", 1)):
                print(f"  {name}: {before[name] / unit:.1f}, then {after[name] / unit:.1f}")
            print(f"  CPU of the process: {rendered / took * 1e3:.1f}")
            print(f"  messages: {(ended - begun) / took / 1e3:.1f} kB a second, inflated")
            print(f"the daemon meanwhile: {cpu / took * 1e3:.1f} ms of CPU a second")
            await browser.close()


class Rounds:
    """
    Figures of the blocks that took turns, in ms of CPU for each second of the clock.

    Attributes:
        nobody: of blocks without followers.
        without, with_pages: of blocks with followers; the first and the last are without pages.
    """

    def __init__(self) -> None:
        self.nobody: list[float] = []
        self.without: list[float] = []
        self.with_pages: list[float] = []

    def show(self, followers: int, pages: int) -> None:
        """Print what a page costs."""
        beside = [(one + other) / 2 for one, other in pairwise(self.without)]
        more = [each / base - 1 for each, base in zip(self.with_pages, beside, strict=True)]
        base, share = median(beside), 1 - median(self.nobody) / median(beside)
        print(f"nobody: {base * (1 - share):.1f} ms a second; {followers} followers: {base:.1f}")
        one = base * share / followers
        page, error = median(more) * base / pages, standard_error(more) * base / pages
        print(
            f"a follower: {one:.4f} ms; a page: {page:.3f} ± {error:.3f} ms "
            f"= {page / one:.1f} ± {error / one:.1f} followers",
            flush=True,
        )


def standard_error(values: list[float]) -> float:
    """Return that of the median, by the quartiles; outliers are no part of it."""
    if len(values) < 3:
        return float("nan")
    low, _, high = quantiles(values, n=4)
    return float(1.253 * (high - low) / 1.349 / len(values) ** 0.5)


async def measure(scene: Scene, options: argparse.Namespace) -> None:
    """Measure all rounds, and print the figures."""
    await scene.start()
    found = Rounds()
    found.nobody += [await scene.cost() for _ in range(NOBODY)]
    await scene.follow(options.followers)
    found.without.append(await scene.cost())
    for number in range(options.rounds):
        async with scene.looking(options.pages) as pages:
            await asyncio.gather(*(each.loaded.wait() for each in pages))
            counts = [(each.messages, each.bytes) for each in pages]
            begin = time.monotonic()
            found.with_pages.append(await scene.cost())
            took = time.monotonic() - begin
        said = sum(each.messages - first for each, (first, _) in zip(pages, counts, strict=True))
        read = sum(each.bytes - first for each, (_, first) in zip(pages, counts, strict=True))
        found.without.append(await scene.cost())
        before, after = found.without[-2:]
        print(
            f"round {number + 1}, load {os.getloadavg()[0]:.1f}: {before:.1f} ms of CPU a second, "
            f"{found.with_pages[-1]:.1f} with {options.pages} pages, {after:.1f} without; a page "
            f"reads {said / took / options.pages:.1f} messages of "
            f"{read / took / options.pages / 1e3:.1f} kB a second",
            flush=True,
        )
    found.show(options.followers, options.pages)
    if options.chromium:
        async with scene.looking(options.pages - 1):
            await Tab(scene, options.look).look()


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--followers", type=int, default=1_000)
    parser.add_argument("--pages", type=int, default=10)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two signals")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each block")
    parser.add_argument("--rounds", type=int, default=20, help="blocks with pages")
    parser.add_argument("--anonymous", action="store_true", help="followers without a login")
    parser.add_argument("--chromium", action="store_true", help="look with a real browser, too")
    parser.add_argument("--look", type=float, default=60.0, help="seconds of it")
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder), options)
        try:
            asyncio.run(measure(scene, options))
        finally:
            scene.daemon.stop()


if __name__ == "__main__":
    main()
