"""`mtnet events`: prints what happened, and what happens."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from mtnet.cli import local, parsers
from mtnet.cli.output import print_json
from mtnet.daemon.control.client import ask

SHOWN = 50
"""Newest events that are printed when none is named."""
WAIT = 30.0
"""Seconds that the daemon is asked to wait for the next event."""
PATIENCE = 10.0
"""Seconds behind that until the daemon counts as gone."""
LEVELS = ("info", "warning", "error")


def configure(parser: ArgumentParser) -> None:
    """Add the options of `mtnet events`."""
    parsers.set_run(parser, events, "--follow --level warning")
    parsers.add_data(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what happens")
    parser.add_argument(
        "--json", action="store_true", help="print a line of JSON for each; times are ms since 1970"
    )
    parser.add_argument(
        "--after",
        metavar="N",
        type=int,
        help=f"those behind this number (default: the newest {SHOWN})",
    )
    parser.add_argument(
        "--kind",
        metavar="KIND",
        action="append",
        default=[],
        help="those whose kind begins so, such as channel or login_refused; may be repeated",
    )
    parser.add_argument("--level", choices=LEVELS, default=LEVELS[0], help="the lowest level")


def events(arguments: Namespace) -> None:
    """
    Print events, oldest first.

    Raises:
        ConfigError: the configuration that names the data folder is wrong.
        ClientError: no daemon answers.
    """
    control = local.folder(arguments) / "control"
    for event in _events(control, arguments):
        if arguments.json:
            print_json(event)
        else:
            print(describe(event), flush=True)


def describe(event: Mapping[str, Any]) -> str:
    """Return the line of an event: local time with its offset, number, level, kind, sentence."""
    when = datetime.fromtimestamp(event["time"] / 1000).astimezone()
    level = "" if event["level"] == LEVELS[0] else f" {event['level'].upper()}"
    return f"{when:%Y-%m-%d %H:%M:%S%z} {event['number']}{level} {event['kind']}: {event['text']}"


def _events(control: Path, arguments: Namespace) -> Iterator[Mapping[str, Any]]:
    """Yield what was asked for; without an end when it is followed."""
    asked = {"kinds": arguments.kind, "level": arguments.level}
    after, wait = arguments.after, 0.0
    if after is None:
        answer = ask(control, "events", limit=SHOWN, **asked)
    else:
        answer = ask(control, "events", after=after, **asked)
    while True:
        yield from answer["events"]
        done = not answer["events"] or after is None
        if done and not arguments.follow:
            return
        after, wait = answer["last"], WAIT if arguments.follow else 0.0
        answer = ask(control, "events", wait + PATIENCE, after=after, seconds=wait, **asked)
