"""`mtnet templates`: lists, fetches and stores the templates of a server."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mtnet.callbacks import noop
from mtnet.cli import parsers, server_options
from mtnet.cli.output import local_time, print_result, table
from mtnet.errors import ClientError, TemplateError

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands
    from mtnet.client.http.templates import Request, TemplateCore

T = TypeVar("T")
SERVER = "tcp:127.0.0.1:8080"
"""The daemon's default endpoint."""
TIMEOUT = 30.0
"""Seconds until the whole answer must have come."""


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


def list_templates(arguments: Namespace) -> None:
    """Print the stored templates."""
    from mtnet.client.http.templates import Descriptions, Request

    found = _described(arguments, Request("GET"), Descriptions)
    rows = [{**row, "stored": local_time(row.get("stored"))} for row in found]
    shown = [{key: row.get(key, "") for key in SHOWN} for row in rows]
    print_result(arguments, found, "\n".join(table(shown)) if shown else "No template is stored.")


def get_template(arguments: Namespace) -> None:
    """Fetch one template."""
    if arguments.json and arguments.output is None:
        raise ClientError("--json describes the written file; name one with -o FILE.")
    from mtnet.client.http.templates import fetching

    asked = (arguments.symbol, arguments.period, arguments.version, arguments.platform)
    _, content = _answer(arguments, fetching(*asked))
    if arguments.output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    _write(arguments.output, content)
    written = {"file": str(arguments.output), "size": len(content)}
    print_result(arguments, written, f"{arguments.output}: {len(content)} bytes")


def put_template(arguments: Namespace) -> None:
    """Store one template."""
    if arguments.symbol is not None and arguments.period is None:
        raise ClientError(
            f"PERIOD is missing behind {arguments.symbol}. Example: {arguments.symbol} H1"
        )
    content = _read(arguments.file)
    symbol, period = _key(arguments, content)
    from mtnet.client.http.templates import Description, storing

    stored = _described(arguments, storing(symbol, period, content), Description)
    place = " ".join(str(stored.get(key, "")) for key in ("symbol", "period", "platform"))
    print_result(arguments, stored, f"Stored: {place}, version {stored.get('version', '?')}")


SHOWN = ("symbol", "period", "platform", "version", "size", "stored")
"""The columns of `templates list`."""


def _described(arguments: Namespace, request: "Request", kind: type[T]) -> T:
    core, content = _answer(arguments, request)
    return core.read(content, kind)


def _answer(arguments: Namespace, request: "Request") -> "tuple[TemplateCore, bytes]":
    """
    Return what the server answers, and what reads it.

    Raises:
        ClientError: there is no connection, or the server refuses.
    """
    from mtnet.cli import remote
    from mtnet.client.http.templates import Answer, Failed, TemplateCore

    core, watch = TemplateCore(request, arguments.account), remote.StreamReporter(arguments.server)
    contents: list[bytes] = []

    def answered(answer: Answer) -> None:
        contents.append(answer.content)
        watch.end()

    handle = remote.dispatch({Answer: answered, Failed: lambda failed: watch.fail(failed.text)})
    framing = remote.of_streams(noop)
    remote.converse(arguments, core, handle, lambda: watch.over, TIMEOUT, framing)
    watch.check()
    if not contents:
        raise ClientError(f"No whole answer within {TIMEOUT:g} s.")
    return core, contents[0]


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
