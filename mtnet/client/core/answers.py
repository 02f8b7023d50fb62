"""
Reading of what a server says in a session.

Pure.
"""

from collections.abc import Callable
from typing import Any

from mtnet.client.core.events import LeftOut, Notice
from mtnet.client.core.framing import Heartbeat, Received
from mtnet.errors import ClientError, WireError
from mtnet.services.signals.wire import answers
from mtnet.session import messages
from mtnet.session.grammar import Message

STATE_VERBS = frozenset({"SIGNAL", "SNAPSHOT", "POSITION", "SYNCED"})
"""A client that skipped one of these would hold a wrong state, so it disconnects instead."""


class AnswerReader:
    """
    Reads messages of a server; what every client hands on as it is becomes an event.

    Args:
        read: reads one; raises WireError.
    """

    def __init__(self, read: Callable[[Message], Any]) -> None:
        self._read = read

    def read(self, received: Received, welcomed: bool) -> Any:
        """
        Return an answer, or `LeftOut` or `Notice`; None = it is to be skipped.

        Args:
            welcomed: whether the server has said WELCOME.

        Raises:
            ClientError: a part of the state cannot be read.
        """
        if isinstance(received, Heartbeat):
            return messages.Heartbeat(0)
        try:
            if not isinstance(received, Message):
                raise received.error
            answer = self._read(received)
        except WireError as error:
            # Classic frames may come before WELCOME; a newer server may have more verbs.
            if not welcomed or error.code == "verb":
                return None
            if received.verb in STATE_VERBS:
                raise ClientError(f"a frame of the server cannot be read: {error}") from error
            return LeftOut(error)
        return Notice(answer.text) if isinstance(answer, answers.Notice) else answer
