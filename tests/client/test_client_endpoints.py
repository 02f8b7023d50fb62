"""Where a server is, as text: what is taken, and what is refused in one sentence."""

from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st
from tls_samples import Authority, Files, key_pem, new_key, pem
from twisted.internet.endpoints import TCP4ClientEndpoint, UNIXClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock

from mtnet.client import server_from_string
from mtnet.client.tls import SecureEndpoint
from mtnet.errors import CertificateError, ClientError, MtnetError


@pytest.fixture
def files(tmp_path, authority):
    found = Files(tmp_path, authority)
    found.issue("me", usage="client")
    return found


def endpoint(text, ca=None):
    return server_from_string(MemoryReactorClock(), text, ca)


def refusal(text, ca=None):
    """Return the sentence that refuses `text`."""
    with pytest.raises(MtnetError) as refused:
        endpoint(text, ca)
    sentence = str(refused.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("text", "host", "name"),
    [
        ("secure:127.0.0.1:8081", "127.0.0.1", "127.0.0.1"),
        ("secure:[::1]:8081", "::1", "::1"),
        ("secure:[2001\\:db8::1]:8081", None, None),
        ("secure:127.0.0.1:8081:name=fx.example", "127.0.0.1", "fx.example"),
        ("secure:127.0.0.1:8081:name=[::1]", None, None),
        ("secure:127.0.0.1:8081:name=\\:\\:1", "127.0.0.1", "::1"),
        ("secure:\\:\\:1:8081", "::1", "::1"),
    ],
)
def test_a_secure_server_is_dialled_by_host_and_port_and_known_by_its_name(text, host, name):
    if host is None:
        refusal(text)
        return
    reactor = MemoryReactorClock()
    found = server_from_string(reactor, text)
    assert isinstance(found, SecureEndpoint)
    assert found._name == name
    assert found._below._hostText == host
    found.connect(Factory())
    assert reactor.tcpClients[0][1] == 8081


def test_a_host_may_have_letters_of_any_language():
    assert isinstance(endpoint("secure:bücher.example:443"), SecureEndpoint)


def test_what_twisted_knows_is_taken_as_it_knows_it():
    assert isinstance(endpoint("tcp:127.0.0.1:8081"), TCP4ClientEndpoint)
    assert isinstance(endpoint("tcp:host=127.0.0.1:port=8081:timeout=3"), TCP4ClientEndpoint)
    assert isinstance(endpoint("unix:/run/mtnet"), UNIXClientEndpoint)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "127.0.0.1:8081",
        "tcp:",
        "tcp:127.0.0.1",
        "tcp:127.0.0.1:x",
        "tcp:127.0.0.1:8081:bogus=1",
        "secure:",
        "secure:fx.example",
        "secure::8081",
        "secure:fx.example:",
        "secure:fx.example:0",
        "secure:fx.example:65536",
        "secure:fx.example:-1",
        "secure:fx.example:8081x",
        "secure:fx.example:٨٠٨١",
        "secure:::1:8081",
        "secure:[::1:8081",
        "secure:fx.example:8081:",
        "secure:fx.example:8081:name",
        "secure:fx.example:8081:name=",
        "secure:fx.example:8081:verify=no",
        "secure:fx.example:8081:NAME=x",
        "secure:fx.example:8081:ca=a:b",
        "secure:fx.example:8081\\",
        "SECURE:fx.example:8081",
    ],
)
def test_what_is_no_endpoint_is_answered_with_one_that_would_be(text):
    assert "secure:fx.example:8081" in refusal(text)


@pytest.mark.parametrize("name", ["[]", "a..b", "my_host", "*", "-x-", "a b", "a\\:b", "x" * 64])
def test_a_name_that_no_host_can_have_is_refused(name):
    assert "Invalid host name" in refusal(f"secure:{name}:8081")
    assert "Invalid host name" in refusal(f"secure:127.0.0.1:8081:name={name}")


@pytest.mark.parametrize(
    "text", ["ssl:fx.example:8081", "SSL:fx.example:8081", "Ssl:host=a:port=1"]
)
def test_what_would_verify_no_name_is_refused(text):
    assert "verify no name" in refusal(text)


@pytest.mark.parametrize("text", ["tcp:127.0.0.1:8081", "unix:/run/mtnet", "tls:fx.example:8081"])
def test_an_authority_is_refused_where_nothing_would_ask_for_it(files, text):
    assert "secure:fx.example:8081" in refusal(text, files.ca)


def test_an_authority_is_named_in_the_text_or_beside_it(files):
    assert isinstance(endpoint(f"secure:fx.example:8081:ca={files.ca}"), SecureEndpoint)
    assert isinstance(endpoint("secure:fx.example:8081", files.ca), SecureEndpoint)


def test_a_path_may_hold_a_colon_a_backslash_and_an_equals_sign(files):
    odd = files.ca.with_name(r"a:b\c=d.pem")
    odd.write_bytes(files.ca.read_bytes())
    escaped = str(odd).replace("\\", "\\\\").replace(":", "\\:")
    assert isinstance(endpoint(f"secure:fx.example:8081:ca={escaped}"), SecureEndpoint)


PLAIN = st.characters(exclude_characters="\n", exclude_categories=["Cs", "Cc"])


@given(st.text(PLAIN, min_size=1, max_size=20))
def test_every_path_can_be_written_with_escapes(name):
    escaped = name.replace("\\", "\\\\").replace(":", "\\:")
    sentence = refusal(f"secure:fx.example:8081:ca=/nowhere/{escaped}")
    assert sentence.startswith(f"{Path(f'/nowhere/{name}')} cannot be read")


@given(st.text(PLAIN, max_size=30))
def test_whatever_is_typed_is_an_endpoint_or_refused_in_one_sentence(text):
    for each in (f"secure:{text}", f"secure:fx.example:1:{text}", f"secure:a:1:name={text}"):
        with suppress(MtnetError):
            endpoint(each)


def test_a_home_folder_is_found(files, monkeypatch):
    monkeypatch.setenv("HOME", str(files.ca.parent))
    assert isinstance(endpoint("secure:fx.example:8081:ca=~/ca.pem"), SecureEndpoint)
    assert "~nobody-of-that-name" in refusal("secure:fx.example:8081:ca=~nobody-of-that-name/x")


def test_a_file_that_is_missing_a_folder_or_no_certificate_is_named(files, tmp_path):
    text = "secure:fx.example:8081"
    assert "cannot be read: No such file" in refusal(f"{text}:ca={tmp_path}/none.pem")
    assert "cannot be read: Is a directory" in refusal(text, tmp_path)
    assert "holds no certificate" in refusal(text, files.key)
    (tmp_path / "empty.pem").write_bytes(b"")
    assert "holds no certificate" in refusal(text, tmp_path / "empty.pem")
    whole = files.ca.read_bytes()
    (tmp_path / "half.pem").write_bytes(whole[: len(whole) // 2])
    assert "cut off" in refusal(text, tmp_path / "half.pem")


def test_a_certificate_of_the_client_may_lie_in_one_file_with_its_key(files, tmp_path):
    text = "secure:fx.example:8081"
    both = tmp_path / "both.pem"
    both.write_bytes(files.key.read_bytes() + files.certificate.read_bytes())
    for own in (f"certificate={files.certificate}:key={files.key}", f"certificate={both}"):
        assert isinstance(endpoint(f"{text}:{own}"), SecureEndpoint)


def test_a_key_that_is_missing_locked_or_of_another_certificate_is_refused(files, tmp_path):
    text = f"secure:fx.example:8081:certificate={files.certificate}"
    assert "holds no private key" in refusal(text)
    other = tmp_path / "other.pem"
    other.write_bytes(key_pem(new_key()))
    assert "does not belong" in refusal(f"{text}:key={other}")
    locked = new_key().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    other.write_bytes(locked)
    assert "locked by a password" in refusal(f"{text}:key={other}")


def test_a_key_without_a_certificate_is_refused(files):
    assert "needs certificate=" in refusal(f"secure:fx.example:8081:key={files.key}")


def test_a_chain_in_the_wrong_order_is_refused(tmp_path):
    harness = Authority("office", Authority("root"))
    certificate, key = harness.issue("me", usage="client")
    (tmp_path / "me.pem").write_bytes(pem(harness.certificate, certificate) + key_pem(key))
    assert "not in order" in refusal(f"secure:a:1:certificate={tmp_path}/me.pem")


def test_errors_of_endpoints_and_of_files_are_told_apart(tmp_path):
    with pytest.raises(ClientError):
        endpoint("nonsense")
    with pytest.raises(CertificateError):
        endpoint("secure:a:1", tmp_path / "none.pem")
