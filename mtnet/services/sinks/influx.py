"""
InfluxDB line protocol over HTTP, which QuestDB and others read, too.

A point is known by measurement, tags and time. The time is that of receipt, and the number of the
tick makes up its nanoseconds: ticks of one millisecond stay apart, and a point that is written
again is the same point.
"""

import gzip
import re
import ssl
from base64 import b64encode
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from mtnet.errors import ConfigError
from mtnet.services.sinks.model import Batch, Row
from mtnet.services.sinks.target import TargetError

EXAMPLE = "http://localhost:8086/api/v2/write?org=ORG&bucket=BUCKET"
REFUSED = 422
"""The answer of InfluxDB to points that it will never take: they are older than it keeps them."""
NANOSECONDS = 1_000_000
"""Of a millisecond."""
MAX_ANSWER = 300
"""Characters of an answer in a sentence."""
_TAG = re.compile(r"[,= \\]")
_NAME = re.compile(r"[, ]")


class InfluxTarget:
    """
    The address of a server that takes line protocol.

    Args:
        where: the setting, for errors.
        token: of InfluxDB 2; empty = none. A user and a password may stand in the URL.
        measurement: of the points.
        timeout: seconds that each step of a request may take.

    Raises:
        ConfigError: the URL has no host.
    """

    def __init__(self, where: str, url: str, token: str, measurement: str, timeout: float) -> None:
        found = urlsplit(url)
        try:
            port = found.port
        except ValueError:
            port = 0
        if not found.hostname or port == 0:
            raise ConfigError(f"{where} has no host or no valid port. Example: {EXAMPLE}")
        self._host, self._port, self._timeout = found.hostname, port, timeout
        self._context = ssl.create_default_context() if found.scheme == "https" else None
        query = dict(parse_qsl(found.query)) or {}
        query.setdefault("precision", "ns")
        self._path = f"{found.path or '/write'}?{urlencode(query)}"
        self._measurement = _NAME.sub(lambda each: "\\" + each[0], measurement)
        self._headers = {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Encoding": "gzip",
            **_authorization(token, found.username, found.password),
        }
        self._connection: HTTPConnection | None = None
        self.label = f"{found.scheme}://{found.netloc.rpartition('@')[2]}{found.path}"

    def write(self, origin: str, batch: Batch) -> int:
        """Write ticks by one request; as of `Target`."""
        lines = [line(self._measurement, row) for row in batch.rows()]
        refusal = self._post("\n".join(lines).encode())
        return 0 if refusal is None else len(lines)

    def check(self) -> None:
        """Send a request without points; as of `Target`."""
        refusal = self._post(b"")
        if refusal is not None:
            raise TargetError(refusal)

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _post(self, body: bytes) -> str | None:
        """Send a body; return why the server will never take it, None = it took it."""
        reused = self._connection is not None
        try:
            return self._ask(body)
        except TargetError:
            if not reused:
                raise
        # It may have closed a connection on which nothing came for long.
        return self._ask(body)

    def _ask(self, body: bytes) -> str | None:
        try:
            connection = self._connected()
            connection.request("POST", self._path, gzip.compress(body, 1), self._headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        except (OSError, HTTPException) as error:
            self.close()
            raise TargetError(f"{self.label}: {error or type(error).__name__}.") from error
        if 200 <= answer.status < 300:
            return None
        said = f"{self.label} answered {answer.status}: {' '.join(text.split())[:MAX_ANSWER]}"
        if answer.status == REFUSED:
            return said
        self.close()
        raise TargetError(said)

    def _connected(self) -> HTTPConnection:
        if self._connection is None:
            options: dict[str, Any] = {"timeout": self._timeout}
            if self._context is None:
                self._connection = HTTPConnection(self._host, self._port, **options)
            else:
                options["context"] = self._context
                self._connection = HTTPSConnection(self._host, self._port, **options)
        return self._connection


def line(measurement: str, row: Row) -> str:
    """Return a tick as a line."""
    numbers = {"bid": row.bid, "ask": row.ask, "last": row.last, "volume": row.volume}
    fields = [f"{name}={value}" for name, value in numbers.items() if value is not None]
    whole = {"flags": row.flags, "time_msc": row.time, "seq": row.seq}
    fields += [f"{name}={value}i" for name, value in whole.items() if value is not None]
    tags = f"symbol={_tag(row.symbol)},source={_tag(row.source)}"
    when = row.received * NANOSECONDS + row.seq % NANOSECONDS
    return f"{measurement},{tags} {','.join(fields)} {when}"


def _tag(text: str) -> str:
    return _TAG.sub(lambda each: "\\" + each[0], text)


def _authorization(token: str, user: str | None, password: str | None) -> dict[str, str]:
    if token:
        return {"Authorization": f"Token {token}"}
    if user:
        pair = f"{unquote(user)}:{unquote(password or '')}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    return {}
