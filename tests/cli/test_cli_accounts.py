"""`mtnet account`: the same words whether a daemon runs or not, and no secret but where it must."""

import io
import json
import os
import re
import socket
import stat

import pytest
from fakes.command_line import Terminal
from fakes.rights import PERMISSIONS
from twisted.internet.defer import maybeDeferred, succeed
from twisted.internet.testing import StringTransport

from mtnet.access.accounts.commands import AccountCommands
from mtnet.access.accounts.model import Accounts, is_token
from mtnet.access.accounts.passwords import hasher
from mtnet.access.accounts.store import AccountStore
from mtnet.access.security_log import SecurityLog
from mtnet.cli import accounts as cli
from mtnet.cli.main import parser
from mtnet.cli.offline import accounts as offline
from mtnet.clock import WallClock
from mtnet.daemon.control.client import _result, answers
from mtnet.daemon.control.protocol import ControlFactory
from mtnet.daemon.datadir import DataFolder
from mtnet.errors import MtnetError, StartError

NOW = 1_700_000_000_000
PASSWORD = "correct horse"


class Mtnet:
    """A data folder, with a daemon or without: `mtnet("list")` returns what is printed."""

    def __init__(self, folder, monkeypatch, capsys):
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        self.accounts = None
        self._parser = parser(used="account")
        monkeypatch.setattr(offline, "system_time", lambda: NOW)
        monkeypatch.setattr(offline, "hash_password", lambda text: f"hash of {len(text)}")

    def run_daemon(self):
        self._held = DataFolder(str(self.folder))
        self.accounts, self._records = Accounts(), AccountStore(self._held.accounts, PERMISSIONS)
        now = WallClock(lambda: NOW, lambda: 0.0)
        lines = SecurityLog(float)
        clerk = AccountCommands(self.accounts, self._records, maybeDeferred, now, self._hash, lines)
        self._daemon = ControlFactory(clerk.commands())
        self._monkeypatch.setattr(cli.local, "answers", lambda path: True)
        self._monkeypatch.setattr(cli.local, "ask", self._ask)

    def stop_daemon(self):
        if self.accounts is not None:
            self._records.close()
            self._held.release()

    def _hash(self, password):
        return succeed(f"hash of {len(password)}")

    def _ask(self, path, command, **arguments):
        assert path == self.folder / "control"
        transport, protocol = StringTransport(), self._daemon.buildProtocol(None)
        protocol.makeConnection(transport)
        protocol.dataReceived(json.dumps({**arguments, "command": command}).encode() + b"\n")
        return _result(path, transport.value())

    def __call__(self, *arguments, typed=""):
        self._monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        parsed = self._parser.parse_args(["account", *arguments, "--data", str(self.folder)])
        parsed.run(parsed)
        return self._capsys.readouterr().out

    def refusal(self, *arguments, **options):
        with pytest.raises(MtnetError) as refused:
            self(*arguments, **options)
        return str(refused.value)

    def stored(self):
        records = AccountStore(self.folder / "accounts.sqlite", PERMISSIONS)
        try:
            return records.directory()
        finally:
            records.close()


@pytest.fixture(params=["no daemon", "a daemon"])
def mtnet(request, tmp_path, monkeypatch, capsys):
    for name in [name for name in os.environ if name.startswith("MTNET_")]:
        monkeypatch.delenv(name)
    mtnet = Mtnet(tmp_path / "data", monkeypatch, capsys)
    if request.param == "a daemon":
        mtnet.run_daemon()
    yield mtnet
    mtnet.stop_daemon()


def test_an_account_is_made_with_roles_rights_and_a_password(mtnet):
    got = mtnet(
        "add", "alice", "--role", "follower", "--grant", "read:ticks/EUR*", typed=PASSWORD + "\n"
    )
    assert got == "alice is granted follower, read:ticks/EUR*.\n"
    assert mtnet.stored().accounts["alice"].password == "hash of 13"
    assert mtnet.accounts is None or mtnet.accounts.get("alice"), "a daemon knows it at once"


def test_the_file_is_its_owners_alone(mtnet):
    mtnet("list")
    assert stat.S_IMODE((mtnet.folder / "accounts.sqlite").stat().st_mode) == 0o600


def test_every_change_is_told_by_what_the_account_is_then(mtnet):
    said = "alice is granted "
    assert mtnet("add", "alice", "--no-password") == said + "nothing; it has no password.\n"
    assert mtnet("passwd", "alice", typed=PASSWORD) == said + "nothing.\n"
    assert mtnet("grant", "alice", "follow", "reader") == said + "follow, reader.\n"
    assert mtnet("revoke", "alice", "follow") == said + "reader.\n"
    assert mtnet("disable", "alice") == said + "reader; it is disabled.\n"
    assert mtnet("enable", "alice") == said + "reader.\n"
    assert mtnet("remove", "alice") == "The account alice is removed.\n"
    assert mtnet("list").startswith("There is no account. ")


def test_accounts_are_listed_for_people_and_programs(mtnet):
    mtnet("add", "alice", "--role", "admin", "--no-password")
    heading, row = mtnet("list").splitlines()
    assert heading.split() == ["NAME", "GRANTS", "DISABLED", "PASSWORD", "TOKENS", "LAST"]
    assert row.split() == ["alice", "admin", "no", "no", "0", "never"]
    assert json.loads(mtnet("list", "--json"))[0]["grants"] == ["admin"]


def test_the_roles_of_installed_services_can_be_chosen(mtnet, capsys):
    mtnet("add", "alice", "--role", "provider", "--role", "terminal", "--no-password")
    assert mtnet.stored().accounts["alice"].grants == ("provider", "terminal")
    with pytest.raises(SystemExit):
        mtnet("add", "bob", "--role", "boss", "--no-password")
    assert "invalid choice: 'boss'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        mtnet("add", "--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert f"one of {', '.join(PERMISSIONS.roles)}" in shown


def test_a_grant_of_a_service_that_is_gone_can_be_revoked(mtnet):
    mtnet("add", "alice", "--role", "follower", "--no-password")
    said = mtnet.refusal("revoke", "alice", "run:jobs")
    assert said == "alice does not have the grant run:jobs; it has follower."


def test_an_account_is_shown_in_words(mtnet):
    mtnet("add", "alice", "--grant", "send:ticks/EUR*", "--grant", "publish", typed=PASSWORD)
    mtnet("token", "alice", "--label", "t7", "--days", "2")
    assert re.sub(r"\b[0-9a-f]{8}\b", "1a2b3c4d", mtnet("show", "alice")).splitlines() == [
        "alice",
        "  granted: publish, send:ticks/EUR*",
        "  may: publish signals and templates, send ticks of EUR*",
        "  password: since 2023-11-14 22:13 UTC",
        "  made: 2023-11-14 22:13 UTC",
        "  last seen: never",
        "  tokens:",
        "    ID        LABEL  GRANTS  CREATED               EXPIRES               LAST",
        "    1a2b3c4d  t7     all     2023-11-14 22:13 UTC  2023-11-16 22:13 UTC  never",
        "  logged in from: -",
    ]
    assert json.loads(mtnet("show", "alice", "--json"))["changed"] == NOW


def test_a_token_is_all_that_is_printed_and_its_advice_is_not_in_the_way(mtnet, capsys):
    mtnet("add", "alice", "--role", "follower", "--no-password")
    parsed = mtnet._parser.parse_args(["account", "token", "alice", "--data", str(mtnet.folder)])
    parsed.run(parsed)
    printed = capsys.readouterr()
    secret, (token,) = printed.out.strip(), mtnet.stored().tokens.values()
    assert is_token(secret)
    assert secret not in printed.err
    assert f"--withdraw {token.id}" in printed.err
    got = mtnet("token", "alice", "--withdraw", token.id)
    assert got == f"Token {token.id} of alice is withdrawn.\n"
    assert mtnet.stored().tokens == {}


def test_what_is_refused_is_told_in_the_same_words(mtnet):
    mtnet("add", "alice", "--no-password")
    assert mtnet.refusal("add", "alice", "--no-password").startswith("The account alice exists")
    assert mtnet.refusal("show", "alic") == "There is no account 'alic'; did you mean alice?"
    assert mtnet.refusal("token", "alice", "--grant", "read").startswith(
        "A token of alice cannot have read"
    )
    assert mtnet.refusal("token", "alice", "--days", "0").startswith("A token lasts more than 0")
    assert mtnet.refusal("grant", "alice", "boss").startswith("Invalid right 'boss'")
    assert mtnet.refusal("revoke", "alice", "read").endswith("it has nothing.")


@pytest.mark.parametrize(
    "arguments", [["show", "\udcff"], ["token", "alice", "--label", "\udcff"], ["add", "a b"]]
)
def test_what_can_be_no_name_nor_label_is_refused_before_anybody_is_asked(mtnet, arguments):
    assert "Invalid" in mtnet.refusal(*arguments)


# Passwords


@pytest.mark.parametrize(
    "typed", ["", "\n", "short\n", "x" * 129 + "\n", "mtnet_12345\n", "a\tb" * 9]
)
def test_a_password_that_can_be_none_changes_nothing_and_is_not_quoted(mtnet, typed):
    got = mtnet.refusal("add", "alice", typed=typed)
    assert "password" in got
    assert not typed.strip() or typed.strip() not in got
    assert mtnet("list").startswith("There is no account. ")


@pytest.mark.parametrize("typed", [PASSWORD, PASSWORD + "\r\n", PASSWORD + "\nsecond line\n"])
def test_a_password_is_one_line_of_standard_input(monkeypatch, typed):
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    assert cli.read_password() == PASSWORD


def test_bytes_that_are_no_text_are_no_password(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xff" * 9), "utf-8"))
    with pytest.raises(MtnetError, match="one line of UTF-8"):
        cli.read_password()


@pytest.fixture
def terminal(monkeypatch):
    """Answer prompts: `terminal("first", "second")`; what stays in the list was not asked for."""
    typed = []
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda prompt: typed.pop(0))
    return typed


def test_a_terminal_is_asked_twice(terminal):
    terminal += [PASSWORD, PASSWORD]
    assert cli.read_password() == PASSWORD
    assert terminal == []


def test_two_passwords_that_differ_are_none(terminal):
    terminal += [PASSWORD, PASSWORD + "!"]
    with pytest.raises(MtnetError, match="differ"):
        cli.read_password()


def test_a_password_that_can_be_none_is_not_asked_for_again(terminal):
    terminal += ["short", "short"]
    with pytest.raises(MtnetError, match="8 or more"):
        cli.read_password()
    assert terminal == ["short"]


def test_what_is_no_id_of_a_token_is_told_with_one_that_is(mtnet, capsys):
    with pytest.raises(SystemExit):
        mtnet("token", "alice", "--withdraw", "\udcff")
    assert "such as 1a2b3c4d" in capsys.readouterr().err


def test_no_argument_takes_a_password(mtnet, capsys):
    with pytest.raises(SystemExit):
        mtnet("passwd", "alice", PASSWORD)


def test_the_hash_of_a_program_without_a_daemon_is_the_daemons():
    with pytest.raises(StopIteration) as stored:
        offline._hash(PASSWORD).send(None)
    assert hasher().verify(stored.value.value, PASSWORD)


# The folder


def test_no_daemon_starts_while_accounts_are_changed_without_one(tmp_path):
    with cli.admin_session(tmp_path), pytest.raises(StartError):
        DataFolder(str(tmp_path))
    DataFolder(str(tmp_path)).release()


def test_nothing_is_changed_behind_a_daemon_that_does_not_answer(tmp_path):
    held = DataFolder(str(tmp_path))
    with pytest.raises(StartError), cli.admin_session(tmp_path):
        pass
    held.release()
    assert not (tmp_path / "accounts.sqlite").exists()


def test_a_socket_answers_while_somebody_listens(tmp_path):
    path = tmp_path / "control"
    assert not answers(path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        assert not answers(path), "a killed daemon leaves its socket behind"
        server.listen()
        assert answers(path)
    assert not answers(path)
    assert answers(tmp_path / ("x" * 120)), "asking says why it cannot be asked"


@pytest.mark.parametrize(
    "command",
    ["add", "list", "show", "passwd", "token", "disable", "enable", "remove", "grant", "revoke"],
)
def test_help_ends_with_an_example_that_the_parser_takes(mtnet, capsys, command):
    with pytest.raises(SystemExit):
        mtnet._parser.parse_args(["account", command, "--help"])
    example = capsys.readouterr().out.split("Example: mtnet ")[1].split()
    assert example[:2] == ["account", command]
    mtnet._parser.parse_args(example)
