"""
An indicator computed outside the terminal, by HTTP alone: the average of the last closes.

    mtnet run --set indicators.enabled=true
    python examples/indicators.py EURUSD H1

A terminal gives the close of each bar, the open one's too, as it changes, and draws the average.
It says this on the port of signals, with the broker's times in milliseconds:

    <<HELLO|v=2>>
    <<INDICATOR|name=average14|symbol=EURUSD|period=H1|bars=500>>
    <<CALC|name=close|symbol=EURUSD|period=H1|bar=1796029200000|values=1.0987>>
    <<CALC|name=close|symbol=EURUSD|period=H1|bar=1796032800000|values=1.0991|open=1>>

and is sent each average once this program has computed it:

    <<VALUE|name=average14|symbol=EURUSD|period=H1|bar=1796032800000|values=1.0989|open=1>>
"""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.request import Request, urlopen

SERVER = "http://127.0.0.1:8083"
WAIT = 30
"""Seconds that the server may wait for the next value."""


def ask(method: str, path: str, body: object = None) -> Any:
    """Return the answer of the server to a request."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(SERVER + path, data, method=method), timeout=WAIT + 10) as answer:
        return json.load(answer)


def changes(path: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the values of the last bars, and then what has changed, each time anything has."""
    known = {"epoch": "", "seq": 0}
    query = ""
    while True:
        known = ask("GET", path + query)
        yield known["values"]
        query = f"?epoch={known['epoch']}&after={known['seq']}&wait={WAIT}"


def average(closes: list[float]) -> float | None:
    """Return the mean of closes; None = a bar is missing."""
    return round(sum(closes) / len(closes), 10) if closes else None


def main(symbol: str, period: str, length: int = 14) -> None:
    """Follow the closes, and give the server the average of each bar that changes."""
    closes: dict[int, float] = {}
    for changed in changes(f"/v1/indicators/close/{symbol}/{period}"):
        closes |= {each["bar"]: float(each["values"][0]) for each in changed if each["values"][0]}
        bars = sorted(closes)
        values = []
        for each in changed:
            upto = [closes[bar] for bar in bars if bar <= each["bar"]][-length:]
            mean = average(upto) if len(upto) == length else None
            values.append({"bar": each["bar"], "values": [mean], "open": each.get("open", False)})
            print(each["bar"], mean, flush=True)
        if values:
            ask("POST", f"/v1/indicators/average{length}/{symbol}/{period}", {"values": values})


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(*sys.argv[1:3]) if len(sys.argv) > 2 else main("EURUSD", "H1")
