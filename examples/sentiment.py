"""
What clients hold, by HTTP alone: votes with a position of your own, and prints the sums.

    mtnet run --set sentiment.enabled=true
    python examples/sentiment.py EURUSD 0.25

A terminal says this on the port of signals, and is sent the sums each second that they change:

    <<HELLO|v=2>>
    <<HOLD|symbol=EURUSD|volume=0.25>>
    <<SENTIMENTS|symbols=EURUSD>>

A classic program says `<<EURUSD|0.25>>` on the port of sentiment, and is sent `<<EURUSD|TOTAL>>`.
"""

import json
import sys
import time
from contextlib import suppress
from typing import Any
from urllib.parse import quote
from urllib.request import Request, urlopen

SERVER = "http://127.0.0.1:8083"
EVERY = 20.0
"""Seconds between two votes; one that is not sent again counts for a minute."""


def vote(symbol: str, volume: str) -> Any:
    """Say what you hold, in lots, negative = sold; return the sums."""
    body = json.dumps({"volume": volume}).encode()
    path = f"/v1/sentiment/{quote(symbol, safe='')}"
    with urlopen(Request(SERVER + path, body, method="POST"), timeout=10) as answer:
        return json.load(answer)


def main(symbol: str, volume: str) -> None:
    """Vote again and again, and print the sums."""
    while True:
        sums = vote(symbol, volume)
        if sums["clients"]:
            print(symbol, "long", sums["long"], "short", sums["short"], "clients", sums["clients"])
        else:
            print(symbol, "has fewer clients than may be shown")
        time.sleep(EVERY)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*(sys.argv[1:] or ("EURUSD", "0.25")))
