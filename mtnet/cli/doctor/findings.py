"""Findings: rules that turn the reports of ports into sentences and advice."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from cryptography import x509
from service_identity import CertificateError as NoNamesError
from service_identity import VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from mtnet.cli.doctor.ports import DEFAULTS, HTTPS
from mtnet.cli.doctor.probe import CONNECT, HttpReply, PortReport, TlsReport
from mtnet.durations import DAY_MS
from mtnet.errors import TemplateError
from mtnet.net.tls.authority import thumbprints
from mtnet.net.tls.certificates import day, names
from mtnet.services.templates.wire import parse_period

SKEW = 30.0
"""Seconds between two clocks from which on they are called wrong."""
EXPIRES_SOON, EXPIRES_VERY_SOON = 30, 7
"""Days before the end of a certificate: from the first a note, from the second an error."""

OK, NOTE, WRONG = "ok", "note", "wrong"
TLS_ERROR = "a terminal that refuses it says error 5274"
ENDED = (
    "mtnet does so where this machine may do nothing without a login (access.anonymous, "
    "access.networks), where it is banned (`mtnet bans list`), behind haproxy: where no proxy "
    "speaks first, and where too many connect; its log and `mtnet status` have the reason."
)


@dataclass(frozen=True)
class Finding:
    """
    One thing that was found.

    Attributes:
        level: `ok`, `note` or `wrong`.
        about: the host, or an address and port.
        text: a sentence.
        todo: what to do; empty where there is nothing.
    """

    level: str
    about: str
    text: str
    todo: str = ""


@dataclass(frozen=True)
class Target:
    """
    The server that is probed.

    Attributes:
        host: as programs in terminals name it.
        named: whether the caller named the port; else the ports are `DEFAULTS`.
        authority: the file of trusted authorities; empty = those of this machine.
        now: wall time, milliseconds since the Unix epoch.
    """

    host: str
    named: bool
    authority: str
    now: int


def judge(target: Target, reports: Sequence[PortReport]) -> Iterator[Finding]:
    """Yield the findings about each address and port, and about the server."""
    for report in reports:
        if report.failure:
            yield _unreached(target, report, reports)
        else:
            yield from _reached(target, report)
    if all(report.failure for report in reports) and not target.named:
        ports = ", ".join(map(str, DEFAULTS))
        yield Finding(
            WRONG,
            target.host,
            f"None of the ports {ports} answers.",
            "Start the daemon, let it listen for other machines with --listen, and open the "
            "firewall; a port of your own is asked with HOST:PORT.",
        )
    yield from _clock(target, reports)
    yield from _for_programs(target, reports)


def unresolved(host: str, reason: str) -> Finding:
    """Return the finding that a name has no address."""
    text = f"The name {host} has no address: {reason}."
    return Finding(WRONG, host, text, "Check its spelling, or use an address in its place.")


def resolved(host: str, addresses: Iterable[str]) -> Finding:
    """Return the finding that a name has addresses."""
    return Finding(OK, host, f"The name {host} stands for {', '.join(addresses)}.")


def allow_list(host: str) -> Finding:
    """Return the note about the list of allowed URLs, which cannot be probed from outside."""
    return Finding(
        NOTE,
        host,
        f"Each terminal must allow {host}, which only its user can do and see: Tools > "
        "Options > Expert Advisors > Allow WebRequest for listed URL. Without it error 4014.",
    )


# Connections


def _unreached(target: Target, report: PortReport, reports: Sequence[PortReport]) -> Finding:
    about = _about(report)
    elsewhere = any(other.port == report.port and not other.failure for other in reports)
    text, todo = _why_unreached(report.failure)
    if report.failure == "late":
        # Dropped packets keep a terminal waiting, even if another address answers.
        return Finding(WRONG if target.named or elsewhere else NOTE, about, text, todo)
    if elsewhere:
        todo = "Another address of the name answers; a program that tries this one first fails."
        return Finding(NOTE, about, text, todo)
    if target.named:
        return Finding(WRONG, about, text, todo)
    return Finding(NOTE, about, text)


def _why_unreached(failure: str) -> tuple[str, str]:
    if failure == "late":
        return (
            f"There is no connection within {CONNECT:g} s, as where a firewall drops everything; "
            "a terminal says error 5272.",
            "Open the port in the firewalls of the server and of its host, or correct the address.",
        )
    if failure == "refused":
        return (
            "Nothing listens there; a terminal says error 5272.",
            "Start the daemon; `mtnet status` there says where it listens. On 127.0.0.1 only its "
            "own machine reaches it: --listen names other addresses.",
        )
    return (
        f"There is no way to it: {failure}; a terminal says error 5272.",
        "Correct the address, or the network between.",
    )


def _reached(target: Target, report: PortReport) -> Iterator[Finding]:
    about, secure = _about(report), report.secure
    if secure is None and report.port == HTTPS:
        yield Finding(
            WRONG,
            about,
            "The server does not speak TLS, but terminals start TLS by themselves on port 443.",
            "Listen with secure:443 there, or use another port without TLS.",
        )
    if secure is not None:
        yield from _secure(target, report, secure)
        if secure.refusal:
            return
    yield _service(target, report)
    if report.web is not None and report.web.body.get("error") == "host":
        yield _unknown_host(target, about)


# Services


def _service(target: Target, report: PortReport) -> Finding:
    about, how = _about(report), "plain" if report.secure is None else "through TLS"
    if report.service == "http":
        return _web(target, about, report, how)
    if report.service in ("closed", "reset"):
        return Finding(WRONG, about, "It ends the connection without a word.", ENDED)
    if report.service == "unknown":
        return _unknown(about, report.detail)
    if report.service == "any" and report.detail:
        return _unheard(about, how)
    sentences = {
        "signals": (OK, f"Signals answer, {how}."),
        "ticks": (OK, f"Ticks answer, {how}."),
        "templates": (OK, f"Templates answer, {how}, with {_template(report.detail)}."),
        "silent": (
            NOTE,
            f"It is silent, {how}: signals are while there are no positions, and every service is "
            "before a required login.",
        ),
        "any": (OK, f"Signals, templates, ticks and HTTP answer on one port, {how}."),
    }
    return Finding(sentences[report.service][0], about, sentences[report.service][1])


def _web(target: Target, about: str, report: PortReport, how: str) -> Finding:
    web = report.web or HttpReply(0)
    if web.status == 200 and web.body.get("name") == "mtnet":
        version = str(web.body.get("version", ""))
        return Finding(OK, about, f"The web service answers, {how}: mtnet {version}.")
    if web.body.get("error") == "missing":
        return Finding(
            NOTE,
            about,
            f"Templates answer by HTTP, {how}; none is on offer to a client that sends nothing.",
            "Store one with `mtnet templates put`; access.anonymous and access.networks decide "
            "who may fetch it without a login.",
        )
    if web.body.get("error") == "host":
        return Finding(OK, about, f"mtnet answers by HTTP, {how}.")
    text = f"A web server answers, {how}, that is not mtnet."
    if report.port == HTTPS and not target.named:
        return Finding(NOTE, about, text)
    return Finding(WRONG, about, text, "Give mtnet, or the other program, a port of its own.")


def _unknown(about: str, detail: str) -> Finding:
    if "certificate required" in detail:
        return Finding(
            WRONG,
            about,
            "It asks clients for a certificate, and programs in terminals have none.",
            'Set tls.client_certificates to "none", or ask for them on another server.',
        )
    text = f"What answers there is not mtnet: {detail}."
    return Finding(WRONG, about, text, "Find out which program has the port: ss -ltnp.")


def _unheard(about: str, how: str) -> Finding:
    text = f"Templates, ticks and HTTP answer on one port, {how}; silent clients get no signals."
    todo = (
        "To follow signals from here, add follow to access.anonymous or access.networks, or log in."
    )
    return Finding(NOTE, about, text, todo)


def _unknown_host(target: Target, about: str) -> Finding:
    return Finding(
        WRONG,
        about,
        f"It refuses HTTP requests that name {target.host}, as WebRequest and browsers do.",
        f"Start it with --set web.hosts={target.host} (a list, separated by commas).",
    )


def _template(detail: str) -> str:
    symbol, _, code = detail.rpartition(" ")
    try:
        return f"{symbol} {parse_period(code)}"
    except TemplateError:
        return detail


# TLS


def _secure(target: Target, report: PortReport, secure: TlsReport) -> Iterator[Finding]:
    about = _about(report)
    if secure.refusal:
        text = f"It speaks TLS and refuses the handshake ({secure.refusal}); {TLS_ERROR}."
        todo = "Its log has the reason. If it asks for client certificates: terminals have none."
        yield Finding(WRONG, about, text, todo)
        return
    if secure.certificate is None:
        text = "Its certificate cannot be read; a terminal says error 5274 or 5275."
        yield Finding(WRONG, about, text, "Run `mtnet cert check` there.")
        return
    yield _names(target, about, secure.certificate)
    dates = _dates(target, about, secure.certificate)
    if dates is not None:
        yield dates
    yield from _trust(target, about, secure, secure.certificate)
    if secure.without_name is not None and not fits(secure.without_name, target.host):
        shown = ", ".join(names(secure.without_name)) or "no name"
        yield Finding(
            NOTE,
            about,
            f"Clients that name no host in the handshake are shown another certificate ({shown}); "
            "whether a terminal names it is not documented.",
            f"Make the default certificate of [tls] valid for {target.host} too.",
        )


def fits(certificate: x509.Certificate, host: str) -> bool:
    """Return whether a certificate is valid for a host name or an address."""
    try:
        if host.replace(".", "").isdecimal() or ":" in host:
            verify_certificate_ip_address(certificate, host)
        else:
            verify_certificate_hostname(certificate, host)
    except (VerificationError, NoNamesError, ValueError):
        return False
    return True


def _names(target: Target, about: str, certificate: x509.Certificate) -> Finding:
    if fits(certificate, target.host):
        return Finding(OK, about, f"Its certificate is valid for {target.host}.")
    valid = ", ".join(names(certificate)) or "no name at all"
    return Finding(
        WRONG,
        about,
        f"Its certificate is valid for {valid}, and not for {target.host}; {TLS_ERROR}.",
        f"Connect by a name that it has, or get one for {target.host} (`mtnet cert init NAME…`).",
    )


def _dates(target: Target, about: str, certificate: x509.Certificate) -> Finding | None:
    begin, end = (
        int(when.timestamp() * 1000)
        for when in (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    )
    left = (end - target.now) / DAY_MS
    if target.now < begin:
        text = f"Its certificate is not valid before {day(begin)}, by the clock of this machine."
        todo = "Correct the clock here, or there, where the certificate was made."
        return Finding(WRONG, about, text, todo)
    if left <= 0:
        text = f"Its certificate expired on {day(end)}, by the clock of this machine; {TLS_ERROR}."
        todo = "Make or fetch a new one; the daemon takes it by itself."
        return Finding(WRONG, about, text, todo)
    if left > EXPIRES_SOON:
        return None
    text = f"Its certificate expires on {day(end)}, within {int(left) + 1} days."
    level = WRONG if left <= EXPIRES_VERY_SOON else NOTE
    return Finding(level, about, text, "Make or fetch a new one; the daemon takes it by itself.")


def _trust(
    target: Target, about: str, secure: TlsReport, certificate: x509.Certificate
) -> Iterator[Finding]:
    dated = "expired" in secure.untrusted or "not yet valid" in secure.untrusted
    whom = target.authority or "this machine"
    if dated and _dates(target, about, certificate) is not None:
        return  # another finding covers it
    if secure.untrusted:
        yield Finding(
            WRONG,
            about,
            f"It is not trusted by {whom}: {secure.untrusted}; {TLS_ERROR}.",
            "If the authority is your own, name its ca.pem with --ca and let each machine trust "
            "it; if not, the server must send its issuers too (certbot's fullchain.pem).",
        )
        return
    yield Finding(OK, about, f"It is trusted by {whom}.")
    if target.authority:
        yield Finding(
            NOTE,
            about,
            f"Other machines trust it when they have {target.authority}: on Windows `certutil "
            "-addstore Root ca.pem` as administrator. Whether a terminal asks Windows is not "
            "documented by MetaQuotes; SocketTlsCertificate returns its SHA-1 thumbprint, "
            f"{thumbprints(certificate)['sha1']}.",
        )


# The server as a whole


def _clock(target: Target, reports: Sequence[PortReport]) -> Iterator[Finding]:
    skews = [report.web.skew for report in reports if report.web and report.web.skew is not None]
    if not skews:
        return
    skew = min(skews, key=abs)
    if abs(skew) <= SKEW:
        text = f"Its clock and that of this machine agree within {SKEW:g} s."
        yield Finding(OK, target.host, text)
        return
    text = f"Its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's."
    todo = "Let both be set by NTP: certificates and the times of ticks depend on them."
    yield Finding(WRONG, target.host, text, todo)


def _for_programs(target: Target, reports: Sequence[PortReport]) -> Iterator[Finding]:
    """Yield advice for the authors of programs in terminals."""
    reached = [report for report in reports if not report.failure]
    if reached and all(ip_address(report.address).is_loopback for report in reached):
        text = "This is how it looks from its own machine; ask again from another one."
        yield Finding(NOTE, target.host, text)
    if any(report.secure is None for report in reached):
        yield Finding(
            NOTE,
            target.host,
            "On plain ports SocketTlsHandshake fails with error 5274, and SocketTlsCertificate "
            "with 5275.",
        )
    if any(report.secure is not None and report.port != HTTPS for report in reached):
        yield Finding(
            NOTE,
            target.host,
            "Programs must call SocketTlsHandshake on TLS ports other than 443; the classic "
            "programs speak no TLS.",
        )
    if any(report.service == "ticks" for report in reached):
        text = "Datagrams are never answered: `mtnet ticks report` there lists those that arrived."
        yield Finding(NOTE, target.host, text)
    yield allow_list(target.host)


def _about(report: PortReport) -> str:
    return (
        f"[{report.address}]:{report.port}"
        if ":" in report.address
        else f"{report.address}:{report.port}"
    )
