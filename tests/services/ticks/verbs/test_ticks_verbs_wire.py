"""TICKS and BARS, and their answers, as frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet import values
from mtnet.errors import WireError
from mtnet.services.ticks.verbs import wire
from mtnet.services.ticks.verbs.wire import Bar, Barred, Bars, Tick, Ticking, Ticks
from mtnet.services.ticks.wire import encode_symbol, plain_symbol
from mtnet.session.grammar import MAX_SESSION_FRAME, parse

NAMES = st.text(min_size=1, max_size=32).filter(values.is_symbol)


def read(frame):
    assert frame.startswith(b"<<")
    assert frame.endswith(b">>\r\n")
    message = parse(frame[2:-4])
    return {**wire.REQUESTS, **wire.ANSWERS}[message.verb](message)


BAR = Bar("EURUSD", "M1", 60_000, "1.10", "1.20", "1.05", "1.15", 12, 3, "0.5")


@pytest.mark.parametrize(
    ("frame", "text", "value"),
    [
        (
            wire.ticks(["GBPUSD", "EURUSD"]),
            b"TICKS|symbols=EURUSD,GBPUSD",
            Ticks(frozenset({"EURUSD", "GBPUSD"})),
        ),
        (wire.ticks("*"), b"TICKS|symbols=*", Ticks(frozenset("*"))),
        (wire.ticks([]), b"TICKS|symbols=", Ticks(frozenset())),
        (wire.ticking([]), b"TICKING|symbols=", Ticking(frozenset())),
        (
            wire.ticking(["A,B", "50%"]),
            b"TICKING|symbols=50%25,A%2CB",
            Ticking(frozenset({"A,B", "50%"})),
        ),
        (
            wire.bars("EURUSD", "M1", 20),
            b"BARS|symbol=EURUSD|period=M1|count=20",
            Bars("EURUSD", "M1", 20),
        ),
        (wire.bars("EURUSD", "D1"), b"BARS|symbol=EURUSD|period=D1", Bars("EURUSD", "D1", 500)),
        (
            wire.tick(b"UK%20100", b"1.10", 5),
            b"TICK|symbol=UK 100|bid=1.10|received=5",
            Tick("UK 100", 5, bid="1.10"),
        ),
        (
            wire.tick(b"EURUSD", b"1.10 - 1.2 0.50 1700000000000 6", 5, 12),
            b"TICK|symbol=EURUSD|bid=1.10|last=1.2|volume=0.50|time=1700000000000|flags=6"
            b"|received=5|skipped=12",
            Tick("EURUSD", 5, "1.10", None, "1.2", "0.50", 1_700_000_000_000, 6, 12),
        ),
        (
            wire.barred(Barred("EURUSD", "H1", 2, "received")),
            b"BARRED|symbol=EURUSD|period=H1|count=2|clock=received",
            Barred("EURUSD", "H1", 2, "received"),
        ),
        (
            wire.bar(BAR),
            b"BAR|symbol=EURUSD|period=M1|time=60000|open=1.10|high=1.20|low=1.05|close=1.15"
            b"|ticks=12|spread=3|volume=0.5",
            BAR,
        ),
        (
            wire.bar(Bar("A", "D1", 0, "1", "1", "1", "1", 1, None, "0", True)),
            b"BAR|symbol=A|period=D1|time=0|open=1|high=1|low=1|close=1|ticks=1|volume=0|current=1",
            Bar("A", "D1", 0, "1", "1", "1", "1", 1, None, "0", True),
        ),
    ],
)  # fmt: skip
def test_a_message_is_written_as_documented_and_read_again(frame, text, value):
    assert frame == b"<<" + text + b">>\r\n"
    assert read(frame) == value


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (b"TICKS", "TICKS needs symbols, which is one or more symbols"),
        (b"TICKS|symbols=A,,B", "symbols is one or more symbols"),
        (b"TICKS|symbols=" + b",".join(b"S%d" % n for n in range(1_001)), "at most 1000 symbols"),
        (b"BARS|period=M1", "BARS needs symbol"),
        (b"BARS|symbol=A", "BARS needs period"),
        (b"BARS|symbol=A|period=M7", "period is one of S1, S2"),
        (b"BARS|symbol=A|period=MN2", "period is one of S1, S2"),
        (b"BARS|symbol=A|period=M1|count=-1", "count is a whole number from 0 to 5000"),
        (b"BARS|symbol=A|period=M1|count=5001", "count is a whole number from 0 to 5000"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_with_what_would_be_right(text, right):
    message = parse(text)
    with pytest.raises(WireError, match=right) as caught:
        wire.REQUESTS[message.verb](message)
    assert caught.value.code == "field"


def test_a_thousand_names_fit_in_a_frame_and_what_does_not_fit_is_refused():
    names = [f"AB{number:04}" for number in range(1_000)]
    assert len(wire.ticks(names)) < MAX_SESSION_FRAME
    assert read(wire.ticking(names)) == Ticking(frozenset(names))
    with pytest.raises(WireError, match="at most 8192 bytes"):
        wire.ticks([f"{number:032}" for number in range(300)])
    with pytest.raises(WireError, match="at most 1000 symbols"):
        wire.ticks([f"{number}" for number in range(1_001)])


@given(NAMES)
def test_any_symbol_is_the_same_on_the_tick_port_and_in_a_session(name):
    spelt = encode_symbol(name)
    assert plain_symbol(spelt) == name
    assert read(wire.tick(spelt, b"1", 5)).symbol == name
    assert read(wire.ticking([name, "EURUSD"])).symbols == {name, "EURUSD"}
