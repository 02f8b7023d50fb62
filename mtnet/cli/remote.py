"""
Commands that talk to a server: streams printed as they come, and questions with one answer.

A client's state machine runs over a socket, in the thread of the command. Servers that are no
stream of TCP or TLS and no WebSocket need Twisted's reactor, whose import takes longer than all
the rest.
"""

import signal
import sys
from argparse import Namespace
from collections.abc import Callable, Collection, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from mtnet.callbacks import noop
from mtnet.cli.output import terminable
from mtnet.cli.server_options import unanswered
from mtnet.client.core.address import Address, read_address
from mtnet.client.core.driver import Core
from mtnet.client.core.events import Connected, LeftOut, Lost, Notice, Refused
from mtnet.client.core.framing import FrameFraming
from mtnet.client.core.lines import LineFraming
from mtnet.errors import ClientError

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")
Handlers = Mapping[Any, Callable[[Any], object]]
"""What is done with an event, by its type."""
SOCKETS = ("tcp", "secure", "ws", "wss")
"""Kinds of endpoints that need no reactor."""


# Connections


def session_framing(address: Address | None) -> Any:
    """Return the codec of a session; that of a WebSocket is imported for one alone."""
    if address is None or not address.path:
        return FrameFraming()
    from mtnet.client.core import websocket

    return websocket.session_framing(address)


def tick_framing(address: Address | None) -> Any:
    """Return the codec of a stream of ticks; that of a WebSocket is imported for one alone."""
    if address is None or not address.path:
        return LineFraming()
    from mtnet.client.core import websocket

    return websocket.tick_framing(address)


def of_streams(make: Callable[[], T]) -> Callable[[Address | None], T]:
    """Return what makes the codecs of a client that speaks no WebSocket."""

    def framing(address: Address | None) -> T:
        if address is not None and address.path:
            raise ClientError(
                f"No connection to {address.text}: this client speaks no WebSocket, but tcp: and "
                "secure:."
            )
        return make()

    return framing


def converse(
    arguments: Namespace,
    core: Core[Any],
    handle: Callable[[Any], object],
    ended: Callable[[], object],
    seconds: float | None,
    framing: Callable[[Any], Any] = session_framing,
    speaks_http: bool = False,
    begin: Callable[[Any], Callable[[], object]] = lambda runner: noop,
) -> None:
    """
    Talk to the server until `ended` is true, or so many seconds have passed; then say good-bye.

    Args:
        handle: takes each event; an exception of it goes to the caller.
        seconds: from the first connection on; None = for ever.
        framing: makes the codec of a connection.
        speaks_http: whether the session is about signals alone, which can go over HTTP.
        begin: given what runs the conversation, a `BlockingRunner` or its like, before it does;
            returns what is done before it disconnects, whatever the reason.

    Raises:
        ClientError: the first attempt to connect failed, or `--server` is not a valid endpoint.
        KeyboardInterrupt: a signal stopped the program.
    """
    address = socket_address(arguments)
    runner: Any
    if address is None:
        from mtnet.cli.reactor import Conversation

        runner = Conversation(arguments, core, handle, framing, speaks_http)
    else:
        from mtnet.client.blocking.runner import BlockingRunner

        runner = BlockingRunner(address, core, handle, framing)
    with terminable():
        leave: Callable[[], object] = noop
        try:
            leave = begin(runner)
            runner.run(ended, seconds)
        finally:
            try:
                with uninterrupted():
                    leave()
            finally:
                runner.close()


def socket_address(arguments: Namespace) -> Address | None:
    """Return the address of a stream or a WebSocket; None = it is something else."""
    if arguments.server.partition(":")[0].lower() not in SOCKETS:
        return None
    try:
        return read_address(arguments.server, arguments.ca)
    except ClientError:
        return None  # perhaps it is a string of Twisted all the same


@contextmanager
def uninterrupted() -> "Iterator[None]":
    """Let Ctrl-C and SIGTERM wait until something is done."""
    came: list[int] = []
    numbers = signal.SIGINT, signal.SIGTERM
    before = [signal.signal(each, lambda number, _: came.append(number)) for each in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


class StreamReporter:
    """
    Prints a stream on stdout, and the state of its connection on stderr.

    If the server never answers as it should, it is a server of another kind, and the program
    ends with an error. After a first good answer the program goes on and reconnects.

    Args:
        server: the endpoint, as it was given.
        ended: called at the end of the stream.

    Attributes:
        answered: whether the server has answered as it should.
        over: whether the stream has ended.
    """

    def __init__(self, server: str, ended: Callable[[], object] = noop) -> None:
        self._server, self._ended = server, ended
        self._error: BaseException | None = None
        self._lost = False
        self.answered = self.over = False

    def emit(self, write: Callable[[], object]) -> None:
        """
        Call a function that prints.

        Raises:
            OSError: stdout is closed.
        """
        if not self.over:
            write()

    def connected(self) -> None:
        """Note that the server has answered as it should."""
        self.answered = True
        self.reconnected()

    def reconnected(self) -> None:
        """Report that the connection is back."""
        if self._lost:
            self._lost = False
            self.note("The connection is back.")

    def lost(self, reason: str) -> None:
        """Report that the connection is lost."""
        if not self.answered:
            self.fail(unanswered(self._server, reason))
        elif not self.over:
            self._lost = True
            self.note(f"The connection is lost ({reason}).")

    def refused(self, text: str) -> None:
        """Report a refusal; a refused login or port ends the program."""
        code, _, sentence = text.partition(" ")
        if code in ("login", "port"):
            self.fail(sentence)
        else:
            self.note(text)

    def note(self, sentence: str) -> None:
        """Report something that is not part of the stream."""
        if not self.over:
            print(f"mtnet: {sentence}", file=sys.stderr, flush=True)

    def fail(self, sentence: str) -> None:
        """End with an error."""
        self.end(ClientError(sentence))

    def end(self, error: BaseException | None = None) -> None:
        """End the stream."""
        if not self.over:
            self._error, self.over = error, True
            self._ended()

    def expire(self, seconds: float) -> None:
        """End because the time of `--seconds` is over."""
        if self.answered:
            self.end()
        else:
            self.fail(unanswered(self._server, f"nothing within {seconds:g} s"))

    def check(self) -> None:
        """Raise the error that ended the stream, if one did."""
        if self._error is not None:
            raise self._error


# Sessions


def stream(
    arguments: Namespace,
    core: Core[Any],
    watch: StreamReporter,
    handle: Callable[[Any], object],
    **options: Any,
) -> None:
    """
    Handle what comes until the stream ends, or the time of `--seconds` is over.

    Args:
        options: as of `converse`.

    Raises:
        ClientError: there is no connection, the server refuses, or never answered as it should.
        OSError: stdout is closed.
    """
    converse(arguments, core, handle, lambda: watch.over, arguments.seconds, **options)
    if arguments.seconds is not None:
        watch.expire(arguments.seconds)
    watch.check()


def ask(
    arguments: Namespace,
    core: Core[Any],
    kind: type[T],
    timeout: float,
    late: str,
    **options: Any,
) -> T:
    """
    Return the answer to what a core asks for once.

    Args:
        kind: of the answer.
        timeout: seconds until it must have come.
        late: a sentence for when it has not.
        options: as of `converse`.

    Raises:
        ClientError: it is refused, or does not come in time.
    """
    answers: list[T] = []
    watch = StreamReporter(arguments.server)

    def answered(found: T) -> None:
        answers.append(found)
        watch.end()

    handlers: Handlers = {
        kind: answered,
        Refused: lambda refused: watch.fail(f"{refused.text} ({refused.code})."),
        Lost: lambda lost: watch.fail(unanswered(arguments.server, lost.reason)),
    }
    converse(arguments, core, dispatch(handlers), lambda: watch.over, timeout, **options)
    watch.check()
    if not answers:
        raise ClientError(late)
    return answers[0]


def reported(
    watch: StreamReporter, received: Handlers, fatal: Collection[str] | None = None
) -> Callable[[object], None]:
    """
    Return the handler of the events of a session that report its connection, too.

    Args:
        received: what is done with what comes.
        fatal: codes of the refusals that end the program; None = every one before the first
            answer, as nothing will come.
    """

    def refused(event: Refused) -> None:
        if fatal is not None:
            tell = watch.fail if event.code in fatal else watch.note
            tell(f"{event.text} ({event.code}).")
        elif not watch.answered:
            watch.fail(f"{event.text} ({event.code}).")
        else:
            watch.refused(f"{event.code} {event.text}")

    handlers: Handlers = {
        Connected: lambda _: watch.connected(),
        Lost: lambda lost: watch.lost(lost.reason),
        Refused: refused,
        Notice: lambda notice: watch.note(notice.text),
        LeftOut: lambda event: watch.note(str(event)),
        **received,
    }
    return dispatch(handlers)


def dispatch(handlers: Handlers) -> Callable[[object], None]:
    """Return the handler of events that does what stands for their type."""

    def handle(event: object) -> None:
        handlers.get(type(event), noop)(event)

    return handle
