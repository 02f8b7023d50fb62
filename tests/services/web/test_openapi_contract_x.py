"""Schemathesis: whatever a client sends by `openapi.json`, each answer is one that it declares."""

from contextlib import suppress

import pytest
import requests
import schemathesis
from fakes.daemon import PASSWORD, FakeDaemon
from fakes.http import Answer
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 120
"""Of each operation, and of each kind of data: right and wrong."""
SERVER = "http://localhost"
LONGEST_WAIT = 61
UPGRADE = "/ws"
"""An answer of 101 has no end."""


class Api:
    """The web port of a daemon, and an account with every right."""

    def __init__(self, folder, clock):
        sets = ("access.trust_loopback=true",)
        self.daemon = FakeDaemon(folder, clock, *sets, grants={"root": ("admin",)})
        self.clock, self.factory = clock, self.daemon.factory("web")

    def send(self, sent):
        """Send a request of `requests`; return the answer as schemathesis reads it."""
        body = sent.body or b""
        body = body.encode() if isinstance(body, str) else body
        sent.headers["Host"] = "localhost"
        head = [f"{sent.method} {sent.path_url} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in sent.headers.items()]
        terminal = self.daemon.dial("web")
        terminal.send("\r\n".join([*head, "", ""]).encode("utf-8") + body)
        for seconds in (0, 0, 0, LONGEST_WAIT):
            self.clock.advance(seconds)
            data = terminal.received()
            if data:
                return self.answer(Answer(data), sent)
        raise AssertionError(f"{sent.method} {sent.path_url} was not answered.")

    def answer(self, found, sent):
        headers = {name: [value] for name, value in found.headers.items()}
        return Response(found.status, headers, found.body, sent, 0.0, False)


@pytest.fixture
def api(tmp_path, clock):
    return Api(tmp_path / "data", clock)


@pytest.mark.parametrize("mode", [*GenerationMode])
def test_every_answer_is_declared(api, mode):
    document = requests.Request("GET", f"{SERVER}/v1/openapi.json").prepare()
    schema = schemathesis.openapi.from_dict(api.send(document).json())
    tested = 0
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path != UPGRADE:
            check(api, operation, mode)
            tested += 1
    assert tested > 10


def check(api, operation, mode):
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        derandomize=False,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def run(case):
        login = ("root", PASSWORD)
        options = case.as_transport_kwargs(base_url=SERVER)
        options.pop("timeout", None)
        sent = requests.Request(auth=login, **options).prepare()
        case.validate_response(api.send(sent), checks=CHECKS)

    with suppress(Unsatisfiable):  # an operation without params and body cannot be asked wrongly
        run()
