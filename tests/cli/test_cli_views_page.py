"""The set-ups of `docs/views.md`, made from nothing: each copies what the page says."""

import re
import shlex
from decimal import Decimal
from pathlib import Path

import pytest
from fakes.daemon import FakeDaemon

from mtnet.interfaces import IReports, ISignals
from mtnet.services.signals.commands import SignalCommands
from mtnet.services.signals.reports.registry import TerminalKey
from mtnet.services.signals.reports.wire import Report
from mtnet.session import messages
from mtnet.session.messages import encode

PAGE = (Path(__file__).parents[2] / "docs" / "views.md").read_text("utf-8")
SET_UPS = re.findall(r"^\$ mtnet (views add .*?[^\\])\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
"""Each command that makes a view, and what the page shows behind it."""
TO_OPENING_HOURS = 12 * 3600.0
"""Seconds from the midnight at which a test begins to noon in Athens."""


class Hub:
    """A daemon with the channels gold and silver, and the views of the page."""

    def __init__(self, command_line, clock):
        self.clock, self.command_line = clock, command_line
        clock.advance(TO_OPENING_HOURS)
        self.daemon = FakeDaemon(
            command_line.folder,
            clock,
            "access.trust_loopback=true",
            "signals.channels.gold.max_volume=10",
            "signals.channels.silver.max_volume=10",
        )
        command_line.attach(SignalCommands(self.daemon.env.find(ISignals)).commands())
        self.publisher = self.daemon.dial("signals")
        self.publisher.send(messages.hello())

    def run(self, command):
        status, out, error = self.command_line.on_folder(*shlex.split(command.replace("\\\n", "")))
        assert (status, error) == (0, "")
        return out

    def make(self, name):
        """Make the view that the page calls so, with the words of the page."""
        ((command, shown),) = [each for each in SET_UPS if each[0].split()[2] == name]
        assert self.run(command) == shown

    def publish(self, channel, symbol, volume, **more):
        fields = {"id": f"{channel}-{symbol}", "channel": channel, "symbol": symbol, **more}
        self.publisher.send(encode("PUBLISH", volume=volume, **fields))

    def report(self, login, equity):
        money = {"balance": Decimal(10_000), "equity": Decimal(equity), "currency": "USD"}
        self.daemon.env.find(IReports).report(
            TerminalKey(login, ""), Report(**money), self.daemon.env.now()
        )
        self.daemon.env.find(ISignals).views.reported(login, "")

    def held(self, view):
        """Return what a view holds, each as its symbol, its ticket and its lots."""
        found = self.daemon.env.find(ISignals).channel(view).held()
        return {
            " ".join(filter(None, (each.symbol, each.ticket, f"{each.volume:f}"))) for each in found
        }


@pytest.fixture
def hub(command_line, clock):
    return Hub(command_line, clock)


def test_half_of_the_providers_size(hub):
    hub.make("gold-half")
    hub.publish("gold", "XAUUSD", "0.37")
    assert hub.held("gold-half") == {"XAUUSD 0.18"}
    assert " → 0.18 XAUUSD." in hub.run("views explain gold-half XAUUSD")


def test_another_brokers_names(hub):
    hub.make("gold-names")
    for symbol in ("XAUUSD", "US30", "EURUSD"):
        hub.publish("gold", symbol, "1")
    assert hub.held("gold-names") == {"GOLD 1", "DJ30 1", "EURUSD.r 1"}


def test_the_ratio_of_equity(hub):
    hub.make("gold-bob")
    hub.publish("gold", "XAUUSD", "1")
    hub.report("alice", "20000")
    hub.report("bob", "5000")
    hub.publish("gold", "EURUSD", "1")
    assert hub.held("gold-bob") == {"EURUSD 0.25"}, "XAUUSD came before the REPORTs"


def test_the_limits_of_a_prop_firm(hub):
    hub.make("gold-prop")
    hub.report("carol", "10000")
    hub.publish("gold", "XAUUSD", "3")
    assert hub.held("gold-prop") == {"XAUUSD 2"}
    for _ in range(2):
        hub.clock.advance(11)
        hub.report("carol", "9590")
    assert hub.held("gold-prop") == set()
    hub.publish("gold", "EURUSD", "1")
    assert hub.held("gold-prop") == set()
    hub.run("views resume gold-prop")
    hub.publish("gold", "USDJPY", "1")
    assert hub.held("gold-prop") == {"USDJPY 1"}


def test_two_providers_in_one_account(hub):
    hub.make("both")
    hub.publish("gold", "XAUUSD", "1")
    hub.publish("silver", "XAUUSD", "-1", ticket="4711")
    assert hub.held("both") == {"XAUUSD 1 0.5", "XAUUSD 2.4711 -0.5"}


def test_all_set_ups_of_the_page_are_made_here(hub):
    assert len(SET_UPS) == 5
    for command, shown in SET_UPS:
        assert hub.run(command) == shown
