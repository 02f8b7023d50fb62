"""A real daemon takes ticks from real sockets, and gives every one of them back."""

import calendar
import gzip
import json
import random
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from live_daemon import PATIENCE, until

ROWS = 20_000
HEADER = b"<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n"
IN_FLIGHT = 1_000_000
"""Bytes of records that may lie in the kernel's buffer: well below what it holds."""


@pytest.fixture(params=["real", "made up"])
def day(request):
    """A day of ticks as MetaTrader 5 exports them, some of them twice."""
    if request.param == "real":
        folder = request.getfixturevalue("real_data")
        return gzip.decompress((folder / "EURUSD-2019-02-04.ticks.csv.gz").read_bytes())
    draw, price, time_msc, rows = random.Random(7), 114_543, 0, [HEADER]
    for _ in range(ROWS):
        time_msc += draw.choice((0, 1, 40, 700))
        price += draw.randint(-3, 3)
        seconds, milliseconds = divmod(time_msc, 1_000)
        clock = time.strftime("%Y.%m.%d\t%H:%M:%S", time.gmtime(1_549_238_400 + seconds))
        bid, ask = (f"{p // 100_000}.{p % 100_000:05}" for p in (price, price + 2))
        fields = draw.choice(((bid, ask, 6), (bid, "", 2), ("", ask, 4)))
        row = f"{clock}.{milliseconds:03}\t{fields[0]}\t{fields[1]}\t\t\t{fields[2]}\r\n"
        rows += [row.encode()] * draw.choice((1, 1, 1, 2))
    return b"".join(rows)


def records(day):
    """Write each row of an export as a record."""
    for row in day.decode().splitlines()[1:]:
        date, clock, *fields = row.split("\t")
        seconds, _, milliseconds = clock.partition(".")
        when = time.strptime(f"{date} {seconds}", "%Y.%m.%d %H:%M:%S")
        time_msc = f"{calendar.timegm(when)}{milliseconds}"
        bid, ask, last, volume, flags = (field or "-" for field in fields)
        yield f"EURUSD {bid} {ask} {last} {volume} {time_msc} {flags}\n".encode()


def batches(day, size=20):
    lines = list(records(day))
    for number, at in enumerate(range(0, len(lines), size), 1):
        yield b"@@desk-1 %d\n" % number + b"".join(lines[at : at + size])


def mtnet(daemon, *arguments):
    command = [sys.executable, "-m", "mtnet", *arguments, "--data", str(daemon.data)]
    result = subprocess.run(command, capture_output=True, timeout=60, check=True)
    return result.stdout


def counts(daemon):
    return daemon.status()["ticks"]


def test_a_day_by_datagram_comes_back_byte_for_byte(daemon, day):
    daemon.start()
    sent = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", daemon.port("ticks", "plain UDP")))
        for batch in batches(day):
            sender.send(batch)
            sent += len(batch)
            if sent > IN_FLIGHT:
                wait_until_read(daemon)
                sent = 0
    total = len(day.splitlines()) - 1
    until(lambda: counts(daemon)["stored"] == total)
    assert mtnet(daemon, "ticks", "export", "EURUSD") == day
    report = json.loads(mtnet(daemon, "ticks", "report", "--json"))
    assert counts(daemon)["kernel_drops"] == 0
    (source,) = [each for each in report["sources"] if each["source"] == "desk-1"]
    assert (source["stored"], source["missing"], source["repeats"]) == (total, 0, 0)


def wait_until_read(daemon):
    """Wait until the daemon has read what was sent: it answers behind that."""
    before = -1
    while before != (before := counts(daemon)["received"]):
        pass


def test_a_day_by_stream_comes_back_byte_for_byte(daemon, day):
    daemon.start()
    with daemon.dial("ticks") as sender:
        sender.sendall(b"".join(batches(day)) + b"SYNC:\n")
        assert sender.makefile("rb").readline() == b"OK: SYNC %d\r\n" % (len(day.splitlines()) - 1)
    assert mtnet(daemon, "ticks", "export", "EURUSD") == day


def test_a_day_that_is_sent_again_is_stored_once(daemon, day):
    daemon.start()
    everything = b"".join(batches(day))
    for _ in range(2):
        with daemon.dial("ticks") as sender:
            # The window of remembered numbers: an older one would be a new beginning.
            sender.sendall(everything[: everything.index(b"@@desk-1 1000\n")] + b"SYNC:\n")
            assert sender.makefile("rb").readline() == b"OK: SYNC 19980\r\n"
        daemon.stop(9)
        daemon.start()
    exported = mtnet(daemon, "ticks", "export", "EURUSD")
    assert exported == b"".join(day.splitlines(keepends=True)[:19_981])


def test_a_kill_costs_what_was_not_flushed_and_the_next_start_says_how_many(daemon):
    daemon.start("--set=ticks.flush=30")
    with daemon.dial("ticks") as sender:
        sender.sendall(b"EURUSD 1.1\nEURUSD 1.2\nSYNC:\n")
        assert sender.makefile("rb").readline() == b"OK: SYNC 2\r\n"
        sender.sendall(b"EURUSD 1.3\n" * 5)
        until(lambda: counts(daemon)["received"] == 7)
        daemon.stop(9)
    daemon.start()
    assert counts(daemon)["lost when killed"] == 5
    assert "5 ticks that it had taken were not on disk" in daemon.logged()
    prices = [
        line.split(b"\t")[2] for line in mtnet(daemon, "ticks", "export", "EURUSD").splitlines()
    ]
    assert prices[1:] == [b"1.1", b"1.2"]
    daemon.stop()
    daemon.start()
    assert counts(daemon)["lost when killed"] == 0


def test_a_clean_stop_stores_what_waits(daemon):
    daemon.start("--set=ticks.flush=30")
    with daemon.dial("ticks") as sender:
        sender.sendall(b"EURUSD 1.3\n" * 5)
        until(lambda: counts(daemon)["received"] == 5)
        daemon.stop()
    assert mtnet(daemon, "ticks", "export", "EURUSD").count(b"\t1.3\t") == 5


def test_no_tick_of_a_flood_is_unaccounted_for_and_signals_go_on(daemon):
    daemon.start("--set=signals.pace=0", "--set=ticks.receive_buffer=65536")
    port = daemon.port("ticks", "plain UDP")
    with daemon.dial() as follower, daemon.dial() as publisher:
        time.sleep(0.5)
        flood = subprocess.Popen([sys.executable, "-c", FLOOD, str(port)], stdout=subprocess.PIPE)
        worst, volume = 0.0, 0
        while flood.poll() is None:
            volume += 1
            began = time.monotonic()
            publisher.sendall(f"<<EURUSD|{volume}.00>>".encode())
            wanted = f"<<EURUSD|{volume}.00>>".encode()
            seen = b""
            while wanted not in seen:
                seen += follower.recv(4_096)
            worst = max(worst, time.monotonic() - began)
        sent = int(flood.communicate()[0])
    assert volume > 10
    assert worst < PATIENCE / 4

    def settled():
        ticks = counts(daemon)
        return ticks["received"] + ticks["kernel_drops"] == sent and not ticks["waiting"]

    until(settled)
    ticks = counts(daemon)
    counted = ticks["stored"] + ticks["dropped"] + ticks["refused"] + ticks["repeated"]
    assert ticks["received"] == counted


FLOOD = """
import socket, sys, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.connect(("127.0.0.1", int(sys.argv[1])))
end, sent = time.monotonic() + 3, 0
while time.monotonic() < end:
    for _ in range(100):
        sent += sender.send(b"EURUSD 1.09876\\0") > 0
print(sent)
"""


def test_a_session_that_stops_reading_gets_every_signal_and_the_newest_tick(daemon):
    daemon.start("--set=signals.pace=0")
    session = socket.socket()
    session.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    session.settimeout(PATIENCE)
    session.connect(("127.0.0.1", daemon.port("signals")))
    with session, daemon.dial() as publisher, daemon.dial("ticks") as sender:
        reader = session.makefile("rb")
        session.sendall(b"<<HELLO|v=2>><<TICKS|symbols=*>><<SUBSCRIBE|channel=main>>")
        until(lambda: reader.readline().startswith(b"<<STATUS"))
        publisher.sendall(b"<<HELLO|v=2>>")
        stored, signals, ticks = publisher.makefile("rb"), 20, 100_000
        for part in range(signals):
            lines = [b"%032d %d 1.23456789\n" % (at % 7, at) for at in range(part, ticks, signals)]
            sender.sendall(b"".join(lines))
            publisher.sendall(b"<<PUBLISH|id=a-%d|symbol=X|volume=%d>>" % (part, part + 1))
            until(lambda: stored.readline().startswith(b"<<STORED"))
        sender.sendall(b"SYNC:\n")
        assert sender.makefile("rb").readline() == b"OK: SYNC %d\r\n" % ticks
        counted, seqs, sent = 0, [], 0
        while counted < ticks or len(seqs) < signals:
            frame = reader.readline().strip(b"<>\r\n").decode()
            fields = dict(part.split("=", 1) for part in frame.split("|")[1:])
            if frame.startswith("TICK|"):
                sent, counted = sent + 1, counted + 1 + int(fields.get("skipped", 0))
            elif frame.startswith("SIGNAL|"):
                seqs.append(int(fields["seq"]))
    assert counted == ticks
    assert sent < ticks, "it lagged"
    assert seqs == [*range(1, signals + 1)]


def test_the_counters_of_ticks_are_in_healthz(daemon):
    daemon.start()
    with daemon.dial("ticks") as sender:
        sender.sendall(b"EURUSD 1.1\nnonsense\nSYNC:\n")
        answers = sender.makefile("rb")
        assert answers.readline().startswith(b"ERR: tick ")
        assert answers.readline() == b"OK: SYNC 1\r\n"
        url = f"http://127.0.0.1:{daemon.port('web')}/healthz"
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            ticks = json.load(answer)["ticks"]
    assert (ticks["received"], ticks["stored"], ticks["refused"]) == (2, 1, 1)


def test_a_smaller_receive_buffer_is_warned_of_with_the_sysctl_that_mends_it(daemon):
    daemon.start("--set=ticks.receive_buffer=2000000000")
    assert "sysctl -w net.core.rmem_max=2000000000" in daemon.logged()
