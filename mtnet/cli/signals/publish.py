"""
`mtnet signals publish`: one signal over a socket, in a fifth of a second.

Servers that are no `tcp:` or `secure:` need the reactor, whose import takes most of a second.
"""

import sys
from argparse import Namespace

from mtnet.cli import server_options
from mtnet.cli.context import command as context
from mtnet.cli.output import print_result
from mtnet.cli.server_options import account, unanswered
from mtnet.cli.signals.channels import FIELDS
from mtnet.client.core.address import Address, read_address
from mtnet.client.core.events import Connected, Failed, LeftOut, Lost, Notice, Stored, Trouble
from mtnet.client.core.publisher import PublisherCore
from mtnet.client.core.session import Session
from mtnet.errors import ClientError

TIMEOUT = 10.0
"""Seconds until a signal must be confirmed."""
UNSURE = f"Not confirmed within {TIMEOUT:g} s; it may still be stored later."


def publish(arguments: Namespace) -> None:
    """
    Publish one position.

    Raises:
        ClientError: it is refused, or not confirmed in time.
    """
    context.apply(arguments)
    address = stream_address(arguments)
    if address is None:
        server_options.run("mtnet.cli.signals.sessions:publish_signal", arguments)
        return
    arguments.account = account(arguments)
    print_stored(arguments, Publication(address, arguments).run())


def stream_address(arguments: Namespace) -> Address | None:
    """Return the address of a plain stream or of one with TLS; None = it is something else."""
    if arguments.server.partition(":")[0] not in ("tcp", "secure"):
        return None
    try:
        return read_address(arguments.server, arguments.ca)
    except ClientError:
        return None  # perhaps it is a string of Twisted all the same


def print_stored(arguments: Namespace, seq: int) -> None:
    """Print that the position is stored."""
    values = {"symbol": arguments.symbol, "volume": arguments.volume, "seq": seq}
    print_result(arguments, values, f"Stored: {arguments.symbol} {arguments.volume}")


def signal_fields(arguments: Namespace) -> dict[str, str]:
    """Return the optional fields of the position that were given."""
    fields = {name: getattr(arguments, name) for name in FIELDS}
    return {name: value for name, value in fields.items() if value is not None}


class Publication:
    """One signal, and a publisher that runs until it is stored or refused."""

    def __init__(self, address: Address, arguments: Namespace) -> None:
        self._address, self._arguments = address, arguments
        self._core = PublisherCore(
            Session("", arguments.account),
            arguments.channel,
            "1" if arguments.take else "0",
            None,
        )
        self._troubles: dict[str, None] = {}
        self._answered, self._lost_by = False, ""
        self._seq: int | None = None
        self._error: ClientError | None = None

    def run(self) -> int:
        """
        Return the number of the stored entry.

        Raises:
            ClientError: it is refused, or not confirmed in time.
        """
        from mtnet.client.blocking.runner import BlockingRunner

        asked, fields = self._arguments, signal_fields(self._arguments)
        self._core.publish(
            asked.symbol, asked.volume, None, asked.ticket, asked.type, asked.id, fields
        )
        runner = BlockingRunner(self._address, self._core, self._handle)
        try:
            runner.run(self._done, TIMEOUT)
            if self._seq is None:
                raise self._failure()
        finally:
            self._error = self._error or ClientError(UNSURE)
            runner.close()
        return self._seq

    def _done(self) -> bool:
        return self._seq is not None or self._error is not None or bool(self._lost_by)

    def _failure(self) -> ClientError:
        if self._lost_by or not (self._answered or self._error):
            reason = self._lost_by or f"nothing within {TIMEOUT:g} s"
            text = unanswered(self._arguments.server, reason)
            return ClientError(f"{text} Nothing was published.")
        return ClientError(" ".join([*self._troubles, str(self._error or UNSURE)]))

    def _handle(self, event: object) -> None:
        if self._done():
            return
        if isinstance(event, Stored):
            self._seq = event.seq
        elif isinstance(event, Failed):
            self._error = event.error
        elif isinstance(event, Connected):
            self._answered = True
        elif isinstance(event, Lost) and not self._answered:
            self._lost_by = event.reason
        elif isinstance(event, Trouble):
            self._troubles[event.text] = None
        elif isinstance(event, Notice | LeftOut):
            print(f"mtnet: {event}", file=sys.stderr, flush=True)
