"""
The verb NOTIFY of the session dialect: built on one side, read on the other.

Pure.
"""

import re

from msgspec import Struct

from mtnet.session.fields import ID, FieldType, matching, text_up_to
from mtnet.session.grammar import Message, encode

MAX_TEXT = 1_000
"""Characters of a message to people: some services take no more."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)
TO = FieldType(matching(_NAME), "the NAME of a [notify.NAME], of A-Z a-z 0-9 . _ -")
TEXT = text_up_to(MAX_TEXT)


class Notify(Struct, frozen=True):
    """
    Asks for a message to people.

    Attributes:
        to: the name of a [notify.NAME]; empty = each that the client may send to.
        id: is returned as it is; empty = none.
    """

    text: str
    to: str = ""
    id: str = ""


def read(message: Message) -> Notify:
    """
    Read NOTIFY.

    Raises:
        WireError: `field`.
    """
    text = message.require("text", TEXT)
    if not text.strip():
        raise message.refusal("text has a sentence for people", text)
    return Notify(text, message.get("to", TO) or "", message.get("id", ID) or "")


def notified(to: str, id: str) -> bytes:
    """Return the answer to NOTIFY: the message is on disk; `to` has names with commas between."""
    return encode("NOTIFIED", to=to, id=id or None)
