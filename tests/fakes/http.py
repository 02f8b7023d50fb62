"""HTTP in memory: requests as bytes, and their answers, parsed."""

import json

from fakes.ports import FakePort

from mtnet.net.endpoints import Listener

WEB = Listener("web", "tcp:8083")


class Answer:
    """A parsed HTTP answer."""

    def __init__(self, data):
        head, _, self.body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        self.status = int(first.split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines)
        self.head = head.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        """Return the status and the code of a refusal."""
        return self.status, self.json["error"]


def request(method, path, body=b"", host="localhost", **headers):
    """Return the bytes of a request; a value that is no bytes becomes JSON."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def chunked(*parts):
    """Return a body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


class HttpPort(FakePort):
    """The web port of an environment."""

    def __init__(self, env, listener=WEB):
        super().__init__(env, listener)

    def ask(self, method, path, body=b"", host="localhost", at=None, **headers):
        """Send a request on a connection of its own; return the answer."""
        terminal = self.dial(**(at or {}))
        terminal.send(request(method, path, body, host, **headers))
        self.clock.advance(0)
        self.clock.advance(0)
        return Answer(terminal.received())
