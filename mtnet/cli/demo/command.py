"""`mtnet demo`: runs every service at once on this machine, with made-up ticks."""

from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from mtnet.cli import parsers, server_options

FASTEST = 1_000.0


def configure(parser: ArgumentParser) -> None:
    """Add the options of `mtnet demo`."""
    parsers.set_run(parser, parsers.later("mtnet.cli.demo.show:demo"), "--seconds 60")
    parser.add_argument(
        "--speed", metavar="X", type=_speed, default=1.0, help="10 = ten times faster"
    )
    parser.add_argument(
        "--seconds",
        metavar="N",
        type=server_options.seconds,
        default=20.0,
        help="stop after so long (default %(default)g)",
    )
    parser.add_argument("--stay", action="store_true", help="go on until Ctrl-C")
    parser.add_argument(
        "--ticks",
        metavar="FILE",
        type=Path,
        help="replay what MetaTrader 5 exported, such as EURUSD_2019.tsv",
    )
    parser.add_argument(
        "-d", "--data", metavar="DIR", type=Path, help="keep what is stored in this new folder"
    )


def _speed(text: str) -> float:
    number = float(text)
    if not 0 < number <= FASTEST:
        raise ArgumentTypeError(
            f"invalid speed {text}, expected more than 0 and at most {FASTEST:g}"
        )
    return number
