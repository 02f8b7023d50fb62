"""OpenSSL contexts: versions, suites and curves of Mozilla's server profiles."""

from collections.abc import Sequence
from typing import Any

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509
from OpenSSL.crypto import Error as CryptoError

from mtnet.errors import CertificateError
from mtnet.net.tls.certificates import Pair

SUITES_13 = b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
SUITES_12 = b":".join(
    b"ECDHE-%s-%s" % (kind, suite)
    for suite in (b"AES128-GCM-SHA256", b"AES256-GCM-SHA384", b"CHACHA20-POLY1305")
    for kind in (b"ECDSA", b"RSA")
)
CURVES = b"X25519:P-256:P-384"
VERSIONS = {"intermediate": SSL.TLS1_2_VERSION, "modern": SSL.TLS1_3_VERSION}
"""The oldest version of each profile."""
VERIFY = {
    "none": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}
# Every suite is strong, so the client chooses: one without AES in its processor is faster with
# ChaCha20. Sessions are not resumed: they would outlive their certificate.
_OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_TICKET


def build_context(
    pair: Pair, profile: str, verify: str, authorities: Sequence[x509.Certificate]
) -> SSL.Context:
    """
    Return a context that serves `pair`; it must not be changed once it is used.

    Args:
        profile: a key of `VERSIONS`.
        verify: a key of `VERIFY`: whether clients need a certificate.
        authorities: whose client certificates count.

    Raises:
        CertificateError: OpenSSL refuses the certificate, its key or an authority.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(VERSIONS[profile])
    context.set_options(_OPTIONS)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_session_id(b"mtnet")
    context.set_cipher_list(SUITES_12)
    context.set_tls13_ciphersuites(SUITES_13)
    set_curves(context)
    try:
        _ask_clients(context, verify, authorities)
        context.use_certificate(pair.chain[0])
        for issuer in pair.chain[1:]:
            context.add_extra_chain_cert(issuer)
        context.use_privatekey(pair.key)
        context.check_privatekey()
    except (SSL.Error, CryptoError) as error:
        raise CertificateError(f"OpenSSL refuses the certificates: {reason(error)}.") from error
    return context


def set_curves(context: SSL.Context) -> bool:
    """
    Offer `CURVES` alone; return False where this pyOpenSSL cannot, and OpenSSL's own stay.

    pyOpenSSL has no public way to it; its binding has one.
    """
    try:
        from OpenSSL._util import lib

        handle: Any = context._context
        return bool(lib.SSL_CTX_set1_curves_list(handle, CURVES) == 1)
    except (ImportError, AttributeError):
        return False


def reason(error: BaseException | None) -> str:
    """Return the text of an error of OpenSSL, without the names of its functions."""
    stack = error.args[0] if error is not None and error.args else ()
    if isinstance(stack, (list, tuple)) and stack:
        return str(stack[-1][-1])
    return str(error) or type(error).__name__


def _ask_clients(
    context: SSL.Context, verify: str, authorities: Sequence[x509.Certificate]
) -> None:
    context.set_verify(VERIFY[verify])
    store = context.get_cert_store()
    for authority in authorities:
        context.add_client_ca(authority)
        if store is not None:
            store.add_cert(X509.from_cryptography(authority))
