"""The verbs of jobs: bytes in, bytes out, in a daemon without sockets."""

import re

import pytest
from fakes.daemon import FakeDaemon, hello
from zope.interface.verify import verifyObject

from mtnet.errors import JournalError
from mtnet.interfaces import (
    IBackup,
    IControlCommands,
    IHttpResources,
    IMetrics,
    ISessionVerbs,
    IStatus,
)
from mtnet.plugins.jobs import jobs as plugin
from mtnet.services.jobs.store import JobStore
from mtnet.storage.sqlite import Database

ON = "jobs.enabled=true"
GRANTS = {
    "ann": ("submitter",),
    "bob": ("worker",),
    "carl": ("worker",),
    "dora": ("worker",),
    "eve": ("send:jobs/other", "publish:jobs/q", "read:jobs/other"),
    "fred": ("send", "publish", "read"),
}


@pytest.fixture
def daemon(tmp_path, clock):
    return start(tmp_path, clock)


def start(tmp_path, clock, *sets):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, *sets, grants=GRANTS)
    service(daemon).start()
    return daemon


def service(daemon):
    return daemon.env.components.services["jobs"]


def enter(daemon, login):
    """Return a session that was welcomed, as a function: bytes in, bytes out."""
    terminal = daemon.dial("signals")
    assert b"jobs" in daemon.say(terminal, hello(login))

    def say(*frames):
        terminal.transport.drain()
        return re.sub(rb"<<PING.*\r\n", b"", daemon.say(terminal, b"".join(frames)))

    say.terminal = terminal
    return say


def offer(id, data="x", more=""):
    return f"<<OFFER|queue=q|id={id}|data={data}{more}>>".encode()


def work(slots=1):
    return b"<<WORK|queue=q|slots=%d>>" % slots


def result(id, data="y"):
    return f"<<RESULT|queue=q|id={id}|data={data}>>".encode()


def task(id, data="x", attempt=1, lease=30):
    return f"<<TASK|queue=q|id={id}|data={data}|lease={lease}|try={attempt}>>\r\n".encode()


def taken(id, late=False):
    return f"<<TAKEN|queue=q|id={id}{'|late=1' if late else ''}>>\r\n".encode()


def done(id, seq, data="y", by="bob", took=0):
    text = f"DONE|queue=q|id={id}|seq={seq}|data={data}|by={by}|took={took}"
    return f"<<{text}>>\r\n".encode()


def dead(id, seq, reason, by="bob", took=0):
    shown = f"|by={by}" if by else ""
    return f"<<DEAD|queue=q|id={id}|seq={seq}|reason={reason}{shown}|took={took}>>\r\n".encode()


def results(say, after=0, more=""):
    """Return what is told behind the answer to RESULTS."""
    answer = say(f"<<RESULTS|queue=q|after={after}{more}>>".encode())
    begin, _, rest = answer.partition(b"\r\n")
    assert begin.startswith(b"<<RESULTS|queue=q|epoch=")
    return rest


WORKING = b"<<WORKING|queue=q|slots=1>>\r\n"


# One job


def test_a_job_goes_to_a_worker_and_its_result_comes_back(daemon, clock):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    begin = ann(b"<<RESULTS|queue=q>>")
    assert re.fullmatch(rb"<<RESULTS\|queue=q\|epoch=[0-9a-f]{16}\|seq=0\|oldest=1>>\r\n", begin)
    assert ann(offer("a-1", "5%7C20")) == b"<<OFFERED|queue=q|id=a-1|seq=1>>\r\n"
    assert bob(work()) == WORKING + task("a-1", "5%7C20")
    clock.advance(1.5)
    assert bob(result("a-1", "0.7")) == taken("a-1")
    assert ann() == done("a-1", 1, "0.7", took=1500)


def test_a_worker_that_waits_is_given_jobs_as_they_come_by_turns(daemon):
    ann, bob, carl = (enter(daemon, name) for name in ("ann", "bob", "carl"))
    bob(work(2)), carl(work(2))
    ann(*(offer(each) for each in range(5)))
    assert bob() == task(0) + task(2)
    assert carl() == task(1) + task(3)
    assert carl(result(3)) == task(4) + taken(3)


def test_a_worker_that_wants_no_more_finishes_what_it_has(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(offer(1), offer(2))
    bob(work())
    assert bob(work(0)) == b"<<WORKING|queue=q|slots=0>>\r\n"
    assert bob(result(1)) == taken(1)
    assert bob(work()) == WORKING + task(2)


def test_the_same_job_again_is_the_same_and_other_data_is_refused(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    first = ann(offer(1))
    assert ann(offer(1)) == first
    assert b"<<ERROR|code=id|text=q has a job 1 with other data" in (answer := ann(offer(1, "z")))
    assert b"|id=1>>" in answer
    bob(work())
    bob(result(1))
    assert ann(offer(1)) == first
    assert bob() == b""
    assert results(ann) == done(1, 1)


# Leases


def test_a_worker_that_leaves_gives_its_tasks_back_at_once(daemon):
    ann, bob, carl = (enter(daemon, name) for name in ("ann", "bob", "carl"))
    ann(*(offer(each) for each in range(3)))
    bob(work(2)), carl(work(3))
    bob.terminal.hang_up()
    assert carl() == task(0, attempt=2) + task(1, attempt=2)


def test_a_lease_that_is_not_renewed_goes_to_another(daemon, clock):
    ann, bob, carl = (enter(daemon, name) for name in ("ann", "bob", "carl"))
    ann(offer(1), offer(2))
    bob(work(2)), carl(work(2))
    given = []
    for _ in range(5):
        clock.advance(10)
        assert bob(b"<<RENEW|queue=q|id=1>>") == b"<<RENEWED|queue=q|id=1>>\r\n"
        ann(b"<<PONG>>"), given.append(carl(b"<<PONG>>"))
    assert given == [b"", b"", b"", task(2, attempt=2), b""]
    assert bob(b"<<RENEW|queue=q|id=2>>") == b"<<RENEWED|queue=q|id=2|late=1>>\r\n"
    assert bob(result(2, "late")) == taken(2, late=True)
    assert carl(result(2)) == taken(2)
    assert bob(result(1)) == taken(1)
    assert results(ann) == done(2, 1, by="carl", took=10_000) + done(1, 2, took=50_000)


def test_a_worker_that_hangs_is_given_no_job_more(daemon, clock):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(offer(1), offer(2))
    bob(work())
    for _ in range(4):
        clock.advance(10)
        bob(b"<<PONG>>")
    assert bob() == b""
    assert bob(b"<<FAIL|queue=q|id=1|reason=x>>") == task(1, attempt=2) + taken(1, late=True)


def test_a_job_whose_lease_was_lost_is_not_given_to_the_worker_that_still_has_it(daemon, clock):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(offer(1))
    bob(work(2))
    for _ in range(4):
        clock.advance(10)
        bob(b"<<PONG>>"), ann(b"<<PONG>>")
    assert bob() == b""
    ann(offer(2))
    assert bob() == task(2)
    assert bob(b"<<RENEW|queue=q|id=1>>") == (
        task(1, attempt=2) + b"<<RENEWED|queue=q|id=1|late=1>>\r\n"
    )


@pytest.mark.parametrize("end", ["hang up", "HELLO", "lease"])
def test_after_so_many_tries_a_job_is_dead(daemon, clock, end):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(offer(1, more="|tries=2"))
    for _ in range(2):
        bob(work())
        if end == "hang up":
            bob.terminal.hang_up()
            bob = enter(daemon, "bob")
        elif end == "HELLO":
            bob(hello("bob"))
        else:
            for _ in range(4):
                clock.advance(10)
                bob(b"<<PONG>>"), ann(b"<<PONG>>")
            bob(b"<<RENEW|queue=q|id=1>>")
    reason = "lease" if end == "lease" else "left"
    assert results(ann) == dead(1, 1, reason)


def test_a_worker_that_says_bye_costs_its_jobs_no_try(daemon):
    ann = enter(daemon, "ann")
    ann(offer(1, more="|tries=1"))
    for _ in range(3):
        bob = enter(daemon, "bob")
        bob(work(), b"<<BYE>>")
    carl = enter(daemon, "carl")
    assert carl(work()) == WORKING + task(1, attempt=4)


def test_a_failed_job_goes_behind_the_others_and_dies_by_its_last_reason(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(offer(1, more="|tries=2"), offer(2))
    assert bob(work()) == WORKING + task(1)
    fail = b"<<FAIL|queue=q|id=1|reason=no %d>>"
    assert bob(fail % 1) == task(2) + taken(1)
    assert bob(result(2)) == task(1, attempt=2) + taken(2)
    assert bob(fail % 2) == taken(1)
    assert results(ann) == done(2, 1) + dead(1, 2, "no 2")


def test_the_time_of_a_job_counts_from_its_offer(daemon, clock):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(offer(1, more="|timeout=10"), offer(2, more="|timeout=12"), offer(3))
    bob(work(2))
    clock.advance(10)
    clock.advance(1)
    assert results(ann) == dead(1, 1, "timeout", by="")
    assert bob(result(1)) == task(3) + taken(1, late=True)
    assert bob(result(2)) == taken(2)


# Replicas


def test_two_equal_results_of_two_logins_are_one(daemon):
    ann, bob, again, carl = (enter(daemon, name) for name in ("ann", "bob", "bob", "carl"))
    ann(offer(1, more="|replicas=2"), offer(2))
    assert bob(work()) == WORKING + task(1)
    assert again(work()) == WORKING + task(2)
    assert again(result(2)) == taken(2)
    assert carl(work()) == WORKING + task(1, attempt=2)
    assert bob(result(1)) == taken(1)
    assert results(ann) == done(2, 1)
    assert carl(result(1)) == taken(1)
    assert ann() == done(1, 2, by="carl")


def test_when_two_differ_a_third_decides(daemon):
    ann, bob, carl, dora = (enter(daemon, name) for name in ("ann", "bob", "carl", "dora"))
    ann(offer(1, more="|replicas=2"))
    bob(work()), carl(work())
    bob(result(1, "a")), carl(result(1, "b"))
    assert results(ann) == b""
    assert dora(work()) == WORKING + task(1, attempt=3)
    dora(result(1, "a"))
    assert ann() == done(1, 1, "a", by="dora")


def test_when_three_differ_the_job_is_dead(daemon):
    ann, bob, carl, dora = (enter(daemon, name) for name in ("ann", "bob", "carl", "dora"))
    ann(offer(1, more="|replicas=2"))
    for data, say in zip("abc", (bob, carl, dora), strict=True):
        say(work())
        assert say(result(1, data)) == taken(1)
    assert results(ann) == dead(1, 1, "differ", by="dora")


def test_a_result_that_waits_for_an_equal_one_survives_a_kill(daemon, tmp_path, clock):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(offer(1, more="|replicas=2"))
    bob(work())
    bob(result(1))
    daemon = start(tmp_path, clock)
    bob, carl = enter(daemon, "bob"), enter(daemon, "carl")
    assert bob(work()) == WORKING
    assert carl(work()) == WORKING + task(1)
    assert carl(result(1)) == taken(1)
    assert results(enter(daemon, "ann")) == done(1, 1, by="carl")


def test_without_logins_other_connections_are_others(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, ON, "access.trust_loopback=true")
    terminals = [daemon.dial("signals", peer=f"127.0.0.{each}") for each in (1, 2)]
    for each in terminals:
        daemon.say(each, b"<<HELLO|v=2>>")
    daemon.say(terminals[0], offer(1, more="|replicas=2") + work())
    assert daemon.say(terminals[1], work()) == WORKING + task(1, attempt=2)
    daemon.say(terminals[0], result(1))
    daemon.say(terminals[1], result(1) + b"<<RESULTS|queue=q|after=0>>")
    (row,) = IMetrics(service(daemon))._jobs._store.results("q", 0, 9)
    assert row.by == "127.0.0.2:50000"


# Results


def test_results_come_again_behind_a_number_in_their_order(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(work(64))
    ann(*(offer(each) for each in range(64)))
    for each in reversed(range(64)):
        bob(result(each))
    assert results(ann, after=10) == b"".join(done(63 - n, n + 1) for n in range(10, 64))
    ann(offer("x"))
    bob(result("x"))
    assert ann().endswith(done("x", 65))
    epoch = IMetrics(service(daemon))._jobs.epoch
    assert results(ann, after=64, more=f"|epoch={epoch}") == done("x", 65)
    assert results(ann, after=64, more="|epoch=0123456789abcdef").count(b"DONE") == 65
    assert results(ann, after=66).count(b"DONE") == 65


def test_a_reader_that_does_not_read_is_sent_no_gap_and_keeps_no_memory(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(b"<<RESULTS|queue=q>>")
    bob(work(64))
    ann.terminal.transport.stalled = True
    sender = enter(daemon, "ann")
    for each in range(300):
        sender(offer(each))
        bob(result(each, "z" * 5_000))
        if each % 50 == 0:
            daemon.clock.advance(1)
    ann.terminal.transport.stalled = False
    found = b""
    for _ in range(30):
        found += ann()
    assert [int(each) for each in re.findall(rb"\|seq=(\d+)\|data", found)] == list(range(1, 301))


# Kills and the disk


def test_jobs_and_results_survive_a_kill_with_their_epoch(daemon, tmp_path, clock):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(offer(1), offer(2), offer(3, more="|tries=2"))
    bob(work(3))
    bob(result(1), b"<<FAIL|queue=q|id=3|reason=x>>")
    epoch = IMetrics(service(daemon))._jobs.epoch
    daemon = start(tmp_path, clock)
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    assert bob(work(2)) == b"<<WORKING|queue=q|slots=2>>\r\n" + task(2) + task(3)
    bob(result(2), b"<<FAIL|queue=q|id=3|reason=x>>")
    assert results(ann, after=1, more=f"|epoch={epoch}") == done(2, 2) + dead(3, 3, "x")
    assert b"seq=4" in ann(offer(4))


def test_success_is_not_said_of_what_the_disk_does_not_take(daemon, monkeypatch):
    def fail(*_):
        raise JournalError("The disk is gone.")

    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(offer(1, more="|replicas=2"), offer(2))
    bob(work(2))
    monkeypatch.setattr(Database, "transaction", fail)
    for frame, id in ((offer(3), b"3"), (result(1), b"1"), (result(2), b"2")):
        answer = (ann if b"OFFER" in frame else bob)(frame)
        assert b"ERROR|code=server|text=The disk does not take it" in answer
        assert b"|id=%b>>" % id in answer
    assert daemon.env.components.health()["jobs"]["healthy"] is False
    monkeypatch.undo()
    assert ann(offer(3)) == b"<<OFFERED|queue=q|id=3|seq=3>>\r\n"
    assert daemon.env.components.health()["jobs"]["healthy"] is True
    for id in (1, 2):
        assert bob(result(id)).endswith(taken(id))
    assert results(ann) == done(2, 1)


def test_results_that_cannot_be_read_are_explained_in_the_log(daemon, monkeypatch, warnings):
    def fail(*_):
        raise JournalError("/srv/jobs.sqlite is gone.")

    ann = enter(daemon, "ann")
    monkeypatch.setattr(Database, "read", fail)
    answer = ann(b"<<RESULTS|queue=q|after=0>>")
    assert answer.startswith(b"<<ERROR|code=server|text=The results cannot be read")
    assert b"jobs.sqlite" not in answer
    assert "/srv/jobs.sqlite is gone." in [each.get("why") for each in warnings()]


def test_what_is_stored_though_the_disk_failed_at_the_end_ends_once(daemon, monkeypatch):
    real = Database.transaction

    def store_and_fail(database, work):
        real(database, work)
        raise JournalError("The disk is gone.")

    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    monkeypatch.setattr(Database, "transaction", store_and_fail)
    assert b"code=server" in ann(offer(1))
    monkeypatch.undo()
    assert ann(offer(1)) == b"<<OFFERED|queue=q|id=1|seq=1>>\r\n"
    assert bob(work()) == WORKING + task(1)
    monkeypatch.setattr(Database, "transaction", store_and_fail)
    assert b"code=server" in bob(result(1, "a"))
    monkeypatch.undo()
    ann(offer(2))
    assert bob(result(1, "b")).endswith(taken(1))
    bob(result(2))
    assert results(ann) == done(1, 1, "a") + done(2, 2)


# Limits and refusals


@pytest.mark.parametrize(
    ("login", "frame", "answer"),
    [
        ("bob", offer(1), b"code=denied|text=There is no right publish:jobs/q"),
        ("ann", work(), b"code=denied|text=There is no right send:jobs/q"),
        ("eve", work(), b"code=denied|text=There is no right send:jobs/q"),
        ("eve", b"<<RESULTS|queue=q>>", b"code=denied|text=There is no right read:jobs/q"),
        ("ann", b"<<OFFER|queue=a b|id=1|data=x>>", b"code=field|text=In OFFER queue is 1 to 64"),
        ("ann", b"<<OFFER|queue=q|id=1>>", b"code=field|text=OFFER needs data"),
        ("ann", offer("1/2"), b"code=field|text=In OFFER id is 1 to 64"),
        ("ann", offer(1, more="|replicas=17"), b"code=field|text=In OFFER replicas is a whole"),
        ("ann", offer(1, more="|timeout=0"), b"code=field|text=In OFFER timeout is a whole"),
        ("ann", offer(1, more="|tries=0"), b"code=field|text=In OFFER tries is a whole number"),
        ("ann", offer(1, "x" * 6_001), b"In OFFER data has at most 6000 bytes, not 6001"),
        ("ann", offer(1, "%25" * 2_001), b"In OFFER data has at most 6000 bytes, not 6003"),
        ("ann", b"<<RESULTS|queue=q|after=-1>>", b"code=field|text=In RESULTS after is"),
        ("ann", b"<<RESULTS|queue=q|epoch=x>>", b"code=field|text=In RESULTS epoch is that of"),
        ("bob", work(65), b"code=denied|text=A client has 64 tasks of a queue at once"),
        ("bob", result(1, "x" * 6_001), b"In RESULT data has at most 6000 bytes, not 6001"),
        ("bob", result(1), taken(1, late=True)),
        ("bob", b"<<FAIL|queue=q|id=1|reason=x>>", taken(1, late=True)),
        ("bob", b"<<RENEW|queue=q|id=1>>", b"<<RENEWED|queue=q|id=1|late=1>>"),
    ],
)
def test_what_is_refused_says_why(daemon, login, frame, answer):
    assert answer in enter(daemon, login)(frame)


def test_a_bare_verb_gives_no_right_here(daemon):
    terminal = daemon.dial("signals")
    assert b"jobs" not in daemon.say(terminal, hello("fred"))
    assert b"code=denied" in daemon.say(terminal, offer(1))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("max_open=2", b"There are 2 open jobs, as jobs.max_open allows"),
        ("memory=11", b"Open jobs have 11 characters, as jobs.memory allows"),
    ],
)
def test_more_open_jobs_than_allowed_are_refused_until_some_are_done(
    tmp_path, clock, setting, sentence
):
    daemon = start(tmp_path, clock, f"jobs.{setting}")
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(offer(1, "x" * 5), offer(2, "x" * 5))
    answer = ann(offer(3, "x" * 5))
    assert b"ERROR|code=server|text=" + sentence in answer
    bob(work())
    bob(result(1))
    assert b"OFFERED" in ann(offer(3, "x" * 5))


def test_more_queues_than_allowed_are_refused(tmp_path, clock):
    daemon = start(tmp_path, clock, "jobs.max_queues=1")
    ann = enter(daemon, "ann")
    ann(offer(1))
    answer = ann(b"<<OFFER|queue=r|id=1|data=x>>")
    assert b"ERROR|code=server|text=There are 1 queues, as jobs.max_queues allows" in answer


def test_a_session_uses_so_many_queues_and_no_more(daemon):
    bob = enter(daemon, "bob")
    answer = bob(*(b"<<WORK|queue=%d>>" % each for each in range(101)))
    assert answer.count(b"WORKING") == 100
    assert b"ERROR|code=denied|text=A session uses 100 queues" in answer


# Retention


def test_old_results_and_their_ids_are_forgotten(tmp_path, clock):
    daemon = start(tmp_path, clock, "jobs.keep=100")
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(work())
    ann(offer(1)), bob(result(1))
    clock.pump([10.0] * 17)
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    assert results(ann) == b""
    bob(work())
    assert ann(offer(1, "other")) == b"<<OFFERED|queue=q|id=1|seq=2>>\r\n"
    bob(result(1))
    assert ann() == done(1, 2)


def test_the_oldest_results_are_forgotten_above_a_number(tmp_path, clock):
    daemon = start(tmp_path, clock, "jobs.retain=2")
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    bob(work(64))
    ann(*(offer(each) for each in range(5)))
    bob(*(result(each) for each in range(5)))
    clock.pump([10.0] * 6)
    answer = enter(daemon, "ann")(b"<<RESULTS|queue=q|after=0>>")
    assert b"|seq=5|oldest=4>>" in answer
    assert answer.endswith(done(3, 4) + done(4, 5))
    assert IMetrics(service(daemon))._jobs.kept == 2


def test_a_queue_that_was_forgotten_goes_on_above_its_numbers(tmp_path, clock):
    daemon = start(tmp_path, clock, "jobs.keep=1")
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(offer(1), offer(2)), bob(work(2)), bob(result(1), result(2))
    ann(b"<<BYE>>"), bob(b"<<BYE>>")
    clock.pump([60.0, 60.0])
    assert IMetrics(service(daemon))._jobs.feeds == {}
    assert b"seq=3" in enter(daemon, "ann")(offer(1))


# The component


def test_it_is_off_until_it_is_enabled(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, grants=GRANTS)
    terminal = daemon.dial("signals")
    daemon.say(terminal, hello("ann"))
    assert b"ERROR|code=verb" in daemon.say(terminal, offer(1))
    assert not (tmp_path / "data" / "jobs.sqlite").exists()
    assert "jobs list" not in daemon.env.components.commands()


def test_the_component_keeps_its_interfaces(daemon):
    for interface in (ISessionVerbs, IHttpResources, IStatus, IMetrics, IControlCommands, IBackup):
        assert verifyObject(interface, interface(service(daemon)))


def test_status_and_metrics_count(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(*(offer(each, more="|tries=1") for each in range(4)))
    bob(work(2))
    bob(result(0), b"<<FAIL|queue=q|id=1|reason=x>>", result("z"))
    expected = {
        "offered": 4, "done": 1, "dead": 1, "late": 1, "open": 2, "running": 2, "workers": 1,
    }  # fmt: skip
    status = IStatus(service(daemon)).status()
    assert {key: status[key] for key in expected} == expected
    assert (status["kept"], status["queues"]) == (2, 1)
    values = {each.name: each.read() for each in IMetrics(service(daemon)).metrics()}
    totals = ("offered", "done", "dead", "late")
    assert values == {
        f"mtnet_jobs_{key}{'_total' if key in totals else ''}": count
        for key, count in expected.items()
    }


def test_a_restored_backup_has_the_jobs_and_another_epoch(daemon, tmp_path):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(offer(1), offer(2)), bob(work()), bob(result(1))
    folder = tmp_path / "backup"
    folder.mkdir()
    IBackup(service(daemon)).backup(folder)
    before = JobStore(folder / "jobs.sqlite").epoch()
    assert before == IMetrics(service(daemon))._jobs.epoch
    plugin.prepare(folder)
    copy = JobStore(folder / "jobs.sqlite")
    assert copy.epoch() != before
    assert [job.id for job in copy.open_jobs()] == ["2"]
    assert [each.id for each in copy.results("q", 0, 9)] == ["1"]


def test_a_client_that_closes_its_half_is_still_served(daemon):
    ann, bob = enter(daemon, "ann"), enter(daemon, "bob")
    ann(b"<<RESULTS|queue=q>>", offer(1))
    ann.terminal.finish()
    bob(work())
    bob(result(1))
    assert ann() == done(1, 1)
