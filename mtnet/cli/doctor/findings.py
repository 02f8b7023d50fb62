"""What a person is told of a server, and what to do about it: sentences, made of what was seen."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from cryptography import x509
from service_identity import CertificateError as NoNamesError
from service_identity import VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address

from mtnet.cli.doctor.probe import CONNECT, HTTPS, Secure, Told, Web
from mtnet.errors import TemplateError
from mtnet.net.tls.authority import thumbprints
from mtnet.net.tls.certificates import DAY_MS, day, names
from mtnet.services.templates.wire import parse_period

DEFAULTS = (8080, 8081, 8082, 8083, HTTPS)
"""The ports that are looked at when none is named."""
SKEW = 30.0
"""Seconds between two clocks from which on they are called wrong."""
NEAR, VERY_NEAR = 30, 7
"""Days before a certificate expires at which it is told, and at which somebody must act."""

OK, NOTE, WRONG = "ok", "note", "wrong"
TLS_ERROR = "a terminal that refuses it says error 5274"
ENDED = (
    "mtnet does so where this machine may do nothing without a login (access.anonymous, "
    "access.networks), where it is banned (`mtnet bans list`), behind haproxy: where no proxy "
    "speaks first, and where too many connect; its log or `mtnet status` says which."
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
class Visit:
    """
    What was looked at.

    Attributes:
        host: as programs in terminals name it.
        named: whether the caller named the port; else those of `DEFAULTS` were looked at.
        authority: the file of who is trusted; empty = whom this machine trusts.
        now: wall time, milliseconds since the Unix epoch.
    """

    host: str
    named: bool
    authority: str
    now: int


def judge(visit: Visit, tolds: Sequence[Told]) -> Iterator[Finding]:
    """Yield what there is to say of every address and port, and of the server."""
    for told in tolds:
        if told.failure:
            yield _unreached(visit, told, tolds)
        else:
            yield from _reached(visit, told)
    if all(told.failure for told in tolds) and not visit.named:
        ports = ", ".join(map(str, DEFAULTS))
        yield Finding(
            WRONG,
            visit.host,
            f"None of the ports {ports} answers.",
            "Start the daemon, let it listen for other machines with --listen, and open the "
            "firewall; a port of your own is asked with HOST:PORT.",
        )
    yield from _clock(visit, tolds)
    yield from _for_programs(visit, tolds)


def unresolved(host: str, reason: str) -> Finding:
    """Return what is said when a name has no address."""
    text = f"The name {host} has no address: {reason}."
    return Finding(WRONG, host, text, "Check its spelling, or use an address in its place.")


def resolved(host: str, addresses: Iterable[str]) -> Finding:
    """Return what is said when a name has addresses."""
    return Finding(OK, host, f"The name {host} stands for {', '.join(addresses)}.")


def allow_list(host: str) -> Finding:
    """Return what is always said, since no look from outside can show it."""
    return Finding(
        NOTE,
        host,
        f"Each terminal must allow {host}, which nobody but its user can do or see: Tools > "
        "Options > Expert Advisors > Allow WebRequest for listed URL. Without it error 4014.",
    )


# Connections


def _unreached(visit: Visit, told: Told, tolds: Sequence[Told]) -> Finding:
    about = _about(told)
    elsewhere = any(other.port == told.port and not other.failure for other in tolds)
    text, todo = _why_unreached(told.failure)
    if told.failure == "late":
        # What is dropped keeps a terminal waiting, even where another address would answer.
        return Finding(WRONG if visit.named or elsewhere else NOTE, about, text, todo)
    if elsewhere:
        todo = "Another address of the name answers; a program that tries this one first fails."
        return Finding(NOTE, about, text, todo)
    if visit.named:
        return Finding(WRONG, about, text, todo)
    return Finding(NOTE, about, text)


def _why_unreached(failure: str) -> tuple[str, str]:
    if failure == "late":
        return (
            f"There is no connection within {CONNECT:g} s, as where a firewall drops everything; "
            "a terminal says error 5272.",
            "Open the port in the firewalls of the server and of whoever hosts it, or correct the "
            "address.",
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


def _reached(visit: Visit, told: Told) -> Iterator[Finding]:
    about, secure = _about(told), told.secure
    if secure is None and told.port == HTTPS:
        yield Finding(
            WRONG,
            about,
            "What answers there speaks no TLS, and terminals start TLS by themselves on port 443.",
            "Listen with secure:443 there, or use another port for what is plain.",
        )
    if secure is not None:
        yield from _secure(visit, told, secure)
        if secure.refusal:
            return
    yield _service(visit, told)
    if told.web is not None and told.web.body.get("error") == "host":
        yield _unknown_host(visit, about)


# Services


def _service(visit: Visit, told: Told) -> Finding:
    about, how = _about(told), "plain" if told.secure is None else "through TLS"
    if told.service == "http":
        return _web(visit, about, told, how)
    if told.service in ("closed", "reset"):
        return Finding(WRONG, about, "It ends the connection without a word.", ENDED)
    if told.service == "unknown":
        return _unknown(about, told.detail)
    if told.service == "any" and told.detail:
        return _unheard(about, how)
    sentences = {
        "signals": (OK, f"Signals answer, {how}."),
        "ticks": (OK, f"Ticks answer, {how}."),
        "templates": (OK, f"Templates answer, {how}, with {_template(told.detail)}."),
        "silent": (
            NOTE,
            f"It is silent, {how}, as signals are while there are no positions, and to who must "
            "log in first.",
        ),
        "any": (OK, f"Signals, templates, ticks and HTTP answer on one port, {how}."),
    }
    return Finding(sentences[told.service][0], about, sentences[told.service][1])


def _web(visit: Visit, about: str, told: Told, how: str) -> Finding:
    web = told.web or Web(0)
    if web.status == 200 and web.body.get("name") == "mtnet":
        version = str(web.body.get("version", ""))
        return Finding(OK, about, f"The web service answers, {how}: mtnet {version}.")
    if web.body.get("error") == "missing":
        return Finding(
            NOTE,
            about,
            f"Templates answer by HTTP, {how}; none is on offer to a client that sends nothing.",
            "Store one with `mtnet templates put`; who may fetch it without a login say "
            "access.anonymous and access.networks.",
        )
    if web.body.get("error") == "host":
        return Finding(OK, about, f"mtnet answers by HTTP, {how}.")
    text = f"A web server answers, {how}, that is not mtnet."
    if told.port == HTTPS and not visit.named:
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
    text = f"Templates, ticks and HTTP answer on one port, {how}; who is silent is told no signals."
    todo = (
        "To follow signals from here, add follow to access.anonymous or access.networks, or log in."
    )
    return Finding(NOTE, about, text, todo)


def _unknown_host(visit: Visit, about: str) -> Finding:
    return Finding(
        WRONG,
        about,
        f"It refuses HTTP requests that name {visit.host}, as WebRequest and browsers do.",
        f"Start it with --set web.hosts={visit.host} (a list, separated by commas).",
    )


def _template(detail: str) -> str:
    symbol, _, code = detail.rpartition(" ")
    try:
        return f"{symbol} {parse_period(code)}"
    except TemplateError:
        return detail


# TLS


def _secure(visit: Visit, told: Told, secure: Secure) -> Iterator[Finding]:
    about = _about(told)
    if secure.refusal:
        text = f"It speaks TLS and refuses the handshake ({secure.refusal}); {TLS_ERROR}."
        todo = "Its log says why; if it asks for client certificates, terminals have none."
        yield Finding(WRONG, about, text, todo)
        return
    if secure.certificate is None:
        text = "Its certificate cannot be read; a terminal says error 5274 or 5275."
        yield Finding(WRONG, about, text, "Run `mtnet cert check` there.")
        return
    yield _names(visit, about, secure.certificate)
    dates = _dates(visit, about, secure.certificate)
    if dates is not None:
        yield dates
    yield from _trust(visit, about, secure, secure.certificate)
    if secure.nameless is not None and not fits(secure.nameless, visit.host):
        shown = ", ".join(names(secure.nameless)) or "no name"
        yield Finding(
            NOTE,
            about,
            f"Clients that name no host in the handshake are shown another certificate ({shown}); "
            "whether a terminal names it is not documented.",
            f"Make the default certificate of [tls] valid for {visit.host} too.",
        )


def fits(certificate: x509.Certificate, host: str) -> bool:
    """Say whether a certificate is valid for a host name or an address."""
    try:
        if host.replace(".", "").isdecimal() or ":" in host:
            verify_certificate_ip_address(certificate, host)
        else:
            verify_certificate_hostname(certificate, host)
    except (VerificationError, NoNamesError, ValueError):
        return False
    return True


def _names(visit: Visit, about: str, certificate: x509.Certificate) -> Finding:
    if fits(certificate, visit.host):
        return Finding(OK, about, f"Its certificate is valid for {visit.host}.")
    valid = ", ".join(names(certificate)) or "no name at all"
    return Finding(
        WRONG,
        about,
        f"Its certificate is valid for {valid}, and not for {visit.host}; {TLS_ERROR}.",
        f"Connect by a name that it has, or get one for {visit.host} (`mtnet cert init NAME…`).",
    )


def _dates(visit: Visit, about: str, certificate: x509.Certificate) -> Finding | None:
    begin, end = (
        int(when.timestamp() * 1000)
        for when in (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    )
    left = (end - visit.now) / DAY_MS
    if visit.now < begin:
        text = f"Its certificate is not valid before {day(begin)}, by the clock of this machine."
        todo = "Correct the clock here, or there, where the certificate was made."
        return Finding(WRONG, about, text, todo)
    if left <= 0:
        text = f"Its certificate expired on {day(end)}, by the clock of this machine; {TLS_ERROR}."
        todo = "Make or fetch a new one; the daemon takes it by itself."
        return Finding(WRONG, about, text, todo)
    if left > NEAR:
        return None
    text = f"Its certificate expires on {day(end)}, within {int(left) + 1} days."
    level = WRONG if left <= VERY_NEAR else NOTE
    return Finding(level, about, text, "Make or fetch a new one; the daemon takes it by itself.")


def _trust(
    visit: Visit, about: str, secure: Secure, certificate: x509.Certificate
) -> Iterator[Finding]:
    dated = "expired" in secure.untrusted or "not yet valid" in secure.untrusted
    whom = visit.authority or "this machine"
    if dated and _dates(visit, about, certificate) is not None:
        return  # it is said already
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
    if visit.authority:
        yield Finding(
            NOTE,
            about,
            f"Other machines trust it when they have {visit.authority}: on Windows `certutil "
            "-addstore Root ca.pem` as administrator. Whether a terminal asks Windows is not "
            "documented by MetaQuotes; its SHA-1 thumbprint, which SocketTlsCertificate tells, is "
            f"{thumbprints(certificate)['sha1']}.",
        )


# The server as a whole


def _clock(visit: Visit, tolds: Sequence[Told]) -> Iterator[Finding]:
    skews = [told.web.skew for told in tolds if told.web and told.web.skew is not None]
    if not skews:
        return
    skew = min(skews, key=abs)
    if abs(skew) <= SKEW:
        text = f"Its clock and that of this machine agree within {SKEW:g} s."
        yield Finding(OK, visit.host, text)
        return
    text = f"Its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's."
    todo = "Let both be set by NTP: certificates and the times of ticks depend on them."
    yield Finding(WRONG, visit.host, text, todo)


def _for_programs(visit: Visit, tolds: Sequence[Told]) -> Iterator[Finding]:
    """Yield what there is to say to who writes the programs of terminals."""
    reached = [told for told in tolds if not told.failure]
    if reached and all(ip_address(told.address).is_loopback for told in reached):
        text = "This is how it looks from its own machine; ask again from another one."
        yield Finding(NOTE, visit.host, text)
    if any(told.secure is None for told in reached):
        yield Finding(
            NOTE,
            visit.host,
            "On plain ports SocketTlsHandshake fails with error 5274, and SocketTlsCertificate "
            "with 5275.",
        )
    if any(told.secure is not None and told.port != HTTPS for told in reached):
        yield Finding(
            NOTE,
            visit.host,
            "Programs must call SocketTlsHandshake on TLS ports other than 443; the published "
            "programs speak no TLS.",
        )
    if any(told.service == "ticks" for told in reached):
        text = "Datagrams are never answered: `mtnet ticks report` there says which of them came."
        yield Finding(NOTE, visit.host, text)
    yield allow_list(visit.host)


def _about(told: Told) -> str:
    return f"[{told.address}]:{told.port}" if ":" in told.address else f"{told.address}:{told.port}"
