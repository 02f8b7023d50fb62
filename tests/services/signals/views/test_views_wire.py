"""Views at the signals port: what followers are sent, and what they may say."""

import sqlite3
from contextlib import closing
from decimal import Decimal

import pytest
from fakes.rights import rights
from msgspec.structs import replace
from signals_peers import Server, frame, told
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from mtnet.access.accounts.identity import Identity
from mtnet.errors import JournalError, PrunedError, WireError
from mtnet.services.signals.events import SignalEvents
from mtnet.services.signals.history.epochs import Epochs
from mtnet.services.signals.ownership.pauses import Pauses
from mtnet.services.signals.reports.registry import Reports, TerminalKey
from mtnet.services.signals.reports.wire import Report
from mtnet.services.signals.status.report import Status
from mtnet.services.signals.views.commands import ViewCommands
from mtnet.services.signals.views.settings import ViewSettings

HALF = ViewSettings(sources=("main",), value=Decimal("0.5"))


@pytest.fixture
def server(tmp_path):
    return Server(tmp_path, Clock())


def ask(work):
    found = []
    Deferred.fromCoroutine(work).addBoth(found.append)
    (result,) = found
    if isinstance(result, Exception) or hasattr(result, "raiseException"):
        result.raiseException()
    return result


def add(server, settings=HALF, name="half"):
    return ask(server.signals.views.add(name, settings))


def test_a_follower_of_a_view_is_sent_its_copy_once_it_is_stored(server):
    add(server)
    follower, publisher = server.subscribe("half"), server.greet()
    told(follower)
    server.publish(publisher, "a-1", "1.00")
    assert "SIGNAL|channel=half|seq=1|symbol=GBPUSD|volume=0.5" in told(follower)


def test_a_view_takes_no_signals(server):
    add(server)
    publisher = server.greet()
    server.publish(publisher, "a-1", channel="half")
    assert told(publisher) == ["ERROR|code=denied|id=a-1|channel=half"]


def test_a_view_that_monitors_is_followed_by_nobody(server):
    add(server, ViewSettings(sources=("main",), mode="monitor"))
    assert any("code=denied" in each for each in told(server.subscribe("half")))


def test_the_provider_of_a_view_is_that_of_its_source(server):
    add(server)
    follower, publisher = server.subscribe("half"), server.greet()
    assert any("publisher=down" in each for each in told(follower))
    server.publish(publisher, "a-1")
    assert any("STATUS|channel=half|publisher=up" in each for each in told(follower))


def test_a_pause_of_a_view_is_said_to_its_followers_alone(server):
    add(server)
    mine, other = server.subscribe("half"), server.subscribe("main")
    told(mine), told(other)
    Pauses(server.signals).pause("half", "close_only")
    assert told(mine) == ["PAUSED|channel=half|mode=close_only"]
    assert told(other) == []
    server.publish(server.greet(), "a-1")
    assert not any(each.startswith("SIGNAL") for each in told(mine))
    Pauses(server.signals).pause("half", None)
    assert "RESUMED|channel=half" in told(mine)


def test_flattening_a_view_leaves_its_source_alone(server):
    add(server)
    publisher, follower = server.greet(), server.subscribe("half")
    server.publish(publisher, "a-1")
    told(follower)
    assert ask(Pauses(server.signals).flatten("half")) == 1
    said = told(follower)
    assert any("SIGNAL" in each and "volume=0" in each for each in said)
    assert "FLATTENED|channel=half" in said
    assert server.signals.positions("main")["GBPUSD"].volume == 1


def test_views_and_their_modes_survive_a_restart(server, tmp_path):
    add(server)
    server.publish(server.greet(), "a-1")
    Pauses(server.signals).pause("half", "close_only")
    again = Server(tmp_path, Clock())
    assert again.signals.rules.pause_mode("half") == "close_only"
    assert again.signals.positions("half")["GBPUSD"].volume == Decimal("0.5")


def test_configured_views_are_there_at_the_start(tmp_path):
    server = Server(tmp_path, Clock(), "signals.views.half.sources=main")
    assert server.signals.channels.is_named("half")


def test_a_new_epoch_of_a_source_is_one_of_its_views(server):
    add(server)
    before = server.epoch("half")
    ask(Epochs(server.signals).accept("main", new_epoch=True))
    assert server.epoch("half") != before


def test_a_removed_view_leaves_a_channel_that_can_be_published_in(server):
    add(server)
    ask(server.signals.views.remove("half", "refuse"))
    publisher = server.greet()
    server.publish(publisher, "a-1", channel="half")
    assert any(each.startswith("STORED") for each in told(publisher))


def test_what_became_of_a_volume_is_explained(server):
    add(server, ViewSettings(sources=("main",), value=Decimal("0.37"), step=Decimal("0.01")))
    server.publish(server.greet(), "a-1", "0.50")
    (sentence,) = ask(server.signals.views.explain("half", "GBPUSD"))
    assert sentence.startswith("main holds 0.50 GBPUSD × 0.37, decided at its opening ")
    assert sentence.endswith(" = 0.185, rounded toward zero to steps of 0.01 → 0.18 GBPUSD.")


def test_an_unknown_view_is_named_in_the_error(server):
    with pytest.raises(WireError, match="There is no view nowhere"):
        ask(server.signals.views.explain("nowhere", "GBPUSD"))


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"value": "-1"}, "`value` is above 0"),
        ({"step": "0.000001"}, "5 decimals at most"),
        ({"map": {"A": "X", "B": "X"}}, "two symbols for 'X'"),
        ({"size": "equity"}, "need `follower`"),
        ({"hours": ["Monday"]}, "'Mon-Fri 07:00-20:00'"),
        ({"zone": "Atlantis"}, "Europe/Athens"),
        ({"sources": []}, "`sources` name one or more"),
        ({"sources": ["main", "main"]}, "each once"),
        ({"sources": ["nowhere"]}, "There is no channel nowhere"),
        ({"sources": ["half"]}, "There is no channel half"),
        ({"sources": ["main", "other"]}, "other is a view"),
        ({"min": "-0.01"}, "`min` is above 0"),
        ({"max_total": "0"}, "`max_total` is above 0"),
        ({"size": "equity", "follower": "bob"}, "need `provider`"),
        ({"daily_loss": "4%"}, "need `follower`"),
        ({"daily_loss": "-4%", "follower": "bob"}, "as '8%' or '500' above 0"),
        ({"networks": ["10.7.0.1/16"]}, "10.7.0."),
        ({"sizes": 1}, "unknown field `sizes`"),
    ],
)
def test_a_wrong_setting_is_said_in_a_sentence_and_nothing_opens(server, chosen, sentence):
    add(server, name="other")
    command = ViewCommands(server.signals.views, SignalEvents()).commands()["views add"]
    failures = []
    asked = {"view": "half", "settings": {"sources": ["main"], **chosen}}
    command(asked).addErrback(failures.append)
    assert sentence in failures[0].getErrorMessage()
    assert not server.signals.channels.is_named("half")


@pytest.mark.parametrize("size", ["balance", "equity", "free_margin", "risk"])
def test_a_size_by_money_opens_nothing_without_a_report_and_says_so(server, size):
    settings = ViewSettings(sources=("main",), size=size, follower="bob", provider="alice")
    add(server, settings)
    server.publish(server.greet(), "a-1", "1.00", price="1.3", sl="1.2")
    assert "GBPUSD" not in server.signals.positions("half")
    (sentence,) = ask(server.signals.views.explain("half", "GBPUSD"))
    assert "bob has sent no REPORT that counts within a minute" in sentence


def test_two_symbols_of_a_source_are_not_copied_onto_one(server):
    add(server, ViewSettings(sources=("main",), map={"GBPUSD": "EURUSD"}))
    publisher = server.greet()
    server.publish(publisher, "a-1", "1.00")
    server.publish(publisher, "a-2", "2.00", "EURUSD")
    assert server.signals.positions("half")["EURUSD"].volume == 1
    said = " ".join(ask(server.signals.views.explain("half", "EURUSD")))
    assert "EURUSD is that of GBPUSD already" in said


def test_a_follower_is_told_what_it_judges_before_it_opens(server):
    add(server, ViewSettings(sources=("main",), max_age=30, max_slippage=Decimal("0.5")))
    (synced,) = [each for each in told(server.subscribe("half")) if each.startswith("SYNCED")]
    assert synced.endswith("|max_age=30|max_slippage=0.5")


def test_a_follower_is_told_at_once_what_it_judges_from_now_on(server):
    add(server)
    server.publish(server.greet(), "a-1", "1.00")
    follower, other = server.subscribe("half"), server.subscribe("main")
    told(follower), told(other)
    ask(server.signals.views.edit("half", replace(HALF, max_age=0.5, max_slippage=Decimal("1E-9"))))
    said = told(follower)
    assert said[1:3] == [
        "POSITION|channel=half|seq=1|symbol=GBPUSD|volume=0.5",
        "SYNCED|channel=half|seq=1|max_age=0.5|max_slippage=0.000000001",
    ]
    server.publish(server.greet(), "a-2", "2.00")
    assert "SIGNAL|channel=half|seq=2|symbol=GBPUSD|volume=1" in told(follower)
    assert not any("SNAPSHOT" in each for each in told(other))
    ask(server.signals.views.edit("half", replace(HALF, max_age=0.5, value=Decimal(1),
                                                  max_slippage=Decimal("1E-9"))))  # fmt: skip
    assert told(follower) == []


def log_in(server, name, verb="follow"):
    """Say HELLO with an account that may follow everything."""
    terminal = server.dial()
    terminal.protocol.peer.become(Identity(name, rights(f"{verb}:signals")))
    terminal.send(frame("HELLO", v=2))
    return terminal


def test_an_account_with_a_view_of_its_own_follows_it_as_main(server):
    add(server, ViewSettings(sources=("main",), value=Decimal("0.5"), accounts=("bob",)))
    follower, publisher = log_in(server, "bob"), server.greet()
    assert f"|epoch={server.epoch('half')}|" in follower.received().decode()
    follower.send(frame("SUBSCRIBE", channel="main"))
    server.publish(publisher, "a-1", "1.00")
    said = follower.received().decode()
    assert "SIGNAL|channel=main|" in said
    assert "|volume=0.5|" in said
    assert "half" not in said
    server.clock.advance(6)
    assert "seqs=main:1" in follower.received().decode()
    follower.send(frame("UNSUBSCRIBE", channel="main"))
    assert "UNSUBSCRIBED|channel=main>>" in follower.received().decode()


def test_what_the_follower_of_a_view_released_is_not_opened_again(server):
    settings = ViewSettings(sources=("main",), accounts=("bob",), follower="bob")
    add(server, settings)
    follower, publisher = log_in(server, "bob"), server.greet()
    follower.send(frame("SUBSCRIBE", channel="main"))
    server.publish(publisher, "a-1", "1.00")
    follower.received()
    follower.send(frame("ACK", channel="main", seq=1, status="released", reason="stop"))
    assert "|seq=2|symbol=GBPUSD|volume=0|" in follower.received().decode()
    server.publish(publisher, "a-2", "2.00")
    assert "SIGNAL" not in follower.received().decode()


def test_a_copy_of_an_entry_that_is_none_yet_is_released_in_vain(server, warnings):
    add(server, ViewSettings(sources=("main",), accounts=("bob",), follower="bob"))
    follower = log_in(server, "bob")
    follower.send(frame("SUBSCRIBE", channel="main"))
    follower.send(frame("ACK", channel="main", seq=9, status="released"))
    assert warnings() == []


def test_another_follower_of_a_view_releases_nothing(server):
    add(server, ViewSettings(sources=("main",), follower="bob"))
    follower, publisher = log_in(server, "carol"), server.greet()
    follower.send(frame("SUBSCRIBE", channel="half"))
    server.publish(publisher, "a-1", "1.00")
    follower.received()
    follower.send(frame("ACK", channel="half", seq=1, status="released"))
    assert "SIGNAL" not in follower.received().decode()


def released(server, **fields):
    """Let bob release his only copy; return what he is told, and what his view holds then."""
    add(server, ViewSettings(sources=("main",), accounts=("bob",), follower="bob"))
    follower, publisher = log_in(server, "bob"), server.greet()
    follower.send(frame("SUBSCRIBE", channel="main"))
    server.publish(publisher, "a-1", "1.00")
    follower.received()
    follower.send(frame("ACK", channel="main", seq=1, **fields))
    return follower.received().decode(), server.signals.positions("half")["GBPUSD"].volume


def test_a_copy_that_is_released_with_nothing_left_is_closed(server):
    said, volume = released(server, status="released", volume=0)
    assert "|seq=2|symbol=GBPUSD|volume=0|" in said
    assert volume == 0


def test_a_follower_that_holds_nothing_releases_nothing_by_that(server):
    assert released(server, volume=0) == ("", 1)


def test_a_copy_is_released_whose_entry_is_kept_no_longer(tmp_path, monkeypatch):
    monkeypatch.setattr("mtnet.services.signals.book.RECENT", 10)
    server = Server(tmp_path, Clock(), "signals.retain=1")
    add(server, ViewSettings(sources=("main",), accounts=("bob",), follower="bob"))
    server.publish(server.greet(), "a-1", "1.00", "XAUUSD")
    server.store(20)
    with pytest.raises(PrunedError):
        server.journal.read("half", 0, 1)
    follower = log_in(server, "bob")
    follower.send(frame("SUBSCRIBE", channel="main"))
    follower.send(frame("ACK", channel="main", seq=1, status="released"))
    assert server.signals.positions("half")["XAUUSD"].volume == 0


def damage(server, statement):
    server.journal.close()
    with closing(sqlite3.connect(server.journal.path)) as connection, connection:
        connection.execute(statement)


def test_a_new_epoch_of_a_source_is_told_before_its_views_close_anything(server, tmp_path):
    add(server)
    server.publish(server.greet(), "a-1", "1.00")
    damage(server, "UPDATE position SET body = zeroblob(9) WHERE channel = 'main'")
    again = Server(tmp_path, Clock())
    follower = again.subscribe("half")
    told(follower)
    ask(Epochs(again.signals).accept("main"))
    said = told(follower)
    assert said[0] == "SNAPSHOT|channel=half|seq=1|count=1"
    assert said[-1] == "SIGNAL|channel=half|seq=2|symbol=GBPUSD|volume=0"


def test_a_history_that_went_back_is_accepted_with_that_of_its_views(server):
    add(server)
    add(server, name="other")
    for name in ("main", "half"):
        server.subscribe(name, epoch=server.epoch(name), after=9)
    assert len(Status(server.signals).health()["diverged"]) == 2
    ask(Epochs(server.signals).accept("main"))
    assert Status(server.signals).health()["diverged"] == []


def test_a_history_is_accepted_with_those_of_its_views_or_not_at_all(server, monkeypatch):
    add(server)
    for name in ("main", "half"):
        server.subscribe(name, epoch=server.epoch(name), after=9)
    with monkeypatch.context() as failing:
        failing.setattr(server.signals.histories, "_store", lambda: fail(JournalError("no disk")))
        with pytest.raises(JournalError):
            ask(Epochs(server.signals).accept("main"))
    assert len(Status(server.signals).health()["diverged"]) == 2


def test_a_history_of_a_view_alone_is_accepted_with_its_source(server):
    add(server)
    server.subscribe("half", epoch=server.epoch("half"), after=9)
    ask(Epochs(server.signals).accept("main"))
    assert Status(server.signals).health()["diverged"] == []
    with pytest.raises(WireError, match="Nothing is wrong with main"):
        ask(Epochs(server.signals).accept("main"))


CONFIGURED = "signals.views.half.sources=main"


def test_a_configured_view_that_is_damaged_keeps_nobody_from_starting(tmp_path):
    server = Server(tmp_path, Clock(), CONFIGURED)
    server.publish(server.greet(), "a-1", "1.00")
    damage(server, "DELETE FROM ledger")
    again = Server(tmp_path, Clock(), CONFIGURED)
    assert Status(again.signals).health()["damaged"] == ["half"]
    again.publish(again.greet(), "a-2", "2.00")
    assert again.signals.positions("main")["GBPUSD"].volume == 2
    ask(Epochs(again.signals).accept("half"))
    assert again.signals.positions("half")["GBPUSD"].volume == 1


def test_views_are_known_after_a_start_on_a_full_disk(tmp_path, monkeypatch):
    server = Server(tmp_path, Clock(), CONFIGURED)
    Pauses(server.signals).pause("half", "close_only")
    server.journal.close()
    monkeypatch.setattr("mtnet.storage.sqlite.has_free_space", lambda folder: False)
    server.signals.views.known.clear()
    server.signals.open()
    assert server.signals.rules.pause_mode("half") == "close_only"


def test_a_pause_from_before_a_channel_was_a_view_is_none_of_its_modes(server):
    server.publish(server.greet(), "a-1", "0", channel="half")
    Pauses(server.signals).pause("half", "close_only")
    add(server)
    assert server.signals.rules.pause_mode("half") is None


PROP = ViewSettings(sources=("main",), follower="bob", max_drawdown="10%", then="flatten")


def report(server, equity, account="1"):
    """Let bob's terminal report its equity ten seconds after it did that last."""
    server.clock.advance(10)
    when = server.env.now()
    known = server.signals.views.reports = server.signals.views.reports or Reports()
    money = Decimal(equity)
    known.report(
        TerminalKey("bob", "desk"), Report(balance=money, equity=money, account=account), when
    )
    server.signals.views.reported("bob", "desk")


def test_a_limit_that_was_reached_is_told_to_those_who_follow(server):
    add(server, PROP)
    follower = server.subscribe("half")
    report(server, "1000")
    server.publish(server.greet(), "a-1", "1.00")
    report(server, "890")
    told(follower)
    report(server, "880")
    closing, *said = [each for each in told(follower) if not each.startswith("PING")]
    assert closing == "SIGNAL|channel=half|seq=2|symbol=GBPUSD|volume=0"
    assert said == ["PAUSED|channel=half|mode=close_only", "FLATTENED|channel=half"]


def test_a_limit_holds_over_a_restart_and_a_pause_until_a_person_resumes_the_view(server, tmp_path):
    add(server, PROP)
    for equity in ("1000", "880", "880"):
        report(server, equity)
    again = Server(tmp_path, Clock(), now=None)
    again.clock.advance(60)
    views, publisher = again.signals.views, again.greet()
    struck = views.known["half"].struck
    assert struck == "`max_drawdown` 10% was reached: 1000 became 880"
    Pauses(again.signals).pause("half", "close_only")
    report(again, "1000")
    assert views.known["half"].struck == struck
    again.publish(publisher, "a-1", "1.00")
    assert "GBPUSD" not in again.signals.positions("half")
    Pauses(again.signals).pause("half", None)
    assert views.known["half"].struck == ""
    report(again, "880")
    again.publish(publisher, "a-2", "1.00", "EURUSD")
    assert again.signals.positions("half")["EURUSD"].volume == 1
    for _ in range(2):
        report(again, "790")
    assert views.known["half"].struck == "`max_drawdown` 10% was reached: 880 became 790"


def flat_report(server, balance):
    server.clock.advance(10)
    known = server.signals.views.reports = server.signals.views.reports or Reports()
    money = Decimal(balance)
    said = Report(balance=money, equity=money, margin=Decimal(0), account="1")
    known.report(TerminalKey("bob", "desk"), said, server.env.now())
    server.signals.views.reported("bob", "desk")


def test_a_trade_between_two_reports_that_lost_is_no_withdrawal(server):
    add(server, PROP)
    publisher = server.greet()
    flat_report(server, "1000")
    server.publish(publisher, "a-1", "1.00")
    server.publish(publisher, "a-2", "0")
    for _ in range(2):
        flat_report(server, "880")
    assert server.signals.rules.pause_mode("half") == "close_only"


def test_a_trade_that_an_acknowledgement_alone_betrays_is_no_withdrawal(server):
    add(server, replace(PROP, accounts=("bob",)))
    server.publish(server.greet(), "a-1", "1.00")
    follower = log_in(server, "bob")
    follower.send(frame("SUBSCRIBE", channel="main"))
    flat_report(server, "1000")
    follower.send(frame("ACK", channel="main", seq=1, status="filled"))
    for _ in range(2):
        flat_report(server, "880")
    assert server.signals.rules.pause_mode("half") == "close_only"


def test_money_that_goes_over_a_restart_counts_as_a_loss(server, tmp_path):
    add(server, PROP)
    flat_report(server, "1000")
    again = Server(tmp_path, Clock(), now=None)
    again.clock.advance(60)
    for _ in range(2):
        flat_report(again, "880")
    assert again.signals.rules.pause_mode("half") == "close_only"


def test_money_that_is_withdrawn_is_no_loss(server):
    add(server, PROP)
    for balance in ("1000", "880", "880"):
        flat_report(server, balance)
    assert server.signals.rules.pause_mode("half") is None


def test_a_peak_outlives_the_change_of_another_view(server):
    add(server, PROP)
    add(server, name="other")
    for equity in ("1000", "2000"):
        report(server, equity)
    Pauses(server.signals).pause("other", "close_only")
    for equity in ("1790", "1780"):
        report(server, equity)
    assert server.signals.rules.pause_mode("half") == "close_only"


def test_a_limit_strikes_again_when_the_disk_did_not_keep_it(server, monkeypatch):
    add(server, PROP)
    for equity in ("1000", "890"):
        report(server, equity)
    with monkeypatch.context() as full:
        full.setattr("mtnet.storage.sqlite.has_free_space", lambda folder: False)
        report(server, "880")
    assert server.signals.rules.pause_mode("half") is None
    report(server, "880")
    assert server.signals.rules.pause_mode("half") == "close_only"


def test_another_account_opens_nothing_and_closes_nothing(server):
    add(server, PROP)
    report(server, "1000")
    server.publish(server.greet(), "a-1", "1.00")
    report(server, "1000", account="2")
    assert server.signals.rules.pause_mode("half") == "close_only"
    assert server.signals.positions("half")["GBPUSD"].volume == 1


def test_a_change_that_failed_and_is_stored_is_known_once_the_disk_tells(server, monkeypatch):
    add(server)
    change = server.journal.change_views

    def land(work):
        """Store a change, and fail."""
        change(work)
        server.journal._settled = False
        raise JournalError("The disk failed.")

    with monkeypatch.context() as failing:
        failing.setattr(server.journal, "change_views", land)
        Pauses(server.signals).pause("half", "frozen").addErrback(lambda failure: None)
        with pytest.raises(JournalError):
            add(server, name="other")
    server.clock.advance(60)
    server.publish(server.greet(), "a-1", "1.00")
    assert server.signals.rules.pause_mode("half") == "frozen"
    assert server.signals.channels.is_named("other")
    assert server.signals.views.of("main") == ["half", "other"]
