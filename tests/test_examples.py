"""The examples say nothing that the codec does not know; no terminal can run them here."""

import re
from decimal import Decimal
from pathlib import Path
from typing import get_args

import pytest
from fakes import entries

from mtnet.services.signals import wire
from mtnet.services.signals.values import OPTIONAL, PauseMode, Status, Take
from mtnet.services.signals.wire import Ack, Publish
from mtnet.session import messages
from mtnet.session.grammar import parse

EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = sorted([*EXAMPLES.rglob("*.mq5"), *EXAMPLES.rglob("*.mqh")])
EPOCH = "0123456789abcdef"
LOTS = Decimal(1)
FIELDS = tuple((name, "1") for name in OPTIONAL)
LISTENED = r'frame\.(?:Text|Has|Number|Lots)\("(\w+)"'
OPERATED = {"PAUSED", "RESUMED", "FLATTENED", "NOTICE", "CHANNELS"}

REQUESTS = [
    messages.hello("a", "b", "c", "d"),
    wire.subscribe("main", ["A"], EPOCH, 1, "00000000"),
    wire.unsubscribe(),
    wire.publish(Publish("1", "A", LOTS, "main", "1", "buy_stop", FIELDS, "free")),
    wire.ack(Ack("main", 1, "filled", "1", LOTS, "a")),
    messages.ping("1"),
    messages.pong(),
    messages.bye(),
]
ANSWERS = [
    messages.welcome(5, 1, epoch=EPOCH),
    entries.signal("main", 1, "A", LOTS, 1, "1", "buy_stop", FIELDS, prev=0, h="00000000"),
    entries.position("main", 1, "A", LOTS, 1, "1", "buy_stop", FIELDS),
    wire.snapshot("main", EPOCH, 1, 1, diverged=True),
    wire.synced("main", EPOCH, 1, "00000000"),
    wire.stored("1", 1),
    wire.status("main", True, 1),
    messages.heartbeat(1, seqs=wire.join_seqs({"main": 1})),
    messages.pong(1, "1"),
    messages.error("id", "a", "1", "main", closed=True),
    wire.paused("main", "frozen"),
    wire.flattened("main"),
    wire.resumed("main"),
    wire.channels(["main"]),
    wire.notice("a"),
    wire.unsubscribed("main"),
]


def vocabulary(frames):
    parsed = [parse(frame[2:-4]) for frame in frames]
    return {message.verb: set(message.fields) for message in parsed}


def name(file):
    return file.name


def code(file):
    """Return the text without its comments."""
    return re.sub(r"//.*", "", file.read_text("ascii"))


def bare(file):
    """Return the text without comments, strings and characters."""
    return re.sub(r'"(\\.|[^"\\])*"' + r"|'(\\.|[^'\\])'", "0", code(file))


def said(pattern):
    return {found for file in FILES for found in re.findall(pattern, code(file))}


def test_every_verb_is_in_the_vocabulary():
    assert vocabulary(REQUESTS).keys() == wire.REQUESTS.keys()
    assert vocabulary(ANSWERS).keys() == wire.ANSWERS.keys()


def test_there_is_a_follower_and_a_publisher():
    assert {"MtnetFollower.mq5", "MtnetPublisher.mq5"} <= {file.name for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=name)
def test_brackets_balance(file):
    closing, waiting = {")": "(", "]": "[", "}": "{"}, []
    for each in bare(file):
        if each in "([{":
            waiting.append(each)
        elif each in closing:
            assert waiting, file
            assert waiting.pop() == closing[each]
    assert not waiting


@pytest.mark.parametrize("file", FILES, ids=name)
def test_lines_are_short_and_end_well(file):
    for line in file.read_text("ascii").splitlines():
        assert len(line) <= 100
        assert line == line.rstrip()


@pytest.mark.parametrize("file", FILES, ids=name)
def test_what_is_included_is_there(file):
    for included in re.findall(r'#include "(.+)"', file.read_text("ascii")):
        assert (file.parent / included).is_file()


def test_what_the_examples_say_a_server_understands():
    # A publisher stays subscribed: it is told what people do to its channel.
    assert said(r'(?:Say\(|payload=|m_hello=)"([A-Z]+)"') == wire.REQUESTS.keys() - {"UNSUBSCRIBE"}
    keys = set().union(*vocabulary(REQUESTS).values())
    assert {"v", "volume", "take", "h"} <= said(r'\bField\("(\w+)"') <= keys


def test_what_the_examples_listen_to_a_server_says():
    assert OPERATED | {"SIGNAL", "STORED"} <= said(r'verb=="(\w+)"') <= wire.ANSWERS.keys()
    keys = set().union(*vocabulary(ANSWERS).values())
    assert {"seq", "prev", "h", "diverged", "closed"} <= said(LISTENED) <= keys
    assert {"login", "fenced"} <= said(r'code(?:"\))?=="(\w+)"') <= messages.CODES


@pytest.mark.parametrize("file", ["MtnetFollower.mq5", "MtnetPublisher.mq5"])
def test_both_are_told_what_people_do_to_a_channel(file):
    assert set(re.findall(r'verb=="(\w+)"', code(EXAMPLES / "mql5" / file))) >= OPERATED


def test_words_with_a_meaning_are_those_of_the_server():
    assert said(r'mode=="(\w+)"') == set(get_args(PauseMode))
    assert said(r'Field\("take",g_take \? "(\w+)" : "\w+"') == {"1"} <= set(get_args(Take))
    assert said(r'Field\("take",g_take \? "\w+" : "(\w+)"') == {"free"} <= set(get_args(Take))
    assert said(r'(?:Field\("status",|Tell\(follow,)"(\w+)"') | {"filled"} == set(get_args(Status))


@pytest.mark.parametrize("file", FILES, ids=name)
def test_every_input_is_explained(file):
    page = (EXAMPLES / "README.md").read_text("utf-8")
    for line in re.findall(r"^input \w+ +(\w+)=", file.read_text("ascii"), re.MULTILINE):
        assert f"`{line}`" in page


def test_nothing_is_traded_until_somebody_says_so():
    assert "input bool   InpTrade=false;" in (EXAMPLES / "mql5/MtnetFollower.mq5").read_text(
        "ascii"
    )


def test_the_page_says_where_they_have_run():
    page = (EXAMPLES / "README.md").read_text("utf-8")
    assert "run in an imitation of a terminal, not in MetaTrader" in page
