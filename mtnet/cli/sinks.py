"""`mtnet sinks`: shows the databases that get ticks, and tries whether one takes them."""

from argparse import ArgumentParser, Namespace
from typing import Any

from mtnet.cli import local, parsers
from mtnet.cli.output import print_result
from mtnet.daemon.control.client import ask
from mtnet.errors import ClientError

PATIENCE = 120.0
"""Seconds that a server may take to connect and to answer, see `sinks.timeout`."""


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet sinks`."""
    commands = parsers.group(parser)
    listing = local.add(commands, "list", list_sinks, "show what each sink got, and what waits")
    parsers.add_json(listing)
    summary = "connect to the server of a sink, and look whether it takes ticks"
    test = local.add(commands, "test", try_sink, summary, "warehouse")
    test.add_argument("name", metavar="NAME", help="such as warehouse of [sinks.warehouse]")
    parsers.add_json(test)


def list_sinks(arguments: Namespace) -> None:
    """
    Print a line for each sink.

    Raises:
        ClientError: no daemon runs.
    """
    answer = ask(local.folder(arguments) / "control", "sinks list")
    lines = [_describe(row) for row in answer] or ["There is no [sinks.NAME]."]
    print_result(arguments, answer, "\n".join(lines))


def try_sink(arguments: Namespace) -> None:
    """
    Connect to a server.

    Raises:
        ClientError: no daemon runs, or the server takes no ticks.
    """
    control = local.folder(arguments) / "control"
    answer = ask(control, "sinks test", wait=PATIENCE, name=arguments.name)
    if not answer["taken"]:
        raise ClientError(f"{answer['server']} takes no ticks: {answer['reason']}")
    print_result(arguments, answer, f"{answer['server']} takes ticks.")


def _describe(row: dict[str, Any]) -> str:
    text = f"{row['name']}: {row['server']} got {row['sent']} ticks, {row['waiting']} wait"
    if row["dropped"]:
        text += f", {row['dropped']} were dropped"
    if row["refused"]:
        text += f", {row['refused']} were refused"
    return f"{text}. {row['reason']}" if row["reason"] else f"{text}."
