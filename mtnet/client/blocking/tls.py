"""TLS to a server by the standard library; the certificate is always verified."""

import os
from functools import partial
from typing import TYPE_CHECKING

from mtnet.client.core.address import Address
from mtnet.errors import ClientError

if TYPE_CHECKING:
    import ssl

_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
"""OpenSSL's reasons where something else than TLS was said."""


def context(address: Address) -> "ssl.SSLContext | None":
    """
    Return the context for a server; None = it is reached in clear text. Reads files.

    Raises:
        ClientError: a file holds no certificate, or no key.
    """
    if not address.secure:
        return None
    import ssl

    made = ssl.create_default_context()
    if address.ca is not None:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load(partial(made.load_verify_locations, address.ca), f"{address.ca} holds no authority")
    if address.certificate is not None:
        load = partial(made.load_cert_chain, address.certificate, address.key)
        _load(load, f"{address.certificate} holds no certificate with its key")
    return made


def _load(load: "partial[None]", wrong: str) -> None:
    try:
        load()
    except OSError as error:
        raise ClientError(f"{wrong} ({error.strerror or error}).") from error


def why(error: BaseException) -> str:
    """Return the reason of a failed attempt for the middle of a sentence."""
    if type(error).__module__ == "ssl":  # else it need not be imported
        return _why_no_tls(error)
    if isinstance(error, TimeoutError):
        return "it did not answer in time"
    if isinstance(error, OSError) and (error.errno or 0) > 0:
        return os.strerror(error.errno or 0)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__


def _why_no_tls(error: BaseException) -> str:
    import ssl

    if isinstance(error, ssl.SSLCertVerificationError):
        hint = (
            " (--ca FILE, in a program ca=FILE, names another authority)"
            if error.verify_code in (18, 19, 20)
            else ""
        )
        return f"its certificate is refused: {error.verify_message}{hint}"
    reason = getattr(error, "reason", None) or str(error)
    if "CERTIFICATE_REQUIRED" in reason:
        return "the server asks for a certificate of the client"
    if reason in _NO_TLS:
        return "the server does not speak TLS"
    return f"the TLS handshake failed ({reason})"
