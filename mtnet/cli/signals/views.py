"""`mtnet views`: channels that are made of others, each for one follower or for many alike."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from functools import partial
from typing import Any, Literal, get_args, get_origin

from msgspec.structs import FieldInfo, fields

from mtnet.cli import local, parsers
from mtnet.cli.output import print_result, table
from mtnet.errors import ClientError
from mtnet.services.signals.views.settings import ViewSettings

MODES = {
    "pause": "copy closings and reductions alone, until it is resumed",
    "freeze": "send nothing, until it is resumed; closings follow then",
    "resume": "copy new openings again",
    "flatten": "close everything that it copies, then copy closings alone",
}
DONE = {
    "pause": "copies closings and reductions alone",
    "freeze": "sends nothing",
    "resume": "copies new openings",
    "flatten": "is flat, and copies closings alone",
}
_ONE = "gold-half"


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet views`."""
    parser.description = "Makes channels of other channels, each for one follower or many alike."
    views = parsers.group(parser)
    example = f"{_ONE} --source gold --value 0.5 --step 0.01"
    add = local.add(views, "add", add_view, "make a view", example)
    _add_view(add)
    _add_settings(add, complete=True)
    edit = local.add(
        views, "edit", edit_view, "change settings, for later openings", f"{_ONE} --max 0.30"
    )
    _add_view(edit)
    _add_settings(edit)
    edit.add_argument(
        "--apply", action="store_true", help="also compute again what is copied now, and ask first"
    )
    edit.add_argument("--yes", action="store_true", help="do not ask")
    parsers.add_json(local.add(views, "list", list_views, "list the views and their settings"))
    show = local.add(views, "show", show_view, "show what a view copies, and what it skips", _ONE)
    _add_view(show)
    parsers.add_json(show)
    diff = local.add(views, "diff", diff_view, "show what `edit --apply` would change", _ONE)
    _add_view(diff)
    _add_settings(diff)
    explain = local.add(
        views, "explain", explain_view, "say how a volume came about", f"{_ONE} XAUUSD"
    )
    _add_view(explain)
    explain.add_argument("symbol", metavar="SYMBOL", help="the source's name or the view's")
    for name, summary in MODES.items():
        _add_view(local.add(views, name, partial(operate, name), summary, _ONE))
    _add_view(local.add(views, "monitor", monitor, "compute and show, and send nothing", _ONE))
    remove = local.add(views, "remove", remove_view, "end a view", f"{_ONE} --flatten")
    _add_view(remove)
    leftovers = remove.add_mutually_exclusive_group()
    for option, text in (("flatten", "close what it copies"), ("leave-open", "leave it open")):
        leftovers.add_argument(
            f"--{option}", dest="leftovers", action="store_const", const=option, help=text
        )


def _add_view(parser: ArgumentParser) -> None:
    parser.add_argument("view", metavar="VIEW")


def _add_settings(parser: ArgumentParser, complete: bool = False) -> None:
    """Add an option for each setting; `none` takes one back that may be absent or empty."""
    group = parser.add_argument_group("settings, as of [signals.views.NAME]")
    group.add_argument(
        "--source",
        dest="sources",
        metavar="CHANNEL",
        action="append",
        required=complete,
        help="again for each",
    )
    for field in fields(ViewSettings):
        if field.name != "sources":
            option = f"--{field.name.replace('_', '-')}"
            choices = get_args(field.type) if get_origin(field.type) is Literal else None
            group.add_argument(
                option, dest=field.name, metavar=_placeholder(field), choices=choices
            )


def _placeholder(field: FieldInfo) -> str:
    kind = get_origin(field.type)
    if field.type is bool:
        return "true|false"
    if kind is Literal:
        return "|".join(filter(None, get_args(field.type)))
    if kind is tuple:
        return "A,B"
    return "A=B,C=D" if kind is dict else "X"


def _settings(arguments: Namespace) -> dict[str, Any]:
    """
    Return the settings that were given.

    Raises:
        ClientError: a map is none.
    """
    found: dict[str, Any] = {}
    for field in fields(ViewSettings):
        text = getattr(arguments, field.name)
        if text is not None:
            found[field.name] = text if field.name == "sources" else _value(field, text)
    return found


def _value(field: FieldInfo, text: str) -> Any:
    kind = get_origin(field.type)
    items = [item.strip() for item in text.split(",") if item.strip() and text != "none"]
    if kind is tuple:
        return items
    if kind is dict:
        parts = [item.partition("=") for item in items]
        if not all(equals for _, equals, _ in parts):
            raise ClientError(f"Invalid --map {text!r}: expected A=B,C=D. Example: XAUUSD=GOLD")
        return {key: value for key, _, value in parts}
    return None if text == "none" and type(None) in get_args(field.type) else text


def add_view(arguments: Namespace) -> None:
    """Make a view."""
    ask(arguments, "add", settings=_settings(arguments))
    print(f"{arguments.view} is made: follow it as the channel {arguments.view}.")


def edit_view(arguments: Namespace) -> None:
    """Change the settings of a view; with `--apply` what is copied now, too."""
    settings = _settings(arguments)
    if arguments.apply:
        changes = ask(arguments, "diff", settings=settings)
        _print_changes(arguments.view, changes)
        if changes and not arguments.yes and not _confirmed():
            raise ClientError("Nothing was changed.")
    ask(arguments, "edit", settings=settings, apply=arguments.apply)
    print(f"{arguments.view} has these settings for later openings.")


def _confirmed() -> bool:
    print("Change that? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() == "y"


def diff_view(arguments: Namespace) -> None:
    """Show what computing everything again would change."""
    changes = ask(arguments, "diff", settings=_settings(arguments))
    _print_changes(arguments.view, changes)


def _print_changes(view: str, changes: list[dict[str, Any]]) -> None:
    print("\n".join(table(changes)) if changes else f"Nothing that {view} copies would change.")


def list_views(arguments: Namespace) -> None:
    """List the views."""
    found: Mapping[str, dict[str, Any]] = local.ask_daemon(arguments, "views list")
    rows = [
        {
            "view": name,
            "sources": ", ".join(each["sources"]),
            "mode": each["mode"],
            "size": f"{each['size']} {each['value']}",
            "follower": each["follower"],
            "trouble": each["struck"],
        }
        for name, each in found.items()
    ]
    print_result(arguments, found, "\n".join(table(rows)) if rows else "There are no views.")


def show_view(arguments: Namespace) -> None:
    """Show the ledger of a view."""
    rows = ask(arguments, "show")
    text = "\n".join(table(rows)) if rows else f"The sources of {arguments.view} hold nothing."
    print_result(arguments, rows, text)


def explain_view(arguments: Namespace) -> None:
    """Explain the volumes of a symbol."""
    for sentence in ask(arguments, "explain", symbol=arguments.symbol):
        print(sentence)


def operate(name: str, arguments: Namespace) -> None:
    """Pause, freeze, resume or flatten a view, and never a channel that others follow, too."""
    check_view(arguments, arguments.view)
    local.ask_daemon(arguments, f"signals {name}", channel=arguments.view)
    print(f"{arguments.view} {DONE[name]}.")


def monitor(arguments: Namespace) -> None:
    """Compute and show, and send nothing."""
    ask(arguments, "monitor")
    print(f"{arguments.view} is computed, and nobody can follow it.")


def remove_view(arguments: Namespace) -> None:
    """End a view."""
    ask(arguments, "remove", leftovers=arguments.leftovers or "refuse")
    print(f"{arguments.view} is no view any more; its channel and its entries stay.")


def check_view(arguments: Namespace, view: str) -> list[str]:
    """
    Return the accounts of a view.

    Raises:
        ClientError: there is no such view, or no daemon runs.
    """
    found = local.ask_daemon(arguments, "views list")
    if view not in found:
        known = ", ".join(found) or "none"
        raise ClientError(f"There is no view {view} (known: {known}); `mtnet views add` makes one.")
    accounts: list[str] = found[view]["accounts"]
    return accounts


def give_view(arguments: Namespace, view: str, login: str) -> None:
    """Let an account mean a view by the channel `main`."""
    accounts = [*check_view(arguments, view), login]
    local.ask_daemon(arguments, "views edit", view=view, settings={"accounts": accounts})


def ask(arguments: Namespace, command: str, **values: Any) -> Any:
    """Ask the daemon for a command about the view that the arguments name."""
    return local.ask_daemon(arguments, f"views {command}", view=arguments.view, **values)
