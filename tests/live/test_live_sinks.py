"""A real server of PostgreSQL gets each tick once, whoever is killed meanwhile."""

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from live_daemon import until
from postgres_server import HOST, PostgresServer
from stalled_proxy import StalledProxy
from tick_load import Sender, send_while_killed, sink_of

from mtnet.services.sinks.model import Batch, Taken
from mtnet.services.sinks.target import TAKEN, TargetError

psycopg = pytest.importorskip("psycopg", reason="psycopg is not installed.")

from mtnet.services.sinks.postgres import PostgresTarget  # noqa: E402


@pytest.fixture(scope="module")
def server():
    # Below /tmp: the user of the server cannot look into the folders of pytest.
    with tempfile.TemporaryDirectory(prefix="mtnet-postgres-") as folder:
        with socket.create_server((HOST, 0)) as found:
            port = found.getsockname()[1]
        server = PostgresServer(Path(folder), port)
        server.start()
        yield server
        server.stop()


@pytest.fixture
def ask(server):
    """Run SQL, and return the rows."""

    def run(statement, *values):
        with psycopg.connect(server.url, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else None

    return run


@pytest.fixture
def table(ask, request):
    """A table of the test alone."""
    name = f"t{abs(hash(request.node.name)) % 10**9}"
    yield name
    ask(f"DROP TABLE IF EXISTS {name}")
    ask("DROP TABLE IF EXISTS mtnet_positions")


@pytest.fixture
def target(server, table):
    target = PostgresTarget("sinks.x.url", server.url, table, 5.0)
    yield target
    target.close()


def batch(count, first=1):
    return Batch(
        first,
        [
            Taken(b"UK%20100", b"7001.5 7002 - %d 1796000000123 6" % at, 1_796_000_000_999, "desk")
            for at in range(first, first + count)
        ],
    )


def test_a_row_has_both_clocks_and_the_digits_that_were_sent(target, ask, table):
    assert target.write("origin", batch(1)) == TAKEN
    columns = "time::text, received AT TIME ZONE 'UTC', symbol, bid, ask, last, volume, flags"
    [(time_, received, *rest)] = ask(f"SELECT {columns}, source, origin, seq FROM {table}")
    assert (time_, str(received)) == ("2026-11-30 00:53:20.123", "2026-11-30 00:53:20.999000")
    assert rest == ["UK 100", 7001.5, 7002.0, None, 1.0, 6, "desk", "origin", 1]


def test_a_batch_that_is_written_again_changes_nothing(target, ask, table):
    target.write("origin", batch(3))
    target.write("origin", batch(5))
    target.write("another", batch(2))
    rows = ask(f"SELECT origin, seq FROM {table} ORDER BY origin, seq")
    assert rows == [("another", 1), ("another", 2), *(("origin", seq) for seq in range(1, 6))]


def test_a_table_of_somebody_elses_making_may_have_other_types_and_more_columns(target, ask, table):
    ask(
        f"CREATE TABLE {table} (id bigserial, received timestamptz, time timestamp, symbol "
        "varchar(20), bid numeric(12, 5), ask numeric, last real, volume numeric, flags int, "
        "source text, origin text, seq bigint, UNIQUE (received, origin, seq))"
    )
    target.check()
    target.write("origin", batch(2))
    assert [str(bid) for (bid,) in ask(f"SELECT bid FROM {table}")] == ["7001.50000"] * 2


def test_a_table_without_a_column_is_a_sentence_and_right_once_it_is_mended(target, ask, table):
    ask(f"CREATE TABLE {table} (symbol text)")
    for attempt in (target.check, lambda: target.write("origin", batch(1))):
        with pytest.raises(TargetError, match=f'column "time" of relation "{table}" does not exi'):
            attempt()
    ask(f"DROP TABLE {table}")
    assert target.write("origin", batch(1)) == TAKEN


def test_a_check_leaves_no_row(target, ask, table):
    target.check()
    assert ask(f"SELECT count(*) FROM {table}") == [(0,)]


def test_nobody_is_told_the_password(server):
    url = server.url.replace("postgres@", "nobody:geheim@")
    target = PostgresTarget("sinks.x.url", url, "ticks", 5.0)
    assert "geheim" not in target.label
    with pytest.raises(TargetError, match="nobody") as caught:
        target.check()
    assert "geheim" not in str(caught.value)


def configure(daemon, url, table):
    path = daemon.folder / "mtnet.toml"
    text = f'[sinks.warehouse]\nurl = "{url}"\ntable = "{table}"\n[sinks]\nmax_retry = 1\n'
    path.write_text(text, "utf-8")
    return f"--config={path}"


def test_each_tick_arrives_once_while_the_server_and_the_daemon_are_killed(
    daemon, server, ask, table
):
    option = configure(daemon, server.url, table)
    daemon.start(option)
    sent = send_while_killed(daemon, option, server.stop, server.start)
    until(lambda: ask(f"SELECT count(*) FROM {table}")[0][0] >= sent)
    rows = [int(volume) for (volume,) in ask(f"SELECT volume FROM {table} ORDER BY seq")]
    assert rows == list(range(sent))
    assert until(lambda: not sink_of(daemon)["waiting"])


def test_a_server_that_stalls_costs_nothing_but_the_oldest_of_a_full_queue(
    daemon, server, ask, table
):
    with StalledProxy(server.port) as proxy:
        url = server.url.replace(f":{server.port}/", f":{proxy.port}/")
        option = configure(daemon, url, table)
        daemon.start(option, "--set=sinks.queue=20000", "--set=sinks.timeout=1")
        sender = Sender(daemon)
        sender.send(100)
        until(lambda: not sink_of(daemon)["waiting"])
        proxy.stalled.set()
        while not sink_of(daemon)["dropped"]:
            sender.send(2_000)  # each is answered once it is stored
        until(lambda: sink_of(daemon)["failures"])
        proxy.stalled.clear()
        until(lambda: not sink_of(daemon)["waiting"])
    rows = [int(volume) for (volume,) in ask(f"SELECT volume FROM {table} ORDER BY seq")]
    assert rows == sorted(set(rows))
    assert rows[:100] == list(range(100))
    assert rows[-1] == sender.sent - 1
    assert len(rows) + sink_of(daemon)["dropped"] == sender.sent


def test_the_commands_show_a_sink_and_try_its_server(daemon, server, table):
    daemon.start(configure(daemon, server.url, table))

    def mtnet(*words):
        command = [sys.executable, "-m", "mtnet", "sinks", *words, "--data", str(daemon.data)]
        done = subprocess.run(
            command, capture_output=True, text=True, env=daemon.environ, check=False
        )
        return done.returncode, done.stdout + done.stderr

    assert mtnet("test", "warehouse") == (
        0,
        f"postgresql://{HOST}:{server.port}/postgres {table} takes ticks.\n",
    )
    assert mtnet("list")[1].endswith("got 0 ticks, 0 wait.\n")
    server.stop()
    try:
        status, text = mtnet("test", "warehouse")
        assert status == 1
        assert "takes no ticks:" in text
    finally:
        server.start()
