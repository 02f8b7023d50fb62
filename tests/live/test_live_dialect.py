"""A real daemon: publishers and followers of dialect 2 on real sockets, and a kill between."""

import signal
import socket
import threading
from contextlib import ExitStack

import pytest
from live_daemon import PATIENCE
from tls_samples import Authority, Files, client_context

from mtnet.services.signals.wire import answers, requests
from mtnet.services.signals.wire.requests import Publish
from mtnet.session import messages
from mtnet.session.grammar import parse

END = -1
"""A seq that never comes: a follower of it follows until the connection ends."""
SECURE = "--listen=signals=secure:0:interface=127.0.0.1"


class Peer:
    """One connection that has said HELLO; it reads frame by frame."""

    def __init__(self, daemon, context=None):
        address = ("127.0.0.1", daemon.port("signals", "TLS" if context else "plain"))
        plain = socket.create_connection(address, timeout=PATIENCE)
        self.socket = context.wrap_socket(plain, server_hostname="localhost") if context else plain
        self._lines = self.socket.makefile("rb")
        self.socket.sendall(messages.hello())
        assert isinstance(self.read(), answers.Welcome)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lines.close()
        self.socket.close()

    def read(self):
        """Return the next answer; None = the server is gone."""
        try:
            line = self._lines.readline()
        except OSError:
            return None
        if not line.endswith(b">>\r\n"):
            return None
        answer = answers.read_answer(parse(line[2:-4]))
        if isinstance(answer, answers.Heartbeat):
            self.socket.sendall(messages.pong())
            return self.read()
        return answer

    def until(self, kind):
        """Return the answers up to the first of a kind."""
        found = []
        while not (found and isinstance(found[-1], kind)):
            found.append(self.read())
            assert found[-1] is not None, "the server is gone"
        return found

    def publish(self, identity, volume):
        self.socket.sendall(requests.publish(Publish(identity, "GBPUSD", volume)))


class Account:
    """A follower that comes back with what it knows, and notes every signal."""

    def __init__(self, daemon, context=None):
        self.daemon, self.context = daemon, context
        self.epoch = self.seq = None
        self.signals, self.snapshots = [], 0

    def follow(self, last):
        """Connect, and take signals up to the one called `last`, or to the end."""
        with Peer(self.daemon, self.context) as peer:
            peer.socket.sendall(requests.subscribe(epoch=self.epoch, after=self.seq))
            while self.seq != last and (answer := peer.read()) is not None:
                if isinstance(answer, answers.Snapshot):
                    self.snapshots += 1
                elif isinstance(answer, answers.Synced):
                    self.epoch, self.seq = answer.epoch, answer.seq
                elif isinstance(answer, answers.Signal):
                    self.seq = answer.seq
                    self.signals.append((answer.seq, answer.volume))


@pytest.fixture
def secured(daemon):
    daemon.data.mkdir(mode=0o700)
    files = Files(daemon.data / "tls", Authority())
    files.issue("localhost")
    return client_context(files.ca)


def test_a_kill_loses_nothing_that_was_stored_and_tells_nothing_twice(daemon, secured):
    daemon.start(SECURE)
    accounts = [Account(daemon), Account(daemon), Account(daemon, secured)]
    stored, sent = {}, 0
    for _ in range(3):
        threads = [threading.Thread(target=each.follow, args=(END,)) for each in accounts]
        for thread in threads:
            thread.start()
        with Peer(daemon) as publisher:
            # What was not answered before the kill is sent again, under the same name.
            for number in range(1, sent + 1):
                publisher.publish(f"n{number}", number)
            killer = threading.Timer(0.3, daemon.process.kill)
            killer.start()
            try:
                while True:
                    sent += 1
                    publisher.publish(f"n{sent}", sent)
                    while (answer := publisher.read()) is not None:
                        assert stored.setdefault(answer.id, answer.seq) == answer.seq
                        if answer.id == f"n{sent}":
                            break
                    if answer is None:
                        break
            except OSError:
                pass
            killer.join()
        for thread in threads:
            thread.join(PATIENCE)
        assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
        daemon.start(SECURE)
    with Peer(daemon) as publisher:
        for number in range(1, sent + 1):
            publisher.publish(f"n{number}", number)
            answer = publisher.read()
            assert (answer.id, answer.seq) == (f"n{number}", number)
            assert stored.get(answer.id, number) == number
    assert len(stored) > 3
    for account in accounts:
        account.follow(sent)
        assert [(int(volume)) for _, volume in account.signals] == list(
            range(account.signals[0][0], sent + 1)
        )
        assert account.snapshots == 1


def test_every_kind_of_client_hears_of_one_position(daemon, secured):
    daemon.start(SECURE, "--set=signals.pace=0")
    with ExitStack() as stack:
        plain, private = (stack.enter_context(Peer(daemon, context)) for context in (None, secured))
        for peer in (plain, private):
            peer.socket.sendall(requests.subscribe())
            peer.until(answers.ProviderStatus)
        published = stack.enter_context(daemon.dial())
        master = stack.enter_context(daemon.dial())
        master.sendall(b"<<GBPUSD|0.25>>\0")
        assert published.recv(512) == b"<<GBPUSD|0.25>>\r\n"
        for peer in (plain, private):
            signal_, status = peer.until(answers.ProviderStatus)
            assert (signal_.seq, str(signal_.volume), status.publisher) == (1, "0.25", "up")
        with Peer(daemon, secured) as publisher:
            publisher.publish("a", -1)
            assert publisher.read() == answers.Stored("a", 2)
            assert published.recv(512) == b"<<GBPUSD|-1.00>>\r\n"
            master.sendall(b"<<GBPUSD|9.00>>\0")
            for peer in (plain, private):
                assert peer.read().seq == 2
            publisher.publish("b", 0)
            assert publisher.read() == answers.Stored("b", 3)
        assert published.recv(512) == b"<<GBPUSD|0.00>>\r\n"
        for peer in (plain, private):
            peer.socket.sendall(messages.bye())
            assert [peer.read().seq, peer.read()] == [3, None]
    assert "classic frames are not heard" in daemon.logged()
    assert "Traceback" not in daemon.logged()


@pytest.mark.parametrize("tls", [False, True])
def test_the_last_frame_reaches_a_peer_that_is_still_talking(daemon, secured, tls):
    daemon.start(SECURE)
    with Peer(daemon, secured if tls else None) as peer:
        peer.socket.sendall(b"<<X>>" * 20)
        for _ in range(50):
            peer.socket.sendall(b"<<PING>>" * 50)
        found = [peer.read() for _ in range(21)]
    assert [each.code for each in found[:20]] == ["verb"] * 20
    assert found[20] is None
