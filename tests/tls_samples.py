"""Certificates for the tests, made on the spot."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


def new_key(bits=0):
    """Return a P-256 key, or an RSA key of so many bits."""
    return (
        rsa.generate_private_key(65_537, bits) if bits else ec.generate_private_key(ec.SECP256R1())
    )


def _host(text):
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def pem(*certificates):
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def key_pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class Authority:
    """Issues certificates; `path` ends at one that it does not know."""

    def __init__(self, name="mtnet test authority", parent=None, ca=True, until=90 * DAY):
        self.key = new_key()
        self.parent = parent
        public = self.key.public_key()
        self.certificate = self._sign(name, public, parent or self, ca=ca, until=until)

    @property
    def chain(self):
        """The certificates between a server's own and the root."""
        return [] if self.parent is None else [self.certificate, *self.parent.chain]

    def issue(
        self, *hosts, key=None, since=-DAY, until=90 * DAY, usage="server", name="", signs=True
    ):
        """Return a certificate for host names and addresses, and its key."""
        key = key or new_key()
        name = name or (hosts[0] if hosts else "nobody")
        certificate = self._sign(
            name, key.public_key(), self, False, hosts, since, until, usage, signs
        )
        return certificate, key

    def _sign(
        self,
        name,
        public,
        issuer,
        ca=False,
        hosts=(),
        since=-DAY,
        until=90 * DAY,
        usage="",
        signs=True,
    ):
        now = datetime.now(UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        own = subject if issuer is self and ca else issuer.certificate.subject
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
        signs = signs and not ca
        certify = x509.KeyUsage(signs, False, not signs, False, False, ca, ca, False, False)
        builder = (
            x509.CertificateBuilder(own, subject, public, x509.random_serial_number())
            .not_valid_before(now + since)
            .not_valid_after(now + until)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(certify, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(identifier, critical=False)
        )
        if hosts:
            found = x509.SubjectAlternativeName(map(_host, hosts))
            builder = builder.add_extension(found, critical=False)
        if usage:
            purpose = {"server": ExtendedKeyUsageOID.SERVER_AUTH}
            purpose["client"] = ExtendedKeyUsageOID.CLIENT_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose[usage]]), critical=False)
        return builder.sign(issuer.key, hashes.SHA256())


class Files:
    """A certificate and its key in a folder."""

    def __init__(self, folder: Path, authority: Authority, name=""):
        folder.mkdir(parents=True, exist_ok=True)
        self.authority = authority
        self.certificate = folder / f"{name}certificate.pem"
        self.key = folder / f"{name}key.pem"
        self.ca = folder / "ca.pem"
        root = authority
        while root.parent is not None:
            root = root.parent
        self.ca.write_bytes(pem(root.certificate))

    def issue(self, *hosts, **options):
        """Make a certificate, put it there, and return it."""
        certificate, key = self.authority.issue(*hosts, **options)
        self.put(pem(certificate, *self.authority.chain), key_pem(key))
        return certificate

    def put(self, certificate, key):
        """Write both; the key first, as a careful program does, and each at once."""
        for path, data in ((self.key, key), (self.certificate, certificate)):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(data)
            fresh.chmod(0o600)
            fresh.replace(path)

    @property
    def settings(self):
        return [f"tls.certificate={self.certificate}", f"tls.key={self.key}"]


def client_context(ca, certificate=None, key=None, newest=None):
    """Return what a careful client uses."""
    context = ssl.create_default_context(cafile=str(ca))
    if certificate:
        context.load_cert_chain(certificate, key)
    if newest:
        context.maximum_version = newest
    return context
