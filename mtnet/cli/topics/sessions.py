"""`mtnet topics send` and `mtnet topics join`."""

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from msgspec import to_builtins
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.task import deferLater

from mtnet.callbacks import noop
from mtnet.cli import remote
from mtnet.cli.output import print_json, print_result, utc_exact
from mtnet.client.connection import Runner
from mtnet.client.core.events import Connected, LeftOut, Lost, Notice, Refused
from mtnet.client.core.tasks.topics import Listening, Missed, Sending, TopicCore, TopicEvent
from mtnet.client.failures import within
from mtnet.errors import ClientError
from mtnet.services.topics.wire import Member, Post, Sent

TIMEOUT = 10.0
"""Seconds until a message must be answered."""


async def send(server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace) -> None:
    """
    Send one message.

    Raises:
        ClientError: it is refused, or not answered in time.
    """
    asked = arguments
    task = Sending(asked.topic, asked.data, asked.key, asked.retain, asked.to)
    answer: Deferred[Sent] = Deferred()

    def fail(text: str) -> None:
        if not answer.called:
            answer.errback(ClientError(text))

    handlers: dict[type, Callable[[Any], object]] = {
        Sent: answer.callback,
        Refused: lambda refused: fail(f"{refused.text} ({refused.code})."),
        Lost: lambda lost: fail(remote.unanswered(asked.server, lost.reason)),
    }
    runner = _runner(server, clock, TopicCore(task, asked.account), handlers)
    try:
        connected = runner.service.whenConnected(failAfterFailures=1)
        runner.start()
        await connected
        unsure = f"Not answered within {TIMEOUT:g} s; the message may still be sent."
        found = await within(answer, TIMEOUT, clock, unsure)
    finally:
        answer.addErrback(noop)
        # A ClientService cannot be stopped from its own callback.
        await deferLater(clock, 0)
        await runner.stop()
    values = {"topic": found.topic, "seq": found.seq, "receivers": found.receivers}
    print_result(asked, values, f"Sent to {found.receivers} members.")


async def join(server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace) -> None:
    """Print messages until the time is over or stdout is closed."""
    ended: Deferred[None] = Deferred()
    watch = remote.StreamReporter(ended, arguments.server)

    def refused(event: Refused) -> None:
        if not watch.answered:  # nothing is joined: there will be no message
            watch.fail(f"{event.text} ({event.code}).")
        else:
            watch.refused(f"{event.code} {event.text}")

    def shown(event: Post | Member) -> None:
        watch.emit(lambda: _print(event, arguments.json))

    handlers: dict[type, Callable[[Any], object]] = {
        Connected: lambda _: watch.connected(),
        Lost: lambda lost: watch.lost(lost.reason),
        Refused: refused,
        Post: shown,
        Member: shown,
        **dict.fromkeys((Missed, Notice), lambda event: watch.note(event.text)),
        LeftOut: lambda event: watch.note(str(event)),
    }
    task = Listening(arguments.topic, arguments.after, arguments.presence)
    runner = _runner(server, clock, TopicCore(task, arguments.account), handlers)
    await remote.run_until(runner.service, ended, watch, clock, arguments.seconds)


def _runner(
    server: IStreamClientEndpoint,
    clock: IReactorTime,
    core: TopicCore,
    handlers: dict[type, Callable[[Any], object]],
) -> Runner[TopicEvent]:
    def handle(event: TopicEvent) -> None:
        handlers.get(type(event), noop)(event)

    return Runner(server, core, clock, handle)


def _print(event: Post | Member, as_json: bool) -> None:
    if as_json:
        print_json(_json(event))
    elif isinstance(event, Member):
        print(f"{event.topic} {event.member} has {'joined' if event.present else 'left'}")
    else:
        key = f" {event.key}" if event.key else ""
        print(
            f"{utc_exact(event.time)} {event.topic}{key} {event.sender}: {event.data}", flush=True
        )


def _json(event: Post | Member) -> dict[str, Any]:
    values: dict[str, Any] = to_builtins(event)
    if isinstance(event, Post):
        del values["to"]
        values["from"] = values.pop("sender")
    return values
