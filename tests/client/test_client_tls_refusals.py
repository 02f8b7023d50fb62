"""Servers that a client does not believe, and its sentence about each."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from fakes.transports import MemoryEndpoint
from OpenSSL import SSL
from tls_dialling import (
    Builds,
    Dialled,
    Said,
    bare_context,
    self_signed,
)
from tls_samples import DAY, Authority
from twisted.internet.error import ConnectionRefusedError

from mtnet.client import tls, why
from mtnet.client.tls import SecureEndpoint

# Certificates


@pytest.mark.parametrize(
    ("hosts", "name"),
    [
        (["fx.example"], "localhost"),
        (["fx.example"], "10.0.0.7"),
        (["10.0.0.7"], "10.0.0.8"),
        (["10.0.0.7"], "fx.example"),
        (["fe80::1"], "::1"),
        (["*.example.com"], "example.com"),
        (["*.example.com"], "a.b.example.com"),
        (["*.example.com"], "10.0.0.7"),
        (["bucher.example"], "bücher.example"),
        (["localhost.evil.example"], "localhost"),
    ],
)
def test_a_certificate_of_another_name_is_refused_with_the_names_that_it_has(
    dial, authority, hosts, name
):
    told = dial(*authority.issue(*hosts), name=name).sentence
    assert told == f"its certificate is for {hosts[0]}, not for {name}"


def test_an_address_that_stands_among_the_host_names_is_no_address(dial, authority):
    certificate, key = special(authority, x509.DNSName("10.0.0.7"))
    assert "not for 10.0.0.7" in dial(certificate, key, name="10.0.0.7").sentence


def test_a_name_that_stands_in_the_subject_alone_does_not_count(dial, authority):
    told = dial(*authority.issue(name="localhost")).sentence
    assert told == "its certificate is for no host at all, not for localhost"


def test_a_certificate_of_many_names_is_not_told_whole(dial, authority):
    hosts = [f"host-{number}.example" for number in range(200)]
    assert "host-0.example" in dial(*authority.issue(*hosts)).sentence


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\nb", "a\r\nmtnet: Stored.", "a" * 3_000])
def test_a_strange_issuer_does_not_write_on_the_terminal(dial, text):
    stranger = Authority("x")
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, text, _validate=False)])
    stranger.certificate = resign(stranger, subject)
    assert "is not trusted here" in dial(*stranger.issue("localhost")).sentence


@pytest.mark.parametrize("text", ["a\x1b[2Jb.example", "a\nb.example"])
def test_strange_names_of_a_trusted_issuer_do_not_write_on_the_terminal(dial, authority, text):
    assert "not for localhost" in dial(*special(authority, x509.DNSName(text))).sentence


def resign(authority, subject):
    """Return the authority's own certificate with another subject."""
    old = authority.certificate
    builder = x509.CertificateBuilder(
        subject,
        subject,
        old.public_key(),
        x509.random_serial_number(),
        old.not_valid_before_utc,
        old.not_valid_after_utc,
        list(old.extensions),
    )
    return builder.sign(authority.key, hashes.SHA256())


def special(authority, *names, extra=()):
    """Return a certificate with these general names, and its key."""
    plain, key = authority.issue()
    builder = x509.CertificateBuilder(
        plain.issuer,
        plain.subject,
        plain.public_key(),
        plain.serial_number,
        plain.not_valid_before_utc,
        plain.not_valid_after_utc,
        list(plain.extensions),
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for each in extra:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(authority.key, hashes.SHA256()), key


@pytest.mark.parametrize(
    "value", [b"", b"\x30\x03\x82\x01", b"\x04\x03abc", b"\x30\x03\x82\x01\xff"]
)
def test_names_that_cannot_be_read_are_refused(dial, authority, value):
    broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, value)
    assert dial(*special(authority, extra=[broken])).sentence.startswith(("its ", "an issuer "))


def test_an_issuer_that_nobody_trusts_is_named_with_the_way_to_trust_it(dial):
    told = dial(*Authority("Elsewhere").issue("localhost")).sentence
    assert "its issuer CN=Elsewhere is not trusted here" in told
    assert "(--ca FILE, in a program ca=FILE, names another authority)" in told


def test_a_self_signed_certificate_is_refused(dial):
    assert "its issuer CN=myself is not trusted here" in dial(*self_signed("localhost")).sentence


def test_a_missing_intermediate_is_named(dial):
    root = Authority("root")
    middle = Authority("middle", root)
    assert "CN=middle" in dial(*middle.issue("localhost"), trusted=root).sentence


def test_a_forged_signature_is_refused(dial, authority):
    forger = Authority("mtnet test authority")
    assert dial(*forger.issue("localhost")).sentence


def test_a_server_certificate_signs_no_other(dial, authority):
    certificate, key = authority.issue("localhost")
    thief = Authority("x")
    thief.certificate, thief.key = certificate, key
    assert dial(*thief.issue("fx.example"), certificate, name="fx.example").sentence


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        ({"since": -9 * DAY, "until": -2 * DAY}, "its certificate expired on 20"),
        ({"since": DAY, "until": 9 * DAY}, "its certificate is valid from 20"),
    ],
)
def test_a_certificate_out_of_its_time_is_refused_with_the_day(dial, authority, dates, words):
    assert words in dial(*authority.issue("localhost", **dates)).sentence


def test_an_expired_intermediate_is_told_apart_from_the_certificate(dial):
    root = Authority("root")
    middle = Authority("middle", root)
    middle.certificate = middle._sign(
        "middle", middle.key.public_key(), root, ca=True, since=-9 * DAY, until=-2 * DAY
    )
    told = dial(*middle.issue("localhost"), middle.certificate, trusted=root).sentence
    assert told.startswith("an issuer of its certificate expired on 20")


def test_a_certificate_that_is_for_clients_is_refused(dial, authority):
    assert "purpose" in dial(*authority.issue("localhost", usage="client")).sentence


def test_an_expired_certificate_of_another_name_is_refused_once(dial, authority):
    dates = {"since": -9 * DAY, "until": timedelta(days=-2)}
    assert dial(*authority.issue("fx.example", **dates)).sentence.count("its certificate") == 1


def test_a_server_without_any_certificate_is_refused(dial, authority):
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(b"aNULL:eNULL:@SECLEVEL=0")
    assert "handshake" in dial(None, None, context=context).sentence


def test_a_server_of_old_tls_is_refused(dial, authority):
    context = bare_context(*authority.issue("localhost"))
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_max_proto_version(SSL.TLS1_1_VERSION)
    assert "handshake" in dial(None, None, context=context).sentence


# What is no TLS server at all


@pytest.mark.parametrize(
    "word",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"<<EURUSD|0.10>>\r\n",
        b"<chart>\r\nsymbol=EURUSD\r\n",
        b"\xff\xfe<\0c\0h\0a\0r\0t\0>\0",
        b"220 mail.example ESMTP\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"ERR: tick nonsense\r\n",
        b"\0" * 40,
    ],
)
def test_a_server_that_speaks_no_tls_is_told_apart(clock, word):
    assert Dialled(clock, Builds(word)).sentence == "the server does not speak TLS"


class Closes(Said):
    def dataReceived(self, data):
        self.transport.loseConnection()


class Resets(Said):
    def dataReceived(self, data):
        self.transport.abortConnection()


class ClosesAtOnce(Said):
    def connectionMade(self):
        self.transport.loseConnection()


@pytest.mark.parametrize("make", [Closes, Resets, ClosesAtOnce])
def test_a_server_that_goes_away_during_the_handshake_is_asked_whether_it_speaks_tls(clock, make):
    assert "does that port speak TLS?" in Dialled(clock, Builds(make=make)).sentence


def test_a_short_word_before_the_end_is_no_handshake(clock):
    assert "TLS" in Dialled(clock, Builds(b"no", make=lambda word: ShortWord(word))).sentence


class ShortWord(Said):
    def connectionMade(self):
        super().connectionMade()
        self.transport.loseConnection()


def test_a_silent_server_is_given_up_after_the_deadline(clock):
    dialled = Dialled(clock, Builds())
    clock.advance(tls.HANDSHAKE - 0.1)
    assert dialled.error is None
    clock.advance(0.1)
    assert dialled.sentence == "the TLS handshake took more than 10 s"


def test_a_server_that_answers_byte_by_byte_is_given_up_after_the_deadline(clock):
    dialled = Dialled(clock, Builds())
    for byte in b"\x16\x03\x03\x40\x00\x02":
        dialled.line.connection.server.protocol.transport.write(bytes([byte]))
        dialled.line.settle()
        clock.advance(1.5)
    clock.advance(2)
    assert "took more than" in dialled.sentence


def test_a_server_that_cannot_be_reached_is_told_as_without_tls(clock):
    line = MemoryEndpoint(ConnectionRefusedError(111, "Connection refused"), clock)
    errors = []
    SecureEndpoint(line, "localhost", clock).connect(Builds()).addErrback(errors.append)
    assert why(errors[0].value) == "Connection refused"
    assert not clock.getDelayedCalls()
