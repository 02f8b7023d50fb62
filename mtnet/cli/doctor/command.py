"""`mtnet doctor`: diagnoses the connection from this machine to a server."""

from argparse import ArgumentParser

from mtnet.cli import parsers
from mtnet.cli.doctor.ports import DEFAULTS


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of `mtnet doctor`."""
    parsers.set_run(parser, parsers.later("mtnet.cli.doctor.diagnosis:doctor"), "fx.example:8081")
    parser.description = (
        "Connects to a server as terminals do, and prints what is wrong and what to do. It "
        "publishes, stores and changes nothing."
    )
    parser.add_argument(
        "target",
        metavar="HOST[:PORT]",
        help=f"without PORT: {', '.join(map(str, DEFAULTS))}",
    )
    parsers.add_ca(parser)
    parsers.add_json(parser)
