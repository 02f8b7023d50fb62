"""`mtnet signals publish` and `follow` with a signals port in memory."""

import json
from types import SimpleNamespace

import pytest
from fakes.daemon import PASSWORD, FakeDaemon
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol

from mtnet.cli.signals import sessions
from mtnet.client.core.events import OtherHistory, Refused
from mtnet.interfaces import ISignals
from mtnet.services.signals.commands import SignalCommands
from mtnet.session.grammar import FrameDecoder, parse
from mtnet.testing import EPOCH

PUBLISH, FOLLOW = ("signals", "publish"), ("signals", "follow", "--seconds", "5")
NO_PROVIDER = "mtnet: There is no provider now.\n"


@pytest.fixture
def daemon(command_line, clock):
    """A daemon that trusts everybody on this machine, and is the server of the commands."""
    return serve(command_line, clock, "access.trust_loopback=true")


def serve(command_line, clock, *sets):
    daemon = FakeDaemon(command_line.folder, clock, "signals.pace=0", *sets)
    command_line.server = daemon.factory("signals")
    return daemon


def positions(daemon, channel="main"):
    found = daemon.env.find(ISignals).positions(channel).items()
    return {symbol: f"{position.volume:f}" for symbol, position in found if position.volume}


class ScriptedServer(Protocol):
    """A server that answers each frame by its verb: `answers["PUBLISH"](fields)`."""

    def connectionMade(self):
        self.decoder = FrameDecoder()
        if self.factory.closes:
            self.transport.loseConnection()

    def dataReceived(self, data):
        for payload in self.decoder.feed(data):
            request = parse(payload)
            self.factory.requests.append(request)
            answer = self.factory.answers.get(request.verb)
            if answer is not None:
                self.transport.write(answer(request.fields))


def scripted(closes=False, **answers):
    factory = Factory.forProtocol(ScriptedServer)
    factory.noisy, factory.answers, factory.closes = False, answers, closes
    factory.requests = []
    return factory


def welcome(_):
    return b"<<WELCOME|v=2|epoch=00000000000000aa|heartbeat=5|time=1>>\r\n"


# publish


def test_a_published_position_is_stored_before_the_command_ends(command_line, daemon):
    result = command_line(*PUBLISH, "GBPUSD", "-0.25")
    assert result == (0, "Stored: GBPUSD -0.25\n", "")
    assert positions(daemon) == {"GBPUSD": "-0.25"}


def test_a_server_that_needs_the_reactor_stores_and_shows_the_same(command_line, daemon):
    unix = ("--server", "unix:/run/mtnet.sock")
    stored = command_line("signals", "publish", "GBPUSD", "0.25", *unix)
    assert stored == (0, "Stored: GBPUSD 0.25\n", "")
    shown = command_line("signals", "follow", "--seconds", "5", *unix)
    assert (shown.status, shown.out) == (0, "GBPUSD 0.25\n")
    shown = command_line("signals", "follow", "--classic", "--seconds", "5", *unix)
    assert (shown.status, shown.out, shown.error) == (0, "GBPUSD 0.25\n", "")


def test_the_classic_dialect_knows_no_websocket(command_line, daemon):
    shown = command_line("signals", "follow", "--classic", "--server", "ws://127.0.0.1:8083")
    assert (shown.status, shown.out) == (1, "")
    assert "this client speaks no WebSocket, but tcp: and secure:." in shown.error


def test_programs_get_the_number_of_the_entry(command_line, daemon):
    command_line(*PUBLISH, "GBPUSD", "1")
    result = command_line(*PUBLISH, "GBPUSD", "2", "--json")
    assert json.loads(result.out) == {"symbol": "GBPUSD", "volume": "2", "seq": 2}


def test_an_id_is_never_applied_twice(command_line, daemon):
    for _ in range(2):
        result = command_line(*PUBLISH, "GBPUSD", "1", "--id", "order-7", "--json")
        assert json.loads(result.out)["seq"] == 1


def test_every_option_of_a_position_is_stored(command_line, daemon, clock):
    words = ("--ticket", "77", "--type", "buy_limit", "--price", "1.25", "--sl", "1.24")
    assert command_line(*PUBLISH, "EURUSD", "0.5", *words, "--comment", "break out").status == 0
    result = command_line(*FOLLOW, "--json")
    assert json.loads(result.out) == {
        "symbol": "EURUSD",
        "volume": "0.5",
        "time": EPOCH,
        "channel": "main",
        "seq": 1,
        "ticket": "77",
        "type": "buy_limit",
        "price": "1.25",
        "sl": "1.24",
        "comment": "break out",
    }


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("GBPUSD", "much"), "mtnet: A volume is lots such as 0.25 or -1"),
        (("GBPUSD", "1", "--channel", "no channel"), "mtnet: In PUBLISH channel is 1 to 32 of"),
        (("GBPUSD", "1", "--type", "bought"), "mtnet: "),
    ],
)
def test_what_is_no_position_is_refused_in_one_sentence(command_line, daemon, words, error):
    status, out, sentence = command_line(*PUBLISH, *words)
    assert (status, out) == (1, "")
    assert sentence.startswith(error)
    assert sentence.count("\n") == 1
    assert positions(daemon) == {}


def test_a_limit_of_the_server_is_named(command_line, clock):
    serve(command_line, clock, "access.trust_loopback=true", "signals.channels.main.max_volume=2")
    status, out, sentence = command_line(*PUBLISH, "GBPUSD", "3")
    assert (status, out) == (1, "")
    assert "2" in sentence


def test_a_position_that_is_not_confirmed_may_still_be_stored(command_line):
    command_line.server = scripted(HELLO=welcome)
    status, _, sentence = command_line(*PUBLISH, "GBPUSD", "1")
    assert status == 1
    assert "Not confirmed within 10 s; it may still be stored later." in sentence


@pytest.mark.parametrize(
    ("closed", "more"),
    [("", ""), ("|closed=1", " What stood there before is closed, and nothing is opened.")],
)
def test_a_refusal_is_printed_in_the_words_of_the_server(command_line, closed, more):
    def refuse(fields):
        text = f"<<ERROR|code=field|text=3 lots are too many|id={fields['id']}{closed}>>\r\n"
        return text.encode()

    command_line.server = scripted(HELLO=welcome, PUBLISH=refuse)
    result = command_line(*PUBLISH, "GBPUSD", "3")
    assert result == (1, "", f"mtnet: 3 lots are too many (field).{more}\n")


@pytest.mark.parametrize(("options", "take"), [((), "0"), (("--take",), "1")])
def test_a_channel_is_taken_over_only_when_a_person_says_so(command_line, options, take):
    server = command_line.server = scripted(HELLO=welcome)
    command_line(*PUBLISH, "GBPUSD", "1", *options)
    asked = [each.fields["take"] for each in server.requests if each.verb == "PUBLISH"]
    assert set(asked) == {take}


def test_a_server_that_refuses_the_connection_is_named(command_line):
    command_line.server = ConnectionRefusedError()
    status, _, sentence = command_line(*PUBLISH, "GBPUSD", "1", "--server", "tcp:fx.example:8081")
    assert status == 1
    assert sentence.startswith("mtnet: No connection to tcp:fx.example:8081: ")


@pytest.mark.parametrize("kind", ["tcp", "secure"])
def test_a_server_of_another_kind_is_named_with_a_hint_at_tls(command_line, kind):
    command_line.server = scripted(closes=True)
    words = ("--server", f"{kind}:fx.example:8081")
    status, _, sentence = command_line(*PUBLISH, "GBPUSD", "1", *words)
    assert status == 1
    assert f"{kind}:fx.example:8081 never answered as it should" in sentence
    assert ("it is secure:fx.example:8081" in sentence) == (kind == "tcp")
    assert sentence.endswith("Nothing was published.\n")


# A login


@pytest.mark.parametrize(
    ("name", "password", "expected"),
    [("alice", PASSWORD, 0), ("alice", "wrong horse", 1), ("nobody", PASSWORD, 1)],
)
def test_a_login_publishes_with_the_rights_of_its_account(
    command_line, clock, monkeypatch, name, password, expected
):
    daemon = serve(command_line, clock)
    monkeypatch.setenv("MTNET_PASSWORD", password)
    status, _, sentence = command_line(*PUBLISH, "GBPUSD", "1", "--login", name)
    assert status == expected
    assert bool(positions(daemon)) == (expected == 0)
    assert password not in sentence


def test_without_a_login_a_daemon_with_accounts_takes_nothing(command_line, clock):
    daemon = serve(command_line, clock)
    status, _, sentence = command_line(*PUBLISH, "GBPUSD", "1")
    assert status == 1
    assert sentence.startswith("mtnet: ")
    assert positions(daemon) == {}


def test_a_password_that_is_missing_is_an_error_before_anything_is_sent(command_line, daemon):
    status, _, sentence = command_line(*PUBLISH, "GBPUSD", "1", "--login", "alice")
    assert (status, sentence) == (
        1,
        "mtnet: The password is missing: set MTNET_PASSWORD, or run mtnet in a terminal.\n",
    )


# follow


def test_follow_prints_the_positions_there_are_and_ends_in_time(command_line, daemon):
    command_line(*PUBLISH, "GBPUSD", "-0.25")
    command_line(*PUBLISH, "EURUSD", "1")
    assert command_line(*FOLLOW) == (0, "GBPUSD -0.25\nEURUSD 1\n", NO_PROVIDER)


def test_follow_prints_what_changes_meanwhile(command_line, daemon):
    classic = daemon.dial("signals")
    at = [
        (1.0, lambda: classic.send(b"<<GBPUSD|0.25>>\0")),
        (2.0, lambda: classic.send(b"<<GBPUSD|0>>\0")),
    ]
    result = command_line(*FOLLOW, at=at)
    assert (result.status, result.out) == (0, "GBPUSD 0.25\nGBPUSD 0.00\n")


def test_ctrl_c_ends_it_quietly_with_the_status_of_a_signal(command_line, daemon):
    command_line(*PUBLISH, "GBPUSD", "1")
    result = command_line("signals", "follow", at=[(2.0, command_line.interrupt)])
    assert result == (130, "GBPUSD 1\n", NO_PROVIDER)


def test_follow_as_a_classic_client_prints_net_positions(command_line, daemon):
    command_line(*PUBLISH, "GBPUSD", "0.25")
    result = command_line(*FOLLOW, "--classic")
    assert result == (0, "GBPUSD 0.25\n", "")


def test_a_classic_client_of_an_empty_channel_prints_nothing_and_ends_in_time(command_line, daemon):
    assert command_line("signals", "follow", "--classic", "--seconds", "20") == (0, "", "")


def test_the_old_name_of_classic_works_until_1_0_and_warns(command_line, daemon):
    command_line(*PUBLISH, "GBPUSD", "0.25")
    result = command_line(*FOLLOW, "--published")
    warning = "mtnet: --published is the old name of --classic; use that.\n"
    assert result == (0, "GBPUSD 0.25\n", warning)


def test_the_classic_dialect_has_no_login(command_line, daemon, monkeypatch):
    monkeypatch.setenv("MTNET_PASSWORD", PASSWORD)
    status, _, sentence = command_line(*FOLLOW, "--classic", "--login", "alice")
    assert status == 1
    assert "login" in sentence


def test_a_lost_connection_is_reported_and_the_positions_are_not_repeated(command_line, daemon):
    command_line(*PUBLISH, "GBPUSD", "1")
    at = [(1.0, lambda: command_line.endpoint.connection.cut())]
    status, out, error = command_line("signals", "follow", "--seconds", "30", at=at)
    assert (status, out) == (0, "GBPUSD 1\n")
    lost, back = [line for line in error.splitlines() if "connection" in line]
    assert lost.startswith("mtnet: The connection is lost (")
    assert back == "mtnet: The connection is back."


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("pause", "mtnet: main is paused: it takes closings and reductions alone.\n"),
        ("freeze", "mtnet: main is frozen: it takes nothing, not even a closing.\n"),
    ],
)
def test_a_pause_of_the_channel_is_reported(command_line, daemon, command, sentence):
    commands = SignalCommands(daemon.env.find(ISignals)).commands()
    command_line(*PUBLISH, "GBPUSD", "1")
    at = [(1.0, lambda: commands[f"signals {command}"]({"channel": "main"}))]
    result = command_line(*FOLLOW, at=at)
    assert (result.status, result.out) == (0, "GBPUSD 1\n")
    assert sentence in result.error


def test_what_the_server_says_besides_positions_is_reported(command_line):
    def state(_):
        return (
            b"<<SNAPSHOT|channel=main|epoch=00000000000000aa|seq=7|count=1>>"
            b"<<POSITION|channel=main|seq=7|symbol=GBPUSD|volume=0.25|time=1700000000000>>"
            b"<<SYNCED|channel=main|epoch=00000000000000aa|seq=7>>"
            b"<<PAUSED|channel=main|mode=frozen>><<FLATTENED|channel=main>>"
            b"<<RESUMED|channel=main>><<NOTICE|text=Closed at 21:00.>><<WEATHER|sky=blue>>"
        )

    command_line.server = scripted(HELLO=welcome, SUBSCRIBE=state)
    status, out, error = command_line("signals", "follow", "--seconds", "2")
    assert (status, out) == (0, "GBPUSD 0.25\n")
    assert error.splitlines() == [
        "mtnet: main is frozen: it takes nothing, not even a closing.",
        "mtnet: The server has closed every position of main.",
        "mtnet: main takes everything again.",
        "mtnet: Closed at 21:00.",
    ]


def test_what_the_server_says_besides_stored_is_reported(command_line):
    def stored(fields):
        notice = b"<<NOTICE|text=Closed at 21:00.>><<STORED|id=a>>"
        return notice + f"<<STORED|id={fields['id']}|seq=7>>".encode()

    command_line.server = scripted(HELLO=welcome, PUBLISH=stored)
    result = command_line(*PUBLISH, "GBPUSD", "1", "--json")
    assert (result.status, json.loads(result.out)["seq"]) == (0, 7)
    notice, left_out = result.error.splitlines()
    assert notice == "mtnet: Closed at 21:00."
    assert left_out.startswith("mtnet: A frame of the server is left out: STORED needs seq")


@pytest.mark.parametrize("seconds", ["0.6", "1", "3", "11"])
def test_an_empty_channel_is_no_error_of_a_classic_client_in_however_short_a_time(
    command_line, daemon, seconds
):
    """Their last moment is too late to see that the server is there."""
    words = ("signals", "follow", "--classic", "--seconds", seconds)
    assert command_line(*words) == (0, "", "")


@pytest.mark.parametrize("options", [(), ("--classic",), ("--seconds", "60")])
def test_a_server_of_another_kind_ends_it_with_a_hint_at_tls(command_line, options):
    command_line.server = scripted(closes=True)
    words = ("--server", "tcp:fx.example:8081", *options)
    status, out, sentence = command_line("signals", "follow", *words)
    assert (status, out) == (1, "")
    assert sentence.startswith("mtnet: tcp:fx.example:8081 never answered as it should (")
    assert sentence.endswith("If that port speaks TLS, it is secure:fx.example:8081.\n")


def test_a_channel_that_may_not_be_followed_ends_it(command_line, clock, monkeypatch):
    serve(command_line, clock)
    monkeypatch.setenv("MTNET_PASSWORD", PASSWORD)
    status, out, sentence = command_line(*FOLLOW, "--channel", "silver", "--login", "bob")
    assert (status, out) == (1, "")
    assert sentence.startswith("mtnet: ")


def test_a_wrong_password_ends_it(command_line, clock, monkeypatch):
    serve(command_line, clock)
    monkeypatch.setenv("MTNET_PASSWORD", "wrong horse")
    status, out, sentence = command_line(*FOLLOW, "--login", "bob")
    assert (status, out) == (1, "")
    assert "wrong horse" not in sentence


def test_a_server_that_says_nothing_is_an_error_after_the_seconds(command_line):
    command_line.server = scripted()
    status, out, sentence = command_line(*FOLLOW)
    assert (status, out) == (1, "")
    assert "never answered as it should (nothing within 5 s)" in sentence


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [("aa", "bb", "another journal than before (bb, not aa)"), ("aa", "aa", "an older copy")],
)
def test_another_history_is_told_with_a_question_about_the_data_folder(old, new, sentence):
    said = sessions._other_history(OtherHistory(old, new))
    assert sentence in said
    assert said.endswith("is its data folder the right one?")


@pytest.mark.parametrize(
    ("code", "answered", "ends"),
    [("login", True, True), ("channel", False, True), ("denied", False, True),
     ("channel", True, False), ("server", False, False)],
)  # fmt: skip
def test_a_refusal_ends_the_command_unless_the_channel_was_open_once(code, answered, ends):
    calls = []
    watch = SimpleNamespace(
        answered=answered,
        fail=lambda text: calls.append(("fail", text)),
        refused=lambda text: calls.append(("refused", text)),
    )
    sessions._refused(watch, Refused(code, "Not now"))
    assert calls == [("fail", "Not now.") if ends else ("refused", f"{code} Not now")]


def test_a_disk_that_fails_is_named_when_the_position_is_not_confirmed(command_line):
    def broken(fields):
        error = f"<<ERROR|code=server|id={fields['id']}|text=The disk is full>>"
        return f"{error}<<NOTICE|text=Soon.>>\r\n".encode()

    command_line.server = scripted(HELLO=welcome, PUBLISH=broken)
    status, out, error = command_line(*PUBLISH, "GBPUSD", "0.25")
    assert (status, out) == (1, "")
    assert "mtnet: Soon." in error
    assert "The disk is full" in error
