"""`mtnet cert`: makes, shows and checks the certificates of `secure:` endpoints."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from mtnet.cli import local, parsers
from mtnet.net.tls.lifetimes import DAYS, LONGEST

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet cert`."""
    group = parsers.group(parser)
    _configure_init(group)
    shown = local.add(group, "show", _work("show"), "print what is in a certificate", "--json")
    shown.add_argument(
        "file", metavar="FILE", type=Path, nargs="?", help="default: what the daemon serves"
    )
    parsers.add_json(shown)
    summary = "check the certificates of a configuration as the daemon does"
    parsers.add_json(local.add(group, "check", _work("check"), summary, "-c mtnet.toml"))


def _configure_init(commands: "Commands") -> None:
    summary = "make a certificate, and an authority for it where there is none"
    example = "fx.example 192.0.2.7 localhost"
    parser = local.add(commands, "init", _work("init"), summary, example)
    parser.add_argument(
        "names",
        metavar="NAME",
        nargs="*",
        help="host names and addresses that programs connect to (default: localhost, 127.0.0.1, "
        "::1 and the name of this machine)",
    )
    parser.add_argument(
        "--days", type=_days, default=DAYS, help="how long it is valid (default %(default)s)"
    )
    parser.add_argument(
        "--force", action="store_true", help="replace a certificate of another authority"
    )


def _work(function: str) -> parsers.Run:
    return parsers.later(f"mtnet.cli.cert.work:{function}")


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= LONGEST:
        raise ArgumentTypeError(f"invalid number of days {text}, expected 1 to {LONGEST}")
    return int(text)
