"""`mtnet jobs`: calculations that clients share."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtnet.cli import local, parsers, server_options
from mtnet.cli.output import local_time, print_result, table

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands

SERVER = "tcp:127.0.0.1:8081"
"""The daemon's default endpoint of sessions."""
DAY = 86_400
"""Seconds: the time-out of the jobs of `jobs run`, which wait for each other."""
SHOWN = 60
"""Characters of a result or a reason in a table."""


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet jobs`."""
    parser.description = "Spreads calculations over workers, and shows what becomes of them."
    jobs = parsers.group(parser)
    _add_run(jobs)
    _add_work(jobs)
    summary = "list the queues of the daemon"
    parsers.add_json(local.add(jobs, "list", list_queues, summary))
    summary = "list the open jobs and the last results of a queue, or show one job"
    show = local.add(jobs, "show", show_jobs, summary, "search/eurusd")
    _add_queue(show)
    show.add_argument("id", metavar="ID", nargs="?")
    parsers.add_json(show)
    summary = "offer dead jobs of a queue again, one or all"
    retry = local.add(jobs, "retry", retry_jobs, summary, "search/eurusd")
    _add_queue(retry)
    retry.add_argument("id", metavar="ID", nargs="?")
    parsers.add_json(retry)
    summary = "remove the ended jobs of a queue"
    purge = local.add(jobs, "purge", purge_jobs, summary, "search/eurusd")
    _add_queue(purge)
    purge.add_argument("--open", action="store_true", help="the open ones too: they are dead first")
    parsers.add_json(purge)


def _add_run(jobs: "Commands") -> None:
    summary = "offer a job for each line of a file, and write the results in its order"
    run = server_options.add(
        jobs,
        "run",
        "mtnet.cli.jobs.run:run",
        SERVER,
        summary,
        "search/eurusd --input params.csv -o results.csv",
    )
    _add_queue(run)
    run.add_argument(
        "-i",
        "--input",
        metavar="FILE",
        type=Path,
        required=True,
        help=".csv: the data of each job is a JSON object of a row; else each line is the data",
    )
    run.add_argument(
        "-o", "--output", metavar="FILE", type=Path, required=True, help=".csv or .jsonl"
    )
    run.add_argument(
        "--run",
        metavar="NAME",
        dest="name",
        help="begins the ids of the jobs; what has ended by them is not done again "
        "(default: a digest of the input)",
    )
    for option, default, text in (
        ("--replicas", 1, "equal results that are wanted, each by another worker"),
        ("--timeout", DAY, "seconds after which a job is dead"),
        ("--tries", 3, "failed tries after which a job is dead"),
    ):
        run.add_argument(
            option, metavar="N", type=int, default=default, help=f"{text} (default: {default})"
        )


def _add_work(jobs: "Commands") -> None:
    summary = "carry out jobs by a command: data on its stdin, the result on its stdout"
    work = server_options.add(
        jobs,
        "work",
        "mtnet.cli.jobs.work:work",
        SERVER,
        summary,
        "search/eurusd --slots 4 -- python backtest.py",
    )
    _add_queue(work)
    work.add_argument("command", metavar="COMMAND", nargs="+", help="with its arguments")
    work.add_argument(
        "--slots", metavar="N", type=int, default=1, help="commands at once (default: 1)"
    )
    work.add_argument(
        "--seconds", metavar="N", type=server_options.seconds, help="stop after this many seconds"
    )


def _add_queue(parser: ArgumentParser) -> None:
    parser.add_argument("queue", metavar="QUEUE", help="such as search/eurusd")


def list_queues(arguments: Namespace) -> None:
    """
    Print the queues.

    Raises:
        ClientError: no daemon runs, or jobs are off; as all of these commands.
    """
    rows = local.ask_daemon(arguments, "jobs list")
    print_result(arguments, rows, "\n".join(table(rows)) if rows else "There is no queue.")


def show_jobs(arguments: Namespace) -> None:
    """Print the jobs of a queue, or one of them whole."""
    rows = local.ask_daemon(arguments, "jobs show", queue=arguments.queue, id=arguments.id)
    if arguments.id is not None:
        text = "\n".join(f"{key}: {value}" for key, value in _readable(rows[0]).items())
    else:
        text = "\n".join(table([_short(row) for row in rows])) if rows else "There is no job."
    print_result(arguments, rows, text)


def retry_jobs(arguments: Namespace) -> None:
    """Offer dead jobs again."""
    count = local.ask_daemon(arguments, "jobs retry", queue=arguments.queue, id=arguments.id)
    print_result(arguments, {"jobs": count}, f"{count} dead jobs are offered again.")


def purge_jobs(arguments: Namespace) -> None:
    """Remove ended jobs."""
    count = local.ask_daemon(arguments, "jobs purge", queue=arguments.queue, open=arguments.open)
    print_result(arguments, {"jobs": count}, f"{count} ended jobs are removed.")


def _readable(row: dict[str, Any]) -> dict[str, Any]:
    if "deadline" in row:
        return {**row, "deadline": local_time(row["deadline"])}
    return row


def _short(row: dict[str, Any]) -> dict[str, Any]:
    end = str(row.get("result", row.get("reason", "")))
    end = end if len(end) <= SHOWN else f"{end[: SHOWN - 1]}…"
    by = row.get("by") or ", ".join(row.get("workers", ()))
    return {"id": row["id"], "state": row["state"], "by": by, "result or reason": end}
