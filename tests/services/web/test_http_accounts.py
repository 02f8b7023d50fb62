"""Accounts by HTTP."""

import pytest
from fakes.daemon import PASSWORD, basic
from fakes.http import Answer, HttpPort, request


class Server(HttpPort):
    """A web port, and the owner's commands on accounts."""

    def do(self, command, **arguments):
        found = self.env.access.commands()[f"account {command}"](arguments)
        result = []
        found.addCallback(result.append)
        return result[0]

    def ask_as(self, name, method, path, **at):
        terminal = self.dial(**at)
        terminal.send(request(method, path, Authorization=basic(name).decode()))
        self.clock.advance(0)
        return Answer(terminal.received())


@pytest.fixture
def server(env_with):
    server = Server(env_with())
    server.do("add", name="root", grants=["admin"], password=PASSWORD)
    server.do("add", name="bob", grants=["follower"], password=PASSWORD)
    return server


def test_an_admin_sees_the_accounts(server):
    answer = server.ask_as("root", "GET", "/v1/accounts")
    assert answer.status == 200
    assert [(each["name"], each["grants"]) for each in answer.json] == [
        ("bob", ["follower"]), ("root", ["admin"]),
    ]  # fmt: skip
    assert PASSWORD.encode() not in answer.body


def test_loopback_is_no_login(server):
    assert server.ask("GET", "/v1/accounts").error == (401, "login")
    # On loopback that is trusted a login has the rights of both.
    assert server.ask_as("bob", "GET", "/v1/accounts").status == 403


def test_where_nobody_can_log_in_nobody_is_admin(env_with):
    assert HttpPort(env_with()).ask("GET", "/v1/accounts").error == (403, "denied")


def test_a_token_is_withdrawn_and_logs_in_no_more(server):
    token = server.do("token", name="bob")
    path = f"/v1/accounts/bob/tokens/{token['id']}"
    bearer = {"Authorization": f"Bearer {token['secret']}"}
    assert server.ask("GET", "/templates", **bearer).status == 200
    assert server.ask("DELETE", path).status == 401
    answer = server.ask_as("root", "DELETE", path)
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers
    assert server.ask("GET", "/templates", **bearer).status == 401


def test_an_admin_sees_when_each_token_expires_and_no_secret(server):
    token = server.do("token", name="bob", label="desk", days=30.0, grants=["follower"])
    answer = server.ask_as("root", "GET", "/v1/accounts/bob/tokens")
    (row,) = answer.json
    assert (row["id"], row["label"], row["grants"]) == (token["id"], "desk", ["follower"])
    assert row["expires"] - row["created"] == 30 * 86_400_000
    assert token["secret"].encode() not in answer.body
    assert server.ask_as("bob", "GET", "/v1/accounts/bob/tokens").status == 403
    assert server.ask_as("root", "GET", "/v1/accounts/eve/tokens").error == (404, "missing")


@pytest.mark.parametrize("path", ["bob/tokens/00000000", "eve/tokens/00000000"])
def test_what_is_not_there_is_404(server, path):
    assert server.ask_as("root", "DELETE", f"/v1/accounts/{path}").error == (404, "missing")
