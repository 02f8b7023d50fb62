"""REPORT and SPEC: what a terminal may say about itself, and what is refused."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import WireError
from mtnet.services.signals.reports import wire
from mtnet.services.signals.reports.wire import Report, Spec
from mtnet.session.grammar import parse

WHOLE = Report(
    trading=False,
    balance=Decimal("10000.00"),
    equity=Decimal("-12.5"),
    free=Decimal("9800.123"),
    margin=Decimal(0),
    currency="USD",
    leverage=500,
    mode="hedging",
    platform="mt5",
    build=5120,
    account="123456",
    server="Broker-Demo 2",
    offset=-10_800,
)
EURUSD = Spec(
    symbol="EURUSD",
    min=Decimal("0.01"),
    max=Decimal(100),
    step=Decimal("0.01"),
    contract=Decimal(100_000),
    digits=5,
    tick=Decimal("0.00001"),
    tickvalue=Decimal("1.0"),
    currency="USD",
)


def read(frame):
    message = parse(frame[2:-4])
    return wire.REQUESTS[message.verb](message)


def say(text):
    return read(f"<<{text}>>\r\n".encode())


def test_a_report_is_written_as_documented():
    assert wire.report(WHOLE) == (
        b"<<REPORT|trading=0|balance=10000.00|equity=-12.5|free=9800.123|margin=0|currency=USD"
        b"|leverage=500|mode=hedging|platform=mt5|build=5120|account=123456|server=Broker-Demo 2"
        b"|offset=-10800>>\r\n"
    )
    assert wire.spec(EURUSD) == (
        b"<<SPEC|symbol=EURUSD|min=0.01|max=100|step=0.01|contract=100000|digits=5|tick=0.00001"
        b"|tickvalue=1.0|currency=USD>>\r\n"
    )


@pytest.mark.parametrize(
    "told",
    [
        WHOLE,
        EURUSD,
        Report(trading=True),
        Report(balance=Decimal("0.00000001")),
        Spec("ЗОЛОТО|%".replace("|", ""), step=Decimal("1")),
    ],
)
def test_what_is_written_is_read(told):
    write = wire.report if isinstance(told, Report) else wire.spec
    again = read(write(told))
    assert again == told
    assert str(again) == str(told), "every digit is kept"


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("REPORT|trading=2", "trading is 1 or 0"),
        ("REPORT|balance=1e5", "balance is money such as 10012.50"),
        ("REPORT|equity=nan", "equity is money"),
        ("REPORT|free=1234567890123456", "free is money"),
        ("REPORT|margin=1.123456789", "margin is money"),
        ("REPORT|currency=US$", "currency is at most 16"),
        ("REPORT|leverage=1:500", "leverage is a whole number"),
        ("REPORT|mode=Hedging", "mode is netting, hedging or exchange"),
        ("REPORT|platform=mt6", "platform is mt5 or mt4"),
        ("REPORT|build=-1", "build is a whole number"),
        ("REPORT|account=12 3", "account is at most 64"),
        ("REPORT|server=" + "x" * 101, "server is a text"),
        ("REPORT|offset=86401", "offset is seconds"),
        ("REPORT|offset=2h", "offset is seconds"),
        ("REPORT", "REPORT has one of trading, balance"),
        ("REPORT|mood=good", "REPORT has one of trading, balance"),
        ("SPEC|min=0.01", "SPEC needs symbol"),
        ("SPEC|symbol=EURUSD", "SPEC has one of min, max"),
        ("SPEC|symbol=|min=1", "symbol is 1 to 32"),
        ("SPEC|symbol=A|min=-1", "min is money .* not negative"),
        ("SPEC|symbol=A|digits=11", "digits is a whole number from 0 to 10"),
        ("SPEC|symbol=A|tick=small", "tick is a price"),
        ("SPEC|symbol=A|contract=1e5", "contract is money"),
    ],
)
def test_a_field_that_cannot_be_read_is_refused_with_what_would_be_right(text, right):
    with pytest.raises(WireError, match=right) as caught:
        say(text)
    assert caught.value.code == "field"


def test_what_terminals_really_write_is_taken():
    told = say("REPORT|balance=+1000.10000000000002|currency=|account=|server=|future=1|trading=1")
    assert told == Report(trading=True, balance=Decimal("1000.1"))
    assert say("SPEC|symbol=DOGE|tick=1e-08").tick == Decimal("1e-08")


@given(
    st.dictionaries(st.sampled_from([*wire._REPORT, *wire._SPEC, "symbol"]), st.text(max_size=20))
)
def test_any_fields_are_read_or_refused(fields):
    for verb in ("REPORT", "SPEC"):
        with suppress(WireError):
            wire.REQUESTS[verb](wire.Message(verb, fields))
