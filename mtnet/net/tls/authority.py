"""
Certificate authority of one's own, and the certificates that it issues to this server.

A client that trusts the authority's `ca.pem` trusts the server, and its later certificates.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mtnet.errors import CertificateError
from mtnet.net.tls.certificates import Key, Pair, read_certificates, read_pair
from mtnet.net.tls.lifetimes import DAYS
from mtnet.storage.files import replace_files

CA, CA_KEY, CERTIFICATE, KEY = "ca.pem", "ca-key.pem", "certificate.pem", "key.pem"
"""The files of `DATA/tls`."""
CA_DAYS = 3_650
SLACK = timedelta(hours=1)
"""How long before now a certificate begins: clocks of clients differ."""
LONGEST_NAME = 64
"""Characters of a common name (RFC 5280, upper bounds)."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_NUMBER = re.compile(r"(?:.*\.)?[0-9]+", re.ASCII)


@dataclass(frozen=True)
class Made:
    """
    The result of `make`.

    Attributes:
        pair: the server's certificate with its chain, and its key.
        new_authority: whether the authority is new, so that clients have yet to trust it.
    """

    pair: Pair
    new_authority: bool


def make(
    folder: Path, names: Sequence[str], host: str, now: int, days: int = DAYS, force: bool = False
) -> Made:
    """
    Issue a certificate into `folder`; the authority there is used again, or made.

    Args:
        folder: `DATA/tls`; it is made when it is missing.
        names: host names and addresses, as `parse_name` returns them; at least one.
        host: the name of this machine, for people who look at the authority.
        now: milliseconds since the Unix epoch.
        days: how long it is valid, at most `LONGEST`; never longer than the authority is.
        force: replace a certificate that this authority did not issue.

    Raises:
        CertificateError: the authority cannot issue, a certificate of another one is there, or
            the files cannot be written; then those that were there are as they were.
    """
    found = _read_authority(folder, now)
    if not force:
        _spare_others(folder, found)
    authority = found or make_authority(host, now)
    pair = issue(authority, names, now, days)
    files = {KEY: key_pem(pair.key), CERTIFICATE: chain_pem(pair.chain)}
    if found is None:
        files = {CA_KEY: key_pem(authority.key), CA: chain_pem(authority.chain), **files}
    try:
        _replace(folder, files)
    except OSError as error:
        raise CertificateError(f"{folder} cannot be written: {error.strerror}.") from error
    return Made(pair, new_authority=found is None)


def make_authority(host: str, now: int) -> Pair:
    """
    Return a new authority, which issues certificates for servers and for nothing below them.

    Args:
        host: part of its name, next to the beginning of its key's identifier.
        now: milliseconds since the Unix epoch.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = _named(f"mtnet authority {identifier.digest.hex()[:8]} of {host}"[:LONGEST_NAME])
    begin = _begin(now)
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(_end(begin, CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certify=True), critical=True)
        .add_extension(identifier, critical=False)
    )
    return Pair((builder.sign(key, hashes.SHA256()),), key)


def issue(authority: Pair, names: Sequence[str], now: int, days: int = DAYS) -> Pair:
    """Return a server's certificate with a new key, and the chain of its authority."""
    key, issuer = ec.generate_private_key(ec.SECP256R1()), authority.chain[0]
    begin = max(_begin(now), issuer.not_valid_before_utc)
    common = next((name for name in names if len(name) <= LONGEST_NAME), "mtnet")
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder(
            issuer.subject, _named(common), key.public_key(), x509.random_serial_number()
        )
        .not_valid_before(begin)
        .not_valid_after(min(_end(begin, days), issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certify=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(map(_general, names)), critical=False)
        .add_extension(own, critical=False)
        .add_extension(_identify(issuer), critical=False)
    )
    leaf = builder.sign(authority.key, _digest(authority.key))
    return Pair((leaf, *authority.chain), key)


def parse_name(text: str) -> str:
    """
    Return a host name or an address as certificates have it: lower case, ASCII, `*.` allowed.

    Raises:
        CertificateError: it is neither.
    """
    with suppress(ValueError):
        # An address with a zone, as fe80::1%eth0, is valid on one machine alone.
        return str(ip_address(text)) if "%" not in text else _refuse(text)
    try:
        name = text.lower().rstrip(".").encode("idna").decode("ascii")
    except UnicodeError:
        return _refuse(text)
    # A name that ends in a number is a mistyped address; clients refuse such a host name.
    if len(name) > 253 or not _HOST.fullmatch(name) or _NUMBER.fullmatch(name):
        return _refuse(text)
    return name


def parse_names(texts: Iterable[str]) -> list[str]:
    """
    Return the parsed names, each once.

    Raises:
        CertificateError: one is neither host name nor address.
    """
    return list(dict.fromkeys(map(parse_name, texts)))


def default_names(host: str) -> list[str]:
    """Return the names of this machine; `host` is left out where it is no host name."""
    names = ["localhost", "127.0.0.1", "::1"]
    with suppress(CertificateError):
        names.append(parse_name(host))
    return list(dict.fromkeys(names))


def thumbprints(certificate: x509.Certificate) -> dict[str, str]:
    """
    Return `sha1` and `sha256` of a certificate in hexadecimal, as Windows shows them.

    SHA-1 is what `SocketTlsCertificate` returns in a terminal.
    """
    return {
        "sha1": certificate.fingerprint(hashes.SHA1()).hex(),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex(),
    }


def chain_pem(chain: Iterable[x509.Certificate]) -> bytes:
    """Return certificates as a PEM file has them."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in chain)


def key_pem(key: Key) -> bytes:
    """Return a private key as a PEM file has it, without a password."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _refuse(text: str) -> str:
    raise CertificateError(
        f"{text!r} is neither a host name nor an address. Example: fx.example or 192.0.2.7."
    )


# Files that exist


def _read_authority(folder: Path, now: int) -> Pair | None:
    ca, key = folder / CA, folder / CA_KEY
    if not ca.exists() and not key.exists():
        return None
    for path, other in ((ca, key), (key, ca)):
        if not path.exists():
            raise CertificateError(
                f"{path} is missing beside {other}: put it back, or move {other} away to begin "
                "with a new authority, which clients have yet to trust."
            )
    authority = read_pair(ca, key, now)
    if not _is_authority(authority.chain[0]):
        raise CertificateError(f"{ca} holds a certificate that may not issue others.")
    return authority


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return found.ca


def _spare_others(folder: Path, authority: Pair | None) -> None:
    """Refuse to replace certificates of other authorities, such as those of certbot."""
    certificate, key = folder / CERTIFICATE, folder / KEY
    if not certificate.exists() and not key.exists():
        return
    try:
        leaf = read_certificates(certificate)[0]
        if authority is None:
            raise ValueError
        leaf.verify_directly_issued_by(authority.chain[0])
    except (CertificateError, ValueError, TypeError, InvalidSignature) as error:
        raise CertificateError(
            f"{certificate} and {key} are not of the authority in {folder / CA}; move them away, "
            "or replace them with --force."
        ) from error


# Content of a certificate


def _named(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _identify(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Name the issuer's key as the issuer does itself, or clients find it to be another one."""
    kind = x509.AuthorityKeyIdentifier
    try:
        found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return kind.from_issuer_public_key(issuer.public_key())  # type: ignore[arg-type]
    return kind.from_issuer_subject_key_identifier(found)


def _usage(certify: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certify,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certify,
        crl_sign=certify,
        encipher_only=False,
        decipher_only=False,
    )


def _digest(key: Key) -> hashes.SHA256 | None:
    # The Edwards curves have a digest of their own.
    plain = isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
    return None if plain else hashes.SHA256()


def _begin(now: int) -> datetime:
    return datetime.fromtimestamp(now // 1000, UTC) - SLACK


def _end(begin: datetime, days: int) -> datetime:
    # The last second counts (RFC 5280, 4.1.2.5), and would make it a day too long.
    return begin + timedelta(days=days, seconds=-1)


# How it comes to the disk


def _replace(folder: Path, files: Mapping[str, bytes]) -> None:
    """
    Write files, each whole or not at all, and in the order in which they are given.

    Between two renames a key does not fit the certificate: a daemon that checks just then keeps the
    old pair, and loads both at its next check. The key
    goes first, since programs that watch one file watch the certificate: when that one changes,
    its key is there.
    """
    owner = _make_folder(folder)

    def set_owner(path: Path, descriptor: int) -> None:
        # Only issuing needs the authority's key; the daemon must not have it.
        if path.name != CA_KEY and _is_root():
            os.chown(descriptor, owner.st_uid, owner.st_gid)

    replace_files({folder / name: data for name, data in files.items()}, set_owner)


def _make_folder(folder: Path) -> os.stat_result:
    """Make the folder, and return the owner of the data folder: the daemon's user."""
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = os.stat(folder.parent)
    if not folder.exists():
        folder.mkdir(mode=0o700)
        if _is_root():
            os.chown(folder, owner.st_uid, owner.st_gid)
    return owner


def _is_root() -> bool:
    return os.name == "posix" and os.geteuid() == 0
