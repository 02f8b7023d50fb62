"""
Parser of the PROXY header, with which a load balancer names the real peer; versions 1 and 2.

Pure: bytes in, addresses out.
"""

import re
import struct
from dataclasses import dataclass
from ipaddress import ip_address

from mtnet.errors import WireError

LINE = 107
"""Bytes of the longest header of version 1."""
MOST = 2_048
"""Bytes of the longest header of version 2 that is read; certificates of clients may be in it."""
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
"""How version 2 begins; version 1 begins with `PROXY `."""

_FIXED = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0x20, 0x21
_ADDRESSES = {0x11: struct.Struct("!4s4sHH"), 0x21: struct.Struct("!16s16sHH")}
"""Layouts of TCP over IPv4 and IPv6; of other kinds only the length counts."""
_TEXT = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|(TCP[46]) ([0-9a-fA-F.:]+) ([0-9a-fA-F.:]+)"
    rb" ([0-9]{1,5}) ([0-9]{1,5}))\r\n"
)

Address = tuple[str, int]


@dataclass(frozen=True)
class Header:
    """
    A parsed PROXY header.

    Attributes:
        size: its bytes.
        peer, host: host and port of both ends of the connection to the load balancer; None = its
            own, as in a health check, or unknown.
    """

    size: int
    peer: Address | None = None
    host: Address | None = None


def parse(data: bytes) -> Header | None:
    """
    Read the header that `data` begins with; None = more bytes are needed.

    Raises:
        WireError: `data` begins with none.
    """
    if data[:12] == SIGNATURE:
        return _binary(data)
    if data.startswith(b"PROXY "):
        return _text(data)
    if SIGNATURE.startswith(data) or b"PROXY ".startswith(data):
        return None
    raise WireError("proxy", "Missing PROXY header", data)


def _text(data: bytes) -> Header | None:
    end = data.find(b"\n", 0, LINE)
    if end < 0 and len(data) < LINE:
        return None
    line = data[: end + 1]
    found = _TEXT.fullmatch(line)
    if found is None:
        raise WireError("proxy", "Malformed PROXY header", data[:LINE])
    if found[1] is None:
        return Header(len(line))
    ends = [_address(found[n].decode(), int(found[n + 2]), line) for n in (2, 3)]
    return Header(len(line), *ends)


def _binary(data: bytes) -> Header | None:
    if len(data) < _FIXED.size:
        return None
    _, command, family, length = _FIXED.unpack_from(data)
    size, layout = _FIXED.size + length, _ADDRESSES.get(family)
    if command not in (_LOCAL, _PROXY) or size > MOST:
        raise WireError("proxy", "Malformed PROXY header", data[: _FIXED.size])
    if len(data) < size:
        return None
    if command == _LOCAL or layout is None:
        return Header(size)
    if length < layout.size:
        raise WireError("proxy", "A PROXY header has no room for its addresses", data[:size])
    peer, host, peer_port, host_port = layout.unpack_from(data, _FIXED.size)
    return Header(size, (str(ip_address(peer)), peer_port), (str(ip_address(host)), host_port))


def _address(host: str, port: int, line: bytes) -> Address:
    try:
        found = ip_address(host)
    except ValueError as error:
        raise WireError("proxy", "A PROXY header names no address", line) from error
    if port > 65_535:
        raise WireError("proxy", "A PROXY header names no port", line)
    return str(found), port
