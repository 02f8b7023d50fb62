"""The work of `mtnet cert`."""

import os
import socket
import stat
from argparse import Namespace
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mtnet.cli.output import print_result
from mtnet.cli.output import show as as_text
from mtnet.clock import system_time
from mtnet.config.loader import load_section
from mtnet.config.schema import Config, Tls
from mtnet.durations import DAY_MS
from mtnet.errors import CertificateError
from mtnet.net.tls.authority import (
    CA,
    CA_KEY,
    Made,
    default_names,
    make,
    parse_names,
    thumbprints,
)
from mtnet.net.tls.certificates import (
    Pair,
    day,
    names,
    read_authorities,
    read_certificates,
    read_pair,
)
from mtnet.net.tls.files import absolute_path, default_files
from mtnet.net.tls.lifetimes import EXPIRY_WARNINGS

NEXT = """
Next:
1. Let a service use it (a daemon that runs with it already takes the new one by itself):
     mtnet run{data} --listen signals=secure:8081 --set access.anonymous=follow
2. Copy {ca}
   to each Windows machine, and let Windows trust it there, as administrator:
     certutil -addstore Root ca.pem
   or for one user: certmgr.msc > Trusted Root Certification Authorities > All Tasks > Import.
   Whether a terminal asks Windows is not documented by MetaQuotes: try it on one machine first.
   A program can compare the SHA-1 thumbprint above with the one from SocketTlsCertificate.
3. Move {key}
   to a place that is not on the network: with it, anybody can impersonate any site to those
   machines. Only the next `mtnet cert init` needs it."""


@dataclass(frozen=True)
class Verdict:
    """
    The daemon's verdict on a certificate and its key.

    Attributes:
        refused: reasons why it is not served.
        warnings: problems that are not fatal, or come soon.
    """

    certificate: str
    key: str
    refused: tuple[str, ...]
    warnings: tuple[str, ...]


# init


def init(arguments: Namespace) -> None:
    """
    Make a certificate, and print what to do with it.

    Raises:
        ConfigError: a name is invalid, or the existing certificate may not be replaced.
    """
    config, host = _config(arguments), socket.gethostname()
    wanted = parse_names(arguments.names) or default_names(host)
    folder = _folder(config)
    made = make(folder, wanted, host, system_time(), arguments.days, arguments.force)
    data = f" --data {arguments.data}" if arguments.data else ""
    data += f" --config {arguments.config}" if arguments.config else ""
    print("\n".join(_made(made, folder, default_files(config.tls, folder))))
    print(NEXT.format(data=data, ca=folder / CA, key=folder / CA_KEY), flush=True)


def _made(made: Made, folder: Path, served: tuple[Path, Path]) -> Iterator[str]:
    leaf = made.pair.chain[0]
    certificate, key = default_files(Tls(), folder)
    yield f"Certificate: {certificate}, until {day(made.pair.until)}"
    yield f"Key:         {key}"
    yield f"Authority:   {folder / CA}, {'new' if made.new_authority else 'used again'}"
    yield f"Names:       {', '.join(made.pair.names)}"
    for kind, thumbprint in thumbprints(leaf).items():
        yield f"{LABELS[kind] + ':':<12} {thumbprint}"
    if served != (certificate, key):
        yield f"The configuration names another certificate: the daemon serves {served[0]}."


# show


def show(arguments: Namespace) -> None:
    """
    Print what is in a certificate and in its chain.

    Raises:
        CertificateError: the file holds none.
    """
    file = arguments.file or _default(_config(arguments))[0]
    found = [describe(certificate) for certificate in read_certificates(file)]
    text = "\n\n".join("\n".join(_lines(each)) for each in found)
    print_result(arguments, found, text)


LABELS = {
    "subject": "Subject",
    "names": "Names",
    "issuer": "Issuer",
    "from": "Valid from",
    "until": "Valid until",
    "key": "Key",
    "authority": "Authority",
    "serial": "Serial",
    "sha1": "SHA-1",
    "sha256": "SHA-256",
}
"""Labels of the keys of `describe`."""


def describe(certificate: x509.Certificate) -> dict[str, object]:
    """Return the content of a certificate, for text and for JSON."""
    return {
        "subject": certificate.subject.rfc4514_string(),
        "names": names(certificate),
        "issuer": certificate.issuer.rfc4514_string(),
        "from": certificate.not_valid_before_utc.isoformat(),
        "until": certificate.not_valid_after_utc.isoformat(),
        "key": _kind(certificate),
        "authority": _may_issue(certificate),
        "serial": f"{certificate.serial_number:x}",
        **thumbprints(certificate),
    }


def _kind(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ECDSA {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return type(key).__name__.removesuffix("PublicKey")


def _may_issue(certificate: x509.Certificate) -> bool:
    with suppress(x509.ExtensionNotFound, ValueError):
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    return False


def _lines(described: dict[str, object]) -> Iterator[str]:
    for key, value in described.items():
        yield f"{LABELS[key] + ':':<12} {as_text(value)}"


# check


def check(arguments: Namespace) -> None:
    """
    Print why the daemon would refuse each configured certificate, or warn about it.

    Raises:
        SystemExit: something would be refused.
    """
    config, when = _config(arguments), system_time()
    verdicts = [judge(*files, config.tls, when) for files in _configured(config)]
    owner = _owner(Path(config.data))
    verdicts = [_with_owner(verdict, owner) for verdict in verdicts]
    text = "\n".join(line for verdict in verdicts for line in _describe(verdict))
    print_result(arguments, [asdict(verdict) for verdict in verdicts], text)
    if any(verdict.refused for verdict in verdicts):
        raise SystemExit(1)


def judge(certificate: Path, key: Path, settings: Tls, now: int) -> Verdict:
    """
    Return the daemon's verdict on these files.

    Args:
        now: milliseconds since the Unix epoch.
    """
    # pyOpenSSL, which the other commands need not import.
    from mtnet.net.tls.context import build_context
    from mtnet.net.tls.self_handshake import check_handshake

    try:
        pair = read_pair(certificate, key, now)
        authorities: list[x509.Certificate] = []
        if settings.client_certificates != "none":
            authorities = read_authorities(absolute_path(settings.client_ca), now)
        build_context(pair, settings.profile, settings.client_certificates, authorities)
        check_handshake(pair, certificate, settings.profile, now)
    except CertificateError as error:
        return Verdict(str(certificate), str(key), (str(error),), ())
    warnings = (*pair.remarks, *_warnings(pair, certificate, key, now))
    return Verdict(str(certificate), str(key), (), warnings)


def _warnings(pair: Pair, file: Path, key: Path, now: int) -> Iterator[str]:
    left = (pair.until - now) / DAY_MS
    near = next((days for days in EXPIRY_WARNINGS if left <= days), None)
    if near is not None:
        days = "1 day" if near == 1 else f"{near} days"
        yield f"{file} expires within {days}, on {day(pair.until)}; make or fetch a new one."
    yield from _misnamed(pair.chain[0], file)
    if len(pair.chain) == 1 and pair.chain[0].issuer != pair.chain[0].subject:
        yield (
            f"{file} holds no issuer behind the certificate; clients that do not know the issuer "
            "themselves will refuse it (certbot's fullchain.pem has it)."
        )
    for path in {file.parent: None, key.parent: None, file: None}:
        if os.name == "posix" and os.stat(path).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            yield f"{path} can be written by other users; chmod go-w closes it."


def _misnamed(certificate: x509.Certificate, file: Path) -> Iterator[str]:
    """Yield names that the certificate contains in a form that clients ignore."""
    with suppress(x509.ExtensionNotFound, ValueError):
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        for name in filter(_is_address, found.get_values_for_type(x509.DNSName)):
            yield (
                f"{file} has the address {name} as a host name; clients that connect to it will "
                "refuse the certificate, which must have it as an address."
            )
    valid = {name.lower() for name in names(certificate)}
    for each in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME):
        name = str(each.value)
        if _is_address(name) and name not in valid:
            yield (
                f"{file} has the address {name} in its subject alone, where clients do not look; "
                "it must be among the subject's alternative names."
            )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _with_owner(verdict: Verdict, owner: int | None) -> Verdict:
    """Add what root cannot notice: another user, as which the daemon runs, cannot read the key."""
    if verdict.refused or owner is None:
        return verdict
    found = os.stat(verdict.key)
    if found.st_uid == owner or found.st_mode & (stat.S_IRGRP | stat.S_IROTH):
        return verdict
    text = f"{verdict.key} cannot be read by the user of the data folder, as which the daemon runs."
    return Verdict(verdict.certificate, verdict.key, (text,), verdict.warnings)


def _owner(data: Path) -> int | None:
    """Return the owner of the data folder when root asks and is not the owner."""
    if os.name != "posix" or os.geteuid() != 0 or not data.exists():
        return None
    return os.stat(data).st_uid or None


def _describe(verdict: Verdict) -> Iterator[str]:
    for sentence in verdict.refused:
        yield f"REFUSED: {sentence}"
    for sentence in verdict.warnings:
        yield f"Warning: {sentence}"
    if not verdict.refused and not verdict.warnings:
        yield f"{verdict.certificate}: nothing is wrong."
    missing = Path(verdict.certificate)
    if verdict.refused and not missing.exists():
        yield "`mtnet cert init` makes one."


# Where things are


def _config(arguments: Namespace) -> Config:
    return load_section("tls", None, arguments.config, os.environ, arguments.data)


def _folder(config: Config) -> Path:
    return Path(config.data) / "tls"


def _default(config: Config) -> tuple[Path, Path]:
    return default_files(config.tls, _folder(config))


def _configured(config: Config) -> Iterator[tuple[Path, Path]]:
    yield _default(config)
    for host in config.tls.hosts.values():
        yield absolute_path(host.certificate), absolute_path(host.key)
