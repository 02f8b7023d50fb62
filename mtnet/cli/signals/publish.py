"""`mtnet signals publish`: one signal, in a fifth of a second."""

import sys
from argparse import Namespace

from mtnet.cli import remote
from mtnet.cli.output import print_result
from mtnet.cli.server_options import unanswered
from mtnet.cli.signals.channels import FIELDS
from mtnet.client.core.events import HANDED_ON, Connected, Failed, Lost, Stored, Trouble
from mtnet.client.core.publisher import PublisherCore
from mtnet.client.core.session import Session
from mtnet.errors import ClientError
from mtnet.services.signals.values import Take

TIMEOUT = 10.0
"""Seconds until a signal must be confirmed."""
UNSURE = f"Not confirmed within {TIMEOUT:g} s; it may still be stored later."


def publish(arguments: Namespace) -> None:
    """
    Publish one position.

    Raises:
        ClientError: it is refused, or not confirmed in time.
    """
    take: Take = "1" if arguments.take else "0"
    core = PublisherCore(Session("", arguments.account), arguments.channel, take, None)
    seq = Publication(core, arguments).run()
    values = {"symbol": arguments.symbol, "volume": arguments.volume, "seq": seq}
    print_result(arguments, values, f"Stored: {arguments.symbol} {arguments.volume}")


class Publication:
    """One signal, and a publisher that runs until it is stored or refused."""

    def __init__(self, core: PublisherCore, arguments: Namespace) -> None:
        self._core, self._arguments = core, arguments
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
        asked = self._arguments
        found = {name: getattr(asked, name) for name in FIELDS}
        fields = {name: value for name, value in found.items() if value is not None}
        self._core.publish(
            asked.symbol, asked.volume, None, asked.ticket, asked.type, asked.id, fields
        )
        remote.converse(asked, self._core, self._handle, self._done, TIMEOUT, speaks_http=True)
        if self._seq is None:
            raise self._failure()
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
        elif isinstance(event, HANDED_ON):
            print(f"mtnet: {event}", file=sys.stderr, flush=True)
