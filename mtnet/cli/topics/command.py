"""`mtnet topics`: messages between clients."""

from argparse import ArgumentParser, Namespace

from mtnet.cli import local, parsers, server_options
from mtnet.cli.output import print_result, table

SERVER = "tcp:127.0.0.1:8081"
"""The daemon's default endpoint of sessions."""


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet topics`."""
    parser.description = "Sends and prints messages between clients, and lists topics."
    topics = parsers.group(parser)
    summary, example = "send a message to the members of a topic", 'desk/eurusd "above 1.10"'
    send = server_options.add(
        topics, "send", "mtnet.cli.topics.sessions:send", SERVER, summary, example
    )
    send.add_argument("topic", metavar="TOPIC")
    send.add_argument("data", metavar="DATA", help="any text; an empty one removes what is kept")
    send.add_argument("--key", metavar="KEY", default="", help="name of the value that is kept")
    send.add_argument("--retain", action="store_true", help="keep it for members that come later")
    send.add_argument("--to", metavar="MEMBER", default="", help="the only one who gets it")
    summary = "print the messages of a topic, or of a pattern, until Ctrl-C"
    join = server_options.add(
        topics, "join", "mtnet.cli.topics.sessions:join", SERVER, summary, "'desk/*'"
    )
    join.add_argument("topic", metavar="TOPIC", help="or a pattern, such as 'desk/*'")
    join.add_argument(
        "--after", metavar="SEQ", type=int, help="begin behind this message; 0: with the oldest"
    )
    join.add_argument("--presence", action="store_true", help="print who joins and leaves, too")
    join.add_argument(
        "--seconds", metavar="N", type=server_options.seconds, help="stop after this many seconds"
    )
    parsers.add_json(local.add(topics, "list", show, "list the topics of the daemon"))


def show(arguments: Namespace) -> None:
    """
    Print the topics.

    Raises:
        ClientError: no daemon runs, or topics are off.
    """
    rows = local.ask_daemon(arguments, "topics list")
    print_result(arguments, rows, "\n".join(table(rows)) if rows else "There is no topic.")
