"""The page's logins: a cookie, the session behind it, and everything that ends it."""

import pytest
from fakes.daemon import PASSWORD, REMOTE, TOKEN, FakeDaemon, account, basic, directory
from fakes.http import Answer, request
from fakes.websocket_bytes import CLOSE, WebSocketTerminal

from mtnet.access.accounts.model import Accounts
from mtnet.errors import JournalError
from mtnet.services.web.http import ApiRequest
from mtnet.services.web.logins import cookie
from mtnet.services.web.logins.registry import OF_ONE, Sessions
from mtnet.services.web.logins.store import SessionStore

GRANTS = {"root": ("admin",), "bob": ("follow:signals", "fetch:templates", "read:status")}
OWN = {"Origin": "http://localhost"}


class Server(FakeDaemon):
    """A web port whose logins are those of a browser."""

    def __init__(self, folder, clock, *sets):
        super().__init__(folder, clock, *sets, grants=GRANTS)

    def dial(self, service="web", endpoint="tcp:1", **addresses):
        return super().dial(service, endpoint, **addresses)

    def ask(self, method, path, body=b"", cookie=None, at=None, **headers):
        said = {"Cookie": f"mtnet={cookie}"} if cookie else {}
        terminal = self.dial(**(at or {}))
        terminal.send(request(method, path, body, **said, **headers))
        self.clock.advance(0)
        return Answer(terminal.received())

    def change(self, name, **changes):
        self.accounts.replace(directory(GRANTS, **{name: account(name, **changes)}))

    def log_in(self, name="bob", password=PASSWORD, **more):
        answer = self.ask("POST", "/v1/login", {"login": name, "password": password}, **more)
        assert answer.status == 200, answer.body
        return cookie_of(answer)


def cookie_of(answer):
    (line,) = [each for each in answer.head.split("\r\n") if each.startswith("Set-Cookie: ")]
    return line.partition("mtnet=")[2].partition(";")[0]


@pytest.fixture
def server(tmp_path, clock):
    return Server(tmp_path / "data", clock)


# The cookie


def test_a_cookie_over_tls_is_bound_to_this_host_and_in_clear_has_no_such_name():
    tls, clear = cookie.give("x", True, 60), cookie.give("x", False, 60)
    assert tls == b"__Host-mtnet=x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure"
    assert clear == b"mtnet=x; Path=/; Max-Age=60; HttpOnly; SameSite=Strict"


def test_only_the_cookie_of_the_connections_kind_is_read():
    headers = ["a=b; mtnet=clear; __Host-mtnet=tls", "mtnet=other;mtnetx=y; xmtnet=z"]
    assert cookie.read(headers, False) == ["clear", "other"]
    assert cookie.read(headers, True) == ["tls"]
    assert cookie.read(["mtnet=x"] * 100, False) == ["x"] * cookie.MOST


def test_a_login_gets_a_cookie_that_logs_in(server):
    answer = server.ask("POST", "/v1/login", {"login": "bob", "password": PASSWORD})
    assert answer.status == 200
    assert (answer.json["login"], "follow:signals" in answer.json["rights"]) == ("bob", True)
    assert answer.json["until"] == server.env.now() + 30 * 86_400_000
    assert server.ask("GET", "/templates").status == 401
    assert server.ask("GET", "/templates", cookie=cookie_of(answer)).status == 200
    assert server.ask("GET", "/templates", cookie="x" * 43).status == 401


def test_a_cookie_is_not_taken_over_an_open_network(server):
    said = {"login": "bob", "password": PASSWORD}
    assert server.ask("POST", "/v1/login", said, at=REMOTE).error == (403, "login")
    given = server.log_in()
    assert server.ask("GET", "/templates", cookie=given, at=REMOTE).error == (403, "denied")


def test_a_cookie_is_not_given_in_clear_even_where_passwords_may_be(tmp_path, clock):
    server = Server(tmp_path / "data", clock, "access.allow_plaintext_login=true")
    said = {"login": "bob", "password": PASSWORD}
    answer = server.ask("POST", "/v1/login", said, at=REMOTE, host="192.0.2.1")
    assert answer.status == 403


def test_over_tls_the_cookie_is_that_of_this_host(server, monkeypatch):
    monkeypatch.setattr(ApiRequest, "isSecure", lambda self: True)
    said = {"login": "bob", "password": PASSWORD}
    answer = server.ask("POST", "/v1/login", said)
    assert "Set-Cookie: __Host-mtnet=" in answer.head
    given = cookie_of(answer)
    assert server.ask("GET", "/templates", Cookie=f"__Host-mtnet={given}").status == 200
    assert server.ask("GET", "/templates", cookie=given).status == 401


@pytest.mark.parametrize(
    ("name", "password", "error"),
    [("bob", "wrong", (401, "login")), ("eve", PASSWORD, (401, "login")), ("", "", (422, "field"))],
)
def test_a_wrong_login_gets_none(server, name, password, error):
    answer = server.ask("POST", "/v1/login", {"login": name, "password": password})
    assert answer.error == error
    assert "set-cookie" not in answer.headers


def test_guesses_are_banned_as_those_of_any_login(server):
    wrong = {"login": "bob", "password": "guess"}
    assert [server.ask("POST", "/v1/login", wrong).status for _ in range(3)] == [401, 401, 429]


def test_each_login_has_a_cookie_of_its_own_and_ends_the_one_before(server):
    first = server.log_in()
    second = server.log_in(cookie=first)
    assert first != second
    assert server.ask("GET", "/templates", cookie=first).status == 401
    assert server.ask("GET", "/templates", cookie=second).status == 200


def test_the_secret_is_not_on_the_disk(server, tmp_path):
    given = server.log_in()
    for path in (tmp_path / "data").glob("sessions.sqlite*"):
        assert given.encode() not in path.read_bytes()


# Other pages


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
        ({"Sec_Fetch_Site": "same-site"}, 401),  # a page on another port of localhost
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost"}, 200),
    ],
)
def test_the_cookie_serves_our_own_page_alone(server, headers, status):
    given = server.log_in()
    assert server.ask("GET", "/templates", cookie=given, **headers).status == status


@pytest.mark.parametrize("path", ["/v1/login", "/v1/logout"])
def test_no_other_page_logs_in_or_out(server, path):
    given = server.log_in()
    for foreign in ({"Origin": "http://localhost:3000"}, {"Sec_Fetch_Site": "cross-site"}):
        said = {"login": "root", "password": PASSWORD}
        assert server.ask("POST", path, said, cookie=given, **foreign).status == 403
    assert server.ask("GET", "/templates", cookie=given).status == 200


def test_the_cookie_never_serves_a_page_of_web_origins(tmp_path, clock):
    server = Server(tmp_path / "data", clock, "web.origins=https://desk.example")
    given = server.log_in()
    answer = server.ask("GET", "/templates", cookie=given, Origin="https://desk.example")
    assert answer.status == 401
    assert "access-control-allow-credentials" not in answer.headers


def test_a_cookie_that_another_port_added_changes_nothing(server):
    given, foreign = server.log_in(), server.log_in("root")
    both = f"mtnet=planted; mtnet={given}"
    assert server.ask("GET", "/templates", Cookie=both).status == 200
    # Of two valid ones nobody can say whose page it is.
    assert server.ask("GET", "/templates", Cookie=f"mtnet={foreign}; mtnet={given}").status == 401


def test_credentials_go_before_the_cookie(server):
    given, said = server.log_in(), basic("root").decode()
    assert server.ask("GET", "/v1/accounts", cookie=given, Authorization=said).status == 200
    wrong = basic("root", "wrong").decode()
    assert server.ask("GET", "/templates", cookie=given, Authorization=wrong).status == 401


def test_a_browser_asks_for_no_password_that_outlives_a_logout(server):
    """It would send a Basic password again and again, whatever its page does."""
    said = {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Dest": "empty"}
    by_script = server.ask("GET", "/templates", **said)
    assert (by_script.status, by_script.headers["www-authenticate"]) == (
        401,
        'bearer realm="mtnet"',
    )
    by_person = server.ask("GET", "/templates", Sec_Fetch_Dest="document")
    assert by_person.headers["www-authenticate"].startswith("basic ")


# The end of a session


def test_logging_out_ends_the_session_and_takes_the_cookie_away(server):
    given = server.log_in()
    answer = server.ask("POST", "/v1/logout", cookie=given)
    assert (answer.status, "Max-Age=0" in answer.head) == (204, True)
    assert server.ask("GET", "/templates", cookie=given).status == 401
    assert server.ask("POST", "/v1/logout").status == 204


@pytest.mark.parametrize(
    "change", [{"disabled": True}, {"changed": 2}, {"created": 9}, {"grants": ("follow:signals",)}]
)
def test_a_change_of_the_account_counts_at_once(server, change):
    given = server.log_in()
    said = {"grants": GRANTS["bob"], **change}
    server.change("bob", **said)
    assert server.ask("GET", "/templates", cookie=given).status in (401, 403)


def test_a_session_ends_with_its_token(tmp_path, clock):
    server = Server(tmp_path / "data", clock)
    server.accounts.replace(directory(GRANTS))
    given = server.log_in(password=TOKEN)
    answer = server.ask("GET", "/v1/sessions", cookie=given)
    assert [each["login"] for each in answer.json] == ["bob"]
    # It may what the token may, not what its account may.
    assert server.ask("GET", "/templates", cookie=given).status == 403
    tokens = dict(server.accounts.directory.tokens)
    object.__setattr__(server.accounts.directory, "tokens", {})
    assert server.ask("GET", "/v1/sessions", cookie=given).status == 401
    object.__setattr__(server.accounts.directory, "tokens", tokens)
    server.change("bob", grants=GRANTS["bob"], changed=2)  # another password ends no token
    assert server.ask("GET", "/v1/sessions", cookie=given).status == 200


def test_a_session_ends_with_its_time(tmp_path, clock):
    server = Server(tmp_path / "data", clock, "web.session=60")
    given = server.log_in()
    clock.advance(59)
    assert server.ask("GET", "/templates", cookie=given).status == 200
    clock.advance(1)
    assert server.ask("GET", "/templates", cookie=given).status == 401


def test_a_session_survives_a_restart(tmp_path, clock):
    given = Server(tmp_path / "data", clock).log_in()
    again = Server(tmp_path / "data", clock)
    assert again.ask("GET", "/templates", cookie=given).status == 200
    again.ask("POST", "/v1/logout", cookie=given)
    assert Server(tmp_path / "data", clock).ask("GET", "/templates", cookie=given).status == 401


def test_a_file_that_cannot_be_read_costs_the_logins_alone(tmp_path, clock, warnings):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sessions.sqlite").write_bytes(b"no database" * 1_000)
    server = Server(tmp_path / "data", clock)
    assert [event["log_namespace"] for event in warnings()] == [
        "mtnet.services.web.logins.service.Logins"
    ]
    assert server.ask("GET", "/templates", Authorization=basic("bob").decode()).status == 200


def test_a_disk_that_takes_no_session_is_503(server, monkeypatch):
    def fail(*_):
        raise JournalError("The disk is full.")

    monkeypatch.setattr(SessionStore, "write", fail)
    answer = server.ask("POST", "/v1/login", {"login": "bob", "password": PASSWORD})
    assert answer.error == (503, "server")
    assert "set-cookie" not in answer.headers
    assert len(server.factory("web").logins) == 0


def test_a_session_that_the_disk_did_not_remove_is_removed_with_the_next(tmp_path, clock):
    """It would log in again after a restart."""
    server = Server(tmp_path / "data", clock)
    given, full = server.log_in(), pytest.MonkeyPatch()
    with full.context() as disk:
        disk.setattr("mtnet.storage.sqlite.has_free_space", lambda folder: False)
        answer = server.ask("POST", "/v1/logout", cookie=given)
        assert answer.error == (503, "server")
        assert str(tmp_path) not in answer.json["text"]
    assert server.ask("GET", "/templates", cookie=given).status == 401
    assert server.ask("POST", "/v1/logout", cookie=given).status == 204
    assert Server(tmp_path / "data", clock).ask("GET", "/templates", cookie=given).status == 401


# WebSockets and waiting requests


def open_websocket(server, given):
    client = WebSocketTerminal(
        server.dial(), **OWN, Cookie=f"mtnet={given}", Sec_Fetch_Site="same-origin"
    )
    (welcome,) = client.ask({"verb": "HELLO", "v": "2"})
    assert welcome["verb"] == "WELCOME"
    return client, welcome


def test_a_websocket_has_the_login_of_the_cookie(server):
    _, welcome = open_websocket(server, server.log_in())
    assert "signals" in welcome["services"]


@pytest.mark.parametrize(
    "end",
    [
        lambda server, given: server.ask("POST", "/v1/logout", cookie=given),
        lambda server, given: server.ask("DELETE", "/v1/sessions", cookie=given),
        lambda server, given: server.log_in(cookie=given),
        lambda server, given: server.change("bob", grants=()),
    ],
)
def test_the_end_of_a_session_closes_its_websocket(server, end):
    given, other = server.log_in(), server.log_in("root")
    client, _ = open_websocket(server, given)
    another, _ = open_websocket(server, other)
    end(server, given)
    assert client.received()[-1].opcode == CLOSE
    assert another.received() == []


def test_the_end_of_a_session_ends_a_request_that_waits(server):
    given, terminal = server.log_in(), server.dial()
    cookie = {"Cookie": f"mtnet={given}"}
    terminal.send(request("GET", "/v1/events?after=0&wait=60", **cookie))
    assert terminal.received() == b""
    server.ask("POST", "/v1/logout", cookie=given)
    assert Answer(terminal.received()).error == (401, "login")


def test_a_websocket_ends_with_the_time_of_its_session(tmp_path, clock):
    server = Server(tmp_path / "data", clock, "web.session=60")
    server.env.components.services["web"].start()
    client, _ = open_websocket(server, server.log_in())
    for _ in range(59):
        clock.advance(1)
        assert [each["verb"] for each in client.ask({"verb": "PING"})] == ["PONG"]
    clock.advance(60)
    assert client.received()[-1].opcode == CLOSE


def test_a_websocket_that_is_gone_is_forgotten(server):
    client, _ = open_websocket(server, server.log_in())
    sessions = server.factory("web").logins
    assert len(sessions._watchers) == 1
    client.terminal.hang_up()
    assert sessions._watchers == {}


# The list


def test_sessions_are_listed_and_ended_one_by_one(server):
    one, two = server.log_in(User_Agent="Firefox\x07"), server.log_in()
    rows = server.ask("GET", "/v1/sessions", cookie=one).json
    assert [(each["login"], each["agent"], each["current"]) for each in rows] == [
        ("bob", "", False), ("bob", "Firefox", True),
    ]  # fmt: skip
    answer = server.ask("DELETE", f"/v1/sessions?id={rows[0]['id']}", cookie=one)
    assert answer.status == 204
    assert server.ask("GET", "/templates", cookie=two).status == 401
    assert server.ask("GET", "/templates", cookie=one).status == 200
    assert server.ask("DELETE", f"/v1/sessions?id={rows[0]['id']}", cookie=one).status == 404


def test_many_sessions_are_listed_a_page_at_a_time(server):
    given = [server.log_in(User_Agent=f"{number}") for number in range(5)]
    agents, after = [], ""
    while True:
        path = f"/v1/sessions?limit=2{after}"
        rows = server.ask("GET", path, cookie=given[0]).json
        if not rows:
            break
        agents.append([each["agent"] for each in rows])
        after = f"&after={rows[-1]['id']}"
    assert agents == [["4", "3"], ["2", "1"], ["0"]]
    answer = server.ask("GET", "/v1/sessions?after=00000000", cookie=given[0])
    assert answer.error == (404, "missing")


def test_only_admin_sees_and_ends_the_sessions_of_others(server):
    bob, root = server.log_in(), server.log_in("root")
    (own,) = server.ask("GET", "/v1/sessions", cookie=bob).json
    every = server.ask("GET", "/v1/sessions", cookie=root).json
    assert [each["login"] for each in every] == ["root", "bob"]
    assert server.ask("DELETE", f"/v1/sessions?id={every[0]['id']}", cookie=bob).status == 404
    assert server.ask("DELETE", f"/v1/sessions?id={own['id']}", cookie=root).status == 204
    assert server.ask("GET", "/templates", cookie=bob).status == 401


def test_all_of_ones_own_sessions_are_ended_at_once(server):
    bob, more, root = server.log_in(), server.log_in(), server.log_in("root")
    assert server.ask("DELETE", "/v1/sessions", cookie=bob).status == 204
    statuses = [server.ask("GET", "/templates", cookie=each).status for each in (bob, more, root)]
    assert statuses == [401, 401, 200]


# Limits


def registry(most=10_000, lasts=1_000_000):
    when = [1_000]
    sessions = Sessions(Accounts(directory(GRANTS)), lambda: when[0], most, lasts)
    return sessions, when


def begin(sessions, account="bob"):
    return sessions.begin(account, b"", "127.0.0.1", "")[0]


def test_an_account_that_logs_in_again_and_again_costs_itself_alone():
    sessions, _ = registry()
    root, first = begin(sessions, "root"), begin(sessions)
    for _ in range(OF_ONE):
        begin(sessions)
    assert len(sessions) == OF_ONE + 1
    assert (sessions.find([first]), sessions.find([root]).account) == (None, "root")


def test_the_oldest_session_makes_room():
    sessions, _ = registry(most=2)
    first, second, third = (begin(sessions) for _ in range(3))
    assert len(sessions) == 2
    assert [sessions.find([each]) is None for each in (first, second, third)] == [
        True, False, False,
    ]  # fmt: skip


def test_sessions_that_are_over_make_room_first():
    sessions, when = registry(most=2, lasts=100)
    begin(sessions)
    when[0] += 99
    later = begin(sessions)
    when[0] += 1
    _, _, over = sessions.begin("bob", b"", "", "")
    assert len(over) == 1
    assert sessions.find([later]) is not None


def test_of_too_many_stored_sessions_the_newest_are_taken():
    former, _ = registry()
    first, second = begin(former), begin(former)
    sessions, _ = registry(most=1)
    sessions.load(former.of())
    assert (len(sessions), sessions.find([first])) == (1, None)
    assert sessions.find([second]) is not None


def test_a_clock_that_was_set_back_ends_no_session():
    sessions, when = registry()
    given = begin(sessions)
    when[0] = 1
    assert sessions.find([given]) is not None


def test_the_page_asks_as_whom_it_has_logged_in(server):
    assert server.ask("GET", "/v1/login").json == {"login": None, "rights": []}
    cookie = server.log_in("root")
    assert server.ask("GET", "/v1/login", cookie=cookie).json == {
        "login": "root",
        "rights": ["admin"],
    }
