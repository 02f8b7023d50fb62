"""A real server of InfluxDB gets each tick once, whoever is killed meanwhile."""

import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from influx_server import HOST, InfluxServer
from live_daemon import until
from tick_load import send_while_killed, sink_of

from mtnet.services.sinks.influx import InfluxTarget
from mtnet.services.sinks.model import Batch, Taken
from mtnet.services.sinks.target import TAKEN, TargetError
from mtnet.services.ticks.wire import encode_symbol

HOUR_MS = 3_600_000


def started(folder, auth=False):
    with socket.create_server((HOST, 0)) as found:
        port = found.getsockname()[1]
    server = InfluxServer(Path(folder), port, auth)
    server.start()
    return server


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="mtnet-influx-") as folder:
        server = started(folder)
        yield server
        server.kill()


@pytest.fixture
def database(server, request):
    """A database of the test alone, which keeps points for an hour."""
    name = f"d{abs(hash(request.node.name)) % 10**9}"
    server.ask(f"CREATE DATABASE {name} WITH DURATION 1h SHARD DURATION 1h")
    yield name
    server.ask(f"DROP DATABASE {name}")


@pytest.fixture
def target(server, database):
    target = InfluxTarget("sinks.x.url", f"{server.url}/write?db={database}", "", "ticks", 5.0)
    yield target
    target.close()


def now():
    return time.time_ns() // 1_000_000


def test_points_have_the_values_that_were_sent(server, target, database):
    when = now()
    ticks = [
        Taken(b"EURUSD", b"1.09870 1.0988 -1e-05 0.25 1796000000123 4294967295", when, "desk"),
        Taken(b"UK%20100", b"123456789012.0123456789 - 5E+10", when, "desk"),
    ]
    assert target.write("origin", Batch(7, ticks)) == TAKEN
    first, second = server.ask("SELECT * FROM ticks ORDER BY time", database)
    assert first == {
        "time": when * 1_000_000 + 7,
        "symbol": "EURUSD",
        "source": "desk",
        "bid": 1.0987,
        "ask": 1.0988,
        "last": -1e-05,
        "volume": 0.25,
        "time_msc": 1796000000123,
        "flags": 4294967295,
        "seq": 7,
    }
    assert (second["symbol"], second["bid"]) == ("UK 100", 123456789012.0123456789)
    assert (second["last"], second["ask"]) == (5e10, None)


ODD = ["A,B", "A=B", "A B", "A\\B", "A\\", "A\\,", 'A"B"', "'A'", "#A", "Газпром", "EURUSD.£"]


@pytest.mark.parametrize("symbol", ODD)
def test_every_symbol_arrives_and_is_the_only_one_of_its_name(server, target, database, symbol):
    ticks = [Taken(encode_symbol(symbol), b"1.1", now(), "desk")]
    assert target.write("origin", Batch(1, ticks)) == TAKEN
    (found,) = server.ask("SELECT * FROM ticks", database)
    assert (found["symbol"], found["source"]) == (symbol.replace("\\", "%5C"), "desk")


def test_ticks_of_one_millisecond_stay_apart_and_one_that_is_sent_again_is_the_same(
    server, target, database
):
    when = now()
    batch = Batch(1, [Taken(b"EURUSD", b"1.1", when, "desk")] * 1_000)
    for _ in range(2):
        target.write("origin", batch)
    assert server.ask("SELECT count(bid) FROM ticks", database)[0]["count"] == 1_000


def test_points_that_are_too_old_do_not_hold_up_the_others(server, target, database):
    old, new = (Taken(b"EURUSD", b"1.1", when, "desk") for when in (now() - 3 * HOUR_MS, now()))
    written = target.write("origin", Batch(1, [old, new, old]))
    assert written.refused == 2
    assert "retention policy" in written.reason
    assert server.ask("SELECT count(bid) FROM ticks", database)[0]["count"] == 1


def test_a_field_of_another_type_is_a_sentence(server, target, database):
    other = InfluxTarget("x", f"{server.url}/write?db={database}", "", "ticks", 5.0)
    other._post(b"ticks,symbol=EURUSD,source=desk bid=1i %d" % time.time_ns())
    with pytest.raises(TargetError, match="field type conflict"):
        target.write("origin", Batch(1, [Taken(b"EURUSD", b"1.1", now(), "desk")]))
    other.close()


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/write?db=nope", r'answered 404: .*database not found: \\?"nope'),
        ("/write", "answered 400: .*database is required"),
        ("/elsewhere?db=x", "answered 404"),
    ],
)
def test_a_wrong_database_or_path_is_a_sentence(server, path, sentence):
    there = InfluxTarget("sinks.x.url", f"{server.url}{path}", "", "ticks", 5.0)
    with pytest.raises(TargetError, match=sentence):
        there.check()


def test_a_server_without_tls_is_a_sentence(server):
    url = server.url.replace("http:", "https:")
    with pytest.raises(TargetError, match=r"WRONG_VERSION_NUMBER|wrong version number"):
        InfluxTarget("sinks.x.url", f"{url}/write?db=x", "", "ticks", 5.0).check()


def test_a_wrong_password_is_a_sentence_without_it():
    with tempfile.TemporaryDirectory(prefix="mtnet-influx-") as folder:
        server = started(folder, auth=True)
        try:
            urls = [
                f"http://{login}@{HOST}:{server.port}/write?db=ticks"
                for login in ("ann:geheim", "ann:falsch")
            ]
            right, wrong = (InfluxTarget("x", each, "", "ticks", 5.0) for each in urls)
            server.ask("CREATE USER ann WITH PASSWORD 'geheim' WITH ALL PRIVILEGES", "")
            server.ask("CREATE DATABASE ticks", "")
            right.check()
            right.close()
            with pytest.raises(TargetError, match="answered 401") as caught:
                wrong.check()
            assert "falsch" not in str(caught.value) + wrong.label
        finally:
            server.kill()


def test_each_tick_arrives_once_while_the_server_and_the_daemon_are_killed(
    daemon, server, database
):
    path = daemon.folder / "mtnet.toml"
    text = f'[sinks.influx]\nurl = "{server.url}/write?db={database}"\n[sinks]\nmax_retry = 1\n'
    path.write_text(text, "utf-8")
    option = f"--config={path}"
    daemon.start(option)
    sent = send_while_killed(daemon, option, server.kill, server.start)
    until(lambda: not sink_of(daemon)["waiting"])
    export = ("ticks", "export", "EURUSD", "--format", "jsonl", "--data", str(daemon.data))
    exported = subprocess.run(
        [sys.executable, "-m", "mtnet", *export], capture_output=True, check=True
    )
    stored = exported.stdout.count(b"\n")
    rows = server.ask("SELECT volume FROM mtnet_ticks ORDER BY time", database)
    assert sorted(int(row["volume"]) for row in rows) == list(range(sent))
    assert stored == sent
