"""Ticks by HTTP."""

import json

import pytest
from fakes.daemon import FakeDaemon, basic
from fakes.http import Answer, HttpPort, request
from twisted.internet.defer import fail

from mtnet.callbacks import noop
from mtnet.errors import JournalError
from mtnet.interfaces import ITicks
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.http.downloads import ThreadedPieces
from mtnet.storage.worker import InlineWorker


@pytest.fixture
def web(env_with):
    return HttpPort(env_with())


def post(web, body, **headers):
    return web.ask("POST", "/v1/ticks", body, **headers)


def test_records_are_answered_once_they_are_on_disk(web):
    answer = post(web, b"EURUSD 1.09876\r\nGBPUSD 1.25 1.26\n\nXAUUSD 4000.1")
    assert answer.status == 200
    assert answer.json == {"records": 3, "stored": 3, "repeats": 0, "dropped": 0, "refused": []}
    assert web.env.find(ITicks).status()["waiting"] == 0


@pytest.mark.parametrize("body", [b"EURUSD 1.1\0", b"EURUSD 1.1\n\0", b"EURUSD 1.1"])
def test_a_terminal_sends_a_form_that_ends_with_nul(web, body):
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    assert post(web, body, **form).json["stored"] == 1


def test_a_batch_that_is_sent_again_is_stored_once(web):
    batch = b"@@office 7\nEURUSD 1.1\nEURUSD 1.2\n"
    first, second = post(web, batch).json, post(web, batch).json
    assert (first["records"], first["stored"], first["repeats"]) == (2, 2, 0)
    assert (second["records"], second["stored"], second["repeats"]) == (2, 0, 2)


def test_lines_that_cannot_be_read_are_named_and_the_others_stored(web):
    answer = post(web, b"EURUSD 1.1\nEURUSD x\n\n@@office\nLOGIN: alice secret\nGBPUSD 1.2\n").json
    assert (answer["records"], answer["stored"]) == (4, 2)
    assert [each["line"] for each in answer["refused"]] == [2, 4, 5]
    assert "secret" not in str(answer)


def test_a_body_without_a_single_tick_is_refused_and_quoted(web):
    answer = post(web, b'{"symbol": "EURUSD"}')
    assert answer.error == (422, "field")
    assert answer.json["text"].startswith("Line 1: ")


def test_no_more_than_twenty_refusals_are_told(web):
    answer = post(web, b"EURUSD 1.1\n" + b"EURUSD x\n" * 500).json
    assert (answer["stored"], len(answer["refused"])) == (1, 20)


def test_a_disk_that_refuses_is_503(web, monkeypatch):
    monkeypatch.setattr(
        web.env.find(ITicks), "sync", lambda: fail(JournalError("/srv/ticks.log is gone."))
    )
    answer = post(web, b"EURUSD 1.1")
    assert answer.error == (503, "server")
    assert "ticks.log" not in answer.json["text"]


def test_a_body_that_is_too_large_is_refused(web):
    assert post(web, b"x" * 1_048_577).error == (413, "size")


# Reading


def test_symbols_and_last_ticks_are_told(web):
    post(web, b"EURUSD 1.09870 1.09880 - 0.5 1795254347500 6\nUK%20100 7000.5\nBTC/USDT 1")
    assert web.ask("GET", "/v1/ticks").json == {"symbols": ["BTC/USDT", "EURUSD", "UK 100"]}
    last = web.ask("GET", "/v1/ticks/EURUSD/last").json
    assert last == {
        "symbol": "EURUSD", "received": web.env.now(), "bid": "1.09870", "ask": "1.09880",
        "volume": "0.5", "time": 1795254347500, "flags": 6,
    }  # fmt: skip
    assert web.ask("GET", "/v1/ticks/UK%20100/last").json["bid"] == "7000.5"
    assert web.ask("GET", "/v1/ticks/BTC%2FUSDT/last").json["symbol"] == "BTC/USDT"


def test_what_is_not_there_and_what_is_no_symbol(web):
    assert web.ask("GET", "/v1/ticks/XYZ/last").error == (404, "missing")
    assert web.ask("GET", "/v1/ticks/A%7CB/last").error == (422, "field")


# Rights


def test_a_login_sends_and_reads_its_symbols_alone(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock)

    def ask(name, method, path, body=b""):
        said = {"Authorization": basic(name).decode()} if name else {}
        terminal = daemon.dial("web")
        terminal.send(request(method, path, body, **said))
        for _ in range(3):
            clock.advance(0)
        return Answer(terminal.received())

    assert ask("", "POST", "/v1/ticks", b"EURUSD 1.1").status == 401
    answer = ask("bob", "POST", "/v1/ticks", b"GBPUSD 1.2\nEURUSD 1.1").json
    assert (answer["records"], answer["stored"]) == (2, 1)
    assert [each["line"] for each in answer["refused"]] == [1]
    assert ask("alice", "POST", "/v1/ticks", b"GBPUSD 1.2").error == (403, "denied")
    daemon.env.find(ITicks).take(daemon.env.find(ITicks).source("x"), [(b"GBPUSD", b"1.2")], 1)
    assert ask("bob", "GET", "/v1/ticks").json == {"symbols": ["EURUSD"]}
    assert ask("bob", "GET", "/v1/ticks/EURUSD/last").status == 200
    assert ask("bob", "GET", "/v1/ticks/GBPUSD/last").status == 403


# History


DAY = 1_728_000_000_000
LINES = b"".join(b"EURUSD 1.%d - - - %d\n" % (at, DAY + at) for at in range(10, 30))


@pytest.fixture
def history(web):
    post(web, LINES)
    return lambda query="", method="GET": web.ask(method, f"/v1/ticks/EURUSD{query}")


def chunks(answer):
    """Return the body of an answer that came in chunks."""
    body, rest = b"", answer.body
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body, rest = body + rest[:length], rest[length + 2 :]
    return body


def test_history_is_streamed_as_csv(history):
    answer = history()
    assert (answer.status, answer.headers["content-type"]) == (200, "text/csv")
    assert answer.headers["transfer-encoding"] == "chunked"
    first, *rows = chunks(answer).decode().splitlines()
    assert first.startswith("symbol,bid,ask,")
    assert len(rows) == 20


def test_history_has_a_beginning_an_end_and_a_limit(history):
    query = f"?format=jsonl&from={DAY + 12}&to={DAY + 20}"
    assert chunks(history(query)).count(b"\n") == 8
    assert chunks(history(f"{query}&limit=3")).count(b"\n") == 3
    assert chunks(history("?format=mt5&from=2024-10-05")).count(b"\n") == 1


def test_history_as_arrow_and_parquet(history, tmp_path):
    pa, duckdb = pytest.importorskip("pyarrow"), pytest.importorskip("duckdb")
    table = pa.ipc.open_stream(chunks(history("?format=arrow"))).read_all()
    assert table.num_rows == 20
    file = tmp_path / "got.parquet"
    file.write_bytes(chunks(history("?format=parquet")))
    assert duckdb.sql(f"SELECT count(*), min(time_msc) FROM '{file}'").fetchall() == [
        (20, DAY + 10)
    ]
    assert list((tmp_path / "data" / "ticks").iterdir()) == []


@pytest.mark.parametrize("name", ["csv", "parquet"])
def test_head_has_the_headers_alone_and_takes_no_place(history, name):
    for _ in range(9):
        answer = history(f"?format={name}", "HEAD")
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["content-disposition"] == f'attachment; filename="eurusd.{name}"'


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("?format=xml", (422, "field")),
        ("?limit=0", (422, "field")),
        ("?from=yesterday", (422, "field")),
        ("?from=2024-10-05&to=2024-10-05", (422, "field")),
        ("?utc=NY7", (422, "field")),
        ("?utc=NY%2B7&format=arrow", (422, "field")),
    ],
)
def test_a_history_that_cannot_be_is_refused(history, query, error):
    assert history(query).error == error


@pytest.mark.parametrize("rule", ["UTC%2B2", "UTC+2", "configured"])
def test_history_has_utc_by_a_clock(env_with, rule):
    web = HttpPort(env_with("ticks.clock.EURUSD=UTC+2"))
    post(web, LINES)
    rows = chunks(web.ask("GET", f"/v1/ticks/EURUSD?utc={rule}&limit=1")).decode().splitlines()
    assert rows[0].endswith(",utc")
    assert rows[1].endswith(f",{DAY + 10 - 7_200_000}")


def test_history_that_is_not_there(web):
    assert web.ask("GET", "/v1/ticks/XYZ").error == (404, "missing")
    assert web.ask("GET", "/v1/ticks/A%7CB").error == (422, "field")


def test_history_that_was_imported_has_no_other_sender(web, tmp_path):
    file = tmp_path / "data" / "ticks.sqlite"
    rows = [(1, DAY, b"1.2 1.3 - - %d" % DAY)]
    Importer(file, b"GBPUSD", DAY).run(lambda: rows, noop)
    assert b"GBPUSD,1.2,1.3" in chunks(web.ask("GET", "/v1/ticks/GBPUSD"))
    assert len(json.loads(chunks(web.ask("GET", "/v1/bars/GBPUSD")))["bars"]) == 1


def test_a_format_whose_package_is_missing_is_503(history, monkeypatch):
    monkeypatch.setattr("mtnet.services.ticks.export.stream.arrow", lambda: None)
    answer = history("?format=arrow")
    assert answer.error == (503, "server")
    assert "mtnet-hub[arrow]" in answer.json["text"]


def test_a_client_that_leaves_ends_the_reading_and_gives_its_place_back():
    ended, closed = [], []

    def pieces():
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(True)

    made = ThreadedPieces(pieces(), InlineWorker(), lambda: ended.append(True))
    got = []
    next(made).addCallback(got.append)
    assert (got, ended) == ([b"a"], [])
    made.close()
    made.close()
    assert (closed, ended) == ([True], [True])


def test_pieces_end_with_none_or_with_what_failed():
    for pieces, result in ((iter([]), None), (iter(map(int, ["x"])), ValueError)):
        ended, got = [], []
        made = ThreadedPieces(pieces, InlineWorker(), lambda ended=ended: ended.append(True))
        next(made).addBoth(got.append)
        assert ended == [True]
        assert got == [None] if result is None else got[0].check(result)


def test_too_many_downloads_at_once_are_refused(history, monkeypatch):
    monkeypatch.setattr("mtnet.services.ticks.http.downloads.CONCURRENT", 0)
    assert history().error == (503, "server")


# Bars


NOON = 1_699_963_200_000
"""Some hours before the wall clock of these tests."""


@pytest.fixture
def bars(web):
    post(web, b"".join(b"EURUSD 1.%d - - - %d\n" % (at, NOON + at) for at in range(10, 30)))
    return lambda query="": web.ask("GET", f"/v1/bars/EURUSD{query}")


def test_bars_are_told_with_all_that_was_taken_before(bars, web):
    web.env.find(ITicks).take(
        web.env.find(ITicks).source("x"), [(b"EURUSD", b"1.05 1.07 - 0.5 %d" % (NOON + 40))], NOON
    )
    answer = bars("?period=M5")
    assert answer.headers["content-type"] == "application/json"
    assert json.loads(chunks(answer)) == {
        "symbol": "EURUSD", "period": "M5", "clock": "broker", "price": "bid", "digits": 2,
        "bars": [
            {"time": NOON, "open": "1.10", "high": "1.29", "low": "1.05", "close": "1.05",
             "ticks": 21, "volume": "0.5"},
        ],
    }  # fmt: skip


def test_bars_have_a_period_a_span_and_a_format(bars):
    assert len(json.loads(chunks(bars()))["bars"]) == 1
    rows = chunks(bars(f"?period=S1&format=csv&to={NOON + 1_000}&limit=5")).splitlines()
    assert rows[0].startswith(b"symbol,time,open")
    assert len(rows) == 2
    assert json.loads(chunks(bars("?period=MN1&from=2023-12-01")))["bars"] == []


@pytest.mark.parametrize(
    "query",
    ["?period=M7", "?format=xml", "?from=yesterday", "?limit=0", "?from=2024-10-05&to=2024-10-04"],
)
def test_bars_that_cannot_be_are_refused(bars, query):
    assert bars(query).error == (422, "field")


def test_bars_that_are_not_there(web):
    assert web.ask("GET", "/v1/bars/XYZ").error == (404, "missing")


def test_bars_are_read_also_while_the_disk_refuses_ticks(bars, web, monkeypatch):
    monkeypatch.setattr(
        web.env.find(ITicks), "sync", lambda: fail(JournalError("The disk is full."))
    )
    assert len(json.loads(chunks(bars()))["bars"]) == 1
