"""`mtnet templates`: lists, fetches and stores the templates of a server."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mtnet.cli import parsers, server_options
from mtnet.cli.output import local_time, print_result, table
from mtnet.errors import ClientError, TemplateError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

    from mtnet.cli.parsers import Commands
    from mtnet.client import Templates

SERVER = "tcp:127.0.0.1:8080"
"""The daemon's default endpoint."""


# Command line


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet templates`."""
    parser.description = "Lists, fetches and stores templates."
    templates = parsers.group(parser)
    work = "mtnet.cli.templates:list_templates"
    server_options.add(templates, "list", work, SERVER, "list the stored templates")
    _configure_get(templates)
    _configure_put(templates)


def _configure_get(commands: "Commands") -> None:
    summary = "fetch a template, to standard output or into a file"
    parser = server_options.add(
        commands,
        "get",
        "mtnet.cli.templates:get_template",
        SERVER,
        summary,
        "GBPUSD H1 -o GBPUSD_H1.tpl",
    )
    parser.add_argument("symbol", metavar="SYMBOL")
    parser.add_argument("period", metavar="PERIOD", help="a name such as H1, or its code")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="the file to write")
    parser.add_argument("--version", metavar="N", type=int, help="an older version")
    parser.add_argument("--platform", choices=("mt4", "mt5"), help="default: the newest of either")


def _configure_put(commands: "Commands") -> None:
    work, example = "mtnet.cli.templates:put_template", "GBPUSD_H1.tpl"
    parser = server_options.add(commands, "put", work, SERVER, "store a template", example)
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "symbol", metavar="SYMBOL", nargs="?", help="default: from the name or the content of FILE"
    )
    parser.add_argument("period", metavar="PERIOD", nargs="?")


# Commands


async def list_templates(
    server: "IStreamClientEndpoint", clock: "IReactorTime", arguments: Namespace
) -> None:
    """Print the stored templates."""
    found = await _client(server, clock, arguments).list()
    rows = [{**row, "stored": local_time(row.get("stored"))} for row in found]
    shown = [{key: row.get(key, "") for key in SHOWN} for row in rows]
    print_result(arguments, found, "\n".join(table(shown)) if shown else "No template is stored.")


async def get_template(
    server: "IStreamClientEndpoint", clock: "IReactorTime", arguments: Namespace
) -> None:
    """Fetch one template."""
    if arguments.json and arguments.output is None:
        raise ClientError("--json describes the written file; name one with -o FILE.")
    asked = (arguments.symbol, arguments.period, arguments.version, arguments.platform)
    content = await _client(server, clock, arguments).get(*asked)
    if arguments.output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    _write(arguments.output, content)
    written = {"file": str(arguments.output), "size": len(content)}
    print_result(arguments, written, f"{arguments.output}: {len(content)} bytes")


async def put_template(
    server: "IStreamClientEndpoint", clock: "IReactorTime", arguments: Namespace
) -> None:
    """Store one template."""
    if arguments.symbol is not None and arguments.period is None:
        raise ClientError(
            f"PERIOD is missing behind {arguments.symbol}. Example: {arguments.symbol} H1"
        )
    content = _read(arguments.file)
    symbol, period = _key(arguments, content)
    stored = await _client(server, clock, arguments).put(symbol, period, content)
    place = " ".join(str(stored.get(key, "")) for key in ("symbol", "period", "platform"))
    print_result(arguments, stored, f"Stored: {place}, version {stored.get('version', '?')}")


SHOWN = ("symbol", "period", "platform", "version", "size", "stored")
"""The columns of `templates list`."""


def _client(
    server: "IStreamClientEndpoint", clock: "IReactorTime", arguments: Namespace
) -> "Templates":
    from mtnet.client import Templates

    return Templates(server, clock, login=arguments.account)


def _key(arguments: Namespace, content: bytes) -> tuple[str, str]:
    if arguments.period is not None:
        return arguments.symbol, arguments.period
    from mtnet.services.templates.content import key_of_file

    try:
        return key_of_file(arguments.file.name, content)
    except TemplateError as error:
        raise ClientError(f"{error} Or name SYMBOL and PERIOD behind {arguments.file}.") from error


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
