"""`mtnet status`: reports on the running daemon, and exits with 3 when it is not healthy."""

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from mtnet.cli import local, parsers
from mtnet.cli.output import duration, print_result, show, table

HEAD = ("version", "pid", "since", "healthy", "trouble", "warnings")
"""The keys of a status that its first line shows."""
TERMS = {"strangers": "without login", "loopback": "loopback may"}
"""Words for keys, as in the table that the daemon prints at its start; `--json` has the keys."""
WORDED = ("services", "access")
"""The parts that have such keys; elsewhere a channel may be called `loopback`."""
UNHEALTHY = 3
"""Exit status of `mtnet status` when somebody must act."""


def configure(parser: ArgumentParser) -> None:
    """Add the options of `mtnet status`."""
    parsers.set_run(parser, status, "--data /var/lib/mtnet")
    parsers.add_data(parser)
    parsers.add_json(parser)


def status(arguments: Namespace) -> None:
    """
    Print the daemon's report.

    Raises:
        ConfigError: the configuration that names the data folder is wrong.
        ClientError: no daemon answers.
        SystemExit: it is not healthy.
    """
    answer = local.ask_daemon(arguments, "status")
    print_result(arguments, answer, "\n".join(describe(answer, time.time())))
    if not answer.get("healthy", True):
        raise SystemExit(UNHEALTHY)


def describe(answer: Mapping[str, Any], now: float) -> Iterator[str]:
    """
    Yield the lines of a status; keys that this version does not know are shown as they are.

    Args:
        now: seconds since the Unix epoch.
    """
    yield _headline(answer, now)
    for key, value in answer.items():
        if key not in HEAD:
            yield from _lines(key, _worded(value) if key in WORDED else value, "")


def _headline(answer: Mapping[str, Any], now: float) -> str:
    parts = [f"mtnet {answer.get('version', '')}".rstrip()]
    if "pid" in answer:
        parts.append(f"process {answer['pid']}")
    if isinstance(answer.get("since"), int):
        parts.append(f"up {duration(now - answer['since'] / 1000)}")
    if "healthy" in answer:
        parts.append("healthy" if answer["healthy"] else "NOT HEALTHY")
    causes = " ".join([*(answer.get("trouble") or ()), *(answer.get("warnings") or ())])
    return ", ".join(parts) + (f": {causes}" if causes else "")


def _worded(value: object) -> object:
    """Return a part with the words for people instead of its keys."""
    if isinstance(value, dict):
        return {TERMS.get(key, key): _worded(each) for key, each in value.items()}
    return [*map(_worded, value)] if isinstance(value, list) else value


def _lines(key: str, value: object, indent: str) -> Iterator[str]:
    if isinstance(value, dict):
        yield f"{indent}{key}:"
        for inner, each in value.items():
            yield from _lines(inner, each, indent + "  ")
    elif isinstance(value, list) and value and all(isinstance(each, dict) for each in value):
        yield f"{indent}{key}:"
        yield from (f"{indent}  {line}" for line in table(value))
    else:
        yield f"{indent}{key}: {show(value)}"
