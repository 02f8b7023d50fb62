"""Who subscribed to ticks: what is told, to the last one or with what was skipped."""

import re
from collections import Counter

import pytest

from mtnet.testing import EPOCH

TOLD = re.compile(rb"TICK: (\S+) (\S+)(?: \S+){5} ([0-9]+)(?: ~([0-9]+))?\r\n")


def test_a_subscriber_is_told_the_newest_at_once_and_then_every_tick_with_all_fields(serve, clock):
    server = serve()
    server.ask(b"EURUSD 1.1\nGBPUSD - - 1.3\n")
    clock.advance(2)
    reader = server.dial()
    assert server.say(reader, b"SUBSCRIBE: EURUSD XAUUSD\r\n") == (
        b"OK: SUBSCRIBED EURUSD XAUUSD\r\nTICK: EURUSD 1.1 - - - - - %d\r\n" % EPOCH
    )
    server.ask(b"EURUSD 1.10 1.2 - 0.5 1700000000000 6\nGBPUSD 1.4\nXAUUSD;2e3\n")
    when = EPOCH + 2_000
    assert reader.received() == (
        b"TICK: EURUSD 1.10 1.2 - 0.5 1700000000000 6 %d\r\n" % when
        + b"TICK: XAUUSD 2e3 - - - - - %d\r\n" % when
    )


def test_a_star_subscribes_to_all_and_unsubscribes_from_all(serve):
    server = serve()
    server.ask(b"EURUSD 1.1\nGBPUSD 1.3\n")
    reader = server.dial()
    answer = server.say(reader, b"SUBSCRIBE: *\nPING:\n")
    assert [line.split()[1] for line in answer.splitlines()] == [
        b"SUBSCRIBED", b"EURUSD", b"GBPUSD", b"PONG",
    ]  # fmt: skip
    server.ask(b"XAUUSD 2000\n")
    assert reader.received().startswith(b"TICK: XAUUSD 2000 ")
    assert server.say(reader, b"UNSUBSCRIBE: *\n") == b"OK: UNSUBSCRIBED *\r\n"
    server.ask(b"XAUUSD 2001\n")
    assert reader.received() == b""


def test_a_subscription_adds_and_an_unsubscription_takes_away(serve):
    server = serve()
    reader = server.dial()
    server.say(reader, b"SUBSCRIBE: EURUSD\nSUBSCRIBE: GBPUSD EURUSD\nUNSUBSCRIBE: EURUSD\n")
    server.ask(b"EURUSD 1.1\nGBPUSD 1.3\n")
    assert reader.received() == b"TICK: GBPUSD 1.3 - - - - - %d\r\n" % EPOCH


def test_a_subscriber_may_send_and_is_told_its_own_ticks(serve):
    answer = serve().ask(b"SUBSCRIBE: EURUSD\nEURUSD 1.1\n")
    assert answer.endswith(b"TICK: EURUSD 1.1 - - - - - %d\r\n" % EPOCH)


@pytest.mark.parametrize("word", [b"EUR|USD", b"<X>", b"%20X", b"\x81", b"A" * 33, b"A%00B"])
def test_what_is_no_symbol_subscribes_to_nothing(serve, word):
    server = serve()
    reader = server.dial()
    answer = server.say(reader, b"SUBSCRIBE: EURUSD " + word + b"\n")
    assert answer.startswith(b"ERR: symbol ")
    assert server.count("subscribers") == [0]


def test_a_connection_can_not_ask_for_more_symbols_than_there_may_be(serve):
    server = serve("ticks.max_symbols=2")
    reader = server.dial()
    assert server.say(reader, b"SUBSCRIBE: A B C\n").startswith(b"ERR: symbol ")
    assert server.say(reader, b"SUBSCRIBE: A B\n") == b"OK: SUBSCRIBED A B\r\n"
    assert server.say(reader, b"SUBSCRIBE: C\n").startswith(b"ERR: symbol ")


def test_a_client_without_symbols_is_not_a_subscriber(serve):
    server = serve()
    reader = server.dial()
    server.say(reader, b"SUBSCRIBE:\n")
    assert server.count("subscribers") == [0]
    server.finish(reader)
    assert reader.closed


def test_dropped_ticks_are_not_told(serve):
    server = serve("ticks.queue=1")
    reader = server.dial()
    server.say(reader, b"SUBSCRIBE: *\n")
    server.ask(b"EURUSD 1.1\n")
    server.ask(b"EURUSD 1.2\n")
    assert reader.received() == b"TICK: EURUSD 1.1 - - - - - %d\r\n" % EPOCH


def test_a_half_closed_subscriber_goes_on_being_told(serve):
    server = serve()
    reader = server.dial()
    server.say(reader, b"SUBSCRIBE: EURUSD\n")
    assert server.finish(reader) == b""
    server.ask(b"EURUSD 1.1\n")
    assert reader.received() == b"TICK: EURUSD 1.1 - - - - - %d\r\n" % EPOCH
    assert not reader.closed


# Subscribers that are behind


def flood(server, sender, ticks):
    """Send ticks of three symbols by turns; return how many of each."""
    symbols = [b"EURUSD", b"GBPUSD", b"XAUUSD"]
    lines = [b"%b %d\n" % (symbols[at % 3], at) for at in range(ticks)]
    for at in range(0, ticks, 200):
        server.say(sender, b"".join(lines[at : at + 200]))
    return Counter(symbols[at % 3] for at in range(ticks))


def got(data):
    """Return how many ticks of each symbol were told or named as skipped, and the last told."""
    counted, last = Counter(), {}
    assert TOLD.sub(b"", data) == b""
    for symbol, bid, _, skipped in TOLD.findall(data):
        counted[symbol] += 1 + int(skipped or 0)
        last[symbol] = int(bid)
    return counted, last


def test_a_subscriber_that_is_behind_is_told_the_newest_and_how_many_were_skipped(serve, clock):
    server = serve()
    reader, sender = server.dial(), server.dial()
    server.say(reader, b"SUBSCRIBE: *\n")
    reader.transport.stalled = True
    sent = flood(server, sender, 6_000)
    before = reader.received()
    assert len(before) < 200_000, "what waits for a peer is bounded"
    assert b"~" not in before
    reader.transport.stalled = False
    reader.transport.drain()
    clock.advance(0)
    behind = reader.received()
    assert len(behind.splitlines()) == 3
    assert got(before + behind) == (sent, {b"EURUSD": 5997, b"GBPUSD": 5998, b"XAUUSD": 5999})


def test_a_subscriber_that_caught_up_is_told_every_tick_again(serve, clock):
    server = serve()
    reader, sender = server.dial(), server.dial()
    server.say(reader, b"SUBSCRIBE: *\n")
    reader.transport.stalled = True
    flood(server, sender, 6_000)
    reader.transport.stalled = False
    reader.transport.drain()
    clock.advance(0)
    reader.received()
    sent = flood(server, sender, 100)
    line = reader.received()
    assert b"~" not in line
    assert got(line)[0] == sent


def test_one_that_is_behind_is_told_nothing_more_of_what_it_gave_up(serve, clock):
    server = serve()
    reader, sender = server.dial(), server.dial()
    server.say(reader, b"SUBSCRIBE: *\n")
    reader.transport.stalled = True
    everything = b"".join(b"SYMBOL%d 1.1\n" % at for at in range(5_000))
    server.say(sender, everything)
    server.say(sender, everything)
    server.say(reader, b"UNSUBSCRIBE: *\n")
    reader.transport.stalled = False
    for _ in range(20):
        reader.transport.drain()
        clock.advance(0)
    before, answer, after = reader.received().partition(b"OK: UNSUBSCRIBED *\r\n")
    assert before
    assert answer
    assert after == b""


def test_one_that_is_behind_costs_the_others_nothing(serve):
    server = serve()
    stuck, reading, sender = server.dial(), server.dial(), server.dial()
    for terminal in (stuck, reading):
        server.say(terminal, b"SUBSCRIBE: *\n")
    stuck.transport.stalled = True
    sent = flood(server, sender, 6_000)
    data = reading.received()
    assert got(data)[0] == sent


@pytest.mark.parametrize("at", [0, 1, 30, 59, 59.5])
def test_a_subscriber_that_takes_no_byte_is_closed_between_one_and_two_times_stalled(
    serve, clock, warnings, at
):
    server = serve()
    reader, sender = server.dial(), server.dial()
    server.say(reader, b"SUBSCRIBE: *\n")
    clock.advance(at)
    reader.transport.stalled = True
    flood(server, sender, 6_000)
    clock.pump([0.25] * 239)
    assert not reader.closed
    clock.pump([0.25] * 241)
    assert reader.reset
    assert "took no byte for 60 s" in warnings()[-1]["what"]
    assert server.count("subscribers") == [0]
    assert not sender.closed


def test_a_subscriber_that_reads_is_never_closed(serve, clock):
    server = serve()
    reader, sender = server.dial(), server.dial()
    server.say(reader, b"SUBSCRIBE: *\n")
    for _ in range(30):
        flood(server, sender, 1_000)
        clock.advance(10)
    clock.pump([60.0] * 100)
    assert not reader.closed
