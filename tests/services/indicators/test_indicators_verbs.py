"""CALC and INDICATOR: bytes in, bytes out, in a daemon without sockets."""

import pytest
from fakes.daemon import FakeDaemon, hello
from fakes.threads import ManualThread
from zope.interface.verify import verifyObject

from mtnet.errors import JournalError
from mtnet.interfaces import (
    IBackup,
    IControlCommands,
    IHttpResources,
    IMetrics,
    ISessionVerbs,
    IStatus,
)
from mtnet.services.indicators.store import Change, IndicatorStore
from mtnet.services.indicators.wire import Series, Value
from mtnet.storage.sqlite import Database
from mtnet.testing import EPOCH

ON = "indicators.enabled=true"
GRANTS = {
    "ann": ("analyst",),
    "bob": ("follow:indicators",),
    "carl": ("follow:indicators/desk/*", "publish:indicators/desk/RSI"),
    "eve": ("follow", "publish"),
}
RSI = b"name=RSI14|symbol=EURUSD|period=H1"


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock, ON, grants=GRANTS)


def service(daemon):
    return daemon.env.components.services["indicators"]


def enter(daemon, login):
    """Log in, and return what says frames and returns the answers."""
    terminal = daemon.dial("signals")
    answer = daemon.say(terminal, hello(login))
    assert b"WELCOME" in answer
    assert (b"services=" in answer and b"indicators" in answer) == (login != "eve")

    def say(*frames):
        return daemon.say(terminal, b"".join(frames))

    say.terminal = terminal
    return say


def calc(bar, values, more=b"", series=RSI):
    return b"<<CALC|%b|bar=%d|values=%b%b>>" % (series, bar, values, more)


def calced(bar, more=b""):
    return b"<<CALCED|%b|bar=%d%b>>\r\n" % (RSI, bar, more)


def value(bar, values, more=b""):
    return b"<<VALUE|%b|bar=%d|values=%b%b>>\r\n" % (RSI, bar, values, more)


def follow(bars=b"", series=RSI):
    return b"<<INDICATOR|%b%b>>" % (series, bars)


def indicated(count):
    return b"<<INDICATED|%b|count=%d>>\r\n" % (RSI, count)


def test_what_one_computes_reaches_those_who_follow(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    assert bob(follow()) == indicated(0)
    assert ann(calc(1000, b"55.30,,44.2", b"|id=a-1")) == calced(1000, b"|id=a-1")
    assert bob() == value(1000, b"55.30,,44.2")
    assert ann(calc(1000, b"1", series=b"name=RSI14|symbol=EURUSD|period=M1")) != b""
    assert bob() == b""


def test_the_last_bars_come_first_and_then_each_as_it_comes(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    for bar in (3000, 1000, 2000):
        ann(calc(bar, b"%d" % bar))
    assert bob(follow(b"|bars=2")) == indicated(2) + value(2000, b"2000") + value(3000, b"3000")
    ann(calc(4000, b"4"))
    assert bob() == value(4000, b"4")


def test_the_values_of_a_bar_replace_the_former_ones(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(follow())
    ann(calc(1000, b"1", b"|open=1"))
    ann(calc(1000, b"2", b"|open=1"))
    assert bob() == value(1000, b"1", b"|open=1") + value(1000, b"2", b"|open=1")
    ann(calc(1000, b"3"))
    assert bob() == value(1000, b"3")
    assert enter(daemon, "bob")(follow()) == indicated(1) + value(1000, b"3")


def test_empty_value_of_either_terminal_is_an_empty_item(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(follow())
    ann(calc(1000, b"1.7976931348623157e+308,2147483647,1"))
    assert bob() == value(1000, b",,1")
    ann(calc(2000, b""))
    assert bob() == value(2000, b"")


def test_a_new_request_replaces_the_one_before_and_no_value_comes_twice(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(calc(1000, b"1"))
    assert bob(follow(), follow()).endswith(indicated(1) + value(1000, b"1"))
    ann(calc(2000, b"2"))
    assert bob() == value(2000, b"2")
    assert IStatus(service(daemon)).status()["followers"] == 1


def test_no_bars_end_it(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(follow())
    assert bob(follow(b"|bars=0")) == indicated(0)
    ann(calc(1000, b"1"))
    assert bob() == b""
    assert IStatus(service(daemon)).status()["followers"] == 0


# The disk


def test_the_last_bars_are_kept_and_older_ones_refused(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "indicators.keep=2", grants=GRANTS)
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    for bar in (2000, 3000, 4000):
        assert ann(calc(bar, b"1")) == calced(bar)
    bob(follow())
    answer = ann(calc(2500, b"1", b"|id=x"))
    assert b"ERROR|code=denied|text=The bar 2500 is older than the 2 that indicators.keep" in answer
    assert b"|id=x" in answer
    assert bob() == b""
    assert ann(calc(3000, b"5")) == calced(3000)
    answer = enter(daemon, "bob")(follow())
    assert answer == indicated(2) + value(3000, b"5") + value(4000, b"1")


def test_values_survive_a_kill(daemon, tmp_path, clock):
    enter(daemon, "ann")(calc(1000, b"1", b"|open=1"))
    again = FakeDaemon(tmp_path / "data", clock, ON, grants=GRANTS)
    assert enter(again, "bob")(follow()) == indicated(1) + value(1000, b"1", b"|open=1")


def test_fewer_bars_are_kept_after_a_start_that_says_so(daemon, tmp_path, clock):
    enter(daemon, "ann")(*(calc(bar, b"1") for bar in (1000, 2000, 3000)))
    again = FakeDaemon(tmp_path / "data", clock, ON, "indicators.keep=1", grants=GRANTS)
    assert enter(again, "bob")(follow()) == indicated(1) + value(3000, b"1")


def test_nothing_is_kept_or_sent_before_the_disk_has_it(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, grants=GRANTS)
    thread = ManualThread()
    indicators = IMetrics(service(daemon))._indicators
    indicators.book.commit._in_thread = indicators.book._in_thread = thread
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(follow())
    thread.work()
    bob()
    assert ann(calc(1000, b"1"), calc(2000, b"2")) == bob() == b""
    thread.step()
    assert (ann(), bob()) == (calced(1000), value(1000, b"1"))
    thread.step()
    assert (ann(), bob()) == (calced(2000), value(2000, b"2"))


def test_what_is_read_while_others_write_is_neither_missed_nor_sent_twice(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, grants=GRANTS)
    thread = ManualThread()
    indicators = IMetrics(service(daemon))._indicators
    indicators.book.commit._in_thread = indicators.book._in_thread = thread
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(calc(1000, b"1"))
    bob(follow())
    ann(calc(2000, b"2"))
    thread.work()
    assert bob() == indicated(1) + value(1000, b"1") + value(2000, b"2")


def test_success_is_not_said_of_values_that_the_disk_does_not_take(daemon, monkeypatch):
    def fail(*_):
        raise JournalError("The disk is gone.")

    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(follow())
    monkeypatch.setattr(Database, "transaction", fail)
    answer = ann(calc(1000, b"1", b"|id=7"))
    assert b"ERROR|code=server|text=The values are not kept" in answer
    assert b"|id=7" in answer
    assert bob() == b""
    assert daemon.env.components.health()["indicators"]["healthy"] is False
    monkeypatch.undo()
    assert ann(calc(1000, b"2")) == calced(1000)
    assert bob() == value(1000, b"2")
    assert daemon.env.components.health()["indicators"]["healthy"] is True


def test_values_that_cannot_be_read_are_said_to_be_so(daemon, monkeypatch):
    def fail(*_):
        raise JournalError("The disk is gone.")

    enter(daemon, "ann")(calc(1000, b"1"))
    bob = enter(daemon, "bob")
    monkeypatch.setattr(Database, "read", fail)
    assert b"ERROR|code=server|text=The values cannot be read" in bob(follow())
    monkeypatch.undo()
    assert bob(follow()) == indicated(1) + value(1000, b"1")


def test_a_client_with_too_much_for_the_disk_is_left_unread(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "indicators.backlog=2", grants=GRANTS)
    thread = ManualThread()
    IMetrics(service(daemon))._indicators.book.commit._in_thread = thread
    ann = enter(daemon, "ann")
    ann(calc(1000, b"1"))
    assert ann.terminal.transport.producerState == "producing"
    ann(calc(2000, b"1"))
    assert ann.terminal.transport.producerState == "paused"
    thread.work()
    assert ann.terminal.transport.producerState == "producing"
    assert ann() == calced(1000) + calced(2000)


def test_series_that_get_no_value_are_removed(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "indicators.unused=5000", grants=GRANTS)
    ann = enter(daemon, "ann")
    service(daemon).start()
    ann(calc(1000, b"1"), calc(1000, b"1", series=b"name=MA|symbol=EURUSD|period=H1"))
    clock.pump([3_000.0])
    enter(daemon, "ann")(calc(2000, b"2"))
    clock.pump([3_600.0])
    assert IStatus(service(daemon)).status()["series"] == 1
    assert enter(daemon, "bob")(follow()) == (indicated(2) + value(1000, b"1") + value(2000, b"2"))


def test_more_series_than_indicators_max_series_are_refused(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "indicators.max_series=1", grants=GRANTS)
    ann = enter(daemon, "ann")
    ann(calc(1000, b"1"))
    answer = ann(calc(1000, b"1", series=b"name=MA|symbol=EURUSD|period=H1"))
    assert b"ERROR|code=denied|text=There are 1 series, as indicators.max_series allows" in answer
    assert ann(calc(2000, b"1")) == calced(2000)


def test_a_series_that_the_disk_does_not_take_has_no_place(tmp_path, clock, monkeypatch):
    def fail(*_):
        raise JournalError("The disk is gone.")

    daemon = FakeDaemon(tmp_path / "data", clock, ON, "indicators.max_series=1", grants=GRANTS)
    ann = enter(daemon, "ann")
    monkeypatch.setattr(Database, "transaction", fail)
    assert b"ERROR|code=server" in ann(calc(1000, b"1"))
    monkeypatch.undo()
    assert b"CALCED" in ann(calc(1000, b"1", series=b"name=MA|symbol=EURUSD|period=H1"))


# Rights and refusals


@pytest.mark.parametrize(
    ("login", "frame", "answer"),
    [
        ("bob", calc(1000, b"1"), b"code=denied|text=There is no right publish:indicators/RSI14"),
        ("carl", follow(), b"code=denied|text=There is no right follow:indicators/RSI14 here"),
        ("carl", calc(1000, b"1", series=b"name=desk/MA|symbol=X|period=H1"), b"code=denied"),
        ("carl", follow(series=b"name=desk/MA|symbol=X|period=H1"), b"INDICATED"),
        ("carl", calc(1000, b"1", series=b"name=desk/RSI|symbol=X|period=H1"), b"CALCED"),
        ("eve", follow(), b"code=denied"),
        ("eve", calc(1000, b"1"), b"code=denied"),
        ("ann", calc(1000, b"x"), b"code=field|text=In CALC values is 1 to 16 numbers"),
    ],
)
def test_rights_count_by_the_name_and_refusals_say_why(daemon, login, frame, answer):
    assert answer in enter(daemon, login)(frame)


def test_a_session_follows_so_many_series_and_no_more(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "indicators.max_followed=2", grants=GRANTS)
    names = [b"name=%d|symbol=X|period=H1" % each for each in range(3)]
    answer = enter(daemon, "bob")(*(follow(series=each) for each in names))
    assert answer.count(b"INDICATED") == 2
    assert b"ERROR|code=denied|text=A session follows 2 series" in answer


# Followers that do not read


def test_a_follower_that_does_not_read_is_closed_and_delays_nobody(daemon):
    ann, bob, slow = enter(daemon, "ann"), enter(daemon, "bob"), enter(daemon, "bob")
    for each in (bob, slow):
        each(follow())
    slow.terminal.transport.stalled = True
    values = b",".join([b"1234567890.123456789"] * 16)
    for bar in range(3_500):
        ann(calc(bar, values))
        assert len(bob()) > 300
        if not bar % 500:
            daemon.clock.advance(1)
    slow.terminal.transport.stalled = False
    slow.terminal.transport.drain()
    assert b"ERROR|code=slow" in slow()
    assert slow.terminal.transport.ended
    assert IStatus(service(daemon)).status()["followers"] == 1


def test_a_follower_that_reads_slowly_is_sent_the_newest_values_of_each_bar_once(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    long = b",".join([b"1234567890.123456789"] * 16)
    for bar in range(1, 401):
        ann(calc(bar, long))
        if not bar % 100:
            daemon.clock.advance(1)
    bob.terminal.transport.stalled = True
    first = bob(follow(b"|bars=400"))
    assert first.count(b"<<VALUE") < 400
    ann(calc(399, b"7"), calc(401, b"8", b"|open=1"), calc(401, b"9"))
    bob.terminal.transport.stalled = False
    rest = first
    for _ in range(40):
        bob.terminal.transport.drain()
        rest += bob()
    assert rest.count(b"<<VALUE") == 401
    assert rest.endswith(value(399, b"7") + value(400, long) + value(401, b"9"))
    ann(calc(402, b"1"))
    assert bob() == value(402, b"1")


def test_a_follower_that_never_reads_its_first_bars_is_closed(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "indicators.keep=300", grants=GRANTS)
    ann, slow = enter(daemon, "ann"), enter(daemon, "bob")
    long = b",".join([b"1234567890.123456789"] * 16)
    for bar in range(300):
        ann(calc(bar, long))
    daemon.clock.advance(1)
    slow.terminal.transport.stalled = True
    slow(follow())
    for bar in range(300, 900):
        ann(calc(bar, b"1"))
        if not bar % 100:
            daemon.clock.advance(1)
    slow.terminal.transport.stalled = False
    for _ in range(20):
        slow.terminal.transport.drain()
    assert b"ERROR|code=slow" in slow()
    assert IStatus(service(daemon)).status()["followers"] == 0


def test_a_client_that_is_gone_before_its_answers_is_forgotten(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, grants=GRANTS)
    thread = ManualThread()
    indicators = IMetrics(service(daemon))._indicators
    indicators.book.commit._in_thread = indicators.book._in_thread = thread
    ann = enter(daemon, "ann")
    ann(follow(), calc(1000, b"1"))
    ann.terminal.hang_up()
    thread.work()
    assert (indicators.broadcast.followers, indicators.book.kept) == (0, 1)
    assert indicators.broadcast._behind == {}
    assert indicators.broadcast.fanout._groups == {}


def test_a_client_that_closes_its_half_is_answered_and_then_closed(daemon):
    ann = enter(daemon, "ann")
    ann(calc(1000, b"1"))
    ann.terminal.finish()
    daemon.clock.advance(0)
    assert ann.terminal.transport.disconnecting


# The component


def test_it_is_off_until_it_is_enabled(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, grants=GRANTS)
    terminal = daemon.dial("signals")
    daemon.say(terminal, hello("ann"))
    assert b"ERROR|code=verb" in daemon.say(terminal, follow())
    assert not (tmp_path / "data" / "indicators.sqlite").exists()
    assert "indicators list" not in daemon.env.components.commands()


def test_the_component_keeps_its_interfaces(daemon):
    for interface in (ISessionVerbs, IHttpResources, IStatus, IMetrics, IControlCommands, IBackup):
        assert verifyObject(interface, interface(service(daemon)))


def test_status_metrics_and_the_list_count(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(follow())
    ann(calc(1000, b"1"), calc(2000, b"1"), calc(1000, b"1", series=b"name=A|symbol=X|period=M1"))
    status = IStatus(service(daemon)).status()
    assert (status["series"], status["followers"], status["values"]) == (2, 1, 3)
    assert {each.name: each.read() for each in IMetrics(service(daemon)).metrics()} == {
        "mtnet_indicators_values_total": 3,
        "mtnet_indicators_deliveries_total": 2,
        "mtnet_indicators_followers": 1,
        "mtnet_indicators_series": 2,
    }
    found = []
    IControlCommands(service(daemon)).commands()["indicators list"]({}).addCallback(found.extend)
    assert found == [
        {
            "name": name,
            "symbol": symbol,
            "period": period,
            "bars": bars,
            "oldest": 1000,
            "newest": newest,
            "changed": EPOCH,
        }
        for name, symbol, period, bars, newest in (
            ("A", "X", "M1", 1, 1000),
            ("RSI14", "EURUSD", "H1", 2, 2000),
        )
    ]


def test_a_backup_has_the_values(daemon, tmp_path):
    enter(daemon, "ann")(calc(1000, b"55.30"))
    folder = tmp_path / "backup"
    folder.mkdir()
    IBackup(service(daemon)).backup(folder)
    store = IndicatorStore(folder / "indicators.sqlite", 10)
    (series,) = store.open()
    (row,) = store.last(series, 10)
    assert row.value == Value(Series("RSI14", "EURUSD", "H1"), 1000, ("55.30",))


def test_a_group_that_fails_leaves_the_store_as_it_was(tmp_path, monkeypatch):
    store = IndicatorStore(tmp_path / "indicators.sqlite", 2)
    store.open()
    series = Series("A", "X", "M1")

    def put(*bars):
        return store.store([Change(Value(series, bar, ("1",)), 1) for bar in bars])

    assert put(1) == [1]

    def fail(*_):
        raise JournalError("The disk is gone.")

    with monkeypatch.context() as patch:
        patch.setattr("mtnet.storage.sqlite.Database.transaction", fail)
        with pytest.raises(JournalError):
            put(2, 3)
    assert put(2, 3, 1) == [2, 3, 0]
    assert [each.value.bar for each in store.last(series, 10)] == [2, 3]
