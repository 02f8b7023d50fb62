"""`mtnet alerts`: lists, mutes and tries alerts, and makes heartbeats."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from mtnet.cli import local, parsers
from mtnet.cli.output import duration, local_time, print_result, table

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet alerts`."""
    commands = parsers.group(parser)
    _add(commands, "list", list_alerts, "list the alerts, and the incidents that go on", "")
    mute = _add(commands, "mute", mute_alert, "tell nobody of an alert", "disk --seconds 3600")
    mute.add_argument("name", metavar="NAME", help="such as disk of [alerts.disk]")
    mute.add_argument(
        "--seconds", metavar="N", type=_seconds, help="default: until `mtnet alerts unmute`"
    )
    summary = "tell people of an alert again"
    unmute = _add(commands, "unmute", unmute_alert, summary, "disk")
    unmute.add_argument("name", metavar="NAME")
    test = _add(commands, "test", send_test, "send a test to the people of an alert", "disk")
    test.add_argument("name", metavar="NAME")
    summary = "make, list and remove heartbeats: programs that give signs of life"
    heartbeat = commands.add_parser(
        "heartbeat", help=summary, description=parsers.sentence(summary)
    )
    inner = parsers.group(heartbeat)
    summary = "make a heartbeat, or give it another token"
    _add(inner, "add", add_heartbeat, summary, "backup").add_argument("name", metavar="NAME")
    _add(inner, "list", list_heartbeats, "list the heartbeats", "")
    _add(inner, "remove", remove_heartbeat, "remove a heartbeat", "backup").add_argument(
        "name", metavar="NAME"
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < inf:
        raise ValueError
    return seconds


_seconds.__name__ = "number of seconds"  # for the sentence of argparse


def _add(
    commands: "Commands", name: str, run: parsers.Run, summary: str, example: str
) -> ArgumentParser:
    parser = local.add(commands, name, run, summary, example)
    parsers.add_json(parser)
    return parser


def list_alerts(arguments: Namespace) -> None:
    """
    Print the alerts.

    Raises:
        ClientError: no daemon answers, or it refuses; as all of these commands.
    """
    rows = local.ask_daemon(arguments, "alerts list")
    print_result(arguments, rows, "\n".join(_describe(rows)))


def mute_alert(arguments: Namespace) -> None:
    """Mute an alert."""
    seconds = arguments.seconds
    answer = local.ask_daemon(arguments, "alerts mute", name=arguments.name, seconds=seconds)
    length = "until `mtnet alerts unmute`" if seconds is None else f"for {duration(seconds)}"
    print_result(arguments, answer, f"Nobody is told of {arguments.name} {length}.")


def unmute_alert(arguments: Namespace) -> None:
    """End the mute of an alert."""
    answer = local.ask_daemon(arguments, "alerts unmute", name=arguments.name)
    print_result(arguments, answer, f"People are told of {arguments.name} again.")


def send_test(arguments: Namespace) -> None:
    """Put a test into the queue."""
    names = local.ask_daemon(arguments, "alerts test", name=arguments.name)
    shown = ", ".join(names) or "nobody: too many messages in this minute"
    print_result(arguments, names, f"A test is on its way to {shown}.")


def add_heartbeat(arguments: Namespace) -> None:
    """Make a heartbeat, and print its token once."""
    token = local.ask_daemon(arguments, "alerts heartbeat add", name=arguments.name)
    text = f"{arguments.name} calls /v1/heartbeat/{token}\nThis is the only time it is shown."
    print_result(arguments, {"name": arguments.name, "token": token}, text)


def list_heartbeats(arguments: Namespace) -> None:
    """Print the heartbeats."""
    rows = local.ask_daemon(arguments, "alerts heartbeats")
    shown = [{"name": row["name"], "last sign": local_time(row["last"]) or "-"} for row in rows]
    print_result(arguments, rows, "\n".join(table(shown)) if rows else "There is no heartbeat.")


def remove_heartbeat(arguments: Namespace) -> None:
    """Remove a heartbeat."""
    answer = local.ask_daemon(arguments, "alerts heartbeat remove", name=arguments.name)
    print_result(arguments, answer, f"{arguments.name} is no heartbeat any more.")


def _describe(rows: list[Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        yield "There is no alert; docs/alerts.md shows how to make one."
        return
    yield from table(
        [
            {
                "alert": row["name"],
                "when": row["when"],
                "for": f"{row['for']:g} s",
                "to": ", ".join(row["to"]) or "all",
                "muted": row["muted"],
                "incidents": len(row["incidents"]),
            }
            for row in rows
        ]
    )
    for row in rows:
        for each in row["incidents"]:
            yield f"{local_time(each['since'])}  {row['name']}: {each['text']}"
