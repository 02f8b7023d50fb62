"""The experts say and hear only words that the server knows."""

import re
from pathlib import Path
from typing import get_args

from mtnet.services.signals.reports.wire import REQUESTS as REPORTS
from mtnet.services.signals.values import OPTIONAL, PauseMode, Status, Take
from mtnet.services.signals.wire import answers, requests
from mtnet.session import messages

INCLUDE = Path(__file__).parents[2] / "mql5" / "MQL5" / "Include" / "Mtnet"
FUTURE_CODES = {"expired", "sessions"}
"""Those that the contract names and no server of today sends."""
OPERATED = {"PAUSED", "RESUMED", "FLATTENED", "NOTICE", "CHANNELS"}


def code(*names):
    """Return the text of headers, all of them without names, without comments."""
    found = sorted(INCLUDE.rglob("*.mqh"))
    files = [each for each in found if not names or each.name in names]
    assert len(files) == (len(names) or len(found))
    return "\n".join(re.sub(r"//.*", "", file.read_text("ascii")) for file in files)


def said(pattern, *names):
    return set(re.findall(pattern, code(*names)))


def test_every_verb_that_is_said_is_one_of_the_server():
    verbs = said(r'(?:Say\(|payload=)"([A-Z]+)"') | said(r'return\("([A-Z]+)"', "Report.mqh")
    assert {"HELLO", "SUBSCRIBE", "PUBLISH", "ACK", "REPORT", "SPEC"} <= verbs
    assert verbs <= requests.REQUESTS.keys() | REPORTS.keys()


def test_every_verb_that_is_heard_is_one_of_the_server():
    assert OPERATED | {"SIGNAL", "STORED"} <= said(r'verb=="(\w+)"') <= answers.ANSWERS.keys()


def test_every_code_of_an_error_is_one_of_the_server():
    codes = said(r'code(?:"\))?=="(\w+)"')
    assert messages.CLOSING <= codes <= messages.CODES | FUTURE_CODES


def test_a_position_is_published_with_fields_of_the_server():
    fields = said(r'Field\("(\w+)"', "Table.mqh")
    assert fields <= {*OPTIONAL, "symbol", "ticket", "type", "volume"}


def test_words_with_a_meaning_are_those_of_the_server():
    assert said(r'"mode"\)=="(\w+)"') <= set(get_args(PauseMode))
    assert said(r'\? "1" : "(free)"', "Provider.mqh") <= set(get_args(Take))
    assert said(r'names\[\]=\{"","(\w+)","(\w+)","(\w+)",""\}') == {tuple(get_args(Status))}
