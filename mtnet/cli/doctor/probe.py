"""
What a port tells a stranger: sockets with deadlines, which say nothing that changes anything.

A silent connection, `PING:` and `GET /version` are all that is ever said: what publishes, stores
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

from mtnet.errors import quote
from mtnet.services.templates.wire import FIELD

CONNECT = 5.0
"""Seconds for a connection, and for a handshake: what a server across the world takes, tenfold."""
LISTEN = 1.5
"""Seconds in which signals and templates speak first; their own silence is 0.5 s at most."""
ANSWER = 3.0
"""Seconds for an answer."""
MOST = 16_384
"""Bytes of an answer that are read."""
HTTPS = 443
"""Where terminals start TLS by themselves."""

Dial = Callable[[], socket.socket]
"""Connects anew, or raises OSError; what it returns is closed by who called it."""

PING = b"PING:\r\n"

_ALERT = b"\x15\x03"
_HEAD = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: [^\r\n]*)?\r\n(.*?)\r\n\r\n", re.DOTALL)
_FRAME = re.compile(rb"<<[^<>]*>>")
_PERIOD = re.compile(rb"[0-9]{1,5}")


@dataclass(frozen=True)
class Heard:
    """
    Bytes of one connection.

    Attributes:
        end: `open` when more could come, `closed`, `reset`, or what TLS complained of.
    """

    data: bytes
    end: str = "open"


@dataclass(frozen=True)
class Web:
    """
    The answer to `GET /version`.

    Attributes:
        body: what it says, when that is a JSON object.
        skew: seconds by which the server's clock is ahead; None = it does not tell the time.
    """

    status: int
    body: dict[str, Any] = field(default_factory=dict)
    skew: float | None = None


@dataclass(frozen=True)
class Secure:
    """
    What TLS tells.

    Attributes:
        refusal: why the server refuses the handshake; empty = it does not.
        certificate: its own; None = it cannot be read.
        untrusted: why its issuers are not trusted, in OpenSSL's words; empty = they are.
        nameless: what is shown to clients that name no host, when it is another one.
    """

    refusal: str = ""
    certificate: x509.Certificate | None = None
    untrusted: str = ""
    nameless: x509.Certificate | None = None


@dataclass(frozen=True)
class Told:
    """
    What an address and port told.

    Attributes:
        failure: why there is no connection: `refused`, `late`, or the system's words.
        service: `signals`, `silent`, `templates`, `ticks`, `http`, `any`, `closed`, `reset`,
            `unknown`.
        detail: the symbol and code of a template, the first bytes of what is unknown, or
            `unheard`: a silent client of `any` is told no signals.
        secure: None = plain.
    """

    address: str
    port: int
    failure: str = ""
    service: str = ""
    detail: str = ""
    web: Web | None = None
    secure: Secure | None = None


def resolve(host: str) -> list[str]:
    """
    Return the addresses of a host, each once.

    Raises:
        OSError: there is none.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def examine(host: str, address: str, port: int, authorities: str | None) -> Told:
    """
    Look at one port of one address.

    Args:
        host: what clients name in TLS and HTTP; ASCII.
        authorities: PEM of who is trusted; None = whom the system trusts.
    """

    def dial() -> socket.socket:
        return socket.create_connection((address, port), CONNECT)

    try:
        dial().close()
    except OSError as error:
        return Told(address, port, failure=_failure(error))
    return replace(ask(dial, host, port, authorities), address=address, port=port)


def ask(dial: Dial, host: str, port: int, authorities: str | None) -> Told:
    """Find out what answers behind `dial`; address and port are left out."""
    if port == HTTPS:
        secure = shake(dial, host, authorities)
        if secure is not None:
            return _listen_within(secure, dial, host)
    told = listen(dial, host)
    if told.service in ("closed", "reset") and port != HTTPS:
        secure = shake(dial, host, authorities)
        if secure is not None:
            return _listen_within(secure, dial, host)
    return told


def listen(dial: Dial, host: str) -> Told:
    """Find out which service speaks on connections that `dial` makes."""
    heard = converse(dial, b"", LISTEN, PING)
    told = classify(heard)
    # Behind silence `any` is signals, which know no PING; who says it at once is answered.
    doubtful = told.service == "signals" or (not heard.data and heard.end != "closed")
    if doubtful and classify(converse(dial, PING, LISTEN)).service == "ticks":
        heard_signals = told.service in ("signals", "silent")
        told = Told("", 0, service="any", detail="" if heard_signals else "unheard")
    if told.service not in ("http", "closed", "templates", "any"):
        return told
    web = read_web(converse(dial, _request(host), ANSWER), time.time())
    if told.service == "closed" and web is not None:
        told = Told("", 0, service="http")
    return replace(told, web=web)


def classify(heard: Heard) -> Told:
    """Return the service that says so when nobody, or `PING:`, has spoken to it."""
    data, service, detail = heard.data, "unknown", ""
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
    elif heard.end in ("open", "closed", "reset"):
        service = {"open": "silent"}.get(heard.end, heard.end)
    else:
        detail = heard.end
    return Told("", 0, service=service, detail=detail)


def raw_template(data: bytes) -> str:
    """Return symbol and code of the period that a raw answer begins with; empty = it is none."""
    symbol, period = (data[at : at + FIELD].split(b"\0")[0] for at in (0, FIELD))
    if len(data) < 2 * FIELD or not symbol or not _PERIOD.fullmatch(period):
        return ""
    return f"{symbol.decode('ascii', 'backslashreplace')} {period.decode('ascii')}"


def read_web(heard: Heard, now: float) -> Web | None:
    """
    Return what an HTTP answer says; None = it is none.

    Args:
        now: seconds since the Unix epoch, when it came.
    """
    head = _HEAD.match(heard.data)
    if head is None:
        return None
    try:
        found = json.loads(heard.data[head.end() :])
    except (ValueError, RecursionError):
        found = None
    return Web(int(head[1]), found if isinstance(found, dict) else {}, _skew(head[2], now))


def shake(dial: Dial, host: str, authorities: str | None) -> Secure | None:
    """Say what TLS tells; None = no TLS is spoken there."""
    try:
        certificate = _certificate(dial, host)
    except ssl.SSLError as error:
        # A plain service's answer is no TLS; an alert is.
        refused = "ALERT" in (error.reason or "")
        return Secure(refusal=_words(error)) if refused else None
    except OSError:
        return None
    try:
        nameless = _certificate(dial, None)
    except OSError:
        nameless = certificate
    differs = nameless != certificate
    untrusted = _untrusted(dial, host, authorities)
    return Secure("", certificate, untrusted, nameless if differs else None)


def converse(dial: Dial, first: bytes, seconds: float, second: bytes = b"") -> Heard:
    """
    Say `first`, and read for `seconds`; when nothing comes, say `second`, and read for `ANSWER`.
    """
    try:
        with dial() as connection:
            return _converse(connection, first, seconds, second)
    except ssl.SSLError as error:
        return Heard(b"", _words(error))
    except (TimeoutError, ConnectionError):
        return Heard(b"", "reset")
    except OSError as error:
        return Heard(b"", _failure(error))


def _converse(connection: socket.socket, first: bytes, seconds: float, second: bytes) -> Heard:
    connection.settimeout(ANSWER)
    if first:
        connection.sendall(first)
    heard = _read(connection, seconds, first)
    if second and heard == Heard(b""):
        connection.settimeout(ANSWER)
        connection.sendall(second)
        heard = _read(connection, ANSWER, second)
    return heard


def _read(connection: socket.socket, seconds: float, said: bytes) -> Heard:
    """Read until enough came, the end, or the deadline."""
    data, deadline = b"", time.monotonic() + seconds
    while not _is_enough(data, said) and (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            more = connection.recv(4_096)
        except TimeoutError:
            break
        except ConnectionError:
            return Heard(data, "reset")
        if not more:
            return Heard(data, "closed")
        data += more
    return Heard(data)


def _is_enough(data: bytes, said: bytes) -> bool:
    if said.startswith(b"GET"):
        return len(data) >= MOST
    return len(data) >= 2 * FIELD or b"\n" in data or _FRAME.match(data) is not None


def _request(host: str) -> bytes:
    name = f"[{host}]" if ":" in host else host
    return f"GET /version HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode("ascii")


def _skew(head: bytes, now: float) -> float | None:
    found = re.search(rb"(?im)^date:[ \t]*([^\r\n]+)", head)
    try:
        # The second is cut off: on average half of one is missing.
        told = parsedate_to_datetime(found[1].decode("ascii")).timestamp() + 0.5 if found else None
    except (ValueError, TypeError, OverflowError, OSError):
        return None
    return None if told is None else told - now


def _listen_within(secure: Secure, dial: Dial, host: str) -> Told:
    """Listen inside TLS; nothing secret is said there, so who it is does not matter."""
    if secure.refusal:
        return Told("", 0, secure=secure)
    return replace(listen(lambda: _wrapped(dial, _lenient(), host), host), secure=secure)


def _certificate(dial: Dial, host: str | None) -> x509.Certificate | None:
    with _wrapped(dial, _lenient(), host) as connection:
        found = connection.getpeercert(binary_form=True)
    try:
        return x509.load_der_x509_certificate(found) if found else None
    except ValueError:
        return None


def _untrusted(dial: Dial, host: str, authorities: str | None) -> str:
    context = ssl.create_default_context(cadata=authorities)
    context.check_hostname = False  # names are compared where they can be told
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
    """Return what takes every certificate, in order to look at it."""
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
