"""TLS to a server by the standard library; the certificate is always verified."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mtnet.client.core.address import Address
from mtnet.errors import ClientError

if TYPE_CHECKING:
    import ssl

_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
"""OpenSSL's reasons where something else than TLS was said."""

_NO_ISSUER = (2, 18, 19, 20, 21)
"""OpenSSL's codes of a chain that ends at no trusted authority."""
_UNTRUSTED = (
    "its issuer is not trusted here (--ca FILE, in a program ca=FILE, names another authority)"
)


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
        _load(partial(made.load_verify_locations, address.ca), address.ca, "no authority")
    if address.certificate is not None:
        load = partial(made.load_cert_chain, address.certificate, address.key)
        _load(load, address.certificate, "no certificate with its key")
    return made


def _load(load: "partial[None]", file: Path, lacking: str) -> None:
    from ssl import SSLError

    try:
        load()
    except SSLError as error:
        raise ClientError(f"{file} holds {lacking} ({error.strerror or error}).") from error
    except OSError as error:
        raise ClientError(f"{file} cannot be read: {error.strerror}.") from error


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
        said = error.verify_message.rstrip(".")
        _, mismatch, name = said.partition("certificate is not valid for ")
        if mismatch:
            said = f"it is not for {name.strip(chr(39))}"
        elif error.verify_code in _NO_ISSUER:
            said = _UNTRUSTED
        return f"its certificate is refused: {said}"
    reason = getattr(error, "reason", None) or str(error)
    if "CERTIFICATE_REQUIRED" in reason:
        return "the server asks for a certificate of the client"
    if reason in _NO_TLS:
        return "the server does not speak TLS"
    return f"the TLS handshake failed ({reason})"
