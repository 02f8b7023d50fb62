"""Server addresses as text."""

from pathlib import Path

import pytest

from mtnet.client.core.address import read_address
from mtnet.errors import ClientError


@pytest.mark.parametrize(
    ("text", "host", "port", "secure", "path", "name"),
    [
        ("tcp:127.0.0.1:8081", "127.0.0.1", 8081, False, "", ""),
        ("tcp:[::1]:8081", "::1", 8081, False, "", ""),
        ("tcp:host=fx.example:port=8081", "fx.example", 8081, False, "", ""),
        ("secure:fx.example:8081", "fx.example", 8081, True, "", "fx.example"),
        ("secure:[::1]:8081:name=fx.example", "::1", 8081, True, "", "fx.example"),
        ("wss://fx.example", "fx.example", 443, True, "/ws", "fx.example"),
        ("wss://fx.example:8443/", "fx.example", 8443, True, "/ws", "fx.example"),
        (
            "ws://127.0.0.1:8083/proxy/ws?a=1",
            "127.0.0.1",
            8083,
            False,
            "/proxy/ws?a=1",
            "127.0.0.1",
        ),
        ("WS://[::1]", "::1", 80, False, "/ws", "::1"),
    ],
)
def test_an_address_is_read(text, host, port, secure, path, name):
    found = read_address(text)
    assert (found.host, found.port, found.secure, found.path, found.name) == (
        host, port, secure, path, name,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "authority", "secure", "path"),
    [
        ("https://fx.example", "fx.example", True, ""),
        ("http://127.0.0.1:8083/", "127.0.0.1:8083", False, ""),
        ("https://fx.example:8443/mtnet/", "fx.example:8443", True, "/mtnet"),
    ],
)
def test_the_address_of_http_has_the_path_that_stands_before_all_others(
    text, authority, secure, path
):
    found = read_address(text, http=True)
    assert (found.http, found.authority, found.secure, found.path) == (
        True, authority, secure, path,
    )  # fmt: skip


def test_a_client_that_speaks_no_http_refuses_its_addresses():
    with pytest.raises(ClientError, match="HTTP brings signals alone"):
        read_address("https://fx.example")
    with pytest.raises(ClientError, match="has no query"):
        read_address("https://fx.example?a=1", http=True)


def test_files_are_paths_and_an_argument_wins():
    found = read_address(r"secure:fx.example:1:ca=a\:b.pem:certificate=me.pem:key=me.key")
    assert (found.ca, found.certificate, found.key) == (
        Path("a:b.pem"), Path("me.pem"), Path("me.key"),
    )  # fmt: skip
    assert read_address("secure:fx.example:1:ca=a.pem", "b.pem").ca == Path("b.pem")
    assert read_address("wss://fx.example", "b.pem").ca == Path("b.pem")


@pytest.mark.parametrize(
    ("text", "authority"),
    [
        ("wss://fx.example", "fx.example"),
        ("wss://fx.example:8443", "fx.example:8443"),
        ("ws://[::1]:8083", "[::1]:8083"),
    ],
)
def test_the_default_port_is_left_out_of_the_host_header(text, authority):
    assert read_address(text).authority == authority


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected one such as tcp:"),
        ("fx.example:8081", "expected one such as tcp:"),
        ("tcp:fx.example", "expected one such as tcp:"),
        ("tcp:fx.example:0", "a port is a number"),
        ("tcp:fx.example:99999", "a port is a number"),
        ("secure:fx.example", "expected one such as secure:"),
        ("secure:fx.example:1:key=k", "needs certificate="),
        ("wss://", "expected one such as wss:"),
        ("wss://joe:secret@fx.example", "without a login"),
        ("wss://fx.example:x", "expected one such as wss:"),
        ("wss://fx.example/ä", "letters that a URL has not"),
        ("ws://fx.example/a#b", "expected one such as wss:"),
    ],
)
def test_what_is_no_address_is_refused_with_an_example(text, said):
    with pytest.raises(ClientError, match="Invalid endpoint") as caught:
        read_address(text)
    assert said in str(caught.value)


def test_an_authority_without_tls_is_refused():
    with pytest.raises(ClientError, match="needs TLS"):
        read_address("tcp:fx.example:1", "ca.pem")
