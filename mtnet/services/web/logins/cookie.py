"""
The cookie of a session (RFC 6265).

Pure. Over TLS its name begins with `__Host-`: a browser takes it then over TLS alone, for this host
and every path, and no other host or plain page can set one. A browser takes no such name in clear,
so the cookie of loopback has none, and is not `Secure`.
"""

from collections.abc import Iterable

NAME = "mtnet"
SECURE_NAME = f"__Host-{NAME}"
MOST = 4
"""Cookies of the name that are looked at: a page on another port of this host can set more."""


def cookie_name(secure: bool) -> str:
    """Return the name of the cookie on a connection."""
    return SECURE_NAME if secure else NAME


def read(headers: Iterable[str], secure: bool) -> list[str]:
    """Return the secrets in `Cookie` headers; another page can have set one beside ours."""
    start = f"{cookie_name(secure)}="
    pairs = [pair.strip() for header in headers for pair in header.split(";")]
    found = [pair.removeprefix(start) for pair in pairs if pair.startswith(start)]
    return found[:MOST]


def give(secret: str, secure: bool, seconds: int) -> bytes:
    """Return the value of `Set-Cookie`; 0 seconds take the cookie away."""
    parts = [f"{cookie_name(secure)}={secret}", "Path=/", f"Max-Age={seconds}"]
    parts += ["HttpOnly", "SameSite=Strict", *(["Secure"] if secure else [])]
    return "; ".join(parts).encode()
