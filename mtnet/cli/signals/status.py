"""`mtnet signals status`: who follows and who publishes, what is wrong, and what to do."""

import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import Any

from mtnet.cli import local
from mtnet.cli.output import duration, local_time, print_result, table

IN_TROUBLE = 3
"""Exit status when somebody is offline or must act, as of `mtnet status`."""
URGENT = ("error", "offline")
"""The statuses that lead to it."""
MONEY = ("balance", "equity")
"""Amounts of a REPORT that are shown."""
PAUSED = {
    "close_only": "is paused: it takes only what reduces positions",
    "frozen": "is frozen: it takes nothing",
}


def status(arguments: Namespace) -> None:
    """
    Print everybody with a status and what to do, and what terminals tell about themselves.

    Raises:
        ClientError: no daemon answers.
        SystemExit: somebody is offline, or must act.
    """
    found = local.ask_daemon(arguments, "status")["signals"]
    people = sorted(found["participants"], key=_order)
    lines = [
        f"{name} {PAUSED[row['paused']]}."
        for name, row in found["channels"].items()
        if row["paused"] is not None
    ]
    lines += [f"{sentence}." for sentence in found["diverged"]]
    rows = [row for each in people for row in _rows(each, time.time())]
    lines += table(rows) if rows else ["Nobody follows, and nobody publishes."]
    terminals = [*_terminals(found)]
    lines += table(terminals) if terminals else []
    print_result(arguments, found, "\n".join(lines))
    if any(each["status"] in URGENT for each in people):
        raise SystemExit(IN_TROUBLE)


def _order(row: Mapping[str, Any]) -> tuple[bool, int, str, str]:
    """Sort providers before followers, and the most urgent first."""
    urgency = min((each["priority"] for each in row["warnings"]), default=1_000)
    return row["role"] == "follower", urgency, row["channel"], row["who"]


def _rows(each: Mapping[str, Any], now: float) -> Iterator[dict[str, Any]]:
    """Yield the row of a participant, and one for each further warning."""
    first, *others = [warning["text"] for warning in each["warnings"]] or [""]
    acked = each.get("last_ack")
    yield {
        "status": each["status"],
        "role": each["role"],
        "who": each["who"] or "-",
        "channel": each["channel"],
        "behind": each.get("behind", ""),
        "last ack": "" if acked is None else duration(now - acked / 1000),
        "held/wanted": " ".join(_copy(copy) for copy in each.get("wrong", ())),
        "warning": first,
    }
    for text in others:
        yield {"warning": text}


def _copy(copy: Mapping[str, Any]) -> str:
    name = "#".join(filter(None, (copy["symbol"], copy["ticket"])))
    return f"{name} {'?' if copy['held'] is None else copy['held']}/{copy['wanted']}"


def _terminals(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a row for each terminal that sent a REPORT."""
    for each in found["terminals"].values():
        if each["report"]:
            name = "/".join(filter(None, (each["login"], each["name"])))
            yield _terminal(name, each["report"], local_time(each["time"]))
    for each in found["sessions"]:
        if each["report"] and not each["login"]:
            name = each["name"] or each["peer"]
            yield _terminal(f"{name} (no login)", each["report"], "connected")


def _terminal(name: str, report: Mapping[str, Any], when: str) -> dict[str, Any]:
    currency = report.get("currency", "")
    money = {key: f"{report[key]} {currency}".rstrip() for key in MONEY if key in report}
    return {
        "terminal": name,
        "reported": when,
        "trading": report.get("trading", ""),
        **{key: money.get(key, "") for key in MONEY},
        "account": report.get("account", ""),
        "mode": report.get("mode", ""),
        "build": report.get("build", ""),
    }
