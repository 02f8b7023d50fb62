"""The client and the command line against a real daemon, over TLS."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from live_daemon import PATIENCE, until
from tls_samples import Authority, Files

SECURE = "secure:0:interface=127.0.0.1"
CANARY = "canary-7f3a"
PROGRAM = """
import json, sys
from twisted.internet.defer import Deferred
from twisted.internet.task import react
from mtnet.client import Templates, TickSender, server_from_string, subscribe

async def main(reactor, ticks, templates):
    port, told, all_told = server_from_string(reactor, ticks), [], Deferred()

    def on_tick(tick):
        told.append((tick.symbol, tick.bid, tick.ask))
        if len(told) == 3:
            all_told.callback(None)

    reader, ready = subscribe(port, ["*"], on_tick, reactor), Deferred()
    connected = reader.whenConnected(failAfterFailures=1)
    reader.startService()
    await connected
    sender = TickSender(port, "program", reactor)
    sender.startService()
    sender.send("EURUSD", "1.10", "1.11")
    sender.send("UK 100", 7500.1)
    sender.send_record(b"EURUSD;1.12;1.13")
    await sender.synced()
    await all_told
    server = Templates(server_from_string(reactor, templates), reactor)
    stored = await server.put("EURUSD", "H1", b"<chart>\\nsymbol=EURUSD\\nperiod=60\\n</chart>\\n")
    content = await server.get("EURUSD", "H1")
    await sender.stopService()
    await reader.stopService()
    left = [str(each) for each in reactor.getDelayedCalls()]
    print(json.dumps([told, sender.stored, stored["version"], len(content), left]))

react(lambda reactor, *endpoints: Deferred.fromCoroutine(main(reactor, *endpoints)), sys.argv[1:])
"""


@pytest.fixture
def files(daemon):
    """The certificate that lies where the daemon looks when nothing is configured."""
    daemon.data.mkdir(mode=0o700)
    found = Files(daemon.data / "tls", Authority())
    found.issue("localhost", "127.0.0.1")
    return found


@pytest.fixture
def secure(daemon, files):
    daemon.start(*[f"--listen={name}={SECURE}" for name in ("signals", "templates", "ticks")])
    return daemon


def at(daemon, service, host="127.0.0.1"):
    return f"secure:{host}:{daemon.port(service, 'TLS')}"


def begin(daemon, *arguments, **options):
    """Start `mtnet`."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    environ = {**daemon.environ, **options.pop("environ", {})}
    command = [sys.executable, "-m", "mtnet", *map(str, arguments)]
    return subprocess.Popen(command, env=environ, **{**pipes, **options})


def end(process, given=None):
    said, complained = process.communicate(given, timeout=PATIENCE)
    return process.returncode, said.decode(), complained.decode()


def mtnet(daemon, *arguments, given=None, **options):
    """Run `mtnet`; return its exit status, stdout and stderr."""
    if given is not None:
        options["stdin"] = subprocess.PIPE
    return end(begin(daemon, *arguments, **options), given)


def send(daemon, files, *arguments, **options):
    server = ("--server", at(daemon, "ticks"), "--ca", files.ca)
    return mtnet(daemon, "ticks", "send", *server, *arguments, **options)


def bids(daemon, symbol="EURUSD"):
    _, exported, _ = mtnet(
        daemon, "ticks", "export", symbol, "--data", daemon.data, "--format", "csv"
    )
    return [line.split(",")[1] for line in exported.splitlines()[1:]]


def assert_one_sentence(outcome, *words):
    status, said, complained = outcome
    assert (status, said) == (1, "")
    assert len(complained.splitlines()) == 1, complained
    for word in words:
        assert word in complained


def test_a_program_sends_is_told_and_fetches_over_tls(secure, files):
    command = [sys.executable, "-c", PROGRAM]
    command += [f"{at(secure, service)}:ca={files.ca}" for service in ("ticks", "templates")]
    done = subprocess.run(
        command, env=secure.environ, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stderr == ""
    got, stored, version, size, left = json.loads(done.stdout)
    assert got == [
        ["EURUSD", "1.10", "1.11"],
        ["UK%20100", "7500.1", None],
        ["EURUSD", "1.12", "1.13"],
    ]
    assert (stored, version, left) == (3, 1, [])
    assert size > 20


def test_ticks_are_sent_from_a_pipe_a_file_a_redirected_file_and_a_named_pipe(
    secure, files, tmp_path
):
    assert send(secure, files, given=b"EURUSD 1.1\r\nEURUSD,1.2\r") == (0, "2 ticks stored.\n", "")
    assert send(secure, files, given=b"") == (0, "0 ticks stored.\n", "")
    assert send(secure, files) == (0, "0 ticks stored.\n", "")
    file = tmp_path / "ticks.txt"
    file.write_bytes(b"EURUSD 1.3\n\nEURUSD 1.4")
    assert send(secure, files, file)[:2] == (0, "2 ticks stored.\n")
    with file.open("rb") as opened:
        status, said, _ = send(secure, files, "--json", stdin=opened)
    assert (status, json.loads(said)) == (0, {"sent": 2, "stored": 2, "refused": 0})
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = begin(secure, "ticks", "send", "-s", at(secure, "ticks"), "--ca", files.ca, pipe)
    with pipe.open("wb") as opened:
        opened.write(b"EURUSD 1.5\n")
    assert end(process) == (0, "1 ticks stored.\n", "")
    assert bids(secure) == ["1.1", "1.2", "1.3", "1.4", "1.3", "1.4", "1.5"]


def test_many_ticks_arrive_from_a_pipe_and_from_a_file(secure, files, tmp_path):
    ticks = b"".join(b"EURUSD 1.%05d\n" % number for number in range(60_000))
    assert send(secure, files, given=ticks) == (0, "60000 ticks stored.\n", "")
    (tmp_path / "ticks.txt").write_bytes(ticks)
    assert send(secure, files, tmp_path / "ticks.txt") == (0, "60000 ticks stored.\n", "")
    assert len(bids(secure)) == 120_000


def test_the_same_ticks_sent_twice_are_two_sendings_and_fewer_do_not_hang(secure, files):
    for ticks in (b"EURUSD 1.1\nEURUSD 1.2\n", b"EURUSD 1.1\nEURUSD 1.2\n", b"EURUSD 1.1\n"):
        status, _, complained = send(secure, files, "--source", "desk-1", given=ticks)
        assert (status, complained) == (0, "")
    assert bids(secure) == ["1.1", "1.2", "1.1", "1.2", "1.1"]


def test_lines_that_are_no_ticks_are_named_and_the_others_stored(secure, files):
    status, said, complained = send(secure, files, given=b"EURUSD 1.1\nnonsense\nEURUSD 1.2\n")
    assert (status, said) == (1, "2 ticks stored.\n")
    first, last = complained.splitlines()
    assert first.startswith("mtnet: Line 2: ")
    assert last == "mtnet: 1 line was not stored."


def test_what_cannot_be_read_is_one_sentence(secure, files, tmp_path):
    assert_one_sentence(send(secure, files, tmp_path / "none"), "none cannot be read: No such file")
    assert_one_sentence(send(secure, files, tmp_path), "cannot be read: Is a directory")
    closed = send(secure, files, stdin=None, preexec_fn=lambda: os.close(0))
    assert_one_sentence(closed, "Standard input is closed")
    assert_one_sentence(send(secure, files, "--source", "desk 1", given=b""), "'desk 1'")


def test_ctrl_c_ends_at_once_while_more_may_come(secure, files, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for more in ([], [tmp_path / "pipe"]):
        server = ("-s", at(secure, "ticks"), "--ca", files.ca)
        before = secure.status()["tls"]["handshakes"]["completed"]
        process = begin(secure, "ticks", "send", *server, *more, stdin=subprocess.PIPE)
        until(lambda n=before: secure.status()["tls"]["handshakes"]["completed"] > n)
        if not more:
            process.stdin.write(b"EURUSD 1.1\n")
            process.stdin.flush()
            until(lambda: secure.status()["ticks"]["stored"] == 1)
        else:
            time.sleep(1)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        status = process.wait(PATIENCE)
        assert time.monotonic() - began < 3
        assert status == 130
        assert process.stderr.read() == b""
        process.stdin.close()
        process.stdout.close()
        process.stderr.close()


def test_a_daemon_that_starts_again_costs_no_tick(secure, files):
    port = secure.port("ticks", "TLS")
    server = ("-s", f"secure:127.0.0.1:{port}", "--ca", files.ca)
    process = begin(secure, "ticks", "send", *server, stdin=subprocess.PIPE)
    for number in range(3):
        process.stdin.write(b"EURUSD 1.1%d\n" % number)
        process.stdin.flush()
        if number == 0:
            until(lambda: secure.status()["ticks"]["stored"])
            secure.stop(signal.SIGKILL)
            listen = SECURE.replace("0", str(port), 1)
        if number == 1:
            secure.start(f"--listen=ticks={listen}")
    status, said, complained = end(process)
    assert (status, said) == (0, "3 ticks stored.\n")
    assert "The connection is back." in complained
    assert bids(secure) == ["1.10", "1.11", "1.12"]


def test_a_login_where_there_are_no_accounts_is_one_sentence(secure, files):
    password = {"environ": {"MTNET_PASSWORD": CANARY}}
    outcome = send(secure, files, "--login", "desk", given=b"EURUSD 1.1\n", **password)
    assert_one_sentence(outcome, "There are no accounts here")
    server = ("-s", at(secure, "ticks"), "--ca", files.ca)
    tail = mtnet(secure, "ticks", "tail", *server, "--login", "desk", **password)
    assert_one_sentence(tail, "There are no accounts here")
    assert CANARY not in outcome[2] + secure.logged()


def own_address():
    """Return an address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            pytest.skip("This machine has no address but loopback.")
        return probe.getsockname()[0]


def test_a_password_does_not_leave_the_machine_in_clear(daemon):
    host = own_address()
    with socket.create_server((host, 0)) as listener:
        server = f"tcp:{host}:{listener.getsockname()[1]}"
        password = {"environ": {"MTNET_PASSWORD": CANARY}}
        for command in (["ticks", "send"], ["ticks", "tail"], ["templates", "list"]):
            outcome = mtnet(daemon, *command, "-s", server, "--login", "desk", **password)
            assert_one_sentence(outcome, "not sent in clear to")
            assert CANARY not in outcome[2]
            connection, _ = listener.accept()
            with connection, suppress(ConnectionResetError):
                assert connection.recv(4_096) == b""


def test_positions_are_followed_over_tls(secure, files):
    server = ("--server", at(secure, "signals"), "--ca", files.ca)
    with socket.create_connection(("127.0.0.1", secure.port("signals", "TLS")), 5) as publisher:
        context = ssl.create_default_context(cafile=str(files.ca))
        with context.wrap_socket(publisher, server_hostname="localhost") as private:
            private.sendall(b"<<GBPUSD|0.25>>")
            until(lambda: "GBPUSD" in str(secure.status()["signals"]["channels"]))
    followed = mtnet(secure, "signals", "follow", "--seconds", "1", *server)
    assert followed == (0, "GBPUSD 0.25\n", "mtnet: There is no provider now.\n")


@pytest.mark.parametrize(
    "command",
    [
        ["signals", "follow", "--seconds", "1"],
        ["ticks", "tail", "--seconds", "1"],
        ["ticks", "send"],
        ["templates", "list"],
    ],
)
def test_a_server_that_is_not_who_it_should_be_is_one_sentence(secure, files, tmp_path, command):
    other = Files(tmp_path / "other", Authority("somebody else"))
    server = [*command, "--server", at(secure, command[0])]
    assert_one_sentence(mtnet(secure, *server, "--ca", other.ca), "is not trusted here")
    assert_one_sentence(mtnet(secure, *server), "is not trusted here")
    named = [*command, "--server", f"{at(secure, command[0])}:name=fx.example", "--ca", files.ca]
    assert_one_sentence(mtnet(secure, *named), "not for fx.example")
    assert_one_sentence(mtnet(secure, *server, "--ca", tmp_path / "none"), "cannot be read")


def test_a_port_that_is_none_for_ticks_is_one_sentence(secure, files):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = begin(
            secure,
            *("ticks", "send", "-s", f"tcp:127.0.0.1:{listener.getsockname()[1]}"),
            stdin=subprocess.PIPE,
        )
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 mail.example ready\r\n")
            assert_one_sentence(end(process, b"EURUSD 1.1\n"), "not a tick port", "220 mail")


def test_what_speaks_no_tls_is_one_sentence(secure, files):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = f"secure:127.0.0.1:{listener.getsockname()[1]}"
        process = begin(secure, "signals", "follow", "--server", server, "--ca", files.ca)
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"220 mail.example ready\r\n")
            assert_one_sentence(end(process), "does not speak TLS")
