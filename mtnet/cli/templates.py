"""`mtnet templates`: what a server holds, listed, fetched and stored."""

import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.internet.interfaces import (
    IReactorTime,
    IStreamClientEndpoint,
)

from mtnet.cli import remote
from mtnet.cli.local import table
from mtnet.client import Templates
from mtnet.errors import ClientError, TemplateError
from mtnet.services.templates.content import key_of_file

if TYPE_CHECKING:
    from mtnet.cli.remote import Commands

SERVER = "tcp:127.0.0.1:8080"
"""The server that is asked when none is named: the daemon's default."""


# What the command line says


def register(commands: "Commands") -> None:
    """Add `mtnet templates`."""
    templates = remote.group(commands, "templates", "list, fetch and store templates")
    remote.add(templates, "list", list_templates, SERVER, "list what is stored", "")
    _get_parser(templates)
    _put_parser(templates)


def _get_parser(commands: "Commands") -> None:
    told = "fetch a template, to standard output or into a file"
    parser = remote.add(commands, "get", get_template, SERVER, told, "GBPUSD H1 -o GBPUSD_H1.tpl")
    parser.add_argument("symbol", metavar="SYMBOL")
    parser.add_argument("period", metavar="PERIOD", help="a name such as H1, or its code")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="where it is written")
    parser.add_argument("--version", metavar="N", type=int, help="an older version")
    parser.add_argument("--platform", choices=("mt4", "mt5"), help="default: the newest of either")


def _put_parser(commands: "Commands") -> None:
    told = "store a template"
    parser = remote.add(commands, "put", put_template, SERVER, told, "GBPUSD_H1.tpl")
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "symbol", metavar="SYMBOL", nargs="?", help="default: from FILE, its name or what it says"
    )
    parser.add_argument("period", metavar="PERIOD", nargs="?")


# What is done


async def list_templates(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """Print what is stored."""
    found = await Templates(server, clock, login=arguments.account).list()
    rows = [{**row, "stored": _date(row.get("stored"))} for row in found]
    shown = [{key: row.get(key, "") for key in SHOWN} for row in rows]
    remote.print_result(
        arguments, found, "\n".join(table(shown)) if shown else "No template is stored."
    )


async def get_template(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """Fetch one template."""
    if arguments.json and arguments.output is None:
        raise ClientError("--json describes the file that is written; name one with -o FILE.")
    asked = (arguments.symbol, arguments.period, arguments.version, arguments.platform)
    content = await Templates(server, clock, login=arguments.account).get(*asked)
    if arguments.output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    _write(arguments.output, content)
    told = {"file": str(arguments.output), "size": len(content)}
    remote.print_result(arguments, told, f"{arguments.output}: {len(content)} bytes")


async def put_template(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """Store one template."""
    if arguments.symbol is not None and arguments.period is None:
        raise ClientError(f"A PERIOD such as H1 stands behind SYMBOL {arguments.symbol}.")
    content = _read(arguments.file)
    symbol, period = _key(arguments, content)
    stored = await Templates(server, clock, login=arguments.account).put(symbol, period, content)
    place = " ".join(str(stored.get(key, "")) for key in ("symbol", "period", "platform"))
    remote.print_result(arguments, stored, f"Stored: {place}, version {stored.get('version', '?')}")


SHOWN = ("symbol", "period", "platform", "version", "size", "stored")
"""The columns of `templates list`."""


def _key(arguments: Namespace, content: bytes) -> tuple[str, str]:
    if arguments.period is not None:
        return arguments.symbol, arguments.period
    try:
        return key_of_file(arguments.file.name, content)
    except TemplateError as error:
        raise ClientError(f"{error} Or say SYMBOL and PERIOD behind {arguments.file}.") from error


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ClientError(f"{file} cannot be read: {error.strerror}.") from error


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise ClientError(f"{file} cannot be written: {error.strerror}.") from error


def _date(milliseconds: object) -> str:
    if not isinstance(milliseconds, int):
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000))
