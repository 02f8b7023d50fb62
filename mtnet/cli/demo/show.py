"""The work of `mtnet demo`."""

import sys
from argparse import Namespace
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import react
from twisted.python.failure import Failure

from mtnet.cli.reactor import log_warnings
from mtnet.clock import system_time
from mtnet.demo import market, summary
from mtnet.demo.daemon import DemoDaemon
from mtnet.demo.market import Market, MarketClock
from mtnet.demo.output import Console
from mtnet.demo.scenario import Scenario
from mtnet.errors import ClientError

SEED = 2_024
EVENTS = "mtnet.services.status.event_log"
"""Logs the trouble of followers, which the demonstration makes and shows by itself."""


def demo(arguments: Namespace) -> None:
    """
    Run the demonstration for a while, or until Ctrl-C.

    Raises:
        MtnetError: the daemon cannot start, or the file cannot be read.
        BrokenPipeError: the reader of stdout is gone.
    """
    shown = _market(arguments.ticks, arguments.speed)
    outcome: list[object] = []
    with ExitStack() as stack:
        data = arguments.data
        if data is None:
            data = Path(stack.enter_context(TemporaryDirectory(prefix="mtnet-demo-")))

        def main(reactor: Any) -> "Deferred[None]":
            show = Demonstration(reactor, arguments, data.absolute(), shown)
            return Deferred.fromCoroutine(show.run()).addBoth(outcome.append)

        log_warnings(errors_alone=EVENTS)
        with suppress(SystemExit):
            react(main)
    if outcome and isinstance(outcome[0], Failure):
        outcome[0].raiseException()


class Demonstration:
    """One demonstration, from its first line to its last."""

    def __init__(self, reactor: Any, arguments: Namespace, data: Path, shown: Market) -> None:
        self._reactor, self._arguments, self._data = reactor, arguments, data
        self._market = shown
        self._over, self._closed = Deferred[None](), Deferred[None]()
        self._console = Console(sys.stdout, reactor.seconds, self._end)

    async def run(self) -> None:
        """Show everything."""
        self._reactor.addSystemEventTrigger("before", "shutdown", self._interrupted)
        self._console.line("mtnet demo: a daemon on 127.0.0.1, and everybody who talks to it.")
        try:
            await self._show()
        finally:
            self._closed.callback(None)
        if self._console.closed:
            raise BrokenPipeError

    async def _show(self) -> None:
        daemon = DemoDaemon(self._reactor, self._data)
        arguments, console, symbol = self._arguments, self._console, self._market.symbols[0]
        scenario = Scenario(self._reactor, daemon, console, self._market, arguments.speed, SEED)
        scenario.failed.addErrback(self._fail)
        try:
            console.line(f"{daemon.service.table().rpartition(chr(10))[0]}")
            commands = summary.commands_to_try(daemon, symbol)
            console.block("While it runs, try in another terminal:", commands)
            console.block("Open the page in a browser:", summary.page_to_open(daemon))
            console.line("\nCtrl-C ends it.\n")
            if not arguments.stay:
                self._reactor.callLater(arguments.seconds, self._end)
            await scenario.start()
            await self._over
        finally:
            await scenario.stop()
            await daemon.service.stopService()
        kept, heading = arguments.data is not None, f"Summary of {console.elapsed():.1f} s"
        console.block(heading, summary.summary(scenario, daemon, kept))
        console.block("Next:", summary.next_commands(self._data, kept, symbol))

    def _end(self) -> None:
        if not self._over.called:
            self._over.callback(None)

    def _fail(self, failure: Failure) -> None:
        if not self._over.called:
            self._over.errback(failure)

    def _interrupted(self) -> "Deferred[None]":
        self._end()
        return self._closed


def _market(file: Path | None, speed: float) -> Market:
    """Return the ticks and their symbols; reads the first tick, so that a bad file fails early."""
    if file is None:
        clock = MarketClock(system_time(), speed)
        names = [each.symbol for each in market.INSTRUMENTS]
        return Market(market.generate(clock, SEED), names, clock)
    quotes = market.replay(file)
    first = next(quotes, None)
    if first is None:
        raise ClientError(f"{file} contains no ticks.")
    return Market(chain([first], quotes), [first.symbol.decode()])
