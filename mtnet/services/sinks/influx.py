"""
InfluxDB line protocol over HTTP, which QuestDB and others read, too.

A point is known by measurement, tags and time. The time is that of receipt, and the number of the
tick makes up its nanoseconds: ticks of one millisecond stay apart, and a point that is written
again is the same point. QuestDB knows a row by what its table names, see docs/sinks.md.

Sources: InfluxDB 1.6.7, which the tests run; of QuestDB its `LineTcpParser` and
`LineHttpProcessorState`.
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
from mtnet.services.sinks.target import TAKEN, TargetError, Written

EXAMPLE = "http://localhost:8086/api/v2/write?org=ORG&bucket=BUCKET"
NO_GZIP = 415
"""The answer of QuestDB to a body that is compressed."""
NANOSECONDS = 1_000_000
"""Of a millisecond."""
MAX_ANSWER = 300
"""Characters of an answer in a sentence."""
_TAG = re.compile(r"[,= ]")
_NAME = re.compile(r"[, ]")
_EXPIRED = re.compile(r"partial write: .*retention policy.*dropped=([0-9]+)", re.I | re.DOTALL)
"""InfluxDB has written all points of a request but those that it keeps no longer; of those it will
take none, ever. Version 1 says so with status 400, version 2 with 422."""
_PLAIN = re.compile(r"[!-~]*", re.ASCII)


class InfluxTarget:
    """
    The address of a server that takes line protocol.

    Args:
        where: the setting, for errors.
        token: of InfluxDB 2; empty = none. A user and a password may stand in the URL.
        measurement: of the points.
        timeout: seconds that each step of a request may take.

    Raises:
        ConfigError: the URL has no host, or something in it or the token cannot be sent.
    """

    def __init__(self, where: str, url: str, token: str, measurement: str, timeout: float) -> None:
        found = urlsplit(url)
        try:
            port = found.port
        except ValueError:
            port = 0
        if not found.hostname or port == 0:
            raise ConfigError(f"{where} has no host or no valid port. Example: {EXAMPLE}")
        # The errors of `http.client` would quote the query and the token.
        if not _PLAIN.fullmatch(found.path) or not _PLAIN.fullmatch(token):
            raise ConfigError(
                f"{where}, or its token, has a blank or a letter that HTTP cannot send. Example: "
                f"{EXAMPLE}"
            )
        self._host, self._port, self._timeout = found.hostname, port, timeout
        self._context = ssl.create_default_context() if found.scheme == "https" else None
        query = {**dict(parse_qsl(found.query)), "precision": "ns"}
        self._path = f"{found.path or '/write'}?{urlencode(query)}"
        self._measurement = _NAME.sub(lambda each: "\\" + each[0], measurement)
        self._headers = {
            "Content-Type": "text/plain; charset=utf-8",
            **_authorization(token, found.username, found.password),
        }
        self._connection: HTTPConnection | None = None
        self._compressed = True
        self.label = f"{found.scheme}://{found.netloc.rpartition('@')[2]}{found.path}"

    def write(self, origin: str, batch: Batch) -> Written:
        """Write ticks by one request; as of `Target`."""
        return self._post("\n".join(line(self._measurement, row) for row in batch.rows()).encode())

    def check(self) -> None:
        """Send a request without points; as of `Target`."""
        self._post(b"")

    def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _post(self, body: bytes) -> Written:
        """
        Send a body.

        Raises:
            TargetError: it is not, or perhaps not, written.
        """
        reused = self._connection is not None
        try:
            status, text = self._exchange(body)
        except TimeoutError as error:
            raise self._failed(error) from error
        except (OSError, HTTPException) as error:
            # The server may have closed a connection on which nothing came for long.
            if not reused:
                raise self._failed(error) from error
            self.close()
            return self._post(body)
        if status == NO_GZIP and self._compressed:
            self._compressed = False
            return self._post(body)
        return self._judged(status, text)

    def _exchange(self, body: bytes) -> tuple[int, str]:
        """Return the status and the text of the answer to a body."""
        headers = self._headers
        if self._compressed:
            headers, body = {**headers, "Content-Encoding": "gzip"}, gzip.compress(body, 1)
        connection = self._connected()
        connection.request("POST", self._path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")

    def _judged(self, status: int, text: str) -> Written:
        if 200 <= status < 300:
            return TAKEN
        said = f"{self.label} answered {status}: {' '.join(text.split())[:MAX_ANSWER]}"
        expired = _EXPIRED.search(text)
        if expired:
            return Written(int(expired[1]), said)
        self.close()
        raise TargetError(said)

    def _failed(self, error: Exception) -> TargetError:
        self.close()
        return TargetError(f"{self.label}: {error or type(error).__name__}.")

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
    # To InfluxDB `\\` is two characters, and at the end of a value it escapes the separator: a
    # symbol that ends so cannot be written at all. To QuestDB it is one.
    return _TAG.sub(lambda each: "\\" + each[0], text.replace("\\", "%5C"))


def _authorization(token: str, user: str | None, password: str | None) -> dict[str, str]:
    if token:
        return {"Authorization": f"Token {token}"}
    if user:
        pair = f"{unquote(user)}:{unquote(password or '')}"
        return {"Authorization": f"Basic {b64encode(pair.encode()).decode()}"}
    return {}
