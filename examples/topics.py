"""
Messages between terminals and programs, by HTTP alone: prints a topic, and answers what it asks.

    mtnet run --set topics.enabled=true
    python examples/topics.py desk/eurusd

A terminal says this on the port of signals, and is sent what the program answers:

    <<HELLO|v=2>>
    <<JOIN|topic=desk/eurusd>>
    <<SEND|topic=desk/eurusd|data=ping>>

A program that has no session sends by the command line: `mtnet topics send desk/eurusd ping`.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

SERVER = "http://127.0.0.1:8083"
WAIT = 30
"""Seconds that the server may wait for the next message."""


def ask(method: str, path: str, body: object = None) -> Any:
    """Return the answer of the server to a request."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(SERVER + path, data, method=method), timeout=WAIT + 10) as answer:
        return json.load(answer)


def messages(topic: str) -> Iterator[dict[str, Any]]:
    """Yield each message from now on; after a start of the server those that it has by then."""
    path = f"/v1/topics/{quote(topic, safe='')}"
    known = ask("GET", path)
    while True:
        query = f"?epoch={known['epoch']}&after={known['seq']}&wait={WAIT}"
        known = ask("GET", path + query)
        yield from known["messages"]


def main(topic: str) -> None:
    """Print messages, and answer `ping` with `pong`."""
    for message in messages(topic):
        print(message["seq"], message["from"], message["data"], flush=True)
        if message["data"] == "ping":
            ask("POST", f"/v1/topics/{quote(topic, safe='')}", {"data": "pong"})


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(sys.argv[1] if len(sys.argv) > 1 else "desk/eurusd")
