"""
Port scanner for the services of mtnet: blocking sockets with deadlines that change nothing.

It opens silent connections and sends `PING:` and `GET /version` only: what publishes, stores
or counts as a tick is not.
"""

import json
import re
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import Any

from cryptography import x509

from mtnet.cli.doctor.ports import HTTPS
from mtnet.errors import quote
from mtnet.services.templates.wire import FIELD

CONNECT = 5.0
"""Seconds for a connection, and for a handshake: ten times those to the other end of the world."""
SILENCE = 1.5
"""Seconds to wait for signals and templates, which speak first after 0.5 s at most."""
ANSWER = 3.0
"""Seconds for an answer."""
MAX_READ = 16_384
"""Bytes of an answer that are read."""

Dial = Callable[[], socket.socket]
"""Opens a connection, which the caller closes; raises OSError."""

PING = b"PING:\r\n"

_ALERT = b"\x15\x03"
_HEAD = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r\n(.*?)\r\n\r\n", re.DOTALL)
_FRAME = re.compile(rb"<<[^<>]*>>")
_PERIOD = re.compile(rb"[0-9]{1,5}")


@dataclass(frozen=True)
class Reply:
    """
    Bytes of one connection.

    Attributes:
        end: `open` when more could come, `closed`, `reset`, or what TLS complained of.
    """

    data: bytes
    end: str = "open"


@dataclass(frozen=True)
class HttpReply:
    """
    The answer to `GET /version`.

    Attributes:
        body: its JSON object; empty when it has none.
        skew: seconds by which the server's clock is ahead; None = there is no Date header.
    """

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    skew: float | None = None


@dataclass(frozen=True)
class TlsReport:
    """
    The result of a TLS handshake.

    Attributes:
        refusal: why the server refuses the handshake; empty = it does not.
        certificate: its own; None = it cannot be read.
        untrusted: why its issuers are not trusted, in OpenSSL's words; empty = they are.
        without_name: what is shown to clients that name no host, when it is another one.
    """

    refusal: str = ""
    certificate: x509.Certificate | None = None
    untrusted: str = ""
    without_name: x509.Certificate | None = None


@dataclass(frozen=True)
class PortReport:
    """
    The result of probing one port of one address.

    Attributes:
        failure: why the connection failed: `refused`, `late`, or the system's words.
        service: `signals`, `silent`, `templates`, `ticks`, `http`, `any`, `closed`, `reset`,
            `unknown`.
        detail: the symbol and code of a template, the first bytes of what is unknown, or
            `unheard`: a silent client of a shared port gets no signals.
        secure: None = plain.
    """

    address: str
    port: int
    failure: str = ""
    service: str = ""
    detail: str = ""
    web: HttpReply | None = None
    secure: TlsReport | None = None


def resolve(host: str) -> list[str]:
    """
    Return the addresses of a host, each once.

    Raises:
        OSError: there is none.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def probe_port(host: str, address: str, port: int, authorities: str | None) -> PortReport:
    """
    Probe one port of one address.

    Args:
        host: what clients name in TLS and HTTP; ASCII.
        authorities: trusted authorities in PEM; None = those of the system.
    """

    def dial() -> socket.socket:
        return socket.create_connection((address, port), CONNECT)

    try:
        dial().close()
    except OSError as error:
        return PortReport(address, port, failure=_failure(error))
    return replace(ask(dial, host, port, authorities), address=address, port=port)


def ask(dial: Dial, host: str, port: int, authorities: str | None) -> PortReport:
    """Find out what answers behind `dial`; address and port are left out."""
    if port == HTTPS:
        secure = probe_tls(dial, host, authorities)
        if secure is not None:
            return _identify_within(secure, dial, host)
    report = identify(dial, host)
    if report.service in ("closed", "reset") and port != HTTPS:
        secure = probe_tls(dial, host, authorities)
        if secure is not None:
            return _identify_within(secure, dial, host)
    return report


def identify(dial: Dial, host: str) -> PortReport:
    """Find out which service answers on connections that `dial` makes."""
    reply = exchange(dial, b"", SILENCE, PING)
    report = classify(reply)
    # After silence a shared port is signals, without PING; a PING at once is answered by ticks.
    doubtful = report.service == "signals" or (not reply.data and reply.end != "closed")
    if doubtful and classify(exchange(dial, PING, SILENCE)).service == "ticks":
        is_signals = report.service in ("signals", "silent")
        report = PortReport("", 0, service="any", detail="" if is_signals else "unheard")
    if report.service not in ("http", "closed", "templates", "any"):
        return report
    web = read_web(exchange(dial, _request(host), ANSWER), time.time())
    if report.service == "closed" and web is not None:
        report = PortReport("", 0, service="http")
    return replace(report, web=web)


def classify(reply: Reply) -> PortReport:
    """Return the service by its answer to silence, or to `PING:`."""
    data, service, detail = reply.data, "unknown", ""
    template = raw_template(data)
    if data.startswith(b"<<"):
        service = "signals"
    elif data.startswith(b"OK: PONG"):
        service = "ticks"
    elif data.startswith(b"HTTP/"):
        service = "http"
    elif data.startswith(_ALERT):
        service = "reset"
    elif template:
        service, detail = "templates", template
    elif data:
        detail = quote(data)
    elif reply.end in ("open", "closed", "reset"):
        service = {"open": "silent"}.get(reply.end, reply.end)
    else:
        detail = reply.end
    return PortReport("", 0, service=service, detail=detail)


def raw_template(data: bytes) -> str:
    """Return symbol and code of the period that a raw answer begins with; empty = it is none."""
    symbol, period = (data[at : at + FIELD].split(b"\0")[0] for at in (0, FIELD))
    if len(data) < 2 * FIELD or not symbol or not _PERIOD.fullmatch(period):
        return ""
    return f"{symbol.decode('ascii', 'backslashreplace')} {period.decode('ascii')}"


def read_web(reply: Reply, now: float) -> HttpReply | None:
    """
    Parse an HTTP answer; None = it is not HTTP.

    Args:
        now: seconds since the Unix epoch, when it came.
    """
    head = _HEAD.match(reply.data)
    if head is None:
        return None
    try:
        found = json.loads(reply.data[head.end() :])
    except (ValueError, RecursionError):
        found = None
    return HttpReply(int(head[1]), found if isinstance(found, dict) else {}, _skew(head[2], now))


def probe_tls(dial: Dial, host: str, authorities: str | None) -> TlsReport | None:
    """Try a TLS handshake; None = the port does not speak TLS."""
    try:
        certificate = _certificate(dial, host)
    except ssl.SSLError as error:
        # A plain service answers with something else than a TLS alert.
        refused = "ALERT" in (error.reason or "")
        return TlsReport(refusal=_words(error)) if refused else None
    except OSError:
        return None
    try:
        without_name = _certificate(dial, None)
    except OSError:
        without_name = certificate
    differs = without_name != certificate
    untrusted = _untrusted(dial, host, authorities)
    return TlsReport("", certificate, untrusted, without_name if differs else None)


def exchange(dial: Dial, first: bytes, seconds: float, second: bytes = b"") -> Reply:
    """
    Send `first` and read for `seconds`; after silence send `second` and read for `ANSWER`.
    """
    try:
        with dial() as connection:
            return _exchange(connection, first, seconds, second)
    except ssl.SSLError as error:
        return Reply(b"", _words(error))
    except (TimeoutError, ConnectionError):
        return Reply(b"", "reset")
    except OSError as error:
        return Reply(b"", _failure(error))


def _exchange(connection: socket.socket, first: bytes, seconds: float, second: bytes) -> Reply:
    connection.settimeout(ANSWER)
    if first:
        connection.sendall(first)
    reply = _read(connection, seconds, first)
    if second and reply == Reply(b""):
        connection.settimeout(ANSWER)
        connection.sendall(second)
        reply = _read(connection, ANSWER, second)
    return reply


def _read(connection: socket.socket, seconds: float, sent: bytes) -> Reply:
    """Read until there is enough, the end, or the deadline."""
    data, deadline = b"", time.monotonic() + seconds
    while not _is_enough(data, sent) and (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            more = connection.recv(4_096)
        except TimeoutError:
            break
        except ConnectionError:
            return Reply(data, "reset")
        if not more:
            return Reply(data, "closed")
        data += more
    return Reply(data)


def _is_enough(data: bytes, sent: bytes) -> bool:
    if sent.startswith(b"GET"):
        return len(data) >= MAX_READ
    return len(data) >= 2 * FIELD or b"\n" in data or _FRAME.match(data) is not None


def _request(host: str) -> bytes:
    name = f"[{host}]" if ":" in host else host
    return f"GET /version HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode("ascii")


def _skew(head: bytes, now: float) -> float | None:
    found = re.search(rb"(?im)^date:[ \t]*([^\r\n]+)", head)
    try:
        # The second is cut off: on average half of one is missing.
        report = (
            parsedate_to_datetime(found[1].decode("ascii")).timestamp() + 0.5 if found else None
        )
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return None if report is None else report - now


def _identify_within(secure: TlsReport, dial: Dial, host: str) -> PortReport:
    """Identify the service inside TLS; nothing secret is sent, so any certificate will do."""
    if secure.refusal:
        return PortReport("", 0, secure=secure)
    return replace(identify(lambda: _wrapped(dial, _lenient(), host), host), secure=secure)


def _certificate(dial: Dial, host: str | None) -> x509.Certificate | None:
    with _wrapped(dial, _lenient(), host) as connection:
        found = connection.getpeercert(binary_form=True)
    try:
        return x509.load_der_x509_certificate(found) if found else None
    except ValueError:
        return None


def _untrusted(dial: Dial, host: str, authorities: str | None) -> str:
    context = ssl.create_default_context(cadata=authorities)
    context.check_hostname = False  # names have a finding of their own
    try:
        _wrapped(dial, context, host).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError as error:
        return str(error)
    return ""


def _wrapped(dial: Dial, context: ssl.SSLContext, host: str | None) -> ssl.SSLSocket:
    plain = dial()
    try:
        plain.settimeout(CONNECT)
        return context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _lenient() -> ssl.SSLContext:
    """Return a context that accepts every certificate, to examine it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _words(error: ssl.SSLError) -> str:
    return (error.reason or str(error)).replace("_", " ").lower()


def _failure(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, TimeoutError):
        return "late"
    return error.strerror or str(error)
