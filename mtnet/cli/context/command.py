"""`mtnet context`: keeps servers by name, and lets the commands that talk to one use them."""

import os
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from mtnet.cli import parsers
from mtnet.cli.context.store import Context, Contexts, load, save
from mtnet.cli.output import pairs, print_result, table
from mtnet.errors import ClientError

VARIABLE = "MTNET_CONTEXT"
"""The environment variable that names a context."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,32}", re.ASCII)


# Command line


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet context`."""
    parser.description = "Keeps server, CA and login by name, for all commands that take --server."
    commands = parsers.group(parser)
    summary = "keep a server by name, or replace it; the first becomes the current context"
    example = "fx --server wss://fx.example --login alice"
    adding = parsers.add(commands, "add", add, summary, example)
    _add_name(adding)
    server = "a Twisted client string, secure:HOST:PORT, wss://... or https://..."
    adding.add_argument("-s", "--server", metavar="ENDPOINT", default="", help=server)
    adding.add_argument(
        "--for",
        dest="services",
        metavar="SERVICE=ENDPOINT",
        action="append",
        default=[],
        type=_service,
        help="the server of one service, where that is another; may be repeated",
    )
    parsers.add_ca(adding)
    adding.add_argument("--login", metavar="NAME", help="account to log in with")
    using = parsers.add(commands, "use", use, "let commands use a context by default", "fx")
    using.add_argument("name", metavar="NAME", nargs="?")
    using.add_argument("--none", action="store_true", help="none, but the defaults of each command")
    parsers.add_json(parsers.add(commands, "list", show, "list the contexts; * is the current one"))
    _add_name(parsers.add(commands, "remove", remove, "forget a context", "fx"))


def _service(text: str) -> tuple[str, str]:
    from mtnet.daemon.registry import installed

    name, _, server = text.partition("=")
    services = sorted(each for each, plugin in installed().items() if plugin.listens)
    if not server or name not in services:
        known = ", ".join(services)
        raise ArgumentTypeError(f"invalid server {text!r}, expected SERVICE=ENDPOINT of {known}")
    return name, server


def _add_name(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")


def add_option(parser: ArgumentParser, service: str, server: str) -> None:
    """
    Let a command name a context.

    Args:
        service: that the command talks to.
        server: its endpoint without a context.
    """
    parser.add_argument(
        "--context",
        metavar="NAME",
        help=f"a server by name, as `mtnet context` keeps it (default: {VARIABLE}, or the current)",
    )
    parser.set_defaults(service=service, default_server=server)


def apply(arguments: Namespace) -> None:
    """
    Complete server, CA and login of a command by its context.

    An explicit `--server` without `--context` uses no context: CA and login belong to a server.

    Raises:
        ClientError: there is no such context, or it names no server for the service.
    """
    name = arguments.context
    if name is None and arguments.server is None:
        name = os.environ.get(VARIABLE) or load().current
    if name is None:
        arguments.server = arguments.server or arguments.default_server
        return
    context = load().named(name)
    server = arguments.server or context.services.get(arguments.service, context.server)
    if not server:
        raise ClientError(
            f"The context {name} names no server for {arguments.service}: "
            f"mtnet context add {name} --for {arguments.service}=ENDPOINT"
        )
    arguments.server, arguments.login = server, arguments.login or context.login
    if arguments.ca is None and context.ca is not None:
        arguments.ca = Path(context.ca)


# Commands


def add(arguments: Namespace) -> None:
    """
    Keep a context.

    Raises:
        ClientError: the name, a server or the login is invalid, or the file cannot be written.
        CertificateError: there is no certificate in the file of `--ca`.
    """
    name = arguments.name
    if _NAME.fullmatch(name) is None:
        raise ClientError(f"Invalid context {name!r}: expected 1 to 32 of A-Z a-z 0-9 . _ -.")
    services = dict(arguments.services)
    if not arguments.server and not services:
        raise ClientError(
            f"A server is missing: mtnet context add {name} --server wss://fx.example"
        )
    context = Context(arguments.server, services, _checked_ca(arguments), arguments.login)
    for server in filter(None, (context.server, *services.values())):
        _check_server(server, context.ca)
    if context.login is not None:
        from mtnet.client.core.login import Login

        Login(context.login, "x")  # raises when the name cannot be one
    known = load()
    contexts = {**known.contexts, name: context}
    save(Contexts(contexts, known.current or name))
    print(f"{name} is kept; {known.current or name} is the current context.", flush=True)


def _check_server(server: str, ca: str | None) -> None:
    kind = server.partition(":")[0].lower()
    trusted = Path(ca) if ca is not None and kind in ("secure", "wss", "https") else None
    if _is_plain(server):
        return
    # Files of its own, and strings that Twisted alone reads, need its reactor, whose import takes
    # four times as long as all the rest.
    from twisted.internet import reactor

    from mtnet.client.endpoints import server_from_string

    server_from_string(reactor, server, trusted)


def _is_plain(server: str) -> bool:
    """Return whether a server is a right address that names no file."""
    from mtnet.client.core.address import read_address

    with suppress(ClientError):
        address = read_address(server, http=True)
        return address.ca is None and address.certificate is None
    return False


def _checked_ca(arguments: Namespace) -> str | None:
    if arguments.ca is None:
        return None
    from mtnet.net.tls.certificates import read_certificates

    path = Path(arguments.ca).expanduser().absolute()
    read_certificates(path)
    return str(path)


def use(arguments: Namespace) -> None:
    """
    Set the current context.

    Raises:
        ClientError: there is none of that name, or the file cannot be written.
    """
    known = load()
    if arguments.none == (arguments.name is not None):
        raise ClientError("A name is expected, or --none. Example: mtnet context use fx")
    if arguments.name is not None:
        known.named(arguments.name)
    save(replace(known, current=arguments.name))
    print(f"{arguments.name or 'None'} is the current context.", flush=True)


def show(arguments: Namespace) -> None:
    """
    Print the contexts.

    Raises:
        ClientError: the file cannot be read.
    """
    known = load()
    rows = [
        {
            "": "*" if name == known.current else "",
            "context": name,
            "server": context.server,
            "for": pairs(context.services),
            "login": context.login or "",
            "ca": context.ca or "",
        }
        for name, context in sorted(known.contexts.items())
    ]
    text = "\n".join(table(rows)) if rows else "No context is kept."
    print_result(arguments, msgspec.to_builtins(known), text)


def remove(arguments: Namespace) -> None:
    """
    Forget a context.

    Raises:
        ClientError: there is none of that name, or the file cannot be written.
    """
    known = load()
    known.named(arguments.name)
    contexts = {name: each for name, each in known.contexts.items() if name != arguments.name}
    current = None if known.current == arguments.name else known.current
    save(Contexts(contexts, current))
    print(f"{arguments.name} is forgotten.", flush=True)
