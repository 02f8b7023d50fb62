"""
The verbs of jobs in the session dialect: built on one side, read on the other.

Pure. Times are milliseconds since the Unix epoch, UTC; lengths of time say their unit.
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from msgspec import Struct

from mtnet.errors import WireError
from mtnet.session import messages
from mtnet.session.fields import (
    ANY,
    FLAG,
    ID,
    MAX_NUMBER,
    NUMBER,
    FieldType,
    matching,
    read_number,
)
from mtnet.session.grammar import MAX_SESSION_FRAME, Message, enclose, escape

MAX_DATA = 6_000
"""Bytes of the data of a job, or of its result: as they stand in a frame, or as UTF-8 in JSON."""
MAX_REASON = 500
"""Characters of the reason of FAIL."""
MAX_REPLICAS, MAX_TRIES, MAX_SLOTS, MAX_TIMEOUT = 16, 100, 4_096, 31_536_000
"""The greatest numbers of OFFER and WORK; a time-out of a year."""
TIMEOUT, TRIES = 300, 3
"""What OFFER means without `timeout` (seconds) and `tries`."""

_QUEUE = re.compile(r"[A-Za-z0-9._/-]{1,64}", re.ASCII)
_EPOCH = re.compile(r"[0-9a-f]{16}", re.ASCII)
T = TypeVar("T")


def _number_between(least: int, most: int) -> FieldType[int]:
    def read(text: str) -> int | None:
        number = read_number(text)
        return number if number is not None and least <= number <= most else None

    return FieldType(read, f"a whole number from {least} to {most}")


QUEUE = FieldType(matching(_QUEUE), "1 to 64 of A-Z a-z 0-9 . _ - /, such as search/eurusd")
EPOCH = FieldType(matching(_EPOCH), "that of RESULTS, 16 hexadecimal digits")
REPLICAS = _number_between(1, MAX_REPLICAS)
SECONDS = _number_between(1, MAX_TIMEOUT)
ATTEMPTS = _number_between(1, MAX_TRIES)
SLOTS = _number_between(0, MAX_SLOTS)


# What clients send


class Offer(Struct, frozen=True):
    """
    Offers a job.

    Attributes:
        id: unique in its queue; the same one again with the same data is the same job.
        data: any text.
        replicas: how many workers must return the same result.
        timeout: seconds from now on; after them the job is dead.
        tries: after so many failed ones the job is dead.
    """

    queue: str
    id: str
    data: str
    replicas: int = 1
    timeout: int = TIMEOUT
    tries: int = TRIES


class Work(Struct, frozen=True):
    """
    Asks for tasks of a queue.

    Attributes:
        slots: how many at once; 0 = none more.
    """

    queue: str
    slots: int


class Renew(Struct, frozen=True):
    """Says that a task goes on."""

    queue: str
    id: str


class Result(Struct, frozen=True):
    """Ends a task with its result."""

    queue: str
    id: str
    data: str


class Fail(Struct, frozen=True):
    """Ends a task without a result."""

    queue: str
    id: str
    reason: str


class Results(Struct, frozen=True):
    """
    Asks for what is done or dead.

    Attributes:
        after: the last result that the client knows; None = it asks for no earlier ones.
        epoch: in which that result was numbered; None = the present one.
    """

    queue: str
    after: int | None = None
    epoch: str | None = None


# What the server sends


class Offered(Struct, frozen=True):
    """
    Answers OFFER: the job is on disk.

    Attributes:
        seq: counts the jobs of the queue.
    """

    queue: str
    id: str
    seq: int


class Working(Struct, frozen=True):
    """Answers WORK."""

    queue: str
    slots: int


class Task(Struct, frozen=True):
    """
    A job for this worker.

    Attributes:
        lease: seconds within which the worker ends it, or says RENEW.
        attempt: counts the tasks that were made of the job since the start of the daemon.
    """

    queue: str
    id: str
    data: str
    lease: int
    attempt: int


class Renewed(Struct, frozen=True):
    """
    Answers RENEW.

    Attributes:
        late: the task is another worker's by now, or its job has ended: stop.
    """

    queue: str
    id: str
    late: bool = False


class Taken(Struct, frozen=True):
    """
    Answers RESULT and FAIL: that is on disk.

    Attributes:
        late: it does not count, since the lease was lost.
    """

    queue: str
    id: str
    late: bool = False


class ResultsBegin(Struct, frozen=True):
    """
    Answers RESULTS; DONE and DEAD follow.

    Attributes:
        epoch: names the numbers; another one after a restore.
        seq: of the last result.
        oldest: of the first result that is still there.
    """

    queue: str
    epoch: str
    seq: int
    oldest: int


class Ended(Struct, frozen=True):
    """
    A job that is done or dead; each is told once for each number.

    Attributes:
        seq: counts the ended jobs of the queue.
        dead: there is no result.
        text: the result; of a dead job the reason: `timeout`, `differ`, `lease`, `left`, `purged`,
            or that of FAIL.
        by: the worker; empty = none.
        took: milliseconds from the worker's TASK to its end.
    """

    queue: str
    id: str
    seq: int
    dead: bool
    text: str
    by: str = ""
    took: int = 0


# Frames


def check_size(verb: str, data: str, escaped: bool) -> None:
    """
    Check the length of the data of a job, or of its result.

    Args:
        escaped: it came in a frame.

    Raises:
        WireError: `field`.
    """
    size = len((escape(data) if escaped else data).encode())
    if size > MAX_DATA:
        raise WireError("field", f"In {verb} data has at most {MAX_DATA} bytes, not {size}")


def task(given: Task) -> bytes:
    """
    Return TASK.

    Raises:
        WireError: `field`; the frame would be too long.
    """
    return _frame(
        "TASK",
        queue=given.queue,
        id=given.id,
        data=given.data,
        lease=given.lease,
        **{"try": given.attempt},
    )


def check_task(offer: Offer) -> None:
    """
    Check that TASK can be made of a job: its data in JSON may be longer as a frame.

    Raises:
        WireError: `field`.
    """
    task(Task(offer.queue, offer.id, offer.data, MAX_TIMEOUT, MAX_NUMBER))


def check_result(result: Result, by: str) -> None:
    """
    Check that DONE can be made of a result: its data in JSON may be longer as a frame.

    Raises:
        WireError: `field`.
    """
    ended(Ended(result.queue, result.id, MAX_NUMBER, False, result.data, by, MAX_NUMBER))


def ended(given: Ended) -> bytes:
    """
    Return DONE or DEAD.

    Raises:
        WireError: `field`; the frame would be too long.
    """
    key = "reason" if given.dead else "data"
    return _frame(
        "DEAD" if given.dead else "DONE",
        queue=given.queue,
        id=given.id,
        seq=given.seq,
        **{key: given.text},
        by=given.by or None,
        took=given.took,
    )


def offered(answer: Offered) -> bytes:
    """Return the answer to OFFER."""
    return _frame("OFFERED", queue=answer.queue, id=answer.id, seq=answer.seq)


def working(answer: Working) -> bytes:
    """Return the answer to WORK."""
    return _frame("WORKING", queue=answer.queue, slots=answer.slots)


def renewed(answer: Renewed) -> bytes:
    """Return the answer to RENEW."""
    late = int(answer.late) or None
    return _frame("RENEWED", queue=answer.queue, id=answer.id, late=late)


def taken(answer: Taken) -> bytes:
    """Return the answer to RESULT and FAIL."""
    late = int(answer.late) or None
    return _frame("TAKEN", queue=answer.queue, id=answer.id, late=late)


def results(answer: ResultsBegin) -> bytes:
    """Return the answer to RESULTS."""
    return _frame(
        "RESULTS", queue=answer.queue, epoch=answer.epoch, seq=answer.seq, oldest=answer.oldest
    )


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
    if isinstance(found, Offer | Result):
        check_size(verb, found.data, True)
    return _frame(verb, **fields)


# Readers


def _or(value: T | None, default: T) -> T:
    return default if value is None else value


def _read_offer(message: Message) -> Offer:
    return Offer(
        message.require("queue", QUEUE),
        message.require("id", ID),
        message.require("data", ANY),
        _or(message.get("replicas", REPLICAS), 1),
        _or(message.get("timeout", SECONDS), TIMEOUT),
        _or(message.get("tries", ATTEMPTS), TRIES),
    )


def _read_result(message: Message) -> Result:
    return Result(
        message.require("queue", QUEUE), message.require("id", ID), message.require("data", ANY)
    )


def _read_fail(message: Message) -> Fail:
    reason = message.require("reason", ANY)[:MAX_REASON]
    return Fail(message.require("queue", QUEUE), message.require("id", ID), reason)


def _read_results(message: Message) -> Results:
    return Results(
        message.require("queue", QUEUE), message.get("after", NUMBER), message.get("epoch", EPOCH)
    )


def _read_task(message: Message) -> Task:
    return Task(
        message.require("queue", ANY),
        message.require("id", ANY),
        message.require("data", ANY),
        message.require("lease", NUMBER),
        message.require("try", NUMBER),
    )


def _read_ended(message: Message) -> Ended:
    dead = message.verb == "DEAD"
    return Ended(
        message.require("queue", ANY),
        message.require("id", ANY),
        message.require("seq", NUMBER),
        dead,
        message.require("reason" if dead else "data", ANY),
        message.get("by", ANY) or "",
        message.get("took", NUMBER) or 0,
    )


def _read_begin(message: Message) -> ResultsBegin:
    return ResultsBegin(
        message.require("queue", ANY),
        message.require("epoch", ANY),
        message.require("seq", NUMBER),
        message.require("oldest", NUMBER),
    )


Request = Offer | Work | Renew | Result | Fail | Results
Answer = Offered | Working | Task | Renewed | Taken | ResultsBegin | Ended
REQUESTS: Mapping[str, Callable[[Message], Request]] = MappingProxyType(
    {
        "OFFER": _read_offer,
        "WORK": lambda message: Work(
            message.require("queue", QUEUE), _or(message.get("slots", SLOTS), 1)
        ),
        "RENEW": lambda message: Renew(message.require("queue", QUEUE), message.require("id", ID)),
        "RESULT": _read_result,
        "FAIL": _read_fail,
        "RESULTS": _read_results,
    }
)
"""Readers of what a client sends."""
ANSWERS: Mapping[str, Callable[[Message], Answer]] = MappingProxyType(
    {
        "OFFERED": lambda message: Offered(
            message.require("queue", ANY),
            message.require("id", ANY),
            message.require("seq", NUMBER),
        ),
        "WORKING": lambda message: Working(
            message.require("queue", ANY), message.require("slots", NUMBER)
        ),
        "TASK": _read_task,
        "RENEWED": lambda message: Renewed(
            message.require("queue", ANY),
            message.require("id", ANY),
            message.get("late", FLAG) or False,
        ),
        "TAKEN": lambda message: Taken(
            message.require("queue", ANY),
            message.require("id", ANY),
            message.get("late", FLAG) or False,
        ),
        "RESULTS": _read_begin,
        "DONE": _read_ended,
        "DEAD": _read_ended,
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
