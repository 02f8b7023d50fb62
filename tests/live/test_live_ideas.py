"""
The article's ideas in one real use: a provider's terminal gives values of an indicator, followers
read them, clients vote, and workers share a parameter search over a real day of ticks.
"""

import csv
import json
import runpy
import signal
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager

import pytest
from live_daemon import LOOPBACK, PATIENCE
from session_peer import Peer

from mtnet.client.sync import indicator

DAY = "EURUSD-2019-02-04.ticks.csv.gz"
RSI = b"name=RSI14|symbol=EURUSD|period=M5"
QUEUE, WORKERS = "search/averages", 3
PAIRS = [(fast, slow) for fast in range(5, 105, 5) for slow in range(200, 700, 50)]
"""Lengths of a fast and a slow average: 200 runs."""
SEARCH = '''
"""Which two averages of a day's bids would have earned most."""

import gzip
import json
import sys
from datetime import datetime


def read(path):
    """Return (milliseconds, bid) of each tick with a bid."""
    with gzip.open(path, "rt", encoding="ascii") as lines:
        next(lines)
        fields = (line.rstrip("\\n").split("\\t") for line in lines)
        return [(moment(*each[:2]), float(each[2])) for each in fields if each[2]]


def moment(day, time):
    text = f"{day.replace('.', '-')}T{time}+00:00"
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def calculate(bids, data):
    """Return the profit of being long while the fast average is above the slow one."""
    asked = json.loads(data)
    fast = slow = last = bids[0]
    quick, long = 2 / (int(asked["fast"]) + 1), 2 / (int(asked["slow"]) + 1)
    profit, trades, holds = 0.0, 0, False
    for bid in bids:
        if holds:
            profit += bid - last
        fast, slow, last = fast + quick * (bid - fast), slow + long * (bid - slow), bid
        if (fast > slow) != holds:
            holds, trades = not holds, trades + 1
    return json.dumps({"profit": profit, "trades": trades})


if __name__ == "__main__":
    from mtnet.client.sync import work

    path, server, queue = sys.argv[1:]
    bids = [bid for _, bid in read(path)]
    print("ready", flush=True)
    work(server, queue, lambda data: calculate(bids, data))
'''


@pytest.fixture
def search(tmp_path):
    """The program of the search, and its functions."""
    program = tmp_path / "search.py"
    program.write_text(SEARCH, encoding="utf-8")
    return program, runpy.run_path(str(program))


def closes(ticks, period=300_000):
    """Return {opening of the bar: its last bid}."""
    return {time - time % period: bid for time, bid in ticks}


def rsi(prices, length=14):
    """Return Wilder's RSI of each price; None for the first ones."""
    found, gain, loss = [None] * min(length, len(prices)), 0.0, 0.0
    for at in range(1, len(prices)):
        change = prices[at] - prices[at - 1]
        weight = length if at > length else 1
        keep = (length - 1) / length if at > length else 1
        gain = gain * keep + max(change, 0) / weight
        loss = loss * keep + max(-change, 0) / weight
        if at >= length:
            found.append(100.0 if not loss else 100 - 100 / (1 + gain / loss))
    return [None if each is None else f"{each:.4f}" for each in found]


def test_the_articles_ideas_work_together_over_a_real_day(daemon, real_data, search, tmp_path):
    program, functions = search
    ticks = functions["read"](real_data / DAY)
    names = ("indicators", "jobs")
    daemon.start(
        *(f"--listen={name}={LOOPBACK}" for name in names),
        "--set=sentiment.enabled=true",
        "--set=sentiment.min_clients=3",
        "--set=sentiment.linger=0",
    )
    with ExitStack() as stack:
        workers = [
            stack.enter_context(running(daemon, program, real_data / DAY)) for _ in range(WORKERS)
        ]
        for each in workers:
            assert each.stdout.readline() == "ready\n"
        begun = stack.enter_context(begin_search(daemon, tmp_path))
        check_values(daemon, closes(ticks))
        check_votes(daemon)
        assert begun.wait(10 * PATIENCE) == 0, begun.stderr.read()
    bids = [bid for _, bid in ticks]
    table = [
        {key: str(value) for key, value in {**pair, **json.loads(result)}.items()}
        for pair in ({"fast": fast, "slow": slow} for fast, slow in PAIRS)
        for result in [functions["calculate"](bids, json.dumps(pair))]
    ]
    with (tmp_path / "results.csv").open(newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [{key: row[key] for key in row if key != "id"} for row in found] == table
    assert len({row["profit"] for row in found}) > 100
    with Peer(daemon.port("jobs")) as peer:
        peer.say(f"<<RESULTS|queue={QUEUE}|after=0>>".encode())
        done = peer.fields("DONE", len(PAIRS))
    assert [int(each["seq"]) for each in done] == list(range(1, len(PAIRS) + 1))
    assert len({each["by"] for each in done}) == WORKERS


@contextmanager
def running(daemon, program, day):
    """Run a worker in a process of its own."""
    server = f"tcp:127.0.0.1:{daemon.port('jobs')}"
    command = [sys.executable, str(program), str(day), server, QUEUE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)


@contextmanager
def begin_search(daemon, folder):
    """Offer the runs by `mtnet jobs run`, which writes the table once all have ended."""
    with (folder / "params.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("fast", "slow"), *PAIRS])
    words = ["jobs", "run", QUEUE, "-i", str(folder / "params.csv")]
    words += ["-o", str(folder / "results.csv")]
    words += ["--server", f"tcp:127.0.0.1:{daemon.port('jobs')}"]
    command = [sys.executable, "-m", "mtnet", *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def check_values(daemon, bars):
    """A terminal gives the RSI of a day; one follower was there before, one comes later."""
    times, values = list(bars), rsi(list(bars.values()))
    wanted = [(time, (value or "",)) for time, value in zip(times, values, strict=True)]
    assert len(wanted) > 250
    port = daemon.port("indicators")
    with Peer(port) as early, Peer(port) as terminal:
        assert early.answer(b"<<INDICATOR|%b>>" % RSI).fields["count"] == "0"
        for time, (value,) in wanted:
            terminal.say(
                b"<<CALC|%b|bar=%d|values=|open=1>>" % (RSI, time)
                + b"<<CALC|%b|bar=%d|values=%b>>" % (RSI, time, value.encode())
            )
        assert len(terminal.fields("CALCED", 2 * len(wanted))) == 2 * len(wanted)
        sent = early.fields("VALUE", 2 * len(wanted))
        assert [(int(each["bar"]), (each["values"],)) for each in sent if "open" not in each] == (
            wanted
        )
    with closing(indicator(f"tcp:127.0.0.1:{port}", "RSI14", "EURUSD", "M5")) as late:
        found = [next(late) for _ in wanted]
    assert [(each.bar, each.values) for each in found] == wanted


def check_votes(daemon):
    """Three clients vote; below three nothing is shown."""
    port = daemon.port("signals")
    with ExitStack() as stack:
        watcher = stack.enter_context(Peer(port))
        watcher.say(b"<<SENTIMENTS|symbols=EURUSD>>")
        assert watcher.fields("SENTIMENT", 1)[0]["clients"] == "0"
        for number, volume in enumerate((b"0.25", b"-0.10", b"1.00"), start=2):
            voter = stack.enter_context(Peer(port, address=f"127.0.0.{number}"))
            (shown,) = answered(voter, b"<<HOLD|symbol=EURUSD|volume=%b>>" % volume)
            assert shown["clients"] == ("3" if number == 4 else "0")
        (sums,) = watcher.fields("SENTIMENT", 1)
        assert {key: sums[key] for key in ("long", "short", "net", "clients")} == {
            "long": "1.25",
            "short": "0.10",
            "net": "1.15",
            "clients": "3",
        }


def answered(peer, frame):
    peer.say(frame)
    return peer.fields("SENTIMENT", 1)
