"""`mtnet jobs` with a port of sessions in memory."""

import csv
import json
import os
import re
import signal
import subprocess
from types import SimpleNamespace

import pytest
from fakes.daemon import FakeDaemon
from twisted.internet.error import ConnectionRefusedError

from mtnet.callbacks import noop
from mtnet.cli.jobs import tables
from mtnet.cli.jobs.work import Processes
from mtnet.errors import ClientError, JournalError
from mtnet.interfaces import IMetrics
from mtnet.services.jobs.wire import Ended, Task
from mtnet.testing import connect


@pytest.fixture(autouse=True)
def one_clock(monkeypatch):
    """Let the deadlines of the client go by the clock of the test."""
    monkeypatch.setattr("mtnet.client.connection.monotonic", lambda reactor: reactor.seconds())


@pytest.fixture
def daemon(command_line, clock):
    return serve(command_line, clock, "jobs.enabled=true")


@pytest.fixture
def params(tmp_path):
    path = tmp_path / "params.csv"
    path.write_text("fast,slow\n5,20\n6,21\n7,22\n", encoding="utf-8")
    return path


def serve(command_line, clock, *sets):
    daemon = FakeDaemon(command_line.folder, clock, "access.trust_loopback=true", *sets)
    command_line.server = daemon.factory("signals")
    if "jobs.enabled=true" in sets:
        daemon.env.components.services["jobs"].start()
    return daemon


class Peer:
    """A worker or a client in the same daemon, by frames."""

    def __init__(self, daemon):
        self._daemon = daemon
        self.terminal = connect(daemon.factory("signals"), daemon.clock, peer="127.0.0.2")
        self.terminal.send(b"<<HELLO|v=2>>")

    def says(self, *frames):
        return lambda: self.terminal.send(b"".join(frames))


def result(run, number, data):
    return f"<<RESULT|queue=q|id={run}-{number}|data={data}>>".encode()


RUN = ("jobs", "run", "q", "--run", "r")
WORK = b"<<WORK|queue=q|slots=9>>"


def test_results_are_written_in_the_order_of_the_input(command_line, daemon, params, tmp_path):
    output = tmp_path / "results.csv"
    worker = Peer(daemon)
    work = worker.says(
        WORK, result("r", 3, '{"profit": 3}'), result("r", 1, '{"profit": 1}'), result("r", 2, "2")
    )
    ran = command_line(*RUN, "-i", params, "-o", output, at=[(1, work)])
    assert ran == (0, f"3 jobs are done: {output}.\n", "")
    assert output.read_text() == (
        "id,fast,slow,profit,result\nr-1,5,20,1,\nr-2,6,21,,2\nr-3,7,22,3,\n"
    )
    assert b'|data={"fast": "5", "slow": "20"}|lease=30' in worker.terminal.received()


def test_a_second_run_does_nothing_again_and_goes_on(command_line, daemon, params, tmp_path):
    output = tmp_path / "results.jsonl"
    worker = Peer(daemon)
    first = worker.says(WORK, result("r", 1, "a"), result("r", 3, "c"))
    offers = (*RUN, "-i", params, "-o", output)
    with pytest.raises(AssertionError):  # it waits for the second job until the test gives up
        command_line(*offers, at=[(1, first)])
    second = Peer(daemon).says(WORK, result("r", 2, "b"))
    assert command_line(*offers, at=[(1, second)]).status == 0
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(row["id"], row["result"]) for row in rows] == [
        ("r-1", "a"), ("r-2", "b"), ("r-3", "c"),
    ]  # fmt: skip
    again = command_line(*offers, "--json")
    assert json.loads(again.out) == {"done": 3, "dead": 0, "output": str(output)}


def test_a_run_that_was_interrupted_writes_nothing_and_is_gone_on_with(
    command_line, daemon, params, tmp_path
):
    output, worker = tmp_path / "out.csv", Peer(daemon)
    offers = (*RUN, "-i", params, "-o", output)
    at = [(1, worker.says(WORK, result("r", 1, "a"))), (2, command_line.interrupt)]
    assert command_line(*offers, at=at) == (130, "", "")
    assert not output.exists()
    rest = worker.says(result("r", 2, "b"), result("r", 3, "c"))
    assert command_line(*offers, at=[(1, rest)]).status == 0
    with output.open() as file:
        assert [row["result"] for row in csv.DictReader(file)] == ["a", "b", "c"]


def test_lost_connections_lose_no_result(command_line, daemon, params, tmp_path):
    worker = Peer(daemon)

    def cut():
        command_line.endpoint.connections[-1].cut()
        worker.says(result("r", 2, "b"), result("r", 3, "c"))()

    ran = command_line(
        *RUN, "-i", params, "-o", tmp_path / "out.csv",
        at=[(1, worker.says(WORK, result("r", 1, "a"))), (2, cut)],
    )  # fmt: skip
    assert ran.status == 0
    with (tmp_path / "out.csv").open() as file:
        assert [row["result"] for row in csv.DictReader(file)] == ["a", "b", "c"]


def test_dead_jobs_have_their_reason_and_the_status_says_so(command_line, daemon, params, tmp_path):
    output = tmp_path / "out.csv"
    fail = b"<<FAIL|queue=q|id=r-2|reason=division by zero>>"
    work = Peer(daemon).says(WORK, result("r", 1, "a"), fail, result("r", 3, "c"))
    ran = command_line(*RUN, "-i", params, "-o", output, "--tries", "1", at=[(1, work)])
    assert ran.status == 1
    assert f"1 of 3 jobs are dead: {output} says why, and `mtnet jobs retry q`" in ran.error
    assert "r-2,6,21,,division by zero" in output.read_text()


def test_a_server_that_is_full_is_asked_again(command_line, clock, params, tmp_path):
    daemon = serve(command_line, clock, "jobs.enabled=true", "jobs.max_open=2")
    worker = Peer(daemon)
    first = worker.says(WORK, result("r", 1, "a"), result("r", 2, "b"))
    third = worker.says(result("r", 3, "c"))
    ran = command_line(*RUN, "-i", params, "-o", tmp_path / "out.csv", at=[(1, first), (5, third)])
    assert ran.status == 0


def test_lines_of_a_text_file_are_jobs(command_line, daemon, tmp_path):
    (tmp_path / "in.txt").write_text("a b\n\nc\n")
    work = Peer(daemon).says(WORK, result("r", 1, "[1]"), result("r", 2, "x"))
    output = tmp_path / "out.jsonl"
    assert command_line(*RUN, "-i", tmp_path / "in.txt", "-o", output, at=[(1, work)]).status == 0
    assert [json.loads(line) for line in output.read_text().splitlines()] == [
        {"id": "r-1", "data": "a b", "result": [1]},
        {"id": "r-2", "data": "c", "result": "x"},
    ]


def test_ids_are_made_of_the_input_when_nobody_names_the_run(
    command_line, daemon, params, tmp_path
):
    name = "1b4d2e2d5d4a"
    seen = Peer(daemon)
    with pytest.raises(AssertionError):
        command_line(
            "jobs", "run", "q", "-i", params, "-o", tmp_path / "x", at=[(1, seen.says(WORK))]
        )
    task = seen.terminal.received().partition(b"TASK|queue=q|id=")[2]
    name, _, number = task.partition(b"|")[0].partition(b"-")
    assert (len(name), number) == (12, b"1")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "cannot be read"),
        (b"\xff\xfe", "cannot be read"),
        (b"a,b\n", "has no job"),
        (b"a,b\n1,2,3\n", "has more cells than columns in row 1"),
        (b"a\n" + b"x" * 7_000, "In OFFER data has at most 6000 bytes"),
    ],
)
def test_an_input_that_cannot_be_used_is_named(command_line, daemon, tmp_path, content, sentence):
    path = tmp_path / "in.csv"
    if content is not None:
        path.write_bytes(content)
    ran = command_line("jobs", "run", "q", "-i", path, "-o", tmp_path / "out.csv")
    assert ran.status == 1
    assert sentence in ran.error


@pytest.mark.parametrize("output", ["missing/out.csv", "."])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_offered(
    command_line, daemon, params, tmp_path, output
):
    words = ("--input", str(params), "-o", str(tmp_path / output))
    refused = command_line(*RUN, *words)
    assert (refused.status, refused.out) == (1, "")
    assert f"{tmp_path / output} cannot be written" in refused.error
    command_line.attach(daemon.env.components.commands())
    assert command_line.on_folder("jobs", "list").out == "There is no queue.\n"


def test_the_same_ids_with_other_data_are_refused(command_line, daemon, params, tmp_path):
    Peer(daemon).says(b"<<OFFER|queue=q|id=r-1|data=other>>")()
    ran = command_line(*RUN, "-i", params, "-o", tmp_path / "out.csv")
    assert ran.status == 1
    assert "q has a job r-1 with other data" in ran.error


# Work


def offers(daemon, *ids):
    peer = Peer(daemon)
    frames = [f"<<OFFER|queue=q|id={id}|data=a {id}|tries=1>>".encode() for id in ids]
    peer.says(b"<<RESULTS|queue=q>>", *frames)()
    daemon.clock.advance(0)
    return peer


DO = ("jobs", "work", "q", "--seconds", "30")


def test_a_task_is_a_command_with_its_data_on_stdin(command_line, daemon):
    peer = offers(daemon, 1, 2)
    assert command_line(*DO, "--", "sh", "-c", 'tr a A; echo "$MTNET_QUEUE $0"', "x") == (0, "", "")
    ends = peer.terminal.received()
    assert b"DONE|queue=q|id=1|seq=1|data=A 1q x|" in ends or b"id=1|seq=2|data=A 1q x|" in ends
    assert b"|data=A 2q x|" in ends


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("printf '%3000s\\nno such file\\n' x >&2; exit 1", rb"exit status 1: *x%0Ano such file\|"),
        ("exit 1", rb"exit status 1\|"),
        ("kill -9 $$", rb"signal 9\|"),
        ("printf %6001s x", rb"In RESULT data has at most 6000 bytes, not 6001\.\|"),
        ("printf %70000s x", rb"The command wrote more than 65536 bytes\|"),
        ("exec 1>&- 2>&-; sleep 0.01; exit 3", rb"exit status 3\|"),
    ],
)
def test_a_command_that_fails_says_why(command_line, daemon, script, reason):
    peer = offers(daemon, 1)
    assert command_line(*DO, "--", "sh", "-c", script).status == 0
    found = re.search(rb"DEAD\|queue=q\|id=1\|seq=1\|reason=" + reason, peer.terminal.received())
    assert found is not None
    assert len(found[0]) < 560


def test_a_command_that_does_not_exist_is_said(command_line, daemon):
    peer = offers(daemon, 1)
    assert command_line(*DO, "--", "/no/such/program").status == 0
    said = rb"reason=/no/such/program does not start: .*No such file or directory"
    assert re.search(said, peer.terminal.received())


def test_a_task_that_comes_again_while_it_is_under_way_begins_anew():
    processes = Processes(["sleep", "60"], None)
    processes.begin(SimpleNamespace(watch=noop, unwatch=noop, send=noop))
    task, started = Task("q", "1", "a", 30, 1), []
    for _ in range(2):
        processes.start(task)
        started.append(processes._running["1"]._process)
    assert (started[0].returncode, started[1].returncode) == (-9, None)
    processes.kill_all()
    assert started[1].returncode == -9


def test_a_signal_while_a_command_starts_leaves_no_command_behind(
    command_line, daemon, tmp_path, monkeypatch
):
    offers(daemon, 1)
    started, popen = [], subprocess.Popen

    def start(*command, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        started.append(popen(*command, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start)
    assert command_line(*DO, "--", "sleep", "60").status == 130
    assert started[0].returncode == -9


def test_a_command_that_lasts_longer_than_its_lease_keeps_its_task(command_line, daemon, tmp_path):
    offers(daemon, 1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    command_line.waits_for_files = False

    def end():
        os.write(writer, b"late\n")
        command_line.waits_for_files = True

    command_line(
        "jobs", "work", "q", "--seconds", "120", "--", "sh", "-c", 'read x <"$0"; echo $x', pipe,
        at=[(100, end)],
    )  # fmt: skip
    os.close(writer)
    (row,) = IMetrics(daemon.env.components.services["jobs"])._jobs._store.results("q", 0, 9)
    assert (row.text, row.took // 1_000) == ("late", 100)


def test_commands_end_with_the_connection_that_gave_them(command_line, daemon, tmp_path):
    offers(daemon, 1)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR)
    command_line.waits_for_files = False
    process = []

    def cut():
        process.append(int(os.read(reader, 20)))
        command_line.endpoint.connections[-1].cut()

    command_line(*DO, "--", "sh", "-c", 'echo $$ >"$0"; exec sleep 60', pipe, at=[(5, cut)])
    os.close(reader)
    with pytest.raises(ProcessLookupError):
        os.kill(process[0], 0)


@pytest.mark.parametrize(
    "words", [("run", "q", "-i", "{params}", "-o", "x.csv"), ("work", "q", "--", "x")]
)
def test_where_jobs_are_off_both_say_so(command_line, clock, params, words):
    serve(command_line, clock)
    refused = command_line("jobs", *(each.format(params=params) for each in words))
    assert (refused.status, refused.out) == (1, "")
    assert "The server offers this login no jobs (denied)." in refused.error


def test_without_a_server_the_sentence_names_it(command_line):
    command_line.server = ConnectionRefusedError()
    refused = command_line("jobs", "work", "q", "x")
    assert refused.status == 1
    assert "No connection to tcp:127.0.0.1:8081" in refused.error


# The owner


def test_the_owner_lists_shows_retries_and_purges(command_line, daemon):
    command_line.attach(daemon.env.components.commands())

    def owner(*words):
        return command_line.on_folder("jobs", *words).out

    assert owner("list") == "There is no queue.\n"
    assert owner("show", "q") == "There is no job.\n"
    offers(daemon, 1, 2, 3)
    worker = Peer(daemon)
    worker.says(b"<<WORK|queue=q|slots=2>>")()
    worker.says(b"<<RESULT|queue=q|id=1|data=%b>>" % (b"y" * 70))()
    worker.says(b"<<FAIL|queue=q|id=2|reason=no>>")()
    daemon.clock.advance(0)
    (row,) = json.loads(owner("list", "--json"))
    assert row == {"queue": "q", "open": 1, "running": 1, "workers": 1, "ended": 2, "dead": 1}
    lines = owner("show", "q").splitlines()
    assert lines[1].split()[:2] == ["3", "running"]
    assert lines[2].endswith("y…")
    assert lines[3].split()[-1] == "no"
    assert "data: a 1" in owner("show", "q", "1").splitlines()
    assert "state: running" in owner("show", "q", "3").splitlines()
    assert owner("retry", "q") == "1 dead jobs are offered again.\n"
    daemon.clock.advance(0)
    worker.says(b"<<RESULT|queue=q|id=2|data=z>>")()
    assert owner("purge", "q") == "2 ended jobs are removed.\n"
    assert owner("purge", "q", "--open") == "1 ended jobs are removed.\n"
    assert "has no job 9" in command_line.on_folder("jobs", "show", "q", "9").error


def test_results_that_cannot_be_written_are_one_sentence(tmp_path, params):
    inputs = tables.read_input(params, "run")
    ends = {
        each.id: Ended("q", each.id, number, False, "1.5") for number, each in enumerate(inputs)
    }
    target = tmp_path / "folder.csv"
    target.mkdir()
    with pytest.raises(JournalError, match=re.escape(f"{target} cannot be written: ")):
        tables.write_output(target, inputs, ends)
    tables.write_output(tmp_path / "out.csv", inputs, ends)
    assert len((tmp_path / "out.csv").read_text().splitlines()) == len(inputs) + 1


@pytest.mark.parametrize("content", [b"", b"fast,slow\n", b"\xff\xfe"])
def test_a_file_without_a_job_is_refused_by_its_name(tmp_path, content):
    path = tmp_path / "params.csv"
    path.write_bytes(content)
    with pytest.raises(ClientError, match=re.escape(str(path))):
        tables.read_input(path, None)
