"""
Certificates and keys: read from PEM files and checked before they are served.

An error that would make handshakes fail, or clients refuse, is one sentence; something that works
and is unwise becomes a remark.
"""

import os
import re
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from mtnet.errors import CertificateError

MOST = 1_048_576
"""Bytes of a PEM file; the largest chains are a hundredth of it."""
RSA_BITS = 2_048
"""Bits that clients and OpenSSL ask of an RSA key at least."""

Key = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)
X = TypeVar("X", bound=x509.ExtensionType)
Stamp = tuple[int, ...] | None

UNREADABLE = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
"""Errors of cryptography for a malformed extension."""

_NAMES: dict[str, Any] = {
    "dns": x509.DNSName,
    "email": x509.RFC822Name,
    "uri": x509.UniformResourceIdentifier,
}
_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s.*?-----END \1-----", re.DOTALL)


@dataclass(frozen=True)
class Pair:
    """
    A certificate that can be served.

    Attributes:
        chain: the server's own certificate, then each one's issuer.
        key: the private key of the first.
        remarks: sentences about what is unwise in the files.
    """

    chain: tuple[x509.Certificate, ...]
    key: Key
    remarks: tuple[str, ...] = ()

    @property
    def until(self) -> int:
        """When it, or its issuer, expires: milliseconds since the Unix epoch."""
        return min(_ms(each.not_valid_after_utc) for each in self.chain[:2])

    @property
    def names(self) -> list[str]:
        """The host names and addresses that it is valid for."""
        return names(self.chain[0])

    def same_as(self, other: "Pair | None") -> bool:
        """Return whether clients would see no difference."""
        return other is not None and self.chain == other.chain


def read_pair(certificate: Path, key: Path, now: int) -> Pair:
    """
    Read and check a certificate with its issuers, and its key.

    Args:
        now: milliseconds since the Unix epoch.

    Raises:
        CertificateError: it cannot be served.
    """
    chain = read_certificates(certificate)
    private = read_key(key)
    check_match(chain, private, certificate, key)
    _check_order(chain, certificate)
    _check_dates(chain[0], "a certificate", certificate, now)
    for issuer in chain[1:2]:
        _check_dates(issuer, "an issuer", certificate, now)
    _check_purpose(chain[0], certificate)
    _check_permissions(key)
    return Pair(tuple(chain), private, tuple(_remarks(chain, certificate, key, now)))


def read_certificates(path: Path) -> list[x509.Certificate]:
    """
    Read every certificate of a PEM file, at least one.

    Raises:
        CertificateError: there is none, or the file is cut or damaged.
    """
    data = _read(path)
    if b"CERTIFICATE" not in _labels(data, path):
        raise CertificateError(f"{path} holds no certificate in PEM form.")
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise CertificateError(f"{path} holds a damaged certificate ({error}).") from error


def stamp(path: Path) -> Stamp:
    """Return a value that changes whenever the file does; None = it cannot be read."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    # A write within one tick of the clock can leave the time as it was; owner and mode do not
    # change what is in a file, and still decide whether it can be read.
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


def names(certificate: x509.Certificate) -> list[str]:
    """Return the host names and addresses that a certificate is valid for."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return []
    hosts = found.get_values_for_type(x509.DNSName)
    return [*hosts, *map(str, found.get_values_for_type(x509.IPAddress))]


def day(ms: int) -> str:
    """Return the day of a time, as people write it: `2027-01-31`."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except OSError as error:
        raise CertificateError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > MOST:
        raise CertificateError(f"Invalid PEM file {path}: expected at most {MOST} bytes.")
    return data


def _labels(data: bytes, path: Path) -> list[bytes]:
    """Return the labels of the blocks of a PEM file, when none of them is cut."""
    if b"-----" in _BLOCK.sub(b"", data):
        raise CertificateError(f"{path} is cut off: one of its PEM blocks has no end.")
    return [block[1] for block in _BLOCK.finditer(data)]


def read_key(path: Path) -> Key:
    """
    Read a private key.

    Raises:
        CertificateError: there is none, it needs a password, or TLS cannot use it.
    """
    data = _read(path)
    if not any(label.endswith(b"PRIVATE KEY") for label in _labels(data, path)):
        raise CertificateError(f"{path} holds no private key in PEM form.")
    try:
        key = load_pem_private_key(data, None)
    except TypeError as error:
        raise CertificateError(
            f"{path} is locked by a password, which nobody can type where it is used; write the "
            "key without one."
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{path} holds a damaged key ({error}).") from error
    if not isinstance(key, Key):
        raise CertificateError(f"{path} holds a key of a kind that TLS cannot use here.")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < RSA_BITS:
        raise CertificateError(
            f"{path} holds an RSA key of {key.key_size} bits, and clients ask for {RSA_BITS}."
        )
    return key


def check_match(chain: list[x509.Certificate], key: Key, file: Path, key_file: Path) -> None:
    """
    Compare a key with the first certificate of a chain.

    Raises:
        CertificateError: they do not belong together, or a key in the chain cannot be read.
    """
    public = key.public_key()
    try:
        keys = [each.public_key() for each in chain]
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(
            f"{file} holds a certificate whose key cannot be read ({error}); RSA, P-256 and P-384 "
            "can."
        ) from error
    if keys[0] == public:
        return
    if public in keys:
        raise CertificateError(
            f"{file} is not in order: the certificate that {key_file} belongs to comes first, "
            "and behind it those that issued it."
        )
    raise CertificateError(f"The key in {key_file} does not belong to the certificate in {file}.")


def _check_order(chain: list[x509.Certificate], file: Path) -> None:
    for number, (child, issuer) in enumerate(pairwise(chain), 1):
        try:
            child.verify_directly_issued_by(issuer)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise CertificateError(
                f"{file} is not in order: its certificate {number + 1} did not issue "
                f"certificate {number}."
            ) from error


def read_authorities(path: Path, now: int) -> list[x509.Certificate]:
    """
    Read the authorities whose client certificates count.

    Args:
        now: milliseconds since the Unix epoch.

    Raises:
        CertificateError: there is none, the file is damaged, or all of them have expired, so
            that no client certificate would be taken.
    """
    found = read_certificates(path)
    last = max(_ms(each.not_valid_after_utc) for each in found)
    if now >= last:
        raise CertificateError(f"{path} holds no authority that is still valid, since {day(last)}.")
    return found


def _check_dates(certificate: x509.Certificate, what: str, file: Path, now: int) -> None:
    begin, end = _ms(certificate.not_valid_before_utc), _ms(certificate.not_valid_after_utc)
    if now >= end:
        raise CertificateError(f"{file} holds {what} that expired on {day(end)}.")
    if now < begin:
        raise CertificateError(
            f"{file} holds {what} that is not valid before {day(begin)}; "
            "is the clock of this machine right?"
        )


def read_extension(certificate: x509.Certificate, kind: type[X], file: Path) -> X | None:
    """
    Return an extension of a certificate; None = it has none of the kind.

    Raises:
        CertificateError: it cannot be read.
    """
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except UNREADABLE as error:
        raise CertificateError(f"{file} holds a damaged certificate ({error}).") from error


def _check_purpose(certificate: x509.Certificate, file: Path) -> None:
    usage = read_extension(certificate, x509.ExtendedKeyUsage, file)
    if usage is None:
        return
    allowed = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if not allowed.intersection(usage):
        raise CertificateError(f"{file} holds a certificate that is not for servers.")


def _remarks(chain: list[x509.Certificate], file: Path, key_file: Path, now: int) -> list[str]:
    remarks = []
    if not names(chain[0]):
        remarks.append(f"{file} names neither host nor address, so clients will refuse it.")
    if any(now >= _ms(issuer.not_valid_after_utc) for issuer in chain[2:]):
        # Some authorities keep one there on purpose, for old clients.
        remarks.append(f"{file} holds an issuer that has expired; some clients will refuse it.")
    if isinstance(chain[0].public_key(), ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        remarks.append(f"{file} is for an Edwards curve, which neither Windows nor browsers know.")
    if os.name == "posix" and _mode(key_file) & stat.S_IRWXG:
        remarks.append(
            f"{key_file} is open to its group (mode {_mode(key_file):04o}); chmod 600 closes it."
        )
    return remarks


def _check_permissions(key: Path) -> None:
    if os.name == "posix" and _mode(key) & stat.S_IRWXO:
        raise CertificateError(
            f"{key} is open to all users (mode {_mode(key):04o}); `chmod 600 {key}` closes it."
        )


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError:
        return 0


def _ms(when: datetime) -> int:
    return int(when.timestamp() * 1000)


def subject_names(certificate: x509.Certificate) -> list[str]:
    """
    Return whom a client certificate is about, as `dns:…`, `email:…` and `uri:…`.

    Only alternative names count: a subject is a text that can be made to look like another.
    """
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return []
    return [
        f"{kind}:{value}"
        for kind, form in _NAMES.items()
        for value in found.get_values_for_type(form)
    ]
