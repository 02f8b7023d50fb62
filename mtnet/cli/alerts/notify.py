"""`mtnet notify`: tries whether messages to people arrive."""

from argparse import ArgumentParser, Namespace
from typing import Any

from mtnet.cli import local, parsers
from mtnet.cli.output import print_result
from mtnet.daemon.control.client import ask
from mtnet.errors import ClientError

PATIENCE = 60.0
"""Seconds that a receiver may take."""


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet notify`."""
    commands = parsers.group(parser)
    summary = "send a message to each receiver of a [notify.NAME], and say which of them took it"
    test = local.add(commands, "test", try_receivers, summary, "ops")
    test.add_argument("name", metavar="NAME", help="such as ops of [notify.ops]")
    parsers.add_json(test)


def try_receivers(arguments: Namespace) -> None:
    """
    Send a message at once, past the queue.

    Raises:
        ClientError: no daemon runs, or a receiver did not take it.
    """
    control = local.folder(arguments) / "control"
    answer = ask(control, "notify test", wait=PATIENCE, name=arguments.name)
    print_result(arguments, answer, "\n".join(map(_describe, answer)))
    if not all(each["taken"] for each in answer):
        raise ClientError("Not every receiver took the message.")


def _describe(row: dict[str, Any]) -> str:
    if row["taken"]:
        return f"{row['receiver']} took the message."
    return f"{row['receiver']} did not take the message: {row['reason']}."
