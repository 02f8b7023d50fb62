"""What the server says in dialect 2."""

from contextlib import suppress
from decimal import Decimal

import pytest
from fakes import entries
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import WireError
from mtnet.services.signals.values import OPTIONAL
from mtnet.services.signals.wire import answers
from mtnet.services.signals.wire.answers import (
    ANSWERS,
    Channels,
    Flattened,
    Heartbeat,
    Notice,
    Paused,
    ProviderStatus,
    Resumed,
    Signal,
    Snapshot,
    SnapshotPosition,
    Stored,
    Synced,
    Unsubscribed,
    Welcome,
    read_answer,
)
from mtnet.session import messages
from mtnet.session.grammar import MAX_FRAME, FrameDecoder, Message, parse
from mtnet.session.messages import CODES, Error, Pong

EPOCH = "0123456789abcdef"
LOTS = Decimal("0.25")
FIELDS = (("comment", "<|>%"), ("price", "1.09870"), ("ptime", "5"))


def heard(frame):
    """Read a frame as a client does."""
    assert len(frame) <= MAX_FRAME
    assert b"\0" not in frame
    (payload,) = FrameDecoder(MAX_FRAME, MAX_FRAME).feed(frame)
    return read_answer(parse(payload))


@pytest.mark.parametrize(
    ("frame", "shown", "answer"),
    [
        (
            messages.welcome(5.0, 1, epoch=EPOCH),
            f"WELCOME|v=2|epoch={EPOCH}|heartbeat=5|time=1",
            Welcome(5.0, 1, epoch=EPOCH),
        ),
        (
            messages.welcome(5.0, 1, ["signals", "ticks"], epoch=EPOCH),
            f"WELCOME|v=2|epoch={EPOCH}|heartbeat=5|time=1|services=signals,ticks",
            Welcome(5.0, 1, ("signals", "ticks"), epoch=EPOCH),
        ),
        (
            messages.welcome(5.0, 1, [], epoch=EPOCH),
            f"WELCOME|v=2|epoch={EPOCH}|heartbeat=5|time=1|services=",
            Welcome(5.0, 1, (), epoch=EPOCH),
        ),
        (
            messages.welcome(0.25, 1, epoch=EPOCH),
            f"WELCOME|v=2|epoch={EPOCH}|heartbeat=0.25|time=1",
            Welcome(0.25, 1, epoch=EPOCH),
        ),
        (
            messages.welcome(31_536_000.0, 1, epoch=EPOCH),
            f"WELCOME|v=2|epoch={EPOCH}|heartbeat=31536000|time=1",
            Welcome(31_536_000.0, 1, epoch=EPOCH),
        ),
        (
            entries.signal("main", 43, "GBPUSD", LOTS, 9),
            "SIGNAL|channel=main|seq=43|symbol=GBPUSD|volume=0.25|time=9",
            Signal("main", 43, "GBPUSD", LOTS, 9),
        ),
        (
            entries.signal("main", 43, "A%", Decimal("-0.0"), 9, "7", "buy_stop", FIELDS, prev=0),
            "SIGNAL|channel=main|seq=43|symbol=A%25|volume=0|time=9|ticket=7|type=buy_stop"
            "|comment=%3C%7C%3E%25|price=1.09870|ptime=5|prev=0",
            Signal("main", 43, "A%", Decimal(0), 9, "7", "buy_stop", FIELDS, 0),
        ),
        (
            entries.signal("main", 43, "GBPUSD", LOTS, 9, opened=7, popened=8, prev=42),
            "SIGNAL|channel=main|seq=43|symbol=GBPUSD|volume=0.25|time=9|opened=7|popened=8"
            "|prev=42",
            Signal("main", 43, "GBPUSD", LOTS, 9, prev=42, opened=7, popened=8),
        ),
        (
            entries.position("main", 43, "GBPUSD", LOTS, 9, opened=7),
            "POSITION|channel=main|seq=43|symbol=GBPUSD|volume=0.25|time=9|opened=7",
            SnapshotPosition("main", 43, "GBPUSD", LOTS, 9, opened=7),
        ),
        (
            entries.position("main", 43, "GBPUSD", LOTS, 9, "7", "buy_stop", FIELDS),
            "POSITION|channel=main|seq=43|symbol=GBPUSD|volume=0.25|time=9|ticket=7|type=buy_stop"
            "|comment=%3C%7C%3E%25|price=1.09870|ptime=5",
            SnapshotPosition("main", 43, "GBPUSD", LOTS, 9, "7", "buy_stop", FIELDS),
        ),
        (
            answers.snapshot("main", EPOCH, 7, 2),
            f"SNAPSHOT|channel=main|epoch={EPOCH}|seq=7|count=2",
            Snapshot("main", EPOCH, 7, 2),
        ),
        (
            entries.signal("main", 43, "GBPUSD", LOTS, 9, h="00ab12cd"),
            "SIGNAL|channel=main|seq=43|symbol=GBPUSD|volume=0.25|time=9|h=00ab12cd",
            Signal("main", 43, "GBPUSD", LOTS, 9, h="00ab12cd"),
        ),
        (
            answers.snapshot("main", EPOCH, 7, 2, diverged=True),
            f"SNAPSHOT|channel=main|epoch={EPOCH}|seq=7|count=2|diverged=1",
            Snapshot("main", EPOCH, 7, 2, diverged=True),
        ),
        (
            answers.synced("main", EPOCH, 7, "00ab12cd"),
            f"SYNCED|channel=main|epoch={EPOCH}|seq=7|h=00ab12cd",
            Synced("main", EPOCH, 7, "00ab12cd"),
        ),
        (
            answers.synced("main", EPOCH, 0),
            f"SYNCED|channel=main|epoch={EPOCH}|seq=0",
            Synced("main", EPOCH, 0),
        ),
        (answers.stored("a-1", 7), "STORED|id=a-1|seq=7", Stored("a-1", 7)),
        (
            answers.status("main", True, 9),
            "STATUS|channel=main|publisher=up|since=9",
            ProviderStatus("main", "up", 9),
        ),
        (
            answers.status("main", False, 9),
            "STATUS|channel=main|publisher=down|since=9",
            ProviderStatus("main", "down", 9),
        ),
        (messages.heartbeat(9), "PING|time=9", Heartbeat(9)),
        (
            messages.heartbeat(9, seqs=answers.join_seqs({"main": 43, "gold": 7})),
            "PING|time=9|seqs=main:43,gold:7",
            Heartbeat(9, {"main": 43, "gold": 7}),
        ),
        (messages.pong(9), "PONG|time=9", Pong(9)),
        (messages.pong(9, "<"), "PONG|t=%3C|time=9", Pong(9, "<")),
        (messages.error("slow", "Too slow"), "ERROR|code=slow|text=Too slow", None),
        (
            messages.error("id", "Other fields", "a-1", "main"),
            "ERROR|code=id|text=Other fields|id=a-1|channel=main",
            Error("id", "Other fields", "a-1", "main"),
        ),
        (
            messages.error("denied", "So", "a-1", "main", closed=True),
            "ERROR|code=denied|text=So|id=a-1|channel=main|closed=1",
            Error("denied", "So", "a-1", "main", closed=True),
        ),
        (
            answers.paused("main", "close_only"),
            "PAUSED|channel=main|mode=close_only",
            Paused("main", "close_only"),
        ),
        (
            answers.paused("main", "frozen"),
            "PAUSED|channel=main|mode=frozen",
            Paused("main", "frozen"),
        ),
        (answers.flattened("main"), "FLATTENED|channel=main", Flattened("main")),
        (answers.resumed("main"), "RESUMED|channel=main", Resumed("main")),
        (
            answers.channels(["main", "gold"]),
            "CHANNELS|channels=gold,main",
            Channels(("gold", "main")),
        ),
        (
            answers.notice("Closed at 21:00"),
            "NOTICE|text=Closed at 21:00",
            Notice("Closed at 21:00"),
        ),
        (answers.unsubscribed("main"), "UNSUBSCRIBED|channel=main", Unsubscribed("main")),
    ],
)
def test_answers_are_written_and_read(frame, shown, answer):
    assert frame == f"<<{shown}>>\r\n".encode()
    assert answer is None or heard(frame) == answer


def test_a_signal_is_built_once_for_all_filters():
    frame = entries.signal("main", 43, "GBPUSD", LOTS, 9)
    assert answers.with_prev(frame, 41) == entries.signal(
        "main", 43, "GBPUSD", LOTS, 9, fields=(), prev=41
    )


LONGEST = (
    "x" * 32,
    2**63 - 1,
    "%" * 32,
    Decimal("-99999999.99999"),
    2**63 - 1,
    "x" * 32,
    "sell_stop_limit",
    (
        ("comment", "\0" * 100),
        ("magic", "-9223372036854775808"),
        ("price", "-999999999999.99999999e-99"),
        ("ptime", "9223372036854775807"),
        ("sl", "-999999999999.99999999e-99"),
        ("tp", "-999999999999.99999999e-99"),
    ),
)


@pytest.mark.parametrize("text", ["%", "\U0001f4b0"])
def test_the_longest_signal_fits(text):
    channel, seq, _, volume, time, ticket, kind, said = LONGEST
    said = (("comment", text * 100), *said[1:])
    frame = entries.signal(
        channel, seq, text * 32, volume, time, ticket, kind, said, time, time, h="0" * 8
    )
    assert heard(answers.with_prev(frame, 2**63 - 1)).fields == said


def test_as_many_channels_are_named_as_there_are():
    names = {f"{each:032}" for each in range(250)}
    got = FrameDecoder(MAX_FRAME, MAX_FRAME).feed(answers.channels(names))
    assert {name for each in got for name in read_answer(parse(each)).channels} == names


def test_the_longest_error_fits_and_is_cut():
    assert len(heard(messages.error("field", "\U0001f4b0" * 9_999, "x" * 64, "x" * 32)).text) == 500


def test_a_heartbeat_leaves_out_the_channels_that_do_not_fit():
    seqs = {f"{each:032}": 2**63 - 1 for each in range(100)}
    frame = messages.heartbeat(2**63 - 1, seqs=answers.join_seqs(seqs))
    assert len(frame) <= 1_000
    got = heard(frame).seqs
    assert len(got) >= 17
    assert got.items() <= seqs.items()


@pytest.mark.parametrize(
    ("why", "said", "answer"),
    [
        (WireError("verb", "No such verb"), None, Error("verb", "No such verb")),
        (
            WireError("field", "So", b"x|y"),
            {"id": "a-1", "channel": "gold"},
            Error("field", "So: 'x|y'", "a-1", "gold"),
        ),
        (WireError("volume", "So"), {"id": "a b", "channel": "é"}, Error("field", "So")),
        (WireError("fenced", "So"), {"channel": "main"}, Error("fenced", "So", "", "main")),
    ],
)
def test_a_refusal_names_what_it_answers(why, said, answer):
    message = None if said is None else Message("PUBLISH", said)
    assert heard(messages.error_for(why, message)) == answer


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_reads_back(code):
    assert heard(messages.error(code, "So")).code == code


@pytest.mark.parametrize(
    ("payload", "code", "sentence"),
    [
        (b"HELLO|v=2", "verb", "one of WELCOME, PING, .* not: 'HELLO'"),
        (b"WELCOME|v=3|epoch=0123456789abcdef|heartbeat=5|time=1", "field", "v is 2, not: '3'"),
        (b"WELCOME|v=2|heartbeat=5|time=1", "field", "WELCOME needs epoch"),
        (b"WELCOME|v=2|epoch=0123456789abcdef|heartbeat=x|time=1", "field", "heartbeat is seconds"),
        (
            b"WELCOME|v=2|epoch=0123456789abcdef|heartbeat=5|time=1|services=A",
            "field",
            "services is names of services",
        ),
        (b"SIGNAL|channel=main|seq=1|symbol=A|volume=1", "field", "SIGNAL needs time"),
        (b"SIGNAL|channel=main|seq=1|symbol=A|volume=1|time=1|prev=x", "field", "prev is"),
        (b"POSITION|channel=main|seq=1|symbol=A|time=1", "field", "POSITION needs volume"),
        (b"SNAPSHOT|channel=main|epoch=0123456789abcdef|seq=1", "field", "SNAPSHOT needs count"),
        (b"SYNCED|channel=main|seq=1", "field", "SYNCED needs epoch"),
        (b"STORED|seq=1", "field", "STORED needs id"),
        (b"STATUS|channel=main|publisher=yes|since=1", "field", "publisher is up or down"),
        (b"PING|seqs=main:1", "field", "PING needs time"),
        (b"PING|time=1|seqs=main", "field", "seqs is channels and numbers"),
        (b"PONG|t=1", "field", "PONG needs time"),
        (b"ERROR|text=So", "field", "ERROR needs code"),
        (b"PAUSED|channel=main|mode=on", "field", "mode is close_only or frozen"),
        (b"CHANNELS|channels=a b", "field", "one or more channels"),
        (b"UNSUBSCRIBED", "field", "UNSUBSCRIBED needs channel"),
    ],
)
def test_answers_are_refused_with_what_would_have_been_right(payload, code, sentence):
    with pytest.raises(WireError, match=sentence) as caught:
        read_answer(parse(payload))
    assert caught.value.code == code


def test_a_client_reads_on_when_a_newer_server_says_more():
    payload = b"STORED|id=1|seq=2|colour=red"
    assert read_answer(parse(payload)) == Stored("1", 2)


KEYS = (
    *("v", "epoch", "heartbeat", "time", "channel", "seq", "symbol", "volume", "ticket", "type"),
    *("prev", "count", "id", "publisher", "since", "seqs", "t", "code", "text"),
    *OPTIONAL,
)


@given(
    st.sampled_from(sorted(ANSWERS)),
    st.dictionaries(
        st.sampled_from(KEYS),
        st.sampled_from(["", "2", "main", "0.25", "-1", "buy_limit", "up", EPOCH, "main:1"])
        | st.text(max_size=5),
    ),
)
def test_any_fields_are_read_or_refused(verb, said):
    with suppress(WireError):
        read_answer(Message(verb, said))
