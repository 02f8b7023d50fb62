"""Credentials of HTTP requests, Basic and Bearer, and the answers to refused ones."""

from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import LoginFailed
from twisted.web.guard import BasicCredentialFactory
from twisted.web.server import Request

from mtnet.access.accounts.cred import BearerToken, Credentials, Password
from mtnet.errors import HttpError, WireError
from mtnet.net.peer import Peer

REALM = b"mtnet"
PLAIN = 403, "login"
"""The status and code of credentials that were sent over a plaintext connection."""
HEADERS = {
    426: {b"Upgrade": b"websocket", b"Sec-WebSocket-Version": b"13"},
    401: {b"WWW-Authenticate": b'Basic realm="mtnet", charset="UTF-8"'},
    429: {b"Retry-After": b"60"},
    503: {b"Retry-After": b"1"},
}
"""Headers of an answer, by its status."""

NO_PROMPT = b"WWW-Authenticate", b'Bearer realm="mtnet"'
"""To a script of a page: at Basic a browser asks for a password by itself, and sends it with
every request from then on, also after a logout."""

_BASIC = BasicCredentialFactory(REALM)


def credentials(request: Request, peer: Peer) -> Credentials:
    """
    Return the credentials of a request that has `Authorization`.

    Raises:
        HttpError: the connection is plaintext, so they were not read; or they are malformed.
    """
    shown = request.requestHeaders.getRawHeaders(b"Authorization", [])
    try:
        peer.check_private()
    except WireError as error:  # 401 would let a browser ask for a password, and send it
        raise HttpError(*PLAIN, f"{error}.") from error
    scheme, _, value = shown[0].partition(b" ")
    if len(shown) == 1 and scheme.lower() == b"bearer":
        return BearerToken(value.strip().decode("latin-1"))
    if len(shown) == 1 and scheme.lower() == b"basic":
        try:
            return _without_nul(_BASIC.decode(value.strip(), request))
        except LoginFailed as error:
            raise HttpError(400, "login", "Authorization: Basic is followed by Base64.") from error
    raise HttpError(400, "login", "Authorization is Basic or Bearer here, and given once.")


def _without_nul(shown: IUsernamePassword) -> Credentials:
    """Drop the NUL that ends a string of MQL; no password contains one."""
    return Password.decode(shown.username, shown.password.removesuffix(b"\0"))
