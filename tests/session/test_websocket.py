"""
WebSocket below a protocol that echoes: the cases of the Autobahn suite, rewritten small.

Their numbers stand in the sections: framing (1), pings (2), reserved bits (3), opcodes (4),
fragments (5), UTF-8 (6), closing (7), limits (9 and 10), compression (12 and 13).
"""

import zlib

import pytest
from fakes import websocket_bytes as websockets
from fakes.websocket_bytes import (
    ACCEPT,
    BINARY,
    CLOSE,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    TEXT,
    Frame,
    close,
    deflated,
    frame,
    frames,
)
from hypothesis import given
from hypothesis import strategies as st
from twisted.web.http_headers import Headers
from wsproto.frame_protocol import Opcode

from mtnet.errors import HttpError
from mtnet.session.websocket import (
    DEFLATE_FROM,
    MessageReader,
    accept,
    close_frame,
    deflated_frame,
    text_frame,
)
from mtnet.session.websocket import frame as server_frame

LIMIT = 100_000


class Echo:
    """Sends back what comes; `said` is what it sent."""

    def __init__(self, limit=LIMIT, deflate=False):
        self.reader = MessageReader(self, limit, deflate)
        self._text = deflated_frame if deflate else text_frame
        self.said, self.pongs, self.ends, self.count = b"", 0, [], 0

    def text(self, data):
        self.said += self._text(data)

    def binary(self, data):
        self.said += server_frame(Opcode.BINARY, data)

    def ping(self, payload):
        self.said += server_frame(Opcode.PONG, payload)

    def pong(self):
        self.pongs += 1

    def ended(self, code, broken):
        self.said += close_frame(code)
        self.ends.append((code, broken))


def echo(*sent, size=None, **more):
    """Return the frames that answer some bytes, sent in pieces of a size."""
    echo, data = Echo(**more), b"".join(sent)
    size = size or max(1, len(data))
    for at in range(0, len(data), size):
        echo.count += echo.reader.feed(data[at : at + size])
    return frames(echo.said)


def closed(code):
    return Frame(CLOSE, b"" if code is None else code.to_bytes(2, "big"))


BROKEN, MALFORMED, TOO_BIG = closed(1002), closed(1007), closed(1009)
SIZES = pytest.mark.parametrize("size", [None, 1, 7])

# 1: framing


@pytest.mark.parametrize("count", [0, 1, 125, 126, 127, 128, 65_535, 65_536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [None, 997])
def test_a_message_of_any_length_comes_back(count, opcode, size):
    payload = b"*" * count
    assert echo(frame(payload, opcode), size=size) == [Frame(opcode, payload)]


@pytest.mark.parametrize("count", [0, 125, 126, 300])
def test_frames_are_read_byte_by_byte(count):
    assert echo(frame(b"x" * count), size=1) == [Frame(TEXT, b"x" * count)]


@pytest.mark.parametrize(
    "size", [b"\x7e\x00\x01", b"\x7e\x00\x7d", b"\x7f" + bytes(7) + b"\x01", b"\x7f\x80" + bytes(7)]
)
def test_a_length_that_is_not_the_shortest_breaks_the_protocol(size):
    assert echo(frame(b"x", size=size)) == [BROKEN]


def test_a_frame_that_is_not_masked_breaks_the_protocol():
    assert echo(frame(b"x", masked=False)) == [BROKEN]


# 2: pings


@pytest.mark.parametrize(
    "payload", [b"", b"Hello", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", b"x" * 125]
)
@SIZES
def test_a_ping_is_answered_with_its_payload(payload, size):
    assert echo(frame(payload, PING), size=size) == [Frame(PONG, payload)]


@SIZES
def test_a_ping_of_126_bytes_breaks_the_protocol(size):
    assert echo(frame(b"x" * 126, PING), size=size) == [BROKEN]


def test_a_pong_is_not_answered_and_counts_as_a_sign_of_life():
    waiting = Echo()
    waiting.reader.feed(frame(b"", PONG) + frame(b"unasked", PONG) + frame(b"x", PING))
    assert (frames(waiting.said), waiting.pongs) == ([Frame(PONG, b"x")], 2)


@SIZES
def test_each_of_ten_pings_is_answered_in_order(size):
    payloads = [f"payload-{number}".encode() for number in range(10)]
    sent = [frame(each, PING) for each in payloads]
    assert echo(*sent, size=size) == [Frame(PONG, each) for each in payloads]


# 3: reserved bits


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
@pytest.mark.parametrize("size", [None, 1])
def test_a_reserved_bit_breaks_the_protocol_behind_what_was_whole(rsv, opcode, size):
    sent = frame(b"first"), frame(b"", opcode, rsv=rsv), frame(b"", PING)
    assert echo(*sent, size=size) == [Frame(TEXT, b"first"), BROKEN]


# 4: opcodes


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_a_reserved_opcode_breaks_the_protocol(opcode, payload):
    sent = frame(b"first"), frame(payload, opcode), frame(b"", PING)
    assert echo(*sent) == [Frame(TEXT, b"first"), BROKEN]


# 5: fragments


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_in_fragments_breaks_the_protocol(opcode):
    assert echo(frame(b"a", opcode, fin=False), frame(b"b", CONTINUATION)) == [BROKEN]


@SIZES
def test_fragments_are_one_message(size):
    sent = [frame(b"a", fin=False), frame(b"", CONTINUATION, fin=False), frame(b"b", CONTINUATION)]
    assert echo(*sent, size=size) == [Frame(TEXT, b"ab")]


@SIZES
def test_pings_between_fragments_are_answered_first(size):
    sent = [
        frame(b"a", fin=False),
        frame(b"1", PING),
        frame(b"b", CONTINUATION, fin=False),
        frame(b"2", PING),
        frame(b"c", CONTINUATION),
    ]
    expected = [Frame(PONG, b"1"), Frame(PONG, b"2"), Frame(TEXT, b"abc")]
    assert echo(*sent, size=size) == expected


@pytest.mark.parametrize("fin", [True, False])
def test_a_continuation_of_nothing_breaks_the_protocol(fin):
    assert echo(frame(b"x", CONTINUATION, fin=fin), frame(b"y")) == [BROKEN]
    sent = frame(b"a", fin=False), frame(b"b", CONTINUATION), frame(b"x", CONTINUATION, fin=fin)
    assert echo(*sent) == [Frame(TEXT, b"ab"), BROKEN]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_new_message_within_another_breaks_the_protocol(opcode):
    assert echo(frame(b"a", fin=False), frame(b"b", opcode)) == [BROKEN]


# 6: UTF-8

GREEK = "κόσμε Hello-µ@ßöäüàá-UTF-8!! 𠀀".encode()
EDGES = [
    *(b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80", b"\x7f", b"\xdf\xbf"),
    *(b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf", b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd"),
    *(b"\xef\xbf\xbe", b"\xf0\x9f\xbf\xbe"),
]
INVALID = [
    *(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", b"\xf4\x90\x80\x80"),
    *(b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xf7\xbf\xbf\xbf", b"\x80", b"\xbf"),
    *(b"\x80\xbf\x80", b"\xc0 ", b"\xe0 ", b"\xf0 ", b"\xf8 ", b"\xfe", b"\xff", b"\xfe\xfe\xff"),
    *(b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf", b"\xe0\x9f\xbf"),
    *(b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\x80\xed\xb0\x80"),
]


@pytest.mark.parametrize("text", [GREEK, *EDGES, b""])
def test_valid_utf_8_comes_back_however_it_is_cut(text):
    assert echo(frame(text), size=1) == [Frame(TEXT, text)]
    single = [frame(text[at : at + 1], CONTINUATION, fin=False) for at in range(1, len(text))]
    sent = [frame(text[:1], fin=False), *single, frame(b"", CONTINUATION)]
    assert echo(*sent) == [Frame(TEXT, text)]


@pytest.mark.parametrize("at", range(len(GREEK) + 1))
def test_a_message_may_be_cut_within_a_character(at):
    assert echo(frame(GREEK[:at], fin=False), frame(GREEK[at:], CONTINUATION)) == [
        Frame(TEXT, GREEK)
    ]


@pytest.mark.parametrize("text", INVALID)
@pytest.mark.parametrize("size", [None, 1])
def test_invalid_utf_8_ends_the_connection(text, size):
    assert echo(frame(b"ok"), frame(text), size=size) == [Frame(TEXT, b"ok"), MALFORMED]
    assert echo(frame(text, BINARY), size=size) == [Frame(BINARY, text)]


def test_a_text_that_ends_within_a_character_is_invalid():
    assert echo(frame(GREEK[:-1])) == [MALFORMED]
    assert echo(frame(GREEK[:-1], fin=False), frame(b"", CONTINUATION)) == [MALFORMED]


def test_invalid_utf_8_is_found_before_the_message_ends():
    waiting = Echo()
    waiting.reader.feed(frame(b"\xf4", fin=False))
    assert waiting.ends == []
    waiting.reader.feed(frame(b"\x90" + b"x" * 1_000, CONTINUATION, fin=False)[:9])
    assert waiting.ends == [(1007, True)]


# 7: closing


@pytest.mark.parametrize(
    "behind", [close(1000), frame(b"", PING), frame(b"late"), frame(b"x", CONTINUATION), b"\xff"]
)
def test_behind_a_close_nothing_counts(behind):
    sent = frame(b"first"), frame(b"cut", fin=False), close(1000), behind
    assert echo(*sent[:1], *sent[2:]) == [Frame(TEXT, b"first"), closed(1000)]
    assert echo(*sent) == [Frame(TEXT, b"first"), closed(1000)]


def test_a_close_without_a_code_is_answered_without_one():
    assert echo(close()) == [closed(None)]


@pytest.mark.parametrize("reason", [b"", b"Hello World!", "€".encode() * 41])
@SIZES
def test_a_close_with_a_reason_is_answered_with_its_code(reason, size):
    assert echo(close(1000, reason), size=size) == [closed(1000)]


def test_a_close_that_is_malformed_breaks_the_protocol():
    assert echo(frame(b"\x03", CLOSE)) == [BROKEN]
    assert echo(close(1000, b"x" * 124)) == [BROKEN]
    assert echo(close(1000, b"\xce\xba\xed\xa0\x80")) == [MALFORMED]


@pytest.mark.parametrize(
    "code",
    [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999],
)
def test_a_valid_code_is_answered(code):
    assert echo(close(code)) == [closed(code)]


@pytest.mark.parametrize(
    "code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535]
)
def test_an_invalid_code_breaks_the_protocol(code):
    assert echo(close(code)) == [BROKEN]


def test_a_client_that_closes_has_broken_nothing():
    for sent, end in ((close(1002), (1002, False)), (frame(b"", 3), (1002, True))):
        waiting = Echo()
        waiting.reader.feed(sent)
        assert waiting.ends == [end]


def test_behind_our_own_close_nothing_is_read():
    waiting = Echo()
    waiting.reader.end()
    assert waiting.reader.feed(frame(b"x") + close(1000)) == 0
    assert waiting.said == b""


def test_the_reason_of_our_close_is_cut_between_characters():
    (shown,) = frames(close_frame(1008, "€" * 50))
    assert (shown.code, shown.payload[2:].decode()) == (1008, "€" * 41)


# 9 and 10: limits


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_at_the_limit_is_taken_and_a_longer_one_is_too_big(opcode):
    assert echo(frame(b"x" * 500, opcode), limit=500) == [Frame(opcode, b"x" * 500)]
    assert echo(frame(b"x" * 501, opcode), limit=500) == [TOO_BIG]


def test_the_limit_counts_bytes_and_not_characters():
    assert echo(frame("é".encode() * 251), limit=500) == [TOO_BIG]


def test_the_limit_counts_over_fragments():
    parts = [frame(b"x" * 100, fin=False), *[frame(b"x" * 100, CONTINUATION, fin=False)] * 5]
    assert echo(*parts, limit=500) == [TOO_BIG]
    assert echo(*parts[:4], frame(b"x" * 100, CONTINUATION), limit=500)[0].payload == b"x" * 500


def test_of_a_message_that_is_too_big_no_more_is_kept_than_the_limit():
    waiting = Echo(limit=500)
    waiting.reader.feed(frame(b"", BINARY, size=b"\x7f\x00\x00\x00\x7f\xff\xff\xff\xff"))
    for _ in range(10):
        waiting.reader.feed(b"x" * 100)
    assert waiting.ends == [(1009, True)]


@pytest.mark.parametrize("size", [None, 1_300])
def test_a_message_in_many_fragments_comes_back_whole(size):
    text = b"*" * 65_536
    parts = [text[at : at + 1_300] for at in range(0, len(text), 1_300)]
    opcodes = [TEXT] + [CONTINUATION] * len(parts)
    sent = [frame(part, op, fin=False) for part, op in zip(parts, opcodes, strict=False)]
    assert echo(*sent, frame(b"", CONTINUATION), size=size) == [Frame(TEXT, text)]


def test_every_frame_and_part_of_one_is_counted():
    waiting = Echo()
    flood = frame(b"", PING) * 5 + frame(b"", fin=False) + frame(b"", CONTINUATION, fin=False) * 7
    assert waiting.reader.feed(flood) == 13


# 12 and 13: compression

JSON = b'{"verb":"SIGNAL","channel":"main","symbol":"GBPUSD","volume":"0.25"}' * 20


@pytest.mark.parametrize("count", [0, 16, 64, 256, 1_024, 4_096, 8_192, 65_536])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("wbits", [-9, -12, -15])
def test_compressed_messages_of_any_length_come_back(count, opcode, wbits):
    payload = (JSON * 50)[:count]
    sent = [frame(deflated(payload, wbits), opcode, rsv=4)] * 3
    assert (
        echo(*sent, deflate=True)
        == [Frame(opcode, payload, opcode == TEXT and count >= DEFLATE_FROM)] * 3
    )


@given(st.lists(st.sampled_from([JSON, JSON[:700], b"x" * 70_000, b"short"]), max_size=9))
def test_each_compressed_message_is_read_without_those_before_it(texts):
    made = [deflated_frame(text) for text in texts]
    assert [frames(each)[0].payload for each in reversed(made)] == texts[::-1]
    assert [len(each) for each in made] == [len(deflated_frame(text)) for text in texts]


@pytest.mark.parametrize("cut", [1, 5, 20])
@pytest.mark.parametrize("size", [None, 1, 7])
def test_a_compressed_message_may_be_in_fragments_with_pings_between(cut, size):
    data = deflated(JSON)
    sent = [
        frame(data[:cut], fin=False, rsv=4),
        frame(b"x", PING),
        frame(b"", CONTINUATION, fin=False),
        frame(data[cut:], CONTINUATION),
    ]
    assert echo(*sent, size=size, deflate=True) == [Frame(PONG, b"x"), Frame(TEXT, JSON, True)]


def test_messages_may_be_compressed_or_not():
    sent = frame(b"plain"), frame(deflated(b"small"), rsv=4), frame(b"plain", BINARY)
    expected = [Frame(TEXT, b"plain"), Frame(TEXT, b"small"), Frame(BINARY, b"plain")]
    assert echo(*sent, deflate=True) == expected


def test_a_last_block_may_end_a_compressed_message():
    assert echo(frame(deflated(b"Hello", end=zlib.Z_FINISH) + b"\0", rsv=4), deflate=True) == [
        Frame(TEXT, b"Hello")
    ]
    two = deflated(b"Hello", end=zlib.Z_FINISH) + deflated(b"World")
    assert echo(frame(two, rsv=4), deflate=True) == [MALFORMED]


@pytest.mark.parametrize("rsv", [1, 2, 3, 5, 6, 7])
def test_other_reserved_bits_break_the_protocol_with_compression_too(rsv):
    assert echo(frame(deflated(b"x"), rsv=rsv), deflate=True) == [BROKEN]


def test_a_compressed_control_frame_or_continuation_breaks_the_protocol():
    assert echo(frame(deflated(b"x"), PING, rsv=4), deflate=True) == [BROKEN]
    sent = frame(b"a", fin=False), frame(deflated(b"x"), CONTINUATION, rsv=4)
    assert echo(*sent, deflate=True) == [BROKEN]


@pytest.mark.parametrize("data", [b"\xff\xff", b"\x07", b"x" * 50])
def test_what_cannot_be_inflated_ends_the_connection(data):
    assert echo(frame(data, rsv=4), deflate=True) == [MALFORMED]


def test_invalid_utf_8_is_found_behind_the_compression():
    assert echo(frame(deflated(b"\xed\xa0\x80"), rsv=4), deflate=True) == [MALFORMED]


@pytest.mark.parametrize("size", [None, 100])
def test_a_zip_bomb_is_too_big_before_it_is_inflated(size):
    bomb = deflated(b"\0" * 50_000_000)
    assert len(bomb) < 50_000
    assert echo(frame(bomb, BINARY, rsv=4), size=size, deflate=True) == [TOO_BIG]


def test_the_limit_counts_what_is_inflated():
    sent = frame(deflated(b"x" * 500), rsv=4), frame(deflated(b"x" * 501), rsv=4)
    answer = echo(*sent, limit=500, deflate=True)
    assert answer == [Frame(TEXT, b"x" * 500, True), TOO_BIG]


def test_a_compressed_message_that_inflates_to_nothing_has_an_end():
    empty = b"\x00\x00\x00\xff\xff" * 100
    parts = [frame(empty, BINARY, fin=False, rsv=4), *[frame(empty, CONTINUATION, fin=False)] * 9]
    assert echo(*parts, limit=1_000, deflate=True) == [TOO_BIG]


def test_a_compressed_frame_is_no_secret_of_its_connection():
    """It is inflated alone, so that one can be sent to many."""
    assert frames(deflated_frame(JSON)) == [Frame(TEXT, JSON, True)]
    assert len(deflated_frame(JSON)) < len(JSON) / 5
    assert frames(deflated_frame(b"x")) == [Frame(TEXT, b"x", False)]


# The handshake


def headers(**more):
    """Return the headers of a handshake; None leaves one out, a list doubles one."""
    lines = websockets.request(**{key: value for key, value in more.items() if value != []})
    found = Headers()
    for line in lines.decode("latin-1").split("\r\n")[1:-2]:
        name, _, value = line.partition(": ")
        found.addRawHeader(name, value)
    return found


def extensions(offer, browser=True):
    answer = accept(headers(Sec_WebSocket_Extensions=offer), (), browser)
    shown = websockets.Answer(answer.answer).headers.get("sec-websocket-extensions")
    assert answer.deflate is (shown is not None)
    return shown


def test_a_handshake_is_answered():
    answer = accept(headers(), (), False)
    shown = websockets.Answer(answer.answer)
    assert answer[1:] == ("", False)
    assert (shown.status, shown.rest) == (101, b"")
    assert shown.headers == {
        "upgrade": "websocket",
        "connection": "Upgrade",
        "sec-websocket-accept": ACCEPT,
    }


def test_the_key_of_the_standard_has_the_answer_of_the_standard():
    answer = accept(headers(key="dGhlIHNhbXBsZSBub25jZQ=="), (), False).answer
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer


@pytest.mark.parametrize(
    "more",
    [
        {"Upgrade": "WebSocket"},
        {"Upgrade": "h2c, websocket"},
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "UPGRADE"},
    ],
)
def test_tokens_may_stand_in_lists_and_in_any_case(more):
    assert accept(headers(**more), (), False)


@pytest.mark.parametrize(
    ("more", "status", "sentence"),
    [
        ({"Upgrade": None}, 426, "Upgrade: websocket"),
        ({"Upgrade": "h2c"}, 426, "Upgrade: websocket"),
        ({"Upgrade": "websocket2"}, 426, "Upgrade: websocket"),
        ({"Connection": None}, 400, "Connection: Upgrade"),
        ({"Connection": "close"}, 400, "Connection: Upgrade"),
        ({"Sec_WebSocket_Version": None}, 426, "Sec-WebSocket-Version is 13"),
        ({"Sec_WebSocket_Version": "8"}, 426, "Sec-WebSocket-Version is 13"),
        ({"Sec_WebSocket_Version": "13, 8"}, 426, "Sec-WebSocket-Version is 13"),
        ({"key": None}, 400, "Sec-WebSocket-Key is 16 bytes"),
        ({"key": ""}, 400, "Sec-WebSocket-Key is 16 bytes"),
        ({"key": "short"}, 400, "Sec-WebSocket-Key is 16 bytes"),
        ({"key": "AAAA"}, 400, "Sec-WebSocket-Key is 16 bytes"),
        ({"key": KEY[:-2] + "!="}, 400, "Sec-WebSocket-Key is 16 bytes"),
        ({"key": "\xff\xfe"}, 400, "Sec-WebSocket-Key is 16 bytes"),
    ],
)
def test_a_bad_handshake_is_refused(more, status, sentence):
    with pytest.raises(HttpError, match=sentence) as caught:
        accept(headers(**more), (), False)
    assert caught.value.status == status


def test_two_keys_are_refused():
    doubled = headers()
    doubled.addRawHeader("Sec-WebSocket-Key", KEY)
    with pytest.raises(HttpError, match="given once"):
        accept(doubled, (), False)


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        (None, ""),
        ("", ""),
        ("b", "b"),
        ("x, b, a", "b"),
        ("a,b", "a"),
        ("x,\x20", None),
        ("B", None),
    ],
)
def test_the_first_known_sub_protocol_is_chosen(offered, chosen):
    asked = headers(Sec_WebSocket_Protocol=offered)
    if chosen is None:
        with pytest.raises(HttpError, match="Sec-WebSocket-Protocol is one of a, b, or not given"):
            accept(asked, ("a", "b"), False)
        return
    answer = accept(asked, ("a", "b"), False)
    assert answer.protocol == chosen
    shown = websockets.Answer(answer.answer).headers.get("sec-websocket-protocol", "")
    assert shown == chosen


AGREED = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


@pytest.mark.parametrize(
    ("offer", "answer"),
    [
        ("permessage-deflate", AGREED),
        ("permessage-deflate; client_max_window_bits", AGREED),
        ("permessage-deflate; client_max_window_bits=9", AGREED),
        ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", AGREED),
        ("permessage-deflate; server_max_window_bits=15", AGREED + "; server_max_window_bits=15"),
        ('permessage-deflate; server_max_window_bits="15"', AGREED + "; server_max_window_bits=15"),
        ("permessage-deflate; server_max_window_bits=14", None),
        ("permessage-deflate; server_max_window_bits=9, permessage-deflate", AGREED),
        ("x-webkit-deflate-frame, permessage-deflate", AGREED),
        (None, None),
        ("", None),
        (";;,=", None),
        ("x-webkit-deflate-frame", None),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=012", None),
        ("permessage-deflate; client_max_window_bits=7", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits", None),
    ],
)
def test_an_offer_of_compression_is_taken_that_can_be_kept(offer, answer):
    assert extensions(offer) == answer
    assert extensions(offer, browser=False) is None


@SIZES
@pytest.mark.parametrize(
    "begun",
    [frame(b"a", fin=False), frame(deflated(JSON)[:9], rsv=4, fin=False)],
    ids=["plain", "compressed"],
)
def test_a_compressed_text_within_a_message_breaks_a_rule_before_it_is_inflated(begun, size):
    assert echo(begun, frame(b"7\xfa!=", rsv=4), deflate=True, size=size) == [BROKEN]


# Anything

PARTS = st.sampled_from(
    [
        frame(b"text"),
        frame(b"\xff"),
        frame(b"a", fin=False),
        frame(b"b", CONTINUATION),
        frame(deflated(JSON), rsv=4),
        frame(deflated(JSON)[:9], rsv=4, fin=False),
        frame(b"", PING),
        frame(b"", PONG),
        frame(b"x", BINARY),
        close(1000),
        close(1006),
    ]
) | st.binary(max_size=12)


@given(st.lists(PARTS, max_size=12).map(b"".join), st.booleans(), st.integers(1, 50))
def test_any_bytes_are_read_or_end_the_connection_the_same_however_they_are_cut(
    data, deflate, size
):
    assert echo(data, deflate=deflate) == echo(data, deflate=deflate, size=size)
