"""`mtnet topics send` and `mtnet topics join`."""

from argparse import Namespace
from typing import Any

from msgspec import to_builtins

from mtnet.cli import remote
from mtnet.cli.output import print_json, print_result, utc_exact
from mtnet.client.core.tasks.topics import Listening, Missed, Sending, TopicCore
from mtnet.services.topics.wire import Member, Post, Sent

TIMEOUT = 10.0
"""Seconds until a message must be answered."""


def send(arguments: Namespace) -> None:
    """
    Send one message.

    Raises:
        ClientError: it is refused, or not answered in time.
    """
    asked = arguments
    task = Sending(asked.topic, asked.data, asked.key, asked.retain, asked.to)
    unsure = f"Not answered within {TIMEOUT:g} s; the message may still be sent."
    core = TopicCore(task, asked.account)
    found = remote.ask(asked, core, Sent, TIMEOUT, unsure)
    values = {"topic": found.topic, "seq": found.seq, "receivers": found.receivers}
    print_result(asked, values, f"Sent to {found.receivers} members.")


def join(arguments: Namespace) -> None:
    """Print messages until the time is over or stdout is closed."""
    watch = remote.StreamReporter(arguments.server)

    def shown(event: Post | Member) -> None:
        watch.emit(lambda: _print(event, arguments.json))

    handle = remote.reported(
        watch, {Post: shown, Member: shown, Missed: lambda missed: watch.note(missed.text)}
    )
    task = Listening(arguments.topic, arguments.after, arguments.presence)
    remote.stream(arguments, TopicCore(task, arguments.account), watch, handle)


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
