"""
The verbs of topics in the session dialect: built on one side, read on the other.

Pure. Times are milliseconds since the Unix epoch, UTC.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from msgspec import Struct

from mtnet.errors import WireError
from mtnet.session import messages
from mtnet.session.fields import ANY, FLAG, ID, NUMBER, FieldType, matching, text_up_to
from mtnet.session.grammar import MAX_SESSION_FRAME, Message, enclose, escape

MAX_DATA = 6_000
"""Bytes of the data of a message: as they stand in a frame, or as UTF-8 in JSON."""
MAX_NAME = 64
"""Characters of a topic, a pattern or a key."""

_NAME = re.compile(r"[A-Za-z0-9._/-]{1,64}", re.ASCII)
_PATTERN = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9._/-]+(/\*)?", re.ASCII)
_EPOCH = re.compile(r"[0-9a-f]{16}", re.ASCII)

TOPIC = FieldType(matching(_NAME), "1 to 64 of A-Z a-z 0-9 . _ - /, such as desk/eurusd")
PATTERN = FieldType(matching(_PATTERN), "a topic, or a pattern that ends in /*, such as desk/*")
EPOCH = FieldType(matching(_EPOCH), "that of JOINED, 16 hexadecimal digits")
KEY = text_up_to(MAX_NAME)


class Join(Struct, frozen=True):
    """
    Asks for the messages of a topic, or of all topics of a pattern.

    Attributes:
        after: the last message that the client knows; None = it asks for no earlier ones.
        epoch: in which that message was numbered; None = the present one.
        presence: whether it is told which members come and go.
    """

    topic: str
    after: int | None = None
    epoch: str | None = None
    presence: bool = False


class Leave(Struct, frozen=True):
    """Ends a JOIN of the same name."""

    topic: str


class Members(Struct, frozen=True):
    """Asks for the members of a topic."""

    topic: str


class Send(Struct, frozen=True):
    """
    Asks to send a message.

    Attributes:
        data: any text; an empty one removes a retained value.
        id: is returned as it is; empty = none.
        key: of the retained value.
        retain: whether those that join later are sent it, too.
        to: the only member who gets it; empty = all.
    """

    topic: str
    data: str
    id: str = ""
    key: str = ""
    retain: bool = False
    to: str = ""


class Joined(Struct, frozen=True):
    """
    Answers JOIN.

    Attributes:
        epoch: names the numbers of this start of the daemon.
        seq: the last message of the topic; 0 = of a pattern, or of a topic without any.
        oldest: the first message that can be had again by `after`.
    """

    topic: str
    epoch: str
    members: int
    seq: int
    oldest: int = 1


class Sent(Struct, frozen=True):
    """
    Answers SEND; a retained value is on disk.

    Attributes:
        receivers: members to whom it goes.
    """

    topic: str
    id: str
    seq: int
    receivers: int


class Post(Struct, frozen=True):
    """
    A message of a topic.

    Attributes:
        seq: counts the messages of the topic in this epoch; 0 = it is from an earlier one.
        sender: the login of the sender; without one, its address.
        to: the only member who gets it; empty = all.
        retained: it was sent before the client joined, and is kept.
    """

    topic: str
    seq: int
    sender: str
    data: str
    time: int
    key: str = ""
    to: str = ""
    retained: bool = False

    def is_for(self, member: str) -> bool:
        """Return whether a member gets it."""
        return self.to in ("", member)


class Left(Struct, frozen=True):
    """Answers LEAVE."""

    topic: str


class MemberCount(Struct, frozen=True):
    """Answers MEMBERS; so many MEMBERs follow."""

    topic: str
    count: int


class Member(Struct, frozen=True):
    """
    A member of a topic.

    Attributes:
        present: False = it has left; None = in answer to MEMBERS.
    """

    topic: str
    member: str
    present: bool | None = None


# Names


def is_pattern(name: str) -> bool:
    """Return whether a name stands for all topics below it."""
    return name.endswith("/*")


def covers(wide: str, narrow: str) -> bool:
    """Return whether a topic or pattern has everything of another one."""
    return wide == narrow or (is_pattern(wide) and narrow.startswith(wide[:-1]))


def covering(name: str) -> Iterator[str]:
    """Yield every name that covers a topic or a pattern, itself first."""
    yield name
    for at, character in enumerate(name[:-2] if is_pattern(name) else name):
        if character == "/":
            yield f"{name[: at + 1]}*"


# Frames


def check_size(data: str, escaped: bool) -> None:
    """
    Check the length of the data of a message.

    Args:
        escaped: it came in a frame.

    Raises:
        WireError: `field`.
    """
    size = len((escape(data) if escaped else data).encode())
    if size > MAX_DATA:
        raise WireError("field", f"In SEND data has at most {MAX_DATA} bytes, not {size}")


def message(post: Post, retained: bool = False) -> bytes:
    """
    Return MESSAGE.

    Raises:
        WireError: `field`; the frame would be too long.
    """
    return _frame(
        "MESSAGE",
        topic=post.topic,
        seq=post.seq,
        data=post.data,
        time=post.time,
        key=post.key or None,
        retained=1 if retained else None,
        **{"from": post.sender},
    )


def joined(answer: Joined) -> bytes:
    """Return the answer to JOIN."""
    oldest = None if is_pattern(answer.topic) else answer.oldest
    return _frame(
        "JOINED",
        topic=answer.topic,
        epoch=answer.epoch,
        members=answer.members,
        seq=answer.seq,
        oldest=oldest,
    )


def sent(answer: Sent) -> bytes:
    """Return the answer to SEND."""
    return _frame(
        "SENT",
        topic=answer.topic,
        id=answer.id or None,
        seq=answer.seq,
        receivers=answer.receivers,
    )


def left(topic: str) -> bytes:
    """Return the answer to LEAVE."""
    return _frame("LEFT", topic=topic)


def member_count(topic: str, count: int) -> bytes:
    """Return the answer to MEMBERS."""
    return _frame("MEMBERS", topic=topic, count=count)


def member(topic: str, name: str, present: bool | None = None) -> bytes:
    """Return MEMBER."""
    flag = None if present is None else int(present)
    return _frame("MEMBER", topic=topic, member=name, present=flag)


def _frame(verb: str, **fields: str | int | None) -> bytes:
    shown = [f"|{key}={escape(str(text))}" for key, text in fields.items() if text is not None]
    return enclose(f"{verb}{''.join(shown)}", MAX_SESSION_FRAME)


def request(verb: str, **fields: str | int | None) -> bytes:
    """
    Return the frame of a client, checked by the reader that the server uses.

    Raises:
        WireError: `field`.
    """
    shown = {key: str(text) for key, text in fields.items() if text is not None}
    found = REQUESTS[verb](Message(verb, shown))
    if isinstance(found, Send):
        check_size(found.data, True)
    return _frame(verb, **fields)


# Readers


def _read_join(message: Message) -> Join:
    after = message.get("after", NUMBER)
    topic = message.require("topic", PATTERN)
    if after is not None and is_pattern(topic):
        raise message.refusal("after belongs to one topic, and topic is none", topic)
    return Join(topic, after, message.get("epoch", EPOCH), message.get("presence", FLAG) or False)


def _read_send(message: Message) -> Send:
    asked = Send(
        message.require("topic", TOPIC),
        message.require("data", ANY),
        message.get("id", ID) or "",
        message.get("key", KEY) or "",
        message.get("retain", FLAG) or False,
        message.get("to", ANY) or "",
    )
    check_addressee(asked)
    return asked


def check_addressee(asked: Send) -> None:
    """
    Check that a message for one member is not retained.

    Raises:
        WireError: `field`.
    """
    if asked.to and asked.retain:
        raise WireError("field", "In SEND retain is for all members: leave out to, or retain")


def _read_post(message: Message) -> Post:
    return Post(
        message.require("topic", ANY),
        message.require("seq", NUMBER),
        message.require("from", ANY),
        message.require("data", ANY),
        message.require("time", NUMBER),
        message.get("key", ANY) or "",
        retained=message.get("retained", FLAG) or False,
    )


def _read_joined(message: Message) -> Joined:
    return Joined(
        message.require("topic", ANY),
        message.require("epoch", ANY),
        message.require("members", NUMBER),
        message.require("seq", NUMBER),
        message.get("oldest", NUMBER) or 1,
    )


def _read_sent(message: Message) -> Sent:
    return Sent(
        message.require("topic", ANY),
        message.get("id", ANY) or "",
        message.require("seq", NUMBER),
        message.require("receivers", NUMBER),
    )


def _read_member(message: Message) -> Member:
    return Member(
        message.require("topic", ANY),
        message.require("member", ANY),
        message.get("present", FLAG),
    )


Request = Join | Leave | Members | Send
Answer = Joined | Left | MemberCount | Member | Sent | Post
REQUESTS: Mapping[str, Callable[[Message], Request]] = MappingProxyType(
    {
        "JOIN": _read_join,
        "LEAVE": lambda message: Leave(message.require("topic", PATTERN)),
        "MEMBERS": lambda message: Members(message.require("topic", PATTERN)),
        "SEND": _read_send,
    }
)
"""Readers of what a client sends."""
ANSWERS: Mapping[str, Callable[[Message], Answer]] = MappingProxyType(
    {
        "JOINED": _read_joined,
        "LEFT": lambda message: Left(message.require("topic", ANY)),
        "MEMBERS": lambda message: MemberCount(
            message.require("topic", ANY), message.require("count", NUMBER)
        ),
        "MEMBER": _read_member,
        "SENT": _read_sent,
        "MESSAGE": _read_post,
    }
)
"""Readers of what the server sends."""


def read_answer(message: Message) -> object:
    """
    Read a message of the server.

    Raises:
        WireError: as `messages.read`.
    """
    return messages.read({**messages.ANSWERS, **ANSWERS}, message)
