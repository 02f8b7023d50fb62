"""
Certificate store: the certificates of `secure:` endpoints, reloaded when their files change.

The files are checked every second. A new pair is read and checked as a whole before it replaces
the old one; a pair that cannot be served is refused with one sentence, and the old one stays.
Connections keep the certificate that they began with.
"""

from collections.abc import Callable, Iterator
from math import ceil
from pathlib import Path

from cryptography import x509
from OpenSSL.SSL import TLS_METHOD, Connection, Context
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from mtnet.callbacks import noop
from mtnet.config.schema import Tls
from mtnet.durations import DAY_MS
from mtnet.errors import CertificateError
from mtnet.net.tls.certificates import Pair, Stamp, day, read_authorities, read_pair, stamp
from mtnet.net.tls.context import build_context, set_curves
from mtnet.net.tls.files import absolute_path, default_files
from mtnet.net.tls.lifetimes import EXPIRY_WARNINGS
from mtnet.net.tls.self_handshake import check_handshake
from mtnet.recurring import Recurring

RELOAD_INTERVAL = 1.0
"""Seconds between two checks of the files."""

Build = Callable[[Pair], Context]


class ServedCertificate:
    """
    One served certificate with its key.

    Args:
        name: the host that clients ask for; empty = the default.
        build: makes the context of a pair.
        profile: a key of `VERSIONS`.

    Attributes:
        context: of new connections.
        refused: why the files as they are now are not served; empty = they are.

    Raises:
        CertificateError: there is nothing to begin with.
    """

    log = Logger()

    def __init__(
        self, name: str, certificate: Path, key: Path, build: Build, profile: str, now: int
    ) -> None:
        self.name, self._certificate, self._key = name, certificate, key
        self._build, self._profile = build, profile
        self._stamp = self._stamps()
        self.pair = read_pair(certificate, key, now)
        self.context = build(self.pair)
        check_handshake(self.pair, certificate, profile, now)
        self.refused = ""
        self._warned: int | None = None
        self._remark()
        self.warn_of_expiry(now)

    def refresh(self, now: int, force: bool = False) -> bool:
        """
        Load the files when they changed, or when `force` is true; return whether another
        certificate is served from now on.
        """
        seen = self._stamps()
        if seen == self._stamp and not force:
            return False
        # The stamp is older than the content: a change meanwhile is seen the next time.
        self._stamp = seen
        try:
            pair = read_pair(self._certificate, self._key, now)
            context = None
            if not pair.same_as(self.pair):
                context = self._build(pair)
                check_handshake(pair, self._certificate, self._profile, now)
        except CertificateError as error:
            self.refused = str(error)
            self.log.error("TLS: {error} The old certificate stays.", error=self.refused)
            return False
        self.refused = ""
        self.pair = pair
        self._remark()
        if context is not None:
            self.context, self._warned = context, None
            self.log.info(
                "TLS: {file} is served, until {day}",
                file=str(self._certificate),
                day=day(pair.until),
            )
        return context is not None

    def warn_of_expiry(self, now: int) -> None:
        """Warn once for each of `EXPIRY_WARNINGS`, and after the expiry."""
        left = (self.pair.until - now) / DAY_MS
        near = next((days for days in (0, *EXPIRY_WARNINGS) if left <= days), None)
        if near is None or (self._warned is not None and near >= self._warned):
            return
        self._warned = near
        file, when = str(self._certificate), day(self.pair.until)
        if near:
            text = "TLS: {file} expires within {days} days, on {when}"
            self.log.warn(text, file=file, days=ceil(left), when=when)
        else:
            self.log.error("TLS: {file} expired on {when}: clients refuse it", file=file, when=when)

    def status(self, now: int) -> dict[str, object]:
        """Report for `mtnet status`."""
        return {
            "host": self.name or "(default)",
            "file": str(self._certificate),
            "names": self.pair.names,
            "expires": day(self.pair.until),
            "days left": (self.pair.until - now) // DAY_MS,
            "remarks": [*self.pair.remarks, *([self.refused] if self.refused else [])],
        }

    def trouble(self, now: int) -> str:
        """Return why the owner must act; empty = all is well."""
        if not self.refused and now >= self.pair.until:
            return f"{self._certificate} expired on {day(self.pair.until)}: clients refuse it."
        return self.refused

    @property
    def files(self) -> tuple[Path, Path]:
        """The certificate, and the key."""
        return self._certificate, self._key

    def _stamps(self) -> tuple[Stamp, Stamp]:
        return stamp(self._certificate), stamp(self._key)

    def _remark(self) -> None:
        for remark in self.pair.remarks:
            self.log.warn("TLS: {remark}", remark=remark)


@implementer(IOpenSSLServerConnectionCreator)
class CertificateStore:
    """
    Every certificate of `[tls]`.

    Args:
        folder: where the default pair lies.
        now: wall time, milliseconds since the Unix epoch.

    Attributes:
        renewed: called with the name of the file, and the day on which it expires, when another
            certificate is served.

    Raises:
        CertificateError: one cannot be served.
    """

    log = Logger()

    def __init__(self, settings: Tls, folder: Path, now: Callable[[], int]) -> None:
        self._settings, self._now = settings, now
        self.renewed: Callable[[str, str], object] = noop
        self._checking = Recurring("The look at the certificates", self._refresh)
        if not set_curves(Context(TLS_METHOD)):
            self.log.warn("TLS: this pyOpenSSL cannot choose curves; OpenSSL's own are offered")
        self._ca = (
            absolute_path(settings.client_ca) if settings.client_certificates != "none" else None
        )
        self._ca_refused = ""
        self._ca_stamp = stamp(self._ca) if self._ca else None
        self._authorities = self._read_authorities()
        self._default = self._serve("", *default_files(settings, folder))
        self._hosts = {
            _host(name): self._serve(name, absolute_path(host.certificate), absolute_path(host.key))
            for name, host in settings.hosts.items()
        }

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> Connection:
        """Return OpenSSL's side of a new connection; called by Twisted."""
        return Connection(self._default.context, None)

    def check_files(self) -> None:
        """Reload files that changed; called every second."""
        self._checking(False)

    def reload(self) -> None:
        """Reload all files, and log again what is refused."""
        self._checking(True)

    def status(self) -> list[dict[str, object]]:
        """Report for `mtnet status`."""
        return [served.status(self._now()) for served in self._all()]

    def expiries(self) -> dict[str, int]:
        """Return when each certificate expires, ms since the epoch, by its host or `default`."""
        return {each.name or "default": each.pair.until for each in self._all()}

    def health(self) -> dict[str, object]:
        """
        Report for `/healthz` and `mtnet status`; `healthy` is False when a certificate has
        expired, or when the files were refused.
        """
        now, soonest = self._now(), min(served.pair.until for served in self._all())
        troubles = filter(None, [self._ca_refused, *(each.trouble(now) for each in self._all())])
        trouble = next(troubles, None)
        days = (soonest - now) // DAY_MS
        return {"healthy": trouble is None, "trouble": trouble, "days_left": days}

    def folders(self) -> set[Path]:
        """Name the folders that sentences about the files name."""
        files = [path for served in self._all() for path in served.files]
        return {path.parent for path in [*files, *([self._ca] if self._ca else [])]}

    def _all(self) -> Iterator[ServedCertificate]:
        yield self._default
        yield from self._hosts.values()

    def _serve(self, name: str, certificate: Path, key: Path) -> ServedCertificate:
        profile = self._settings.profile
        served = ServedCertificate(name, certificate, key, self._build, profile, self._now())
        if name and not {_host(name), _wildcard(name)}.intersection(map(_host, served.pair.names)):
            self.log.warn(
                "TLS: {file} is served to who asks for {host}, and is not valid for it",
                file=str(certificate), host=name,
            )  # fmt: skip
        return served

    def _refresh(self, force: bool) -> None:
        self._refresh_authorities(force)
        for served in self._all():
            if served.refresh(self._now(), force):
                self.renewed(served.files[0].name, day(served.pair.until))
            served.warn_of_expiry(self._now())

    def _refresh_authorities(self, force: bool) -> None:
        if self._ca is None:
            return
        seen = stamp(self._ca)
        if seen == self._ca_stamp and not force:
            return
        self._ca_stamp, before = seen, self._authorities
        try:
            self._authorities = self._read_authorities()
            contexts = [self._build(served.pair) for served in self._all()]
            self._ca_refused = ""
            for served, context in zip(self._all(), contexts, strict=True):
                served.context = context
        except CertificateError as error:
            self._authorities, self._ca_refused = before, str(error)
            self.log.error("TLS: {error} The old authorities stay.", error=self._ca_refused)

    def _read_authorities(self) -> list[x509.Certificate]:
        return read_authorities(self._ca, self._now()) if self._ca else []

    def _build(self, pair: Pair) -> Context:
        wanted = self._settings.client_certificates
        context = build_context(pair, self._settings.profile, wanted, self._authorities)
        context.set_tlsext_servername_callback(self._choose)
        return context

    def _choose(self, connection: Connection) -> None:
        """Switch to the certificate of the host that the client asks for, if there is one."""
        name = _host((connection.get_servername() or b"").decode("ascii", "replace"))
        served = self._hosts.get(name) or self._hosts.get(_wildcard(name))
        if served is not None:
            connection.set_context(served.context)


def _wildcard(name: str) -> str:
    return "*." + _host(name).partition(".")[2]


def _host(name: str) -> str:
    return name.lower().rstrip(".")
