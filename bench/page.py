"""
The page: CPU of the daemon for each page that is open, beside that for each follower.

A real daemon on loopback, one provider with a signal each `--interval` seconds, `--followers`
sessions of dialect 2 that acknowledge each one, and ticks of one symbol four times a second. In
each round it is measured with no follower, with all of them, and with `--pages` pages besides; the
figures are the medians of the rounds. A page is a client of WebSocket, with the compression that
browsers ask for, that asks for what the page does: WATCH, TICKS, BARS, and SUBSCRIBE with
`observe` for each channel; it reads, and draws nothing. With `--chromium` one real tab in Chromium
looks on at the end, and what its main thread did is reported (`Performance.getMetrics`).

Needs `websockets`, and `--chromium` playwright: `python bench/page.py [--seconds 60]`.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import tempfile
import time
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from peers import HOST, SignalsDaemon, Speaker, free_port, wait_for
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from mtnet.services.signals import wire
from mtnet.services.signals.wire import Ack, Answer, Signal, Welcome
from mtnet.session import messages

SETTINGS = ("access.connections.signals.total=20000", "access.connections.signals.network=20000")
ASKED: list[dict[str, Any]] = [
    {"verb": "WATCH", "what": ["status", "events", "alerts"]},
    {"verb": "TICKS", "symbols": ["EURUSD"]},
    {"verb": "BARS", "symbol": "EURUSD", "period": "M1", "count": 500},
    {"verb": "SUBSCRIBE", "channel": "main", "observe": True},
]


class Follower(Speaker):
    """A follower that acknowledges each signal."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__(port)
        self.opening = messages.hello(name=f"f{number}", client="MtnetFollower 2.00")

    def welcomed(self, said: Welcome) -> None:
        """Follow."""
        self.say(wire.subscribe("main"))

    def heard(self, said: Answer) -> None:
        """Acknowledge."""
        if isinstance(said, Signal):
            self.say(wire.ack(Ack("main", said.seq, "filled", "1.09870", said.volume)))


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
            request = messages.request(wire.REQUESTS, "PUBLISH", **fields, volume=volume)
            self.say(request)


class Page:
    """A page: it asks, and reads."""

    def __init__(self, port: int) -> None:
        self.host, self.bytes = f"{HOST}:{port}", 0

    async def look(self) -> None:
        """Look on until it is cancelled."""
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
            async for message in opened:
                self.bytes += len(message)


class Scene:
    """A daemon, and all that are connected with it."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.options = options
        self.daemon = SignalsDaemon(folder, *SETTINGS)
        self.web, ticks = free_port(), free_port()
        self.ticks = ticks
        self.daemon.more = [f"{name}=tcp:{port}:interface={HOST}" for name, port in
                            (("web", self.web), ("ticks", ticks))]  # fmt: skip
        self.provider = Provider(self.daemon.number, options.interval)
        self.followers: list[Follower] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the daemon, the provider and the ticks."""
        self.daemon.launch()
        if not await wait_for(lambda: self.daemon.answers() is not None, 60):
            raise SystemExit("The daemon does not answer.")
        self.provider.dial()
        self.tasks += [asyncio.create_task(self.provider.trade()), asyncio.create_task(self.tick())]

    async def tick(self) -> None:
        """Send a tick four times a second."""
        _, writer = await asyncio.open_connection(HOST, self.ticks)
        number = 0
        while True:
            number += 1
            writer.write(f"EURUSD {Decimal('1.09870') + Decimal(number % 50) / 100_000}\n".encode())
            await asyncio.sleep(0.25)

    async def follow(self, count: int) -> None:
        """Have so many followers."""
        for each in self.followers[count:]:
            each.stop()
        del self.followers[count:]
        while len(self.followers) < count:
            self.followers.append(Follower(self.daemon.number, len(self.followers)))
            self.followers[-1].dial()
            if len(self.followers) % 50 == 0:
                await asyncio.sleep(0.2)
        await wait_for(lambda: all(each.known for each in self.followers), 120)

    async def cost(self) -> float:
        """Return the CPU of the daemon in ms for each second of the clock."""
        await asyncio.sleep(3)
        before, begin = self.cpu(), time.monotonic()
        await asyncio.sleep(self.options.seconds)
        return (self.cpu() - before) / (time.monotonic() - begin) * 1e3

    def cpu(self) -> float:
        """Return the seconds of CPU of the daemon so far, all threads included."""
        tasks = Path(f"/proc/{self.daemon.process.pid}/task").glob("*/schedstat")
        return sum(int(each.read_text("ascii").split()[0]) for each in tasks) / 1e9

    def stop(self) -> None:
        """End all."""
        for each in self.tasks:
            each.cancel()
        for peer in (self.provider, *self.followers):
            peer.stop()
        self.daemon.stop()


async def look_in_chromium(port: int, seconds: float) -> None:
    """Print what the main thread of a real page does."""
    from playwright.async_api import async_playwright

    async with async_playwright() as driver:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = await driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        tab = await browser.new_page(viewport={"width": 1440, "height": 900})
        await tab.goto(f"http://{HOST}:{port}/")
        await tab.locator("#people td").first.wait_for(timeout=120_000)
        await asyncio.sleep(3)
        devtools = await tab.context.new_cdp_session(tab)
        await devtools.send("Performance.enable")

        async def metrics() -> dict[str, float]:
            found = (await devtools.send("Performance.getMetrics"))["metrics"]
            return {each["name"]: each["value"] for each in found}

        before = await metrics()
        await asyncio.sleep(seconds)
        after = await metrics()
        took = after["Timestamp"] - before["Timestamp"]
        rows = await tab.locator("#people tbody tr").count()
        print(f"Chromium, {rows} rows of people, {took:.0f} s; ms of the main thread each second:")
        for name in ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration"):
            print(f"  {name}: {(after[name] - before[name]) / took * 1e3:.1f}")
        print(f"  heap: {after['JSHeapUsedSize'] / 2**20:.1f} MiB, nodes: {after['Nodes']:.0f}")
        await browser.close()


async def measure(scene: Scene, options: argparse.Namespace) -> None:
    """Measure all rounds, and print the figures."""
    await scene.start()
    found: dict[str, list[float]] = {"nobody": [], "followers": [], "pages": []}
    sent = 0
    for _ in range(options.rounds):
        await scene.follow(0)
        found["nobody"].append(await scene.cost())
        await scene.follow(options.followers)
        found["followers"].append(await scene.cost())
        pages = [Page(scene.web) for _ in range(options.pages)]
        looks = [asyncio.create_task(each.look()) for each in pages]
        found["pages"].append(await scene.cost())
        sent = sum(each.bytes for each in pages)
        for each in looks:
            each.cancel()
        await asyncio.gather(*looks, return_exceptions=True)
    nobody, followers, pages_cpu = (median(each) for each in found.values())
    one = (followers - nobody) / options.followers
    page = (pages_cpu - followers) / options.pages
    print(f"load of the machine: {os.getloadavg()[0]:.0f}")
    print(
        f"nobody: {nobody:.1f} ms of CPU a second; {options.followers} followers: {followers:.1f};"
    )
    print(f"{options.pages} pages besides: {pages_cpu:.1f}, {sent / options.pages:,.0f} bytes each")
    print(f"a follower: {one:.3f} ms; a page: {page:.3f} ms = {page / one:.1f} followers")
    if options.chromium:
        await look_in_chromium(scene.web, options.seconds)


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--followers", type=int, default=1_000)
    parser.add_argument("--pages", type=int, default=10)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two signals")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--chromium", action="store_true", help="look with a real browser, too")
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
