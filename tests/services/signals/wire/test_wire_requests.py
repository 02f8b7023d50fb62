"""What clients say in dialect 2."""

import traceback
from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import WireError
from mtnet.services.signals.values import OPTIONAL
from mtnet.services.signals.wire.requests import (
    REQUESTS,
    Ack,
    Publish,
    Subscribe,
    Unsubscribe,
    ack,
    publish,
    read_request,
    subscribe,
    unsubscribe,
)
from mtnet.session.grammar import MAX_PAYLOAD, FrameDecoder, Message, parse
from mtnet.session.messages import Bye, Hello, Ping, Pong, bye, hello, ping, pong
from mtnet.values import is_symbol

SECRET = "s3cr3t-Passwort"
EPOCH = "0123456789abcdef"
LOT = Decimal(1)


def read(payload):
    return read_request(parse(payload if isinstance(payload, bytes) else payload.encode()))


def heard(frame):
    """Read a frame as the server does, with the limits of its decoder."""
    (payload,) = FrameDecoder().feed(frame)
    return read(payload)


PUBLISH = "PUBLISH|id=1|symbol=GBPUSD|volume=0.25"
WHOLE = Publish(
    "a.1-B_2",
    "GBPUSD",
    Decimal("-0.250"),
    "gold",
    "123456",
    "sell_limit",
    (
        ("comment", "50% <|>"),
        ("magic", "-7"),
        ("price", "1.09870"),
        ("ptime", "1760000000000"),
        ("sl", "1.2e-3"),
        ("tp", "0"),
    ),
)


@pytest.mark.parametrize(
    ("payload", "request_"),
    [
        ("HELLO|v=2", Hello()),
        ("HELLO|v=2|login=|password=|x=y", Hello()),
        (
            "HELLO|client=EA 1.0|name=é|password=a=b|login=tom|v=2",
            Hello("tom", "a=b", "é", "EA 1.0"),
        ),
        ("SUBSCRIBE|channel=main", Subscribe("main")),
        (
            f"SUBSCRIBE|channel=main|symbols=EURUSD,GBPUSD|epoch={EPOCH}|after=0",
            Subscribe("main", frozenset({"EURUSD", "GBPUSD"}), EPOCH, 0),
        ),
        (
            f"SUBSCRIBE|channel=main|epoch={EPOCH}|after=7|h=00AB12cd",
            Subscribe("main", None, EPOCH, 7, "00ab12cd"),
        ),
        ("UNSUBSCRIBE|channel=gold", Unsubscribe("gold")),
        (PUBLISH, Publish("1", "GBPUSD", Decimal("0.25"))),
        (PUBLISH + "|comment=|seq=5|prev=x|ptime=x", Publish("1", "GBPUSD", Decimal("0.25"))),
        (
            "PUBLISH|tp=0|time=1760000000000|sl=1.2e-3|price=1.09870|magic=-7|comment=50%25 %3c%7C>"
            "|type=sell_limit|ticket=123456|channel=gold|volume=-0.250|symbol=GBPUSD|id=a.1-B_2",
            WHOLE,
        ),
        (
            PUBLISH.replace("0.25", "-0") + "|type=buy_stop",
            Publish("1", "GBPUSD", Decimal(0), type="buy_stop"),
        ),
        (PUBLISH + "|take=free", Publish("1", "GBPUSD", Decimal("0.25"), take="free")),
        (PUBLISH + "|take=0", Publish("1", "GBPUSD", Decimal("0.25"), take="0")),
        (
            "SUBSCRIBE|channel=main|symbols=A%2CB,C%25,D%252CE",
            Subscribe("main", frozenset({"A,B", "C%", "D,E"})),
        ),
        ("ACK|channel=main|seq=43", Ack("main", 43)),
        (
            "ACK|channel=main|seq=43|status=failed|price=1.1|volume=0|reason=no money",
            Ack("main", 43, "failed", "1.1", Decimal(0), "no money"),
        ),
        ("PING", Ping()),
        ("PING|t=any thing", Ping("any thing")),
        ("PONG", Pong()),
        ("PONG|t=1", Pong()),
        ("BYE", Bye()),
    ],
)
def test_requests_are_read(payload, request_):
    assert read(payload) == request_


@pytest.mark.parametrize(
    ("payload", "sentence"),
    [
        ("HELLO", "HELLO needs v"),
        ("HELLO|v=3", "v is 2"),
        ("HELLO|v=", "v is 2"),
        ("HELLO|v=2|login=tom", "both login and password"),
        ("HELLO|v=2|password=tom", "both login and password"),
        ("HELLO|v=2|name=" + "x" * 101, "name is a text of at most 100"),
        ("SUBSCRIBE", "SUBSCRIBE needs channel"),
        ("SUBSCRIBE|channel=", "channel is 1 to 32"),
        ("SUBSCRIBE|channel=main|symbols=", "one or more symbols"),
        ("SUBSCRIBE|channel=main|epoch=", "16 hex digits"),
        (f"SUBSCRIBE|channel=main|epoch={EPOCH}|after=-1", "after is a whole number"),
        (f"SUBSCRIBE|channel=main|epoch={EPOCH}|after=1|h=1", "h is 8 hex digits"),
        ("UNSUBSCRIBE|chanel=main", "UNSUBSCRIBE needs channel"),
        ("PUBLISH|symbol=GBPUSD|volume=0.25", "PUBLISH needs id"),
        ("PUBLISH|id=1|volume=0.25", "PUBLISH needs symbol"),
        ("PUBLISH|id=1|symbol=GBPUSD", "PUBLISH needs volume"),
        ("PUBLISH|id=a b|symbol=GBPUSD|volume=1", "id is 1 to 64"),
        ("PUBLISH|id=1|symbol=A%7CB|volume=1", "symbol is 1 to 32 characters.*not: 'A|B'"),
        ("PUBLISH|id=1|symbol=GBPUSD|volume=1e5", "volume is lots such as.*not: '1e5'"),
        (PUBLISH + "|channel=", "channel is"),
        (PUBLISH + "|ticket=", "ticket is"),
        (PUBLISH + "|type=buy", "type is one of position, buy_limit"),
        (PUBLISH + "|type=sell_stop", "volume is negative for sell_stop, not: '0.25'"),
        ("PUBLISH|id=1|symbol=A|volume=-1|type=buy_limit", "volume is positive for buy_limit"),
        (PUBLISH + "|price=", "price is a price"),
        (PUBLISH + "|sl=nan", "sl is a price"),
        (PUBLISH + "|tp=1,5", "tp is a price"),
        (PUBLISH + "|magic=x", "magic is a whole number"),
        (PUBLISH + "|time=1.5", "time is milliseconds"),
        (PUBLISH + "|take=yes", "take is 0, 1 or free"),
        (PUBLISH + "|comment=" + "x" * 101, "comment is a text of at most 100"),
        ("ACK|seq=1", "ACK needs channel"),
        ("ACK|channel=main", "ACK needs seq"),
        ("ACK|channel=main|seq=1|status=done", "status is filled, failed or released"),
        ("ACK|channel=main|seq=1|volume=x", "volume is lots"),
        ("ACK|channel=main|seq=1|price=x", "price is"),
        ("ACK|channel=main|seq=1|reason=" + "x" * 101, "reason is"),
        ("PING|t=" + "x" * 101, "t is a text"),
    ],
)
def test_requests_are_refused_with_what_would_have_been_right(payload, sentence):
    with pytest.raises(WireError, match=sentence) as caught:
        read(payload)
    assert caught.value.code == "field"


@pytest.mark.parametrize("verb", ["SIGNAL", "WELCOME", "X", "GBPUSD"])
def test_verbs_that_no_client_says_are_refused(verb):
    with pytest.raises(WireError, match=f"one of HELLO, PING,.* not: '{verb}'") as caught:
        read(verb)
    assert caught.value.code == "verb"


@pytest.mark.parametrize(
    "payload",
    [
        f"HELLO|password={SECRET}",
        f"HELLO|v={SECRET}",
        f"HELLO|v=2|password={SECRET}",
        f"HELLO|v=2|login={SECRET * 10}",
        f"HELLO|v=2|login=a|password={SECRET * 10}",
        f"HELLO|v=2|login=a|password={SECRET}\ufffd",
        f"HELLO|v=2|login=a|password={SECRET}|name={SECRET * 10}",
    ],
)
def test_errors_about_hello_quote_none_of_it(payload):
    with pytest.raises(WireError) as caught:
        read(payload)
    error = caught.value
    shown = [str(error), repr(error), repr(error.offending), *traceback.format_exception(error)]
    assert not any(SECRET in text for text in shown)


def test_a_password_is_not_shown():
    said = read(f"HELLO|v=2|login=tom|password={SECRET}|name=desk")
    assert said.password == SECRET
    assert repr(said) == str(said) == f"{said}" == "Hello(login='tom', name='desk', client='')"


@pytest.mark.parametrize(
    ("frame", "request_"),
    [
        (hello(), Hello()),
        (hello("tom", "a|b=%>>é", "desk", "mtnet 1"), Hello("tom", "a|b=%>>é", "desk", "mtnet 1")),
        (subscribe(), Subscribe("main")),
        (
            subscribe("gold", ["GBPUSD", "EUR%"], EPOCH, 7, "00ab12cd"),
            Subscribe("gold", frozenset({"GBPUSD", "EUR%"}), EPOCH, 7, "00ab12cd"),
        ),
        (subscribe(symbols=["A,B", "é%,"]), Subscribe("main", frozenset({"A,B", "é%,"}))),
        (unsubscribe("gold"), Unsubscribe("gold")),
        (publish(WHOLE), WHOLE),
        (publish(Publish("1", "A", LOT, take="1")), Publish("1", "A", LOT, take="1")),
        (publish(Publish("1", "A", Decimal("1E+2"))), Publish("1", "A", Decimal(100))),
        (ack(Ack("main", 1)), Ack("main", 1)),
        (
            ack(Ack("main", 1, "filled", "1.10", Decimal("-0.5"), "<<>>")),
            Ack("main", 1, "filled", "1.10", Decimal("-0.5"), "<<>>"),
        ),
        (ping(), Ping()),
        (ping("1"), Ping("1")),
        (pong(), Pong()),
        (bye(), Bye()),
    ],
)
def test_what_a_client_builds_the_server_reads(frame, request_):
    assert heard(frame) == request_


@pytest.mark.parametrize(
    "build",
    [
        lambda: hello("tom"),
        lambda: subscribe(symbols=[]),
        lambda: subscribe(symbols=[f"EURUSD{each}" for each in range(200)]),
        lambda: subscribe("a b"),
        lambda: publish(Publish("", "A", Decimal(1))),
        lambda: publish(Publish("1", "A|B", Decimal(1))),
        lambda: publish(Publish("1", "A", Decimal("NaN"))),
        lambda: publish(Publish("1", "A", Decimal("Infinity"))),
        lambda: publish(Publish("1", "A", Decimal("1E-7"))),
        lambda: publish(Publish("1", "A", Decimal(-1), type="buy_stop")),
        lambda: publish(Publish("1", "A", Decimal(1), fields=(("id", "2"),))),
        lambda: publish(Publish("1", "A", Decimal(1), fields=(("comment", "\ud800"),))),
        lambda: publish(Publish("1", "A", Decimal(1), fields=(("price", "nan"),))),
        lambda: ack(Ack("main", -1)),
    ],
)
def test_a_client_is_told_before_it_sends(build):
    with pytest.raises(WireError) as caught:
        build()
    assert caught.value.code == "field"


def test_a_position_with_every_field_at_its_longest_fits():
    longest = Publish(
        "x" * 64,
        "\U0001f4b0" * 32,
        Decimal("-99999999.99999"),
        "x" * 32,
        "x" * 32,
        "sell_stop_limit",
        (
            ("comment", "\U0001f4b0" * 100),
            ("magic", "-9223372036854775808"),
            ("price", "-999999999999.99999999e-99"),
            ("ptime", "9223372036854775807"),
            ("sl", "-999999999999.99999999e-99"),
            ("tp", "-999999999999.99999999e-99"),
        ),
    )
    frame = publish(longest)
    assert heard(frame) == longest
    assert len(frame) <= MAX_PAYLOAD + len(b"<<>>\r\n")


NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,32}", fullmatch=True)
SYMBOLS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=32).filter(
    is_symbol
)
PRICES = st.decimals(-999_999, 999_999, places=5).map("{:f}".format)
VALUES = {
    "comment": st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=100),
    "magic": st.integers(-(2**63), 2**64 - 1).map(str),
    "price": PRICES,
    "ptime": st.integers(0, 2**63 - 1).map(str),
    "sl": PRICES,
    "tp": PRICES,
}
FIELDS = st.fixed_dictionaries({}, optional=VALUES).map(lambda said: tuple(sorted(said.items())))
POSITIONS = st.builds(
    Publish,
    id=st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    symbol=SYMBOLS,
    volume=st.decimals(-99_999_999, 99_999_999, places=5),
    channel=NAMES,
    ticket=st.just("") | NAMES,
    fields=FIELDS,
)


@given(POSITIONS)
def test_any_position_reads_back_as_it_was(position):
    assert heard(publish(position)) == position


def test_the_optional_fields_are_sorted():
    assert list(OPTIONAL) == sorted(OPTIONAL) == sorted(VALUES)


KEYS = (
    *("v", "login", "password", "name", "client", "channel", "symbols", "epoch", "after", "id"),
    *("symbol", "volume", "ticket", "type", "time", "seq", "status", "reason", "t"),
    *OPTIONAL,
)


@given(
    st.sampled_from(sorted(REQUESTS)),
    st.dictionaries(
        st.sampled_from(KEYS),
        st.sampled_from(["", "2", "main", "0.25", "-1", "buy_limit", "filled", EPOCH, "\ufffd"])
        | st.text(max_size=5),
    ),
)
def test_any_fields_are_read_or_refused(verb, said):
    with suppress(WireError):
        read_request(Message(verb, said))
