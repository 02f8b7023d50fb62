"""
Test handshake in memory: whether common clients accept a certificate.

OpenSSL serves keys on curves that no client offers, and issuers that may not issue; only a
handshake finds that out. It takes some milliseconds, in memory.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from OpenSSL.crypto import X509, X509StoreFlags

from mtnet.errors import CertificateError
from mtnet.net.tls.certificates import Pair, read_extension
from mtnet.net.tls.context import VERSIONS, build_context, reason, set_curves

ROUNDS = 8
"""Flights of a handshake with a certificate; TLS 1.2 has four."""
PIECE = 65_536
CURVES = ("secp256r1", "secp384r1")
"""On which clients verify signatures; Windows, which terminals ask, and browsers know no other."""
CODES = "code of OpenSSL's verification:"
_VERSIONS = {SSL.TLS1_2_VERSION: "1.2", SSL.TLS1_3_VERSION: "1.3"}
_REASONS = {
    9: "is not valid yet",
    10: "has expired",
    20: "has no issuer that is known",
    25: "may not have so many issuers below it",
    26: "is not for servers",
    32: "may not sign others (its key usage)",
    34: "has a critical extension that clients do not know",
    79: "is no authority and may not issue others",
    66: "has a key that is too weak",
    67: "has a key that is too weak",
    68: "is signed with a digest that is too weak",
}
"""OpenSSL's codes of verification (x509_vfy.h), as sentences about a certificate of the chain."""


def check_handshake(pair: Pair, file: Path, profile: str, now: int) -> None:
    """
    Do the handshake of a client that trusts the issuer of a certificate.

    The client offers TLS 1.2 and 1.3, as far as `profile` does, with the curves that browsers,
    Windows and OpenSSL have in common, and verifies signatures, dates and usages of the
    certificate and its issuers.

    Args:
        file: of the certificate, for the sentence.
        profile: a key of `VERSIONS`.
        now: milliseconds since the Unix epoch.

    Raises:
        CertificateError: the handshake fails.
    """
    _check_names(pair, file)
    _check_curve(pair, file)
    _check_usage(pair.chain[0], file)
    server = build_context(pair, profile, "none", [])
    for version, name in _VERSIONS.items():
        if version < VERSIONS[profile]:
            continue
        complaints: list[str] = []
        client = _client(pair, version, now, complaints)
        try:
            _shake_hands(SSL.Connection(client, None), SSL.Connection(server, None))
        except SSL.Error as error:
            why = complaints[0] if complaints else f"OpenSSL says: {reason(error)}"
            raise CertificateError(
                f"No client gets through with {file}: in a handshake of TLS {name} with itself, "
                f"{why}."
            ) from error


def _check_names(pair: Pair, file: Path) -> None:
    subject = pair.chain[0].subject
    if not pair.names and not subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME):
        raise CertificateError(
            f"No client gets through with {file}: it names nobody, neither host nor address."
        )


def _check_curve(pair: Pair, file: Path) -> None:
    key = pair.chain[0].public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in CURVES:
        raise CertificateError(
            f"No client gets through with {file}: its key is on the curve {key.curve.name}, and "
            "clients know secp256r1 (P-256) and secp384r1 (P-384)."
        )


def _check_usage(certificate: x509.Certificate, file: Path) -> None:
    usage = read_extension(certificate, x509.KeyUsage, file)
    if usage is None:
        return
    if not usage.digital_signature:
        raise CertificateError(
            f"{file} holds a certificate whose key may not sign (its key usage lacks "
            "digitalSignature), and each handshake needs that."
        )


def _client(pair: Pair, version: int, now: int, complaints: list[str]) -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    set_curves(context)
    store = context.get_cert_store()
    if store is not None:
        # Any issuer may be the one that a client trusts; the root is rarely in the file.
        for trusted in pair.chain[1:] or pair.chain:
            store.add_cert(X509.from_cryptography(trusted))
        store.set_flags(X509StoreFlags.PARTIAL_CHAIN)
        store.set_time(datetime.fromtimestamp(now / 1000, UTC))

    def verified(_: SSL.Connection, of: X509, code: int, depth: int, good: int) -> bool:
        if not good:
            subject = _named(of.to_cryptography(), depth)
            complaints.append(f"{subject} {_REASONS.get(code, f'is refused ({CODES} {code})')}")
        return bool(good)

    context.set_verify(SSL.VERIFY_PEER, verified)
    return context


def _named(certificate: x509.Certificate, depth: int) -> str:
    if depth == 0:
        return "the certificate"
    return f"its issuer {certificate.subject.rfc4514_string()}"


def _shake_hands(client: SSL.Connection, server: SSL.Connection) -> None:
    client.set_connect_state()
    server.set_accept_state()
    waiting: Sequence[SSL.Connection] = (client, server)
    for _ in range(ROUNDS):
        waiting = [each for each in (client, server) if not _goes_on(each)]
        _carry(client, server)
        _carry(server, client)
        if not waiting:
            return
    raise SSL.Error([("", "", "the handshake does not come to an end")])


def _goes_on(connection: SSL.Connection) -> bool:
    """Return whether a side is done; else it waits for bytes of the other."""
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        return False
    return True


def _carry(giver: SSL.Connection, taker: SSL.Connection) -> None:
    with suppress(SSL.WantReadError):  # there is nothing to carry
        taker.bio_write(giver.bio_read(PIECE))
