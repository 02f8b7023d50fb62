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
EXAMPLES = 15
"""Of each operation, and of each kind of data: right and wrong."""
FEW = 3
"""Of each operation for those without rights: what they send is not looked at."""
REFUSED = {401, 403, 413}
SERVER = "http://localhost"
LONGEST_WAIT = 61
UPGRADE = "/ws"
"""An answer of 101 has no end."""


class Api:
    """
    The web port of a daemon, and accounts: of every right, of none, and of the usual roles.

    Args:
        login: whose credentials each request has; None = it has none.
    """

    def __init__(self, folder, clock, login):
        grants = {"root": ("admin",), "eve": (), "bob": ("follower",), "alice": ("provider",)}
        self.daemon = FakeDaemon(folder, clock, grants=grants)
        self.clock, self.auth = clock, login and (login, PASSWORD)
        self.seen, self.sent = set(), 0

    def send(self, sent):
        """Send a request of `requests`; return the answer as schemathesis reads it."""
        body = sent.body or b""
        body = body.encode() if isinstance(body, str) else body
        sent.headers["Host"] = "localhost"
        head = [f"{sent.method} {sent.path_url} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in sent.headers.items()]
        # Each from another address: some are wrong logins, which end in a ban.
        self.sent += 1
        peer = f"127.{self.sent >> 16}.{self.sent >> 8 & 255}.{self.sent & 255}"
        terminal = self.daemon.dial("web", peer=peer)
        terminal.send("\r\n".join([*head, "", ""]).encode("utf-8") + body)
        for seconds in (0, 0, 0, LONGEST_WAIT):
            self.clock.advance(seconds)
            data = terminal.received()
            if data:
                return self.answer(Answer(data), sent)
        raise AssertionError(f"{sent.method} {sent.path_url} was not answered.")

    def answer(self, found, sent):
        self.seen.add(found.status)
        headers = {name: [value] for name, value in found.headers.items()}
        return Response(found.status, headers, found.body, sent, 0.0, False)


def operations(api):
    """Yield what `openapi.json` describes."""
    document = requests.Request("GET", f"{SERVER}/v1/openapi.json").prepare()
    schema = schemathesis.openapi.from_dict(api.send(document).json())
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path != UPGRADE:
            yield operation


@pytest.mark.parametrize("mode", [*GenerationMode])
def test_every_answer_is_declared(tmp_path, clock, mode):
    api = Api(tmp_path / "data", clock, "root")
    tested = [check(api, each, mode, EXAMPLES) for each in operations(api)]
    assert len(tested) > 10


@pytest.mark.parametrize("login", ["bob", "alice"])
def test_every_answer_to_a_follower_and_to_a_publisher_is_declared(tmp_path, clock, login):
    api = Api(tmp_path / "data", clock, login)
    seen = {}
    for operation in operations(api):
        api.seen.clear()
        check(api, operation, GenerationMode.POSITIVE, FEW)
        seen[operation.label] = {*api.seen}
    assert 200 in seen["GET /v1/channels"]
    assert (403 in seen["PUT /v1/channels/{channel}/positions"]) == (login == "bob")
    assert seen["POST /v1/channels/{channel}/pause"] <= REFUSED


@pytest.mark.parametrize("login", ["eve", None])
def test_every_refusal_is_declared_and_nobody_gets_more_than_that(tmp_path, clock, login):
    api = Api(tmp_path / "data", clock, login)
    for operation in operations(api):
        api.seen.clear()
        check(api, operation, GenerationMode.POSITIVE, FEW)
        said = operation.definition.raw
        needs_right = "the right" in said.get("description", "")
        needs_login = "security" in said and login is None
        assert not (needs_right or needs_login) or api.seen <= REFUSED, operation.label


def check(api, operation, mode, examples):
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=examples,
        phases=[Phase.generate],
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def run(case):
        options = case.as_transport_kwargs(base_url=SERVER)
        options.pop("timeout", None)
        sent = requests.Request(auth=api.auth, **options).prepare()
        if api.auth is None:  # schemathesis makes one
            sent.headers.pop("Authorization", None)
        case.validate_response(api.send(sent), checks=CHECKS)

    with suppress(Unsatisfiable):  # an operation without params and body cannot be asked wrongly
        run()
