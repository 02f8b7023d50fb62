"""
A parameter search spread over programs: which moving averages would have earned most.

    mtnet run --set jobs.enabled=true
    python examples/jobs.py work          (as often as there are processors, on any machine)
    python examples/jobs.py run

A terminal offers a job and is sent its result on the port of signals:

    <<HELLO|v=2>>
    <<RESULTS|queue=search/averages>>
    <<OFFER|queue=search/averages|id=ea-1|data={"fast": 5, "slow": 20}>>

One that works, in OnTimer for example, takes a task and says what came out:

    <<WORK|queue=search/averages>>
    <<RESULT|queue=search/averages|id=ea-1|data={"profit": 0.17}>>
"""

import json
import sys
from contextlib import suppress
from math import sin

from mtnet.client.sync import Terms, run_jobs, work

SERVER, QUEUE = "tcp:127.0.0.1:8081", "search/averages"
PRICES = [1.1 + 0.01 * sin(minute / 40) + 0.002 * sin(minute * 1.7) for minute in range(1_440)]
"""A day of one-minute closes; a real search would read a file here."""


def average(last: int, length: int) -> float:
    """Return the mean of the closes up to one."""
    return sum(PRICES[last - length + 1 : last + 1]) / length


def calculate(data: str) -> str:
    """Return the profit of being long while the fast average is above the slow one."""
    fast, slow = json.loads(data)["fast"], json.loads(data)["slow"]
    profit = 0.0
    for minute in range(slow - 1, len(PRICES) - 1):
        if average(minute, fast) > average(minute, slow):
            profit += PRICES[minute + 1] - PRICES[minute]
    return json.dumps({"profit": round(profit, 5)})


def run() -> None:
    """Offer every pair of lengths, and print the best."""
    jobs = {
        f"{fast}-{slow}": json.dumps({"fast": fast, "slow": slow})
        for fast in range(5, 15)
        for slow in range(20, 60, 4)
    }
    found = {}
    for ended in run_jobs(SERVER, QUEUE, jobs, terms=Terms(timeout=3_600)):
        if ended.dead:
            print(ended.id, "is dead:", ended.text)
        else:
            found[ended.id] = json.loads(ended.text)["profit"]
    best = max(found, key=lambda id: found[id])
    print(f"{len(found)} pairs; the best is {best}: {found[best]}")


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        if sys.argv[1:] == ["work"]:
            work(SERVER, QUEUE, calculate)
        else:
            run()
