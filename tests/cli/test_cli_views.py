"""`mtnet views`: what its owner makes of channels."""

import json
from decimal import Decimal

import pytest
from fakes.daemon import FakeDaemon
from fakes.rights import PERMISSIONS
from twisted.internet.defer import maybeDeferred, succeed

from mtnet.access.accounts.commands import AccountCommands
from mtnet.access.accounts.model import Accounts
from mtnet.access.accounts.store import AccountStore
from mtnet.access.security_log import SecurityLog
from mtnet.clock import WallClock
from mtnet.interfaces import IReports, ISignals
from mtnet.services.signals.commands import SignalCommands
from mtnet.services.signals.reports.registry import TerminalKey
from mtnet.services.signals.reports.wire import Report
from mtnet.testing import EPOCH


@pytest.fixture
def daemon(command_line, clock):
    daemon = FakeDaemon(command_line.folder, clock, "access.trust_loopback=true")
    store = AccountStore(command_line.folder / "accounts", PERMISSIONS)
    now = WallClock(lambda: EPOCH, clock.seconds)
    lines = SecurityLog(float)
    accounts = AccountCommands(
        Accounts(), store, maybeDeferred, now, lambda text: succeed("x"), lines
    )
    signals = SignalCommands(daemon.env.find(ISignals))
    command_line.attach({**accounts.commands(), **signals.commands()})
    yield daemon
    store.close()


@pytest.fixture
def views(command_line, daemon):
    """Run `mtnet views`, and return what it prints."""

    def run(*words, typed="", fails=False):
        status, out, error = command_line.on_folder("views", *words, typed=typed)
        assert bool(status) == fails, error
        return error if fails else out

    return run


@pytest.fixture
def publish(daemon):
    publisher = daemon.dial("signals")
    return lambda symbol, volume: publisher.send(f"<<{symbol}|{volume}>>".encode())


def positions(daemon, name="half"):
    found = daemon.env.find(ISignals).positions(name)
    return {symbol: str(each.volume) for symbol, each in found.items() if each.volume}


def test_a_view_copies_what_its_source_is_sent(views, publish, daemon):
    made = views("add", "half", "--source", "main", "--value", "0.5", "--step", "0.01")
    assert made == "half is made: follow it as the channel half.\n"
    publish("GBPUSD", "0.25")
    assert positions(daemon) == {"GBPUSD": "0.12"}


def test_a_follower_is_shown_what_the_view_asks_of_it(views, command_line, daemon):
    limits = ("--max-age", "30", "--max-slippage", "0.0005")
    views("add", "half", "--source", "main", *limits)
    command_line.server = daemon.factory("signals")
    result = command_line("signals", "follow", "--channel", "half", "--seconds", "5")
    sentence = "more than 30 s after its opening or more than 0.0005 from the provider's price"
    assert (result.status, result.out) == (0, "")
    assert result.error.startswith(f"mtnet: Open no position {sentence}.\n")


def test_the_list_has_a_row_for_each_view(views):
    views("add", "half", "--source", "main", "--value", "0.5")
    head, row = views("list").splitlines()
    assert head.split() == ["VIEW", "SOURCES", "MODE", "SIZE", "FOLLOWER", "TROUBLE"]
    assert row.split() == ["half", "main", "on", "multiplier", "0.5"]
    assert json.loads(views("list", "--json"))["half"]["value"] == "0.5"


def test_without_views_the_list_says_so(views):
    assert views("list") == "There are no views.\n"


def test_the_ledger_shows_what_is_copied_and_what_is_skipped(views, publish):
    views("add", "half", "--source", "main", "--exclude", "XAUUSD,XAGUSD", "--suffix", ".r")
    publish("GBPUSD", "0.25")
    publish("XAUUSD", "1")
    rows = {row["symbol"]: row for row in json.loads(views("show", "half", "--json"))}
    assert (rows["GBPUSD"]["copy"], rows["GBPUSD"]["target"]) == ("0.25", "GBPUSD.r")
    assert rows["XAUUSD"]["skipped"] == "XAUUSD is in `exclude`"
    assert "GBPUSD.r" in views("show", "half")


def test_a_volume_is_explained(views, publish):
    views("add", "half", "--source", "main", "--value", "0.37", "--step", "0.01")
    publish("GBPUSD", "0.50")
    assert "0.185, rounded toward zero to steps of 0.01 → 0.18 GBPUSD." in views(
        "explain", "half", "GBPUSD"
    )
    assert views("explain", "half", "EURUSD") == "No source of half holds EURUSD.\n"


def test_an_edit_counts_for_later_openings(views, publish, daemon):
    views("add", "half", "--source", "main", "--value", "0.5")
    publish("GBPUSD", "1")
    views("edit", "half", "--value", "2")
    assert positions(daemon) == {"GBPUSD": "0.5"}
    publish("EURUSD", "1")
    assert positions(daemon) == {"GBPUSD": "0.5", "EURUSD": "2"}


def test_apply_shows_the_difference_and_asks(views, publish, daemon):
    views("add", "half", "--source", "main", "--value", "0.5")
    publish("GBPUSD", "1")
    assert "0.5" in views("diff", "half", "--value", "2")
    error = views("edit", "half", "--value", "2", "--apply", typed="n\n", fails=True)
    assert error == "mtnet: Nothing was changed.\n"
    assert positions(daemon) == {"GBPUSD": "0.5"}
    assert "Change that?" in views("edit", "half", "--value", "2", "--apply", typed="y\n")
    assert positions(daemon) == {"GBPUSD": "2"}
    assert views("diff", "half") == "Nothing that half copies would change.\n"


def test_a_setting_is_taken_back_with_none(views):
    views("add", "half", "--source", "main", "--max", "1")
    views("edit", "half", "--max", "none")
    assert json.loads(views("list", "--json"))["half"]["max"] is None


@pytest.mark.parametrize(
    ("words", "right"),
    [
        ((), "required: --source"),
        (("--source", "main", "--size", "big"), "choose from 'multiplier', 'fixed', 'balance'"),
        (("--source", "main", "--side", "both"), "choose from '', 'buy', 'sell'"),
    ],
)
def test_settings_that_no_view_has_are_refused_with_those_that_it_may_have(views, words, right):
    assert right in views("add", "half", *words, fails=True)


@pytest.mark.parametrize(
    ("words", "right"),
    [
        (("--value", "abc"), "value 'abc': Expected a number such as 0.5"),
        (("--max", "x"), "max 'x': Expected a number such as 0.5"),
        (("--follower", "a b"), "a terminal is LOGIN or LOGIN/NAME, such as bob/desk, not 'a b'"),
        (("--provider", "al/a/b"), "a terminal is LOGIN or LOGIN/NAME, such as bob/desk, not"),
    ],
)
def test_a_setting_that_cannot_be_one_is_quoted_with_one_that_can(views, words, right):
    assert right in views("add", "half", "--source", "main", *words, fails=True)
    assert views("list") == "There are no views.\n"


def test_a_map_has_an_equals_sign_in_each_item(views, daemon, publish):
    error = views("add", "half", "--source", "main", "--map", "XAUUSD", fails=True)
    assert "Invalid --map 'XAUUSD'" in error
    views("add", "half", "--source", "main", "--map", "XAUUSD=GOLD")
    publish("XAUUSD", "1")
    assert positions(daemon) == {"GOLD": "1"}


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("pause", "half copies closings and reductions alone.\n"),
        ("freeze", "half sends nothing.\n"),
        ("resume", "half copies new openings.\n"),
        ("flatten", "half is flat, and copies closings alone.\n"),
    ],
)
def test_the_modes_of_a_view_are_commands(views, command, sentence):
    views("add", "half", "--source", "main")
    assert views(command, "half") == sentence


def test_a_view_that_copies_something_does_not_become_one_that_monitors(views, publish):
    views("add", "half", "--source", "main")
    publish("GBPUSD", "1")
    assert "flatten it before" in views("monitor", "half", fails=True)
    views("flatten", "half")
    assert views("monitor", "half") == "half is computed, and nobody can follow it.\n"


def test_removal_says_what_becomes_of_copies(views, publish, daemon):
    views("add", "half", "--source", "main")
    publish("GBPUSD", "1")
    assert "half copies something" in views("remove", "half", fails=True)
    views("remove", "half", "--leave-open")
    assert positions(daemon) == {"GBPUSD": "1"}


def test_equity_needs_reports_and_a_loss_limit_ends_what_is_opened(views, publish, daemon, clock):
    views(
        "add", "half", "--source", "main", "--size", "equity", "--follower", "bob",
        "--provider", "al", "--daily-loss", "10%", "--then", "flatten",
    )  # fmt: skip
    publish("EURUSD", "1")
    assert positions(daemon) == {}

    def report(login, equity):
        key, now = TerminalKey(login, ""), daemon.env.now()
        money = {"balance": Decimal(1000), "equity": Decimal(equity), "currency": "USD"}
        daemon.env.find(IReports).report(key, Report(**money), now)
        daemon.env.find(ISignals).views.reported(login, "")

    report("al", "4000"), report("bob", "1000")
    publish("GBPUSD", "1")
    assert positions(daemon) == {"GBPUSD": "0.25"}
    for _ in range(2):
        clock.advance(11)
        report("bob", "850")
    assert positions(daemon) == {}
    assert "`daily_loss` 10% was reached" in views("list")
    report("al", "4000")
    publish("USDJPY", "1")
    assert positions(daemon) == {}
    views("resume", "half")
    publish("AUDUSD", "1")
    assert positions(daemon) == {"AUDUSD": "0.2125"}


def test_an_account_is_given_a_view_as_its_main(views, command_line, daemon):
    views("add", "half", "--source", "main")
    words = ("account", "add", "bob", "--role", "follower", "--view", "half")
    status, out, error = command_line.on_folder(*words, typed="correct horse\n")
    assert (status, error) == (0, "")
    assert out == "bob is granted follow:signals/half.\n"
    assert json.loads(views("list", "--json"))["half"]["accounts"] == ["bob"]


def test_an_account_with_an_unknown_view_is_not_made(command_line, daemon):
    words = ("account", "add", "bob", "--role", "follower", "--view", "nothing")
    status, _, error = command_line.on_folder(*words, typed="correct horse\n")
    assert status == 1
    assert "There is no view nothing (known: none)" in error
    assert "There is no account" in command_line.on_folder("account", "list").out


def test_a_channel_that_is_no_view_is_not_flattened_as_one(views, publish, daemon):
    publish("GBPUSD", "0.25")
    views("add", "half", "--source", "main")
    assert "There is no view main (known: half)" in views("flatten", "main", fails=True)
    assert positions(daemon, "main") == {"GBPUSD": "0.25"}
