"""`mtnet jobs run`."""

from argparse import Namespace
from collections.abc import Callable
from typing import Any

from mtnet.callbacks import noop
from mtnet.cli import remote
from mtnet.cli.jobs.tables import check_output, read_input, write_output
from mtnet.cli.output import print_result, progress_bar
from mtnet.client.core.tasks.jobs import FATAL, Full, OfferCore, Offering, Terms
from mtnet.errors import ClientError
from mtnet.services.jobs.wire import Ended


def run(arguments: Namespace) -> None:
    """
    Offer the jobs of a file, wait until each has ended, and write what became of them.

    Raises:
        ClientError: a file cannot be read or written, the server refuses, or a job is dead.
    """
    inputs = read_input(arguments.input, arguments.name)
    check_output(arguments.output)
    terms = Terms(arguments.replicas, arguments.timeout, arguments.tries)
    offering = Offering(arguments.queue, {each.id: each.data for each in inputs}, terms)
    ends: dict[str, Ended] = {}
    watch = remote.StreamReporter(arguments.server)
    with progress_bar(" jobs", len(inputs)) as bar:

        def ended(event: Ended) -> None:
            ends[event.id] = event
            bar.update()
            if not offering.open:
                watch.end()

        full = _Once(lambda event: watch.note(f"{event.text}."))
        handle = remote.reported(watch, {Ended: ended, Full: full}, FATAL)
        core = OfferCore(offering, arguments.account)
        remote.converse(arguments, core, handle, lambda: watch.over, None)
    watch.check()
    write_output(arguments.output, inputs, ends)
    _report(arguments, ends)


def _report(arguments: Namespace, ends: dict[str, Ended]) -> None:
    dead = sum(each.dead for each in ends.values())
    values = {"done": len(ends) - dead, "dead": dead, "output": str(arguments.output)}
    print_result(arguments, values, f"{values['done']} jobs are done: {arguments.output}.")
    if dead:
        raise ClientError(
            f"{dead} of {len(ends)} jobs are dead: {arguments.output} says why, and "
            f"`mtnet jobs retry {arguments.queue}` offers them again."
        )


class _Once:
    """Calls a function with the first event alone."""

    def __init__(self, call: Callable[[Any], object]) -> None:
        self._call = call

    def __call__(self, event: object) -> None:
        call, self._call = self._call, noop
        call(event)
