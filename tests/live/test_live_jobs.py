"""Jobs with real processes: workers and the daemon are killed, and programs share a search."""

import asyncio
import csv
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path

from mtnet.client import aio, sync

ROOT = Path(__file__).parent.parent.parent
JOBS = 300


def environment():
    return {key: value for key, value in os.environ.items() if not key.startswith("MTNET_")}


def test_each_job_ends_once_while_workers_and_the_daemon_are_killed(tmp_path):
    command = [
        *(sys.executable, str(ROOT / "bench" / "jobs.py"), "kills", "--jobs", str(JOBS)),
        *("--every", "0.5", "--first", "1", "--daemon-kills", "1", "--folder", str(tmp_path)),
    ]
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=600, check=False, env=environment()
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads(ended.stdout)
    assert report["done"] + report["dead"] == JOBS
    assert not any(report["problems"].values())
    assert report["workers killed"] > 0


def test_the_command_line_makes_a_table_of_a_table(daemon, tmp_path):
    daemon.start("--set=jobs.enabled=true")
    server = f"tcp:127.0.0.1:{daemon.port('signals')}"
    (tmp_path / "in.csv").write_text("a,b\n" + "".join(f"{n},{n * n}\n" for n in range(20)))
    calculate = (
        "import json, sys\n"
        "row = json.load(sys.stdin)\n"
        "if row['a'] == '7': sys.exit('no seven')\n"
        "print(json.dumps({'sum': int(row['a']) + int(row['b'])}))\n"
    )
    (tmp_path / "calculate.py").write_text(calculate)
    mtnet = (sys.executable, "-m", "mtnet", "jobs")
    worker = subprocess.Popen(
        [
            *(*mtnet, "work", "sums", "--server", server, "--slots", "3", "--"),
            *(sys.executable, "-S", str(tmp_path / "calculate.py")),
        ],
        env=environment(),
    )
    try:
        ran = subprocess.run(
            [
                *(*mtnet, "run", "sums", "--server", server, "--tries", "1", "--run", "r"),
                *("-i", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv")),
            ],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env=environment(),
        )
    finally:
        worker.send_signal(signal.SIGINT)
        worker.wait()
    assert ran.returncode == 1
    assert "1 of 20 jobs are dead" in ran.stderr
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [f"r-{n + 1}" for n in range(20)]
    for n, row in enumerate(rows):
        if n == 7:
            assert row["error"] == "exit status 1: no seven"
        else:
            assert int(row["sum"]) == n + n * n


def test_the_example_finds_the_same_as_one_process(daemon, monkeypatch, capsys):
    daemon.start("--set=jobs.enabled=true")
    example = runpy.run_path(str(ROOT / "examples" / "jobs.py"))
    server = f"tcp:127.0.0.1:{daemon.port('signals')}"
    monkeypatch.setitem(example["run"].__globals__, "SERVER", server)
    workers = [sync.JobWorker(server, example["QUEUE"], slots=2) for _ in range(3)]

    def work(worker):
        for task in worker:
            worker.result(task, example["calculate"](task.data))

    threads = [threading.Thread(target=work, args=(each,)) for each in workers]
    for each in threads:
        each.start()
    example["run"]()
    for each in (*workers, *threads):
        each.close() if each in workers else each.join()
    pairs = [(fast, slow) for fast in range(5, 15) for slow in range(20, 60, 4)]
    profits = {
        f"{fast}-{slow}": json.loads(
            example["calculate"](json.dumps({"fast": fast, "slow": slow}))
        )["profit"]
        for fast, slow in pairs
    }
    best = max(profits, key=lambda id: profits[id])
    assert "100 pairs; the best is " in (out := capsys.readouterr().out)
    assert out.rstrip().endswith(f": {profits[best]}")


def test_an_asyncio_worker_says_why_a_calculation_failed(daemon):
    daemon.start("--set=jobs.enabled=true")
    server = f"tcp:127.0.0.1:{daemon.port('signals')}"

    def halve(data):
        return str(100 // int(data))

    async def main():
        worker = asyncio.create_task(aio.work(server, "q", halve, 2))
        jobs = {str(number): str(number) for number in range(5)}
        terms = aio.Terms(tries=2)
        ends = {each.id: each async for each in aio.run_jobs(server, "q", jobs, terms=terms)}
        worker.cancel()
        return ends

    ends = asyncio.run(asyncio.wait_for(main(), 60))
    assert ends["0"].dead
    assert ends["0"].text.startswith("ZeroDivisionError: ")
    assert [ends[str(number)].text for number in range(1, 5)] == ["100", "50", "33", "25"]
