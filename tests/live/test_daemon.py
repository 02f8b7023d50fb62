"""The daemon as a process: how it starts, refuses to start, survives and stops."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from live_daemon import until

TRACEBACK = "Traceback"


@pytest.fixture
def busy():
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        yield f"tcp:{taken.getsockname()[1]}:interface=127.0.0.1"


def assert_one_sentence(result, *words):
    assert result.returncode == 1
    assert TRACEBACK not in result.stdout + result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("foreground", [True, False])
def test_a_port_in_use_is_one_sentence_and_status_1(daemon, busy, foreground):
    result = daemon.run(f"--listen=web={busy}", foreground=foreground)
    assert_one_sentence(result, "web cannot listen on", busy, "Address already in use")


@pytest.mark.parametrize("foreground", [True, False])
@pytest.mark.parametrize(
    ("option", "word"),
    [
        ("--set=signals.pase=1", "signals.pase"),
        ("--listen=ticket=tcp:1", "signals, templates, ticks, topics, web"),
        ("--listen=signals=tcp:abc", "signals=tcp:abc"),
        ("--nonsense", "nonsense"),
        ("--config=/nonexistent.toml", "/nonexistent.toml"),
        ("--set=signals.codepage=cp0", "signals.codepage"),
        ("--listen=signals=haproxy:tcp:0:interface=127.0.0.1", "haproxy"),
        ("--set=templates.default=EURUSD", "templates.default"),
        ("--set=signals.sources.a.connect=nowhere", "signals.sources.a.connect"),
        ('--set=signals.ports."tcp:1".channel=gold', "signals.ports"),
    ],
)
def test_a_bad_option_is_one_sentence_and_status_1(daemon, option, word, foreground):
    assert_one_sentence(daemon.run(option, foreground=foreground), word)


def test_other_machines_are_not_served_unless_somebody_says_what_they_may_do(daemon):
    assert_one_sentence(daemon.run("--listen=signals=tcp:0"), "access.anonymous", "signals")
    daemon.start("--listen=signals=tcp:0", "--set=access.anonymous=follow")
    rows = {row["service"]: row for row in daemon.status()["services"]}
    assert rows["signals"]["strangers"] == "follow"


def test_networks_are_told_at_the_start(daemon):
    daemon.start("--listen=signals=tcp:0", '--set=access.networks."192.0.2.0/24"=follow,send:ticks')
    assert "In addition, 192.0.2.0/24 may follow, send:ticks." in daemon.logged()


def test_a_socket_for_datagrams_on_all_addresses_trusts_no_loopback(daemon):
    daemon.start("--listen=ticks=udp:0", "--set=access.anonymous=read")
    rows = {row["service"]: row for row in daemon.status()["services"]}
    everything = "follow, publish, send, read, fetch"
    assert (rows["ticks"]["loopback"], rows["web"]["loopback"]) == ("nothing", everything)


def test_a_data_folder_serves_one_daemon(daemon):
    daemon.start()
    assert_one_sentence(daemon.run(), "Another mtnet", "--data")


def test_a_damaged_journal_is_one_sentence(daemon):
    daemon.data.mkdir()
    (daemon.data / "signals.sqlite").write_bytes(b"no database" * 500)
    assert_one_sentence(daemon.run(), "signals.sqlite")


def test_check_starts_nothing_and_says_what_is_wrong(daemon, busy):
    sound = daemon.run("--check", f"--listen=web={busy}")
    assert (sound.returncode, sound.stderr) == (0, "")
    assert not daemon.data.exists()
    wrong = daemon.run("--check", "--listen=web=tcp:0", "--listen=signals=nonsense:1")
    assert wrong.returncode == 1
    assert "access.anonymous" in wrong.stderr
    assert "nonsense" in wrong.stderr


def test_it_says_at_its_start_who_listens_where_and_what_to_try(daemon):
    daemon.start()
    port = daemon.port("signals")
    said = until(lambda: daemon.logged() if "Try:" in daemon.logged() else None)
    assert re.search(rf"signals +127\.0\.0\.1:{port} +plain +follow, publish", said)
    assert f"Try: nc 127.0.0.1 {port}" in said


def test_as_a_daemon_it_serves_and_stops(daemon):
    assert daemon.run(foreground=False).returncode == 0
    try:
        until(daemon.answers)
        assert daemon.publish(b"<<GBPUSD|0.25>>")
        assert daemon.first_frame() == b"<<GBPUSD|0.25>>\r\n"
    finally:
        os.kill(int((daemon.folder / "twistd.pid").read_text()), signal.SIGTERM)
    until(lambda: not (daemon.folder / "twistd.pid").exists())
    assert not (daemon.data / "control").exists()


def test_it_says_when_the_system_lets_it_have_too_few_connections(daemon):
    command = daemon.command("--set=access.anonymous=follow")
    process = subprocess.Popen(
        ["sh", "-c", 'ulimit -n 300; exec "$0" "$@"', *command],
        cwd=daemon.folder,
        env=daemon.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert any("room for 100 connections" in line for line in process.stdout)
    finally:
        process.terminate()
        process.communicate()


def test_what_was_stored_survives_a_kill(daemon):
    for n in range(5):
        daemon.start()
        assert daemon.publish(f"<<GBPUSD|{n}.25>>".encode())
        daemon.stop(signal.SIGKILL)
        daemon.start()
        assert daemon.first_frame() == f"<<GBPUSD|{n}.25>>\r\n".encode()
        daemon.stop(signal.SIGKILL)


def test_sigterm_stops_it_cleanly_and_removes_the_control_socket(daemon):
    daemon.start()
    with daemon.dial():
        # twistd ends itself by the signal that it was sent.
        assert daemon.stop() == -signal.SIGTERM
    assert not (daemon.data / "control").exists()
    assert TRACEBACK not in daemon.logged()


def test_sighup_does_not_end_it(daemon):
    daemon.start()
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "SIGHUP" in daemon.logged())
    assert daemon.status()["healthy"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="It looks into /proc.")
def test_sighup_during_the_start_does_not_end_it(daemon):
    process = daemon.launch()
    hangup = 1 << signal.SIGHUP - 1

    def ignored():
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        return int(dict(line.split(":\t", 1) for line in lines)["SigIgn"], 16) & hangup

    until(ignored)
    assert not (daemon.data / "control").exists()
    process.send_signal(signal.SIGHUP)
    until(daemon.answers)


def test_sighup_opens_the_log_file_of_a_daemon(daemon):
    assert daemon.run(foreground=False).returncode == 0
    pid = int((daemon.folder / "twistd.pid").read_text())
    try:
        until(daemon.answers)
        log = daemon.folder / "twistd.log"
        log.rename(daemon.folder / "old.log")
        os.kill(pid, signal.SIGHUP)
        until(lambda: log.exists() and f"{log} is reopened" in log.read_text())
        assert "is reopened" not in (daemon.folder / "old.log").read_text()
        assert daemon.status()["healthy"]
    finally:
        os.kill(pid, signal.SIGTERM)
    until(lambda: not (daemon.folder / "twistd.pid").exists())


def test_a_refused_publisher_is_reset(daemon):
    daemon.start()
    assert not daemon.publish(b"<<GBPUSD|nan>>")


def test_a_browsers_post_is_closed_with_one_warning(daemon):
    daemon.start()
    with daemon.dial() as page:
        page.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n<<GBPUSD|99.00>>")
        with pytest.raises(ConnectionResetError):
            page.recv(1)
    assert daemon.logged().count("speaks HTTP") == 1
    assert daemon.status()["signals"]["channels"]["main"]["positions"] == {}


def test_a_classic_signal_server_is_dialled_again_when_it_comes_back(daemon):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        daemon.start(f"--set=signals.sources.desk2.connect=tcp:127.0.0.1:{port}")
        for volume in ("-10.25", "0.50"):
            connection, _ = server.accept()
            connection.sendall(f"<<XAUUSD|{volume}>>\0".encode())
            until(lambda v=volume: daemon.first_frame() == f"<<XAUUSD|{v}>>\r\n".encode())
            connection.close()


def test_a_channel_of_its_own_is_heard_on_its_own_port(daemon):
    with socket.create_server(("127.0.0.1", 0)) as free:
        gold = f"tcp:{free.getsockname()[1]}:interface=127.0.0.1"
    daemon.start(f"--listen=signals={gold}", f'--set=signals.ports."{gold}".channel=gold')
    with socket.create_connection(("127.0.0.1", int(gold.split(":")[1]))) as publisher:
        publisher.sendall(b"<<XAUUSD|1>>")
        until(lambda: daemon.status()["signals"]["channels"]["gold"]["positions"])
    assert list(daemon.status()["signals"]["channels"]["gold"]["positions"]) == ["XAUUSD"]


def test_500_followers_who_come_at_once_are_all_served(daemon):
    daemon.start()
    assert daemon.publish(b"<<GBPUSD|0.25>>")
    address, got = ("127.0.0.1", daemon.port("signals")), []

    def follow():
        with socket.create_connection(address, timeout=30) as connection:
            got.append(connection.recv(512))

    threads = [threading.Thread(target=follow) for _ in range(500)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [b"<<GBPUSD|0.25>>\r\n"] * 500


def test_followers_who_never_read_delay_nobody(daemon):
    daemon.start("--set=signals.pace=0")
    frames = b"".join(f"<<GBPUSD|{n % 900}.01>>".encode() for n in range(5_000))
    last = b"<<GBPUSD|7777.00>>\r\n"
    with ExitStack() as stack:
        for _ in range(30):
            stack.enter_context(daemon.dial())
        reader = stack.enter_context(daemon.dial())
        until(lambda: daemon.status()["signals"]["followers"] == 31)
        publisher = stack.enter_context(daemon.dial())
        sending = threading.Thread(target=publisher.sendall, args=(frames + last,))
        sending.start()
        tail = b""
        while not tail.endswith(last):
            tail = (tail + reader.recv(65_536))[-100:]
        sending.join()
        assert daemon.status()["healthy"]


SET_BACK = """
import sys, time
from twisted.internet import reactor
from mtnet.service import Options, makeService

options = Options()
options.parseOptions(sys.argv[1:])
daemon = makeService(options)
reactor.callLater(0.2, reactor.stop)
type(reactor).seconds = staticmethod(lambda: time.time() - 3600)
daemon.startService()
reactor.addSystemEventTrigger("before", "shutdown", daemon.stopService)
reactor.run()
"""


def test_a_wall_clock_that_is_set_back_holds_nothing_back(daemon):
    options = daemon.command()[daemon.command().index("mtnet") + 1 :]
    command = [sys.executable, "-c", SET_BACK, *options]
    assert subprocess.run(command, env=daemon.environ, timeout=20, check=False).returncode == 0
