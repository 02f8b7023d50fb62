"""No text that could be a password is logged, wherever it was sent."""

import pytest
from fakes.daemon import FakeDaemon
from twisted.logger import formatEvent

SECRETS = ("secret-canary", "mtnet_" + "canary7" * 6 + "c")
SAID = (
    *(b"<<HELLO|v=2|login=alice|password=%b>>", b"<<hello|v=2|login=alice|password=%b>>"),
    *(b"<<HELO|login=alice|password=%b", b"<<HELLO|v=2|login=alice|passw%%6Frd=%b|x>>"),
    *(b"STORE EURUSD H1 5 alice %b\n", b"store EURUSD H1 5 alice %b\n", b"STORE EURUSD H1 5 %b\n"),
    *(b"STORE EURUSD H1 alice %b\n", b"STORE alice %b 5\n", b" STORE EURUSD H1 5 alice %b\n"),
    *(b"LOGIN: alice %b\n", b"LOGIN alice %b\n", b"login: alice %b\n", b" LOGIN: alice %b\n"),
    *(b"LOGIN; alice %b\n", b"LOGIN:alice %b\n", b"LOGIN=alice,%b\n", b"EURUSD 1.1\rLOGIN: a %b\n"),
    *(b"\0LOGIN: alice %b\n", b"\xef\xbb\xbfLOGIN: alice %b\n", b"password=%b\n"),
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: evil\r\nAuthorization:Basic %b\r\n\r\n",
    b"GET http://alice:%b@localhost/x HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /?password=%b HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"Authorization: Bearer %b\r\n\r\n",
)


@pytest.mark.parametrize("service", ["signals", "ticks", "templates", "web"])
@pytest.mark.parametrize("said", SAID)
def test_no_secret_is_logged(tmp_path, clock, log, service, said):
    daemon = FakeDaemon(tmp_path / "data", clock, "access.anonymous=publish,send,fetch")
    for secret in SECRETS:
        for cut in (0, 3):
            data = said % secret.encode()
            terminal = daemon.dial(service)
            terminal.send(data[: len(data) - cut])
            if not terminal.closed:
                terminal.finish()
            clock.advance(1)
            if not terminal.closed:
                terminal.hang_up()
    assert not [line for line in map(formatEvent, log) if "canary" in line]
