"""Sinks as a component: their settings, and their place behind the ticks."""

import pytest
from twisted.internet.defer import Deferred, fail, succeed

from mtnet.errors import ConfigError
from mtnet.services.sinks.component import check
from mtnet.services.sinks.settings import SinkSettings, SinksSettings

INFLUX = "http://127.0.0.1:9/write?db=ticks"


def checked(name="warehouse", **settings):
    check(SinksSettings(tables={name: SinkSettings(**settings)}))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"url": "mysql://host/db"}, r"sinks\.warehouse\.url begins with 'mysql': expected"),
        ({"url": "http://[::1/x"}, r"sinks\.warehouse\.url is no URL: .* Example: postgresql://"),
        (
            {"url": INFLUX, "table": "ticks; DROP TABLE x"},
            r"sinks\.warehouse\.table is 'ticks; DROP TABLE x': .* Example: market\.ticks",
        ),
        (
            {"url": INFLUX, "token_file": "/nowhere/token"},
            r"token_file: /nowhere/token cannot be read: No such file",
        ),
    ],
)
def test_a_setting_that_is_wrong_is_named(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        checked(**settings)


@pytest.mark.parametrize(
    ("url", "right"),
    [
        ("postgresql://u:geheim@h:99999999/db", False),
        ("postgresql://u:geheim@h:0/db", False),
        ("postgresql://u:geheim@h:x/db", False),
        ("postgresql://u:geheim@h,g:5433/db", True),
        ("postgresql://u:geheim@h/db", True),
    ],
)
def test_a_port_that_is_none_is_refused_without_the_password(url, right):
    pytest.importorskip("psycopg", reason="psycopg is not installed.")
    if right:
        checked(url=url)
        return
    with pytest.raises(ConfigError, match=r"sinks\.warehouse\.url has no valid port") as caught:
        checked(url=url)
    assert "geheim" not in str(caught.value)


def test_a_name_that_is_no_file_name_is_refused():
    with pytest.raises(ConfigError, match=r"\[sinks\.a/b\]: a name has .* Example: \[sinks\."):
        checked("a/b", url=INFLUX)


def test_a_token_comes_from_the_first_line_of_its_file(tmp_path):
    path = tmp_path / "token"
    path.write_text("abc\nmore\n")
    checked(url=INFLUX, token_file=str(path))


class Observer:
    """An observer that says itself when it has kept what it took."""

    def __init__(self):
        self.got, self.kept = [], succeed(None)

    def taken(self, records, when, sources):
        self.got.append((list(records), when, list(sources)))

    def flush(self):
        return self.kept


def test_an_observer_gets_what_is_stored_and_nothing_else(serve_ticks):
    collector, observer = serve_ticks("ticks.max_symbols=1"), Observer()
    collector.observe(observer)
    desk, other = collector.source("desk"), collector.source("other")
    eurusd, refused = (b"EURUSD", b"1.1"), (b"GBPUSD", b"1.3")
    collector.take(desk, [eurusd, refused], 5)
    collector.take_each([desk, other], [refused, eurusd], 6)
    assert observer.got == [([eurusd], 5, ["desk"]), ([eurusd], 6, ["other"])]


def test_an_observer_that_fails_keeps_no_tick_from_the_disk(serve_ticks):
    class Failing(Observer):
        def taken(self, records, when, sources):
            raise ValueError("It takes nothing.")

    for kept in (None, fail(ValueError("It keeps nothing."))):
        collector, observer, told = serve_ticks(), Failing(), []
        collector.observe(observer)
        observer.kept = kept
        assert collector.take(collector.source("desk"), [(b"EURUSD", b"1.1")], 5) == 1
        collector.sync().addCallback(told.append)
        assert told == [None]


def test_a_sender_is_told_that_its_ticks_are_stored_behind_the_observers(serve_ticks):
    collector, observer, told = serve_ticks(), Observer(), []
    collector.observe(observer)
    observer.kept = Deferred()
    collector.take(collector.source("desk"), [(b"EURUSD", b"1.1")], 5)
    collector.sync().addCallback(told.append)
    assert told == []
    observer.kept.callback(None)
    assert told == [None]
