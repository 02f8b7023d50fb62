"""CertificateStore that a client gets through with, and those with which none does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from tls_samples import Authority, new_key

from mtnet.errors import CertificateError
from mtnet.net.tls.certificates import Pair
from mtnet.net.tls.self_handshake import check_handshake

DAY = timedelta(days=1)
DAY_MS = 86_400_000
NOW = int(datetime.now(UTC).timestamp() * 1000)
FILE = Path("certificate.pem")
profiles = pytest.mark.parametrize("profile", ["intermediate", "modern"])


@pytest.fixture(scope="module")
def authority():
    return Authority("issuer", Authority("root"))


def issued(authority, **options):
    certificate, key = authority.issue("fx.example", **options)
    return Pair((certificate, *authority.chain), key)


def assert_refused(pair, words, profile="intermediate", now=NOW):
    with pytest.raises(CertificateError) as caught:
        check_handshake(pair, FILE, profile, now)
    sentence = str(caught.value)
    assert words in sentence
    assert (str(FILE) in sentence, sentence.count("\n"), sentence[-1]) == (True, 0, ".")


@profiles
@pytest.mark.parametrize(
    "key",
    [
        new_key(),
        ec.generate_private_key(ec.SECP384R1()),
        new_key(2048),
        ed25519.Ed25519PrivateKey.generate(),
    ],
    ids=["P-256", "P-384", "RSA", "Ed25519"],
)
def test_clients_get_through_with_usual_keys(authority, key, profile):
    check_handshake(issued(authority, key=key), FILE, profile, NOW)


@profiles
@pytest.mark.parametrize("curve", [ec.SECP256K1, ec.BrainpoolP256R1, ec.SECP521R1, ec.SECP224R1])
def test_a_curve_that_clients_do_not_know_is_named(authority, curve, profile):
    pair = issued(authority, key=ec.generate_private_key(curve()))
    assert_refused(pair, f"on the curve {curve.name}", profile)


@profiles
def test_a_certificate_without_its_issuers_and_one_of_the_root_are_fine(authority, profile):
    certificate, key = authority.issue("fx.example")
    check_handshake(Pair((certificate,), key), FILE, profile, NOW)
    certificate, key = authority.parent.issue("fx.example")
    check_handshake(Pair((certificate, authority.parent.certificate), key), FILE, profile, NOW)


@profiles
def test_dates_are_those_of_the_moment_that_is_asked_about(authority, profile):
    pair = issued(authority, until=30 * DAY)
    assert_refused(pair, "the certificate has expired", profile, NOW + 40 * DAY_MS)
    assert_refused(pair, "is not valid yet", profile, NOW - 5 * DAY_MS)
    long = issued(authority, until=200 * DAY)
    assert_refused(long, "its issuer CN=issuer has expired", profile, NOW + 95 * DAY_MS)


def test_an_issuer_that_may_not_issue_is_named(authority):
    fake = Authority("fake", authority, ca=False)
    assert_refused(issued(fake), "its issuer CN=fake is no authority and may not issue others")


def test_what_is_for_clients_or_may_not_sign_is_refused(authority):
    assert_refused(issued(authority, usage="client"), "the certificate is not for servers")
    assert_refused(issued(authority, signs=False), "may not sign")


def test_a_key_of_another_certificate_is_refused(authority):
    pair = issued(authority)
    with pytest.raises(CertificateError, match="OpenSSL refuses"):
        check_handshake(Pair(pair.chain, new_key()), FILE, "modern", NOW)
