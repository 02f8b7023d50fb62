"""
Templates over real sockets: whole for the classic client across a link, for a slow reader,
and for hundreds at once.
"""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from mtnet.services.templates.wire import raw_prefix

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
TIMES = 20
SERVER, CLIENT = "10.213.0.1", "10.213.0.2"
PREFIX = raw_prefix("EURUSD", "H1", "mt5")


def template(size):
    """Return an MT5 template of `size` bytes, whose lines all differ."""
    lines = ["<chart>", "symbol=EURUSD", "period_type=1", "period_size=1"]
    text = "\r\n".join([*lines, *(f"value_{n}={n * 7919}" for n in range(size // 16))])
    end = "\r\n</chart>\r\n"
    return b"\xff\xfe" + (text[: size // 2 - 1 - len(end)] + end).encode("utf-16-le")


def run(*command, check=True):
    return subprocess.run(command, check=check, timeout=120, capture_output=True, text=True).stdout


def in_namespace(name):
    return ["ip", "netns", "exec", name]


@pytest.fixture
def link():
    """Two network namespaces, joined; what is yielded sets rate and TCP timestamps."""
    if os.geteuid() != 0 or not (shutil.which("ip") and shutil.which("tc")):
        pytest.skip("A link of two network namespaces needs root, ip and tc.")
    names = [f"mtnet-{side}-{os.getpid()}" for side in ("server", "client")]
    with ExitStack() as stack:
        for name in names:
            try:
                run("ip", "netns", "add", name)
            except subprocess.CalledProcessError as error:
                pytest.skip(f"Network namespaces cannot be made here: {error.stderr.strip()}")
            stack.callback(run, "ip", "netns", "del", name, check=False)
        run("ip", "link", "add", "veth", "netns", names[0], "type", "veth",
            "peer", "name", "veth", "netns", names[1])  # fmt: skip
        for name, host in zip(names, (SERVER, CLIENT), strict=True):
            run(*in_namespace(name), "ip", "addr", "add", f"{host}/24", "dev", "veth")
            run(*in_namespace(name), "ip", "link", "set", "veth", "mtu", "1500", "up")
        yield names


def shape(link, rate, timestamps):
    for name in link:
        run(*in_namespace(name), "tc", "qdisc", "add", "dev", "veth", "root", "tbf",
            "rate", rate, "burst", "16kb", "latency", "200ms")  # fmt: skip
        run(*in_namespace(name), "sysctl", "-q", f"net.ipv4.tcp_timestamps={timestamps}")


@contextmanager
def serving(kind, content, folder, host="127.0.0.1", prefix=()):
    """Run a server process; yield its port."""
    file = folder / "served.tpl"
    file.write_bytes(content)
    with subprocess.Popen(
        [*prefix, sys.executable, str(HERE / "template_server.py"),
         kind, host, str(file), str(folder / "data")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def whole(link, kind, folder, rate, timestamps):
    """Count the whole templates among those that the classic client fetched."""
    content = template(60_000)
    shape(link, rate, timestamps)
    with serving(kind, content, folder, SERVER, in_namespace(link[0])) as port:
        reader = [sys.executable, str(HERE / "template_reader.py")]
        printed = run(*in_namespace(link[1]), *reader, SERVER, str(port), str(TIMES))
    return printed.split().count(sha256(PREFIX + content).hexdigest())


@pytest.mark.parametrize("timestamps", [1, 0])
@pytest.mark.parametrize("rate", ["3mbit", "100mbit"])
def test_a_classic_client_gets_each_template_whole_across_a_link(link, tmp_path, rate, timestamps):
    """A 60 kB template arrives whole although the client stops at its first short read."""
    assert whole(link, "mtnet", tmp_path, rate, timestamps) == TIMES


@pytest.mark.parametrize("rate", ["3mbit", "100mbit"])
def test_a_plain_send_is_cut_by_the_classic_client(link, tmp_path, rate):
    """The control: this link does cut what one plain send carries."""
    assert whole(link, "plain", tmp_path, rate, timestamps=1) < TIMES


async def fetch(port, pause=0.0, size=65_536):
    """Fetch the raw template, reading `size` bytes after each `pause` (seconds)."""
    sock = socket.socket()
    # Little may lie in the kernel, or the server would not notice how slow the reader is.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=size)
    received = bytearray()
    try:
        while part := await reader.read(size):
            received += part
            await asyncio.sleep(pause)
    finally:
        writer.close()
        await writer.wait_closed()
    return bytes(received)


async def timed(call):
    began = time.monotonic()
    return await call, time.monotonic() - began


def test_500_clients_at_once_are_all_served(tmp_path):
    """None is refused and none hangs when 500 terminals connect at the same time."""
    content = template(60_000)

    async def all_at_once(port):
        return await asyncio.gather(*(fetch(port) for _ in range(500)))

    with serving("mtnet", content, tmp_path) as port:
        answers = asyncio.run(asyncio.wait_for(all_at_once(port), 60))
    assert answers == [PREFIX + content] * 500


def test_a_slow_reader_gets_a_large_template_whole_and_delays_nobody(tmp_path):
    """1 MiB at about 1 Mbit/s takes longer than any limit on a stand-still, and arrives."""
    content = template(1_048_576)

    async def both(port):
        slow = asyncio.create_task(timed(fetch(port, pause=0.1, size=12_500)))
        await asyncio.sleep(1)
        others = [await timed(fetch(port)) for _ in range(10)]
        return await slow, others

    with serving("mtnet", content, tmp_path) as port:
        (answer, seconds), others = asyncio.run(asyncio.wait_for(both(port), 60))
    assert answer == PREFIX + content
    assert seconds > 8
    assert all(each == PREFIX + content and took < 1 for each, took in others)


def within_the_machine(port, window, pause):
    """Fetch as the classic client does, and stand still for `pause` after each 50,000 bytes."""
    received = b""
    with socket.socket() as sock:
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.settimeout(60)
        sock.connect(("127.0.0.1", port))
        while True:
            if len(received) % 50_176 == 0:
                time.sleep(pause)
            part = sock.recv(512)
            received += part
            if len(part) < 512:
                return received


@pytest.mark.parametrize("window", [0, 4_096, 65_536, 100_000])
def test_a_classic_client_on_the_same_machine_gets_each_template_whole(tmp_path, window):
    """Also where it reads late, and its window has no room for a whole segment."""
    content = template(200_000)
    with serving("mtnet", content, tmp_path) as port:
        answers = [within_the_machine(port, window, pause) for pause in (0, 0, 0, 0.4)]
    assert [len(each) for each in answers] == [len(PREFIX + content)] * 4
    assert answers == [PREFIX + content] * 4
